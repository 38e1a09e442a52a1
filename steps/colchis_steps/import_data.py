"""Bring a data set into the store: shards of train, eval and test, then the manifest that makes them visible.

Reads   digits, iris: scikit-learn's copies of two UCI data sets; fashion-mnist: its four files, by network or --from;
        colours, colours-transfer: the photographs in scikit-learn, and with each other's colours;
        any other name: an npz of one's own, --from
Writes  <to>/data/<set>/<16 hex of the digest>/{train,eval,test}-00000.npz …, manifest.json last
Prints  the data set's URI
"""

import argparse
import hashlib
import logging
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._formats import Column, DataManifest, Shard, data_digest, encode, now
from colchis_steps._rows import divide, row_hashes, shard_bytes, shards_of
from colchis_steps._step import InputError, entrypoint, positive
from colchis_steps._store import Store, find_document, model_name, open_store

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
        """Give split, description and content of each shard of at most ``size`` rows."""
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
        raise InputError("the digits are inside scikit-learn, which is absent; pip install 'colchis[data]'") from error

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
        raise InputError("iris is inside scikit-learn, which is absent; pip install 'colchis[data]'") from error

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

    from colchis_steps import _fashion

    if directory is not None:
        parts = _fashion.load(directory)
    else:
        with tempfile.TemporaryDirectory(prefix="colchis-") as temporary:
            _fashion.download(Path(temporary))
            parts = _fashion.load(Path(temporary))
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
        classes=_fashion.CLASSES,
    )


def colours(_: Path | None, style: str = "") -> DataSet:
    """Load the grey surroundings and the colour class of each pixel of scikit-learn's photographs.

    Blocks of pixels go to one split, mirror image and all, so that no row has its twin in another split.
    """
    from colchis_steps import _colours

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


def own(name: str, path: Path) -> DataSet:
    """Load rows of one's own: an npz with an array of features, whatever its name, and ``label``, classes from 0 on.

    Raises:
        InputError: the file is no such npz.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            found = {column: file[column] for column in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"--from={path} is no npz of plain arrays ({error}); write it with numpy.savez") from error
    shapes = ", ".join(f"{column} {values.dtype}{list(values.shape)}" for column, values in found.items())
    labels, features = found.pop(LABEL, np.empty(0)), list(found)
    if len(features) != 1 or labels.dtype.kind not in "iu" or labels.shape != found[features[0]].shape[:1]:
        raise InputError(
            f"--from={path} has the arrays {shapes}; give one of features, and {LABEL!r}: a whole number for each row"
        )
    values = found[features[0]]
    if values.dtype.kind not in "iuf" or not len(labels) or labels.min() < 0:
        raise InputError(f"--from={path} has the arrays {shapes}; give numbers, at least one row, and labels from 0 on")
    values = values.astype("float32") if values.dtype == "float64" else values
    return DataSet(
        name=name,
        source=path.name,
        values=values,
        labels=labels.astype("int64"),
        splits=divide(row_hashes({features[0]: values}), labels, SHARES),
        minimum=float(values.min()),
        maximum=float(values.max()),
        classes=tuple(str(i) for i in range(int(labels.max()) + 1)),
        feature=features[0],
    )


LOADERS: dict[str, Callable[[Path | None], DataSet]] = {
    "colours": colours,
    "colours-transfer": lambda _: colours(_, "transfer"),
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "iris": iris,
}


def write(store: Store, data: DataSet, shard_rows: int) -> str:
    """Write what of the data set is not in the store yet, the manifest last; give its URI. Safe to run again."""
    splits: dict[str, tuple[Shard, ...]] = dict.fromkeys(data.splits, ())
    for split, shard, _ in data.shards(shard_rows):
        splits[split] += (shard,)
    digest = data_digest(data.name, LABEL, data.columns, splits)
    prefix = f"data/{data.name}/{digest.removeprefix('sha256:')[:16]}"
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
    if find_document(store, f"{prefix}/manifest.json", DataManifest) is None:
        store.create(f"{prefix}/manifest.json", encode(manifest))
    rows = ", ".join(f"{split} {sum(shard.rows for shard in shards)}" for split, shards in splits.items())
    log.info("%s: rows %s; digest %s", data.name, rows, digest)
    return f"{store.url.rstrip('/')}/{prefix}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.import_data",
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.import_data digits --to file:///tmp/store",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "name", type=model_name, metavar="NAME", help=f"{', '.join(sorted(LOADERS))}; or one of your own, with --from"
    )
    p.add_argument("--to", required=True, metavar="URL", help="the store: s3://bucket/prefix or file:///directory")
    p.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="your own npz, with the label as 'label' beside one array; of fashion-mnist: where its four files lie",
    )
    p.add_argument(
        "--shard-rows", type=positive, default=512, metavar="N", help="rows of a shard (default %(default)s)"
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Load, divide and write the data set."""
    p = parser()
    args = p.parse_args(argv)
    if args.name not in LOADERS:
        if not args.source:
            p.error(f"{args.name} is none of {', '.join(sorted(LOADERS))}; for rows of your own add --from FILE.npz")
        data = own(args.name, Path(args.source))
    elif args.source and args.name != "fashion-mnist":
        p.error(f"--from goes with fashion-mnist; {args.name} comes with scikit-learn")
    else:
        data = LOADERS[args.name](Path(args.source) if args.source else None)
    uri = write(open_store(args.to), data, args.shard_rows)
    sys.stdout.write(f"{uri}\n")


if __name__ == "__main__":
    raise SystemExit(main())
