"""The verb compare: in what two versions or runs differ, and which predictions."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.steps import origin_store
from tests.steps.judged_runs import RIGHT, ROWS, Judged, wrong_on
from tests.steps.report_runs import parsed, text

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import candidate_key
from colchis_steps._store.api import Objects
from colchis_steps.compare import main


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    return origin_store.filled(tmp_path / "store")


def told(store: Objects, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, f"--store={store.url}"]) == 0
    return capsys.readouterr().out


def test_two_versions_are_set_beside_each_other(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(store, capsys, "pets@1", "pets@stable")
    lines = [" ".join(line.split()) for line in found.splitlines()]
    assert lines[0] == "pets/2 against pets/1"
    assert "accuracy 0.925 0.985 0.965 to 1.000 +0.0600 +0.0387 to +0.0851 better" in lines
    assert "cost 2.000 2.000 +0.0000 the same" in lines
    assert "of rows 32 of 400 (8.0 %)" in lines
    assert "right now, wrong before 28" in lines
    assert "wrong now, right before 4" in lines
    assert "dog cat 10 0 10" in lines
    assert "30 cat cat dog" in lines, "rows that were right come first"
    assert "epochs 3 9" in lines
    assert "rate 0.1 \N{EN DASH}" in lines
    assert f"revision \N{EN DASH} {'b' * 40}-dirty" in lines
    assert lines[lines.index("Data") + 1] == "the same"


def test_what_was_judged_on_other_data_has_no_test_and_its_data_are_told_apart(
    store: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    found = " ".join(told(store, capsys, "pets@2", "third").split())
    assert "run third against pets/2" in found
    assert "No figure is tested: they were judged on different data" in found
    assert "a difference of figures says nothing of the models" in found
    assert "better" not in found
    assert "column age int64 float, nullable" in found
    assert "column job \N{EN DASH} string" in found
    assert "rows of train 1,000 2,000" in found


def test_json_has_all_of_it(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = json.loads(told(store, capsys, "pets@1", "pets@2", "--json"))
    assert (found["before"]["version"], found["now"]["version"], found["now"]["verdict"]) == (1, 2, "pass")
    assert found["rows"]["differing"] == 32
    accuracy = next(one for one in found["rows"]["changes"] if one["metric"] == "accuracy")
    assert (accuracy["test"], accuracy["verdict"]) == ("mcnemar", "pass")
    assert found["differences"]["hyper-parameters"][0] == {"name": "epochs", "before": "3", "now": "9"}
    assert found["rows"]["moved"][0] == {"row": 30, "label": "cat", "before": "cat", "now": "dog"}


def test_a_page_says_the_same_without_scripts(store: Objects, tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    assert main(["pets@1", "pets@2", f"--store={store.url}", f"--html={path}"]) == 0
    root = parsed(path.read_text())
    assert "accuracy 0.925 0.985" in text(root, "figures")
    assert "32 of 400 (8.0 %)" in text(root, "predictions-that-changed")
    assert "✓ better" in text(root, "figures")


def test_a_version_against_itself_is_the_same_on_all_rows(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    found = " ".join(told(store, capsys, "pets@2", "pets/2").split())
    assert "the same on all rows" in found
    assert "0 of 400 (0.0 %)" in found


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 64])
def test_results_that_were_altered_are_not_compared(
    store: Objects, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    for key in list(store.keys("evaluations/")):
        store.write(key, content)
    assert "are altered" in told(store, capsys, "pets@1", "pets@2")


def test_rows_that_belong_together_are_tested_together_while_the_data_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    region = np.arange(ROWS) // 4  # the models differ on whole regions
    rows = {"x": np.arange(ROWS, dtype=np.float32), "ill": np.where(RIGHT, "yes", "no"), "region": region}
    made = Judged(tmp_path, rows, region={"role": "group"})
    for run, wrong in (("one", 60), ("other", 40)):
        assert made.judge(run, wrong_on(wrong)) == 0
        candidate = replace(made.candidate(run), data=made.data)
        made.store.write(candidate_key(run), encode(candidate))
    found = json.loads(told(made.store, capsys, "one", "other", "--json"))["rows"]
    change = next(one for one in found["changes"] if one["metric"] == "accuracy")
    assert (change["rows"], found["apart"]) == (ROWS / 4, "")
    together = change["high"] - change["low"]
    for part in (tmp_path / "data").glob("**/test*"):
        part.unlink()
    assert "taken for independent, as the data's column region cannot be read" in told(
        made.store, capsys, "one", "other"
    )
    found = json.loads(told(made.store, capsys, "one", "other", "--json"))["rows"]
    change = next(one for one in found["changes"] if one["metric"] == "accuracy")
    assert change["rows"] == ROWS
    assert change["high"] - change["low"] < 0.7 * together, "narrower than is true"


def test_results_that_are_gone_are_said_to_be(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    for key in list(store.keys("evaluations/")):
        store.delete(key)
    assert "cannot be read" in told(store, capsys, "pets@1", "pets@2")


def test_what_was_never_judged_is_said_to_be(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    store.delete("runs/third/evaluate.json")
    assert "there is no evaluation of run third" in told(store, capsys, "pets@1", "third")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("pets@7", "pets/7 is not on record"),
        ("cats", "has no model 'cats' on record; it has pets"),
        ("../x", "is not a key of a store"),
        ("a b/c/d", "is no digest, no MODEL@VERSION and no address"),
        ("../3", "is not a key of a store"),
        ("pets@new", "pets has no 'new'; give a number, or one of stable, canary, latest"),
        ("0" * 64, "no record in .* knows 0000"),
    ],
)
def test_what_is_not_there_is_said(store: Objects, caplog: pytest.LogCaptureFixture, what: str, said: str) -> None:
    assert main(["pets@1", what, f"--store={store.url}"]) == 65
    assert re.search(said, caplog.text)
