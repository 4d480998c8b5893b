"""Make the example of the first screen: ``python demo/example.py``, after the recommended method has new weights."""

from pathlib import Path

import skimage
from board import few

from colorlib import Colorizer

FILE = Path(__file__).with_name("example.jpg")
PHOTOGRAPH = Path(skimage.__file__).parent / "data/camera.png"  # by Lav Varshney, CC0


def make(file: Path) -> None:
    """The photograph by the recommended method."""
    Colorizer(few()[0])(PHOTOGRAPH).save(file, quality=90)


if __name__ == "__main__":
    make(FILE)
