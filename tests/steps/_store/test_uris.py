"""URIs in documents: relative where they lead into the store, and back again."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._step.errors import InputError
from colchis_steps._store.directory import FileStore
from colchis_steps._store.uris import absolute, relative

CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\")
PARTS = st.text(CHARACTERS, min_size=1, max_size=40).filter(lambda part: not part.startswith((".", ".incomplete")))


def at(url: str) -> FileStore:
    """A store that is never read: its URL alone counts."""
    store = FileStore(Path("/nowhere"))
    store.url = url
    return store


@pytest.mark.parametrize("url", ["file:///srv/a%20store", "file:///", "s3://bucket", "s3://bucket/some/prefix"])
@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_there_and_back(url: str, parts: list[str]) -> None:
    store, key = at(url), "/".join(map(quote, parts))
    uri = f"{url}{'' if url.endswith('/') else '/'}{key}"
    assert relative(store, uri) == key
    assert absolute(store, key) == uri


@pytest.mark.parametrize(
    ("url", "uri", "kept"),
    [
        ("file:///srv/store", "file:///srv/store/data/x/", "data/x"),
        ("file:///srv/store", "file:///srv//./store/data/x", "data/x"),
        ("file:///srv/a%20b", "file:///srv/a b/data/x", "data/x"),
        ("s3://bucket/p", "s3://bucket/p/data/x", "data/x"),
    ],
)
def test_another_spelling_of_the_same_place_is_in_the_store(url: str, uri: str, kept: str) -> None:
    assert relative(at(url), uri) == kept


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///srv/store-2/data/x",
        "file:///srv/store",
        "file:///srv/store/../other/x",
        "s3://bucket/data/x",
        "https://example.com/data",
        "file:///srv/store/data?x",
    ],
)
def test_what_lies_elsewhere_stays_as_it_is(uri: str) -> None:
    store = at("file:///srv/store")
    assert relative(store, uri) == uri
    assert absolute(store, uri) == uri


@pytest.mark.parametrize("uri", ["../secret", "data/%2e%2e/%2e%2e/x", "/etc", "data//x"])
def test_a_relative_one_never_leaves_the_store(uri: str) -> None:
    with pytest.raises(InputError, match="not a key of a store"):
        absolute(at("file:///srv/store"), uri)
