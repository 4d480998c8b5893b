"""Pictures of the study. This module needs torch: see :mod:`loading`."""

from pathlib import Path

from batches import colorizer
from keys import LARGE
from measures import shrink
from painting import read

from colorlib import io
from colorlib.study import ORIGINAL


def write(photo: Path, shown: str, path: Path) -> None:
    """Write a photograph as it is, or as a method colours it; at one size, so that nothing else tells them apart."""
    small = shrink(read(photo), LARGE)
    rgb = small.rgb if shown == ORIGINAL else colorizer(shown).result(small).rgb
    io.write(path, rgb, fast=True)
