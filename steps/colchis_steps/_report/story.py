"""A run as its records have it, whichever there are: what happened, in a sentence, and what to do."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from colchis_steps._formats.documents import Part, converted
from colchis_steps._formats.keys import golden_key
from colchis_steps._formats.models import Candidate, Golden
from colchis_steps._formats.profiles import DataReport
from colchis_steps._formats.runs import (
    Evaluation,
    ImageReport,
    RolloutReport,
    StepResult,
    TrainingReport,
    UploadReport,
)
from colchis_steps._formats.steps import CHAIN
from colchis_steps._models.candidates import find_candidate
from colchis_steps._origins.differences import Difference, differences
from colchis_steps._origins.gathering import baseline_of, of_run
from colchis_steps._origins.judging import number
from colchis_steps._report.asking import curl
from colchis_steps._report.chain import Stage, stage
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, find_step
from colchis_steps._store.uris import located

P = TypeVar("P", bound=Part)
PARENTS = ("child ", "retryStrategy.", "No more retries left")  # what a step's parent says instead of the step


@dataclass
class Story:
    """What the records of a run say; ``notes`` say what could not be read."""

    run: str
    status: str
    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  # the engine's message by step
    notes: list[str] = field(default_factory=list)
    candidate: Candidate | None = None
    data: DataReport | None = None
    training: TrainingReport | None = None
    evaluation: Evaluation | None = None
    upload: UploadReport | None = None
    image: ImageReport | None = None
    rollout: RolloutReport | None = None
    changed: dict[str, list[Difference]] | None = None  # since the version that was served; None where there was none
    since: str = ""
    curl: str = ""  # a request to paste

    def value(self, name: str) -> str:
        """Return an input or output of the run by name, from the first step that knows it."""
        for step in CHAIN:
            if result := self.results.get(step):
                for known in (result.outputs, result.inputs):
                    if known.get(name):
                        return known[name]
        return ""

    def output(self, step: str, name: str) -> str:
        """Return an output of a step, or nothing."""
        return self.results[step].outputs.get(name, "") if step in self.results else ""

    @property
    def said_no(self) -> str:
        """The step whose answer was no, or nothing: a no is a result, and no failure."""
        for step in ("evaluate", "rollout"):
            result = self.results.get(step)
            if (
                result
                and result.status != "running"
                and result.verdict not in {"", "pass", "unjudged", "promoted", "served"}
            ):
                return step
        return ""

    @property
    def undecided(self) -> bool:
        """Whether the gate could not tell."""
        return "evaluate" in self.results and self.results["evaluate"].verdict == "undecided"

    @property
    def stages(self) -> list[Stage]:
        """The chain's steps with their states."""
        return [
            stage(step, self.results.get(step), said_no=step == self.said_no, failed=step in self.failures)
            for step in CHAIN
        ]

    @property
    def broken(self) -> tuple[str, str] | None:
        """The first step that failed, and its sentence."""
        for at in self.stages:
            if at.state == "failed":
                result = self.results.get(at.step)
                return at.step, (result.message if result else "") or self.failures.get(at.step, "it says no more")
            if at.state == "killed":
                engine = f": {self.failures[at.step]}" if at.step in self.failures else ""
                return at.step, f"it was ended before it was done{engine}"
        other = next(iter(self.failures.items()), None)
        return other if other and not self.said_no else None


def read_story(store: Objects, run: str, status: str, failures: str) -> Story:
    """Read what there is; what cannot be read becomes a note, never an error."""
    messages = {} if status == "Succeeded" else parse_failures(failures)  # Argo lists attempts that were retried, too
    story = Story(run, status, failures=messages)
    for step in CHAIN:
        try:
            if result := find_step(store, run, step):
                story.results[step] = result
        except StepError as error:
            story.notes.append(str(error))
    try:
        if candidate := find_candidate(store, run):
            story.candidate = located(store, candidate)
    except StepError as error:
        story.notes.append(str(error))
    story.data = _details(story, "validate_data", DataReport)
    story.training = _details(story, "train", TrainingReport)
    story.evaluation = _details(story, "evaluate", Evaluation)
    story.upload = _details(story, "upload", UploadReport)
    story.image = _details(story, "build_image", ImageReport)
    story.rollout = _details(story, "rollout", RolloutReport)
    try:
        _add_changes(store, story)
        if story.rollout and story.rollout.verdict == "pass" and story.rollout.endpoint:
            story.curl = curl(story.rollout.endpoint, find_document(store, golden_key(run), Golden))
    except StepError as error:
        story.notes.append(str(error))
    return story


def _add_changes(store: Objects, story: Story) -> None:
    """Set the run beside the version that was stable when it was judged."""
    if story.candidate is None or story.evaluation is None:
        return
    now = of_run(store, story.run)
    if (before := baseline_of(store, now)) is not None:
        story.changed, story.since = differences(before, now), f"version {story.evaluation.baseline_version}"


def _details(story: Story, step: str, kind: type[P]) -> P | None:
    result = story.results.get(step)
    if result is None or not result.details:
        return None
    try:
        return converted(result.details, kind)
    except msgspec.ValidationError as error:
        story.notes.append(f"the details of {step} are not as this version knows them ({str(error)[:256]})")
        return None


