"""Colours that a person chooses for some points, spread over what belongs to them; the network does not run again.

A hint's colour goes as far as a walk over the picture is cheap, which is a geodesic distance: *Fast Image and Video
Colorization Using Chrominance Blending* (Yatziv and Sapiro, IEEE Transactions on Image Processing 15, 2006) colours
whole photographs so. Its premise is that of *Colorization using Optimization* (Levin, Lischinski and Weiss, SIGGRAPH
2004): neighbours of like lightness have like colours. Here a step costs

- its length, so that nothing goes on for ever;
- the square of its change in lightness, more where the hint lies in something smooth than where it lies in texture;
- the square of the Hellinger distance between what the method predicts there and what it predicts at the hint: so a
  hint stays on what the method holds to be the same thing.

Squares let a slope be cheap, and a jump dear. What no hint reaches is left as the method predicted it.

A pixel is painted from up to four cells of the grid. All of them take a hint's colour, so that its pixel has it; the
walk starts from that one of them which is most like the pixel, so it stays on the pixel's side of an edge. Across the
edge a colour is seen for two cells at most; on a grid as large as the photograph, not at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from colorlib import color, io
from colorlib.image import neighbours, size_of
from colorlib.painting import Chroma

if TYPE_CHECKING:
    from colorlib.result import Result

GRID = 256  # cells along the short side, at most
CELLS = GRID * 512  # in all, at most: the graph of their steps takes 300 bytes for each
HINTS = 100  # at most: each takes a walk, and 4 bytes for each cell
LEAST_SHARE = 1e-3  # of a pixel's colour; a cell of less is one that rounding leaves
FULL = 0.5  # up to this distance a hint counts whole; at 1 it ends
LENGTH = 0.5  # what a walk along the diagonal costs where nothing changes
JUMP = 18.0  # of lightness; costs 1 where the hint lies in something smooth
TEXTURE = 4.0  # the squared step that three in four around a hint stay below counts so many times
AROUND = 8  # cells on each side of a hint, for its texture
CELLS_APART = 4.0  # cells of the grid that a walk takes through the opposite of what is predicted at the hint
PRECISE = 10.0  # standard deviation in a and b of what a method without distributions is taken to predict
# (a, b) of CIE standard illuminant D50 beside white, D65: the way from daylight at noon to that of the morning.
WARM = (2.4, 17.7)


@dataclass(frozen=True)
class Hint:
    """A colour for a point of a photograph.

    Attributes:
        x: column of the photograph.
        y: row of it.
        a: of CIE Lab.
        b: likewise; lightness stays the photograph's.
    """

    x: int
    y: int
    a: float
    b: float

    @classmethod
    def of_rgb(cls, x: int, y: int, rgb: Sequence[float]) -> "Hint":
        """A colour by its sRGB in [0, 1], whose own lightness does not matter.

        Raises:
            ValueError: other than three numbers, or one outside [0, 1].
        """
        if len(rgb) != 3 or not all(0 <= value <= 1 for value in rgb):
            raise ValueError(f"expected three numbers in [0, 1], got {rgb}")
        _, a, b = color.rgb_to_lab(torch.tensor(rgb, dtype=torch.float64)[:, None, None]).flatten().tolist()
        return cls(x, y, a, b)

    def warmer(self, by: float = 5.0) -> "Hint":
        """As if the light were warmer, by so many units of a and b; cooler, if it is negative."""
        share = by / math.hypot(*WARM)
        return replace(self, a=self.a + share * WARM[0], b=self.b + share * WARM[1])


class Steering:
    """Paints of one photograph by one method with changing hints: where those that stay reach is not found again.

    Args:
        paint: what the method puts on the photograph.
        photo: the photograph.
    """

    def __init__(self, paint: Chroma, photo: io.Photo):
        self.original = paint
        self._photo, self._height, self._width = photo, photo.height, photo.width
        self._size = grid_size(photo.height, photo.width)
        self._lightness = color.rgb_to_lightness(io.shrunk(photo, self._size))[0, 0].numpy()
        self._own = F.interpolate(paint.small.cpu(), size=self._size, mode="bilinear")[0].numpy()
        self._found: dict[tuple[int, int], NDArray[np.float32]] = {}

    @classmethod
    def of(cls, result: "Result") -> "Steering":
        """Of a method's result.

        Raises:
            ValueError: it is of white balance.
        """
        if not isinstance(result.paint, Chroma):
            raise ValueError(f"{result.model} balances a photograph's own colours; hints are for methods that colour")
        return cls(result.paint, result.photo)

    def paint(self, hints: Sequence[Hint]) -> Chroma:
        """Paint that has the hints' colours where they belong, on a finer grid; without hints, the original.

        Args:
            hints: of two for one place the later counts; at most HINTS.

        Raises:
            ValueError: a hint lies outside the photograph, its colour is no number, or there are too many.
        """
        check_count(len(hints))
        for hint in hints:
            self._check(hint)
        if not hints:
            return self.original
        last = {(hint.x, hint.y): (hint.a, hint.b) for hint in hints}
        self._found = {place: self.distances(*place) for place in last}  # who tries many places must not keep them all
        mixed = blend(self._own, np.stack([*self._found.values()]), np.array([*last.values()], np.float32))
        return replace(self.original, small=torch.from_numpy(mixed)[None].to(self.original.small.device))

    def distances(self, x: int, y: int) -> NDArray[np.float32]:
        """How far the cells of the grid are from a pixel, column ``x`` and row ``y``: see :func:`walk`.

        0 for the cells that the pixel is painted from.
        """
        if (x, y) in self._found:
            return self._found[x, y]
        there = differences(self.original, y / self._height, x / self._width)
        apart = F.interpolate(there[None, None], size=self._size, mode="bilinear")[0, 0].cpu().numpy()
        cells = np.ix_(_around(y, self._height, self._size[0]), _around(x, self._width, self._size[1]))
        own = color.rgb_to_lightness(self._photo.planes.rows(y, y + 1)[:, :, x : x + 1]).item()
        unlike = np.abs(self._lightness[cells] - own)
        row, column = np.unravel_index(unlike.argmin(), unlike.shape)
        found = walk(self._lightness, apart, cells[0][row], cells[1][:, column])
        found[cells] = 0  # after the walk, which must not start on the other side of an edge
        return found

    def _check(self, hint: Hint) -> None:
        if not (0 <= hint.x < self._width and 0 <= hint.y < self._height):
            raise ValueError(f"expected hints in a photograph of {self._width} x {self._height}, got {hint}")
        if not (math.isfinite(hint.a) and math.isfinite(hint.b)):
            raise ValueError(f"expected a colour of finite numbers, got {hint}")


def check_count(hints: int) -> None:
    """Refuse more hints than HINTS.

    Raises:
        ValueError: there are more.
    """
    if hints > HINTS:
        raise ValueError(f"expected at most {HINTS} points with a chosen colour, got {hints}")


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Of the grid for a photograph: as large, or GRID cells along the short side, or CELLS in all, if that is less."""
    scale = min(1.0, GRID / min(height, width), math.sqrt(CELLS / (height * width)))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    return (rows, min(columns, CELLS // rows)) if rows < columns else (min(rows, CELLS // columns), columns)


def differences(paint: Chroma, down: float, across: float) -> Tensor:
    """How different from a point's prediction that of others is: Hellinger distances, (h, w) in [0, 1].

    Without distributions each cell counts as a Gaussian of one width around its (a, b).

    Args:
        paint: what a method puts on a photograph.
        down: where the point is, as a share of the height in [0, 1).
        across: likewise, of the width.
    """
    prediction = paint.prediction
    if prediction is None:
        cells = paint.small[0]
        point = _at(cells, down, across)
        return (1 - (-(cells - point).square().sum(dim=0) / (8 * PRECISE**2)).exp()).sqrt()
    alike = torch.ones(size_of(prediction.logits), device=prediction.logits.device)
    for (histogram,) in prediction.target.histograms(prediction.logits[None]):
        alike = alike * (histogram * _at(histogram, down, across)).sqrt().sum(dim=0)
    return (1 - alike).clamp(min=0).sqrt()


def walk(
    lightness: NDArray[np.float32], apart: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """What the cheapest walk from a point costs, to each cell of a grid.

    Args:
        lightness: L of CIE Lab, (h, w).
        apart: how different from the point's prediction that of others is, (h, w) in [0, 1].
        rows: of the cells where walks start.
        columns: likewise.

    Returns:
        (h, w): 0 where walks start; inf where they would cost more than 1.
    """
    height, width = lightness.shape
    first, second, length, order, indices, starts = _graph(height, width)
    light, other = lightness.ravel(), apart.ravel() ** 2 / CELLS_APART
    scale = JUMP**2 + TEXTURE * _texture(lightness, rows, columns)
    costs = length * (LENGTH / math.hypot(height, width) + (other[first] + other[second]) / 2)
    costs += (light[first] - light[second]) ** 2 / scale
    graph = sparse.csr_array((costs[order], indices, starts), shape=(light.size, light.size))
    cells = (rows[:, None] * width + columns).ravel()
    found: NDArray[np.float64] = dijkstra(graph, indices=cells, min_only=True, limit=1.0)
    return found.reshape(height, width).astype(np.float32)


def blend(ab: NDArray[np.float32], distances: NDArray[np.float32], colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix hints' colours into a method's: hints by the inverse square of their distances, as Yatziv and Sapiro do.

    Args:
        ab: the method's (a, b), (2, h, w).
        distances: of each hint, (K, h, w), inf where it does not count.
        colours: (a, b) of each hint, (K, 2).

    Returns:
        (2, h, w): a hint's own colour where its distance is 0, the last's where several are; the method's colour where
        all distances are inf.
    """
    share = np.clip((1 - distances.min(axis=0)) / (1 - FULL), 0, 1)
    cover = share * share * (3 - 2 * share)
    weights = 1 / np.maximum(distances, 1e-6) ** 2
    for earlier, later in pairwise(range(len(distances))):
        weights[: earlier + 1, distances[later] == 0] = 0
    weights /= np.maximum(weights.sum(axis=0), 1e-30)
    chosen = np.einsum("khw,kc->chw", weights, colours)
    return np.asarray(ab + cover * (chosen - ab), np.float32)


def _around(place: int, pixels: int, cells: int) -> NDArray[np.intp]:
    """The one or two cells along a side that a pixel's colour is interpolated from."""
    (before,), (after,), (weight,) = neighbours(cells, pixels, place, place + 1)
    shares = ((before, 1 - weight), (after, weight))
    return np.unique([cell for cell, share in shares if share > LEAST_SHARE])


def _at(cells: Tensor, down: float, across: float) -> Tensor:
    """The cell at a place: (C, h, w) -> (C, 1, 1)."""
    height, width = size_of(cells)
    row, column = int(down * height), int(across * width)
    return cells[:, row : row + 1, column : column + 1]


def _texture(lightness: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> float:
    """The squared step of lightness that three in four around some cells stay below."""
    around = lightness[
        max(0, rows.min() - AROUND) : rows.max() + AROUND + 1,
        max(0, columns.min() - AROUND) : columns.max() + AROUND + 1,
    ]
    steps = np.concatenate([np.diff(around, axis=axis).ravel() for axis in (0, 1)])
    return float(np.quantile(steps**2, 0.75)) if steps.size else 0.0


@lru_cache(maxsize=4)
def _graph(height: int, width: int) -> tuple[NDArray[Any], ...]:
    """The steps from each cell to its eight neighbours.

    Returns:
        The cells from which and to which they lead, their lengths, their order in a sparse matrix, and its column
        indices and row starts.
    """
    index = np.arange(height * width).reshape(height, width)
    straight = [(index[:, :-1], index[:, 1:]), (index[:-1], index[1:])]
    oblique = [(index[:-1, :-1], index[1:, 1:]), (index[:-1, 1:], index[1:, :-1])]
    there = [np.concatenate([pair[side].ravel() for pair in straight + oblique]) for side in (0, 1)]
    first, second = np.concatenate(there), np.concatenate(there[::-1])
    counts = [sum(pair[0].size for pair in pairs) for pairs in (straight, oblique)]
    length = np.tile(np.repeat(np.array([1, math.sqrt(2)], np.float32), counts), 2)
    numbered = sparse.coo_array((np.arange(first.size), (first, second)), shape=(index.size, index.size)).tocsr()
    return first, second, length, numbered.data, numbered.indices, numbered.indptr
