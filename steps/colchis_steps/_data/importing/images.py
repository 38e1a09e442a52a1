"""A folder of images: the bytes are kept as they are, and the label is the folder that an image lies in."""

import io
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from colchis_steps._data.importing.files import SPLITS, File
from colchis_steps._data.importing.tables import BATCH, ROWS, Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

PIXELS = 50_000_000  # of an image, at most: 150 MB when it is decoded
SIZE = 64 << 20  # bytes of an image, at most
IMAGE, LABEL = "image", "label"


def tables(files: Sequence[File]) -> list[Table]:
    """Return a table of the images of each split.

    Raises:
        InputError: an image lies in no folder.
    """
    import pyarrow as pa

    schema = pa.schema([pa.field(IMAGE, pa.binary()), pa.field(LABEL, pa.string())])
    classes = {file.where: class_of(file) for file in files}
    if not any(classes.values()):
        schema = schema.remove(1)
    elif lost := [where for where, name in classes.items() if not name]:
        raise InputError(f"{lost[0]} lies in no folder that names its class, as others do; move it into one")
    by_split: dict[str, list[File]] = {}
    for file in files:
        by_split.setdefault(file.split, []).append(file)
    return [_table(found, classes, schema, split) for split, found in by_split.items()]


def class_of(file: File) -> str:
    """Return the name of the folder that an image lies in; empty where that is none but its split's."""
    folder = PurePosixPath(file.name).parent.name
    return "" if folder.lower() in SPLITS else folder


def _table(files: Sequence[File], classes: dict[str, str], schema: "pa.Schema", split: str) -> Table:
    import pyarrow as pa

    def batch(images: list[bytes], names: list[str], wanted: "pa.Schema") -> "pa.RecordBatch":
        values = {IMAGE: pa.array(images, pa.binary()), LABEL: pa.array(names, pa.string())}
        return pa.record_batch([values[name] for name in wanted.names], wanted.names)

    def batches(wanted: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        images: list[bytes] = []
        names: list[str] = []
        for file in files:
            images.append(_read(file))
            names.append(classes[file.where])
            if len(images) == ROWS or sum(map(len, images)) >= BATCH:
                yield batch(images, names, wanted)
                images, names = [], []
        if images:
            yield batch(images, names, wanted)

    where = files[0].where if len(files) == 1 else f"{files[0].where} and {len(files) - 1} more"
    return Table(where, schema, sum(file.size for file in files), batches, split)


def _read(file: File) -> bytes:
    """Return an image's bytes, which can be decoded."""
    if file.size > SIZE:
        raise InputError(f"{file.where} has {file.size} bytes, and an image at most {SIZE}; make it smaller")
    with file.open() as content:
        found = content.read(SIZE + 1)
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise InputError("images are read with pillow, which is absent; pip install 'colchis[data]'") from error

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(found), formats=["PNG", "JPEG", "WEBP"]) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if image.width * image.height > PIXELS:
                raise InputError(
                    f"{file.where} has {image.width} x {image.height} pixels, and an image at most {PIXELS}; scale it"
                )
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file.where} cannot be decoded as PNG, JPEG or WebP ({str(error)[:128]}); get it anew, or leave it out"
        ) from error
    return found
