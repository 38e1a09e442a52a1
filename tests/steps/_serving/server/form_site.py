"""A server of models of many signatures, in a thread: programs of NumPy as the server holds them, and one of ONNX."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import uvicorn
from onnx import TensorProto, helper

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._serving.config import Config, Range, Served, ServedModel, Written
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._tensors.described import described
from colchis_steps._tensors.tensor import Arrays, Program, Tensor
from colchis_steps._tensors.warming import warm

HOSTILE = """<img src=x onerror="document.title='taken'">'\\ %s </script><script>document.title='taken'</script>"""
SPECIES = ("Adelie", "Chinstrap", "Gentoo")
Answer = Callable[[Arrays], Mapping[str, Any]]


class Computed:
    """A program of NumPy: it answers what a function does."""

    format = "savedmodel"
    rows_apart, steady = False, True
    classes: tuple[str, ...] = ()

    def __init__(self, inputs: Collection[Tensor], outputs: Collection[Tensor], answer: Answer) -> None:
        self.inputs: Mapping[str, Tensor] = {one.name: one for one in inputs}
        self.outputs: Mapping[str, Tensor] = {one.name: one for one in outputs}
        self.signature_def: Mapping[str, Any] = described(self.inputs, self.outputs)
        self.answer = answer

    def by_signature(self, name: str) -> None:
        """It has one."""

    def predict(self, arrays: Arrays) -> dict[str, "np.ndarray[Any, Any]"]:
        return {name: np.asarray(value) for name, value in self.answer(arrays).items()}

    def warm_up(self, pictures: Collection[str] = ()) -> bool:
        answers, self.rows_apart = warm(self, pictures)
        return answers


def rows(name: str, dtype: str, *lengths: int | None) -> Tensor:
    return Tensor(name, dtype, (None, *lengths))


