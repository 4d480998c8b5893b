"""Painting on the CPU at memory speed: a photograph's own pixels and a small map of chroma -> 8 or 16 bits, or floats.

The picture is painted tile by tile. All that happens to a tile happens in buffers that stay in a core's cache, by the
arithmetic of :mod:`colorlib._fast_color`, by as many threads as torch has. What belongs to the photograph, f(Y) of its
luminance, is computed once for all that is painted on it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from colorlib import _fast_color as fast
from colorlib.color import XYZ_FROM_RGB
from colorlib.image import neighbours
from colorlib.io import Photo
from colorlib.io.store import let_go

# A tile's buffers mostly stay in a core's cache, and are large enough that starting an operation takes little beside
# it. A block's colours are kept until those outside sRGB are brought back, all together.
_TILE, _BLOCK = 1 << 15, 1 << 18  # pixels
_KEPT = 1 << 22  # pixels of the largest photograph whose f(Y) is kept, in 4 bytes each
_AB_TO_F = (1 / 500, -1 / 200)  # f(X) - f(Y) and f(Z) - f(Y), by a and b


class Place(NamedTuple):
    """A tile of a photograph: rows ``top`` to ``end``, columns ``left`` to ``right``."""

    top: int
    end: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.end - self.top, self.right - self.left

    def of(self, planes: Any, first: int = 0) -> Any:
        """The tile of an array or tensor (*, H, W) that begins with row ``first`` of the photograph."""
        return planes[..., self.top - first : self.end - first, self.left : self.right]


class Tile:
    """Buffers for tiles of one shape, one tile at a time, (3, padded) if nothing else is said.

    Attributes:
        shape: rows and columns.
        count: pixels.
        f: f(X), f(Y) and f(Z) of CIE Lab.
        light: linear RGB, or X, Y and Z.
        spare: for intermediate results.
        levels: of the photograph, int32.
        upper: the row above each of the tile's in a map that is enlarged, (2, rows, columns).
        lower: the row below.
    """

    def __init__(self, shape: tuple[int, int]):
        self.shape, self.count = shape, shape[0] * shape[1]
        padded = -(-self.count // fast.LANES) * fast.LANES
        self.f, self.light, self.spare = (torch.zeros(3, padded, dtype=torch.float32, device="cpu") for _ in range(3))
        self.levels = torch.zeros(3, padded, dtype=torch.int32, device="cpu")
        self.upper, self.lower = (torch.empty(2, *shape, dtype=torch.float32, device="cpu") for _ in range(2))

    def picture(self, buffer: Tensor) -> Tensor:
        """A buffer without its padding, (channels, rows, columns)."""
        return buffer[:, : self.count].view(-1, *self.shape)


class Workshop:
    """Buffers, made when they are first needed."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[int, int], Tile] = {}
        self._linear: dict[tuple[int, int, int], Tensor] = {}

    def tile(self, place: Place) -> Tile:
        """Buffers for the tile, which may be in use for another one of the same shape."""
        if place.shape not in self._tiles:
            self._tiles[place.shape] = Tile(place.shape)
        return self._tiles[place.shape]

    def linear(self, number: int, place: Place) -> Tensor:
        """Linear RGB of the tile of this number in a block, (3, padded): a buffer of its own."""
        key = number, *place.shape
        if key not in self._linear:
            self._linear[key] = torch.zeros_like(self.tile(place).light)
        return self._linear[key]


