"""What every target has in common."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorlib import color
from colorlib._checks import check_image
from colorlib.image import resize_area, size_of


class Target(nn.Module, ABC):
    """The colour representation that a network's output channels stand for.

    A module, so that what a target learns from data (bin means, class weights) travels with a model's weights.

    Attributes:
        channels: how many channels the network must put out.
        saturation: factor on the chroma of finished photographs; may be set. 1 is what was predicted.
    """

    channels: int
    saturation: float = 1.0

    @abstractmethod
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """What the network should say: sRGB (N, 3, H, W) in [0, 1] -> (N, C, h, w), ``size`` or as large.

        Training calls it at every step, so type and shape are checked, and values are not.

        Raises:
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape.
        """

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

    def disagreement(self, prediction: Tensor) -> Tensor | None:
        """Of a method that combines others, how far apart they are: the mean distance of theirs from its (a, b).

        Args:
            prediction: (N, channels, h, w), as the network gave it.

        Returns:
            (N, 1, h, w), at least 0, in units of a and b before saturation; None of a single method.
        """
        return None

    def decode(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The photograph a prediction means: (N, channels, h, w) and L (N, 1, H, W) -> sRGB (N, 3, H, W) in [0, 1].

        The output has exactly the given L*, whatever was predicted: see :func:`combine`.

        Raises:
            TypeError: no tensors of floating point; of the lightness, float32 or float64.
            ValueError: tensors of other shapes.
        """
        return combine(lightness, self.chroma(prediction, lightness))

    def chroma(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """:meth:`to_ab`, saturated, for L of any size: (N, channels, h, w) and L (N, 1, H, W) -> (N, 2, h, w)."""
        self._check_decoded(prediction, lightness)
        return self.saturation * self.to_ab(prediction, resize_area(lightness, size_of(prediction)))

    def _check_decoded(self, prediction: Tensor, lightness: Tensor) -> None:
        shape = f"(N, {self.channels}, h, w)"
        check_image(prediction, shape, name="prediction", space="as the network gave it", any_float=True)
        check_image(lightness, "(N, 1, H, W)", name="lightness", space="L of CIE Lab in [0, 100]")


def combine(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (N, 1, H, W) and (a, b) of any size (N, 2, h, w), upsampled bilinearly -> sRGB (N, 3, H, W) of exactly that L*.

    Chroma that does not fit into sRGB at its lightness is reduced; clipping channels would move L*.
    """
    if ab.shape[-2:] != lightness.shape[-2:]:
        ab = F.interpolate(ab, size=lightness.shape[-2:], mode="bilinear", align_corners=False)
    return color.lab_to_rgb(torch.cat([lightness, ab], dim=-3), gamut="reduce")
