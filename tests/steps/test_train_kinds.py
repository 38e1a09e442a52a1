"""Columns of every kind, targets of every form: pictures, sentences, weights, sequences, none; two workers as one."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.steps import tables
from tests.steps.onnx_models import thirds
from tests.steps.training_data import Trainer

from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.data import Task
from colchis_steps._models.candidates import blobs_of
from colchis_steps._savedmodel.loading import SavedModel
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
FAST = '--hyperparameters={"epochs": 4, "global_batch": 32}'


def trained(root: Path, table: pa.Table, task: Task, *flags: str, code: str = "", **kinds: Any) -> Trainer:
    made = Trainer(root, tables.write_table(root / "data", tables.divided(table), task, **kinds))
    done = made.train("r1", *flags, code=code)
    assert done.returncode == 0, done.stderr
    return made


def judged(trainer: Trainer, name: str) -> float:
    """Return a metric of the last epoch on the rows of the split eval."""
    return float(trainer.result("r1").details["history"][-1]["eval"][name])


def exported(trainer: Trainer, to: Path) -> Any:
    """Load what the trainer made."""
    import tensorflow as tf

    fetch_files(blobs_of(open_store(trainer.store), "r1"), trainer.candidate("r1").files, to)
    return tf.saved_model.load(str(to)).signatures["serving_default"]


def tiles(count: int) -> tuple[pa.Table, Task]:
    """Tiles of scikit-learn's two photographs, JPEG or WebP, of two sizes; what is asked is the photograph."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random, rows, labels = np.random.default_rng(0), [], []
    photographs = load_sample_images().images
    for i in range(count):
        picture, side = photographs[i % 2], 32 if i % 5 else 40
        y, x = (int(random.integers(0, length - side)) for length in picture.shape[:2])
        content = io.BytesIO()
        Image.fromarray(picture[y : y + side, x : x + side]).save(content, "WEBP" if i % 3 else "JPEG")
        rows.append(content.getvalue())
        labels.append(("china", "flower")[i % 2])
    return pa.table({"image": rows, "label": labels}), Task("classification", ("label",), ("china", "flower"))


def test_pictures_are_decoded_in_the_model(tmp_path: Path) -> None:
    table, task = tiles(300)
    made = trained(tmp_path, table, task, media={"image": "image/*"})
    assert judged(made, "accuracy") > 0.85
    candidate = made.candidate("r1")
    assert candidate.signature["inputs"] == {"image": {"dtype": "string", "shape": [None]}}
    serve = exported(made, tmp_path / "model")
    found = serve(image=table["image"].to_pylist())["class"].numpy()
    assert np.mean(found == np.arange(len(found)) % 2) > 0.85
    assert serve(image=[b""])["class"].shape == (1,)  # no picture is a black one
    loaded = SavedModel(tmp_path / "model")
    assert loaded.warm_up(["image"])
    assert loaded.rows_apart  # so that requests are batched


def sentences(count: int) -> tuple[pa.Table, Task]:
    random = np.random.default_rng(0)
    words = {"good": ["great", "Lovely", "fine", "superb"], "bad": ["awful", "poor", "BROKEN", "late"]}
    filler = ["the", "parcel", "came", "on", "a", "day", "and", "it", "was", "yesterday", "again", "with", "us"]
    rows = []
    for i in range(count):
        label = ("bad", "good")[i % 2]
        text = [str(word) for word in random.choice(filler, 7)]
        text.insert(int(random.integers(0, 7)), str(random.choice(words[label])) + random.choice([".", ",", "!"]))
        rows.append((" ".join(text), label))
    return pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), Task(
        "classification", ("label",), ("bad", "good")
    )


def test_sentences_are_read_by_their_words(tmp_path: Path) -> None:
    made = trained(tmp_path, *sentences(1200))
    assert judged(made, "accuracy") > 0.9
    serve = exported(made, tmp_path / "model")
    assert serve(text=["it was SUPERB, again and again", "a broken parcel"])["class"].numpy().tolist() == [1, 0]


