"""What Keras's ``fit`` does, training does: the same losses, metrics, weights and calls of callbacks.

fit_cases has an entry for each thing; like_fit trains it by ``fit``, by the loop with one worker, and with two.
"""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow
HERE = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("fit_cases.py").read_text()
CASES = [part.partition("(")[0] for part in SOURCE.split("\n@case\ndef ")[1:]]
APART = {"batch_norm": "each worker has the statistics of its own rows; `synchronized` is the switch"}
Results = Mapping[str, dict[str, Any]]


def train(how: str, out: Path, workers: int) -> Results:
    """Train all cases; return what came out by case, as the chief has it."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = ",".join(f"127.0.0.1:{sock.getsockname()[1]}" for sock in sockets)
    for sock in sockets:
        sock.close()
    outs = [out.with_name(f"{out.name}-{rank}") for rank in range(workers)]
    running = []
    for rank, path in enumerate(outs):
        with path.with_suffix(".log").open("w") as log:
            command = [sys.executable, "-m", "tests.steps.like_fit", how, str(path), *CASES]
            place = os.environ | {"COLCHIS_ADDRESSES": addresses, "COLCHIS_RANK": str(rank)}
            running.append(subprocess.Popen(command, cwd=HERE, env=place, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=400) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert not any(codes), "\n".join(path.with_suffix(".log").read_text()[-3000:] for path in outs)
    return {found["case"]: found for found in map(json.loads, outs[0].read_text().splitlines())}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def fitted(home: Path) -> Results:
    return train("fit", home / "fit", 1)


@pytest.fixture(scope="module")
def alone(home: Path) -> Results:
    return train("loop", home / "alone", 1)


@pytest.fixture(scope="module")
def together(home: Path) -> Results:
    return train("loop", home / "together", 2)


@pytest.fixture(scope="module")
def four(home: Path) -> Results:
    return train("loop", home / "four", 4)


def check(found: Any, wanted: Any, where: str = "") -> None:
    """Compare numbers to six digits, NaN with NaN, and everything else as it is."""
    if isinstance(wanted, float) and isinstance(found, float):
        assert (math.isnan(found) and math.isnan(wanted)) or found == pytest.approx(wanted, rel=1e-5, abs=1e-5), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            check(found[key], wanted[key], f"{where}/{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
            check(one, other, f"{where}/{i}")
    else:
        assert found == wanted, where


@pytest.mark.parametrize("case", CASES)
def test_one_worker_does_what_fit_does(fitted: Results, alone: Results, case: str) -> None:
    wanted = fitted[case]
    for epoch in wanted["epochs"]:
        epoch.pop("learning_rate", None)  # a callback puts it into fit's logs; an epoch has it always
    assert wanted["epochs"]
    check(alone[case], wanted, case)


@pytest.mark.parametrize("case", [name for name in CASES if name not in APART])
def test_two_workers_do_what_one_does(alone: Results, together: Results, case: str) -> None:
    check(together[case], alone[case], case)


@pytest.mark.long
@pytest.mark.parametrize("case", [name for name in CASES if name not in APART])
def test_four_workers_do_what_one_does(alone: Results, four: Results, case: str) -> None:
    check(four[case], alone[case], case)


def test_a_stop_within_an_epoch_ends_it_after_that_batch(together: Results) -> None:
    seen = together["stops_at_the_third_batch"]["seen"]
    assert [number for hook, number, _ in seen if hook == "train_batch_end"] == [0, 1, 2]
    assert [hook for hook, *_ in seen[-4:]] == ["test_batch_end", "test_end", "epoch_end", "train_end"]
