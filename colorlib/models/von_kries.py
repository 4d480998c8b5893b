"""White balance without learning: estimate the light, then scale the channels after von Kries until it is gray.

The light is the Minkowski norm of each channel over the picture (Finlayson, Trezzi 2004), whose ends are two older
assumptions: norm 1 is that the mean of a scene is gray (Buchsbaum 1980), norm infinity that the brightest value of each
channel is white (Land, McCann 1971).

Channels are scaled as values of the file, not as linear light, and green stays: so are the casts of
:mod:`colorlib.casts`, which *Color by Colorization* is measured on, and which one pair of factors therefore undoes.
"""

import math

from torch import Tensor
from typing_extensions import override

from colorlib.facts import Paper
from colorlib.models._base import WhiteBalance
from colorlib.models._registry import register_model
from colorlib.targets import Picture

GRAY_WORLD = Paper(
    authors="Gershon Buchsbaum",
    title="A Spatial Processor Model for Object Colour Perception",
    venue="Journal of the Franklin Institute",
    year=1980,
    url="https://doi.org/10.1016/0016-0032(80)90058-7",
)
RETINEX = Paper(
    authors="Edwin H. Land, John J. McCann",
    title="Lightness and Retinex Theory",
    venue="Journal of the Optical Society of America",
    year=1971,
    url="https://doi.org/10.1364/JOSA.61.000001",
)
SHADES_OF_GRAY = Paper(
    authors="Graham D. Finlayson, Elisabetta Trezzi",
    title="Shades of Gray and Colour Constancy",
    venue="Color and Imaging Conference",
    year=2004,
    url="https://doi.org/10.2352/CIC.2004.12.1.art00008",
)
MAX_GAIN = 8.0  # and least 1 / 8, where a channel is missing
DARK = 1e-6


class VonKries(WhiteBalance):
    """Scales red and blue until the light, the norm of each channel over a picture, is gray.

    Args:
        norm: order of the Minkowski norm, at least 1; ``math.inf`` is the maximum.

    Raises:
        ValueError: a norm below 1.
    """

    def __init__(self, norm: float):
        super().__init__()
        if not norm >= 1:
            raise ValueError(f"expected a norm of at least 1, got {norm}")
        self.norm = norm
        self.target = Picture()

    @override
    def extra_repr(self) -> str:
        return f"norm={self.norm}"

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        """sRGB (N, 3, H, W) in [0, 1] -> the balanced one in [-1, 1], or above where it would have to be clipped."""
        rgb = lightness.float()
        return 2 * self._gains(rgb) * rgb - 1

    @override
    def _gains(self, rgb: Tensor) -> Tensor:
        """Of the light: sRGB (N, 3, H, W) in [0, 1] -> (N, 3, 1, 1)."""
        return neutral(light(rgb.float(), self.norm))


def light(rgb: Tensor, norm: float) -> Tensor:
    """Minkowski norm of each channel, by the mean over the pixels: (N, 3, H, W) -> (N, 3, 1, 1)."""
    if math.isinf(norm):
        return rgb.amax(dim=(-2, -1), keepdim=True)
    mean = rgb.pow(norm).mean(dim=(-2, -1), keepdim=True)
    return mean.where(mean > 0, 1).pow(1 / norm) * (mean > 0)  # whose slope at 0 would be infinite


def neutral(light: Tensor) -> Tensor:
    """Factors on red, green and blue that make a light gray, that on green being 1: (N, 3, 1, 1) -> the same.

    They are at most 8 and at least 1/8; of no light, 1.
    """
    light = light.clamp(min=DARK)
    return (light[:, 1:2] / light).clamp(1 / MAX_GAIN, MAX_GAIN)


@register_model("Gray World", GRAY_WORLD, learned=False, task="balance")
def gray_world() -> VonKries:
    """White balance: the mean of the picture is gray."""
    return VonKries(1)


@register_model("White Patch", RETINEX, learned=False, task="balance")
def white_patch() -> VonKries:
    """White balance: the brightest value of each channel is white."""
    return VonKries(math.inf)


@register_model("Shades of Gray", SHADES_OF_GRAY, learned=False, task="balance")
def shades_of_gray() -> VonKries:
    """White balance: the Minkowski norm of order 6 is gray, between mean and maximum."""
    return VonKries(6)
