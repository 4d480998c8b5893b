"""Borders of scans: mounts, frames and margins around a photograph. They are no part of the scene, and have no colour.

A border is a run of rows or columns at the edge that are of one lightness and end at a straight edge. A plain sky is
of one lightness too, and a horizon is straight: so a border must have at least two sides of the same lightness.

Of 963 photographs of four benchmarks, fourteen have a border by this rule: bars, mounts and frames, and the margin of a
collage. A sky above a street of the same lightness is refused.
"""

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from colorlib import color, io
from colorlib._checks import check_photos

if TYPE_CHECKING:
    from colorlib.result import Result

# What is said of a photograph that has one: where it is coloured, where white is balanced, where it is cut off.
LEFT, KEPT, OUT = "the border was left uncoloured", "the border was left as it is", "the border was left out"
LONGEST = 1024  # side of the copy in which borders are looked for: it has less noise, and edges are found to a pixel
ALIKE = 8.0  # L of CIE Lab by which pixels of a border may differ from its median: paper has stains and shadows
SHARE = 0.85  # of a row's pixels that must be so alike
STEP = 10.0  # L by which the picture differs from its border where it begins
STRAIGHT, DIM = 0.7, 0.25  # share of the columns where it does so within the same few rows; where two sides are sure
LEAST, MOST = 0.004, 0.3  # of the height or width
SKEW = 0.012  # of it that an edge may take: scans are a little askew, and frames of film are rough
UNEQUAL = 2  # the wider of only two sides over the other: a sky and a street may be of one lightness
FRAMES = 3  # that may lie within each other, such as a mount and the margin of the print


