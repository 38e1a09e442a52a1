"""Fashion-MNIST: 70,000 pictures of clothes, 28x28, from its four published files, downloaded or from a directory.

Source: Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747 (MIT licence). The files are in the idx form of MNIST: two zero
bytes, 8 for unsigned bytes, the number of dimensions, each dimension as a big-endian 32-bit number, then the values.
"""

import gzip
import hashlib
import http.client
import logging
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.progress import progress

if TYPE_CHECKING:
    import numpy as np

BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
TIMEOUT = 30  # seconds without a byte
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FILES = {  # as published: size in bytes, sha256
    "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}
log = logging.getLogger("colchis")


def download(directory: Path) -> None:
    """Fetch the four files into the directory, each checked against its published size and digest.

    Raises:
        TransientError: the server cannot be reached, is late, or sends less than the whole file.
        InputError: the server does not have the file, or sends another one.
    """
    for done, (name, (size, sha256)) in enumerate(FILES.items()):
        progress(done, len(FILES))
        log.info("downloading %s/%s (%.1f MB)", BASE, name, size / 1e6)
        try:
            with urllib.request.urlopen(f"{BASE}/{name}", timeout=TIMEOUT) as answer:  # noqa: S310 - BASE is https
                content = answer.read(size + 1)
        except urllib.error.HTTPError as error:
            error.close()
            kind = TransientError if error.code in {408, 429} or error.code >= 500 else InputError
            raise kind(f"{BASE}/{name} answers {error.code} {error.reason}; {_otherwise()}") from error
        except (OSError, http.client.HTTPException) as error:  # URLError, time-outs and TLS errors are OSErrors
            reason = getattr(error, "reason", error)
            raise TransientError(f"{BASE} cannot be reached ({str(reason)[:256]}); {_otherwise()}") from error
        if len(content) < size:
            raise TransientError(f"{BASE}/{name} ended after {len(content)} of {size} bytes; try again")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{BASE}/{name} is not the published file: its sha256 is not {sha256}; {_otherwise()}")
        (directory / name).write_bytes(content)
    progress(len(FILES), len(FILES))


def _otherwise() -> str:
    return f"get {', '.join(FILES)} on a machine that has the network, and give their directory with --from DIRECTORY"


def load(directory: Path) -> dict[str, tuple["np.ndarray", "np.ndarray"]]:
    """Read the files; return "train" and "test" as images, uint8 (rows, 28, 28), and labels, int64 (rows,).

    Raises:
        InputError: a file is missing, corrupt, or of another shape than the other files and the classes say.
    """
    if missing := [name for name in FILES if not (directory / name).is_file()]:
        raise InputError(f"{directory} lacks {', '.join(missing)}; {_otherwise()}")
    for name, (_, sha256) in FILES.items():
        with (directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                log.warning("%s is not the published file; it is read all the same", directory / name)
    splits = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        image_path, label_path = directory / f"{stem}-images-idx3-ubyte.gz", directory / f"{stem}-labels-idx1-ubyte.gz"
        images, labels = read_idx(image_path, (28, 28)), read_idx(label_path, ())
        if len(images) != len(labels):
            raise InputError(
                f"{image_path} has {len(images)} images and {label_path} {len(labels)} labels; get both anew"
            )
        if len(labels) and labels.max() >= len(CLASSES):
            raise InputError(
                f"{label_path} has label {labels.max()}, where {len(CLASSES) - 1} is the last; get it anew"
            )
        splits[split] = images, labels.astype("int64")
    return splits


def read_idx(path: Path, shape: tuple[int, ...]) -> "np.ndarray":
    """Read a gzipped idx file of unsigned bytes whose rows have the shape; return uint8 (rows, *shape).

    Raises:
        InputError: the file is corrupt, truncated, has bytes left over, or other rows.
    """
    import numpy as np

    try:
        with gzip.open(path) as file:
            header = file.read(4)
            if header != bytes((0, 0, 8, 1 + len(shape))):
                raise InputError(
                    f"{path} is not an idx file of unsigned bytes in {1 + len(shape)} dimensions: it begins with "
                    f"{header.hex() or 'nothing'}; get it anew"
                )
            rows, *found = struct.unpack(f">{1 + len(shape)}I", file.read(4 + 4 * len(shape)))
            if tuple(found) != shape:
                raise InputError(f"{path} has rows of shape {tuple(found)} where {shape} is right; get it anew")
            size = rows * int(np.prod(shape, dtype=np.int64))
            values = file.read(size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} is corrupt or truncated ({str(error)[:256]}); get it anew") from error
    if len(values) != size:
        more = "more than " if len(values) > size else f"{len(values)} of "
        raise InputError(f"{path} holds {more}the {size} bytes that its header tells; get it anew")
    return np.frombuffer(values, np.uint8).reshape(rows, *shape)
