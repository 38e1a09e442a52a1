"""URIs in documents: relative to the store where they lead into it, so that a store can be copied as a whole.

``data/digits/840e74a1e825d543`` in a document of the store ``s3://bucket/prefix`` is
``s3://bucket/prefix/data/digits/840e74a1e825d543``. What lies in another store is absolute, and so is everything in
documents that older releases wrote.
"""

from typing import TypeVar
from urllib.parse import unquote

from msgspec.structs import replace

from colchis_steps._formats.models import Candidate, Record
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects, check_key
from colchis_steps._store.opening import canonical

Sourced = TypeVar("Sourced", Candidate, Record)


def relative(store: Objects, uri: str) -> str:
    """Return the URI as a document of the store holds it."""
    if "://" not in uri:
        return uri
    try:
        whole, top = canonical(uri), _top(store)
        if not whole.startswith(top):
            return uri
        check_key(unquote(key := whole.removeprefix(top)))
    except InputError:  # no store's, or one that winds through "..": it stays what it is
        return uri
    return key


def absolute(store: Objects, uri: str) -> str:
    """Return where a URI in a document of the store leads; nothing stays nothing.

    Raises:
        InputError: it is relative and leaves the store.
    """
    if not uri or "://" in uri:
        return uri
    check_key(unquote(uri))
    return f"{_top(store)}{uri}"


def located(store: Objects, document: Sourced) -> Sourced:
    """Return a document of the store with absolute URIs. Raises as ``absolute``."""
    code = replace(document.code, uri=absolute(store, document.code.uri))
    return replace(document, data=absolute(store, document.data), code=code)


def portable(store: Objects, document: Sourced) -> Sourced:
    """Return the document as the store keeps it, with relative URIs."""
    code = replace(document.code, uri=relative(store, document.code.uri))
    return replace(document, data=relative(store, document.data), code=code)


def _top(store: Objects) -> str:
    return store.url if store.url.endswith("/") else f"{store.url}/"
