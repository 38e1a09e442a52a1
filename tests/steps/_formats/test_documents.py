"""Documents of the store: read from newer releases, and rewritten without loss."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats.documents import Document, Newer, Part, Unreadable, decode, encode
from colchis_steps._formats.models import Alias, Manifest
from colchis_steps._formats.rollouts import JudgedStep, Rollout

ALIAS = {"kind": "colchis.dev/alias/v1", "model": "digits", "version": 2, "updated_at": "2026-01-01T00:00:00Z"}
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NEW = st.dictionaries(TEXT.map("new ".__add__), JSON, max_size=3)


def test_a_field_of_a_newer_release_is_read_over() -> None:
    assert decode(Alias, json.dumps({**ALIAS, "tags": ["a"]}).encode(), "here").version == 2


def test_so_is_one_of_a_part() -> None:
    file = {"path": "saved_model.pb", "size": 1, "sha256": "0" * 64, "mode": 0o644}
    fields = {"model": "digits", "version": 1, "run": "r", "files": [file], "tree": "", "created_at": ""}
    found = decode(Manifest, json.dumps({"kind": "colchis.dev/manifest/v1", **fields}).encode(), "here")
    assert [one.path for one in found.files] == ["saved_model.pb"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {**ALIAS, "kind": "colchis.dev/alias/v2"},
            "here is not a colchis.dev/alias/v1 document but a colchis.dev/alias/v2 one",
        ),
        ({"kind": "colchis.dev/alias/v12"}, "a colchis.dev/alias/v12 one, of a newer release; upgrade Colchis here"),
    ],
)
def test_a_later_kind_is_refused_by_name_with_what_to_do(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Newer, match=sentence):
        decode(Alias, json.dumps(content).encode(), "here")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[1]",
        b'{"kind": 2}',
        b'{"kind": "colchis.dev/alias/v1"}',
        b'{"kind": "colchis.dev/record/v1"}',
        b'{"kind": "colchis.dev/record/v2"}',
        b'{"kind": "colchis.dev/alias/v0"}',
        b'{"kind": "colchis.dev/alias/v99999999999999999999"}',
        json.dumps({**ALIAS, "version": "2"}).encode(),
        json.dumps(ALIAS).encode().replace(b"}", b', "note": "\xff"}'),
        json.dumps(ALIAS).encode().replace(b"}", b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_what_is_damaged_or_another_kind_is_refused_as_that(content: bytes) -> None:
    with pytest.raises(
        Unreadable, match=r"^here is not a colchis\.dev/alias/v1 document \(.*\); name the right one"
    ) as f:
        decode(Alias, content, "here")
    assert not isinstance(f.value, Newer)


@given(NEW)
def test_a_document_that_is_rewritten_keeps_what_is_not_known(new: dict[str, Any]) -> None:
    before = json.dumps({**ALIAS, **new}).encode()
    after = json.loads(encode(Alias("digits", 3, "later", previous=2), before))
    assert {name: after[name] for name in new} == new
    assert (after["kind"], after["version"], after["previous"]) == (ALIAS["kind"], 3, 2)


@given(NEW, NEW, NEW)
def test_so_do_its_parts_while_they_are_the_same(
    top: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    steps = (JudgedStep(10, 30.0, "pass"), JudgedStep(30, 30.0, "pass"))
    document = Rollout("digits", 2, "r", 1, "then", steps=steps)
    raw = json.loads(encode(document))
    raw |= top
    raw["steps"] = [raw["steps"][0] | one, raw["steps"][1] | other]
    document.steps = (steps[0], JudgedStep(30, 31.0, "fail"), JudgedStep(100, 1.0, "pass"))
    after = json.loads(encode(document, json.dumps(raw).encode()))
    expected = json.loads(encode(document)) | top
    expected["steps"][0] |= one
    assert after == expected


def test_nothing_before_changes_nothing_and_bytes_stay_in_order() -> None:
    alias = Alias("digits", 2, "then")
    assert encode(alias, encode(alias)) == encode(alias) == encode(alias, b"")


def test_a_part_below_a_part_and_a_map_are_taken_as_they_are() -> None:
    class Inner(Part):
        number: int

    class Outer(Document, tag="test/outer/v1"):
        inner: Inner = msgspec.field(name="within")
        free: dict[str, int] = msgspec.field(default_factory=dict)

    before = b'{"kind":"test/outer/v1","within":{"number":1,"more":2},"free":{"gone":1}}'
    after = json.loads(encode(Outer(Inner(5), {"here": 3}), before))
    assert after == {"kind": "test/outer/v1", "within": {"number": 5, "more": 2}, "free": {"here": 3}}
