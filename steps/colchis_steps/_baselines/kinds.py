"""What a column is to a model: a picture, text, a date, numbers, or nothing that the built-in layers take."""

from collections.abc import Mapping

from colchis_steps._data.arrays import MASK
from colchis_steps._formats.data import Column

LEAST, CHANNELS = 8, 4  # a picture of whole numbers is at least so high and wide, and has at most so many channels


def kind_of(column: Column, columns: Mapping[str, Column]) -> str:
    """Return ``picture``, ``text``, ``date``, ``number``, or "" for bytes of no known kind and for masks.

    A picture is bytes with a media type of one, or uint8 [height, width] or [height, width, channels].
    """
    if column.name.endswith(MASK) and column.name.removesuffix(MASK) in columns:
        return ""
    if column.dtype == "bytes":
        return "picture" if column.media.startswith("image/") and not column.shape else ""
    sides, channels = column.shape[:2], column.shape[2:]
    flat = (
        len(sides) == 2 and min(sides) >= LEAST and (not channels or (len(channels) == 1 and channels[0] <= CHANNELS))
    )
    if column.dtype == "uint8" and flat:
        return "picture"
    if column.dtype.startswith(("str", "<U", "U")):
        return "text"
    if column.type.startswith(("timestamp", "date")):
        return "date"
    return "number" if column.dtype.startswith(("float", "int", "uint", "bool")) else ""


def is_ragged(column: Column, columns: Mapping[str, Column]) -> bool:
    """Return whether the rows of a column are padded: a mask beside it says where values are."""
    return column.name + MASK in columns
