"""What the reader makes and the writer takes: pictures as planes of floats, made a strip of rows at a time."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colorlib._checks import OVERSHOOT
from colorlib.image import antialiased
from colorlib.io import store
from colorlib.io.metadata import Metadata

Pixels: TypeAlias = NDArray[Any]
"""(H, W, C), C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; uint8, uint16, or float in [0, 1]."""

Dpi: TypeAlias = tuple[float, float]
"""Pixels per inch, horizontal and vertical."""

_STRIP = 1 << 18  # pixels of which floats are made at a time: 3 MB, that stay in the cache until they are used


class ImageError(ValueError):
    """A picture that cannot be read or is not accepted: says what was found, what was expected, what to do."""


class TooLargeError(ImageError):
    """A picture of more pixels than are taken.

    Attributes:
        got: what was found and what was expected, for callers that add their own advice.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        max_pixels: the largest width x height that would have been taken.
    """

    def __init__(self, name: str, width: int, height: int, max_pixels: int):
        self.got = f"got {width} x {height} pixels, expected at most {max_pixels:,}"
        self.width, self.height, self.max_pixels = width, height, max_pixels
        advice = "shrink the picture, or raise max_pixels (--max-pixels in the shell) if you trust the file"
        super().__init__(f"{name}: {self.got}; {advice}")
        self._name = name

    def __reduce__(self) -> tuple[type["TooLargeError"], tuple[str, int, int, int]]:
        """From one process to another it goes by what it was made of."""
        return type(self), (self._name, self.width, self.height, self.max_pixels)


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture as (C, H, W) float32 in [0, 1] on the CPU, made a strip of rows at a time.

    A photograph of 200 megapixels has 0.6 GB in its own 8 bits and 2.4 GB in floats: so it is never there in floats
    as a whole, unless somebody asks for it.

    Attributes:
        shape: (C, H, W).
        rows: from the first row and the one after the last to their floats, (C, rows, W).
        levels: from these and 8 or 16 bits to the same rounded to the nearest level, (rows, W, C) uint8 or uint16,
            where that is less work than to round the floats; else None.
    """

    shape: tuple[int, int, int]
    rows: Callable[[int, int], Tensor]
    levels: Callable[[int, int, int], Pixels] | None = None

    @classmethod
    def of(cls, picture: "Tensor | Planes") -> "Planes":
        """The planes of a tensor (C, H, W), which is not copied."""
        if isinstance(picture, Planes):
            return picture
        channels, height, width = picture.shape
        return cls((channels, height, width), partial(_rows_of_tensor, picture))

    def whole(self) -> Tensor:
        """All rows."""
        return self.rows(0, self.shape[1])


class Photo:
    """A picture as the models see it, with what is needed to write it back.

    Attributes:
        planes: sRGB, (3, H, W) in [0, 1], upright, a strip at a time; a gray picture has R = G = B.
        opacity: alpha, (1, H, W) in [0, 1], if the source has it; not multiplied into the colours.
        bit_depth: 8 or 16, of the source; a file of floats counts as 16, an array or tensor of floats as 8.
        metadata: what the source says of itself, for :func:`colorlib.io.write`.
        dpi: pixels per inch, horizontal and vertical.
        name: the file's name, or a word such as "array".
        warnings: what the reader left out or assumed, a sentence each.
        pages: how many photographs the file has one after the other, see :func:`colorlib.io.pages`.
        pixels: what the planes are made of, (H, W, C) of uint8 or uint16, sRGB, upright: C is 1 for gray, 2 for gray
            and alpha, 3 for RGB, 4 for RGB and alpha. None where the source has floats, 12 bits or premultiplied
            colours.
        height: in pixels.
        width: in pixels.
    """

    def __init__(
        self,
        rgb: Tensor | Planes,
        alpha: Tensor | Planes | None = None,
        bit_depth: int = 8,
        metadata: Metadata | None = None,
        dpi: Dpi | None = None,
        name: str = "picture",
        warnings: tuple[str, ...] = (),
        pages: int = 1,
        pixels: Pixels | None = None,
    ):
        self.planes = Planes.of(rgb)
        self.opacity = None if alpha is None else Planes.of(alpha)
        self.bit_depth = bit_depth
        self.metadata = metadata or Metadata()
        self.dpi = dpi
        self.name = name
        self.warnings = warnings
        self.pages = pages
        self.pixels = pixels
        _, self.height, self.width = self.planes.shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.width} x {self.height}, {self.bit_depth} bits)"

    @cached_property
    def rgb(self) -> Tensor:
        """sRGB, (3, H, W) float32 in [0, 1]: all of `planes`, which is made at the first use and kept."""
        return self.planes.whole()

    @property
    def exif(self) -> bytes | None:
        """EXIF block of `metadata`."""
        return self.metadata.exif

    @cached_property
    def alpha(self) -> Tensor | None:
        """Opacity, (1, H, W) float32 in [0, 1], if the source has it: all of `opacity`."""
        return None if self.opacity is None else self.opacity.whole()


