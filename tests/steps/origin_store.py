"""A store with two versions of one model and a run that made none, as the pipeline leaves them; no model is needed."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tests.steps.registered import put_on_record

from colchis_steps._evaluation.results import KINDS
from colchis_steps._formats import keys
from colchis_steps._formats.data import Column, DataManifest, Division, Parent, Shard, Source, Split, Task, data_digest
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias, Candidate, Code, File, Manifest, tree_digest
from colchis_steps._formats.rollouts import Finding, JudgedStep, Rollout
from colchis_steps._formats.runs import Change, Check, Evaluation, StepResult
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store

CLASSES = ("cat", "dog", "fox")
ROWS = 400
LABELS = np.arange(ROWS) % 3
WHEN = "2026-01-0{}T00:00:00Z"


def data(store: Objects, *, version: int = 1, parent: str = "", **more: Any) -> DataManifest:
    """Put a data set's manifest into the store; the second has other columns and rows."""
    columns = [Column("age", "int64"), Column("label", "string", role="label")]
    if version > 1:
        columns = [Column("age", "float", nullable=True), Column("job", "string"), columns[1]]
    splits = {
        name: Split(rows, "", (Shard("p", rows, 1, "0" * 64),))
        for name, rows in {"train": 1000 * version, "test": ROWS}.items()
    }
    made = DataManifest(
        "pets", "", Task("classification", ("label",), CLASSES), tuple(columns), splits, Division("hash", ("age",)),
        WHEN.format(version), parent=Parent(parent, "sha256:" + "c" * 64, "shrink 2") if parent else None,
        sources=(Source(f"pets-{version}.csv", 12, "a" * 64),),
    )  # fmt: skip
    found = msgspec.structs.replace(made, **more)
    found.digest = data_digest(found)
    store.write(f"{keys.data_prefix(found.name, found.digest)}/manifest.json", encode(found))
    return found


def results(wrong: Sequence[int], loss: float = 0.1) -> bytes:
    """Return results by row of a model that takes these rows for the class after theirs."""
    rows = np.zeros(ROWS, KINDS["classification"])
    rows["label"] = rows["prediction"] = LABELS
    rows["prediction"][list(wrong)] = (LABELS[list(wrong)] + 1) % 3
    rows["weight"], rows["loss"], rows["brier"] = 1, loss, 0.01
    out = io.BytesIO()
    np.save(out, rows)
    return out.getvalue()


def evaluated(store: Objects, run: str, tree: str, digest: str, wrong: Sequence[int], **more: Any) -> Evaluation:
    """Leave what evaluate leaves of a run."""
    content = results(wrong)
    kept = f"sha256:{hashlib.sha256(content).hexdigest()}"
    store.write(keys.results_key(tree, digest, kept), content)
    accuracy = 1 - len(wrong) / ROWS
    told = Evaluation(
        {"accuracy": accuracy, "loss": 0.1, "cost": 2.0}, {}, None, {}, CLASSES, (),
        (Check("accuracy ≥ 0.9", accuracy >= 0.9, f"{accuracy:.4f}", "" if accuracy >= 0.9 else "too low"),), (),
        verdict="pass" if accuracy >= 0.9 else "fail", tree=tree, data=digest, golden="sha256:g", rows=ROWS,
        results=kept, intervals={"accuracy": (accuracy - 0.02, min(1.0, accuracy + 0.02))},
    )  # fmt: skip
    found = msgspec.structs.replace(told, **more)
    result = StepResult("evaluate", run, "succeeded", {}, WHEN.format(1), verdict=found.verdict)
    result.details = msgspec.to_builtins(found)
    store.write(keys.result_key(run, "evaluate"), encode(result))
    return found


def candidate(store: Objects, run: str, made_of: DataManifest, **more: Any) -> Candidate:
    """Leave what train leaves of a run."""
    files = (File("saved_model.pb", 1024, hashlib.sha256(run.encode()).hexdigest()),)
    prefix = keys.data_prefix(made_of.name, made_of.digest)
    told = Candidate(
        run, "pets", files, tree_digest(files), prefix, made_of.digest, Code("pets:build", "code/1.zip", "sha256:c1"),
        {"epochs": 3, "rate": 0.1}, {}, {"tensorflow": "2.21.0"}, WHEN.format(1),
    )  # fmt: skip
    found = msgspec.structs.replace(told, **more)
    store.write(keys.candidate_key(run), encode(found))
    return found


def version(store: Objects, number: int, of: Candidate, judged: Evaluation, **more: Any) -> None:
    """Register a candidate."""
    manifest = Manifest("pets", number, of.run, of.files, of.tree, WHEN.format(number))
    details = msgspec.to_builtins(judged)
    put_on_record(
        store, manifest, f"r.example/pets@sha256:{number:064}", data=of.data, data_digest=of.data_digest, code=of.code,
        hyperparameters=of.hyperparameters, metrics=judged.metrics, verdict=judged.verdict, frameworks=of.frameworks,
        step_images={"train": "run on this machine"}, workflow="ns/w", created_by="medea",
        created_at=WHEN.format(number), evaluation=evaluation_digest(details), golden="sha256:g",
        **{"baseline": judged.baseline_version, "baseline_digest": judged.baseline_digest} | more,
    )  # fmt: skip


def rolled_out(store: Objects, number: int, run: str, stable: int | None, verdict: str = "pass") -> None:
    """Leave what rollout leaves."""
    finding = Finding("errors", 3, 900, "fail where stable answers", -2.1, "good")
    step = JudgedStep(10, 30.0, verdict, findings=(finding,))
    told = Rollout("pets", number, run, stable, WHEN.format(number), verdict, "", (step,), WHEN.format(number))
    store.write(keys.rollout_key("pets", run), encode(told))
    if verdict == "pass":
        store.write(keys.alias_key("pets", "stable"), encode(Alias("pets", number, WHEN.format(number), stable)))


def filled(root: Path) -> Objects:
    """Return a store: pets/1, pets/2 on the same data with fewer mistakes, and run ``third`` on other data."""
    root.mkdir(parents=True, exist_ok=True)
    store = open_store(root.as_uri())
    first = data(store)
    one = candidate(store, "first", first)
    judged = evaluated(store, "first", one.tree, first.digest, range(30))
    version(store, 1, one, judged)
    rolled_out(store, 1, "first", None)
    code = Code("pets:build", "code/2.zip", "sha256:c2", "b" * 40 + "-dirty")
    two = candidate(store, "second", first, code=code, hyperparameters={"epochs": 9})
    change = Change("accuracy", "not_worse", 0.01, 0.065, 0.04, 0.09, ROWS, "tango", "pass", 0.08)
    better = evaluated(
        store, "second", two.tree, first.digest, range(28, 34), baseline_version=1,
        baseline_metrics=judged.metrics, changes=(change,),
    )  # fmt: skip
    version(store, 2, two, better)
    rolled_out(store, 2, "second", 1)
    other = data(store, version=2, parent=first.digest)
    three = candidate(store, "third", other)
    evaluated(store, "third", three.tree, other.digest, range(60))
    return store
