"""The colours of scikit-learn's two photographs, pixel by pixel: its surroundings in grey, and the class of its colour.

A row is uint8 [9, 9, 2]: grey values around a pixel, at every pixel and at every fourth one; the edge goes on outside.
Its label is a cell of the plane of Cb and Cr (ITU-R BT.601), named as the colour of that cell at half luminance. So
colouring is classifying, after Zhang, Isola and Efros, Colorful Image Colorization, 2016, arXiv:1603.08511.
"""

from typing import TYPE_CHECKING, Any

from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

REACH = 4  # pixels on each side
STRIDES = (1, 4)
SIDES = (64, 76)  # longest side of a photograph, in pixels: what the page sends is about as large
CELL = 16  # edge of a class in the plane of Cb and Cr, of 256
SMALLEST = 0.002  # share of the pixels below which a cell is not a class
BLOCK = 8  # pixels on each side of what goes to one split: neighbours are alike, so they stay together


def photographs() -> "list[Array]":
    """Return the photographs, float64 RGB [height, width, 3], 0 to 255."""
    try:
        from sklearn.datasets import load_sample_images

        return [image.astype("float64") for image in load_sample_images().images]
    except ImportError as error:
        raise InputError(
            "the photographs are inside scikit-learn, which is absent or lacks pillow; pip install 'colchis[samples]'"
        ) from error


def shrunk(image: "Array", side: int) -> "Array":
    """Return the image with ``side`` pixels on its longest side, each the mean of those it covers."""
    import numpy as np

    height, width = (max(1, round(length * side / max(image.shape[:2]))) for length in image.shape[:2])
    rows, columns = (
        np.linspace(0, n, m + 1).astype(int) for n, m in zip(image.shape[:2], (height, width), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(image, rows[:-1], axis=0), columns[:-1], axis=1)
    means: Array = sums / (np.diff(rows)[:, None] * np.diff(columns)[None, :])[..., None]
    return means


def luminance_and_chroma(image: "Array") -> "tuple[Array, Array]":
    """Return Y [height, width] from 0 to 255, and Cb and Cr [height, width, 2] from -128 to 128."""
    import numpy as np

    grey = image @ np.array([0.299, 0.587, 0.114])
    return grey, np.stack([(image[..., 2] - grey) * 0.564, (image[..., 0] - grey) * 0.713], axis=-1)


def surroundings(grey: "Array") -> "Array":
    """Yield each pixel's row, uint8 [pixels, 9, 9, 2]."""
    import numpy as np

    height, width = grey.shape
    around = np.arange(-REACH, REACH + 1)
    values = np.rint(np.clip(grey, 0, 255)).astype("uint8")
    parts = []
    for stride in STRIDES:
        y = np.clip(np.arange(height)[:, None] + stride * around, 0, height - 1)
        x = np.clip(np.arange(width)[:, None] + stride * around, 0, width - 1)
        parts.append(values[y[:, None, :, None], x[None, :, None, :]].reshape(height * width, len(around), len(around)))
    return np.stack(parts, axis=-1)


def transferred(chroma: "list[Array]") -> "list[Array]":
    """Paint each photograph in the other's colours: mean and spread, after Reinhard et al., Color Transfer, 2001."""
    own = [(c.mean(axis=(0, 1)), c.std(axis=(0, 1))) for c in chroma]
    return [
        (c - mean) / spread * own[i - 1][1] + own[i - 1][0]
        for i, (c, (mean, spread)) in enumerate(zip(chroma, own, strict=True))
    ]


def colour(cell: "Array") -> str:
    """Return the name of a cell's middle, such as ``#8a7f60``."""
    import numpy as np

    cb, cr = cell * CELL
    rgb = np.array([128 + cr / 0.713, 128 - (0.299 * cr / 0.713 + 0.114 * cb / 0.564) / 0.587, 128 + cb / 0.564])
    return "#" + "".join(f"{round(value):02x}" for value in np.clip(rgb, 0, 255))


def rows(style: str) -> "tuple[Array, Array, Array, tuple[str, ...]]":
    """Return surroundings [n, 9, 9, 2], classes [n], groups [n] that belong into one split, and the classes' names."""
    import numpy as np

    features, chromas, groups = [], [], []
    for side in SIDES:
        found = [luminance_and_chroma(shrunk(image, side)) for image in photographs()]
        chroma = [each for _, each in found]
        for number, ((grey, _), each) in enumerate(
            zip(found, transferred(chroma) if style == "transfer" else chroma, strict=True)
        ):
            block = np.array([number << 16]) + np.add.outer(
                *(np.arange(n) * 64 // side // BLOCK * f for n, f in zip(grey.shape, (256, 1), strict=True))
            )
            for mirror in (slice(None), slice(None, None, -1)):
                features.append(surroundings(grey[:, mirror]))
                chromas.append(each[:, mirror].reshape(-1, 2))
                groups.append(block[:, mirror].reshape(-1))
    cells = np.rint(np.concatenate(chromas) / CELL).astype(int)
    known, place, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    kept = known[counts >= SMALLEST * len(cells)]
    nearest = ((known[:, None] - kept[None]) ** 2).sum(axis=-1).argmin(axis=1)
    labels = nearest[place.reshape(-1)].astype("int64")
    return np.concatenate(features), labels, np.concatenate(groups), tuple(colour(cell) for cell in kept)
