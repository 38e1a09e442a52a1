"""Durations and schedules as Argo reads them: Go's durations, and cron by github.com/robfig/cron."""

import re

from colchis_workflows._argo.errors import InputError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
DURATION = re.compile(rf"[-+]?(?:0|(?:{PART})+)")
MACROS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    ("day of week", 0, 6, {name: number for number, name in enumerate(DAYS)}),
)


def seconds(duration: str) -> float:
    """Read a duration of Argo's: whole seconds, or numbers with ms, s, m or h, as in 1h30m.

    Raises:
        InputError: it is not one.
    """
    if re.fullmatch(r"[-+]?[0-9]+", duration):
        return float(duration)
    if DURATION.fullmatch(duration) is None:
        raise InputError(f"{duration!r} is not a duration like 30, 30s, 5m or 1h30m; write it so")
    total = sum(
        float(part.rstrip("nuµμmsh")) * UNITS[part.lstrip("0123456789.")] for part in re.findall(PART, duration)
    )
    return -total if duration[0] == "-" else total


def bad_schedule(text: str) -> str:
    """Judge a cron schedule; gives a sentence's part, or nothing."""
    zone = re.match(r"(?:CRON_)?TZ=\S*\s+", text)
    schedule = text[zone.end() :].strip() if zone else text.strip()
    if schedule.startswith("@every "):
        return "" if DURATION.fullmatch(schedule[7:]) else f"{schedule[7:]!r} is not a duration like 30m or 1h30m"
    if schedule.startswith("@"):
        return "" if schedule in MACROS else f"{schedule!r} is not known, only {', '.join(sorted(MACROS))} are"
    fields = schedule.split()
    if len(fields) != len(FIELDS):
        return f"it has {len(fields)} fields, not five: minute, hour, day of month, month, day of week"
    for field, (name, least, most, words) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            if part and (problem := _bad_part(part, least, most, words)):
                return f"{name} {part!r} {problem}"
    return ""


def _bad_part(part: str, least: int, most: int, words: dict[str, int]) -> str:
    span, slash, step = part.partition("/")
    start, dash, end = span.partition("-")
    if slash and (not step.isdecimal() or int(step) == 0):
        return "has a step that is not a number above 0"
    if start in {"*", "?"}:
        return ""
    found = [words.get(word.lower(), int(word) if word.isdecimal() else -1) for word in (start, end if dash else start)]
    if -1 in found:
        return f"is not made of numbers from {least} to {most}" + (f" or {', '.join(words)}" if words else "")
    if not least <= found[0] <= most or not least <= found[1] <= most:
        return f"is not between {least} and {most}"
    return "ends before it begins" if found[0] > found[1] else ""
