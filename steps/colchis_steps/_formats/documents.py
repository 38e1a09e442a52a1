"""The documents that Colchis keeps in the store: each is JSON with a ``kind``; unknown kinds are refused by name.

Keys are written in a fixed order and without spaces, so that equal documents have equal bytes. Times are RFC 3339 in
UTC with whole seconds; sizes are bytes; digests are ``sha256:<hex>`` unless a field is named ``sha256`` (hex alone).
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from colchis_steps._step.errors import InputError


class Document(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind"):
    """A document with a kind of its own."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a document."""


D = TypeVar("D", bound=Document)


def encode(document: Document) -> bytes:
    """Give the document's JSON."""
    return msgspec.json.encode(document)


def decode(kind: type[D], content: bytes, source: str) -> D:
    """Read a document of the kind; ``source`` names where it lies, for the error.

    Raises:
        InputError: the content is no JSON, of another kind, or lacks or adds a field.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        want = kind.__struct_config__.tag
        message = f"{source} is not a {want} document ({str(error)[:256]}); name the right one or make it anew"
        raise InputError(message) from error


def now() -> str:
    """Give the time as documents hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_digest(value: object) -> str:
    """Give the digest of a JSON value whose keys are sorted and whose form has no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
