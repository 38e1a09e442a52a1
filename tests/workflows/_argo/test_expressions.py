"""The conditions of a workflow: depends, when, retry expressions, a DAG's phase, and where the templates come from."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_workflows import render
from colchis_workflows._argo.catalog import Catalog, name_of
from colchis_workflows._argo.conditions import depends, holds, retry
from colchis_workflows._argo.durations import seconds
from colchis_workflows._argo.expressions import evaluate, parse
from colchis_workflows._argo.grammars import BadExpressionError
from colchis_workflows._argo.when import when
from colchis_workflows._engine.scopes import dag_phase

S, F, E, K, OM = "Succeeded", "Failed", "Error", "Skipped", "Omitted"


@pytest.mark.parametrize(
    ("text", "phases", "want"),
    [
        ("a", {"a": S}, True),
        ("a", {"a": K}, True),
        ("a", {"a": OM}, False),
        ("a", {"a": F}, False),
        ("a-b.Failed || a-b.Errored", {"a-b": E}, True),
        ("a && !b", {"a": S, "b": F}, True),
        ("(a.Failed || b) && c.Omitted", {"a": F, "b": F, "c": OM}, True),
        ("a || b && c", {"a": S, "b": F, "c": F}, True),
        ("a.Daemoned", {"a": S}, False),
    ],
)
def test_depends(text: str, phases: dict[str, str], want: bool) -> None:
    names, condition = depends(text)
    assert names == phases.keys()
    assert condition is not None
    assert holds(condition, phases) is want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a startsWith 'temp' ? trimPrefix(a, 'template:') : 'other'", "x"),
        ("a startsWith 'tempt' ? trimPrefix(a, 'template:') : 'other'", "other"),
        ("trimPrefix(a, 'x')", "template:x"),
    ],
)
def test_prefixes(text: str, want: str) -> None:
    assert evaluate(parse(text), {"a": "template:x"}) == want


@pytest.mark.parametrize("text", ["1 startsWith 'a'", "a startsWith 1", "trimPrefix(1, 'a')", "trimPrefix('a')"])
def test_prefixes_are_texts(text: str) -> None:
    with pytest.raises(BadExpressionError):
        evaluate(parse(text), {"a": "x"})


@pytest.mark.parametrize("text", ["a.Suceeded", "a &&", "(a", "a b", "a & b"])
def test_what_is_no_depends_is_refused(text: str) -> None:
    with pytest.raises(BadExpressionError):
        depends(text)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("pass == pass", True),
        ("'pass' == pass", True),
        ("\"a b\" != 'a b'", False),
        ("1 == 1.0", True),
        ("'1' == 1", False),
        ("true == true", True),
        ("'' == ''", True),
        ("yes != no", True),
    ],
)
def test_when(text: str, want: bool) -> None:
    assert when(text) is want


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" == pass", "an operand is missing before '=='"),
        ("a-b == c", "'a' is not a number, which '-' needs"),
        ("a = b", "'=' has no meaning here, '==' compares"),
        ("pass", "it gives 'pass', neither true nor false"),
        ("a in (a)", "'in' needs two or more values in brackets"),
        ("v1.2 == v1.2", "'v1.2' is read as a field of something; put it in quotes"),
        ("(a == b", "')' is missing at the end"),
        ("'a == b", 'a quote is not closed in "\'a == b"'),
        ("", "it is empty"),
    ],
)
def test_a_when_that_is_no_condition_says_why(text: str, why: str) -> None:
    with pytest.raises(BadExpressionError) as caught:
        when(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("asInt(x + 1", "')' is missing at the end"),
        ("a ==", "an operand is missing at the end"),
        ("a b", "an operator is missing before 'b'"),
        ("a.", "a name after the dot is missing at the end"),
        ("[1, 2", "']' is missing at the end"),
        ("x | y", "a call is missing after '|'"),
        ("a ?? b == c", "?? and '==' are mixed"),
        ("'\\q'", "\\q in '\\q' is not an escape"),
        ("0x", "'0x' is not a number"),
        ("(" * 5000 + "1" + ")" * 5000, "nested too deep"),
    ],
)
def test_what_is_no_expression_says_why(text: str, why: str) -> None:
    with pytest.raises(BadExpressionError) as caught:
        parse(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "want"),
    [("Failed", 75, True), ("Failed", 143, True), ("Failed", 65, False), ("Error", -1, True)],
)
def test_the_shared_retry_expression_in_both_ways_of_writing_it(status: str, code: int, want: bool) -> None:
    texts = "lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '64', '75', '143']"
    numbers = "lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [-1, 64, 75, 143]"
    assert retry(texts, status, code) is retry(numbers, status, code) is want


def test_expressions_of_the_language_are_read() -> None:
    for text in [
        "a ? b : c ?? d",
        "filter(xs, {# > 1})[0].b",
        "map(xs, .a) | len()",
        "{a: 1, 'b': [2, 3]}.a",
        "x not in [1, 2] and y matches '^a' or not z",
        "let a = 1; a + 2 ** 3",
        "1..3",
        "workflow?.labels?.['io/creator'] ?? `raw`",
        "s[1:] == s[:2]",
    ]:
        parse(text)


PIECES = [
    "a",
    "'b'",
    "1",
    "2.5",
    "9999",
    "-",
    "+",
    "!",
    "(",
    ")",
    "[",
    "]",
    "==",
    "<<",
    "**",
    "in",
    "&&",
    "?",
    ":",
    ",",
]
PIECES += ["'", "{", "}", ".", "not", "|", "#", "~", "1e9", "0x", "/", "%", "^", "let", "if", "??", ";", "true", "\\"]


@given(st.lists(st.sampled_from(PIECES), max_size=9), st.sampled_from(["", " "]))
def test_any_text_is_a_value_or_a_sentence(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    for read in (lambda: evaluate(parse(text), {"a": "x"}), lambda: when(text)):
        with contextlib.suppress(BadExpressionError):
            read()


@pytest.mark.parametrize(
    ("waits", "phases", "want"),
    [
        ({"a": set(), "b": {"a"}}, {"a": F, "b": S}, S),
        ({"a": set(), "b": {"a"}}, {"a": F, "b": OM}, F),
        ({"a": set(), "b": {"a"}, "c": {"b"}}, {"a": E, "b": OM, "c": OM}, E),
        ({"a": set(), "b": {"a"}, "c": {"a"}}, {"a": F, "b": S, "c": OM}, F),
        ({"a": set(), "b": {"a"}}, {"a": S, "b": K}, S),
        ({"a": set()}, {"a": K}, S),
    ],
)
def test_a_dags_phase_is_that_of_its_leaves_branches(
    waits: dict[str, set[str]], phases: dict[str, str], want: str
) -> None:
    assert dag_phase(waits, phases) == want


@pytest.mark.parametrize(("text", "want"), [("30", 30), ("1.5s", 1.5), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25)])
def test_durations(text: str, want: float) -> None:
    assert seconds(text) == want


def test_without_a_checkout_the_templates_are_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_disk = Catalog(render.default_documents())
    monkeypatch.setattr(render, "MANIFESTS", tmp_path / "absent")
    rendered = Catalog(render.default_documents())
    assert [name_of(d) for d in rendered.documents] == [name_of(d) for d in from_disk.documents]
    assert rendered.documents == from_disk.documents
