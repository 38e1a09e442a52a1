"""Pictures as SVG elements: no script, no style of their own; the page's CSS gives the colours of the classes.

Built as a tree and serialised, so whatever stands in a label or a message is escaped.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

Point = tuple[float, float]


WIDTH, HEIGHT = 420, 220


HUGE = 1e100


LEFT, RIGHT, TOP, BOTTOM = 46, 64, 12, 30


def node(parent: ET.Element, tag: str, text: str = "", **attributes: object) -> ET.Element:
    """Add an element; ``class_`` and ``text_anchor`` become ``class`` and ``text-anchor``; numbers are shortened."""
    named = {
        key.rstrip("_").replace("_", "-"): f"{value:.6g}" if isinstance(value, float) else str(value)
        for key, value in attributes.items()
    }
    element = ET.SubElement(parent, tag, named)
    element.text = text or None
    return element


def picture(width: float, height: float, title: str, description: str = "", **attributes: object) -> ET.Element:
    """Begin a picture that a screen reader can tell of."""
    svg = ET.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img"})
    for key, value in attributes.items():
        svg.set(key.rstrip("_").replace("_", "-"), str(value))
    svg.set("aria-label", title)
    node(svg, "title", title)
    if description:
        node(svg, "desc", description)
    return svg


def text_of(svg: ET.Element) -> str:
    """Return the picture's markup, to stand in HTML."""
    return ET.tostring(svg, encoding="unicode", short_empty_elements=False)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers that cover the range: steps of 1, 2 or 5 times a power of ten."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat, or as good as flat
        low, high = low - (abs(low) / 10 or 0.5), high + (abs(high) / 10 or 0.5)
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def curves(name: str, series: Mapping[str, Sequence[Point]], *, from_zero: bool = False) -> str:
    """Draw a metric over epochs, one line a series (the first solid, the second dashed), named at its end.

    Values that are NaN or beyond HUGE leave a gap: a line joins points that follow each other in their series, which
    may have fewer epochs than others. The axis has all epochs.
    """
    finite = {key: [p for p in points if abs(p[1]) < HUGE] for key, points in series.items()}
    lows = [y for line in finite.values() for _, y in line]
    if not lows:
        return ""
    epochs = sorted({x for points in series.values() for x, _ in points})
    y_ticks, x_ticks = ticks(min([*lows, 0.0] if from_zero else lows), max(lows)), whole_ticks(epochs)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    span = max(1e-12, epochs[-1] - epochs[0])

    def place(point: Point) -> Point:
        x = LEFT + (width * (point[0] - epochs[0]) / span if len(epochs) > 1 else width / 2)
        return x, TOP + height * (1 - (point[1] - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]))

    ends = "; ".join(f"{key} ends at {line[-1][1]:.4g}" for key, line in finite.items() if line)
    svg = picture(WIDTH, HEIGHT, f"{name} by epoch", ends, class_="chart")
    for value in y_ticks:
        y = place((epochs[0], value))[1]
        node(svg, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
        node(svg, "text", f"{value:g}", x=LEFT - 8, y=y + 3.5, text_anchor="end", class_="tick")
    for epoch in x_ticks:
        x = place((epoch, y_ticks[0]))[0]
        node(svg, "text", f"{epoch:g}", x=x, y=HEIGHT - BOTTOM + 16, text_anchor="middle", class_="tick")
    node(svg, "text", "epoch", x=WIDTH - 4, y=HEIGHT - BOTTOM + 16, text_anchor="end", class_="tick")
    labels: list[float] = []
    for number, (key, line) in enumerate(finite.items()):
        if not line:
            continue
        placed = [place(point) for point in line]
        path, joins = "", False
        for point in series[key]:
            is_drawn = abs(point[1]) < HUGE
            if is_drawn:
                x, y = place(point)
                path += f"{'L' if joins else 'M'}{x:.2f} {y:.2f}"
            joins = is_drawn
        node(svg, "path", d=path, class_=f"line s{number % 2}")
        for (x, y), (epoch, value) in zip(placed, line, strict=True):
            dot = node(svg, "circle", cx=x, cy=y, r=2.5 if len(line) <= 40 else 1.2, class_=f"dot s{number % 2}")
            node(dot, "title", f"{key}, epoch {epoch:g}: {value:.5g}")
        y = placed[-1][1] + 3.5
        while any(abs(y - other) < 12 for other in labels):
            y += 12 if y < TOP + 14 or labels[-1] <= y else -12
        labels.append(y)
        node(svg, "text", key, x=placed[-1][0] + 7, y=y, class_=f"name s{number % 2}")
    return text_of(svg)


def whole_ticks(epochs: Sequence[float]) -> list[float]:
    """Choose at most nine whole numbers among the epochs, the first and the last with them."""
    step = max(1, math.ceil((epochs[-1] - epochs[0]) / 8))
    chosen = [epochs[0] + step * i for i in range(9) if epochs[0] + step * i <= epochs[-1] - step * 0.6]
    return [*chosen, epochs[-1]] if epochs[-1] not in chosen else chosen


def bars(title: str, names: Sequence[str], counts: Sequence[int], unit: str, *, gap: float = 0.25) -> str:
    """Draw counts as columns, each with its name below and its count in its title."""
    width, height, base = 420, 140, 116
    top = max([*counts, 1])
    each = (width - 8) / max(1, len(counts))
    svg = picture(
        width, height, title, ", ".join(f"{n}: {c}" for n, c in zip(names, counts, strict=True)), class_="bars"
    )
    node(svg, "line", x1=4, x2=width - 4, y1=base, y2=base, class_="axis")
    for i, (name, count) in enumerate(zip(names, counts, strict=True)):
        tall = 96 * count / top
        x = 4 + each * (i + gap / 2)
        bar = node(svg, "rect", x=x, y=base - tall, width=each * (1 - gap), height=tall, rx=1.5, class_="bar")
        node(bar, "title", f"{name}: {count} {unit}")
        if len(counts) <= 12:
            label = name if len(name) <= max(2, each / 6) else f"{name[: max(1, int(each / 6) - 1)]}…"
            node(svg, "text", label, x=4 + each * (i + 0.5), y=base + 14, text_anchor="middle", class_="tick")
            if count == max(counts) and counts.index(count) == i:
                middle = 4 + each * (i + 0.5)
                node(svg, "text", f"{count:,}", x=middle, y=base - tall - 4, text_anchor="middle", class_="tick")
    return text_of(svg)


def shares(title: str, parts: Mapping[str, float]) -> str:
    """Draw what a whole is made of as one bar, each part with its name and percentage below where it begins."""
    whole = sum(parts.values())
    if not 0 < whole < HUGE:
        return ""
    named = {name: f"{name} {100 * value / whole:.0f} %" for name, value in parts.items() if value > 0}
    svg, at, line = picture(WIDTH, 24 + 16 * len(named), title, ", ".join(named.values()), class_="shares"), 0.0, 0
    for number, (name, value) in enumerate(parts.items()):
        if name in named:
            wide = WIDTH * value / whole
            rect = node(svg, "rect", x=at, y=0, width=wide, height=14, class_=f"share s{number}")
            node(rect, "title", named[name])
            node(svg, "rect", x=0, y=22 + 16 * line, width=9, height=9, class_=f"share s{number}")
            node(svg, "text", named[name], x=15, y=30.5 + 16 * line, class_="tick")
            at, line = at + wide, line + 1
    return text_of(svg)


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Draw labels (rows) against predictions (columns); right answers and mistakes have a scale of their own."""
    cell, left, top = 34, 84, 54
    size = cell * len(classes)
    wrong = sum(n for i, row in enumerate(counts) for j, n in enumerate(row) if i != j)
    title = f"Confusion matrix: {wrong} of {sum(map(sum, counts))} rows are predicted as another class"
    svg = picture(left + size + 10, top + size + 10, title, class_="confusion")
    svg.set("width", str(left + size + 10))  # a matrix of few classes is not drawn larger than one of many
    node(svg, "text", "prediction", x=left + size / 2, y=14, text_anchor="middle", class_="tick")
    node(svg, "text", "label", x=left - 8, y=top - 12, text_anchor="end", class_="tick")
    worst = max([n for i, row in enumerate(counts) for j, n in enumerate(row) if i != j] + [1])
    same = _beginning(classes)  # says nothing at a head
    for i, (name, row) in enumerate(zip(classes, counts, strict=True)):
        short = name if len(name) <= 11 else f"{name[:10]}…"
        node(svg, "text", short, x=left - 8, y=top + cell * (i + 0.5) + 4, text_anchor="end", class_="tick")
        rest = name.removeprefix(same)
        head = name if len(name) <= 5 else f"…{rest[:4]}" if same and rest != name else f"{name[:4]}…"
        node(svg, "text", head, x=left + cell * (i + 0.5), y=top - 12, text_anchor="middle", class_="tick")
        for j, count in enumerate(row):
            share = count / max(1, sum(row)) if i == j else count / worst
            strength = round(0.12 + 0.88 * share, 3) if count else 0.0
            kind = "right" if i == j else "wrong"
            box = node(svg, "g")
            x, y = left + cell * j, top + cell * i
            node(box, "rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=3, class_="empty")
            if count:
                square: dict[str, Any] = {"x": x + 1, "y": y + 1, "width": cell - 2, "height": cell - 2, "rx": 3}
                node(box, "rect", class_=kind, fill_opacity=strength, **square)
                ink = "count on" if strength > 0.75 else "count mid" if strength > 0.58 else "count"
                node(box, "text", f"{count}", x=x + cell / 2, y=y + cell / 2 + 4, text_anchor="middle", class_=ink)
            node(box, "title", f"{name} predicted as {classes[j]}: {count}")
    return text_of(svg)


def _beginning(names: Sequence[str]) -> str:
    """Return what all names but the last, which may stand for many, begin with; nothing where that is short."""
    first, last = min(names[:-1], default=""), max(names[:-1], default="")
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[:length] if length > 2 else ""


def pixels(rows: Sequence[Sequence[int]], title: str) -> str:
    """Draw grey values 0 to 255 as ink on paper, a path for each of at most 16 shades."""
    height, width = len(rows), max((len(row) for row in rows), default=0)
    shades: dict[int, str] = {}
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            if shade := round(min(255, max(0, value)) / 17):
                shades[shade] = shades.get(shade, "") + f"M{x} {y}h1v1h-1z"
    svg = picture(max(1, width), max(1, height), title, class_="pixels", shape_rendering="crispEdges")
    for shade, path in sorted(shades.items()):
        node(svg, "path", d=path, fill_opacity=round(shade / 15, 3))
    return text_of(svg)