def parse_failures(text: str) -> dict[str, str]:
    """Read Argo's ``{{workflow.failures}}``: messages by step; a JSON list, perhaps in quotes, perhaps rubbish."""
    value: Any = text
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    found: dict[str, str] = {}
    failures = [failure for failure in value if isinstance(failure, dict)] if isinstance(value, list) else []
    for failure in sorted(failures, key=lambda failure: not failure.get("message")):  # a DAG that failed is mute
        name = re.sub(r"\(\d+\)$", "", str(failure.get("displayName") or failure.get("templateName") or "a step"))
        message = str(failure.get("message") or failure.get("phase") or "")[:1024]
        if not message.startswith(PARENTS):
            found.setdefault(name.replace("-", "_"), message)
    return found


def quality(evaluation: Evaluation | None) -> str:
    """Return the leading metric, and the baseline's: "accuracy 0.981 (baseline 0.978)"."""
    if evaluation is None or not evaluation.metrics:
        return ""
    name = "accuracy" if "accuracy" in evaluation.metrics else next(iter(evaluation.metrics))
    against = evaluation.baseline_metrics.get(name)
    baseline = f"baseline {number(against)}" if against is not None else "no baseline"
    return f"{name} {number(evaluation.metrics[name])} ({baseline})"


def headline(story: Story) -> str:
    """Return in one sentence how the run ended."""
    model, version = story.value("model") or "a model", story.value("version")
    stays = (
        f"version {story.evaluation.baseline_version} stays"
        if story.evaluation and (story.evaluation.baseline_version is not None)
        else "nothing is served"
    )
    if story.said_no == "evaluate":
        checks = story.evaluation.checks if story.evaluation else ()
        says, severity = ("cannot tell", "undecided") if story.undecided else ("said no", "error")
        reasons = [check.reason or check.rule for check in checks if not check.passed and check.severity == severity]
        reason = reasons[0] if reasons else story.results["evaluate"].message or story.results["evaluate"].verdict
        return f"the gate {says}: {reason}; {stays}"
    if story.said_no == "rollout":
        return _no_of_rollout(story, f"{model} version {version}", stays)
    if story.broken:
        return f"{story.broken[0]} failed: {story.broken[1]}"
    if (result := story.results.get("rollout")) and result.status == "succeeded":
        return _served(story, model, version)
    if story.status != "Succeeded":
        return f"the run ended as {story.status} and no step says why"
    done = [stage.title for stage in story.stages if stage.state == "done"]
    nothing_new = story.output("validate_data", "new-data") == "false"
    return (story.results["validate_data"].message if nothing_new else "") or (
        f"the run succeeded after {done[-1]}; nothing was rolled out"
        if done
        else "the run succeeded, and left no record"
    )


def _served(story: Story, model: str, version: str) -> str:
    measured = f": {metric}" if (metric := quality(story.evaluation)) else ""
    if story.rollout and story.rollout.waiting:
        return f"{model} version {version} waits for an approval{measured}"
    return f"served {model} version {version or (story.rollout.stable if story.rollout else '?')}{measured}"


def _no_of_rollout(story: Story, version: str, stays: str) -> str:
    result = story.results["rollout"]
    if story.rollout:
        stays = f"version {story.rollout.stable} stays" if story.rollout.stable is not None else "nothing is served"
    if result.inputs.get("action") == "rollback":
        return f"{version} was not approved, or taken back; {stays}"
    return f"the canary said no: {result.message or result.verdict}; {stays}"


def advice(story: Story) -> str:
    """Return what to do next; a failed step's own sentence says what to mend."""
    if story.said_no == "evaluate" and story.undecided:
        return (
            "The test split has too few rows to tell. Add rows to it, or state a margin that is wide enough for them, "
            "if a model that is worse by that much may be served."
        )
    if story.said_no == "evaluate":
        return (
            "Look at the checks and at the classes that are confused below. Train longer, change the hyper-parameters "
            "or the data; lower a threshold only when the model is good enough for its use."
        )
    if story.said_no == "rollout":
        served = story.rollout is not None and story.rollout.stable is not None
        before = "What was served before keeps serving. " if served else ""
        return f"{before}Look at the rollout below, mend the model, and run again."
    if story.broken:
        result = story.results.get(story.broken[0])
        if result and result.status == "running":
            return (
                "The step had no time to say why: it was stopped, or ran out of memory or time. Look at its pod's "
                "events; then run it again (argo retry, or the same command): it goes on from what is stored."
            )
        return "Mend that, then run it again (argo retry, or the same command): what is done is not done twice."
    return ""


def tone(story: Story) -> str:
    """Return how the run ended in a word: served, done, no, open or failed."""
    if story.said_no:
        return "open" if story.said_no == "evaluate" and story.undecided else "no"
    if story.broken or story.status not in {"Succeeded", ""}:
        return "failed"
    rollout = story.results.get("rollout")
    if story.rollout and story.rollout.waiting:
        return "done"
    return "served" if rollout and rollout.status == "succeeded" else "done"


def gate(story: Story) -> str:
    """Return the gate's verdict; of a run that left none but served, or did not, what it must have been."""
    if story.evaluation and story.evaluation.verdict:
        return story.evaluation.verdict
    return story.results["evaluate"].verdict if "evaluate" in story.results else ""


def mending(story: Story) -> dict[str, Any] | None:
    """Return of a step that failed what to do, what happened, and the last lines of its log."""
    if not story.broken:
        return None
    step, message = story.broken
    what, _, fix = message.rpartition("; ")  # a step's sentence ends with what to do
    log = story.results[step].log if step in story.results else ()
    then = advice(story)
    if not what:
        return {"fix": f"{step}: {message}".replace("_", "-", step.count("_")), "what": "", "then": then, "log": log}
    return {"fix": f"{fix[:1].upper()}{fix[1:]}", "what": what, "then": then, "log": log}