def everything(count: int) -> tuple[pa.Table, Task]:
    """Columns of every type, nulls in most; the label follows the job, the day of the week, the codes and the size."""
    random = np.random.default_rng(0)
    jobs, days = random.choice(["poet", "smith", "clerk"], count), random.integers(0, 700, count)
    codes = [random.integers(0, 5, int(random.integers(0, 4))).tolist() for _ in range(count)]
    size = random.normal(50, 10, count)
    label = (jobs == "poet").astype(int) + (size > 50) + np.array([3 in row for row in codes]) >= 2
    table = {
        "job": pa.array([None if i % 11 == 0 else job for i, job in enumerate(jobs)]),
        "size": pa.array([None if i % 13 == 0 else value for i, value in enumerate(size)], pa.float64()),
        "count": pa.array([None if i % 7 == 0 else int(value) for i, value in enumerate(random.integers(0, 4, count))]),
        "day": pa.array(days.astype("int32"), pa.int32()).cast(pa.date32()),
        "at": pa.array([None if i % 5 == 0 else int(day) * 10**6 for i, day in enumerate(days)], pa.timestamp("us")),
        "codes": pa.array(codes, pa.list_(pa.int64())),
        "tags": pa.array([[f"t{code}" for code in row] for row in codes], pa.list_(pa.string())),
        "vector": pa.array(random.normal(size=(count, 3)).tolist(), pa.list_(pa.float32(), 3)),
        "flag": random.integers(0, 2, count).astype(bool),
        "raw": pa.array([b"\xff"] * count),
        "label": np.where(label, "yes", "no"),
    }
    return pa.table(table), Task("classification", ("label",), ("no", "yes"))


def test_columns_of_every_type_are_taken(tmp_path: Path) -> None:
    made = trained(tmp_path, *everything(1500))
    assert judged(made, "accuracy") > 0.8
    taken = made.candidate("r1").signature["inputs"]
    assert "raw" not in taken
    assert {"job__valid", "count__valid", "at__valid", "codes__mask", "tags__mask"} <= taken.keys()


@pytest.mark.long
def test_two_workers_make_what_one_makes_of_strings_and_nulls(tmp_path: Path) -> None:
    made = trained(tmp_path, *everything(300), '--hyperparameters={"epochs": 2, "global_batch": 30, "dropout": 0}')
    again = made.train(
        "r2", "--workers=2", '--hyperparameters={"epochs": 2, "global_batch": 30, "dropout": 0}', code=""
    )
    assert again.returncode == 0, again.stderr
    one, two = made.state("r1"), made.state("r2")
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], rtol=1e-3, atol=1e-5, err_msg=name)


def imbalanced(weigh: float) -> tuple[pa.Table, Task]:
    """The tumours of scikit-learn, of which one in ten of the malignant is left, with a column of weights."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    kept = (found.target == 1) | (np.arange(len(found.target)) % 10 == 0)
    x, y = found.data[kept], found.target[kept]
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    columns |= {"weight": np.where(y == 0, weigh, 1.0), "label": np.array(found.target_names)[y]}
    return pa.table(columns), Task("classification", ("label",), ("malignant", "benign"))


ONE = """
import keras
from colchis_steps.context import Training

def build(context):
    '''A bias alone: what it learns is the share of the classes, as they are weighted.'''
    x = keras.Input((), name="x0", dtype="float64")
    one = keras.layers.Rescaling(0.0, 1.0, dtype="float32")(keras.layers.Reshape((1,))(x))
    model = keras.Model(x, keras.layers.Dense(len(context.classes), activation="softmax")(one))
    model.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    assert context.weight in ("", "weight") and "weight" not in context.columns
    return model
"""


@pytest.mark.parametrize(
    ("weigh", "hyper", "share"),
    [
        (1.0, {}, (0.0, 0.12)),  # 21 of 378 rows
        (17.0, {}, (0.4, 0.6)),
        (1.0, {"class_weight": "balanced"}, (0.4, 0.6)),
    ],
    ids=["alike", "weights", "balanced"],
)
def test_weights_and_balance_act(
    tmp_path: Path, weigh: float, hyper: dict[str, Any], share: tuple[float, float]
) -> None:
    table, task = imbalanced(weigh)
    roles = {"roles": {"weight": "weight"}} if weigh > 1 else {}
    table = table if roles else table.drop(["weight"])
    flags = ["--entry=mine:build", f"--hyperparameters={json.dumps({'epochs': 60, 'global_batch': 512, **hyper})}"]
    made = trained(tmp_path, table, task, *flags, code=ONE, **roles)
    serve = exported(made, tmp_path / "model")
    found = float(serve(x0=np.array([1.0]))["probability"].numpy()[0, 0])
    assert share[0] < found < share[1]


OWN = """
import keras
import tensorflow as tf
from colchis_steps.context import Training

class Apart(keras.layers.Layer):
    def call(self, inputs):
        x, again = inputs
        self.add_loss(tf.reduce_mean(tf.square(x - again)))
        return again

def autoencoder(context):
    assert context.task.kind == "none" and context.target == () and context.classes == ()
    inputs = {name: keras.Input((), name=name) for name in ("a", "b")}
    x = keras.layers.Concatenate()([keras.layers.Reshape((1,))(tensor) for tensor in inputs.values()])
    code = keras.layers.Dense(1, name="code")(x)
    again = Apart(name="again")([x, keras.layers.Dense(2)(code)])
    model = keras.Model(inputs, {"code": code, "again": again})
    model.compile(keras.optimizers.Adam(0.05))
    return model

