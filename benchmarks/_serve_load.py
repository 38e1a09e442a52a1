"""The load of race `serve`: wrk over HTTP and h2load over gRPC, processes of their own, and the model in this process.

Each gives the figures of a run: seconds of a thousand requests, CPU seconds of the server for them, times, memory.
"""

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks._serve_contenders import METHOD, Server, asked_by_grpc
from benchmarks._serve_models import Call

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE") / 2**20  # a tick of CPU time; MiB
REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\\nJSON{"requests":%d,"us":%d,"median_us":%d,"p99_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors))
end
"""


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


def by_http(server: Server, connections: int, seconds: int, row: Any, top: Path) -> dict[str, float]:
    """Let wrk ask for some seconds; every answer must be a 200."""
    body = json.dumps(server.body(row))
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
    times = told["median_us"] / 1000, told["p99_us"] / 1000
    return _figures(server, before, told["us"] / 1e6, told["requests"], times)


def by_grpc(server: Server, connections: int, seconds: int, row: Any, top: Path) -> dict[str, float]:
    """Let h2load ask for some seconds; every answer must be a 200 with a frame as long as that to the row is now."""
    size = asked_by_grpc(server, [row])[1]
    content, log = server.message(row), top / f"{server.process.pid}.times"
    frame = top / f"{server.process.pid}.frame"
    frame.write_bytes(b"\0" + len(content).to_bytes(4, "big") + content)
    log.unlink(missing_ok=True)
    before = used(server.process.pid)[0]
    words = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{seconds}", f"-d{frame}", f"--log-file={log}"]
    words += ["-Hcontent-type: application/grpc", "-Hte: trailers", f"http://{server.address}{METHOD}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=True)
    rows = [line.split() for line in log.read_text().splitlines()]
    times = sorted(int(us) for _, status, us in rows if status == "200")
    data = re.search(r"\((\d+)\) data", done.stdout)
    if len(times) < len(rows) or not times or data is None or abs(int(data[1]) / size - len(times)) > connections:
        raise SystemExit(f"{server.address}: {len(times)} of {len(rows)} answers are whole: {done.stdout[-800:]}")
    told = median(times) / 1000, quantiles(times, n=100)[-1] / 1000
    return _figures(server, before, float(seconds), len(times), told)


def _figures(
    server: Server, cpu_before: float, seconds: float, count: int, times: tuple[float, float]
) -> dict[str, float]:
    cpu, memory = used(server.process.pid)
    return {
        "wall_s": seconds / count * 1000,  # of a thousand requests
        "cpu_s": (cpu - cpu_before) / count * 1000,
        "rss_mib": memory,
        "median_ms": times[0],
        "p99_ms": times[1],
        "per_s": count / seconds,
    }


def in_process(call: Call, rows: Any, seconds: float) -> dict[str, float]:
    """Call the model on the rows, over and over."""
    times: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call(rows)
        times.append(time.perf_counter() - start)
    wall, count = time.perf_counter() - began, len(times) * len(rows)
    return {
        "wall_s": wall / count * 1000,
        "cpu_s": (time.process_time() - cpu) / count * 1000,
        "median_ms": median(times) * 1000,
        "p99_ms": quantiles(times, n=100)[-1] * 1000,
        "per_s": count / wall,
    }
