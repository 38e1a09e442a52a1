"""Whatever stands in a string of a document, the pages of report, explain and compare stay pages that do nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.steps import report_runs, report_tasks
from tests.steps.report_runs import parsed

from colchis_steps._formats import runs as r
from colchis_steps._formats.data import Column, DataManifest, Division, Parent, Shard, Source, Split, Task
from colchis_steps._formats.models import Code, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._models.signing.check import Seal
from colchis_steps._origins import comparing, page, parts, telling
from colchis_steps._origins.differences import differences
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.pairing import Exchange, Moved, Paired
from colchis_steps._report.page import render
from colchis_steps._report.story import Story, mending
from colchis_steps._step.text import ACTS

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "ends": "\"'></pre></td></table></style></title></svg><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}{# #}",
    "url": "javascript:alert(1)//http://a/?b=<>&c",
    "bidi": "\u202egpj.exe\u2066\u200f\u061c",
    "controls": "\x00\x1b[2J\x9b\x07\x7f\r\n\ud800\ufffe\ufeff",
    "entity": "&lt;b&gt;&#x202e;&nbsp;]]>--><!--",
    "long": "w" * 5000,
    "words": "a-b_c " * 900,
    "empty": "",
    "css": "}</style>*{background:url(//x)}@import '//y';expression(1)",
}
REPORTED = {
    "validate_data": report_tasks.data(11),
    "train": report_runs.TRAINING,
    "build_image": report_runs.IMAGE_REPORT,
    "rollout": msgspec.structs.replace(report_runs.ROLLOUT, steps=(report_runs.BAD_STEP,), reason="no"),
}
TASKS = {
    "classification": report_tasks.classification(3), "multilabel": report_tasks.multilabel(3),
    "regression": report_tasks.regression(1),
}  # fmt: skip
CHANGE = r.Change("accuracy", "not_worse", 0.01, 0.0, -0.01, 0.01, 300, "tango", "pass")
DATA = DataManifest(
    "pets", "sha256:d", Task("classification", ("y",), ("a", "b")),
    (Column("x", "int64", (2,), media="image/png", nullable=True), Column("y", "string", role="label")),
    {"train": Split(3, "s", (Shard("p", 3, 1, "h"),))}, Division("hash", ("x",)), "2026-01-01T00:00:00Z",
    parent=Parent("sha256:e", "sha256:c", "shrink"), sources=(Source("a.csv", 1, "s"),),
)  # fmt: skip
RECORD = Record(
    "pets", 2, "r", "i@sha256:1", "sha256:1", "sha256:2", "m", "sha256:3", "d", "sha256:d",
    Code("e", "u", "sha256:c", "rev-dirty"), {"epochs": 3, "how": "so"}, {"accuracy": 0.9, "cost": 1.0}, "pass",
    {"tensorflow": "2"}, {"train": "i"}, "w", "medea", "2026-01-01T00:00:00Z", "sha256:ev", "g", 1, "sha256:b",
)  # fmt: skip


def poisoned(value: Any, text: str) -> Any:
    """Return a struct with the text in each of its strings, and in the keys of mappings beside those that there are."""
    if isinstance(value, str):
        return text
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return type(value)(**{name: poisoned(getattr(value, name), text) for name in names})
    if isinstance(value, dict):
        both = {key: poisoned(one, text) for key, one in value.items()}
        return both | ({text: next(iter(both.values()))} if both else {})
    if isinstance(value, list | tuple):
        return type(value)(poisoned(one, text) for one in value)
    return value


def holds(text: str) -> None:
    """Hold a page to what it may be."""
    parsed(text)
    assert not set(text) & set("\u202e\u2066\x1b\x9b\x00")


def report(evaluation: r.Evaluation, text: str, step: str = "") -> str:
    told = Story(text, "Failed" if step else "Succeeded", failures={text: text} if step else {})
    told.notes.append(text)
    for name in ("validate_data", "train", "evaluate", "build_image", "rollout"):
        result = r.StepResult(name, "r", "failed" if name == step else "succeeded", {"model": text, "data": text}, text)
        told.results[name] = poisoned(result, text)
        told.results[name].status, told.results[name].log = ("failed" if name == step else "succeeded"), (text,) * 3
        told.results[name].inputs, told.results[name].verdict = {"model": text, "data": text}, text if step else "pass"
    told.candidate = poisoned(report_runs.CANDIDATE, text)
    told.data, told.training = poisoned(REPORTED["validate_data"], text), poisoned(REPORTED["train"], text)
    told.image, told.rollout = poisoned(REPORTED["build_image"], text), poisoned(REPORTED["rollout"], text)
    told.evaluation = poisoned(msgspec.structs.replace(evaluation, changes=(CHANGE,)), text)
    told.curl, told.since = text, text
    told.changed = {text: differences(origin(text), origin("plain"))["code"]}
    return render(told)


def origin(text: str) -> Origin:
    evaluation = msgspec.structs.replace(TASKS["classification"], changes=(CHANGE,), intervals={"accuracy": (0.8, 0.9)})
    return Origin(
        text, poisoned(RECORD, text), text, poisoned(evaluation, text), report_runs.TRAINING, report_runs.ROLLOUT,
        poisoned(DATA, text), 3, [text],
    )  # fmt: skip


def past(text: str) -> telling.Past:
    rollout = Rollout("m", 2, "r", 1, "t", "pass", "because", (report_runs.BAD_STEP,), "t")
    seals = [Seal(text, text, ""), Seal(text, "", text)]
    return telling.Past(
        [text], seals, text, [poisoned(rollout, text)], poisoned(DATA, "p"), origin("b"), [3], notes=[text]
    )


def pages(text: str) -> list[str]:
    """Return the pages of explain and compare, and check what they print."""
    rows = Paired(
        3, (poisoned(CHANGE, text),), 1, 1, 0, (Exchange(text, text, 1, 0, 1),), (Moved(1, text, text, text),), text
    )
    explained, compared = telling.told(origin(text), past(text)), comparing.told(origin("a"), origin(text), rows)
    for told in (explained, compared):
        printed = parts.text(*told)
        assert not ACTS.search(printed.replace("\n", ""))
    return [page.told(explained[0], text, [(text, "")], explained[1]), page.told(compared[0], text, [], compared[1])]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("task", TASKS)
def test_the_report_holds_whatever_a_document_says(task: str, name: str) -> None:
    for step in ("", "train"):
        holds(report(TASKS[task], HOSTILE[name], step))


@pytest.mark.parametrize("name", HOSTILE)
def test_explain_and_compare_hold_whatever_a_document_says(name: str) -> None:
    for one in pages(HOSTILE[name]):
        holds(one)


@settings(deadline=None, max_examples=8, phases=[Phase.explicit, Phase.generate])
@given(st.text(max_size=60))
def test_any_text_stays_text(text: str) -> None:
    for one in (*pages(text), report(TASKS["classification"], text)):
        holds(one)


def test_what_to_mend_is_any_sentence() -> None:
    told = Story("r", "Failed", failures={"train": "; ;"})
    assert mending(told)