def chosen(scores: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """Return class and probability of scores [rows, classes]."""
    share = np.exp(scores - scores.max(1, keepdims=True))
    return {"class": scores.argmax(1), "probability": (share / share.sum(1, keepdims=True)).astype(np.float32)}


def answers_of(classes: int) -> list[Tensor]:
    return [rows("class", "int64"), rows("probability", "float32", classes)]


def penguin(arrays: Arrays) -> Mapping[str, Any]:
    bill = np.nan_to_num(arrays["bill_length_mm"], nan=46.0).astype(np.float64)
    male = np.array([value == b"male" for value in arrays["sex"]])
    return chosen(np.stack([(44 - bill) / 4, (bill - 47) / 5 + male, np.where(bill > 44, 1.0, 0.0)], axis=1))


def digit(arrays: Arrays) -> Mapping[str, Any]:
    return chosen(arrays["x"].reshape(-1, 8, 8).sum(1) @ np.eye(8, 10) / 8)


def picture(arrays: Arrays) -> Mapping[str, Any]:
    sizes = [len(value) for value in arrays["image"]]
    return chosen(np.stack([np.array(sizes, float) / 900, np.ones(len(sizes))], axis=1))


def pixels(arrays: Arrays) -> Mapping[str, Any]:
    mean = arrays["image"].mean((1, 2)) / 255
    return {"embedding": (mean @ np.linspace(-1, 1, 3 * 128).reshape(3, 128)).astype(np.float32), "mean": mean}


def words(arrays: Arrays) -> Mapping[str, Any]:
    texts = [value.decode() for value in arrays["sentence"]]
    parts = [[*text.split()[:3], "", "", ""][:3] for text in texts]
    return {"reply": np.array([text.upper() for text in texts], object), "first_words": np.array(parts, object)}


def house(arrays: Arrays) -> Mapping[str, Any]:
    price = 90_000 + 2_150.5 * arrays["square_metres"] + 12_000 * arrays["rooms"]
    return {"value": np.stack([price, price * 0.0041], axis=1).astype(np.float32)}


def lists(arrays: Arrays) -> Mapping[str, Any]:
    length = arrays["codes__mask"].sum(1).astype(np.int64)
    return {"length": length, "total": arrays["codes"].sum(1), "yes": arrays["flags"].any(1)}


def odd(arrays: Arrays) -> Mapping[str, Any]:
    return {HOSTILE: arrays[HOSTILE], **chosen(np.eye(2)[np.zeros(len(arrays[HOSTILE]), int)])}


def twice(arrays: Arrays) -> Mapping[str, Any]:
    return {"twice": arrays["size"] * 2}


def site(directory: Path) -> dict[str, tuple[Program, Served]]:
    """Return the models by name; that of ONNX is written below the directory."""
    bounds = {"bill_length_mm": Range(32.1, 59.6), "body_mass_g": Range(2700, 6300)}
    table = {
        "bill_length_mm": Written("double", nullable=True),
        "sex": Written("string", nullable=True),
        "seen": Written("timestamp[us]"),
    }
    features = [rows("island", "string"), rows("sex", "string"), rows("sex__valid", "bool")]
    features += [rows("bill_length_mm", "float32"), rows("bill_length_mm__valid", "bool")]
    features += [rows("body_mass_g", "int64"), rows("seen", "int64"), rows("tagged", "bool")]
    made: dict[str, tuple[Program, Served]] = {
        "penguins": (
            Computed(features, answers_of(3), penguin),
            Served("penguins", inputs=bounds, classes=SPECIES, columns=table),
        ),
        "houses": (
            Computed([rows("square_metres", "float32"), rows("rooms", "int32")], [rows("value", "float32", 2)], house),
            Served(
                "houses",
                inputs={"square_metres": Range(18, 420), "rooms": Range(1, 12)},
                task="regression",
                targets=("price", "monthly rent"),
            ),
        ),
        "photographs": (
            Computed([rows("image", "string")], answers_of(2), picture),
            Served("photographs", classes=("china", "flower"), columns={"image": Written("binary", media="image/*")}),
        ),
        "pixels": (
            Computed(
                [rows("image", "uint8", 24, 32, 3)],
                [rows("embedding", "float32", 128), rows("mean", "float64", 3)],
                pixels,
            ),
            Served("pixels", inputs={"image": Range(0, 255)}),
        ),
        "vector": (Computed([rows("x", "float32", 64)], answers_of(10), digit), Served("vector")),
        "words": (
            Computed([rows("sentence", "string")], [rows("reply", "string"), rows("first_words", "string", 3)], words),
            Served("words"),
        ),
        "lists": (
            Computed(
                [rows("codes", "int64", 6), rows("codes__mask", "bool", 6), rows("flags", "bool", 2)],
                [rows("length", "int64"), rows("total", "int64"), rows("yes", "bool")],
                lists,
            ),
            Served("lists", columns={"codes": Written("int64", ragged=True)}),
        ),
        "odd": (
            Computed([rows(HOSTILE, "string")], [rows(HOSTILE, "string"), *answers_of(2)], odd),
            Served("odd", classes=(HOSTILE, "b")),
        ),
        "scalar": (
            Computed(
                [Tensor("size", "float32", ())], [Tensor("twice", "float32", ())], lambda a: {"twice": a["size"] * 2}
            ),
            Served("scalar"),
        ),
    }
    return made | {"iris-onnx": (iris(directory / "iris"), Served("iris-onnx", classes=("setosa", "versicolor")))}


def iris(directory: Path) -> OnnxModel:
    """Write and load a model of two classes by four numbers."""
    weights = np.array([[0.4, -0.4], [0.9, -0.9], [-1.2, 1.2], [-0.8, 0.8]], np.float32)
    constant = helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel().tolist())
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in names]
    given = [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 2]),
    ]
    nodes = [
        helper.make_node("Concat", names, ["x"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probability"], axis=1),
        helper.make_node("ArgMax", ["probability"], ["class"], axis=1, keepdims=0),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "iris", taken, given, [constant]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    directory.mkdir(parents=True)
    onnx.save(model, directory / "model.onnx")
    return OnnxModel(directory)


@contextlib.contextmanager
def served(models: Mapping[str, tuple[Program, Served]]) -> Iterator[str]:
    """Serve the models; yield the address."""
    registry: Any = Registry(load=lambda path, _: models[path.name][0])
    registry.apply(Config({name: ServedModel({3: told}) for name, (_, told) in models.items()}), "x")

    async def watch() -> None:
        await asyncio.Event().wait()

    server = uvicorn.Server(uvicorn.Config(app(registry, watch), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