def tagger(context):
    assert context.task.kind == "sequence"
    words, mask = keras.Input((5,), name="words", dtype="int64"), keras.Input((5,), name="words__mask", dtype="bool")
    x = keras.layers.Embedding(10, 8)(words)
    model = keras.Model({"words": words, "words__mask": mask}, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model

def two(context):
    x = keras.Input((2,), name="x", dtype="float32")
    model = keras.Model(x, keras.layers.Dense(2)(x))
    model.compile(keras.optimizers.Adam(0.2), "mse", metrics=["mae"])
    return model
"""


def test_a_task_of_its_own_has_its_own_loss_and_outputs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=400).astype(np.float32)
    made = trained(tmp_path, pa.table({"a": a, "b": 2 * a}), Task("none"), "--entry=mine:autoencoder", FAST, code=OWN)
    outputs = made.candidate("r1").signature["outputs"]
    assert outputs == {
        "again": {"dtype": "float32", "shape": [None, 2]},
        "code": {"dtype": "float32", "shape": [None, 1]},
    }
    assert judged(made, "loss") < 0.5


def test_a_sequence_counts_where_it_has_values(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = [random.integers(0, 9, int(random.integers(1, 6))).tolist() for _ in range(400)]
    tags = [[("x", "y", "z")[word % 3] for word in row] for row in words]
    table = pa.table({"words": pa.array(words, pa.list_(pa.int64())), "tags": pa.array(tags, pa.list_(pa.string()))})
    task = Task("sequence", ("tags",), ("x", "y", "z"))
    made = trained(tmp_path, table, task, "--entry=mine:tagger", FAST, code=OWN)
    assert judged(made, "accuracy") > 0.95  # of what is there: padding is labelled x, whatever the word


def test_several_targets_are_values(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    table = pa.table({"x": pa.array(x.tolist(), pa.list_(pa.float32(), 2)), "s": x.sum(1), "d": x[:, 0] - x[:, 1]})
    made = trained(tmp_path, table, Task("regression", ("s", "d")), "--entry=mine:two", FAST, code=OWN)
    assert made.candidate("r1").signature["outputs"] == {"value": {"dtype": "float32", "shape": [None, 2]}}
    assert judged(made, "mae") < 0.3


FOREST = """
import os, pathlib, sys
import pandas
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from colchis_steps.context import from_environment

context = from_environment()
train, judged = (
    pandas.concat(pandas.DataFrame(block) for block in context.blocks(split, 0)) for split in ("train", "eval")
)
numbers = [name for name, column in context.columns.items() if column.dtype.startswith("float")]
texts = [name for name, column in context.columns.items() if column.dtype == "str"]
model = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers), (OneHotEncoder(handle_unknown="ignore"), texts)
    ),
    LogisticRegression(),
)
model.fit(train, train[context.label])
print("accuracy", model.score(judged, judged[context.label]), context.classes, context.task.kind)
export = pathlib.Path(os.environ["COLCHIS_EXPORT"])
(export / "coefficients.txt").write_text(str(model[-1].coef_))
(export / "model.onnx").write_bytes(bytes.fromhex(sys.argv[1]))
"""


def test_a_program_of_scikit_learn_gets_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FOREST)
    words = f"{sys.executable} {tmp_path / 'program.py'} {thirds().SerializeToString().hex()}"
    made = trained(tmp_path, *tables.penguins(), f"--entry=command:{words}")
    (log,) = (tmp_path / "r1").glob("worker-0.log")
    told = next(line for line in log.read_text().splitlines() if line.startswith("accuracy"))
    assert float(told.split()[1]) > 0.9
    assert told.endswith("('Adelie', 'Chinstrap', 'Gentoo') classification")
    assert [file.path for file in made.candidate("r1").files] == ["coefficients.txt", "model.onnx"]


@pytest.mark.long
def test_two_workers_train_on_millions_of_rows_with_strings(tmp_path: Path) -> None:
    count, random = 3_000_000, np.random.default_rng(0)
    city, shop, x = random.integers(0, 500, count), random.integers(0, 3, count), random.normal(size=count)
    label = (city % 7) + 2 * shop + x > 4
    rows = {
        "city": pa.array([f"city {i}" for i in range(500)]).take(pa.array(city)),
        "shop": pa.array(["corner", "market", None]).take(pa.array(shop)),
        "x": x,
        "label": pa.array(["no", "yes"]).take(pa.array(label.astype(int))),
    }
    task = Task("classification", ("label",), ("no", "yes"))
    hyper = '--hyperparameters={"epochs": 1, "global_batch": 4096}'
    made = trained(tmp_path, pa.table(rows), task, "--workers=2", hyper, shard_rows=250_000)
    assert judged(made, "accuracy") > 0.97
