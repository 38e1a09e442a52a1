"""Evaluation of real SavedModels from a store: verdicts both ways, a baseline, and what cannot be evaluated."""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.steps.training_data import CLASSES, COLUMNS, write_data

from colchis_steps._content.blobs import scan
from colchis_steps._data.dataset import open_data
from colchis_steps._evaluation.scores.classification import NAMES
from colchis_steps._formats.data_v1 import Column
from colchis_steps._formats.documents import converted, decode, encode, now
from colchis_steps._formats.models import Alias, Candidate, Code, Golden, Manifest, tree_digest
from colchis_steps._formats.runs import Evaluation, StepResult
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._rollout.golden import difference
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import json, sys
from pathlib import Path
import tensorflow as tf
from colchis_steps import evaluate
from colchis_steps._content.storing import store_directory
from colchis_steps._store.opening import open_store

class Model(tf.Module):
    def __init__(self, kind):
        self.kind = kind

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4], tf.uint8, name="image")])
    def serve(self, image):
        bright = tf.reduce_sum(tf.cast(image, tf.float32), axis=2)[:, :3]
        if self.kind == "bad":
            bright = bright * 0.0 + [1.0, 0.0, 0.0]
        if self.kind == "near":
            bright = bright * 1.01
        if self.kind == "nan":
            bright = bright / 0.0 * 0.0
        if self.kind == "reads":
            bright = bright + 0.0 * tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
        probability = bright if self.kind == "logits" else tf.nn.softmax(bright)
        return {"class": tf.argmax(probability, axis=-1), "probability": probability}

top, store = Path(sys.argv[1]), open_store(sys.argv[2])
for kind in ("good", "bad", "near", "nan", "logits", "reads"):
    model = Model(kind)
    tf.saved_model.save(model, str(top / kind), signatures={"serving_default": model.serve})
    store_directory(store, top / kind)
print("ready", flush=True)
for line in sys.stdin:
    print(evaluate.main(json.loads(line)), flush=True)
