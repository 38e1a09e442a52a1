import itertools
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.steps.report_runs import DATA, DETAILS, EVALUATION, TRAINING, parsed, record, record_all, reported, text

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import result_key
from colchis_steps._formats.runs import Check, StepResult
from colchis_steps._report import chain, charts, story
from colchis_steps._report.judged import per_class
from colchis_steps._report.page import render
from colchis_steps._store.opening import open_store
from colchis_steps.report import main

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return record_all(tmp_path)


@pytest.mark.parametrize("missing", DETAILS)
def test_any_part_may_be_missing(whole: Path, missing: str) -> None:
    (whole / result_key("r", missing)).unlink()
    parsed(reported(whole)[0])


@pytest.mark.parametrize("step", DETAILS)
@pytest.mark.parametrize("status", ["running", "failed"])
def test_any_step_may_have_failed_or_been_killed(tmp_path: Path, step: str, status: str) -> None:
    for earlier in list(DETAILS)[: list(DETAILS).index(step)]:
        record(tmp_path, earlier)
    record(tmp_path, step, status=status, message="it is broken; mend it", verdict="", details={}, outputs={})
    page, summary = reported(tmp_path, "Failed")
    assert summary.startswith(f"{step} failed: ")
    parsed(page)


def test_a_run_that_left_nothing_still_has_a_page(tmp_path: Path) -> None:
    page, summary = reported(tmp_path, "Error", "")
    assert summary == "the run ended as Error and no step says why"
    parsed(page)


def test_what_turns_a_line_around_is_shown_by_its_number_and_the_page_may_do_nothing(tmp_path: Path) -> None:
    for step in DETAILS:
        record(tmp_path, step)
    hostile = "\u202egpj.exe\u2066 \x9b \x1b[2J"
    classes = msgspec.structs.replace(EVALUATION, classes=(hostile, "yes"))
    record(tmp_path, "evaluate", message=hostile, details=msgspec.to_builtins(classes))
    page, _ = reported(tmp_path, "Failed", json.dumps([{"displayName": hostile, "message": hostile}]))
    parsed(page)
    assert "\\u202egpj.exe\\u2066" in page
    assert not set(page) & set("\u202e\u2066\x9b\x1b")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert "script-src" not in policy[1]


def test_records_that_cannot_be_read_are_named_and_the_rest_is_shown(whole: Path) -> None:
    (whole / "runs/r/training/train.json").write_text('{"kind": "colchis.dev/step/v9"}')
    (whole / "runs/r/candidate/model.json").write_bytes(b"\xff")
    record(whole, "upload", details={"files": "many"})
    page, summary = reported(whole)
    assert summary.startswith("served digits version 3")
    notes = text(parsed(page))
    assert "runs/r/training/train.json is not a colchis.dev/step/v1 document" in notes
    assert "runs/r/candidate/model.json is not a colchis.dev/candidate/v1 document" in notes
    assert "the details of upload are not as this version knows them" in notes


def test_a_store_that_is_away_costs_the_details_and_not_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "runs").write_text("not a directory")
    flags = [f"--store={tmp_path.as_uri()}", "--run=r", "--status=Failed", f"--report-path={tmp_path}/page.html"]
    assert main([*flags, '--failures=[{"displayName": "train", "message": "no"}]']) == 0
    assert "train failed: no" in text(parsed((tmp_path / "page.html").read_text()))
    assert "the page is not in the store" in caplog.text


def test_hostile_text_is_shown_and_never_run(tmp_path: Path) -> None:
    inputs = {"model": HOSTILE, "data": HOSTILE, "hyperparameters": HOSTILE, "entry": HOSTILE}
    checks = (Check(HOSTILE, False, HOSTILE, HOSTILE),)
    data = msgspec.structs.replace(DATA, name=HOSTILE, checks=checks)
    evaluation = msgspec.structs.replace(
        EVALUATION, classes=(HOSTILE, "yes"), checks=checks, metrics={HOSTILE: 0.5}, baseline_metrics={HOSTILE: 0.5}
    )
    epochs = tuple(
        msgspec.structs.replace(epoch, train={HOSTILE: 0.5}, eval={"data": 1.0}) for epoch in TRAINING.history
    )
    training = msgspec.structs.replace(TRAINING, history=epochs)
    for step, part in (("validate_data", data), ("train", training), ("evaluate", evaluation)):
        record(tmp_path, step, inputs=inputs, details=msgspec.to_builtins(part), message=HOSTILE, verdict="fail")
    page, summary = reported(tmp_path, "Failed", json.dumps([{"displayName": HOSTILE, "message": HOSTILE}]))
    root = parsed(page)
    assert HOSTILE in summary
    assert text(root).count("<script>alert(1)</script>") > 10
    assert "<script" not in page
    assert "<img" not in page


def test_characters_that_no_page_may_hold_are_replaced(tmp_path: Path) -> None:
    page, summary = reported(tmp_path, "Failed", '[{"displayName": "train", "message": "a\\u0000b\\ud800c"}]')
    assert summary == "train failed: a?b?c"
    parsed(page)


def test_the_summary_is_one_line(tmp_path: Path) -> None:
    record(tmp_path, "train", status="failed", message="one\ntwo", details={})
    assert reported(tmp_path, "Failed")[1] == "train failed: one two"


