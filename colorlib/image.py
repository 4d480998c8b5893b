"""Pictures as tensors, whatever their colour: sizes, resizing, blurs."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from colorlib._maths import root

_PIXELS = 1 << 16  # of a picture whose texture is compared with another's


def size_of(x: Tensor) -> tuple[int, int]:
    """Height and width of a map (*, H, W)."""
    height, width = x.shape[-2:]
    return height, width


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, *size), antialiased."""
    return image if size == size_of(image) else antialiased(image, size).clamp_(0, 1)


def antialiased(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), each pixel the mean of those it stands for; not clipped."""
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


def resize_area(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by averaging over areas: (N, C, H, W) -> (N, C, *size)."""
    return x if size_of(x) == size else F.interpolate(x, size=size, mode="area")


def scaled(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize as Torch7's ``image.scale`` does: (N, C, H, W) -> (N, C, *size).

    A side that shrinks is averaged over areas, parts of pixels included; one that grows is interpolated between the
    centres of the outer pixels.
    """
    if not torch.compiler.is_exporting() and size_of(x) == tuple(size):
        return x
    rows, columns = (_shares(n, parts, x) for n, parts in zip(size_of(x), size, strict=True))
    with torch.autocast(x.device.type, enabled=False):
        resized: Tensor = rows @ x.float() @ columns.mT
    return resized.to(x.dtype)


def _shares(count: int, parts: int, like: Tensor) -> Tensor:
    """How much each of ``count`` pixels contributes to each of ``parts``, for :func:`scaled`: (parts, count)."""
    part, pixel = (torch.ones(n, dtype=torch.float64, device=like.device).cumsum(0) - 1 for n in (parts, count))
    part = part[:, None]
    step = count / parts
    overlap = (torch.minimum(pixel + 1, (part + 1) * step) - torch.maximum(pixel, part * step)).clamp(min=0)
    areas = overlap / overlap.sum(dim=1, keepdim=True)
    between = (1 - (part * ((count - 1) / max(parts - 1, 1)) - pixel).abs()).clamp(min=0)
    # Not asked of the numbers, which torch.export does not know.
    grows = torch.scalar_tensor(parts, device=like.device) > count
    return torch.where(grows, between, areas).float()


def shrink_area(x: Tensor, short_side: int) -> Tensor:
    """:func:`resize_area` until the short side is no longer than that: (N, C, H, W) -> (N, C, h, w)."""
    height, width = size_of(x)
    scale = min(1.0, short_side / min(height, width))
    return resize_area(x, (max(1, round(height * scale)), max(1, round(width * scale))))


def upsampled(small: Tensor, size: tuple[int, int], start: int, stop: int) -> Tensor:
    """Rows ``start`` to ``stop`` of a map (N, C, h, w) at another size, bilinearly: (N, C, stop - start, W).

    As ``F.interpolate`` does it, without the rest of the large map. One value for all stays (N, C, 1, 1).
    """
    if size_of(small) == (1, 1):
        return small
    height, width = size
    above, below, weight = neighbours(small.shape[-2], height, start, stop)
    first, last = int(above[0]), int(below[-1])
    wide = small[..., first : last + 1, :]
    wide = F.interpolate(wide, size=(last + 1 - first, width), mode="bilinear", align_corners=False)
    upper, lower = (wide.index_select(-2, torch.tensor(index - first, device=small.device)) for index in (above, below))
    return torch.lerp(upper, lower, torch.tensor(weight, device=small.device)[:, None])


def neighbours(
    count: int, height: int, start: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Between which of ``count`` rows each of rows ``start`` to ``stop`` of ``height`` lies, in bilinear interpolation.

    Returns:
        The row above, the row below, and the weight of the latter in [0, 1], one for each row.
    """
    # On the host, which has to know the rows that are needed, and in float32 as on every device.
    centre = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    at = (centre * np.float32(count / height) - np.float32(0.5)).clip(min=0)
    above = at.astype(np.int64).clip(max=count - 1)
    return above, (above + 1).clip(max=count - 1), at - above.astype(np.float32)


def reduced(rgb: Tensor) -> Tensor:
    """A picture at 65,536 pixels at most, where textures of different ones compare: (3, H, W) -> (3, h, w)."""
    return resize(rgb[None], reduced_size(*size_of(rgb)))[0]


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a picture :func:`reduced`."""
    scale = min(1.0, math.sqrt(_PIXELS / (height * width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def gaussian_blur(x: Tensor, side: int, sigma: float | None = None) -> Tensor:
    """Convolve each channel with a Gaussian, the border repeated: (N, C, H, W) -> (N, C, H, W).

    Args:
        x: the maps.
        side: of the kernel, odd; 1 returns ``x``.
        sigma: default: 0.15 side + 0.35, as OpenCV chooses it by the side.
    """
    if side == 1:
        return x
    sigma = sigma or 0.15 * side + 0.35
    kernel = gaussian_kernel(side, sigma, x)
    # Banded matrices: a convolution of single channels takes CPUs many times as long, above all backwards.
    rows, columns = (_band(size, kernel) for size in size_of(x))
    blurred: Tensor = rows @ x @ columns.mT
    return blurred


def gaussian_kernel(side: int, sigma: float, like: Tensor) -> Tensor:
    """Weights whose sum is 1, (side,)."""
    offsets = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def _band(size: int, kernel: Tensor) -> Tensor:
    """The matrix that convolves a row of pixels, its ends repeated, with a kernel of odd side: (size, size)."""
    side = len(kernel)
    near = torch.arange(size, device=kernel.device)[:, None] + torch.arange(side, device=kernel.device) - side // 2
    return kernel.new_zeros(size, size).scatter_add_(1, near.clamp(0, size - 1), kernel.expand(size, -1))


def local_deviation(values: Tensor, side: int = 5) -> Tensor:
    """Standard deviation in the square around each pixel: (N, C, H, W) -> the same shape.

    Beyond the border, its pixels are repeated.

    Args:
        values: of any range.
        side: of the square, in pixels; odd.
    """
    height, width = size_of(values)
    padded = F.pad(values, (side // 2,) * 4, mode="replicate")
    mean = F.avg_pool2d(padded, side, stride=1)
    # About the mean and shift by shift: a difference of two large sums would see texture in a flat sky.
    squares = torch.zeros_like(values)
    for top in range(side):
        for left in range(side):
            squares += (padded[..., top : top + height, left : left + width] - mean).square()
    return root(squares / side**2)
