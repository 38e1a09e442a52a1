"""Packed bodies, to a bound; and which answers are packed."""

import gzip
import tracemalloc
import zlib

import pytest

from colchis_steps._serving.server.encodings import WORTH, chosen, packed, unpacked
from colchis_steps._serving.server.refusals import Refused


def test_what_is_packed_is_unpacked() -> None:
    body = b"0," * 1000
    assert unpacked(gzip.compress(body), "gzip", 2000) == body
    assert unpacked(zlib.compress(body), " Deflate", 2000) == body
    assert unpacked(body, "identity", 0) == body


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{}", "gzip", 400),
        (gzip.compress(b"0" * 100)[:-1], "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(b"0" * 101), "gzip", 413),
        (b"{}", "br", 415),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip", 415),
    ],
    ids=["not packed", "cut", "empty", "too large", "unknown", "packed twice"],  # gzip holds the time
)
def test_what_is_not_is_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        unpacked(body, encoding, 100)
    assert refused.value.status == status


def test_a_bomb_is_unpacked_to_the_bound_only() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    tracemalloc.start()
    with pytest.raises(Refused):
        unpacked(bomb, "gzip", 1 << 20)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 4 << 20


def test_answers_are_packed_for_those_who_take_it() -> None:
    long = b"0," * WORTH
    content, about = packed(long, {"accept-encoding": "br, gzip;q=0.5"})
    assert (gzip.decompress(content), about["Content-Encoding"]) == (long, "gzip")
    content, about = packed(long, {"accept-encoding": "deflate"})
    assert (zlib.decompress(content), about["Content-Encoding"]) == (long, "deflate")
    assert packed(long, {}) == (long, {})
    assert packed(b"{}", {"accept-encoding": "gzip"}) == (b"{}", {})
    assert chosen("gzip;q=0, br") == ""