class Ground:
    """What of a photograph is painted on: its f(Y), and where its own chroma shows through, f(X) and f(Z)."""

    def __init__(self, photo: Photo):
        # Not the photograph itself, beside which this is kept.
        self._planes, self._pixels = photo.planes, photo.pixels
        self.height, self.width = photo.height, photo.width
        self._lock = threading.Lock()

    @torch.no_grad()
    def prepare(self) -> None:
        """Compute what is kept of a photograph that is not too large."""
        if self.height * self.width <= _KEPT:
            with self._lock:  # once, however many methods paint at the same time
                _ = self._kept

    def let_go(self) -> None:
        """Leave the pixels of a large photograph to their file."""
        if self._pixels is not None:
            let_go(self._pixels)

    def luminance(self, place: Place, tile: Tile) -> Tensor:
        """f(Y) of a tile, (rows, columns); the tile's next use may overwrite it."""
        if self.height * self.width <= _KEPT:
            return torch.from_numpy(place.of(self._kept))
        return self._luminance(place, tile)

    def colour(self, place: Place, tile: Tile) -> Tensor:
        """f(X), f(Y) and f(Z) of a tile, (3, padded) in `spare`."""
        linear = self._linear(place, tile)
        fast.mix(linear if len(linear) == 3 else linear.expand(3, -1), fast.to_relative_xyz(), tile.f)
        fast.bend(tile.f, fast.root_curve(), tile.spare, tile.light)
        return tile.spare

    @cached_property
    def _kept(self) -> NDArray[np.float32]:
        kept = np.empty((self.height, self.width), np.float32)

        workshop = Workshop()
        for place in _tiles(0, self.height, self.width):
            place.of(kept)[...] = self._luminance(place, workshop.tile(place)).numpy()
        return kept

    def _luminance(self, place: Place, tile: Tile) -> Tensor:
        linear, y, f, spare = self._linear(place, tile), tile.f[:1], tile.spare[:1], tile.f[1:2]
        if len(linear) == 3:
            fast.mix(linear, XYZ_FROM_RGB[1:2], y)
            linear = y
        fast.bend(linear, fast.root_curve(), f, spare)
        return tile.picture(f)[0]

    def _linear(self, place: Place, tile: Tile) -> Tensor:
        """Linear RGB of a tile, or the one channel of a gray picture, (3 or 1, padded) in `light`."""
        if self._pixels is None:
            rgb = place.of(self._planes.rows(place.top, place.end), place.top).detach()
            # As levels of 16 bits too; what is no colour, and has no place in the table, becomes one.
            found, peak = rgb.mul(65535).add_(0.5).nan_to_num_(0).clamp_(0, 65535).numpy(), 65535
        else:
            pixels = self._pixels[..., : 3 if self._pixels.shape[-1] >= 3 else 1].transpose(2, 0, 1)
            found, peak = place.of(pixels), int(np.iinfo(pixels.dtype).max)
        levels, light = tile.levels[: len(found)], tile.light[: len(found)]
        tile.picture(levels).numpy()[...] = found
        torch.index_select(fast.linear_table(peak), 0, levels.view(-1), out=light.view(-1))
        return light


class Cover:
    """Chroma over a photograph, painted when pixels are asked for."""

    def __init__(self, ground: Ground, small: Tensor, strength: float, saturation: float):
        """Take what is painted.

        Args:
            ground: of the photograph.
            small: (a, b) of CIE Lab, (2, h, w), on the CPU.
            strength: 0 keeps the photograph's own chroma, 1 takes the map's.
            saturation: factor on the chroma that results.
        """
        self.ground = ground
        scale = torch.tensor(_AB_TO_F, dtype=torch.float32, device="cpu")[:, None, None]
        self._small = small.detach().to(torch.float32) * (saturation * strength * scale)
        self._own = saturation * (1 - strength)  # how much of the photograph's own chroma shows through
        self._pure = strength == 1

    def rows(self, start: int, stop: int) -> Tensor:
        """sRGB in [0, 1], (3, rows, W) float32."""
        painted = np.empty((3, stop - start, self.ground.width), np.float32)

        def write(place: Place, values: Tensor) -> None:
            torch.clamp(values, 0, 1, out=torch.from_numpy(place.of(painted, start)))

        self._paint(start, stop, fast.gamma_curve(1), write)
        return torch.from_numpy(painted)

    def levels(self, start: int, stop: int, bit_depth: int) -> NDArray[Any]:
        """sRGB in 8 or 16 bits, rounded to the nearest: (rows, W, 3) uint8 or uint16."""
        painted = np.empty((stop - start, self.ground.width, 3), np.uint8 if bit_depth == 8 else np.uint16)

        def write(place: Place, values: Tensor) -> None:
            part = place.of(painted.transpose(2, 0, 1), start)
            for channel, plane in zip(part, values.numpy().astype(painted.dtype), strict=True):
                channel[...] = plane  # a third of the time of all three at once

        self._paint(start, stop, fast.gamma_curve(2**bit_depth - 1), write)
        return painted

    @torch.no_grad()
    def _paint(self, start: int, stop: int, curve: fast.Curve, write: Callable[[Place, Tensor], object]) -> None:
        if self._pure:
            self.ground.prepare()
        enlarged, workshop = _Enlarged(self._small, self.ground, start, stop), Workshop()
        for block in _blocks(start, stop, self.ground.width):
            linear = [workshop.linear(number, place) for number, place in enumerate(block)]
            outside = []
            for place, light in zip(block, linear, strict=True):
                tile = workshop.tile(place)
                self._colour(place, tile, enlarged)
                fast.to_linear(tile.f, light, tile.spare)
                where = fast.outside(light, tile.spare)[: tile.count].nonzero()[0]
                outside.append((light, where, tile.f.numpy().take(where, axis=1)))
            _bring_back(outside)
            for place, light in zip(block, linear, strict=True):
                tile = workshop.tile(place)
                fast.bend(light.clamp_(0, 1), curve, tile.f, tile.spare)
                write(place, tile.picture(tile.f))
            self.ground.let_go()

    def _colour(self, place: Place, tile: Tile, enlarged: "_Enlarged") -> None:
        """f(X), f(Y) and f(Z) of what is painted, in `f`."""
        if self._pure:
            f_of_y = self.ground.luminance(place, tile)
        else:
            own = self.ground.colour(place, tile)
            f_of_y = tile.picture(own)[1]
        x_and_z = tile.picture(tile.f)[0::2]
        enlarged.onto(x_and_z, place, tile)
        if not self._pure:
            shown = tile.picture(own)[0::2]
            x_and_z.add_(shown.sub_(f_of_y), alpha=self._own)
        x_and_z.add_(f_of_y)
        tile.picture(tile.f)[1].copy_(f_of_y)


