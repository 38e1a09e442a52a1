"""WWW-Authenticate: what is written is read back, however it is spread over headers; nothing else breaks it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colchis_steps._oci.challenge import Challenge, choose, parse

at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
words = st.text("abcxyz019-_.!#$%&'*+^`|~", min_size=1, max_size=8)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
spaces = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Challenge]:
    """A challenge, and a way to write it."""
    scheme, found, parts = draw(words), dict[str, str](), list[str]()
    if draw(st.booleans()) and (single := draw(st.text("abcXYZ019._~+/-", min_size=1))):
        return f"{scheme} {single}{draw(st.sampled_from(['', '=', '==']))}", Challenge(scheme.lower(), {})
    for name in draw(st.lists(words, max_size=3, unique_by=str.lower)):
        token = draw(st.booleans())
        value = draw(words if token else values)
        found[name.lower()] = value
        quoted = value if token else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        parts.append(f"{name}{draw(spaces)}={draw(spaces)}{quoted}{draw(spaces)}")
    return f"{scheme} {','.join(parts)}", Challenge(scheme.lower(), found)


@at_leisure
@given(st.lists(st.lists(written(), min_size=1, max_size=3), max_size=3))
def test_challenges_are_read_back_from_any_number_of_headers(headers: list[list[tuple[str, Challenge]]]) -> None:
    texts = [", ".join(text for text, _ in header) for header in headers]
    assert parse(texts) == [challenge for header in headers for _, challenge in header]


@at_leisure
@given(st.lists(st.text(max_size=200) | st.text('Bearer="\\, \t', max_size=200), max_size=3))
def test_no_text_breaks_it(headers: list[str]) -> None:
    choose(parse(headers))


@at_leisure
@given(st.text(max_size=50), written())
def test_a_broken_header_does_not_hide_the_next(broken: str, good: tuple[str, Challenge]) -> None:
    assert parse([broken, good[0]])[-1] == good[1]


@pytest.mark.parametrize(
    ("headers", "scheme", "realm"),
    [
        (['Bearer realm="https://a/t",service="s"', 'Basic realm="b"'], "bearer", "https://a/t"),
        (['Basic realm="b"', 'Bearer realm="https://a/t"'], "bearer", "https://a/t"),
        (['Negotiate, Basic realm="b, c"'], "basic", "b, c"),
        (['Bearer realm="a", Bearer realm="b"'], "bearer", "a"),
        (['bearer REALM="a",realm="b"'], "bearer", "a"),
        (["Basic"], "basic", None),
        (['Bearer service="s"', "Basic"], "basic", None),  # nowhere to ask for a token
        (['Bearer realm="a\\"b"'], "bearer", 'a"b'),
    ],
)
def test_the_best_is_chosen(headers: list[str], scheme: str, realm: str | None) -> None:
    found = choose(parse(headers))
    assert found
    assert (found.scheme, found.parameters.get("realm")) == (scheme, realm)


@pytest.mark.parametrize("headers", [[], [""], ["Negotiate"], ["Digest realm=x, nonce=y"], ["Bearer"], ["=="], ['"']])
def test_nothing_is_chosen_of_what_is_not_known(headers: list[str]) -> None:
    assert choose(parse(headers)) is None


@pytest.mark.parametrize(
    "text", ['Bearer realm="' + "\\" * 60_000, "a=" * 30_000, "Basic " + "a,\t" * 20_000, "," * 60_000]
)
def test_a_long_header_is_read_in_one_go(text: str) -> None:
    parse([text])  # a pattern that goes back would not end within the test's time
