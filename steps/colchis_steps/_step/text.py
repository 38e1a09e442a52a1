"""Text that others wrote, before it reaches a terminal, a log, a page or a label: nothing in it acts, and it ends.

A terminal obeys escapes, and control characters of Unicode turn the order of a line around, so that it reads as what it
is not.
"""

import re

ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text with what acts written by its number, as JSON has it; tabs and ends of lines stay."""
    return ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str, most: int) -> str:
    """Return the text as one printable line of at most so many characters, of which the last then is ``…``."""
    found = printable(" ".join(text[: 4 * most].split()))
    return found if len(found) <= most and len(text) <= 4 * most else f"{found[: most - 1]}…"


def clip(error: object) -> str:
    """Return the first of what an error says, on one line."""
    return " ".join(str(error).split())[:256]
