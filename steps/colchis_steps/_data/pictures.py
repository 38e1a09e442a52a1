"""Stored pictures, small and in few colours, as a page shows them."""

import io

from colchis_steps._formats.runs import Picture

SIDE, COLOURS = 32, 16
PIXELS = 64 << 20  # of a stored picture; a larger one is not decoded


def small_picture(content: bytes) -> Picture | None:
    """Return a stored picture, PNG, JPEG or WebP, in at most SIDE by SIDE points; None where it cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as found:
            if found.width * found.height > PIXELS:
                return None
            found.draft("RGB", (SIDE, SIDE))
            found.thumbnail((SIDE, SIDE))
            few = found.convert("RGB").quantize(COLOURS)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    palette = few.getpalette() or []
    shades = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in zip(*[iter(palette)] * 3, strict=False)]
    width, values = few.width, few.tobytes()
    lines = (values[at : at + width] for at in range(0, len(values), width))
    return Picture(tuple(shades[:COLOURS]), tuple(tuple(line) for line in lines))
