"""Charts of what an evaluation and a profile tell: curves, errors, planes, histograms over each other."""

import math
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from colchis_steps._formats.runs import Picture, Residuals
from colchis_steps._report.charts import node, picture, text_of, ticks

Point = tuple[float, float]
WIDTH, HEIGHT = 300, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 40
COLOURS = 4  # lines that are told apart


def _frame(svg: ET.Element, x: Sequence[float], y: Sequence[float], names: tuple[str, str]) -> None:
    """Draw grid, numbers and names of both axes; ``x`` and ``y`` are their ticks."""
    for value in y:
        at = _y(value, y)
        node(svg, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="grid")
        node(svg, "text", _short(value), x=LEFT - 6, y=at + 3.5, text_anchor="end", class_="tick")
    for value in x:
        node(svg, "text", _short(value), x=_x(value, x), y=HEIGHT - BOTTOM + 15, text_anchor="middle", class_="tick")
    node(svg, "text", names[0], x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5, text_anchor="middle", class_="tick")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    node(
        svg, "text", names[1], x=10, y=middle, text_anchor="middle", class_="tick", transform=f"rotate(-90 10 {middle})"
    )


def _x(value: float, axis: Sequence[float]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - axis[0]) / (axis[-1] - axis[0])


def _y(value: float, axis: Sequence[float]) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - axis[0]) / (axis[-1] - axis[0]))


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.1e}".replace("e+0", "e")


def lines(title: str, series: Mapping[str, Sequence[Point]], names: tuple[str, str], *, diagonal: bool = False) -> str:
    """Draw lines of shares by shares, at most COLOURS; ``diagonal`` shows what chance, or a perfect model, would do."""
    axis = [0.0, 0.25, 0.5, 0.75, 1.0]
    svg = picture(WIDTH, HEIGHT, title, ", ".join(series), class_="plot")
    _frame(svg, axis, axis, names)
    if diagonal:
        node(svg, "line", x1=_x(0, axis), y1=_y(0, axis), x2=_x(1, axis), y2=_y(1, axis), class_="guide")
    for number, (name, points) in enumerate(list(series.items())[:COLOURS]):
        path = "".join(f"{'L' if i else 'M'}{_x(x, axis):.1f} {_y(y, axis):.1f}" for i, (x, y) in enumerate(points))
        drawn = node(svg, "path", d=path, class_=f"line s{number}")
        node(drawn, "title", name)
        if len(points) < 20:
            for x, y in points:
                dot = node(svg, "circle", cx=_x(x, axis), cy=_y(y, axis), r=2.5, class_=f"dot s{number}")
                node(dot, "title", f"{name} {x:.3f}: {y:.3f}".strip())
    return text_of(svg)


def plane(found: Residuals) -> str:
    """Draw how many rows have which label (across) and prediction (up); what lies on the line is right."""
    axis = ticks(found.low, found.high, 4)
    worst = max((count for line in found.plane for count in line), default=1) or 1
    rows = sum(map(sum, found.plane))
    svg = picture(WIDTH, HEIGHT, f"Predicted against true {found.target}, {rows} rows", class_="plot")
    _frame(svg, axis, axis, (f"true {found.target}"[:36], "predicted"))
    step = (found.high - found.low) / max(1, len(found.plane))
    for i, line in enumerate(found.plane):
        for j, count in enumerate(line):
            if count:
                low, left = found.low + step * i, found.low + step * j
                x, y = _x(left, axis), _y(low + step, axis)
                cell = node(
                    svg,
                    "rect",
                    x=x,
                    y=y,
                    width=_x(left + step, axis) - x,
                    height=_y(low, axis) - y,
                    class_="cell",
                    fill_opacity=round(0.15 + 0.85 * math.sqrt(count / worst), 3),
                )
                told = f"true {left:.4g} to {left + step:.4g}, predicted {low:.4g} to {low + step:.4g}: {count}"
                node(cell, "title", told)
    node(
        svg,
        "line",
        x1=_x(axis[0], axis),
        y1=_y(axis[0], axis),
        x2=_x(axis[-1], axis),
        y2=_y(axis[-1], axis),
        class_="guide",
    )
    return text_of(svg)


