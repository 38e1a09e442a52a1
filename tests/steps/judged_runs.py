"""Runs that evaluate judges by answers that a test gives, so that no model is loaded, and versions made of them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tests.steps.registered import put_on_record
from tests.steps.task_data import write_set

from colchis_steps import evaluate
from colchis_steps._formats.data import Task
from colchis_steps._formats.documents import converted, encode, now
from colchis_steps._formats.evaluation import Answers
from colchis_steps._formats.keys import alias_key, candidate_key
from colchis_steps._formats.models import Alias, Candidate, Code, File, Golden, Manifest, Record, tree_digest
from colchis_steps._formats.runs import Evaluation, StepResult
from colchis_steps._store.documents import find_step, read_document
from colchis_steps._store.opening import open_store

MODEL = "risk"
ROWS = 400
RIGHT = np.arange(ROWS) % 2  # the class of each row


def probabilities(said: Any) -> Any:
    """Return the answers of a model that says these classes, float32 [rows, 2]."""
    said = np.asarray(said)
    return np.stack([0.9 - 0.8 * said, 0.1 + 0.8 * said], axis=1).astype(np.float32)


def wrong_on(count: int, first: int = 0) -> Any:
    """Return the answers of a model that is wrong on so many rows."""
    said = RIGHT.copy()
    said[first : first + count] = 1 - said[first : first + count]
    return probabilities(said)


class Judged:
    """A store, two classes in its data, and runs of one model."""

    def __init__(self, root: Path, rows: Mapping[str, Any] | None = None, **columns: Any) -> None:
        self.root = root
        (root / "store").mkdir(parents=True)
        self.store = open_store((root / "store").as_uri())
        given = rows or {"x": np.arange(ROWS, dtype=np.float32), "ill": np.where(RIGHT, "yes", "no")}
        self.data = write_set(root / "data", given, Task("classification", ("ill",), ("no", "yes")), **columns)

    def flags(self, run: str, *more: str) -> list[str]:
        outputs = [f"--{name}-path={self.root / run / name}" for name in ("verdict", "tree", "evaluation", "baseline")]
        return [f"--store={self.store.url}", f"--run={run}", f"--model={MODEL}", f"--data={self.data}", *outputs, *more]

    def output(self, run: str, name: str) -> str:
        return (self.root / run / name).read_text()

    def candidate(self, run: str) -> Candidate:
        content = run.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        self.store.write(f"blobs/sha256/{sha256}", content)
        files = (File("saved_model.pb", len(content), sha256),)
        return Candidate(run, MODEL, files, tree_digest(files), "", "", Code("m:f"), {}, {"inputs": {}}, {}, now())

    def judge(self, run: str, answers: Any, *more: str, baseline: Any = None, told: Answers | None = None) -> int:
        """Evaluate the run's candidate, which answers so; ``baseline`` is how the stable version does, if asked."""
        self.store.write(candidate_key(run), encode(self.candidate(run)))
        places = {name: self.root / run / name for name in ("given", "answers", "measured")}
        flags = self.flags(run, *(f"--{name}={place}" for name, place in places.items()), *more)
        if code := evaluate.main([*flags, "--part=fetch"]):
            return code
        places["answers"].mkdir(parents=True, exist_ok=True)
        for name, found in (("candidate", answers), ("baseline", baseline)):
            if found is not None:
                np.save(places["answers"] / f"{name}-0.npy", found)
        here = open_store(places["answers"].as_uri())
        here.write("golden.json", encode(Golden(run, {"x": [1.0]}, {"probability": [[0.5, 0.5]]})))
        here.write("answers.json", encode(told or Answers("", ("probability",))))
        return evaluate.main([*flags, "--part=judge"])

    def again(self, run: str, *more: str) -> int:
        """Judge it once more, as the workflow does with what evaluate handed on."""
        given = [f"--{name}={self.output(run, name)}" for name in ("tree", "evaluation")]
        return evaluate.main(self.flags(run, *given, "--part=again", *more))

    def result(self, run: str) -> StepResult:
        found = find_step(self.store, run, "evaluate")
        assert found
        return found

    def found(self, run: str) -> Evaluation:
        return converted(self.result(run).details, Evaluation)

    def serve(self, run: str, version: int, **fields: Any) -> Record:
        """Put the run's model on record as this version, and make it the stable one."""
        made = read_document(self.store, candidate_key(run), Candidate)
        manifest = Manifest(MODEL, version, run, made.files, made.tree, now())
        given = {"evaluation": self.output(run, "evaluation")} | fields
        record = put_on_record(self.store, manifest, f"host/{MODEL}@sha256:{version:064}", **given)
        self.store.write(alias_key(MODEL, "stable"), encode(Alias(MODEL, version, now())))
        return record
