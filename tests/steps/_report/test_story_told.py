"""What the report says first: the verdict with intervals, what changed, how to ask, and what to mend."""

import logging
import shlex
from pathlib import Path

import msgspec
import pytest
from tests.steps import origin_store
from tests.steps.report_runs import (
    EVALUATION,
    ROLLOUT,
    drawn,
    parsed,
    record,
    record_all,
    reported,
    sections,
    text,
)

from colchis_steps._formats import runs as r
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Golden
from colchis_steps._report import intervals, page, story
from colchis_steps._report.asking import curl
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import find_step, recorded
from colchis_steps._store.opening import open_store

BETTER = r.Change("accuracy", "not_worse", 0.01, 0.003, -0.004, 0.012, 360, "tango", "pass")
LESS = r.Change("loss", "not_worse", 0.02, 0.3, 0.2, 0.4, 360, "bootstrap", "fail", relative=True)


def judged(store: Path, **more: object) -> str:
    record_all(store)
    details = msgspec.structs.replace(EVALUATION, **more)
    record(store, "evaluate", details=msgspec.to_builtins(details), verdict=details.verdict or "pass")
    return reported(store)[0]


def test_the_verdict_comes_first_with_intervals_and_words(tmp_path: Path) -> None:
    root = parsed(
        judged(
            tmp_path, changes=(BETTER, LESS), intervals={"accuracy": (0.97, 0.99)}, rows=360, verdict="pass",
            baseline_metrics={"accuracy": 0.978, "loss": 0.07}, policy="sha256:901",
        )
    )  # fmt: skip
    assert sections(root)[0] == "verdict"
    told = text(root, "verdict")
    assert "✓ passed on 360 rows of the test split, against version 2, by the model's policy sha256:901" in told
    assert "accuracy 0.981 0.970 to 0.990 0.978 +0.0030 \N{MINUS SIGN}0.0040 to +0.0120 not told apart" in told
    assert "+20.0 % to +40.0 % ▼ worse" in told
    assert [len(list(one.iter("circle"))) for one in drawn(root, "intervals")] == [1, 1]


def test_reasons_stand_before_figures_and_what_holds_is_folded(tmp_path: Path) -> None:
    checks = (
        r.Check("a", True), r.Check("b", False, "1", "b is 1, below 2"), r.Check("c", False, "", "look", "warn"),
        r.Check("d", False, "", "too few rows", "undecided"),
    )  # fmt: skip
    told = text(parsed(judged(tmp_path, checks=checks, verdict="fail")), "verdict")
    assert told.startswith("Verdict ✕ rejected on the test split, against version 2 ✕ broken b b is 1, below 2")
    assert told.index("! warns c look") < told.index("? open d too few rows") < told.index("Metric")
    assert "1 of 4 rules hold" in told


def test_without_a_test_a_figure_only_looks_better(tmp_path: Path) -> None:
    told = text(parsed(judged(tmp_path)), "verdict")
    assert "accuracy 0.981 0.978 +0.0030 ▲ looks better" in told


def test_changes_that_cannot_be_drawn_leave_no_picture() -> None:
    assert intervals.pictures([r.Change("x", "better", 0.0)]) == []
    assert "<circle" in intervals.drawn([r.Change("a name " * 20, "better", 0.0, 0.0, 0.0, 0.0, 3, "equal", "fail")])
    assert intervals.limit_of(BETTER) == -0.01
    assert intervals.limit_of(LESS) == 0.02


def test_a_page_lists_its_contents(tmp_path: Path) -> None:
    root = parsed(judged(tmp_path))
    nav = next(root.iter("nav"))
    listed = [str(one.get("href")).removeprefix("#") for one in nav.iter("a")]
    there = sections(root)
    assert [place for place in there if place != "times"] == listed


