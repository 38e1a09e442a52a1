"""An input in a command line: what Argo and the kubelet make of it is what the submitter wrote."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_workflows._argo.literal import BRACE, literal, literal_input
from colchis_workflows._argo.tags import TAG, fill, tags
from colchis_workflows._engine.expansion import expanded

KNOWN = {BRACE: "{", "SECRET": "hush", "HOME": "/tmp"}


def through(value: str, times: int = 1) -> str:
    """Return what a process gets: Argo fills the text in several times, then the kubelet expands it."""
    text = literal("a-b")
    for _ in range(times):
        text = fill(text, {"inputs.parameters.a-b": value})
    return expanded(text, KNOWN)


def expression(value: str) -> str:
    """Return a tag that Argo makes the value of."""
    return f"{{{{=fromBase64('{base64.b64encode(value.encode()).decode()}')}}}}"


@given(st.text(alphabet=st.sampled_from("$(){}=' \"\\\nASECRETHOME"), max_size=40))
def test_any_value_comes_through_as_it_is(value: str) -> None:
    assert through(value, 3) == value


@pytest.mark.parametrize(
    "value", ["$(SECRET)", "$$(SECRET)", "$$$(HOME)", "{{=inputs.parameters['a-b']}}", "{{inputs.parameters.a-b}}", "$"]
)
def test_nothing_in_a_value_is_a_reference_or_a_tag(value: str) -> None:
    assert through(value, 3) == value
    assert not TAG.search(fill(literal("a-b"), {"inputs.parameters.a-b": value}))


def test_doubling_the_dollars_alone_is_not_enough() -> None:
    """What Argo 3.7.18 did: a value that is an expression makes the reference after the dollars were doubled."""
    value = expression("$(SECRET)")
    assert not tags(fill(literal("a-b"), {"inputs.parameters.a-b": value}))
    assert tags(value.replace("$", "$$")) == [value.strip("{}")]


@pytest.mark.parametrize("tag", ["inputs.parameters.a", "=inputs.parameters['a']", f"{literal('a').strip('{}')} + 'x'"])
def test_another_tag_is_not_taken_for_it(tag: str) -> None:
    assert literal_input(tag) == ""
    assert literal_input(tags(literal("a-b"))[0]) == "a-b"