def residuals(found: Residuals) -> str:
    """Draw the mean error of each bin of predictions, with its standard deviation."""
    if len(found.edges) < 2:
        return ""
    middles = [(low + high) / 2 for low, high in zip(found.edges, found.edges[1:], strict=False)]
    x = ticks(found.edges[0], found.edges[-1], 4)
    reach = max(abs(m) + s for m, s in zip(found.mean, found.spread, strict=True)) or 1.0
    y = ticks(-reach, reach, 4)
    svg = picture(WIDTH, HEIGHT, f"Errors of {found.target} by prediction", class_="plot")
    _frame(svg, x, y, (f"predicted {found.target}"[:36], "error"))
    node(svg, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(0, y), y2=_y(0, y), class_="guide")
    for middle, mean, spread, rows in zip(middles, found.mean, found.spread, found.rows, strict=True):
        at = _x(middle, x)
        node(svg, "line", x1=at, x2=at, y1=_y(mean - spread, y), y2=_y(mean + spread, y), class_="spread")
        dot = node(svg, "circle", cx=at, cy=_y(mean, y), r=3.5, class_="dot s0")
        node(dot, "title", f"predicted about {middle:.4g}: error {mean:+.4g} ± {spread:.4g}, {rows} rows")
    return text_of(svg)


def histograms(title: str, parts: Mapping[str, Sequence[float]], ends: tuple[str, str]) -> str:
    """Draw shares of rows bin by bin: the first part as bars, the others as steps; ``ends`` name both ends."""
    wide, tall, base = 300, 110, 88
    counted = {name: counts for name, counts in parts.items() if counts and sum(counts)}
    if not counted:
        return ""
    bins = len(next(iter(counted.values())))
    told = {name: [count / sum(counts) for count in counts] for name, counts in counted.items() if len(counts) == bins}
    top = max(max(line) for line in told.values())
    svg = picture(wide, tall, title, ", ".join(told), class_="histogram")
    node(svg, "line", x1=4, x2=wide - 4, y1=base, y2=base, class_="axis")
    each = (wide - 8) / bins
    for number, (name, line) in enumerate(told.items()):
        heights = [80 * share / top for share in line]
        if not number:
            for i, height in enumerate(heights):
                bar = node(svg, "rect", x=4 + each * i + 0.4, y=base - height, width=each - 0.8, height=height)
                bar.set("class", "bar")
                node(bar, "title", f"{name}: {100 * line[i]:.1f} %")
        elif number < COLOURS:
            path = "".join(
                f"{'M' if not i else 'L'}{4 + each * i:.1f} {base - height:.1f}H{4 + each * (i + 1):.1f}"
                for i, height in enumerate(heights)
            )
            node(svg, "path", d=path, class_=f"line thin s{number}")
    for text, x, anchor in ((ends[0], 4, "start"), (ends[1], wide - 4, "end")):
        node(svg, "text", text[:24], x=x, y=base + 15, text_anchor=anchor, class_="tick")
    return text_of(svg)


def spark(counts: Sequence[int]) -> str:
    """Draw a histogram as small as a word."""
    top = max([*counts, 1])
    svg = ET.Element("svg", {"viewBox": f"0 0 {max(1, len(counts))} 12", "class": "spark", "aria-hidden": "true"})
    svg.set("preserveAspectRatio", "none")
    path = "".join(f"M{i} 12v-{12 * count / top:.2f}h.9V12z" for i, count in enumerate(counts) if count)
    node(svg, "path", d=path, class_="bar")
    return text_of(svg)


def coloured(found: Picture, title: str) -> str:
    """Draw a small picture, a path for each of its colours."""
    height, width = len(found.rows), max((len(row) for row in found.rows), default=0)
    paths: dict[int, str] = {}
    for y, row in enumerate(found.rows):
        start = 0
        for x in range(1, len(row) + 1):
            if x == len(row) or row[x] != row[start]:
                paths[row[start]] = paths.get(row[start], "") + f"M{start} {y}h{x - start}v1h-{x - start}z"
                start = x
    svg = picture(max(1, width), max(1, height), title, class_="photo", shape_rendering="crispEdges")
    for number, path in sorted(paths.items()):
        colour = found.palette[number] if 0 <= number < len(found.palette) else "#000000"
        node(svg, "path", d=path, fill=colour)
    return text_of(svg)
