"""How a rollout's flags say who gets which traffic: steps, splits, and routes by header."""

import argparse
import re

from colchis_steps._manifests.route import HeaderRoute

FIELD_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}"  # RFC 9110, 5.1; the length is the Gateway API's
VERSION = r"[1-9][0-9]{0,8}"


def steps(text: str) -> tuple[int, ...]:
    """Parse the percentages of traffic that a canary gets one after the other, such as ``10,30,100``.

    A first 0 is a shadow: the version is asked and judged, and nobody else reaches it.
    """
    parts = text.split(",")
    found = tuple(int(part) for part in parts if part.isascii() and part.isdecimal())
    if len(found) != len(parts) or list(found) != sorted(set(found)) or found[-1] != 100:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} are not percentages that rise to 100, such as 10,30,100")
    return found


def split(text: str) -> dict[int, int] | None:
    """Parse fixed shares, such as ``1=30,2=50,3=20``: per cent by version; an empty text is none."""
    if not text:
        return None
    pairs = [re.fullmatch(rf"({VERSION})=([0-9]{{1,3}})", part.strip(), re.ASCII) for part in text.split(",")]
    found = {int(pair[1]): int(pair[2]) for pair in pairs if pair}
    if len(found) != len(pairs):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} are not shares by version, once each; write 1=50,2=50")
    if sum(found.values()) != 100:
        raise argparse.ArgumentTypeError(f"the shares {text[:128]!r} add up to {sum(found.values())}; make them 100")
    return found


def header(text: str) -> str:
    """Parse the name of a header; an empty text is none."""
    if text and not re.fullmatch(FIELD_NAME, text):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} cannot be a header's name; use letters, digits and '-'")
    return text


def headers(text: str) -> tuple[HeaderRoute, ...]:
    """Parse routes by header, such as ``style: transfer=2; style: plain=1``; an empty text is none."""
    found = []
    for part in text.split(";") if text.strip() else ():
        name, colon, rest = part.strip().partition(":")
        value, equals, version = rest.strip().rpartition("=")
        if not colon or not equals or not re.fullmatch(VERSION, version, re.ASCII):
            raise argparse.ArgumentTypeError(f"{part[:128]!r} is not a route by header; write style: transfer=2")
        if not re.fullmatch(FIELD_NAME, name) or not re.fullmatch(r"[!-~]([ -~]{0,4094}[!-~])?", value):
            raise argparse.ArgumentTypeError(
                f"{part[:128]!r} is no valid header; a name has no spaces, a value is ASCII"
            )
        found.append(HeaderRoute(name, value, int(version)))
    if len({(one.name.lower(), one.value) for one in found}) != len(found) or len(found) > 8:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} has a header twice or more than 8; give each once")
    return tuple(found)
