"""The data sets with a name of their own: digits, iris, Fashion-MNIST, colours. They are npz, with a manifest of v1."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._data.rows import divide, row_hashes, shard_bytes, shards_of
from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import DATA_MANIFEST, data_prefix
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document

if TYPE_CHECKING:
    import numpy as np

LABEL = "label"
SHARES = {"train": 0.7, "eval": 0.15, "test": 0.15}
log = logging.getLogger("colchis")


@dataclass(frozen=True)
class DataSet:
    """One feature and the labels in memory, and which rows each split has."""

    name: str
    source: str
    values: "np.ndarray"  # (rows, …), minimum … maximum
    labels: "np.ndarray"  # int64 (rows,)
    splits: dict[str, "np.ndarray"]  # row numbers, int64
    maximum: float
    classes: tuple[str, ...]
    feature: str = "image"  # its column
    minimum: float = 0.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """The schema of every shard."""
        shape, dtype = tuple(self.values.shape[1:]), self.values.dtype.name
        feature = Column(name=self.feature, dtype=dtype, shape=shape, minimum=self.minimum, maximum=float(self.maximum))
        last = float(len(self.classes) - 1)
        label = Column(name=LABEL, dtype="int64", minimum=0.0, maximum=last, classes=self.classes)
        return (feature, label)

    def shards(self, size: int) -> Iterator[tuple[str, Shard, bytes]]:
        """Yield split, description and content of each shard of at most ``size`` rows."""
        for split, rows in self.splits.items():
            for i, part in enumerate(shards_of(rows, size)):
                content = shard_bytes({self.feature: self.values[part], LABEL: self.labels[part]})
                sha256 = hashlib.sha256(content).hexdigest()
                yield split, Shard(f"{split}-{i:05}.npz", len(part), len(content), sha256), content


def digits(_: Path | None) -> DataSet:
    """Load the UCI handwritten digits: 1,797 images of 8x8 pixels from 0 to 16.

    Source: Alpaydin and Kaynak, 1998, doi:10.24432/C50P49, the test part, as scikit-learn ships it.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise InputError(
            "the digits are inside scikit-learn, which is absent; pip install 'colchis[samples]'"
        ) from error

    bunch = load_digits()
    images, labels = bunch.images.astype("uint8"), bunch.target.astype("int64")
    return DataSet(
        name="digits",
        source="UCI Optical Recognition of Handwritten Digits, doi:10.24432/C50P49, from scikit-learn",
        values=images,
        labels=labels,
        splits=divide(row_hashes({"image": images}), labels, SHARES),
        maximum=16,
        classes=tuple(str(digit) for digit in range(10)),
    )


def iris(_: Path | None) -> DataSet:
    """Load the iris flowers: 150 rows of four lengths in centimetres, of three species.

    Source: Fisher, The use of multiple measurements in taxonomic problems, 1936, as scikit-learn ships it.
    """
    try:
        from sklearn.datasets import load_iris
    except ModuleNotFoundError as error:
        raise InputError("iris is inside scikit-learn, which is absent; pip install 'colchis[samples]'") from error

    bunch = load_iris()
    lengths, labels = bunch.data.astype("float32"), bunch.target.astype("int64")
    return DataSet(
        name="iris",
        source="UCI Iris, doi:10.24432/C56C76, from scikit-learn",
        values=lengths,
        labels=labels,
        splits=divide(row_hashes({"lengths": lengths}), labels, SHARES),
        maximum=10.0,
        classes=tuple(str(name) for name in bunch.target_names),
        feature="lengths",
    )


def fashion_mnist(directory: Path | None) -> DataSet:
    """Load Fashion-MNIST: its own test split, its training split divided into train and eval as 5 to 1.

    Rows of the training split that the test split also has are left out, so that nothing leaks.
    """
    import numpy as np

    from colchis_steps._data import fashion

    if directory is not None:
        parts = fashion.load(directory)
    else:
        with tempfile.TemporaryDirectory(prefix="colchis-") as temporary:
            fashion.download(Path(temporary))
            parts = fashion.load(Path(temporary))
    images, labels = (np.concatenate([parts["train"][i], parts["test"][i]]) for i in (0, 1))
    hashes = row_hashes({"image": images})
    count = len(parts["train"][1])
    kept = np.flatnonzero(~np.isin(hashes[:count], hashes[count:]))
    if leaked := count - len(kept):
        log.info("left out %d rows of the training split that the test split also has", leaked)
    splits = divide(hashes[kept], labels[kept], {"train": 5, "eval": 1})
    return DataSet(
        name="fashion-mnist",
        source="Fashion-MNIST, arXiv:1708.07747",
        values=images,
        labels=labels,
        splits={name: kept[rows] for name, rows in splits.items()} | {"test": np.arange(count, len(labels))},
        maximum=255,
        classes=fashion.CLASSES,
    )


def colours(_: Path | None, style: str = "") -> DataSet:
    """Load the grey surroundings and the colour class of each pixel of scikit-learn's photographs.

    Blocks of pixels go to one split, mirror image and all, so that no row has its twin in another split.
    """
    from colchis_steps._data import colours as _colours

    features, labels, groups, classes = _colours.rows(style)
    splits = divide(row_hashes({"group": groups}), labels * 0, SHARES)
    return DataSet(
        name=f"colours-{style}" if style else "colours",
        source="china.jpg and flower.jpg (CC BY), from scikit-learn",
        values=features,
        labels=labels,
        splits=splits,
        maximum=255,
        classes=classes,
    )


def write(store: Objects, data: DataSet, shard_rows: int) -> str:
    """Write what of the data set is not in the store yet, the manifest last; return its URI. Safe to run again."""
    splits: dict[str, tuple[Shard, ...]] = dict.fromkeys(data.splits, ())
    for split, shard, _ in data.shards(shard_rows):
        splits[split] += (shard,)
    digest = data_digest(data.name, LABEL, data.columns, splits)
    prefix = data_prefix(data.name, digest)
    for _, shard, content in data.shards(shard_rows):
        key = f"{prefix}/{shard.path}"
        if store.create(key, content):
            continue
        if store.size(key) != shard.size or hashlib.sha256(store.read(key)).hexdigest() != shard.sha256:
            log.warning("%s/%s was altered; it is written anew", store.url, key)
            store.write(key, content)
    manifest = DataManifest(
        name=data.name,
        digest=digest,
        label=LABEL,
        columns=data.columns,
        splits=splits,
        source=data.source,
        created_at=now(),
    )
    if find_document(store, f"{prefix}/{DATA_MANIFEST}", DataManifest) is None:
        store.create(f"{prefix}/{DATA_MANIFEST}", encode(manifest))
    rows = ", ".join(f"{split} {sum(shard.rows for shard in shards)}" for split, shards in splits.items())
    log.info("%s: rows %s; digest %s", data.name, rows, digest)
    return f"{store.url.rstrip('/')}/{prefix}"


LOADERS: dict[str, Callable[[Path | None], DataSet]] = {
    "colours": colours,
    "colours-transfer": lambda _: colours(_, "transfer"),
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "iris": iris,
}
