"""Keras files and SavedModels that exist, wrapped by TensorFlow: their tables, their signatures, their logits."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colchis_steps._adopting.finding import find_model
from colchis_steps._adopting.fitting import Wanted
from colchis_steps._adopting.making import Asked, Made, make
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Tensor

pytestmark = pytest.mark.tensorflow
WRITE = """
import sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
top = Path(sys.argv[1])
keras.utils.set_random_seed(1)
x, y = keras.Input((2,), name="x"), keras.Input((1,), dtype="string", name="word")
known = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(y)
dense = keras.layers.Dense(3, name="dense_3")(keras.layers.Concatenate()([x, known]))
model = keras.Model({"x": x, "word": y}, dense)
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.save(top / "words.keras")
model.export(top / "words", verbose=False)
pair = {"x": np.array([[1, 2], [3, 4]], "float32"), "word": np.array([["a"], ["z"]])}
np.save(top / "logits.npy", model(pair).numpy())
small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
small.save(top / "small.keras")
keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)]).save(top / "lambda.keras")
class Two(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def one(self, x):
        return {"vector": x * 2.0, "text": tf.strings.as_string(x[:, 0])}
two = Two()
tf.saved_model.save(two, str(top / "two"), signatures={"a": two.one, "b": two.one})
tf.saved_model.save(two, str(top / "single"), signatures={"embed": two.one})
tf.saved_model.save(tf.Module(), str(top / "bare"))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", WRITE, str(top)], check=True, capture_output=True)
    return top


def made(models: Path, name: str, wanted: Wanted, tmp_path: Path, asked: Asked = Asked()) -> Made:  # noqa: B008
    place = models / name
    paths = [name] if place.is_file() else [p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()]
    (work := tmp_path / "work").mkdir()
    return make(find_model(paths, name), (models if place.is_file() else place, work), wanted, name, asked)


@pytest.mark.parametrize(("name", "activation"), [("words.keras", "none"), ("words", "softmax")])
def test_logits_of_two_inputs_and_a_table_become_probabilities(
    models: Path, tmp_path: Path, name: str, activation: str
) -> None:
    columns = {
        n: Tensor(n, kind, shape) for n, kind, shape in (("x", "float32", (None, 2)), ("word", "string", (None,)))
    }
    found = made(models, name, Wanted("classification", 3, columns, activation=activation), tmp_path)
    assert found.wrapped
    assert {name: one.shape for name, one in found.model.inputs.items()} == {"word": (None,), "x": (None, 2)}
    given: Any = {"x": np.array([[1, 2], [3, 4]], "f4"), "word": np.array([b"a", b"z"], object)}
    answer, logits = found.model.predict(given), np.load(models / "logits.npy")
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["probability"], wanted, rtol=1e-5)
    assert answer["class"].tolist() == wanted.argmax(axis=1).tolist()
    assert (found.directory / "assets.extra/tf_serving_warmup_requests").is_file()
    assert found.frameworks["tensorflow"].startswith("2.")


def test_columns_of_numbers_are_a_lone_inputs_vector(models: Path, tmp_path: Path) -> None:
    columns = {n: Tensor(n, kind, (None,)) for n, kind in (("b", "int64"), ("a", "float32"), ("c", "bool"))}
    found = made(models, "small.keras", Wanted("regression", 1, columns), tmp_path)
    given = {"b": np.array([1, 2]), "a": np.array([0.5, 1], "f4"), "c": np.array([True, False])}
    assert found.model.predict(given)["value"].shape == (2, 1)


def test_a_lone_signature_of_any_name_is_served_with_its_own_outputs(models: Path, tmp_path: Path) -> None:
    found = made(models, "single", Wanted(), tmp_path)
    answer = found.model.predict({"x": np.array([[1, 2]], "f4")})
    assert (answer["vector"].tolist(), answer["text"].tolist()) == ([[2.0, 4.0]], [b"1.000000"])


def test_what_names_its_task_and_fits_keeps_its_bytes(models: Path, tmp_path: Path) -> None:
    first = made(models, "small.keras", Wanted("regression", 1, {"x": Tensor("x", "float32", (None, 3))}), tmp_path)
    (tmp_path / "again").mkdir()
    columns = {"x": Tensor("x", "float32", (None, 3))}
    again = made(first.directory.parent, "served", Wanted("regression", 1, columns), tmp_path / "again")
    assert (again.wrapped, again.directory) == (False, first.directory)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two", "two has no signature serving_default, but a, b; choose with --signature NAME"),
        ("bare", "bare has no signature, so that nobody can ask it"),
        ("lambda.keras", "lambda.keras is not loaded by Keras"),
    ],
)
def test_what_cannot_be_asked_has_its_sentence(models: Path, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        made(models, name, Wanted(), tmp_path)
    assert words in str(caught.value)


def test_a_signature_is_chosen(models: Path, tmp_path: Path) -> None:
    assert made(models, "two", Wanted(), tmp_path, Asked("b")).wrapped


def test_a_damaged_keras_file_has_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"broken\.keras is not loaded by Keras"):
        made(tmp_path, "broken.keras", Wanted(), tmp_path)