class _Enlarged:
    """Rows of a map at a photograph's size, bilinearly: every column at once, and rows as they are asked for."""

    def __init__(self, small: Tensor, ground: Ground, start: int, stop: int):
        above, below, weight = neighbours(small.shape[-2], ground.height, start, stop)
        first, last = int(above[0]), int(below[-1])
        size = last + 1 - first, ground.width
        self._wide = F.interpolate(small[None, :, first : last + 1], size=size, mode="bilinear", align_corners=False)[0]
        self._start = start
        self._above, self._below = torch.from_numpy(above - first), torch.from_numpy(below - first)
        self._weight = torch.from_numpy(weight)[:, None]

    def onto(self, out: Tensor, place: Place, tile: Tile) -> None:
        """Write a tile of it, (2, rows, columns)."""
        rows = slice(place.top - self._start, place.end - self._start)
        wide = self._wide[..., place.left : place.right]
        torch.index_select(wide, 1, self._above[rows], out=tile.upper)
        torch.index_select(wide, 1, self._below[rows], out=tile.lower)
        torch.lerp(tile.upper, tile.lower, self._weight[rows], out=out)


def _bring_back(outside: Sequence[tuple[Tensor, NDArray[np.int64], NDArray[np.float32]]]) -> None:
    """Reduce the chroma of colours outside sRGB: linear RGB of tiles, which pixels of it, and their f (3, n)."""
    f = np.concatenate([values for _, _, values in outside], axis=1)
    if f.shape[1] == 0:
        return
    parts = [fast.reduced(torch.from_numpy(f[:, k : k + _TILE])) for k in range(0, f.shape[1], _TILE)]
    found = torch.cat(parts, dim=1).numpy()
    first = 0
    for light, where, values in outside:
        last = first + values.shape[1]
        for channel, reduced in zip(light.numpy(), found[:, first:last], strict=True):
            channel[where] = reduced
        first = last


def _tiles(start: int, stop: int, width: int) -> Iterator[Place]:
    rows = max(1, _TILE // width)
    for top in range(start, stop, rows):
        for left in range(0, width, _TILE):
            yield Place(top, min(top + rows, stop), left, min(left + _TILE, width))


def _blocks(start: int, stop: int, width: int) -> Iterator[list[Place]]:
    """Tiles one after the other, as many as have a block's pixels."""
    block: list[Place] = []
    pixels = 0
    for place in _tiles(start, stop, width):
        block.append(place)
        pixels += place.shape[0] * place.shape[1]
        if pixels >= _BLOCK:
            yield block
            block, pixels = [], 0
    if block:
        yield block
