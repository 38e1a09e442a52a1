"""What explain says of a version, part by part: from its data to who served it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.models import Code
from colchis_steps._formats.rollouts import Finding, Rollout
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.binding import is_external
from colchis_steps._models.policy import UNJUDGED
from colchis_steps._models.signing.check import Seal
from colchis_steps._origins.differences import Difference, environment, of_data
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.judging import bounds, judged, number, range_of, signed
from colchis_steps._origins.parts import ABSENT, Cell, Part, Table

TONES = {"pass": "good", "fail": "bad", "undecided": "warn"}
DIRTY = "-dirty"  # ends a revision whose files are not the commit's


@dataclass
class Past:
    """What there is of a version beside its own documents."""

    aliases: Sequence[str] = ()
    seals: Sequence[Seal] = ()
    over: str = ""  # what is signed, in words
    rollouts: Sequence[Rollout] = ()
    parent: DataManifest | None = None
    baseline: Origin | None = None
    replaced_by: Sequence[int] = ()
    notes: list[str] = field(default_factory=list)


def signed_by(there: Sequence[Seal], over: str) -> str:
    """Say who signed, and what."""
    good = [seal.words() for seal in there if not seal.fault]
    bad = [seal.fault for seal in there if seal.fault]
    if good:
        return f"signed by {', '.join(good)} over {over}"
    return f"not signed by a trusted key: {'; '.join(bad)}" if bad else "not signed"


def told(found: Origin, past: Past) -> tuple[str, list[Part]]:
    """Return the heading, and all that is known of the version."""
    title = found.name + (f" ({', '.join(past.aliases)})" if past.aliases else "")
    notes = Part("What cannot be read", words=[*found.notes, *past.notes])
    parts = [_verdict(found), _data(found, past), code(found.about.code), _parameters(found)]
    parts += [
        _environment(found),
        _model(found),
        _who(found),
        _trust(past),
        _rollouts(found, past),
        _parents(found, past),
    ]
    return title, [part for part in (notes, *parts) if part.has_content]


def _verdict(found: Origin) -> Part:
    part, record, evaluation = Part("Verdict"), found.record, found.evaluation
    part.add("gate", Cell(found.verdict, TONES.get(found.verdict, "")))
    if record:
        if record.verdict == UNJUDGED:
            part.add("judged", "it was adopted without data")
        else:
            part.add("against", _against(record.baseline, external=is_external(record)))
    part.add("policy", (record.policy if record else "") or (evaluation.policy if evaluation else ""))
    if evaluation:
        part.add("rows", f"{evaluation.rows:,} of the test split" if evaluation.rows else "")
        part.tables.append(checks(evaluation))
    part.tables.append(metrics(found))
    return part


def _against(baseline: int | None, *, external: bool) -> str:
    if external:
        return "an older release judged it, and bound its verdict to nothing"
    return "no version was stable: it is the first" if baseline is None else f"version {baseline}"


def checks(evaluation: Evaluation) -> Table:
    """Return the gate's checks, those that do not hold first."""
    words = {"warn": Cell("warns", "warn"), "undecided": Cell("open", "warn")}
    rows = [
        (
            Cell("holds", "good") if check.passed else words.get(check.severity, Cell("broken", "bad")),
            check.rule,
            check.actual,
            check.reason,
        )
        for check in sorted(evaluation.checks, key=lambda check: check.passed)
    ]
    return Table("What the gate asked for", ("state", "rule", "found", "why"), rows)


def metrics(found: Origin) -> Table:
    """Return each figure with its interval, the baseline's, and the change with its own."""
    evaluation = found.evaluation
    intervals = evaluation.intervals if evaluation else {}
    before = evaluation.baseline_metrics if evaluation else {}
    changes = {change.metric: change for change in evaluation.changes} if evaluation else {}
    rows = []
    for name, value in found.metrics.items():
        earlier, change = before.get(name), changes.get(name)
        moved = value - earlier if earlier is not None else None
        word, tone = judged(name, moved, change) if moved is not None else ("", "")
        rows.append(
            (
                name,
                number(value),
                range_of(intervals.get(name)),
                ABSENT if earlier is None else number(earlier),
                ABSENT if moved is None else signed(moved),
                bounds(change.low, change.high, relative=change.relative) if change else "",
                Cell(word, tone),
            )
        )
    named = f"version {evaluation.baseline_version}" if evaluation and evaluation.baseline_version else "baseline"
    head = ("figure", "this model", "90 % interval", named, "change", "90 % interval", "which is")
    return Table("Figures on the test split", head, rows, frozenset(range(1, 6)))


