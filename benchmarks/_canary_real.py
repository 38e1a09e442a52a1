"""A real canary on this machine: an embedded server behind a small gateway that spoils what the canary answers.

The judgement is the rollout's own, through HTTP; users ask all the while over connections of their own. Both versions
are one model, so that what differs is what the gateway does: 20 % errors, twice the time, a third of the answers of
another class, or no answer at all.
"""

import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from colchis_steps._formats import Alias, Golden, Rollout, encode, now
from colchis_steps._probes import Prober
from colchis_steps._rollout_canary import Plan, judged
from colchis_steps._rollout_store import canary_key
from colchis_steps._rollout_versions import Place
from colchis_steps._store import open_store

EXPORT = Path(__file__).parents[1] / "tests" / "steps" / "exported_models.py"
MODEL, STABLE, CANARY = "digits", 1, 2
STEPS = (10, 30)
USERS, INTERVAL = 4, 0.08  # users, and seconds between two requests of one: 50 requests a second
HORIZON = 10.0  # seconds that a rollout without analysis is looked at, after its steps


@dataclass
class Gateway:
    """Shares requests out by weight, and spoils those of the canary."""

    server: int  # the embedded server's port
    fault: str
    weight: int = 0
    bad: int = 0  # users' requests that were spoilt
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - no secret
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Give status and body: what the server says, or what the fault makes of it."""
        named = f"/versions/{CANARY}" in path
        canary = named or (f"/versions/{STABLE}" not in path and self.chance.random() * 100 < self.weight)
        began = time.perf_counter()
        path = path.replace(f"/versions/{CANARY}", f"/versions/{STABLE}")
        status, found = self._ask(path, body)
        spoilt = canary and self.fault != "good"
        if spoilt and self.fault == "latency":
            time.sleep(time.perf_counter() - began)
        elif spoilt and (self.fault == "crash" or (self.fault == "errors" and self.chance.random() < 0.2)):
            status, found = 502, b'{"error": "spoilt"}'
        elif spoilt and self.fault == "drift" and self.chance.random() < 0.33:
            answer = json.loads(found)
            for one in answer.get("predictions", []):
                one["class"] = 8
            found = json.dumps(answer).encode()
        else:
            spoilt = False
        if spoilt and not named:
            with self.lock:
                self.bad += 1
        return status, found

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server, timeout=10)
        connection.request("POST" if body else "GET", path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        return answer.status, found


def handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    """Give what answers a connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, found = gateway.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        do_GET = do_POST  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def served(model: Path, directory: Path) -> Iterator[int]:
    """Start the embedded server; give its port when it answers."""
    state = directory / "server.json"
    command = [sys.executable, "-m", "colchis_steps.serve", f"--model={MODEL}={model}", "--port=0"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--pid-path={state}"], stdout=log, stderr=log, env=dict(os.environ))
    try:
        end = time.monotonic() + 180
        while time.monotonic() < end:
            try:
                port = int(json.loads(state.read_text())["port"])
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", "/v2/health/ready")
                if connection.getresponse().status == 200:
                    break
            except (OSError, ValueError):
                pass
            time.sleep(0.2)
        else:
            raise RuntimeError(f"the server is not ready: {(directory / 'log').read_text()[-500:]}")
        yield port
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def users(port: int, rows: Sequence[Any]) -> Iterator[None]:
    """Ask the model all the while."""
    stop = threading.Event()

    def ask(number: int) -> None:
        for row in itertools.islice(itertools.cycle(rows), number, None):
            if stop.wait(INTERVAL):
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", f"/v1/models/{MODEL}:predict", json.dumps({"instances": [row]}))
            connection.getresponse().read()
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def real(
    faults: Sequence[str], contenders: Sequence[str], runs: int, seconds: float
) -> dict[tuple[str, str], list[tuple[bool, float, float]]]:
    """Roll canaries out, each fault by each contender so often, in turn.

    Gives by fault and contender, for each run, whether it was refused, the bad answers, and the seconds.
    """
    from sklearn.datasets import load_digits

    images = load_digits().images.astype("uint8").tolist()
    found: dict[tuple[str, str], list[tuple[bool, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        subprocess.run([sys.executable, str(EXPORT), str(top)], check=True, capture_output=True)
        with served(top / "digits", top) as port:
            for _, fault, who in itertools.product(range(runs), faults, contenders):
                one = _once(top, port, images, fault=fault, seconds=seconds, contender=who)
                found.setdefault((fault, who), []).append(one)
                print(f"real-{fault} {who}: {one}", file=sys.stderr, flush=True)
    return found


def _once(
    top: Path, server: int, images: list[Any], *, fault: str, seconds: float, contender: str
) -> tuple[bool, float, float]:
    gateway = Gateway(server, fault)
    front = ThreadingHTTPServer(("127.0.0.1", 0), handler(gateway))
    front.daemon_threads = True
    threading.Thread(target=front.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{front.server_address[1]}"
    store = open_store((top / "store").as_uri())
    store.write(canary_key(MODEL), encode(Alias(MODEL, CANARY, now())))
    target: Any = SimpleNamespace(addresses=lambda *_: [], missing=lambda *_: "")
    cluster: Any = None
    place, told = Place(cluster, target, store, MODEL), Rollout(MODEL, CANARY, "race", STABLE, now())
    plan = Plan(steps=STEPS, seconds=seconds, deadline=60)
    rows = images[:32]
    golden = Golden("race", {"image": rows}, {"class": [number % 10 for number in range(len(rows))]})
    began, refused = time.monotonic(), False
    try:
        with users(front.server_address[1], images):
            for weight in STEPS:
                gateway.weight = weight
                if contender == "colchis":
                    refused = judged(place, plan, told, weight, Prober(url, MODEL, golden, STABLE)).verdict == "fail"
                else:
                    time.sleep(seconds)
                if refused:
                    gateway.weight = 0
                    break
            took = time.monotonic() - began
            if not refused:
                gateway.weight = 100
                time.sleep(HORIZON if contender != "colchis" or fault != "good" else 0)
                took = time.monotonic() - began
    finally:
        front.shutdown()
        front.server_close()
    return refused, float(gateway.bad), took