class Border(NamedTuple):
    """How many rows and columns of pixels around a photograph are border; any of them may be 0."""

    top: int
    bottom: int
    left: int
    right: int

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and the columns of the photograph in a picture of a size."""
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)


def border(picture: Tensor | io.Photo) -> Border | None:
    """The border of a picture, or None.

    In a picture of more than LONGEST pixels it is found to a pixel of a smaller copy, and rounded so that nothing of
    the photograph counts as border.

    Args:
        picture: sRGB in [0, 1], (3, H, W), or what :func:`colorlib.io.read` gave.

    Raises:
        TypeError: no tensor of floats.
        ValueError: another shape, or values outside [0, 1].

    Example:
        >>> import torch
        >>> from colorlib import io
        >>> from colorlib.borders import border
        >>> from skimage import data
        >>> photo = io.read(data.camera()).rgb
        >>> border(torch.nn.functional.pad(photo, (20, 30, 40, 50), value=1)), border(photo)
        (Border(top=40, bottom=50, left=20, right=30), None)
    """
    if isinstance(picture, Tensor):
        check_photos(picture, "(3, H, W)")
        picture = io.Photo(picture)
    height, width = picture.height, picture.width
    scale = min(1.0, LONGEST / max(height, width))
    small = io.shrunk(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
    lightness = color.rgb_to_lightness(small)[0, 0]
    rows, columns = lightness.shape
    whole, found = lightness, Border(0, 0, 0, 0)
    for _ in range(FRAMES):
        one = _border(lightness, whole.shape)
        if one is None:
            break
        found = Border(*(sum(pair) for pair in zip(found, one, strict=True)))
        lightness = whole[found.inside(rows, columns)]
    if not any(found):
        return None
    down, across = height / rows, width / columns
    return Border(*(math.floor(side * by) for side, by in zip(found, (down, down, across, across), strict=True)))


def cropped(photo: io.Photo, border: Border | None) -> io.Photo:
    """A photograph without its border, if it has one; its pixels are not copied."""
    if border is None:
        return photo
    rows, columns = border.inside(photo.height, photo.width)
    opacity = photo.opacity and _window(photo.opacity, rows, columns)
    pixels = None if photo.pixels is None else photo.pixels[rows, columns]
    return io.Photo(
        _window(photo.planes, rows, columns),
        opacity,
        photo.bit_depth,
        photo.metadata,
        photo.dpi,
        photo.name,
        photo.warnings,
        photo.pages,
        pixels,
    )


def framed(inside: Tensor | io.Planes, photo: io.Photo, border: Border, strength: float = 1.0) -> io.Planes:
    """Put what was made of a photograph :func:`cropped` back into its border.

    Args:
        inside: sRGB in [0, 1], (3, h, w), such as the planes of a result.
        photo: the photograph with its border.
        border: its border.
        strength: how much of its colour the border loses, in [0, 1]: at 1 all of it, at 0 none.
    """
    return io.Planes(photo.planes.shape, partial(_framed_rows, io.Planes.of(inside), photo.planes, border, strength))


def framed_page(result: "Result", photo: io.Photo, border: Border | None) -> io.Page:
    """What :meth:`colorlib.Result.page` gives, with the border that the photograph may have: for a picture file.

    Where white was balanced the border keeps its own colour, else it loses as much of it as the strength says.

    Args:
        result: of the photograph :func:`cropped`.
        photo: the photograph with its border.
        border: its border.
    """
    if border is None:
        return result.page()
    rgb = framed(result.planes, photo, border, result.strength if result.gains is None else 0.0)
    return replace(result.page(), rgb=rgb, alpha=photo.opacity)


def padded(picture: Tensor, border: Border | None) -> Tensor:
    """A map of a photograph :func:`cropped`, such as its uncertainty, (C, h, w), with its border in black around it."""
    if border is None:
        return picture
    return pad(picture, (border.left, border.right, border.top, border.bottom))


def _window(planes: io.Planes, rows: slice, columns: slice) -> io.Planes:
    shape = (planes.shape[0], rows.stop - rows.start, columns.stop - columns.start)
    return io.Planes(shape, partial(_window_rows, planes, rows.start, columns))


def _window_rows(planes: io.Planes, first: int, columns: slice, start: int, stop: int) -> Tensor:
    return planes.rows(first + start, first + stop)[..., columns].contiguous()


def _framed_rows(inside: io.Planes, whole: io.Planes, border: Border, strength: float, start: int, stop: int) -> Tensor:
    rows, columns = border.inside(*whole.shape[1:])
    rgb = whole.rows(start, stop)
    made = _faded(rgb, strength)
    first, last = max(start, rows.start), min(stop, rows.stop)
    if first < last:
        made[:, first - start : last - start, columns] = inside.rows(first - rows.start, last - rows.start)
    return made


def _faded(rgb: Tensor, strength: float) -> Tensor:
    """Its lightness, and less of its colour: (3, H, W), the same shape."""
    if strength == 0:
        return rgb.clone()
    if strength == 1:
        return color.lightness_to_gray(color.rgb_to_lightness(rgb[None]))[0].repeat(3, 1, 1)
    lab = color.rgb_to_lab(rgb)
    return color.lab_to_rgb(torch.cat([lab[:1], (1 - strength) * lab[1:]]), gamut="reduce")


def _border(lightness: Tensor, whole: torch.Size) -> Border | None:
    """The outermost frame: L (h, w) -> its sides that are of one lightness, if there are two.

    Args:
        lightness: what is not border yet.
        whole: height and width of the picture, of which a side is a small part.
    """
    turned = (lightness, lightness.flipud(), lightness.T, lightness.T.flipud())
    sizes = (whole[0], whole[0], whole[1], whole[1])
    uniform = [_uniform(one, size) for one, size in zip(turned, sizes, strict=True)]
    edges = []
    for side, (one, size) in enumerate(zip(turned, sizes, strict=True)):
        rows, level = uniform[side]
        # Where the sides across are border too, there is no edge to be expected.
        first, last = (uniform[k][0] for k in ((2, 3) if side < 2 else (0, 1)))
        inside = one[rows : rows + _skew(size), first : one.shape[1] - last]
        begins = (inside - level).abs().amax(dim=0) > STEP if rows and inside.numel() else inside.new_zeros(1)
        edges.append(begins.float().mean().item())
    # Of one lightness: as many sides as possible, or the wider ones. Where the photograph is as dark as a black border,
    # part of the edge is not to be seen.
    best = Border(0, 0, 0, 0)
    for _, other in uniform:
        alike = [abs(level - other) <= ALIKE for _, level in uniform]
        sure = sum(like and edge >= STRAIGHT for like, edge in zip(alike, edges, strict=True))
        least = DIM if sure >= 2 else STRAIGHT
        sides = [
            rows if like and edge >= least else 0 for (rows, _), like, edge in zip(uniform, alike, edges, strict=True)
        ]
        best = max(best, Border(*sides), key=lambda one: (sum(map(bool, one)), sum(one)))
    widths = [rows for rows in best if rows]
    several = len(widths) > 2 or (len(widths) == 2 and max(widths) <= UNEQUAL * min(widths))
    return best if several else None


def _uniform(lightness: Tensor, size: int) -> tuple[int, float]:
    """How many of the first rows are of one lightness, and which; 0 if these are too few or too many.

    A few rows before these may be mixed: of the edge of the frame around, or of the scanner's lid.

    Args:
        lightness: L, (h, w).
        size: height of the whole picture.
    """
    if min(lightness.shape) < 8:
        return 0, math.nan
    least, most = math.ceil(LEAST * size), math.floor(MOST * size)
    for start in (0, _skew(size)):
        level = lightness[start : start + least].median()
        alike = ((lightness[start : most + 1] - level).abs() <= ALIKE).float().mean(dim=1) >= SHARE
        rows = int(alike.int().cumprod(0).sum())
        if rows >= least and start + rows <= most:
            return start + rows, level.item()
    return 0, math.nan


def _skew(size: int) -> int:
    """The rows that an edge may take."""
    return max(3, round(SKEW * size))
