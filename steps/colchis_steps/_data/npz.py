"""Arrays in an npz that somebody made: how large they are is read from their headers before any is in memory."""

import io
import math
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from colchis_steps._content.archive import open_zip

if TYPE_CHECKING:
    import numpy as np

ARRAYS = 4096  # at most
ROOM = 256 << 20  # bytes that the arrays of any npz may have together
RATIO = 64  # times the size of the file, of a larger one; compressed data of that kind holds little else than one value
HEADER = 10_000  # bytes, as NumPy has it; it reads one that says more into memory before it looks
DAMAGE = (ValueError, OSError, EOFError, KeyError, AttributeError, TypeError, RuntimeError, NotImplementedError)
UNREADABLE = (*DAMAGE, zipfile.BadZipFile, zlib.error, OverflowError)  # what NumPy and zipfile raise of such a file


def check_npz(file: IO[bytes]) -> None:
    """Hold the sizes of an npz against what it may have, without reading its values.

    Raises one of UNREADABLE: it is no npz of plain arrays, or they are too large.
    """
    size = file.seek(0, 2)
    with open_zip(file, ARRAYS) as archive:
        total = 0
        for info in archive.infolist():
            with archive.open(info) as member:
                shape, _, dtype = read_header(member)
            total += math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0:
                raise ValueError(f"{info.filename[:64]!r} has a negative length")
            if total > (most := max(ROOM, RATIO * size)):
                raise ValueError(f"{info.filename[:64]!r} makes it more than {most} bytes in memory")
    file.seek(0)


def load_npz(content: bytes) -> "dict[str, np.ndarray[Any, Any]]":
    """Return the arrays of an npz by name. Raises one of UNREADABLE, as ``check_npz``."""
    import numpy as np

    file = io.BytesIO(content)
    check_npz(file)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_header(member: IO[bytes]) -> "tuple[tuple[int, ...], bool, np.dtype[Any]]":
    """Read an npy header: shape, whether in Fortran's order, dtype; never unpickle. Raises ValueError."""
    import numpy as np

    first = member.read(12)
    if first[:6] != np.lib.format.MAGIC_PREFIX or len(first) < 12:
        raise ValueError("it is no npy file")
    wide = first[6] > 1
    length = int.from_bytes(first[8 : 12 if wide else 10], "little") + (12 if wide else 10)
    if length > HEADER:
        raise ValueError(f"its header has {length} bytes")
    header = io.BytesIO(first + member.read(length - len(first)))
    version = np.lib.format.read_magic(header)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(header)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(header)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    return shape, fortran, dtype
