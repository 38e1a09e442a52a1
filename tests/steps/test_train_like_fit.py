"""What Keras's ``fit`` does, training does: the same losses, metrics, weights and calls of callbacks.

fit_cases has an entry for each thing; like_fit trains it by ``fit``, by the loop with one worker, and with two.
"""

import functools
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow
HERE = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("fit_cases.py").read_text()
CASES = [part.partition("(")[0] for part in SOURCE.split("\n@case\ndef ")[1:]]
BRIEF = (  # what `make test` trains; the rest takes minutes
    "plain", "batch_norm", "synchronized", "class_weights", "many_metrics", "hooks", "stops_at_the_third_batch",
    "own_steps", "several_outputs", "accumulated",
)  # fmt: skip
APART = {"batch_norm": "each worker has the statistics of its own rows; `synchronized` is the switch"}
Results = Mapping[str, dict[str, Any]]
Trained = Callable[[str, int, str], dict[str, Any]]


def cases(*, without: Collection[str] = ()) -> list[Any]:
    """Return the cases as parameters of tests."""
    wanted = [name for name in CASES if name not in without]
    return [pytest.param(name, marks=[] if name in BRIEF else pytest.mark.long) for name in wanted]


def train(how: str, out: Path, workers: int, names: Sequence[str]) -> Results:
    """Train these cases; return what came out by case, as the chief has it."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = ",".join(f"127.0.0.1:{sock.getsockname()[1]}" for sock in sockets)
    for sock in sockets:
        sock.close()
    outs = [out.with_name(f"{out.name}-{rank}") for rank in range(workers)]
    running = []
    for rank, path in enumerate(outs):
        with path.with_suffix(".log").open("w") as log:
            command = [sys.executable, "-m", "tests.steps.like_fit", how, str(path), *names]
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return what came of a case, by ``fit`` or by the loop and so many workers; it is trained with others, once."""
    home = tmp_path_factory.mktemp("fit")

    @functools.cache
    def part(how: str, workers: int, *, brief: bool) -> Results:
        names = [name for name in CASES if (name in BRIEF) is brief]
        return train(how, home / f"{how}-{workers}-{brief}", workers, names)

    return lambda how, workers, case: part(how, workers, brief=case in BRIEF)[case]


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


@pytest.mark.parametrize("case", cases())
def test_one_worker_does_what_fit_does(trained: Trained, case: str) -> None:
    wanted = trained("fit", 1, case)
    for epoch in wanted["epochs"]:
        epoch.pop("learning_rate", None)  # a callback puts it into fit's logs; an epoch has it always
    assert wanted["epochs"]
    check(trained("loop", 1, case), wanted, case)


@pytest.mark.parametrize("case", cases(without=APART))
def test_two_workers_do_what_one_does(trained: Trained, case: str) -> None:
    check(trained("loop", 2, case), trained("loop", 1, case), case)


@pytest.mark.long
@pytest.mark.parametrize("case", cases(without=APART))
def test_four_workers_do_what_one_does(trained: Trained, case: str) -> None:
    check(trained("loop", 4, case), trained("loop", 1, case), case)


def test_a_stop_within_an_epoch_ends_it_after_that_batch(trained: Trained) -> None:
    seen = trained("loop", 2, "stops_at_the_third_batch")["seen"]
    assert [number for hook, number, _ in seen if hook == "train_batch_end"] == [0, 1, 2]
    assert [hook for hook, *_ in seen[-4:]] == ["test_batch_end", "test_end", "epoch_end", "train_end"]
