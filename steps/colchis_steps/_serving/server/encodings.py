"""Bodies that are packed with gzip or deflate, in both directions, to a bound."""

import zlib
from collections.abc import Mapping

from colchis_steps._serving.server.refusals import Refused

WORTH = 1 << 10  # bytes of an answer below which packing gains nothing
_WINDOWS = {"gzip": 31, "deflate": 15}  # deflate is zlib's format (RFC 9110, 8.4.1.2)


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """Return the body as it was before it was packed.

    Raises:
        Refused: 415 for an encoding that is not known, 400 where it is damaged, 413 where it has over ``most`` bytes.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in _WINDOWS:
        raise Refused(415, f"the content-encoding {encoding[:64]!r} is unknown here; send gzip, deflate or none")
    unpacker = zlib.decompressobj(_WINDOWS[name])
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(400, f"the body is no {name} ({error}); pack it again, or leave content-encoding out") from error
    if len(found) > most:
        raise Refused(413, f"the body is over {most} bytes when it is unpacked; send fewer rows at a time")
    if not unpacker.eof:
        raise Refused(400, f"the body ends before its {name} does; send all of it")
    return found


def packed(content: bytes, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """Return an answer as the client takes it, with the headers that say so."""
    name = chosen(headers.get("accept-encoding", "")) if len(content) >= WORTH else ""
    if not name:
        return content, {}
    packer = zlib.compressobj(1, wbits=_WINDOWS[name])
    return packer.compress(content) + packer.flush(), {"Content-Encoding": name, "Vary": "Accept-Encoding"}


def chosen(accepted: str) -> str:
    """Return gzip or deflate where an Accept-Encoding names it and does not forbid it, else nothing."""
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() in _WINDOWS and weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00"}:
            return name.strip().lower()
    return ""
