import json
from pathlib import Path

import msgspec
import pytest
from tests.steps.report_runs import (
    BAD_STEP,
    EVALUATION,
    LATENCY,
    ROLLOUT,
    TRAINING,
    drawn,
    parsed,
    record,
    record_all,
    reported,
    sections,
    text,
)

from colchis_steps._formats import rollouts
from colchis_steps._formats import runs as r


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return record_all(tmp_path)


def test_a_served_run_has_every_section_with_its_data(whole: Path) -> None:
    page, summary = reported(whole)
    root = parsed(page)
    assert summary == "served digits version 3: accuracy 0.981 (baseline 0.978)"
    assert sections(root) == ["verdict", "classes", "samples", "training", "data", "times", "lineage"]
    assert "accuracy ≥ 0.95 0.981" in text(root, "verdict")
    assert "accuracy 0.981 0.978 +0.0030" in text(root, "verdict")
    assert "no 61 0.951 0.983 0.967 yes (3)" in text(root, "classes")
    assert "✕ yes , is no 55.0 % sure" in text(root, "samples")
    assert "Global batch 128" in text(root, "training")
    assert "train 120 3 8.0 KiB" in text(root, "data")
    lineage = text(root, "lineage")
    for told in ("sha256:da7a", "digits:build", "file:///c.zip", "1b2c", '{"epochs": 3}', "sha256:7ee", "2.21.0"):
        assert told in lineage
    assert "Version 3 Image r/digits@sha256:c0de Image digest sha256:c0de" in lineage
    assert "http://127.0.0.1:8501/v1/models/digits" in lineage


def test_pictures_hold_what_was_measured_and_tell_it_to_a_screen_reader(whole: Path) -> None:
    root = parsed(reported(whole)[0])
    loss, accuracy = drawn(root, "chart")
    assert text(loss).startswith("loss by epoch train ends at 0.6667; eval ends at 0.7 ")
    assert [len(list(chart.iter("circle"))) for chart in (loss, accuracy)] == [6, 3]
    assert text(drawn(root, "confusion")[0]).startswith("Confusion matrix: 4 of 120 rows")
    (histogram,), (classes,) = drawn(root, "histogram"), drawn(root, "bars")
    assert len(list(histogram.iter("rect"))) == 10
    assert "no: 61, yes: 59" in text(classes)
    assert "rollout 1.5 s" in text(drawn(root, "waterfall")[0])
    assert len(drawn(root, "pixels")) == 2
    for svg in root.iter("svg"):
        named = svg.get("role") == "img" and svg.get("aria-label") and svg[0].tag == "title"
        assert named or svg.get("aria-hidden") == "true"


def test_the_time_of_a_training_step_is_split_and_the_largest_part_has_a_remedy(whole: Path) -> None:
    root = parsed(reported(whole)[0])
    assert text(drawn(root, "shares")[0]).startswith("What a step's time goes to compute 61 %, all-reduce 36 %, input")
    told = "6.9 ms a step, 61 % of it computing. The sum over the workers is what takes long: raise global_batch"
    assert told in text(root, "training")
    told = "Scaling efficiency 61 %: 2 workers with cores of their own are 1.2 times as fast as one."
    assert told in text(root, "training")
    slow = msgspec.structs.replace(TRAINING, speed=r.Speed(10.0, 0.01, 0.009, 0.001, 0.0), workers=1)
    record(whole, "train", details=slow)
    assert "Reading rows is what takes long" in text(parsed(reported(whole)[0]), "training")


def test_the_pace_of_each_epoch_is_a_curve(whole: Path) -> None:
    history = tuple(msgspec.structs.replace(e, examples_per_second=900.0 + e.epoch) for e in TRAINING.history)
    record(whole, "train", details=msgspec.structs.replace(TRAINING, history=history, workers=1))
    root = parsed(reported(whole)[0])
    assert text(drawn(root, "chart")[-1]).startswith("rows a second by epoch train ends at 903")
    assert "Scaling efficiency" not in text(root, "training")


def test_mistakes_come_first_and_are_marked_by_more_than_colour(whole: Path) -> None:
    page = parsed(reported(whole)[0])
    (first,), (second,) = (e for e in page.iter("ul") if e.get("class") == "samples")
    assert (first.get("class"), second.get("class")) == ("miss", None)
    assert "✕" in text(first)


def test_a_no_of_the_gate_is_told_with_its_reason(tmp_path: Path) -> None:
    wrong = r.Check("accuracy ≥ 0.95", False, "0.91", "accuracy 0.91 is below 0.95")
    for step in ("validate_data", "train"):
        record(tmp_path, step)
    details = msgspec.to_builtins(msgspec.structs.replace(EVALUATION, checks=(wrong,)))
    record(tmp_path, "evaluate", verdict="fail", details=details)
    page, summary = reported(tmp_path)
    assert summary == "the gate said no: accuracy 0.91 is below 0.95; version 2 stays"
    root = parsed(page)
    assert " rejected The gate said no" in text(root)
    assert "evaluate said no, upload did not run" in text(drawn(root, "chain")[0])
    assert "✕ broken" in text(root, "verdict")