def _data(found: Origin, past: Past) -> Part:
    part, data = Part("Data"), found.data
    part.add("digest", found.about.data_digest or ABSENT)
    part.add("where", found.about.data)
    if data is None:
        return part
    part.add("name", data.name)
    part.add("task", f"{data.task.kind} of {', '.join(data.task.target)}" if data.task.target else data.task.kind)
    part.add("rows", ", ".join(f"{name} {split.rows:,}" for name, split in data.splits.items()))
    part.add("columns", str(len(data.columns)))
    part.add("divided by", " ".join((data.division.way, *data.division.by)))
    part.add("imported", data.created_at)
    sources = [(one.name, one.sha256 or ABSENT, f"{one.size:,} B" if one.size else "") for one in data.sources]
    part.tables.append(Table("Made of these files", ("source", "sha256", "size"), sources, frozenset({2})))
    if data.parent:
        part.add("made by", f"{data.parent.command} of {data.parent.data}, with code {data.parent.code}")
    if past.parent:
        part.tables.append(changes("Changed by that command", of_data(past.parent, data), past.parent.name, data.name))
    if past.baseline and past.baseline.data and past.baseline.data.digest != data.digest:
        known = of_data(past.baseline.data, data)
        part.tables.append(changes(f"Changed since the data of {past.baseline.name}", known, "then", "now"))
        part.words += [] if known else [f"other rows than {past.baseline.name}, in the same columns"]
    elif past.baseline and past.baseline.about.data_digest == found.about.data_digest:
        part.words.append(f"the same as those of {past.baseline.name}")
    return part


def changes(caption: str, found: Sequence[Difference], before: str, now: str) -> Table:
    """Return differences as a table."""
    return Table(caption, ("what", before, now), [tuple(one) for one in found])


def code(found: Code, title: str = "Code") -> Part:
    """Return what is known of the user's code: a revision that ends in -dirty is not what was run."""
    part = Part(title)
    part.add("entry", found.entry)
    part.add("repository", found.repository)
    part.add("revision", found.revision.removesuffix(DIRTY))
    if found.revision:
        is_dirty = found.revision.endswith(DIRTY)
        part.add("state", Cell("dirty: files were not as committed", "warn") if is_dirty else "as committed")
    part.add("digest", found.digest)
    part.add("where", found.uri)
    return part


def _parameters(found: Origin) -> Part:
    given = found.about.hyperparameters
    told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(given.items()))
    part = Part("Hyper-parameters")
    if told:
        part.words.append(told)
    return part


def _environment(found: Origin) -> Part:
    part = Part("Environment")
    part.add_all(environment(found))
    return part


def _model(found: Origin) -> Part:
    part, record = Part("Model"), found.record
    part.add("tree", found.about.tree)
    part.add("size", f"{found.size:,} B" if found.size else "")
    if record:
        if origin := record.origin:
            part.add("adopted from", f"{origin.format} {origin.digest} {origin.uri}, path {origin.path or '-'}")
            part.add("adopted", "wrapped in another program" if origin.wrapped else "as it is")
        part.add("image", record.image)
        part.add("manifest", record.manifest_digest)
    return part


def _who(found: Origin) -> Part:
    part, record = Part("Who and when"), found.record
    part.add("run", f"{found.about.run}{f' of {record.workflow}' if record and record.workflow else ''}")
    part.add("by", record.created_by if record else "")
    part.add("registered" if record else "trained", found.about.created_at)
    return part


def _trust(past: Past) -> Part:
    part = Part("Signatures")
    good = any(not seal.fault for seal in past.seals)
    part.add("signature", Cell(signed_by(past.seals, past.over), "good" if good else "warn"))
    return part


def _rollouts(found: Origin, past: Past) -> Part:
    part = Part("Rollouts")
    for one in past.rollouts:
        judge = "nothing was served before" if one.stable is None else f"against version {one.stable}"
        verdict = one.verdict or "not known yet"
        when = f"{one.started_at}{f' to {one.finished_at}' if one.finished_at else ''}"
        part.add(f"run {one.run}", Cell(f"{verdict}, {judge}, {when}", TONES.get(one.verdict, "")))
        part.add("because", one.reason)
        rows = [_finding(f"{step.weight} %", finding) for step in one.steps for finding in step.findings]
        part.tables.append(Table(f"Judged in run {one.run}", ("traffic", "measure", "found", "state", "meaning"), rows))
    if found.rollout and found.rollout.endpoint:
        part.add("served at", f"{found.rollout.endpoint} ({found.rollout.target})")
    return part


def _finding(weight: str, found: Finding) -> tuple[Cell | str, ...]:
    tone = {"good": "good", "bad": "bad"}.get(found.state, "")
    return weight, found.name, f"{found.events:,} of {found.trials:,}", Cell(found.state, tone), found.meaning


def _parents(found: Origin, past: Past) -> Part:
    part, record = Part("Before and after it"), found.record
    if found.data and found.data.parent:
        part.add("data's parent", found.data.parent.data)
    if record and record.baseline is not None:
        part.add("judged against", f"{record.model}/{record.baseline} {record.baseline_digest}".strip())
    replaced = {one.stable for one in past.rollouts if one.verdict == "pass" and one.stable is not None}
    if record:
        part.add("it replaced", ", ".join(f"{record.model}/{version}" for version in sorted(replaced)))
        part.add("replaced by", ", ".join(f"{record.model}/{version}" for version in past.replaced_by))
    return part
