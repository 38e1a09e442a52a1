"""Who stays with which version: the last two hex digits of a header's value, shared out by weight.

A hash or a random UUID ends in two digits that are spread evenly over 256 buckets. Each version gets a run of buckets,
the newest version's begins at 00: while its weight grows, nobody who had it is taken away from it.
"""

import re
from collections.abc import Mapping

BUCKETS = 256
DIGITS = "0123456789abcdef"


def shares(weights: Mapping[int, int]) -> dict[int, range]:
    """Return each version's buckets: the newest first, each bound rounded to the nearest bucket.

    The weights are per cent and add up to 100, so a share is off by half a bucket, 0.2 %, at each of its ends.
    """
    found, begin, total = {}, 0, 0
    for version in sorted(weights, reverse=True):
        total += weights[version]
        end = round(total * BUCKETS / 100)
        found[version] = range(begin, end)
        begin = end
    return found


def patterns(weights: Mapping[int, int]) -> dict[int, str]:
    """Return the regular expression of each version that has a bucket; a value ends in digits of exactly one of them.

    They are anchored at both ends: some gateways look for a match anywhere (Traefik), some compare it all (Envoy).
    """
    return {version: f"^.*(?:{'|'.join(_rows(part))})$" for version, part in shares(weights).items() if part}


def bucket(value: str) -> int | None:
    """Return the bucket of a header's value, or None where it does not end in two hex digits."""
    found = re.search(r"[0-9a-fA-F]{2}$", value)
    return int(found[0], 16) if found else None


def _rows(part: range) -> list[str]:
    """Return an alternative for each run of first digits that have the same second digits."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for number in part:
        rows.setdefault((number // 16,), []).append(number % 16)
    seconds: dict[tuple[int, ...], list[int]] = {}
    for (first,), digits in rows.items():
        seconds.setdefault(tuple(digits), []).append(first)
    return [f"[{_either(firsts)}][{_either(digits)}]" for digits, firsts in seconds.items()]


def _either(digits: "list[int] | tuple[int, ...]") -> str:
    """Return the digits for a character class, letters in both cases."""
    return "".join(DIGITS[d] if d < 10 else DIGITS[d] + DIGITS[d].upper() for d in digits)
