"""What a training exports, for models of many kinds, as a server loads it: one TensorFlow process trains all."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps.training_data import CLASSES, shard_of, write_manifest

from colchis_steps._formats.data_v1 import Column, Shard

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import json, pathlib, sys
import numpy as np
from colchis_steps import worker
from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.documents import decode
from colchis_steps._formats.training import Result
from colchis_steps._savedmodel.loading import SavedModel
from colchis_steps._models.candidates import blobs_of
from colchis_steps._store.opening import open_store
root = pathlib.Path(sys.argv[1])
for name, data, more in json.loads(sys.argv[2]):
    top = root / name
    flags = [f"--store={top.as_uri()}", "--run=r", "--model=m", f"--data={(root / data).as_uri()}"]
    given = json.dumps({"epochs": 2, "global_batch": 8} | more)
    code = worker.main([*flags, f"--entry=mine:{name.partition('-')[0]}", f"--hyperparameters={given}"])
    made = {"code": code}
    if code:
        made["sentence"] = json.loads((top / "runs/r/training/worker-0.failure.json").read_text())["sentence"]
        made["trained"] = (top / "runs/r/training/history.json").exists()
    else:
        found = decode(Result, (top / "runs/r/training/result.json").read_bytes(), "result")
        fetch_files(blobs_of(open_store(top.as_uri()), "r"), found.files, top / "model")
        loaded = SavedModel(top / "model")
        with np.load(root / data / "test-00000.npz") as rows:
            answer = loaded.predict({name: rows[name] for name in loaded.inputs})
        made["inputs"] = {n: [t.dtype, list(t.shape)] for n, t in loaded.inputs.items()}
        made["outputs"] = {n: np.asarray(v, np.float64).tolist() for n, v in answer.items()}
        made["warms up"] = (top / "model/assets.extra/tf_serving_warmup_requests").exists()
        made["history"] = [epoch.eval for epoch in found.history]
    print(json.dumps(made), flush=True)
"""
CODE = """
import keras
import numpy as np
from colchis_steps.context import Training

def dense(last, loss, activation="softmax", units=8):
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Dense(units, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(last, activation=activation)(x))
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    return model

def plain(context):
    return dense(3, "sparse_categorical_crossentropy")

def logits(context):
    return dense(3, keras.losses.SparseCategoricalCrossentropy(from_logits=True), None)

def twice(context):
    return dense(3, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

def raw(context):
    return dense(3, "sparse_categorical_crossentropy", None)

def one_unit(context):
    return dense(1, keras.losses.BinaryCrossentropy(from_logits=True), None)

def one_sigmoid(context):
    return dense(1, "binary_crossentropy", "sigmoid")

def weighted(context):
    return Training(dense(3, "sparse_categorical_crossentropy"), weights="age")

def conv(context):
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Conv1D(8, 3, padding="same")(keras.layers.Reshape((4, 1))(inputs))
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def jobs(context):
    job = keras.Input((), name="job", dtype="string")
    age = keras.Input((), name="age")
    lookup = keras.layers.StringLookup(vocabulary=["cook", "pilot", "poet"], output_mode="one_hot")
    x = keras.layers.Concatenate()([lookup(job), keras.layers.Reshape((1,))(age)])
    model = keras.Model([job, age], keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def closed(context):
    job = keras.Input((), name="job", dtype="string")
    known = {"vocabulary": ["cook", "pilot", "poet"], "mask_token": None, "num_oov_indices": 0}
    x = keras.layers.StringLookup(output_mode="one_hot", **known)(job)
    model = keras.Model(job, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def shortens(context):
    return Training(jobs(context), transform=lambda rows, random: rows | {"job": rows["job"].astype("<U4")})

def lengthens(context):
    def dataset(context, split, epoch):
        return (rows | {"job": np.char.add(rows["job"], ", retired")} for rows in context.blocks(split, epoch))
    return Training(jobs(context), dataset=dataset)

def default(context):
    from colchis_steps.classifier import build
    return build(context)

def heads(context):
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Dense(8, activation="tanh")(inputs)
    outputs = {"kind": keras.layers.Dense(3, activation="softmax")(x), "size": keras.layers.Dense(2)(x)}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": None})
    return model

def text(context):
    words = keras.Input((1,), name="job", dtype="string")
    vectors = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=3)
    vectors.adapt(np.concatenate([rows["job"] for rows in context.blocks("train", 0)]))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4)(vectors(words)))
    model = keras.Model(words, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def halves(context):
    inputs = keras.Input((4,), name="x")
    outputs = {"kind": keras.layers.Dense(3, activation="softmax")(inputs), "odd": keras.layers.Lambda(
        lambda x: keras.ops.cast(x, "complex64"))(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "odd": None})
    return model
"""
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("three", {}),
    "plain-mixed_bfloat16": ("three", {"precision": "mixed_bfloat16"}),
    "plain-mixed_float16": ("three", {"precision": "mixed_float16"}),
    "conv-mixed_bfloat16": ("three", {"precision": "mixed_bfloat16"}),
    "logits": ("three", {}),
    "twice": ("three", {}),
    "raw": ("three", {}),
    "one_unit": ("two", {}),
    "one_sigmoid": ("two", {}),
    "weighted": ("three", {}),
    "jobs": ("three", {}),
    "closed": ("three", {}),
    "shortens": ("three", {}),
    "lengthens": ("three", {}),
    "default": ("three", {}),
    "heads": ("three", {}),
    "text": ("three", {}),
    "halves": ("three", {}),
}
JOBS = np.array(["cook", "pilot", "poet"])


