"""What compare says of two versions or runs: in what they differ, and what their models do on the same rows."""

from typing import Any

import msgspec

from colchis_steps._origins import telling
from colchis_steps._origins.differences import differences
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.judging import bounds, judged, number, range_of, signed
from colchis_steps._origins.pairing import Paired
from colchis_steps._origins.parts import ABSENT, Cell, Part, Table

TITLES = {"data": "Data", "code": "Code", "hyper-parameters": "Hyper-parameters", "environment": "Environment"}


def told(before: Origin, now: Origin, rows: Paired | str) -> tuple[str, list[Part]]:
    """Return the heading, and in what the second differs from the first; ``rows`` may say why there are none."""
    notes = Part("What cannot be read", words=[*before.notes, *now.notes])
    parts = [notes, _verdicts(before, now), _figures(before, now, rows), _predictions(rows)]
    for name, found in differences(before, now).items():
        part = Part(TITLES[name])
        if found:
            part.tables.append(telling.changes("", found, before.name, now.name))
        else:
            part.words.append("the same")
        parts.append(part)
    return f"{now.name} against {before.name}", [part for part in parts if part.has_content]


def _verdicts(before: Origin, now: Origin) -> Part:
    part = Part("Verdict")
    for one in (before, now):
        when = f"{'registered' if one.record else 'trained'} {one.about.created_at}"
        part.add(one.name, Cell(f"{one.verdict or 'not judged'}, {when}", telling.TONES.get(one.verdict, "")))
    return part


def _figures(before: Origin, now: Origin, rows: Paired | str) -> Part:
    """Return each figure of both; the changes that a test tells come with its interval."""
    part = Part("Figures")
    changes = {change.metric: change for change in rows.changes} if isinstance(rows, Paired) else {}
    intervals = now.evaluation.intervals if now.evaluation else {}
    same_data = before.about.data_digest == now.about.data_digest
    table = []
    for name in [*now.metrics, *(name for name in before.metrics if name not in now.metrics)]:
        one, other, change = before.metrics.get(name), now.metrics.get(name), changes.get(name)
        moved = other - one if one is not None and other is not None else None
        word, tone = judged(name, moved, change) if moved is not None and same_data else ("", "")
        table.append(
            (
                name,
                ABSENT if one is None else number(one),
                ABSENT if other is None else number(other),
                range_of(intervals.get(name)),
                ABSENT if moved is None else signed(moved),
                bounds(change.low, change.high, relative=change.relative) if change else "",
                Cell(word, tone),
            )
        )
    head = ("figure", before.name, now.name, "90 % interval", "change", "interval of the change", "which is")
    part.tables.append(Table("", head, table, frozenset(range(1, 6))))
    if isinstance(rows, str):
        part.words.append(f"No figure is tested: {rows}.")
    elif rows.apart:
        part.words.append(
            f"Rows that belong together are taken for independent, as {rows.apart}: intervals are too narrow."
        )
    if not same_data:
        part.words.append("They were judged on different data: a difference of figures says nothing of the models.")
    elif changes:
        part.words.append(
            "Intervals of a change are of 90 %, by a test on the same rows: each side errs in 5 %. What only looks "
            "better or worse was not tested."
        )
    return part


def _predictions(rows: Paired | str) -> Part:
    part = Part("Predictions that changed")
    if isinstance(rows, str):
        return part
    share = f" ({100 * rows.differing / rows.rows:.1f} %)" if rows.rows else ""
    part.add("of rows", f"{rows.differing:,} of {rows.rows:,}{share}")
    if rows.gained or rows.lost:
        part.add("right now, wrong before", Cell(f"{rows.gained:,}", "good" if rows.gained else ""))
        part.add("wrong now, right before", Cell(f"{rows.lost:,}", "bad" if rows.lost else ""))
    exchanges = [(e.before, e.now, f"{e.rows:,}", f"{e.right_before:,}", f"{e.right_now:,}") for e in rows.exchanges]
    head = ("was predicted", "is predicted", "rows", "right before", "right now")
    part.tables.append(Table("From what to what, most rows first", head, exchanges, frozenset({2, 3, 4})))
    moved = [(str(one.row), one.label, one.before, one.now) for one in rows.moved]
    some = f": {len(moved)} of them" if len(moved) < rows.differing else ""
    caption = f"Rows of the test split, counted from 0{some}"
    part.tables.append(Table(caption, ("row", "label", "before", "now"), moved, frozenset({0})))
    return part


def as_json(before: Origin, now: Origin, rows: Paired | str) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "before": side(before),
        "now": side(now),
        "differences": {name: [one._asdict() for one in found] for name, found in differences(before, now).items()},
        "rows": msgspec.to_builtins(rows) if isinstance(rows, Paired) else None,
        "why_no_rows": rows if isinstance(rows, str) else "",
    }


def side(found: Origin) -> dict[str, Any]:
    """Return what is known of one of the two as JSON values."""
    about = found.about
    return {
        "name": found.name,
        "model": about.model,
        "version": found.record.version if found.record else None,
        "run": about.run,
        "verdict": found.verdict,
        "metrics": found.metrics,
        "intervals": found.evaluation.intervals if found.evaluation else {},
        "data": about.data,
        "data_digest": about.data_digest,
        "code": msgspec.to_builtins(about.code),
        "hyperparameters": about.hyperparameters,
        "frameworks": about.frameworks,
        "format": found.format,
        "tree": about.tree,
        "created_at": about.created_at,
        "notes": found.notes,
    }
