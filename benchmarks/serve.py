"""Race `serve`: predictions a second and time of a lone one, JSON over HTTP on loopback, one small SavedModel.

Reads   benchmarks/rivals/<name>.txt, <name>_server.py   an environment and a server of each rival
Needs   wrk (Debian package wrk), which asks from a process of its own
Writes  benchmarks/results/serve.json                    medians, and the table on stdout

The floor ``in-process`` calls the SavedModel with rows that are arrays already: no JSON, no HTTP.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._rivals import HERE, environment, in_turn
from benchmarks._table import Row, table, with_ratio, write

OURS, FLOOR = "colchis", "in-process"
RIVALS = ("kserve", "mlserver", "bentoml", "litserve")
CASES = {"lone": 1, "batch": 32}  # connections, each with one request under way
STARTING = 400.0  # seconds for a server to answer
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE") / 2**20  # a tick of CPU time; MiB
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "BENTOML_DO_NOT_TRACK": "true"}
REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\\nJSON{"requests":%d,"us":%d,"median_us":%d,"p99_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors))
end
"""


@dataclass(frozen=True)
class Server:
    """A contender that answers at a URL."""

    process: "subprocess.Popen[bytes]"
    url: str
    body: Callable[[Any], Any]  # of a row
    read: Callable[[Any], Any]  # the row of probabilities in an answer


def v1(row: Any) -> Any:
    return {"instances": [row]}


def saved_model(directory: Path) -> None:
    """Write the model that all serve: 8x8 grey values, a hidden layer of 128, ten probabilities."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8), dtype="uint8", name="image")
    hidden = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(image)))
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = [tf.TensorSpec([None, 8, 8], tf.uint8, name="image")]
    archive.add_endpoint("serving_default", lambda image: {"probability": model(image)}, input_signature=spec)
    archive.write_out(str(directory), verbose=False)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def command(name: str, model: Path, port: int) -> tuple[list[str], str]:
    """Return the command that starts a contender, and the path that answers."""
    script = str(HERE / "rivals" / f"{name}_server.py")
    if name == OURS:
        words = [sys.executable, "-m", "colchis_steps.serve", f"--model=m={model}", f"--port={port}"]
        return words, "/v1/models/m:predict"
    python = environment(name)
    if name == "bentoml":
        words = [str(python.with_name("bentoml")), "serve", "bentoml_server:Served", "--host=127.0.0.1"]
        return [*words, f"--port={port}", f"--working-dir={HERE / 'rivals'}"], "/predict"
    path = {"kserve": "/v1/models/m:predict", "mlserver": "/v2/models/m/infer", "litserve": "/predict"}[name]
    return [str(python), script, str(model), str(port)], path


def spoken(name: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return how a row is sent to a contender, and how its answer is read."""
    if name == "mlserver":

        def body(row: Any) -> Any:
            data = [value for line in row for value in line]
            return {"inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "UINT8", "data": data}]}

        return body, lambda answer: answer["outputs"][0]["data"]
    if name == "bentoml":
        return v1, lambda answer: answer[0]
    return v1, lambda answer: answer["predictions"][0]


@contextlib.contextmanager
def serving(names: Sequence[str], model: Path, top: Path) -> Iterator[dict[str, Server]]:
    """Start the contenders, each in a process group of its own, and end them afterwards."""
    started: dict[str, Server] = {}
    try:
        for name in names:
            port = free_port()
            words, path = command(name, model, port)
            with (top / f"{name}.log").open("wb") as log:
                process = subprocess.Popen(
                    words,
                    env=os.environ | QUIET | {"SAVED_MODEL": str(model), "PYTHONPATH": ""},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=top,
                )
            started[name] = Server(process, f"http://127.0.0.1:{port}{path}", *spoken(name))
        yield started
    finally:
        for server in started.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGTERM)
        for server in started.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)


