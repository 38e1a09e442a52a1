"""Real bad canaries on a cluster: the rollout step, pods, the gateway and its users, who count what they get.

The models of `_canary_models` go wrong by themselves once they have traffic. A bad answer is one that is not 200, that
is of the wrong class, or, where the canary is slow, any of its answers.
"""

import http.client
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tests.cluster.conftest import Site, fresh_site
from tests.cluster.installed import GATEWAY

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Golden

MODELS = Path(__file__).with_name("_canary_models.py")
MODEL = f"race-{uuid.uuid4().hex[:6]}"  # a registry keeps what another race packed
VERSIONS = {"errors": 2, "latency": 3, "drift": 4, "crash": 5, "oom": 6, "crash-loop": 7, "good": 8, "never-ready": 8}
FLAGS = {
    "errors": ['--serve-options={"allow_operations": ["ReadFile"]}'],  # by which it fails
    "oom": ['--serve-options={"memory_limit": "1200Mi"}'],
    "never-ready": ['--serve-options={"cpu": "64"}', "--ready-seconds=20"],  # no node has so many
}
WITHOUT_TRAFFIC = {"crash-loop", "never-ready"}  # that end before any
USERS, INTERVAL = 4, 0.08  # users, and seconds between two requests of one: 50 requests a second
ROWS = 32


class Users:
    """Ask the model all the while, and note when an answer was bad."""

    def __init__(self, slow: str) -> None:
        self.slow = slow  # the version that is too slow in each answer, or ""
        self.asked, self.bad, self.stop = 0, list[float](), threading.Event()

    def ask(self, number: int) -> None:
        """Be one of them; a connection that broke is made anew, as a client's library does."""
        chance, host = random.Random(number), urlsplit(GATEWAY).netloc  # noqa: S311 - no secret
        connection = http.client.HTTPConnection(host, timeout=20)
        while not self.stop.wait(INTERVAL):
            row = [[chance.randrange(17) for _ in range(8)] for _ in range(8)]
            self.asked += 1
            try:
                body, headers = json.dumps({"instances": [row]}), {"Content-Type": "application/json"}
                connection.request("POST", f"/v1/models/{MODEL}:predict", body, headers)
                answer = connection.getresponse()
                found, version = answer.read(), answer.headers.get("Colchis-Version", "")
                wrong = answer.status != 200 or json.loads(found)["predictions"][0] != sum(map(sum, row)) % 10
            except (OSError, http.client.HTTPException):
                connection.close()
                wrong, version = True, ""
            if wrong or (self.slow and version == self.slow):
                self.bad.append(time.monotonic())


@contextmanager
def asking(slow: str) -> Iterator[Users]:
    """Let users ask."""
    users = Users(slow)
    threads = [threading.Thread(target=users.ask, args=(number,), daemon=True) for number in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        users.stop.set()
        for thread in threads:
            thread.join(30)


def real(faults: Sequence[str], runs: int, seconds: float) -> dict[str, list[tuple[bool, float, float]]]:
    """Roll canaries out, each fault so often, in turn.

    Gives by fault, for each run, whether it was refused, the bad answers, and the seconds from the first to the last.
    """
    found: dict[str, list[tuple[bool, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        subprocess.run([sys.executable, str(MODELS), str(top)], check=True, capture_output=True)
        (top / "site").mkdir()
        with fresh_site(top / "site", top) as site:
            publish(site, faults)
            site.roll(MODEL, 1)
            for number, fault in itertools.product(range(runs), faults):
                one = once(site, fault, f"{fault}-{number}", seconds)
                found.setdefault(fault, []).append(one)
                print(f"real-{fault}: {one}", file=sys.stderr, flush=True)
    return found


def publish(site: Site, faults: Sequence[str]) -> None:
    """Publish the versions, each with what it answered when it was judged."""
    rows = np.random.default_rng(7).integers(0, 17, (ROWS, 8, 8))
    answers = (rows.sum(axis=(1, 2)) % 10).tolist()
    chosen = {VERSIONS[fault]: fault for fault in faults}
    for version, fault in {1: "good", **chosen}.items():
        site.publish(MODEL, version, "good" if fault == "never-ready" else fault)
        run = f"made-{MODEL}-{version}"
        golden = Golden(run, {"image": rows.tolist()}, {"class": answers})
        site.store.write(f"runs/{run}/golden.json", encode(golden))


def once(site: Site, fault: str, run: str, seconds: float) -> tuple[bool, float, float]:
    """Roll one canary out while users ask, and see who is stable then; put version 1 back."""
    version = VERSIONS[fault]
    flags = ["--action=canary", "--steps=10,30,100", f"--step-seconds={seconds:g}", "--judge-seconds=90"]
    with asking(str(version) if fault == "latency" else "") as users:
        words = site.rollout(MODEL, version, *flags, *FLAGS.get(fault, []), f"--run={run}")
        done = subprocess.run(
            [sys.executable, "-m", *words], env=site.environment, capture_output=True, text=True, check=False
        )
    refused = site.stable(MODEL)[0] == 1
    print(f"  {users.asked} asked, ended with {done.returncode}: {done.stderr.splitlines()[-1]}", file=sys.stderr)
    if done.returncode and fault not in WITHOUT_TRAFFIC:
        raise SystemExit(f"the canary of real-{fault} got no traffic, so it tells nothing")
    if not refused:
        site.step("colchis_steps.models", "rollback", MODEL, f"--store={site.store.url}", "--to=1")
    return refused, float(len(users.bad)), round(users.bad[-1] - users.bad[0], 3) if users.bad else 0.0
