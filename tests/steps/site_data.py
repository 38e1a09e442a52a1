"""Data for the three models of site_models.py, made of words and rules by a seed, and questions with known answers."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colchis_steps._data.rows import shard_bytes
from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._serving.client import call
from colchis_steps._store.opening import open_store

CODE = Path(__file__).with_name("site_models.py")
SPLITS = {"train": (100, 100), "eval": (50,), "test": (50,)}  # rows of each shard
COUNT = sum(map(sum, SPLITS.values()))
TOPICS = {
    "cooking": ("cook baker chef", "stirs salts tastes", "soup dough sauce", "in the pan,over low heat,with butter"),
    "sport": (
        "keeper striker coach",
        "kicks saves cheers",
        "ball goal match",
        "in the stadium,before half time,at home",
    ),
    "weather": ("storm fog wind", "covers cools soaks", "coast valley hills", "from the west,until dawn,by evening"),
}
THRESHOLDS = '{"accuracy": {"min": 0.85}, "recall/*": {"min": 0.6}}'
TOWNS = ("Mocha", "Dioscurias", "Phasis")
TARIFFS = (101, 205, 309)
STRIPES = {"across": np.tile([[30.0], [220.0]], (4, 8)), "upright": np.tile([[30.0, 220.0]], (8, 4))}
V2 = {"U": "BYTES", "i": "INT64", "f": "FP32", "u": "UINT8"}
Rows = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Case:
    """A model, what trains it, and ``rows`` by column that belong to the classes ``wanted``."""

    entry: str
    hyperparameters: dict[str, Any]
    data: Callable[[], tuple[Rows, tuple[str, ...]]]  # rows by column, the label's number among them; the classes
    rows: dict[str, list[Any]]
    wanted: list[str]

    @property
    def bare(self) -> bool:
        """Whether the model takes one column, whose values may come without its name."""
        return len(self.rows) == 1

    def v1(self) -> dict[str, Any]:
        """Ask row by row: a lone column by its values, several by name."""
        if self.bare:
            return {"instances": next(iter(self.rows.values()))}
        return {"instances": [dict(zip(self.rows, row, strict=True)) for row in zip(*self.rows.values(), strict=True)]}

    def v2(self) -> dict[str, Any]:
        """Ask the same by protocol V2: each column a tensor of its type."""
        kinds = {name: values.dtype for name, values in self.data()[0].items()}
        given = {name: np.array(values) for name, values in self.rows.items()}
        return {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": V2[kinds[name].kind],
                    "data": array.ravel().tolist(),
                }
                for name, array in given.items()
            ]
        }


def sentences() -> tuple[Rows, tuple[str, ...]]:
    """Write sentences of three topics, each once."""
    random, topics = np.random.default_rng(3), list(TOPICS)
    made: dict[str, int] = {}
    while len(made) < COUNT:
        label = len(made) % len(topics)
        whos, acts, whats, wheres = TOPICS[topics[label]]
        how, who, act, what = (random.choice(words.split()) for words in ("old young loud new", whos, acts, whats))
        made[f"The {how} {who} {act} the {what} {random.choice(wheres.split(','))}."] = label
    return {"sentence": np.array([*made]), "label": np.array([*made.values()])}, tuple(topics)


def customers() -> tuple[Rows, tuple[str, ...]]:
    """Write customers of two kinds: those of a monthly contract who call often leave."""
    random, count = np.random.default_rng(4), COUNT
    contract = random.choice(["month", "year", "two years"], count)
    tariff, calls = random.choice(TARIFFS, count), random.integers(0, 8, count)
    age, minutes = random.normal(45, 12, count), random.gamma(4, 50, count)
    wish = 2.0 * (contract == "month") + 0.6 * calls + 1.0 * (tariff == 309) - 0.03 * (age - 45)
    rows = {"contract": contract, "town": random.choice(TOWNS, count), "tariff": tariff, "calls": calls}
    rows |= {"age": age.astype(np.float32), "minutes": minutes.astype(np.float32), "label": (wish > 3.5).astype(int)}
    return rows, ("stays", "leaves")


def parcels() -> tuple[Rows, tuple[str, ...]]:
    """Draw noisy stripes, and weigh and measure: of each way of stripes there are light and heavy parcels."""
    random, count = np.random.default_rng(5), COUNT
    classes = tuple(f"{stripes}, {weight}" for stripes in STRIPES for weight in ("light", "heavy"))
    labels = np.arange(count) % len(classes)
    pictures = np.stack([*STRIPES.values()])[labels // 2]
    pictures = np.clip(pictures + random.normal(0, 20, pictures.shape), 0, 255).astype(np.uint8)
    weights = np.where(labels % 2, random.normal(9, 1, count), random.normal(4, 1, count))
    scales = np.stack([weights, *random.uniform(10, 40, (2, count))], axis=1).astype(np.float32)
    return {"picture": pictures, "scales": scales, "label": labels}, classes


def write_base(directory: Path) -> Rows:
    """Write the weights of the frozen base in Keras's order, as an earlier training left them; return them."""
    edge = np.array([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]], np.float32) / 6
    normal = {"1_bias": 0.05, "2_gamma": 1.5, "3_beta": 0.1, "4_mean": 0.02, "5_variance": 0.3}
    rows: Rows = {name: np.full(4, value, np.float32) for name, value in normal.items()}
    rows["0_kernel"] = np.stack([edge, edge.T, -edge, -edge.T], axis=-1)[:, :, None, :]
    np.savez(directory / "base.npz", **rows)  # type: ignore[arg-type]  # the stub takes allow_pickle for one of them
    return rows