def asked(server: Server, row: Any) -> Any:
    """Ask once; give the probabilities."""
    data = json.dumps(server.body(row)).encode()
    request = urllib.request.Request(server.url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return server.read(json.load(answer))


def check(name: str, server: Server, rows: Any, wanted: Any) -> None:
    """Wait until the server answers; ask for all rows at once and compare."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            asked(server, rows[0].tolist())
            break
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise SystemExit(f"{name} does not answer at {server.url}: {error}") from error
            time.sleep(0.5)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda row: asked(server, row.tolist()), rows))
    if not np.allclose(found, wanted, atol=1e-5):
        raise SystemExit(f"{name} answers other than the model does")


def used(process: int) -> tuple[float, float]:
    """Return CPU seconds and resident MiB of a process and all below it."""
    parents, figures = dict[int, int](), dict[int, tuple[float, float]]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            number = int(path.parent.name)
            parents[number] = int(fields[1])
            cpu, memory = (int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * PAGE
            figures[number] = (cpu, memory)
    found = {process}
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    known = [figures[number] for number in found if number in figures]
    return sum(cpu for cpu, _ in known), sum(memory for _, memory in known)


def loaded(server: Server, connections: int, seconds: int, row: Any, top: Path) -> dict[str, float]:
    """Let wrk ask for some seconds; every answer must be a 200."""
    body = json.dumps(server.body(row.tolist()))
    script = top / f"{server.process.pid}.lua"
    head = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
    script.write_text(f"{head}wrk.body = [==[{body}]==]\n{REPORT}")
    before = used(server.process.pid)[0]
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", str(script), server.url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=True)
    if "JSON" not in done.stdout:
        raise SystemExit(f"wrk tells nothing of {server.url}: {done.stderr or done.stdout}")
    told = json.loads(done.stdout.rpartition("JSON")[2])
    if told["errors"] or not told["requests"]:
        raise SystemExit(f"{server.url}: {told['errors']} of {told['requests']} requests failed")
    cpu, memory = used(server.process.pid)
    return {
        "wall_s": told["us"] / 1e6 / told["requests"] * 1000,  # of a thousand requests
        "cpu_s": (cpu - before) / told["requests"] * 1000,
        "rss_mib": memory,
        "median_ms": told["median_us"] / 1000,
        "p99_ms": told["p99_us"] / 1000,
        "per_s": told["requests"] / told["us"] * 1e6,
    }


def in_process(function: Any, rows: Any, seconds: float) -> dict[str, float]:
    """Call the model on the rows, over and over."""
    import tensorflow as tf

    times: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        function(image=tf.constant(rows))["probability"].numpy()
        times.append(time.perf_counter() - start)
    wall, count = time.perf_counter() - began, len(times) * len(rows)
    return {
        "wall_s": wall / count * 1000,
        "cpu_s": (time.process_time() - cpu) / count * 1000,
        "median_ms": float(np.median(times)) * 1000,
        "p99_ms": float(np.quantile(times, 0.99)) * 1000,
        "per_s": count / wall,
    }


def race(names: Sequence[str], cases: Sequence[str], *, runs: int, seconds: int) -> list[Row]:
    """Run the contenders in turn; give the medians of each."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="colchis-") as directory:
        top = Path(directory)
        saved_model(top / "model")
        model = tf.saved_model.load(str(top / "model"))
        function = model.signatures["serving_default"]
        rows = np.random.default_rng(7).integers(0, 17, (64, 8, 8), np.uint8)
        wanted = function(image=tf.constant(rows))["probability"].numpy()
        with serving(names, top / "model", top) as servers:
            for name, server in servers.items():
                check(name, server, rows, wanted)
                print(f"{name} answers as the model does", file=sys.stderr)
            made: list[Row] = []
            for case in cases:
                count = CASES[case]
                contenders: dict[str, Callable[[], Mapping[str, float | None]]] = {
                    name: functools.partial(loaded, server, count, seconds, rows[0], top)
                    for name, server in servers.items()
                }
                contenders[FLOOR] = functools.partial(in_process, function, rows[:count], seconds)
                made += with_ratio(in_turn(case, contenders, runs=runs), FLOOR)
    return made


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.serve",
        description=__doc__.partition("\n")[0],
        epilog="example: make bench RACE=serve OPTIONS='--contender colchis --case lone --runs 3'",
    )
    p.add_argument("--case", choices=CASES, action="append", help="default: each")
    p.add_argument("--contender", choices=[OURS, *RIVALS], action="append", help="default: each; the floor runs always")
    p.add_argument("--runs", type=int, default=5, help="of each contender; default 5")
    p.add_argument("--seconds", type=int, default=2, help="of a run; default 2")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    if args.runs < 1 or args.seconds < 1:
        parser().error(f"--runs is {args.runs} and --seconds {args.seconds}; both take 1 at least")
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is absent; install it with: apt-get install wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end however the race ends
    rows = race(args.contender or [OURS, *RIVALS], args.case or list(CASES), runs=args.runs, seconds=args.seconds)
    print(table(rows))
    if not args.contender:
        print(write("serve", rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