def planes_of_pixels(pixels: Pixels, peak: int, premultiplied: bool) -> tuple[Planes, Planes | None]:
    """Colours and alpha of (H, W, C), where the value `peak` is 1."""
    height, width, channels = pixels.shape
    planes = Planes((3, height, width), partial(_rows_of_pixels, pixels[..., : 3 if channels >= 3 else 1], 3, peak))
    alpha = None
    if channels in (2, 4):
        alpha = Planes((1, height, width), partial(_rows_of_pixels, pixels[..., -1:], 1, peak))
    if premultiplied and alpha is not None:
        planes = Planes(planes.shape, partial(_divided_rows, planes.rows, alpha.rows))
    return planes, alpha


def floats(pixels: Pixels, channels: int, peak: int) -> Tensor:
    """(H, W, 1 or channels), integers or floats -> (channels, H, W) float32 in [0, 1], without copies between."""
    if min(pixels.strides) < 0 or not pixels.flags.writeable:  # which torch cannot share
        pixels = pixels.copy()
    stored = torch.from_numpy(pixels).permute(2, 0, 1).expand(channels, -1, -1)
    # Three times as fast as numpy's division of the same view, and equal to the last bit.
    planes = stored.to(torch.float32, memory_format=torch.contiguous_format, copy=True).div_(peak)
    return planes.clamp_(0, 1) if pixels.dtype.kind == "f" else planes


def strips(height: int, width: int, count: int = 1) -> Iterator[tuple[int, int]]:
    """First row and the one after the last of strips of ``count`` pictures, a quarter of a million pixels each."""
    rows = max(1, _STRIP // (count * width))
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def shrunk(photo: Photo, size: tuple[int, int]) -> Tensor:
    """A photograph at another size, antialiased: (1, 3, *size) in [0, 1].

    As :func:`colorlib.image.resize` does it, bit for bit, but by strips: first all rows get their width, then all
    columns their height.
    """
    if size == (photo.height, photo.width):
        return photo.planes.whole()[None]
    parts = (photo.planes.rows(start, stop)[None] for start, stop in strips(photo.height, photo.width))
    rows = [antialiased(part, (part.shape[-2], size[1])) for part in parts]
    return antialiased(torch.cat(rows, dim=-2), size).clamp_(0, 1)


def looked_up(table: NDArray[Any], pixels: Pixels) -> Pixels:
    """What a table (levels,) has for each value: (H, W, C) -> (H, W, C), by strips."""
    found = store.empty(pixels.shape, table.dtype)
    for top, end in strips(*pixels.shape[:2]):
        found[top:end] = table[pixels[top:end]]
        store.let_go(pixels, found)
    return found


def check_values(values: NDArray[Any], name: str) -> None:
    """Refuse floats that are not finite or outside [0, 1]; rounding of float32 is forgiven.

    Raises:
        ImageError: with the values found.
    """
    if values.dtype.kind != "f":
        return
    bounds = []
    for first, last in strips(len(values), max(1, values[0].size)):
        bounds += [values[first:last].min(), values[first:last].max()]
        store.let_go(values)
    low, high = float(np.min(bounds)), float(np.max(bounds))  # NaN would be both
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name}: holds NaN or infinity; expected values in [0, 1]; find where they come from")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        advice = "did you forget / 255? Else clamp them"
        raise ImageError(f"{name}: got values from {low:.6g} to {high:.6g}; expected [0, 1]; {advice}")


# Functions of modules, not closures, so that a photograph can be pickled.


def _rows_of_tensor(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor[:, start:stop]


def _rows_of_pixels(pixels: Pixels, channels: int, peak: int, start: int, stop: int) -> Tensor:
    planes = floats(pixels[start:stop], channels, peak)
    store.let_go(pixels)
    return planes if peak in (255, 65535) else planes.clamp_(max=1)


def _divided_rows(
    colours: Callable[[int, int], Tensor], opacity: Callable[[int, int], Tensor], start: int, stop: int
) -> Tensor:
    return (colours(start, stop) / opacity(start, stop).clamp(min=1e-6)).clamp_(max=1)