def test_what_the_gate_left_open_is_told_with_what_would_decide(tmp_path: Path) -> None:
    reason = "accuracy changed by -0.0028, which does not tell; about 1,700 rows like these would"
    left = r.Check("accuracy not worse by more than 0.01", False, "-0.0028", reason, "undecided")
    details = msgspec.to_builtins(msgspec.structs.replace(EVALUATION, checks=(left,), verdict="undecided"))
    record(tmp_path, "evaluate", verdict="undecided", details=details)
    page, summary = reported(tmp_path)
    assert summary == f"the gate cannot tell: {reason}; version 2 stays"
    root = parsed(page)
    assert "undecided The gate cannot tell" in text(root)
    assert "? open" in text(root, "verdict")
    assert "Add rows to it" in text(root)


def test_a_no_that_was_asked_to_be_a_failure_is_still_a_no(tmp_path: Path) -> None:
    record(tmp_path, "evaluate", verdict="fail", status="failed", message="the gate said no", details={})
    assert reported(tmp_path, "Failed")[1] == "the gate said no: the gate said no; nothing is served"


def test_after_a_no_nothing_is_said_to_serve_that_does_not(whole: Path) -> None:
    refused = r.RolloutReport("local", "embedded", "", None, None, 3.0, 0.0, verdict="fail", reason="it differs")
    record(whole, "rollout", verdict="fail", message="it differs", details=msgspec.to_builtins(refused))
    page, summary = reported(whole)
    assert summary == "the canary said no: it differs; nothing is served"
    assert "keeps serving" not in page
    refused.stable = 2
    record(whole, "rollout", verdict="fail", message="it differs", details=msgspec.to_builtins(refused))
    page, summary = reported(whole)
    assert summary == "the canary said no: it differs; version 2 stays"
    assert "What was served before keeps serving." in page


def test_a_rollout_shows_each_step_with_its_figures(whole: Path) -> None:
    assert "rollout" not in sections(parsed(reported(whole)[0])), "a rollout without steps has no section"
    refused = r.RolloutReport("deployment", "embedded", "http://m", None, 2, 3.0, 2.0, verdict="fail")
    refused.reason, refused.steps = "at 10 % of the traffic: errors: 9 of 31 <b>fail</b>", (BAD_STEP,)
    record(whole, "rollout", verdict="fail", message=refused.reason, details=msgspec.to_builtins(refused))
    page, summary = reported(whole)
    told = text(parsed(page), "rollout")
    assert summary == f"the canary said no: {refused.reason}; version 2 stays"
    assert "✕ refused at 10 % of the traffic: errors: 9 of 31 <b>fail</b>" in told
    assert "At 10 % of the traffic, for 4.2 s: refused" in told
    assert "✕ bad errors fail where stable answers; 1% is tolerated 9 of 31" in told
    assert "✓ good latency" in told
    waiting = r.RolloutReport("deployment", "embedded", "http://m", None, 2, 3.0, 2.0, waiting=True)
    waiting.weights, waiting.steps = {"2": 70, "3": 30}, (rollouts.JudgedStep(30, 5.0, "pass", findings=(LATENCY,)),)
    record(whole, "rollout", details=msgspec.to_builtins(waiting))
    page, summary = reported(whole)
    assert "digits version 3 waits for an approval" in summary
    assert " waits for somebody to approve it, with 30 % of the traffic" in text(parsed(page), "rollout")


def test_a_no_of_the_canary_names_the_version_that_stays(whole: Path) -> None:
    details = msgspec.to_builtins(msgspec.structs.replace(ROLLOUT, stable=2))
    record(whole, "rollout", verdict="fail", message="20 % errors", details=details)
    assert reported(whole)[1] == "the canary said no: 20 % errors; version 2 stays"


def test_a_failed_step_gives_its_sentence_and_what_to_do(tmp_path: Path) -> None:
    record(
        tmp_path, "validate_data", status="failed", verdict="fail", message="column 'x' has dtype int8; write it anew"
    )
    failures = json.dumps(
        [{"displayName": "validate-data", "message": "main: Error (exit code 65)", "phase": "Failed"}]
    )
    page, summary = reported(tmp_path, "Failed", failures)
    assert summary == "validate_data failed: column 'x' has dtype int8; write it anew"
    root = parsed(page)
    assert "Mend that, then run it again" in text(root)
    assert "main: Error (exit code 65)" in text(root)
    assert "validate-data failed, train did not run" in text(drawn(root, "chain")[0])


def test_an_attempt_that_was_tried_again_is_no_failure_of_a_run_that_succeeded(whole: Path) -> None:
    failures = '[{"displayName": "workers(0)", "message": "main: Error (exit code 75): no answer", "phase": "Failed"}]'
    page, summary = reported(whole, "Succeeded", failures)
    assert summary.startswith("served ")
    assert "no answer" not in page


def test_a_killed_step_is_told_from_one_that_failed(tmp_path: Path) -> None:
    record(tmp_path, "validate_data")
    record(tmp_path, "train", status="running", seconds=0.0, details={})
    failures = '[{"displayName": "train(0)", "message": "OOMKilled (exit code 137)"}]'
    page, summary = reported(tmp_path, "Failed", failures)
    assert summary == "train failed: it was ended before it was done: OOMKilled (exit code 137)"
    assert "ran out of memory" in text(parsed(page))
    assert "never ended" in text(drawn(parsed(page), "waterfall")[0])


def test_a_step_that_left_no_record_is_told_by_the_engine(tmp_path: Path) -> None:
    failures = '[{"displayName": "train", "message": "ErrImagePull"}]'
    page, summary = reported(tmp_path, "Failed", failures)
    assert summary == "train failed: ErrImagePull"
    assert sections(parsed(page)) == ["failure", "lineage"]