CASES = {
    "text": Case(
        "site_models:text",
        {"epochs": 6, "global_batch": 24, "seed": 1},
        sentences,
        {
            "sentence": [
                "The chef salts the soup.",
                "A striker kicks the ball at home!",
                "fog covers the COAST until dawn",
            ]
        },
        ["cooking", "sport", "weather"],
    ),
    "table": Case(
        "site_models:table",
        {"epochs": 8, "global_batch": 24, "seed": 1},
        customers,
        {
            "contract": ["month", "a contract that nobody had"],
            "town": ["Phasis", "Mocha"],
            "tariff": [309, 101],
            "calls": [7, 0],
            "age": [31.5, 62.0],
            "minutes": [420.25, 80.0],
        },
        ["leaves", "stays"],
    ),
    "parcels": Case(
        "site_models:parcels",
        {"epochs": 8, "global_batch": 24, "seed": 1},
        parcels,
        {
            "picture": [STRIPES[way].astype(int).tolist() for way in ("across", "upright", "across")],
            "scales": [[10.0, 20.0, 30.0], [3.5, 15.5, 22.0], [3.5, 15.5, 22.0]],
        },
        ["across, heavy", "upright, light", "across, light"],
    ),
}


def write_data(store: str, name: str) -> str:
    """Write the case's data set into a store, the manifest last; return its URI."""
    rows, classes = CASES[name].data()
    rows["label"] = rows["label"].astype(np.int64)
    shards, splits, at = dict[str, bytes](), dict[str, tuple[Shard, ...]](), 0
    for split, counts in SPLITS.items():
        for number, count in enumerate(counts):
            path = f"{split}-{number:05}.npz"
            shards[path] = shard_bytes({key: values[at : at + count] for key, values in rows.items()})
            sha256 = hashlib.sha256(shards[path]).hexdigest()
            splits[split] = (*splits.get(split, ()), Shard(path, count, len(shards[path]), sha256))
            at += count
    columns = tuple(described(key, values, classes) for key, values in rows.items())
    digest = data_digest(name, "label", columns, splits)
    to = open_store(f"{store}/data/{name}/{digest.partition(':')[2][:16]}")
    for path, content in shards.items():
        to.write(path, content)
    to.write("manifest.json", encode(DataManifest(name, digest, "label", columns, splits, "made for tests", now())))
    return to.url


def assert_answers(case: Case, endpoint: str) -> None:
    """Ask what is served by both protocols; its answers must be the classes that the rows belong to."""
    classes = case.data()[1]
    status, found = call(f"{endpoint}:predict", case.v1())
    assert status == 200, found
    assert [classes[answer["class"]] for answer in found["predictions"]] == case.wanted
    status, found = call(f"{endpoint.replace('/v1/', '/v2/')}/infer", case.v2())
    assert status == 200, found
    tensors = {tensor["name"]: tensor["data"] for tensor in found["outputs"]}
    assert [classes[answer] for answer in tensors["class"]] == case.wanted
    assert tensors.get("name", case.wanted) == case.wanted


def described(name: str, values: np.ndarray[Any, Any], classes: Iterable[str]) -> Column:
    """Describe a column as an import does: bounds are for numbers."""
    kind, shape, names = str(values.dtype), values.shape[1:], tuple(classes) if name == "label" else None
    if values.dtype.kind == "U":
        return Column(name, kind, shape)
    return Column(name, kind, shape, float(values.min()), float(values.max()), names)