def write(directory: Path, classes: tuple[str, ...]) -> None:
    directory.mkdir()
    random, splits = np.random.default_rng(5), dict[str, tuple[Shard, ...]]()
    for split, count in {"train": 48, "eval": 16, "test": 12}.items():
        labels = np.arange(count, dtype=np.int64) % len(classes)
        x = random.normal(size=(count, 4)).astype(np.float32)
        x[np.arange(count), labels] += 3
        columns = {"x": x, "job": JOBS[labels], "age": x[:, 3].clip(0) + 1, "label": labels}
        splits[split] = (shard_of(directory, f"{split}-00000.npz", columns),)
    last = float(len(classes) - 1)
    label = Column("label", "int64", (), 0.0, last, classes)
    write_manifest(
        directory, splits, (Column("x", "float32", (4,)), Column("job", "<U5"), Column("age", "float32"), label)
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def made(root: Path) -> dict[str, Any]:
    write(root / "three", CLASSES)
    write(root / "two", CLASSES[:2])
    (root / "mine.py").write_text(CODE)
    runs = [[name, *run] for name, run in RUNS.items()]
    command = [sys.executable, "-c", SCRIPT, str(root), json.dumps(runs)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(RUNS, map(json.loads, done.stdout.splitlines()), strict=True))


SERVED = [name for name in RUNS if name not in {"raw", "halves", "default"}]


@pytest.mark.parametrize("name", SERVED)
def test_what_is_served_gives_probabilities_and_their_class(made: dict[str, Any], name: str) -> None:
    assert made[name]["code"] == 0, made[name]["sentence"]
    probability = np.array(made[name]["outputs"]["probability"])
    assert probability.shape == (12, 2 if name.startswith("one_") else 3)
    assert probability.min() >= 0
    np.testing.assert_allclose(probability.sum(1), 1, atol=0.01)
    assert made[name]["outputs"]["class"] == probability.argmax(1).tolist()


@pytest.mark.parametrize("name", ["logits", "one_unit", "one_sigmoid", "jobs", "closed", "text", "weighted"])
def test_what_is_served_has_learnt(made: dict[str, Any], name: str) -> None:
    labels = np.arange(12) % (2 if name.startswith("one_") else 3)
    assert (np.array(made[name]["outputs"]["class"]) == labels).mean() > 0.6


def test_a_softmax_is_put_after_logits_whatever_the_last_layer_is(made: dict[str, Any]) -> None:
    """A softmax of probabilities is nearly flat: that is what training took them for, and so what is served."""
    assert np.array(made["logits"]["outputs"]["probability"]).max() > 0.6
    assert np.array(made["twice"]["outputs"]["probability"]).max() < 0.577  # e / (e + 2)


@pytest.mark.parametrize("name", ["plain-mixed_bfloat16", "plain-mixed_float16"])
def test_half_precision_is_about_as_good(made: dict[str, Any], name: str) -> None:
    found, wanted = (np.array(made[n]["outputs"]["probability"]) for n in (name, "plain"))
    np.testing.assert_allclose(found, wanted, atol=0.05)
    accuracy, single = (made[n]["history"][-1]["accuracy"] for n in (name, "plain"))
    assert accuracy == pytest.approx(single, abs=0.13)  # two of sixteen rows


def test_text_and_numbers_are_served_by_name(made: dict[str, Any]) -> None:
    assert made["jobs"]["inputs"] == {"age": ["float32", [None]], "job": ["string", [None]]}


def test_a_model_that_refuses_empty_text_asks_no_server_to_warm_up_with_it(made: dict[str, Any]) -> None:
    assert (made["jobs"]["warms up"], made["closed"]["warms up"]) == (True, False)


def test_weights_are_no_input_of_the_served_model(made: dict[str, Any]) -> None:
    assert made["weighted"]["inputs"] == {"x": ["float32", [None, 4]]}


def test_further_outputs_are_served_by_their_names(made: dict[str, Any]) -> None:
    assert made["heads"]["outputs"].keys() == {"class", "probability", "size"}
    assert np.array(made["heads"]["outputs"]["size"]).shape == (12, 2)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("raw", "not probabilities; end it with a softmax"),
        ("halves", "complex64"),
    ],
)
def test_what_cannot_be_served_is_said_before_the_first_epoch(made: dict[str, Any], name: str, sentence: str) -> None:
    assert made[name]["code"] == 65
    assert sentence in made[name]["sentence"]
    assert not made[name]["trained"]
