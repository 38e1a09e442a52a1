"""Pictures of a run: the chain of its steps with their states, and when each of them ran."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from colchis_steps._formats.runs import StepResult
from colchis_steps._report.charts import node, picture, text_of

MARKS = {  # drawn about (0, 0), so that a state is shown by form and not by colour alone
    "done": "M-4.5 .5l3 3l6-7",
    "failed": "M-4-4l8 8M4-4l-8 8",
    "no": "M-5 0h10",
    "killed": "M0-5v6M0 4.2v.6",
    "skipped": "",
}
WORDS = {
    "done": "done",
    "failed": "failed",
    "no": "said no",
    "killed": "never ended",
    "skipped": "did not run",
}


@dataclass(frozen=True)
class Stage:
    """A step as the chain shows it; ``state`` is a key of MARKS."""

    step: str
    state: str
    seconds: float = 0.0
    started: datetime | None = None

    @property
    def title(self) -> str:
        """The step's name as Argo shows it."""
        return self.step.replace("_", "-")


def stage(step: str, result: StepResult | None, *, said_no: bool, failed: bool) -> Stage:
    """Return a step's state: ``failed`` is what the engine says, for a step that could not even leave a record."""
    if result is None:
        return Stage(step, "failed" if failed else "skipped")
    state = {"succeeded": "done", "failed": "failed"}.get(result.status, "killed")
    try:
        started = datetime.fromisoformat(result.started_at)
    except ValueError:
        started = None
    seconds = result.seconds if math.isfinite(result.seconds) else 0.0
    return Stage(step, "no" if said_no else state, max(0.0, seconds), started)


def told(stage: Stage) -> str:
    """Return how long a step took, or what became of it."""
    return duration(stage.seconds) if stage.state in {"done", "no", "failed"} and stage.started else WORDS[stage.state]


def duration(seconds: float) -> str:
    """Return seconds as a person does."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def chain(stages: Sequence[Stage]) -> str:
    """Draw the steps in their order; an arrow that was not taken is dashed."""
    each = 124
    description = ", ".join(f"{stage.title} {WORDS[stage.state]}" for stage in stages)
    svg = picture(each * len(stages), 86, "The steps of this run", description, class_="chain")
    for i, stage in enumerate(stages):
        x = each * (i + 0.5)
        if i:
            taken = "" if stage.state != "skipped" else " idle"
            node(svg, "line", x1=x - each + 20, x2=x - 22, y1=24, y2=24, class_=f"arrow{taken}")
            node(svg, "path", d=f"M{x - 25:g} 20l5 4l-5 4", class_=f"arrow head{taken}")
        mark = node(svg, "g", transform=f"translate({x:g} 24)", class_=f"stage {stage.state}")
        node(mark, "title", f"{stage.title} {WORDS[stage.state]}")
        node(mark, "circle", r=14)
        if MARKS[stage.state]:
            node(mark, "path", d=MARKS[stage.state])
        node(svg, "text", stage.title, x=x, y=58, text_anchor="middle", class_=f"step {stage.state}")
        node(svg, "text", told(stage), x=x, y=75, text_anchor="middle", class_="tick")
    return text_of(svg)


def waterfall(stages: Sequence[Stage]) -> str:
    """Draw when each step ran and how long; a step that never ended has an open bar."""
    times = sorted((stage.started.timestamp(), i) for i, stage in enumerate(stages) if stage.started)
    if not times:
        return ""
    ran, offsets = [stages[i] for _, i in times], [at - times[0][0] for at, _ in times]
    total = max([0.1, *(offset + stage.seconds for offset, stage in zip(offsets, ran, strict=True))])
    left, width, row = 104, 420, 26
    description = ", ".join(f"{stage.title} {duration(stage.seconds)}" for stage in ran)
    svg = picture(left + width + 86, row * len(ran) + 8, f"Times of the steps, {duration(total)} in all", description)
    svg.set("class", "waterfall")
    for i, (offset, stage) in enumerate(zip(offsets, ran, strict=True)):
        y, x = 4 + row * i, left + width * offset / total
        wide = max(2.0, width * (stage.seconds / total if stage.state != "killed" else 1 - offset / total))
        node(svg, "line", x1=left, x2=left + width, y1=y + row / 2, y2=y + row / 2, class_="grid")
        node(svg, "text", stage.title, x=left - 10, y=y + row / 2 + 4, text_anchor="end", class_="step")
        bar = node(svg, "rect", x=x, y=y + 5, width=wide, height=row - 10, rx=3, class_=f"bar {stage.state}")
        node(bar, "title", f"{stage.title}: from {duration(offset)}, for {duration(stage.seconds)}")
        word = duration(stage.seconds) if stage.state != "killed" else WORDS["killed"]
        node(svg, "text", word, x=x + wide + 7, y=y + row / 2 + 4, class_="tick")
    return text_of(svg)
