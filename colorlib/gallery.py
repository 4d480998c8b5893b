"""A collection of photographs in colour, of which each photograph to be coloured gets the one that is most like it.

Likeness is one of global statistics, after *Transferring Color to Greyscale Images* (Welsh et al. 2002), whose authors
look for a picture in a similar scene by hand: what their method compares pixel by pixel, luminance and how much it
varies around a pixel, is compared here over whole pictures.
"""

import math
from collections.abc import Iterable
from functools import cache
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import skimage
import torch
from torch import Tensor

from colorlib import color, io
from colorlib._checks import check_photos
from colorlib.image import local_deviation, reduced, reduced_size, resize_area
from colorlib.io import shrunk
from colorlib.toning import toning

_THUMBNAIL = 16  # pixels a side
_SAME = 0.99  # correlation of thumbnails above which two files show one picture
# Colour photographs that are part of scikit-image.
_SHIPPED = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


class Gallery:
    """Photographs to take colours from, found by the statistics of their lightness.

    Each is read once, and again when it is the nearest. Between, only its path and a thumbnail are kept, 1 kB.
    Gray photographs are left out, by default, and so are those that cannot be read.

    Args:
        paths: files, and folders, which are searched with the folders below them; no shards.
        gray: whether gray photographs will do, as they do for a scene's style.
        max_pixels: the largest width x height of a photograph to take.

    Attributes:
        warnings: which files could not be read, and what reading the others left out, each a sentence.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: no photograph in colour is there, or a shard was given.
    """

    def __init__(
        self,
        paths: str | PathLike[str] | Iterable[str | PathLike[str]],
        *,
        gray: bool = False,
        max_pixels: int = io.MAX_PIXELS,
    ):
        self._files: list[Path] = []
        self._max_pixels = max_pixels
        warnings: list[str] = []
        looks: list[_Look] = []
        colourless = 0
        for name, file in io.sources([paths] if isinstance(paths, str | PathLike) else paths):
            if isinstance(file, bytes):
                raise ValueError(f"{name}: a gallery is made of files and folders, got a shard; unpack it first")
            try:
                photo = io.read(file, max_pixels=max_pixels)
            except (OSError, io.ImageError) as error:
                warnings.append(f"{name} is left out of the gallery: {error}")
                continue
            warnings.extend(f"{name}: {warning}" for warning in photo.warnings)
            rgb = shrunk(photo, reduced_size(photo.height, photo.width))[0]
            if gray or has_colour(rgb):
                self._files.append(file)
                looks.append(_look(rgb))
            else:
                colourless += 1
        if not looks:
            found = "none that can be read" + (f" ({warnings[0]})" if warnings else "")
            found += f", and {colourless} without colour" if colourless else ""
            raise ValueError(f"the gallery has no photograph in colour: {found}; give it files or folders of some")
        self._statistics, self._thumbnails = (torch.stack(values) for values in zip(*looks, strict=True))
        self.warnings = tuple(warnings)
        spread = self._statistics.std(dim=0, correction=0)
        self._spread = torch.where(spread > 0, spread, 1)

    def __len__(self) -> int:
        return len(self._files)

    def nearest(self, rgb: Tensor) -> io.Photo:
        """The photograph whose lightness is most like that of ``rgb``, sRGB (3, H, W) in [0, 1], whatever its size.

        Compared are mean and standard deviation of L, and the mean of its standard deviation in 5 x 5 pixels, each
        divided by its spread over the gallery. A photograph that shows the very picture that ``rgb`` shows is left
        out, unless there is no other: coloured by itself, any picture comes out right.

        Raises:
            colorlib.io.ImageError: the photograph was overwritten since by what is none.
            FileNotFoundError: it was removed.
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape, or values that are nan or outside [0, 1].
        """
        check_photos(rgb, "(3, H, W)", on_accelerators=True)
        look = _look(reduced(rgb.detach().to("cpu", torch.float32)))
        distances = ((self._statistics - look.statistics) / self._spread).square().sum(dim=1)
        same = (self._thumbnails * look.thumbnail).sum(dim=1) > _SAME
        nearest = self._files[int(distances.masked_fill(same & ~same.all(), math.inf).argmin())]
        return io.read(nearest, max_pixels=self._max_pixels)


@cache
def default_gallery() -> Gallery:
    """The five photographs in colour that come with scikit-image: a portrait, a cat, coffee, a motorcycle, a rocket."""
    folder = Path(skimage.__file__).parent / "data"
    return Gallery(folder / name for name in _SHIPPED)


class _Look(NamedTuple):
    """What a gallery keeps of a photograph.

    Attributes:
        statistics: mean and standard deviation of L, and mean of its local deviation, (3,).
        thumbnail: L at 16 x 16 pixels, of mean 0 and norm 1, or 0 where the picture is flat, (256,).
    """

    statistics: Tensor
    thumbnail: Tensor


def _look(rgb: Tensor) -> _Look:
    lightness = color.rgb_to_lightness(rgb[None])
    texture = local_deviation(lightness).mean()
    small = resize_area(lightness, (_THUMBNAIL, _THUMBNAIL)).flatten()
    small = small - small.mean()
    norm = small.norm()
    thumbnail = small / norm if norm > 1e-2 else torch.zeros_like(small)
    return _Look(torch.stack([lightness.mean(), lightness.std(correction=0), texture]), thumbnail)


def has_colour(rgb: Tensor) -> bool:
    """Whether a picture has colours, other than a print's tone."""
    return looks_coloured(rgb) and toning(rgb) is None


def looks_coloured(rgb: Tensor) -> bool:
    """Whether more than a pixel in a thousand has a colour that an eye would notice, be it a print's tone."""
    return bool((color.rgb_to_lab(rgb)[1:].norm(dim=0) > 8).float().mean() > 1e-3)
