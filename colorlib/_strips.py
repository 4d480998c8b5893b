"""Photographs of any size, a strip of rows at a time, so that none need be whole in floats."""

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import io
from colorlib.targets import size_of


def upsampled(small: Tensor, size: tuple[int, int], start: int, stop: int) -> Tensor:
    """Rows ``start`` to ``stop`` of a map (N, C, h, w) at another size, bilinearly: (N, C, stop - start, W).

    As ``F.interpolate`` does it, without the rest of the large map. One value for all stays (N, C, 1, 1).
    """
    if size_of(small) == (1, 1):
        return small
    height, width = size
    count = small.shape[-2]
    centre = torch.arange(start, stop, dtype=torch.float32, device=small.device) + 0.5
    at = (centre * (count / height) - 0.5).clamp(min=0)
    above = at.long().clamp(max=count - 1)
    below = (above + 1).clamp(max=count - 1)
    first, last = int(above[0]), int(below[-1])
    wide = small[..., first : last + 1, :]
    wide = F.interpolate(wide, size=(last + 1 - first, width), mode="bilinear", align_corners=False)
    return torch.lerp(wide.index_select(-2, above - first), wide.index_select(-2, below - first), (at - above)[:, None])


def shrunk(photo: io.Photo, size: tuple[int, int]) -> Tensor:
    """A photograph at another size, antialiased: (1, 3, *size) in [0, 1].

    As :func:`resize` does it, bit for bit, but by strips: first all rows get their width, then all columns their
    height.
    """
    if size == (photo.height, photo.width):
        return photo.planes.whole()[None]
    parts = (photo.planes.rows(start, stop)[None] for start, stop in io.strips(photo.height, photo.width))
    rows = [_antialiased(part, (part.shape[-2], size[1])) for part in parts]
    return _antialiased(torch.cat(rows, dim=-2), size).clamp_(0, 1)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, *size), antialiased."""
    return image if size == size_of(image) else _antialiased(image, size).clamp_(0, 1)


def _antialiased(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)
