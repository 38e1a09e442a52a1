"""The race `training` without TensorFlow: the order of rows, turns that never overlap, what is made of the figures."""

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks._training_cases import saved
from benchmarks._training_place import equal, order_of, write_data
from benchmarks._training_turns import Contender, take_turns
from benchmarks.training import compared, parts

if TYPE_CHECKING:
    from benchmarks._table import Row

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys, time
from benchmarks._training_model import Turns
turns = Turns()
for epoch in range(int(sys.argv[2])):
    turns.next()
    begin = time.monotonic()
    time.sleep(0.01)
    with open(sys.argv[1], "a") as file:
        print(begin, time.monotonic(), file=file)
if sys.argv[3:]:
    sys.exit("it broke")
"""


def contender(path: Path, epochs: int, *more: str, processes: int = 1) -> Contender:
    return Contender(
        [sys.executable, "-c", PROGRAM, str(path), str(epochs), *more], {"PYTHONPATH": str(ROOT)}, processes
    )


def test_the_order_has_each_row_once_an_epoch_and_another_each_time(tmp_path: Path) -> None:
    uri = write_data(tmp_path / "data", shards=3, rows=300, eval_rows=5)
    order = order_of(uri, 2)
    assert order.shape == (2, 900)
    assert [sorted(epoch) for epoch in order.tolist()] == [list(range(900))] * 2
    assert order[0].tolist() != order[1].tolist()
    images = np.concatenate([np.load(path)["image"] for path in sorted((tmp_path / "data").glob("train-*.npz"))])
    numbers = np.ascontiguousarray(images[:, 0, :4]).view("<u4").ravel()
    assert numbers.tolist() == list(range(900)), "the order's numbers are not those of the rivals' rows"


@pytest.mark.servers
def test_contenders_take_turns_and_the_first_does_not_count(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.txt" for name in ("a", "b")}
    found = take_turns({"a": contender(paths["a"], 5), "b": contender(paths["b"], 5, processes=2)}, 4, tmp_path)
    assert [len(found[name]) for name in ("a", "b")] == [3, 3]
    for turns in found.values():
        assert all(taken["wall_s"] >= 0.01 and taken["rss_mib"] > 1 for taken in turns)
    spans = sorted(
        tuple(map(float, line.split()))
        for path in paths.values()
        for line in path.read_text().splitlines()[:-1]  # the last epochs have no end to be told
    )
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


@pytest.mark.servers
def test_a_turn_is_as_many_epochs_as_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    one = contender(path, 7)
    told = Contender(one.command, {**one.variables, "RACE_EPOCHS": "3"})
    found = take_turns({"a": told}, 2, tmp_path)["a"]
    assert len(path.read_text().splitlines()) == 7
    assert [taken["wall_s"] >= 0.03 for taken in found] == [True]


def test_steps_are_told_apart_by_the_checkpoint_that_they_met() -> None:
    ends = [0.0, 9.0, 10.0, 11.0, 12.5, 14.5, 15.5, 16.5]  # a checkpoint is written from 11.2 to 13
    found = saved(ends, [(11.2, 13.0)])
    assert found["step_ms"] == 1000  # four others, after two that build the graph
    assert (found["blocked_ms"], found["saving_ms"]) == (500, 2000)
    assert found["write_ms"] == pytest.approx(1800)
    assert found["checkpoints"] == 1
    assert found["mean_ms"] == pytest.approx(6500 / 5)
    with pytest.raises(SystemExit, match="0 saved and 5 met none; give more --steps"):
        saved(ends, [])


@pytest.mark.servers
def test_a_contender_that_fails_ends_the_race_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)a has ended.*it broke"):
        take_turns({"a": contender(tmp_path / "a.txt", 2, "broken")}, 4, tmp_path)


def test_curves_are_equal_to_six_digits() -> None:
    assert equal([2.0, 1.0], [2.000001, 1.0])
    assert not equal([2.0, 1.0], [2.00001, 1.0])
    assert not equal([2.0], [2.0, 1.0])


def test_a_step_is_split_and_set_beside_the_floor_and_the_lone_process() -> None:
    speed = {"input": 0.001, "compute": 0.006, "all_reduce": 0.002}
    assert parts(speed, 0.010) == {"input_ms": 1.0, "compute_ms": 6.0, "all_reduce_ms": 2.0, "rest_ms": 1.0}
    rows: list[Row] = [
        {"contender": name, "step_ms": step, "examples_s": 1000 / step}
        for name, step in {"colchis": 5.0, "single": 8.0, "bare-step": 6.0}.items()
    ]
    ours = compared(rows, 2)[0]
    assert (ours["overhead_ms"], ours["efficiency"]) == (2.0, 0.8)
