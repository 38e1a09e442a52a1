"""What Argo's own libraries answered (recorded.json, made by recorder/main.go) is what Colchis answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from colchis_workflows._argo import expressions, when
from colchis_workflows._argo.documents import parse, text_of
from colchis_workflows._argo.durations import DURATION, bad_schedule, seconds
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.grammars import BadExpressionError

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
NAMES = {
    "results": {"a": {"Succeeded": True, "Failed": False}},
    "lastRetry": {"exitCode": "75", "status": "Failed", "duration": "1", "message": ""},
    "inputs": {"parameters": {"n": "3", "a-b": "x"}},
}
OTHERWISE = {  # known, and why
    "yaml": {
        "- 1\n",  # what is not a mapping is left out
        "%YAML 1.2\n---\na: yes\n",  # go-yaml refuses the directive
        "value: -0.0\n",  # 0 here
        "value: 18446744073709551616\n",  # JSON rounds it otherwise than Python
    },
    "expr": {
        "asInt('x')",  # the recorder's is not Argo's
        "1 == 2 || 3",  # Argo compiles first, and that says that 3 is not a boolean
        "#",  # outside of a predicate; expr says so
        "1 < 2 < 3",  # expr takes a boolean for a number where it has folded it
        "7 % 2.0",  # expr tells whole numbers from others
    },
}


def cases(kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(text, answer) for text, answer in RECORDED[kind].items() if text not in OTHERWISE.get(kind, ())]


@pytest.mark.parametrize(("text", "answer"), cases("yaml"))
def test_yaml(text: str, answer: dict[str, Any]) -> None:
    if "error" in answer:
        with pytest.raises(InputError):
            parse(text, "a.yaml")
    else:
        assert parse(text, "a.yaml")[0] == answer["value"]


@pytest.mark.parametrize(("text", "answer"), cases("when"))
def test_when(text: str, answer: dict[str, Any]) -> None:
    if "error" in answer:
        with pytest.raises(BadExpressionError):
            when.when(text)
    else:
        assert when.when(text) is answer["value"]


@pytest.mark.parametrize(("text", "answer"), cases("expr"))
def test_expr(text: str, answer: dict[str, Any]) -> None:
    if "error" in answer:
        with pytest.raises(BadExpressionError):
            expressions.parse(text)
        return
    node = expressions.parse(text)
    try:
        found = expressions.evaluate(node, NAMES)
    except BadExpressionError as error:
        found = str(error)
        if "known here" in found:
            return  # a local run has a part of the language
    if "value" in answer:
        assert found == answer["value"]
    else:
        assert isinstance(found, str)


@pytest.mark.parametrize(("text", "answer"), cases("duration"))
def test_durations(text: str, answer: dict[str, Any]) -> None:
    assert (DURATION.fullmatch(text) is not None) == ("value" in answer)
    if "value" in answer:
        assert seconds(text) == pytest.approx(answer["value"])


@pytest.mark.parametrize(("text", "answer"), cases("cron"))
def test_schedules(text: str, answer: dict[str, Any]) -> None:
    if "TZ=Europe/Berln" not in text:  # the zone is judged with the field timezone's
        assert (bad_schedule(text) == "") == ("value" in answer)


@pytest.mark.parametrize(
    ("scalar", "text"),
    [  # by argo submit --dry-run -o json
        ("1e3", "1000"),
        ("1234567.0", "1234567"),
        ("yes", "true"),
        ("0o17", "15"),
        ("12345678901234567890123", "12345678901234568000000"),
        ("9007199254740993", "9007199254740992"),
        ("1e21", "1000000000000000000000"),
        ("0.1e-7", "0.00000001"),
        ("-1.50", "-1.5"),
    ],
)
def test_a_number_for_a_parameter_is_the_text_that_argo_makes_of_it(scalar: str, text: str) -> None:
    assert text_of(parse(f"value: {scalar}", "a.yaml")[0]["value"]) == text
