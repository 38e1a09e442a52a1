"""The documents that Colchis keeps in the store: each is JSON with a ``kind``; unknown kinds are refused by name.

Readers accept fields that they do not know, so that an older release reads what a newer one wrote: a field that is
added has a default, and where its absence would mislead the kind becomes v2. What people write is held strictly, and
is not defined here.

Keys are written in a fixed order and without spaces, so that equal documents have equal bytes. Times are RFC 3339 in
UTC with whole seconds; sizes are bytes; digests are ``sha256:<hex>`` unless a field is named ``sha256`` (hex alone).
A number that is not finite is the string "NaN", "Infinity" or "-Infinity", as JSON has none of them.
"""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from colchis_steps._formats.numbers import numbered, worded, written
from colchis_steps._step.errors import InputError


class Document(msgspec.Struct, tag_field="kind"):
    """A document with a kind of its own."""


class Part(msgspec.Struct):
    """A part of a document."""


class Unreadable(InputError):  # noqa: N818 - reads as what it says
    """A document is damaged or of another kind; readers of lists may leave it out."""


class Newer(Unreadable):
    """A document is of a newer release's kind."""


D = TypeVar("D", bound=Document)
T = TypeVar("T")


class _Kind(msgspec.Struct):
    kind: str = ""


def encode(document: Document, before: bytes = b"") -> bytes:
    """Return the document's JSON; ``before`` is what it replaces, whose fields that are not known here it keeps."""
    return written(_with_unknown(document, msgspec.json.decode(before)) if before else document)


def _with_unknown(value: Any, before: Any) -> Any:
    """Return the value as JSON has it, with the unknown fields of ``before``; in a list, of what did not change."""
    if isinstance(value, tuple) and isinstance(before, list):
        others = [*before[: len(value)], *[None] * (len(value) - len(before))]
        return [
            _with_unknown(one, other) if _is_same(one, other) else one for one, other in zip(value, others, strict=True)
        ]
    if not isinstance(value, msgspec.Struct) or not isinstance(before, dict):
        return value
    config, names = value.__struct_config__, zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
    known = {name: getattr(value, field) for name, field in names}
    kind = {config.tag_field: config.tag} if config.tag_field else {}
    fields = {name: _with_unknown(found, before.get(name)) for name, found in known.items()}
    return {**kind, **fields, **{name: found for name, found in before.items() if name not in {*kind, *known}}}


def _is_same(value: Any, before: Any) -> bool:
    try:
        return written(value) == written(converted(before, type(value)))  # compared as JSON: NaN does not equal itself
    except msgspec.ValidationError:
        return False


def converted(value: Any, kind: type[T]) -> T:
    """Return a JSON value as a part of a document, or as another type; what is not finite is read as ``decode`` does.

    Raises:
        msgspec.ValidationError: it is of another form.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return msgspec.convert(numbered(value, kind), kind)


def decode(kind: type[D], content: bytes, source: str) -> D:
    """Read a document of the kind; ``source`` names where it lies, for the error.

    Raises:
        Unreadable: the content is not JSON, lacks a field, or is of another kind; Newer where that is a later version.
    """
    try:
        return _decoded(content.decode(), kind)  # as text: bytes of unknown fields would go unseen
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        want, found = str(kind.__struct_config__.tag), _kind_of(content)
        if _is_later(found, want):
            message = f"{source} is not a {want} document but a {found} one, of a newer release; upgrade Colchis here"
            raise Newer(message) from error
        message = f"{source} is not a {want} document ({str(error)[:256]}); name the right one or make it anew"
        raise Unreadable(message) from error


def _decoded(text: str, kind: type[D]) -> D:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:  # perhaps as it has words for numbers, which costs a second reading
        return msgspec.convert(numbered(msgspec.json.decode(text), kind), kind)


def _kind_of(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Kind).kind[:256]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _is_later(found: str, want: str) -> bool:
    stem, _, version = want.rpartition("/v")
    later = re.fullmatch(re.escape(stem) + r"/v([1-9][0-9]{0,5})", found)
    return bool(later and int(later[1]) > int(version))


def now(ago: float = 0.0) -> str:
    """Return the time, or that of some seconds ago, as documents hold it."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_digest(value: object) -> str:
    """Return the digest of a JSON value whose keys are sorted and whose form has no spaces."""
    try:
        text = _canonical(value)
    except ValueError:  # it has a number that JSON lacks
        text = _canonical(worded(value))
    return content_digest(text.encode())


def content_digest(content: bytes) -> str:
    """Return the digest of these bytes, as documents hold it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
