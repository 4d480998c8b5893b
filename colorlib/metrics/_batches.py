"""What metrics share: photographs in the colour spaces they ask for, a few at a time."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from colorlib import color
from colorlib._checks import check_image, check_photos

CACHED_PIXELS = 2**18  # of the images computed at a time: three float32 maps of them are 3 MB
CUDA_PIXELS = 2**22


class Photos:
    """Photographs in the colour spaces that metrics ask for, each converted when first asked for.

    Attributes:
        rgb: sRGB in [0, 1], (N, 3, H, W).
    """

    def __init__(self, rgb: Tensor):
        self.rgb = rgb.contiguous()

    @cached_property
    def xyz(self) -> Tensor:
        return color.rgb_to_xyz(self.rgb)

    @cached_property
    def lab(self) -> Tensor:
        return color.xyz_to_lab(self.xyz)

    @cached_property
    def uv(self) -> Tensor:
        """(N, 2, H, W)."""
        return color.xyz_to_luv(self.xyz)[:, 1:]

    @cached_property
    def saturation(self) -> Tensor:
        """Mean over pixels, (N,)."""
        # Not by rgb_to_hsv, most of whose time goes into the hue.
        value, low = self.rgb.amax(dim=1), self.rgb.amin(dim=1)
        return ((value - low) / value.where(value > 0, 1)).mean(dim=(-2, -1))


Metric = Callable[[Photos, Photos], Tensor]


def in_slices(metric: Metric, preds: Tensor, target: Tensor) -> Tensor:
    """One value per pair of images: (N, 3, H, W) twice -> (N,)."""
    return torch.cat([metric(*pair) for pair in pairs(preds, target)])


def each_in_slices(metric: Callable[[Photos], Tensor], x: Tensor) -> Tensor:
    """One value per image: (N, 3, H, W) -> (N,)."""
    check_image(x, "(N, 3, H, W)")
    return torch.cat([metric(photos) for (photos,) in _slices(x=x)])


def pairs(preds: Tensor, target: Tensor) -> Iterator[tuple[Photos, ...]]:
    """Two batches that are alike, a few images at a time."""
    check_alike(preds=preds, target=target)
    return _slices(preds=preds, target=target)


def _slices(**photos: Tensor) -> Iterator[tuple[Photos, ...]]:
    first = next(iter(photos.values()))
    pixels = CUDA_PIXELS if first.is_cuda else CACHED_PIXELS
    height, width = first.shape[-2:]
    size = max(1, pixels // max(1, height * width))
    for parts in zip(*(x.split(size) for x in photos.values()), strict=True):
        for name, part in zip(photos, parts, strict=True):
            check_photos(part, name=name)  # here, where the values come into the cache anyway
        yield tuple(map(Photos, parts))


def check_alike(shape: str = "(N, 3, H, W)", space: str = "sRGB in [0, 1]", **pair: Tensor) -> None:
    """Check that two tensors are images of one type and shape.

    Raises:
        TypeError: no tensors of floats, or one of each type.
        ValueError: other shapes, or two different ones.
    """
    for name, x in pair.items():
        check_image(x, shape, name=name, space=space)
    (first, x), (second, y) = pair.items()
    if x.dtype != y.dtype:
        raise TypeError(f"got {first} of {x.dtype} and {second} of {y.dtype}; expected the same: call .to({x.dtype})")
    if x.shape != y.shape:
        shapes = f"{first} of shape {tuple(x.shape)} and {second} of {tuple(y.shape)}"
        raise ValueError(f"got {shapes}; expected one shape {shape}: resize or crop one of them")
