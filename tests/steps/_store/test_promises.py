"""The contract that every store keeps, held against each kind."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.steps.conftest import REAL, real_store

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Conflict, NotFound, Objects, check_key
from colchis_steps._store.documents import find_document, read_document
from colchis_steps._store.opening import open_store


@pytest.fixture(params=["file", "s3", *REAL])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A store of each kind: a directory, moto, and real servers."""
    if request.param == "file":
        return open_store((tmp_path / "store").as_uri())
    if request.param == "s3":
        return open_store(f"s3://{request.getfixturevalue('bucket')}/some/prefix")
    return open_store(real_store(request, request.param))


PART = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1)
GOOD = PART.filter(lambda p: p not in {".", ".."} and not p.startswith(".incomplete") and len(p.encode()) <= 255)
KEYS = st.lists(GOOD, min_size=1, max_size=4).filter(lambda parts: len("/".join(parts).encode()) <= 900)
ODD = [
    "a b",
    "plus+and%20",
    "question?x=1",
    "hash#tag",
    "é/☃",
    "quo'te\"<&>",
    "x/~d",
    "...",
    "-",
    "a;b,c=d@e:f",
    ".hidden/x",
]
BAD = [
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "a/../b",
    "..",
    "a\0b",
    "a\nb",
    "a\\b",
    "x" * 256,
    "a/" * 450 + "a",
    ".incomplete/x",
    "\ud800",
]


def test_create_never_overwrites(store: Objects) -> None:
    assert store.create("models/m/1/manifest.json", b"first")
    assert not store.create("models/m/1/manifest.json", b"second")
    assert store.read("models/m/1/manifest.json") == b"first"


def test_write_overwrites(store: Objects) -> None:
    store.write("k", b"first")
    store.write("k", b"")
    assert (store.read("k"), store.size("k")) == (b"", 0)


def test_one_of_many_creators_wins(store: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: store.create("k", b"%d" % i), range(16)))
    assert sum(won) == 1
    assert store.read("k") == b"%d" % won.index(True)


def test_one_of_many_replacers_wins(store: Objects) -> None:
    store.write("k", b"before")
    tag = store.read_tagged("k")[1]

    def replace(i: int) -> bool:
        try:
            store.replace("k", b"%d" % i, tag)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(replace, range(16)))
    assert sum(won) == 1
    assert store.read("k") == b"%d" % won.index(True)


def test_replace_takes_only_what_was_read(store: Objects) -> None:
    store.replace("k", b"1", None)
    with pytest.raises(Conflict):
        store.replace("k", b"2", None)
    content, tag = store.read_tagged("k")
    assert content == b"1"
    store.replace("k", b"2", tag)
    with pytest.raises(Conflict):
        store.replace("k", b"3", tag)
    with pytest.raises(Conflict):
        store.replace("absent", b"3", tag)
    assert store.read("k") == b"2"
    assert store.size("absent") is None


def test_keys_come_in_order_and_by_prefix(store: Objects) -> None:
    for key in ("b/10/x", "b/2/x", "b/2", "a", "b-c/x", "ba"):
        if key != "b/2":  # a key below another is not a key of a file system
            store.write(key, b"")
    assert list(store.keys("")) == ["a", "b-c/x", "b/10/x", "b/2/x", "ba"]
    assert list(store.keys("b/")) == ["b/10/x", "b/2/x"]
    assert list(store.keys("b/1")) == ["b/10/x"]
    assert list(store.keys("b")) == ["b-c/x", "b/10/x", "b/2/x", "ba"]
    assert list(store.keys("absent/deeper/")) == []


def test_what_is_absent_is_not_found(store: Objects) -> None:
    store.write("there/k", b"x")
    assert store.size("absent") is store.size("there/k/below") is store.size("there") is None
    for key in ("absent", "there", "there/k/below"):
        with pytest.raises(NotFound, match=f"has no {key}; check the address"):
            store.read(key)
        with pytest.raises(NotFound):
            store.read_tagged(key)
        with pytest.raises(NotFound):
            next(iter(store.stream(key)))
        store.delete(key)
    assert list(store.keys("")) == ["there/k"]


def test_delete_removes_and_may_be_repeated(store: Objects) -> None:
    store.write("k", b"x")
    store.delete("k")
    store.delete("k")
    assert store.size("k") is None
    assert store.create("k", b"y")


def test_stream_gives_chunks(store: Objects) -> None:
    content = os.urandom(2_500_000)
    store.write("k", content)
    chunks = list(store.stream("k", 1_000_000))
    assert [len(chunk) for chunk in chunks] == [1_000_000, 1_000_000, 500_000]
    assert b"".join(chunks) == content


@pytest.mark.parametrize("size", [0, 1, (16 << 20), (16 << 20) + 1, 40_000_000])
def test_upload_is_whole_counted_and_done_once(store: Objects, tmp_path: Path, size: int) -> None:
    path, sent = tmp_path / "model", list[int]()
    path.write_bytes(os.urandom(size))
    assert store.upload("blobs/x", path, sent.append)
    assert sum(sent) == store.size("blobs/x") == size
    assert hashlib.sha256(b"".join(store.stream("blobs/x"))).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert not store.upload("blobs/x", path, sent.append)
    assert sum(sent) == size


def test_upload_of_no_file_says_which(store: Objects, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent cannot be read \(No such file or directory\)"):
        store.upload("k", tmp_path / "absent")
    assert store.size("k") is None


@pytest.mark.parametrize("key", ODD)
def test_odd_names_are_names(store: Objects, key: str) -> None:
    assert store.create(key, key.encode())
    assert (store.read(key), store.size(key), list(store.keys(""))) == (key.encode(), len(key.encode()), [key])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS.map("/".join), content=st.binary(max_size=64))
def test_any_good_key_goes_around(store: Objects, key: str, content: bytes) -> None:
    store.write(key, content)
    assert store.read(key) == content
    assert key in list(store.keys(key))
    store.delete(key)
    assert list(store.keys("")) == []


@pytest.mark.parametrize("key", BAD, ids=range(len(BAD)))
def test_bad_keys_are_refused_everywhere(store: Objects, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for use in (store.read, store.read_tagged, store.size, store.delete, lambda k: next(iter(store.stream(k)))):
        with pytest.raises(InputError, match="is not a key of a store"):
            use(key)
    for put in (store.write, store.create, lambda k, c: store.replace(k, c, None), lambda k, _: store.upload(k, file)):
        with pytest.raises(InputError, match="is not a key of a store"):
            put(key, b"")


@given(st.text())
def test_check_key_accepts_or_refuses_but_never_breaks(key: str) -> None:
    try:
        check_key(key)
    except InputError:
        return
    assert not key.startswith("/")
    assert ".." not in key.split("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store",
        "/abs/dir",
        "s3://",
        "s3:bucket",
        "http://x/y",
        "file://host/dir",
        "file:dir",
        "file:///a?b",
        "s3://b/#x",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"is not a store URL; give s3://bucket/prefix or file:///absolute/directory"):
        open_store(url)


def test_a_document_of_another_kind_is_refused_by_name(store: Objects) -> None:
    alias = Alias(model="m", version=1, updated_at="2026-01-01T00:00:00Z")
    store.write("a.json", encode(alias))
    store.write("b.json", b'{"kind":"colchis.dev/other/v1"}')
    assert read_document(store, "a.json", Alias) == alias
    assert find_document(store, "c.json", Alias) is None
    with pytest.raises(InputError, match=r"b.json is not a colchis.dev/alias/v1 document .*colchis.dev/other/v1"):
        read_document(store, "b.json", Alias)