"""


@dataclass
class Gate:
    """A process that evaluates: TensorFlow starts once for all cases."""

    root: Path
    process: subprocess.Popen[str]

    @property
    def store(self) -> str:
        return (self.root / "store").as_uri()

    def candidate(self, kind: str, run: str) -> Candidate:
        files = tuple(scan(self.root / kind))
        tree = tree_digest(files)
        return Candidate(run, "thirds", files, tree, "", "sha256:d", Code("m:f"), {}, {"inputs": {}}, {}, now())

    def judge(self, kind: str, run: str, thresholds: object, *flags: str, data: str = "data") -> int:
        """Evaluate a model as the candidate of the run; give the exit code."""
        open_store(self.store).write(f"runs/{run}/candidate/model.json", encode(self.candidate(kind, run)))
        uri = (self.root / data).as_uri()
        base = [f"--store={self.store}", f"--run={run}", "--model=thirds", f"--data={uri}"]
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([*base, f"--thresholds={json.dumps(thresholds)}", *flags]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def serve(self, kind: str | None, version: int = 1) -> None:
        """Let the alias stable name a version with these files, or nothing."""
        store, alias = open_store(self.store), "models/thirds/aliases/stable.json"
        if kind is None:
            store.delete(alias)
            return
        files = self.candidate(kind, "old").files
        manifest = Manifest("thirds", version, "old", files, tree_digest(files), now())
        store.write(f"models/thirds/{version}/manifest.json", encode(manifest))
        store.write(alias, encode(Alias("thirds", version, now())))

    def message(self, run: str) -> str:
        return self.record(run).message

    def record(self, run: str) -> StepResult:
        return decode(StepResult, open_store(self.store).read(f"runs/{run}/evaluate.json"), "evaluate.json")

    def result(self, run: str) -> tuple[StepResult, Evaluation]:
        found = self.record(run)
        return found, converted(found.details, Evaluation)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    root = tmp_path_factory.mktemp("gate")
    (root / "store").mkdir()
    write_data(root / "data", {"train": [3], "eval": [3], "test": [201, 99]})
    wide = (Column(name="image", dtype="float32", shape=(4, 4)), COLUMNS[1])
    write_data(root / "other", {"train": [3], "eval": [3], "test": [30]}, wide)
    command = [sys.executable, "-c", SCRIPT, str(root), (root / "store").as_uri()]
    pipe = subprocess.PIPE
    with (
        (root / "log").open("w") as log,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "ready\n", (root / "log").read_text()
        yield Gate(root, process)  # leaving closes stdin, and that ends it


def test_a_good_model_passes(gate: Gate, tmp_path: Path) -> None:
    gate.serve(None)
    wanted = {"accuracy": {"min": 0.9, "min_change": -0.01}, "loss": {"max": 0.5}, "recall/*": {"min": 0.8}}
    assert gate.judge("good", "good", wanted, f"--verdict-path={tmp_path / 'verdict'}") == 0
    assert (tmp_path / "verdict").read_text() == "pass"
    found, details = gate.result("good")
    assert (found.status, found.verdict) == ("succeeded", "pass")
    rows = open_store(gate.store).read("runs/good/golden.json")
    assert found.outputs == {
        "verdict": "pass",
        "tree": gate.candidate("good", "good").tree,
        "evaluation": evaluation_digest(found.details),
        "golden": f"sha256:{hashlib.sha256(rows).hexdigest()}",
        "baseline": "none",
    }
    assert (details.verdict, details.tree, details.thresholds) == ("pass", found.outputs["tree"], wanted)
    assert details.metrics.keys() == set(NAMES)
    assert (details.task, details.rows, details.weight) == ("classification", 300, "")
    assert details.slices.keys() == {f"label={name}" for name in CLASSES}
    assert sum(map(sum, details.confusion)) == 300
    assert details.baseline_version is None
    assert len(details.samples) == 24
    golden = decode(Golden, open_store(gate.store).read("runs/good/golden.json"), "golden.json")
    assert {name: len(rows) for name, rows in golden.inputs.items()} == {"image": 32}
    assert {name: len(rows) for name, rows in golden.outputs.items()} == {"class": 32, "probability": 32}
    assert difference(golden.outputs, golden.outputs) == ""


def test_a_model_that_reads_files_is_not_loaded_unless_that_is_allowed(gate: Gate) -> None:
    gate.serve(None)
    assert gate.judge("reads", "reads", {}) == 65
    assert "the model of run reads reaches files, the network or code outside" in gate.message("reads")
    assert "(--allow-operations=ReadFile)" in gate.message("reads")
    assert gate.judge("reads", "reads", {}, "--allow-operations=ReadFile") == 0
    gate.serve("reads")
    assert gate.judge("good", "good-after", {}) == 65
    assert "the stable version 1 reaches" in gate.message("good-after")


def test_a_bad_model_fails_without_an_error(gate: Gate, tmp_path: Path) -> None:
    gate.serve(None)
    assert gate.judge("bad", "bad", {"accuracy": {"min": 0.9}}, f"--verdict-path={tmp_path / 'verdict'}") == 0
    assert (tmp_path / "verdict").read_text() == "fail"
    found, _ = gate.result("bad")
    assert found.message == "accuracy is 0.3333, below 0.9"


def test_fail_on_reject_writes_everything_and_ends_with_3(gate: Gate, tmp_path: Path) -> None:
    gate.serve(None)
    flags = (f"--verdict-path={tmp_path / 'verdict'}", "--fail-on-reject=true")
    assert gate.judge("bad", "rejected", {"accuracy": {"min": 0.9}}, *flags) == 3
    assert (tmp_path / "verdict").read_text() == "fail"
    assert gate.result("rejected")[0].verdict == "fail"


def test_the_served_version_is_the_baseline(gate: Gate) -> None:
    gate.serve("good", 7)
    assert gate.judge("good", "equal", {"accuracy": {"min_change": 0.0}}, "--first-model=reject") == 0
    found, details = gate.result("equal")
    assert (found.verdict, details.baseline_version) == ("pass", 7)
    assert details.baseline_metrics == details.metrics
    assert gate.judge("bad", "worse", {"accuracy": {"min_change": -0.01}}) == 0
    assert gate.result("worse")[0].verdict == "fail"


def test_what_the_rows_do_not_tell_is_left_open(gate: Gate, tmp_path: Path) -> None:
    gate.serve("good")
    flags = [f"--verdict-path={tmp_path / 'verdict'}"]
    wanted = {"accuracy": {"not_worse": 0.005}}
    assert gate.judge("near", "open", wanted, *flags) == 0
    assert (tmp_path / "verdict").read_text() == "undecided"
    found, details = gate.result("open")
    assert (found.status, found.verdict, details.verdict) == ("succeeded", "undecided", "undecided")
    (change,) = details.changes
    assert (change.test, change.value, change.rows, change.margin) == ("tango", 0.0, 300, 0.005)
    assert found.message.endswith("or a margin of 0.009 would")
    assert gate.judge("near", "open-no", wanted, *flags, "--fail-on-reject=true") == 3
    assert gate.judge("near", "told", {"accuracy": {"not_worse": 0.01}}) == 0
    assert gate.record("told").verdict == "pass"
    assert gate.judge("good", "same", wanted) == 0
    (change,) = gate.result("same")[1].changes
    assert (change.test, change.verdict) == ("equal", "pass")


def test_whoever_states_no_thresholds_is_protected(gate: Gate) -> None:
    gate.serve(None)
    assert gate.judge("bad", "constant", {}, "--thresholds=") == 0
    found, details = gate.result("constant")
    assert found.verdict == "fail"
    assert [check.rule for check in details.checks if not check.passed] == [
        "better than a constant answer",
        "each class is found",
        "enough rows for the margin",
        "answers differ by row",
    ]
    assert gate.judge("good", "sure", {"accuracy": {"min": 0.95, "confidence": 0.95}}) == 0
    assert gate.record("sure").verdict == "pass"
    gate.serve("good")
    assert gate.judge("bad", "worse", {}, "--thresholds=") == 0
    found, details = gate.result("worse")
    assert found.verdict == details.changes[0].verdict == "fail"
    assert found.message.startswith("accuracy changed by -0.")
    assert {change.metric for change in details.changes} > {"accuracy"}
    assert gate.judge("near", "default", {}, "--thresholds=") == 0
    assert gate.record("default").verdict == "pass"
    assert gate.judge("near", "refused", {"auc": {"not_worse": 0.01}}) == 65
    told = "told of accuracy, loss, brier, balanced_accuracy, macro_f1, macro_precision, ece alone"
    assert told in gate.message("refused")


def test_a_first_model_can_be_rejected(gate: Gate) -> None:
    gate.serve(None)
    assert gate.judge("good", "first", {}, "--first-model=reject") == 0
    assert gate.result("first")[0].verdict == "fail"


def test_a_model_that_gives_nan_never_passes(gate: Gate) -> None:
    gate.serve(None)
    assert gate.judge("nan", "nan", {}) == 0
    found, details = gate.result("nan")
    assert found.verdict == "fail"
    assert "NaN" in found.message
    assert found.details["metrics"] == dict.fromkeys(NAMES, "NaN")
    assert all(map(math.isnan, details.metrics.values()))
    golden = decode(Golden, open_store(gate.store).read("runs/nan/golden.json"), "golden.json")
    assert any(math.isnan(value) for row in golden.outputs["probability"] for value in row)
    assert difference(golden.outputs, golden.outputs) == ""


def test_a_model_that_gives_no_probabilities_never_passes(gate: Gate) -> None:
    gate.serve(None)
    assert gate.judge("logits", "logits", {}) == 0
    found, details = gate.result("logits")
    assert found.verdict == "fail"
    assert found.message.startswith("the model gives rows like [")
    assert found.message.endswith(", which are no probabilities")
    assert details.metrics["accuracy"] > 0.9  # what is wrong with it is not the class


def test_unknown_metric_says_what_there_is(gate: Gate) -> None:
    assert gate.judge("good", "typo", {"acuracy": {"min": 0.9}}) == 65
    assert "only accuracy, auc, auprc, balanced_accuracy, brier, ece, f1/*, loss, macro_f1" in gate.message("typo")


def test_data_that_the_model_does_not_take_is_said(gate: Gate) -> None:
    assert gate.judge("good", "other", {}, data="other") == 65
    assert "takes image uint8[4, 4], and the data has image float32[4, 4]" in gate.message("other")


def test_what_is_not_what_the_workflow_hands_on_is_refused(gate: Gate) -> None:
    data = open_data((gate.root / "data").as_uri()).manifest.digest
    tree = gate.candidate("good", "handed").tree
    assert gate.judge("good", "handed", {}, f"--tree={tree}", f"--data-digest={data}") == 0
    assert gate.judge("bad", "handed", {}, f"--tree={tree}", f"--data-digest={data}") == 65
    assert tree in gate.message("handed")
    assert gate.candidate("bad", "handed").tree in gate.message("handed")
    assert gate.judge("good", "handed", {}, "--data-digest=sha256:other") == 65
    assert data in gate.message("handed")
    assert "sha256:other was validated" in gate.message("handed")


def test_each_part_has_a_container_of_its_own(gate: Gate, tmp_path: Path) -> None:
    """The one that asks the models gets no store: it is given one that is not there."""
    gate.serve("bad")
    parts = [
        f"--given={tmp_path / 'given'}",
        f"--answers={tmp_path / 'answers'}",
        f"--measured={tmp_path / 'measured'}",
    ]
    assert gate.judge("good", "parts", {"accuracy": {"min_change": 0}}, "--part=fetch", *parts) == 0
    nowhere = f"--store={(tmp_path / 'nowhere').as_uri()}"
    assert gate.judge("good", "parts", {}, "--part=ask", *parts, nowhere) == 0
    assert not (tmp_path / "nowhere").exists()
    assert gate.judge("good", "parts", {"accuracy": {"min_change": 0}}, "--part=judge", *parts) == 0
    record, found = gate.result("parts")
    assert (record.verdict, found.baseline_version, found.metrics["accuracy"]) == ("pass", 1, 1.0)
    gate.serve(None)


def test_bad_input_of_an_early_part_is_reported_by_the_last(gate: Gate, tmp_path: Path) -> None:
    parts = [
        f"--given={tmp_path / 'given'}",
        f"--answers={tmp_path / 'answers'}",
        f"--measured={tmp_path / 'measured'}",
    ]
    for part in ("fetch", "ask"):
        assert gate.judge("good", "odd", {}, f"--part={part}", *parts, data="other") == 0
    assert gate.judge("good", "odd", {}, "--part=judge", *parts, data="other") == 65
    assert "the data has" in gate.message("odd")


@pytest.mark.parametrize("name", ["golden.json", "answers.json", "candidate-0.npy", "refusal.json"])
def test_answers_that_lead_elsewhere_are_not_followed(gate: Gate, tmp_path: Path, name: str) -> None:
    """The container that writes them has no key, and gets none to see by a link."""
    parts = [
        f"--given={tmp_path / 'given'}",
        f"--answers={tmp_path / 'answers'}",
        f"--measured={tmp_path / 'measured'}",
    ]
    for part in ("fetch", "ask"):
        assert gate.judge("good", "linked", {}, f"--part={part}", *parts) == 0
    (tmp_path / "answers" / name).unlink(missing_ok=True)
    (tmp_path / "answers" / name).symlink_to("/etc/passwd")
    assert gate.judge("good", "linked", {}, "--part=judge", *parts) == 65
    assert f"the answers hold {name!r}, which is no plain file" in gate.message("linked")


def test_an_altered_blob_is_never_loaded(gate: Gate) -> None:
    candidate = gate.candidate("bad", "altered")
    blob = gate.root / "store" / "blobs" / "sha256" / candidate.files[-1].sha256
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"!")
    assert gate.judge("bad", "altered", {}) == 65
    blob.write_bytes(whole)
    assert "store the model again" in gate.message("altered")


def test_a_run_without_a_model_is_said(gate: Gate) -> None:
    data = f"--data={(gate.root / 'data').as_uri()}"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "colchis_steps.evaluate",
            f"--store={gate.store}",
            "--run=absent",
            "--model=thirds",
            data,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 65
    assert "has no runs/absent/candidate/model.json" in done.stderr


def test_budgets_are_measured_where_they_are_asked_for_and_the_signature_is_told(gate: Gate) -> None:
    gate.serve(None)
    wanted = {
        "accuracy": {"min": 0.9},
        "p95_ms/*": {"max": 60_000},
        "memory_mib": {"max": 1e-6},
        "size_mib": {"max": 9},
    }
    assert gate.judge("good", "costs", wanted) == 0
    found, details = gate.result("costs")
    assert found.message.startswith("memory_mib is ")
    assert found.message.endswith(", above 1e-06")
    assert details.costs.keys() == {
        "size_mib", "memory_mib", "p50_ms/rows=1", "p95_ms/rows=1", "p50_ms/rows=32", "p95_ms/rows=32"
    }  # fmt: skip
    assert 0 < details.costs["p50_ms/rows=1"] <= details.costs["p95_ms/rows=1"]
    assert details.signature["inputs"] == {"image": {"dtype": "uint8", "shape": [None, 4, 4]}}
    assert details.signature["outputs"].keys() == {"class", "probability"}
    assert gate.judge("good", "free", {"accuracy": {"min": 0.9}}) == 0
    assert gate.result("free")[1].costs.keys() == {"size_mib"}
