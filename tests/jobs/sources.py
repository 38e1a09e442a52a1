"""Data as people have it, of packages or seeded: what the jobs import. Each maker writes files below a directory."""

import gzip
import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
ROWS = 3_000_000  # of the large table


def example(folder: str, module: str) -> Any:
    """Import a module of an example by its file."""
    spec = importlib.util.spec_from_file_location(module, ROOT / "examples" / folder / f"{module}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def penguins(_: Path) -> Path:
    return ROOT / "examples/03-penguins/penguins.csv"


def diabetes(directory: Path) -> Path:
    pq.write_table(example("04-diabetes", "diabetes").table(), directory / "diabetes.parquet")
    return directory / "diabetes.parquet"


def tiles(directory: Path) -> Path:
    assert example("05-tiles", "tiles").write(directory / "tiles") > 300
    return directory / "tiles"


def sentences(directory: Path) -> Path:
    rows = example("06-sentences", "sentences").rows()
    table = pa.table({"message": [m for m, _ in rows], "team": [team for _, team in rows]})
    pyarrow.csv.write_csv(table, directory / "sentences.csv")
    return directory / "sentences.csv"


def trips(directory: Path, rows: int = ROWS) -> Path:
    """Write several Parquet files of taxi trips that never were: strings, nulls, and whether a tip was given."""
    random, each = np.random.default_rng(5), rows // 4
    (directory / "trips").mkdir()
    for part in range(4):
        kilometres = random.gamma(2.0, 3.0, each).astype("float32")
        hour = random.integers(0, 24, each)
        card = random.random(each) < 0.7
        zone = random.integers(0, 200, each)
        tip = (kilometres * 0.1 + card * 1.5 + (zone % 7 == 0) * 1.0 + random.normal(0, 0.7, each)) > 2.0
        table = pa.table(
            {
                "kilometres": pa.array(kilometres, mask=random.random(each) < 0.01),
                "hour": hour.astype("int32"),
                "zone": pa.array([f"zone-{n}" for n in range(200)]).take(pa.array(zone)),
                "payment": pa.array(["cash", "card"]).take(pa.array(card.astype("int64"))),
                "tip": pa.array(["no", "yes"]).take(pa.array(tip.astype("int64"))),
            }
        )
        pq.write_table(table, directory / "trips" / f"part-{part}.parquet", compression="zstd")
    return directory / "trips"


def tags(directory: Path) -> Path:
    """Write a table whose rows have any of four labels."""
    random = np.random.default_rng(6)
    x = random.normal(size=(2000, 5)).astype("float32")
    hot = np.stack([x[:, 0] > 0.3, x[:, 1] + x[:, 2] > 0, x[:, 3] > 1, x[:, 4] < -0.2], axis=1)
    names = ["red", "round", "rare", "old"]
    table = {f"f{i}": x[:, i] for i in range(5)} | {n: hot[:, i].astype("int64") for i, n in enumerate(names)}
    pyarrow.csv.write_csv(pa.table(table), directory / "tags.csv")
    return directory / "tags.csv"


def breast_cancer(directory: Path) -> Path:
    """Write scikit-learn's breast cancer data with one in six of the malignant rows, each of which weighs six."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    malignant = bunch.target == 0
    kept = ~malignant | (np.cumsum(malignant) % 6 == 0)
    columns = {n.replace(" ", "_"): bunch.data[kept, i] for i, n in enumerate(bunch.feature_names)}
    names = np.array(["malignant", "benign"])[bunch.target[kept]]
    table = pa.table({**columns, "diagnosis": names, "weight": np.where(malignant[kept], 6.0, 1.0)})
    pq.write_table(table, directory / "cancer.parquet")
    return directory / "cancer.parquet"


def visits(directory: Path) -> Path:
    """Write visits of patients, several each, over a year: for splits by group and by time."""
    random, count = np.random.default_rng(8), 3000
    patient = random.integers(0, 400, count)
    day = np.sort(random.integers(0, 365, count))
    pressure = (120 + 10 * random.normal(size=400)[patient] + 6 * random.normal(size=count)).astype("float32")
    age = random.integers(20, 90, 400)[patient]
    ill = pressure + 0.4 * age + 5 * random.normal(size=count) > 145
    table = pa.table(
        {
            "patient": [f"p{n:03}" for n in patient],
            "visited": pa.array(np.datetime64("2025-01-01") + day.astype("timedelta64[D]")),
            "pressure": pressure,
            "age": age,
            "ill": np.where(ill, "yes", "no"),
        }
    )
    pq.write_table(table, directory / "visits.parquet")
    return directory / "visits.parquet"


def idx_files(directory: Path) -> Path:
    """Write four files of Fashion-MNIST's form, with far fewer pictures: a bright bar whose place is the class."""
    random = np.random.default_rng(9)
    for split, count in (("train", 1200), ("t10k", 300)):
        labels = random.integers(0, 10, count).astype("uint8")
        images = random.integers(0, 60, (count, 28, 28)).astype("uint8")
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 5 + 2 * label, 4:24] += 150
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (directory / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes(), mtime=0))
    return directory


Maker = Callable[[Path], Path]
