"""What the kubelet makes of references, by the cases of its own test (third_party/forked/golang/expansion)."""

import pytest

from colchis_workflows._engine.expansion import environment, expanded

KNOWN = {"VAR_A": "A", "VAR_B": "B", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)$(VAR_B)$(VAR_A)", "ABA"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo$$(VAR_B)", "foo$(VAR_B)"),
        ("$$$$$$(BAR)", "$$$(BAR)"),
        ("$$$$$$$(VAR_A)", "$$$A"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("%%$(VAR_REF)--", "%%$(VAR_A)--"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("$(VAR_A", "$(VAR_A"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
        ("$", "$"),
        ("foo$(", "foo$("),
        ("\n$(VAR_A)$\n", "\nA$\n"),
        ("$?$(VAR_A)", "$?A"),
        ("", ""),
    ],
)
def test_references_are_expanded_as_the_kubelet_does(text: str, wanted: str) -> None:
    assert expanded(text, KNOWN) == wanted


def test_a_variable_is_expanded_by_those_before_it() -> None:
    declared = [("ONE", "$(TWO)1"), ("TWO", "2$(ONE)"), ("THREE", "$$(TWO)")]
    assert environment(declared) == {"ONE": "$(TWO)1", "TWO": "2$(TWO)1", "THREE": "$(TWO)"}
