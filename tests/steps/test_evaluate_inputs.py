"""What a gate gets that is odd: few rows, one class, NaN, constant answers, budgets, another signature, a policy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps.judged_runs import MODEL, RIGHT, ROWS, Judged, probabilities, wrong_on

from colchis_steps._formats.evaluation import Answers
from colchis_steps._formats.keys import alias_key, manifest_key
from colchis_steps._formats.policy import Policy, Statistics
from colchis_steps._models.policy import write_policy
from colchis_steps.keys import main as keys_verb

BOUND = '--thresholds={"accuracy": {"min": 0.5}}'
SERVED = {"inputs": {"x": {"dtype": "float32", "shape": [None]}}, "outputs": {}}
OTHER = {"inputs": {"z": {"dtype": "float32", "shape": [None]}}, "outputs": {}}


@pytest.fixture
def runs(tmp_path: Path) -> Judged:
    return Judged(tmp_path)


def of(tmp_path: Path, labels: Any) -> Judged:
    """Return runs on data with these labels."""
    rows = {"x": np.arange(len(labels), dtype=np.float32), "ill": np.where(labels, "yes", "no")}
    return Judged(tmp_path, rows)


def reasons(runs: Judged, run: str) -> dict[str, str]:
    """Return the rules that a run does not keep, with how much that is worth."""
    return {check.rule: check.severity for check in runs.found(run).checks if not check.passed}


def test_one_row_passes_nothing_by_itself(tmp_path: Path) -> None:
    runs = of(tmp_path, np.array([1]))
    assert runs.judge("one", probabilities([1])) == 0
    assert runs.result("one").verdict != "pass"
    assert reasons(runs, "one")["better than a constant answer"] in {"undecided", "error"}


def test_one_class_passes_nothing_by_itself(tmp_path: Path) -> None:
    runs = of(tmp_path, np.zeros(ROWS, int))
    assert runs.judge("one", wrong_on(0)[:1].repeat(ROWS, axis=0)) == 0
    assert runs.result("one").verdict == "fail"
    assert reasons(runs, "one").keys() >= {"better than a constant answer", "answers differ by row"}
    assert runs.judge("two", wrong_on(0), '--thresholds={"recall/label=yes": {"min": 0.1}}') == 0
    assert runs.result("two").verdict == "fail", "a class without rows has no recall"
    assert "recall/label=yes is nan, not a number" in runs.result("two").message


def test_answers_that_are_no_numbers_fail_whatever_is_asked(runs: Judged) -> None:
    answers = wrong_on(0)
    answers[7] = np.nan
    assert runs.judge("nan", answers, "--thresholds={}") == 0
    assert runs.result("nan").verdict == "fail"


def test_a_slice_without_rows_is_named(runs: Judged) -> None:
    assert runs.judge("slice", wrong_on(0), '--thresholds={"accuracy/region=west": {"min": 0.5}}') == 65
    assert "thresholds name the metric 'accuracy/region=west', but there are only" in runs.result("slice").message


def test_models_that_never_disagree_in_50_rows_are_not_told_apart(tmp_path: Path) -> None:
    """They have the same answer to each row, and not the same probabilities."""
    runs = of(tmp_path, RIGHT[:50])
    answers = probabilities(RIGHT[:50])
    assert runs.judge("one", answers, BOUND) == 0
    runs.serve("one", 1)
    bound = '--thresholds={"accuracy": {"not_worse": 0.01}}'
    assert runs.judge("two", answers * np.float32(0.98) + np.float32(0.01), bound, baseline=answers) == 0
    found = runs.found("two")
    assert (found.verdict, found.changes[0].differing, found.changes[0].rows) == ("undecided", 0, 50)
    assert runs.judge("three", answers, bound, baseline=answers) == 0
    assert runs.result("three").verdict == "pass", "the very same answers are no worse"


@pytest.mark.parametrize(("stated", "verdict"), [(True, "pass"), (False, "fail")])
def test_constant_answers_fail_a_model_unless_thresholds_are_stated(runs: Judged, stated: bool, verdict: str) -> None:
    more = [BOUND] if stated else []
    assert runs.judge("same", probabilities(np.ones(ROWS, int)), *more) == 0
    assert runs.result("same").verdict == verdict
    assert reasons(runs, "same")["answers differ by row"] == ("warn" if stated else "error")


def test_budgets_are_held_and_told(runs: Judged) -> None:
    told = Answers("", ("probability",), {"size_mib": 3.0, "p50_ms/rows=1": 1.0, "p95_ms/rows=1": 9.0})
    budgets = '--thresholds={"size_mib": {"max": 4}, "p95_ms/*": {"max": 5}, "accuracy": {"min": 0.5}}'
    assert runs.judge("slow", wrong_on(0), budgets, told=told) == 0
    assert runs.result("slow").message == "p95_ms/rows=1 is 9.0000, above 5"
    assert runs.found("slow").costs == told.costs
    assert runs.judge("typo", wrong_on(0), '--thresholds={"p99_ms/*": {"max": 5}}', told=told) == 65
    assert runs.judge("min", wrong_on(0), '--thresholds={"size_mib": {"min": 5}}', told=told) == 65
    assert "threshold min of 'size_mib' is no budget; give max alone" in runs.result("min").message


@pytest.mark.parametrize("severity", ["warn", "error"])
def test_a_signature_that_breaks_clients_is_told_by_what_changed(runs: Judged, severity: str) -> None:
    write_policy(runs.store, MODEL, Policy(signature=severity))  # type: ignore[arg-type]
    assert runs.judge("one", wrong_on(4), BOUND, told=Answers("", ("probability",), {}, SERVED)) == 0
    runs.serve("one", 1)
    assert runs.judge("two", wrong_on(4), BOUND, told=Answers("", ("probability",), {}, OTHER)) == 0
    found = runs.found("two")
    assert found.verdict == ("pass" if severity == "warn" else "fail")
    (check,) = [check for check in found.checks if not check.passed]
    assert check.reason.startswith(
        "clients of version 1 break: it no longer takes the input x; it asks for the input z; keep to its signature"
    )
    assert check.severity == severity


def test_a_baseline_that_does_not_take_the_data_is_no_baseline(runs: Judged) -> None:
    assert runs.judge("one", wrong_on(4), BOUND) == 0
    runs.serve("one", 1, evaluation="")
    told = Answers("the stable version 1 takes z", ("probability",), {}, SERVED, OTHER)
    assert runs.judge("two", wrong_on(4), BOUND, "--first-model=reject", told=told) == 0
    assert reasons(runs, "two").keys() == {
        "baseline or first model accepted",
        "clients of the served version keep working",
    }


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "the stable version 1 of risk is gone ("),
        ("altered", "the stable version 1 of risk is not as it was registered: "),
        ("unsigned", "risk:1 is refused: it is not signed"),
    ],
)
def test_a_baseline_that_is_missing_altered_or_not_signed_ends_the_evaluation(
    runs: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, said: str
) -> None:
    monkeypatch.setenv("COLCHIS_KEYS", str(tmp_path / "keys"))
    assert keys_verb(["make"]) == 0
    assert runs.judge("one", wrong_on(4), BOUND) == 0
    runs.serve("one", 1)
    if case == "missing":
        runs.store.delete(manifest_key(MODEL, 1))
    elif case == "altered":
        runs.store.write(manifest_key(MODEL, 1), runs.store.read(manifest_key(MODEL, 1)).replace(b"one", b"two"))
    assert runs.judge("two", wrong_on(4), BOUND, baseline=wrong_on(4)) == 65
    assert said in runs.result("two").message


def test_a_policy_holds_and_its_digest_stands_in_what_was_found(runs: Judged) -> None:
    wanted = Policy({"accuracy": {"min": 0.99}}, Statistics(rows=ROWS, confidence=0.95), first_model="reject")
    digest = write_policy(runs.store, MODEL, wanted)
    assert runs.judge("mine", wrong_on(2)) == 0
    found = runs.found("mine")
    assert (found.policy, found.first_model) == (digest, "reject")
    assert found.thresholds == {"accuracy": {"min": 0.99, "confidence": 0.95}}
    assert reasons(runs, "mine").keys() == {"accuracy ≥ 0.99 with 95 % confidence", "baseline or first model accepted"}
    for name, flags, said in (
        ("looser", [BOUND], "threshold min of 'accuracy' is 0.5, looser than 0.99, which policy"),
        ("allows", ["--allow-operations=ReadFile"], "the run allows the operation ReadFile, and policy"),
    ):
        assert runs.judge(name, wrong_on(0), *flags) == 65
        assert said in runs.result(name).message
    write_policy(runs.store, MODEL, Policy({"acuracy": {"min": 0.9}}))
    assert runs.judge("unknown", wrong_on(0)) == 65
    assert "of risk cannot be held: thresholds name the metric 'acuracy'" in runs.result("unknown").message
    write_policy(runs.store, MODEL, Policy(statistics=Statistics(rows=ROWS + 1)))
    assert runs.judge("few", wrong_on(0)) == 0
    assert runs.result("few").verdict == "undecided"
    assert runs.store.size(alias_key(MODEL, "stable")) is None
