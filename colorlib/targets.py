"""How colour becomes something to learn: a target encodes a photograph, scores a prediction and decodes it.

An architecture and a target together make a method, so the colour spaces and losses of a paper are settings here,
not classes there.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color


class Target(nn.Module, ABC):
    """The colour representation that a network's output channels stand for.

    A module, so that what a target learns from data (bin means, class weights) travels with a model's weights.

    Attributes:
        channels: how many channels the network must put out.
    """

    channels: int

    @abstractmethod
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """What the network should say: sRGB (N, 3, H, W) in [0, 1] -> (N, C, h, w), ``size`` or as large."""

    @abstractmethod
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Scalar loss between a prediction (N, channels, h, w) and what :meth:`encode` returned at its size."""

    @abstractmethod
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The (a, b) of CIE Lab that a prediction means, at the prediction's own resolution.

        Args:
            prediction: (N, channels, h, w), as the network gave it.
            lightness: L of CIE Lab in [0, 100], (N, 1, h, w).

        Returns:
            (N, 2, h, w); not reduced to the sRGB gamut.
        """

    def decode(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The photograph a prediction means: (N, channels, h, w) and L (N, 1, H, W) -> sRGB (N, 3, H, W) in [0, 1].

        The output has exactly the given L*, whatever was predicted: see :func:`combine`.
        """
        return combine(lightness, self.chroma(prediction, lightness))

    def chroma(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """:meth:`to_ab` for L of any size: (N, channels, h, w) and L (N, 1, H, W) -> (N, 2, h, w)."""
        return self.to_ab(prediction, _area(lightness, size_of(prediction)))


def combine(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (N, 1, H, W) and (a, b) of any size (N, 2, h, w), upsampled bilinearly -> sRGB (N, 3, H, W) of exactly that L*.

    Chroma that does not fit into sRGB at its lightness is reduced; clipping channels would move L*.
    """
    if ab.shape[-2:] != lightness.shape[-2:]:
        ab = F.interpolate(ab, size=lightness.shape[-2:], mode="bilinear", align_corners=False)
    return color.lab_to_rgb(torch.cat([lightness, ab], dim=-3), gamut="reduce")


class Regression(Target):
    """Regress the colour channels of a space, normalised to the range of the network's output layer.

    Args:
        space: ``"lab"`` and ``"yuv"`` predict the two chroma channels, ``"rgb"`` all three.
        low: what the network puts out for the least value of a channel; 0 for a sigmoid, -1 for tanh.
        high: what it puts out for the greatest.
    """

    # Centre and half-width of each predicted channel. sRGB spans a in [-86.2, 98.2] and b in [-107.9, 94.5]: 110 holds
    # both and keeps gray in the middle. U and V reach the sums of their matrix rows' positive entries.
    SPACES: ClassVar[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
        "lab": ((0.0, 0.0), (110.0, 110.0)),
        "yuv": ((0.0, 0.0), (0.43601035, 0.61497538)),
        "rgb": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }

    def __init__(self, space: Literal["lab", "yuv", "rgb"] = "lab", low: float = 0.0, high: float = 1.0):
        super().__init__()
        if space not in self.SPACES:
            raise ValueError(f"expected space to be one of {', '.join(self.SPACES)}, got {space!r}")
        self.space, self.low, self.high = space, low, high
        self.channels = len(self.SPACES[space][0])

    @override
    def extra_repr(self) -> str:
        return f"space={self.space!r}, low={self.low}, high={self.high}"

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        match self.space:
            case "lab":
                channels = color.rgb_to_lab(rgb)[..., 1:, :, :]
            case "yuv":
                channels = color.rgb_to_yuv(rgb)[..., 1:, :, :]
            case _:
                channels = rgb
        centre, half = self._affine(channels)
        return _area(self.low + (self.high - self.low) * ((channels - centre) / half + 1) / 2, size or size_of(rgb))

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Mean squared error over pixels and channels."""
        return F.mse_loss(prediction.to(encoded.dtype), encoded)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        centre, half = self._affine(lightness)
        channels = centre + half * (2 * (prediction.to(lightness.dtype) - self.low) / (self.high - self.low) - 1)
        if self.space == "lab":
            return channels
        # The input's own gray stands in for the predicted luma (Iizuka et al. 2016, section 4.8).
        chroma = channels if self.space == "yuv" else color.rgb_to_yuv(channels)[..., 1:, :, :]
        rgb = color.yuv_to_rgb(torch.cat([color.lightness_to_gray(lightness), chroma], dim=-3)).clamp(0, 1)
        return color.rgb_to_lab(rgb)[..., 1:, :, :]

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        centre, half = (
            torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
            for values in self.SPACES[self.space]
        )
        return centre, half


def size_of(x: Tensor) -> tuple[int, int]:
    """Height and width of a map (*, H, W)."""
    height, width = x.shape[-2:]
    return height, width


def _area(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by averaging over areas: (N, C, H, W) -> (N, C, *size)."""
    return x if size_of(x) == size else F.interpolate(x, size=size, mode="area")
