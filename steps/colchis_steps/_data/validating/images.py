"""Pictures, decoded to see whether they can be."""

import io
import warnings
from typing import Any

from colchis_steps._data.validating.looking import Look
from colchis_steps._step.errors import InputError

PIXELS = 1 << 26  # of a picture, at most


def bad_images(seen: Look, where: str, before: int) -> tuple[int, str]:
    """Return how many pictures of a column cannot be decoded, and a sentence on the first.

    A JPEG is decoded at an eighth of its size, which reads all of its bytes.

    Raises:
        InputError: pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise InputError("checking images needs pillow; pip install 'colchis[data]'") from error
    count, reason = 0, ""
    for row, value in enumerate(seen.leaf):
        if not value.is_valid:
            continue
        if told := _fault(value.as_buffer()):
            count += 1
            reason = reason or (
                f"column {seen.column.name!r} of {where} has a picture in row {before + row} that cannot be decoded "
                f"({told}); correct it, or leave it out"
            )
    return count, reason


def _fault(content: Any) -> str:
    """Return why a picture cannot be decoded; nothing where it can."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > PIXELS:
                    return f"{image.width} by {image.height} pixels are too many"
                image.draft(image.mode, (image.width // 8, image.height // 8))
                image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError) as error:
        return str(error).partition(" <_io")[0][:128] or type(error).__name__
    return ""
