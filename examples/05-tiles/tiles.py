"""Cut scikit-learn's two photographs (CC BY) into JPEG tiles: a folder for each, as image classifiers want them."""

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

SIDE = 40  # pixels


def write(directory: Path) -> int:
    """Write ``china/`` and ``flower/`` below the directory; return the number of tiles."""
    count, images = 0, load_sample_images()
    for name, pixels in zip(("china", "flower"), images.images, strict=True):
        folder = directory / name
        folder.mkdir(parents=True, exist_ok=True)
        height, width = pixels.shape[:2]
        for y in range(0, height - SIDE + 1, SIDE):
            for x in range(0, width - SIDE + 1, SIDE):
                tile = Image.fromarray(pixels[y : y + SIDE, x : x + SIDE])
                tile.save(folder / f"{y:03}-{x:03}.jpg", quality=90)
                count += 1
    return count


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))} tiles\n")
