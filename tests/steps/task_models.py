"""SavedModels of any task, for tests: a process that saves and evaluates them, so that TensorFlow starts once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from colchis_steps._content.blobs import scan
from colchis_steps._formats.documents import converted, decode, encode, now
from colchis_steps._formats.models import Alias, Candidate, Code, Manifest, tree_digest
from colchis_steps._formats.runs import Evaluation, StepResult
from colchis_steps._store.opening import open_store

SCRIPT = """
import json, sys
from pathlib import Path
import tensorflow as tf
from colchis_steps import evaluate
from colchis_steps._content.storing import store_directory
from colchis_steps._store.opening import open_store

FLOAT, TEXT = tf.float32, tf.string

class Model(tf.Module):
    def __init__(self, call, inputs):
        specs = [tf.TensorSpec([None], dtype, name=name) for name, dtype in inputs.items()]
        self.serve = tf.function(call, input_signature=specs)

def column(*values):
    return tf.stack(values, axis=1)

def linear(x, z):
    return {"value": column(2 * x + z)}

def mean(x, z):
    return {"value": column(0 * x + 1)}

def infinite(x, z):
    return {"value": column(x / 0.0)}

def two(x, z):
    return {"value": column(2 * x + z, x - z)}

def tags(text):
    found = [tf.cast(tf.strings.regex_full_match(text, f".*{word}.*"), tf.float32) for word in ("red", "blue", "new")]
    return {"probability": 0.1 + 0.8 * column(*found)}

def picture(tile):
    long = tf.cast(tf.strings.length(tile) > 90, tf.float32)
    return {"probability": column(1 - long, long)}

def risk(x, z):
    p = tf.sigmoid(4 * x)
    return {"probability": column(1 - p, p), "class": tf.cast(p > 0.5, tf.int64)}

def never(x, z):
    return {"probability": column(0 * x + 0.9, 0 * x + 0.1)}

def odd(x, z):
    return {"left": column(x, z), "right": x + z, "said": tf.strings.as_string(x)}

def fails(x, z):
    with tf.control_dependencies([tf.debugging.assert_less(x, 0.0)]):
        return {"value": column(x)}

top, store = Path(sys.argv[1]), open_store(sys.argv[2])
numbers = {"x": FLOAT, "z": FLOAT}
inputs = {"tags": {"text": TEXT}, "picture": {"tile": TEXT}}
for call in (picture, linear, mean, infinite, two, tags, risk, never, odd, fails):
    model = Model(call, inputs.get(call.__name__, numbers))
    tf.saved_model.save(model, str(top / call.__name__), signatures={"serving_default": model.serve})
    store_directory(store, top / call.__name__)
print("ready", flush=True)
for line in sys.stdin:
    print(evaluate.main(json.loads(line)), flush=True)
"""


@dataclass
class Judge:
    """The process, and what it has found."""

    root: Path
    process: subprocess.Popen[str]

    @property
    def store(self) -> str:
        return (self.root / "store").as_uri()

    def candidate(self, kind: str, run: str) -> Candidate:
        files = tuple(scan(self.root / kind))
        return Candidate(run, "m", files, tree_digest(files), "", "", Code("m:f"), {}, {"inputs": {}}, {}, now())

    def __call__(self, kind: str, run: str, data: str, *flags: str) -> int:
        """Evaluate a model as the candidate of the run on a data set's URI; give the exit code."""
        open_store(self.store).write(f"runs/{run}/candidate/model.json", encode(self.candidate(kind, run)))
        line = json.dumps([f"--store={self.store}", f"--run={run}", "--model=m", f"--data={data}", *flags])
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def serve(self, kind: str | None, version: int = 1) -> None:
        """Let the alias stable name a version with these files, or nothing."""
        store, alias = open_store(self.store), "models/m/aliases/stable.json"
        if kind is None:
            store.delete(alias)
            return
        files = self.candidate(kind, "old").files
        store.write(
            f"models/m/{version}/manifest.json",
            encode(Manifest("m", version, "old", files, tree_digest(files), now())),
        )
        store.write(alias, encode(Alias("m", version, now())))

    def record(self, run: str) -> StepResult:
        return decode(StepResult, open_store(self.store).read(f"runs/{run}/evaluate.json"), "evaluate.json")

    def found(self, run: str) -> Evaluation:
        return converted(self.record(run).details, Evaluation)


@contextmanager
def judging(root: Path) -> Iterator[Judge]:
    """Yield the process, once its models are stored."""
    (root / "store").mkdir()
    command, pipe = [sys.executable, "-c", SCRIPT, str(root), (root / "store").as_uri()], subprocess.PIPE
    with (
        (root / "log").open("w") as log,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "ready\n", (root / "log").read_text()
        yield Judge(root, process)  # leaving closes stdin, and that ends it
