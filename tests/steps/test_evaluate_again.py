"""A model is judged again by what is kept row by row, where another version became stable meanwhile."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from tests.steps.judged_runs import MODEL, RIGHT, ROWS, Judged, wrong_on

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key, result_key, results_key
from colchis_steps._formats.policy import Policy
from colchis_steps._models.policy import write_policy
from colchis_steps.keys import main as keys_verb

BOUND = '--thresholds={"accuracy": {"not_worse": 0.03}}'


@pytest.fixture
def runs(tmp_path: Path) -> Judged:
    """A run that passed against version 1; then version 2, of another run, became stable."""
    made = Judged(tmp_path)
    assert made.judge("one", wrong_on(80), BOUND) == 0
    made.serve("one", 1)
    assert made.judge("mine", wrong_on(40), BOUND) == 0
    assert made.result("mine").verdict == "pass"
    assert made.judge("two", wrong_on(4), BOUND) == 0
    made.serve("two", 2)
    return made


def test_it_is_judged_against_what_is_stable_now_and_bound_to_that(runs: Judged) -> None:
    before, digest = runs.found("mine"), runs.output("mine", "evaluation")
    assert (before.baseline_version, before.changes[0].verdict) == (1, "pass")
    assert runs.again("mine", BOUND) == 0
    assert runs.output("mine", "verdict") == "fail", "H5b: the worse one would have replaced the better"
    found = runs.found("mine")
    assert (found.verdict, found.baseline_version, found.baseline_run) == ("fail", 2, "two")
    assert found.before == digest
    assert runs.output("mine", "baseline") == f"2@{found.baseline_digest}"
    assert runs.output("mine", "evaluation") != digest
    assert found.changes[0].value == pytest.approx(-36 / ROWS)
    assert (found.metrics, found.slices, found.results) == (before.metrics, before.slices, before.results)
    assert (found.golden, found.confusion, found.curves) == (before.golden, before.confusion, before.curves)
    assert found.baseline_metrics["accuracy"] == pytest.approx(1 - 4 / ROWS)


def test_it_finds_what_asking_both_models_finds(runs: Judged) -> None:
    assert runs.again("mine", BOUND) == 0
    again = runs.found("mine")
    assert runs.judge("mine", wrong_on(40), BOUND, baseline=wrong_on(4)) == 0
    asked = runs.found("mine")
    same = {"before": "", "baseline_run": "", "intervals": {}}  # intervals are of other draws
    assert replace(again, **same) == replace(asked, **same)


def test_a_model_that_is_as_good_passes_again(runs: Judged) -> None:
    assert runs.judge("good", wrong_on(2), BOUND, baseline=wrong_on(4)) == 0
    assert runs.judge("three", wrong_on(3), BOUND, baseline=wrong_on(4)) == 0
    runs.serve("three", 3)
    assert runs.again("good", BOUND) == 0
    assert runs.output("good", "verdict") == "pass"
    assert runs.output("good", "baseline").startswith("3@")


def test_where_nothing_is_stable_any_more_it_is_a_first_model(runs: Judged) -> None:
    runs.store.delete(alias_key(MODEL, "stable"))
    assert runs.again("mine", BOUND) == 0
    assert (runs.output("mine", "verdict"), runs.output("mine", "baseline")) == ("pass", "none")
    assert runs.again("mine", BOUND, "--first-model=reject", f"--evaluation={runs.output('mine', 'evaluation')}") == 0
    assert runs.output("mine", "verdict") == "fail"


@pytest.mark.parametrize("role", ["group", "slice"])
def test_groups_and_slices_are_told_as_before(tmp_path: Path, role: str) -> None:
    rows = {
        "x": np.arange(ROWS, dtype=np.float32),
        "ill": np.where(RIGHT, "yes", "no"),
        "region": np.arange(ROWS) // (2 if role == "group" else 200),
    }
    made = Judged(tmp_path, rows, region={"role": role})
    bound = '--thresholds={"accuracy": {"not_worse": 0.2}}'
    assert made.judge("one", wrong_on(80), bound) == 0
    made.serve("one", 1)
    assert made.judge("mine", wrong_on(60), bound, baseline=wrong_on(80)) == 0
    assert made.judge("two", wrong_on(0), bound, baseline=wrong_on(80)) == 0
    made.serve("two", 2)
    assert made.again("mine", bound) == 0
    again = made.found("mine")
    if role == "group":
        assert again.changes[0].rows == ROWS / 2
    else:
        assert [change.metric for change in again.changes] == ["accuracy", "accuracy/region=0"], "60 of its 200 rows"
    assert made.judge("mine", wrong_on(60), bound, baseline=wrong_on(0)) == 0
    assert again.changes == made.found("mine").changes


def of_another_run(runs: Judged) -> None:
    """The evaluation that the record names is gone with its run."""
    runs.store.delete(result_key("two", "evaluate"))


def rows_gone(runs: Judged) -> None:
    found = runs.found("two")
    runs.store.delete(results_key(found.tree, found.data, found.results))


def own_rows_gone(runs: Judged) -> None:
    found = runs.found("mine")
    runs.store.delete(results_key(found.tree, found.data, found.results))


def rows_altered(runs: Judged) -> None:
    found = runs.found("mine")
    key = results_key(found.tree, found.data, found.results)
    runs.store.write(key, runs.store.read(key)[:-1] + b"\xff")


def figures_altered(runs: Judged) -> None:
    result = runs.result("mine")
    result.details["metrics"]["accuracy"] = 1.0
    runs.store.write(result_key("mine", "evaluate"), encode(result))


def of_an_older_release(runs: Judged) -> None:
    runs.serve("two", 2, evaluation="")


def killed(runs: Judged) -> None:
    """While it wrote what it had found when it judged again."""
    runs.store.write(result_key("mine", "evaluate"), encode(replace(runs.result("mine"), status="running", details={})))


@pytest.mark.parametrize(
    "change", [of_another_run, rows_gone, own_rows_gone, rows_altered, figures_altered, of_an_older_release, killed]
)
def test_where_that_is_not_kept_both_are_asked_and_nothing_is_written(
    runs: Judged, change: Callable[[Judged], None]
) -> None:
    change(runs)
    before = runs.store.read(result_key("mine", "evaluate"))
    assert runs.again("mine", BOUND) == 0
    assert runs.output("mine", "verdict") == "unknown"
    assert runs.store.read(result_key("mine", "evaluate")) == before


def test_a_stable_version_that_is_altered_or_not_signed_is_not_compared_with(
    runs: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COLCHIS_KEYS", str(tmp_path / "keys"))
    assert keys_verb(["make"]) == 0
    assert runs.again("mine", BOUND) == 65
    assert "risk:2 is refused: it is not signed" in caplog.text
    assert keys_verb(["sign", "risk:2", f"--store={runs.store.url}"]) == 0
    assert runs.again("mine", BOUND) == 0
    assert runs.output("mine", "verdict") == "fail"


def test_a_policy_that_came_meanwhile_holds(runs: Judged, caplog: pytest.LogCaptureFixture) -> None:
    digest = write_policy(runs.store, MODEL, Policy({"accuracy": {"not_worse": 0.2}}))
    assert runs.again("mine") == 0
    assert runs.output("mine", "verdict") == "pass"
    assert runs.found("mine").policy == digest
    write_policy(runs.store, MODEL, Policy({"accuracy": {"not_worse": 0.02}}))
    assert runs.again("mine", BOUND) == 65
    assert "threshold not_worse of 'accuracy' is 0.03, looser than 0.02, which policy " in caplog.text


@pytest.mark.servers
def test_it_loads_no_tensorflow_and_reads_no_data(runs: Judged, tmp_path: Path) -> None:
    for path in (tmp_path / "data").glob("*.arrow"):
        path.unlink()
    given = [f"--{name}={runs.output('mine', name)}" for name in ("tree", "evaluation")]
    program = (
        "import sys; from colchis_steps import evaluate; code = evaluate.main(sys.argv[1:]); "
        "sys.exit(code or int(bool({'tensorflow', 'onnxruntime', 'boto3'} & sys.modules.keys())))"
    )
    command = [sys.executable, "-c", program, *runs.flags("mine", *given, "--part=again", BOUND)]
    assert subprocess.run(command, check=False).returncode == 0
    assert runs.output("mine", "verdict") == "fail"
