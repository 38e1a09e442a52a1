"""A picture of how sure each change is: its interval beside no change and the margin that the gate allows."""

import math
from collections.abc import Sequence

from colchis_steps._formats.runs import Change
from colchis_steps._report.charts import node, picture, text_of, ticks

WIDTH, ROW, TOP, BOTTOM = 360, 30, 8, 38
LEFT, RIGHT = 124, 18
TONES = {"pass": "good", "fail": "bad", "undecided": "open"}


def drawn(changes: Sequence[Change]) -> str:
    """Draw changes of one unit, in points or in shares of the baseline's; nothing where no interval is known."""
    known = [change for change in changes if math.isfinite(change.low + change.high + change.value)]
    if not known:
        return ""
    relative = known[0].relative
    scale = 100.0 if relative else 1.0
    limits = [scale * limit for change in known if (limit := limit_of(change)) is not None]
    ends = [scale * end for change in known for end in (change.low, change.high)]
    axis = ticks(min([*ends, *limits, 0.0]), max([*ends, *limits, 0.0]), 3)
    height = TOP + ROW * len(known) + BOTTOM
    words = "; ".join(f"{one.metric} {scale * one.low:+.4g} to {scale * one.high:+.4g}, {one.verdict}" for one in known)
    svg = picture(WIDTH, height, "Intervals of the changes", words, class_="intervals")
    base = TOP + ROW * len(known)

    def place(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - axis[0]) / (axis[-1] - axis[0])

    for value in axis:
        node(svg, "line", x1=place(value), x2=place(value), y1=TOP, y2=base, class_="grid")
        node(
            svg,
            "text",
            f"{value:+g}" if value else "0",
            x=place(value),
            y=base + 15,
            text_anchor="middle",
            class_="tick",
        )
    node(svg, "line", x1=place(0), x2=place(0), y1=TOP, y2=base, class_="axis")
    unit = "change, % of the served figure" if relative else "change against the served version"
    node(svg, "text", unit, x=(LEFT + WIDTH - RIGHT) / 2, y=base + 32, text_anchor="middle", class_="tick")
    for number, change in enumerate(known):
        y = TOP + ROW * (number + 0.5)
        tone = TONES.get(change.verdict, "open")
        name = change.metric if len(change.metric) <= 18 else f"{change.metric[:17]}…"
        node(svg, "text", name, x=LEFT - 10, y=y + 4, text_anchor="end", class_="name")
        if (limit := limit_of(change)) is not None:
            at = place(scale * limit)
            line = node(svg, "line", x1=at, x2=at, y1=y - 11, y2=y + 11, class_="limit")
            node(line, "title", f"the margin, {scale * limit:+g}")
        group = node(svg, "g", class_=f"interval {tone}")
        node(group, "title", f"{change.metric}: {scale * change.value:+.4g}")
        low, high = place(scale * change.low), place(scale * change.high)
        node(group, "line", x1=low, x2=high, y1=y, y2=y)
        for end in (low, high):
            node(group, "line", x1=end, x2=end, y1=y - 5, y2=y + 5)
        node(group, "circle", cx=place(scale * change.value), cy=y, r=4.5)
    return text_of(svg)


def limit_of(change: Change) -> float | None:
    """Return where the change would be refused; the margin of a loss is one upwards."""
    if not math.isfinite(change.margin):
        return None
    down = change.margin if change.kind == "better" else -change.margin
    return -down if change.smaller or change.relative else down


def pictures(changes: Sequence[Change]) -> list[str]:
    """Return a picture of the changes in points, and one of those in shares."""
    found = [drawn([one for one in changes if one.relative == relative]) for relative in (False, True)]
    return [one for one in found if one]