@pytest.mark.parametrize("odd", [None, "NaN", "Infinity", "-Infinity", float("nan"), float("inf")])
def test_numbers_that_json_lacks_leave_gaps(tmp_path: Path, odd: Any) -> None:
    details = msgspec.to_builtins(TRAINING)
    details["history"][1]["eval"]["loss"] = odd
    record(tmp_path, "train", details=details)
    page = reported(tmp_path)[0]
    assert "train ends at" in text(parsed(page), "training")
    assert "nan" not in page.lower().replace("finance", "")


def test_metrics_that_are_not_numbers_are_said_to_be_none(tmp_path: Path) -> None:
    details = msgspec.to_builtins(EVALUATION)
    details["metrics"] |= {"accuracy": "NaN", "ece": "Infinity"}
    details["baseline_metrics"] |= {"ece": 0.5, "loss": "NaN"}
    record(tmp_path, "evaluate", details=details, verdict="pass")
    record(tmp_path, "rollout")
    page, summary = reported(tmp_path)
    assert summary == "served digits version 3: accuracy not a number (baseline 0.978)"
    shown = text(parsed(page), "verdict")
    assert "not a number" in shown
    assert "infinity" in shown
    assert "nan" not in shown


def test_a_curve_is_broken_where_a_value_is_missing_and_its_axis_is_whole() -> None:
    odd = float("nan")
    drawn = charts.curves("loss", {"train": list(enumerate([odd, 1.0, 0.5, odd, 0.25, 0.2, float("inf")], 1))})
    (path,) = re.findall(r'<path d="([^"]*)" class="line', drawn)
    assert re.sub(r"[\d. ]+", "", path) == "MLML"
    ticks = re.findall(r">([\d.]+)</text>", drawn)
    assert {"1", "7"} <= set(ticks), "the epochs of the gaps are on the axis"
    assert drawn.count("<circle") == 4


def test_a_metric_of_every_other_epoch_is_one_line() -> None:
    drawn = charts.curves(
        "loss", {"train": [(n, 1 / n) for n in (1.0, 2.0, 3.0, 4.0)], "eval": [(2.0, 0.6), (4.0, 0.4)]}
    )
    paths = re.findall(r'<path d="([^"]*)" class="line', drawn)
    assert [re.sub(r"[\d. ]+", "", path) for path in paths] == ["MLLL", "ML"]


@given(st.lists(st.floats(), min_size=1, max_size=12))
def test_a_line_joins_neighbours_only(values: list[float]) -> None:
    drawn = charts.curves("loss", {"train": list(enumerate(values, 1))})
    fit = [abs(value) < charts.HUGE for value in values]
    joined = sum(a and b for a, b in itertools.pairwise(fit))
    path = "".join(re.findall(r'<path d="([^"]*)" class="line', drawn))
    assert (path.count("L"), path.count("M")) == (joined, sum(fit) - joined)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ('[{"displayName": "build-image(2)", "message": "m"}]', {"build_image": "m"}),
        (json.dumps('[{"displayName": "train", "phase": "Error"}]'), {"train": "Error"}),
        (json.dumps(json.dumps([{"templateName": "train", "message": "m"}])), {"train": "m"}),
        ('[{"displayName": "run", "message": "child \'run-1\' failed"}, 7, {"message": null}]', {"a step": ""}),
        ('[{"displayName": "train", "phase": "Failed"}, {"displayName": "train(0)", "message": "m"}]', {"train": "m"}),
        ("null", {}),
        ("", {}),
        ("{{workflow.failures}}", {}),
        ("[[[[", {}),
        ("[" * 100_000, {}),
        ('{"displayName": "train"}', {}),
    ],
)
def test_failures_are_read_however_the_engine_quotes_them(given_text: str, expected: dict[str, str]) -> None:
    assert story.parse_failures(given_text) == expected


@settings(deadline=None, max_examples=30)
@given(st.text() | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps))
def test_rubbish_for_failures_never_breaks_the_report(rubbish: str) -> None:
    parsed(render(story.Story("r", "Failed", failures=story.parse_failures(rubbish))))


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
def test_ticks_are_few_round_and_cover_the_range(low: float, span: float) -> None:
    found = charts.ticks(low, low + span)
    assert 2 <= len(found) <= 8
    assert found[0] <= low + span * 1e-3
    assert found[-1] >= low + span * (1 - 1e-3)


@settings(deadline=None)
@given(st.lists(st.floats()), st.lists(st.floats(0.9999, 1.0001)))
def test_any_numbers_can_be_drawn(train: list[float], held: list[float]) -> None:
    drawn = charts.curves("loss", {"train": list(enumerate(train)), "eval": list(enumerate(held))})
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_one_epoch_and_a_flat_curve_can_be_drawn() -> None:
    assert "<circle" in charts.curves("loss", {"train": [(1, 0.5)], "eval": []})
    assert "<path" in charts.curves("loss", {"train": [(1, 0.5), (2, 0.5)]})
    assert charts.curves("loss", {"train": [(1, float("nan"))]}) == ""


def test_a_class_without_rows_has_no_recall() -> None:
    rows = list(per_class(msgspec.structs.replace(EVALUATION, confusion=((5, 0), (0, 0)))))
    assert [rows[1][key] for key in ("recall", "precision", "f1", "taken_for")] == [None, None, None, ""]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (7260, "2 h 01 min")],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert chain.duration(seconds) == words


def test_times_that_make_no_sense_do_no_harm(tmp_path: Path) -> None:
    values: dict[str, Any] = {"step": "train", "run": "r", "inputs": {}, "seconds": -5.0, "started_at": "yesterday"}
    store = open_store(tmp_path.as_uri())
    store.write("runs/r/training/train.json", encode(StepResult(status="succeeded", **values)))
    parsed(reported(tmp_path)[0])