def test_what_changed_since_the_served_version_is_told(tmp_path: Path) -> None:
    store = origin_store.filled(tmp_path)
    found = story.read_story(store, "second", "Succeeded", "[]")
    assert found.since == "version 1"
    told = text(parsed(page.render(found)), "changed")
    assert "Hyper-parameters What Version 1 This run epochs 3 9 rate 0.1 \N{EN DASH}" in told
    assert f"revision \N{EN DASH} {'b' * 40}-dirty" in told
    assert "The same: data, environment." in told
    assert story.read_story(store, "first", "Succeeded", "[]").changed is None, "nothing was served before"


def test_a_baseline_that_is_gone_costs_a_section_and_not_the_page(tmp_path: Path) -> None:
    store = origin_store.filled(tmp_path)
    store.write("models/pets/1/record.json", b"{}")
    found = story.read_story(store, "second", "Succeeded", "[]")
    assert "changed" not in sections(parsed(page.render(found)))


def test_a_line_to_paste_asks_the_model(tmp_path: Path) -> None:
    record_all(tmp_path)
    golden = Golden("r", {"age": [31.0, 2.0], "it's": ["a", "b"]}, {})
    open_store(tmp_path.as_uri()).write("runs/r/golden.json", encode(golden))
    told = next(parsed(reported(tmp_path)[0]).iter("pre")).text or ""
    words = shlex.split(told)
    assert words[:3] == ["curl", "-s", f"{ROLLOUT.endpoint}:predict"]
    assert words[4] == '{"instances":[{"age":31,"it\'s":"a"}]}'


@pytest.mark.parametrize(
    "golden", [None, Golden("r", {}, {}), Golden("r", {"x": []}, {}), Golden("r", {"x": ["y" * 9000]}, {})]
)
def test_what_does_not_fit_into_a_line_is_not_offered(golden: Golden | None) -> None:
    assert curl("http://h/v1/models/m", golden) == ""


def test_a_failure_says_first_what_to_mend_then_what_happened_then_the_log(tmp_path: Path) -> None:
    record(tmp_path, "validate_data")
    lines = ["12:00:00 INFO it begins", "Traceback <b>", "ValueError: \\u202e"]
    record(tmp_path, "train", status="failed", message="column 'x' is int8; write it anew", details={}, log=lines)
    root = parsed(reported(tmp_path, "Failed")[0])
    assert sections(root)[0] == "failure"
    told = text(root, "failure")
    assert told.startswith("What to mend Write it anew train: column 'x' is int8 Mend that, then run it again")
    assert told.index("Mend that") < told.index("12:00:00 INFO it begins Traceback <b>")


def test_a_sentence_without_a_fix_is_told_whole(tmp_path: Path) -> None:
    record(tmp_path, "build_image", status="failed", message="KeyError: 'x'", details={})
    told = text(parsed(reported(tmp_path, "Failed")[0]), "failure")
    assert told.startswith("What to mend build-image: KeyError: 'x' Mend that")


@pytest.mark.parametrize(
    ("error", "last"), [(InputError("x is y; mend it"), "lines"), (KeyError("k"), "KeyError: 'k'")]
)
def test_a_step_that_fails_keeps_the_end_of_its_log(tmp_path: Path, error: Exception, last: str) -> None:
    store, log = open_store(tmp_path.as_uri()), logging.getLogger("colchis")

    def fail() -> None:
        with recorded(store, "r", "upload", {}):
            for number in range(100):
                log.warning("%d \x1b[2J\u202e %s", number, "z" * 1000)
            log.warning("many\nlines")
            raise error

    with pytest.raises(type(error)):
        fail()
    found = find_step(store, "r", "upload")
    assert found
    assert len(found.log) == 40
    assert found.log[-1] == last
    assert max(map(len, found.log)) < 500
    assert not set("".join(found.log)) & set("\x1b\u202e")


def test_a_step_that_succeeds_keeps_no_log(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with recorded(store, "r", "upload", {}):
        logging.getLogger("colchis").warning("fine")
    found = find_step(store, "r", "upload")
    assert found
    assert found.log == ()
