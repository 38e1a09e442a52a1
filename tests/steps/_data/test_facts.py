"""What a server is told of the data: only what the signature does not say."""

import msgspec

from colchis_steps._data.facts import served_facts
from colchis_steps._formats.data import RAGGED, Column, DataManifest, Division, Task
from colchis_steps._formats.documents import decode, encode
from colchis_steps._formats.models import Bounds, Manifest

COLUMNS = (
    Column("size", "double", minimum=0.0, maximum=9.0),
    Column("job", "string", nullable=True),
    Column("codes", "int64", (RAGGED,), longest=3),
    Column("day", "date32[day]", minimum=1.0, maximum=9.0),
    Column("image", "binary", media="image/png"),
    Column("weight", "double", (), "weight", nullable=True),
    Column("label", "string", (), "label"),
)


def test_a_server_is_told_what_the_signature_does_not_say() -> None:
    task = Task("classification", ("label",), ("a", "b"))
    facts = served_facts(DataManifest("d", "", task, COLUMNS, {}, Division("hash"), ""))
    assert [column.name for column in facts.columns] == ["job", "codes", "day", "image"]
    assert (facts.classes, facts.task) == (("a", "b"), "classification")
    assert facts.inputs == {"size": Bounds(0.0, 9.0)}  # a range of dates is no number that a client writes
    assert facts.targets == ()


def test_the_numbers_of_a_regression_have_names() -> None:
    task = Task("regression", ("price", "rent"))
    assert served_facts(DataManifest("d", "", task, COLUMNS, {}, Division("hash"), "")).targets == ("price", "rent")


def test_a_manifest_keeps_it_and_older_ones_are_read() -> None:
    manifest = Manifest("m", 1, "r", (), "", "", {}, ("a", "b"), "multilabel", COLUMNS[1:2])
    assert decode(Manifest, encode(manifest), "here") == manifest
    old = msgspec.json.decode(encode(manifest))
    del old["task"], old["columns"]
    found = decode(Manifest, msgspec.json.encode(old), "here")
    assert (found.task, found.columns) == ("", None)
