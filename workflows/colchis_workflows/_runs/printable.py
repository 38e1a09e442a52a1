"""Text that others wrote, before a terminal shows it: nothing in it acts. Steps have the same rule for themselves."""

import re

# escapes, and what turns the order of a line around
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text with what acts written by its number, as JSON has it; tabs and ends of lines stay."""
    return ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
