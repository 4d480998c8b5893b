"""What every method has in common."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from colorlib import color
from colorlib.targets import Target, size_of


class ColorModel(nn.Module, ABC):
    """An architecture together with the target that says what its output means.

    Attributes:
        target: encodes photographs into what the network should say and decodes what it says.
        stride: inputs are padded to a multiple of this.
        output_stride: the output is this much smaller than the input.
        work_size: short side in pixels at which photographs are coloured by default; None is their own.
    """

    target: Target
    stride: int = 1
    output_stride: int = 1
    work_size: int | None = None

    def to_input(self, rgb: Tensor) -> Tensor:
        """The part of a photograph the network sees: sRGB (N, 3, H, W) in [0, 1] -> L in [0, 100], (N, 1, H, W).

        A method whose paper takes another gray overrides this, with the L of that gray; of a photograph without
        colour, all of them are the same.
        """
        return color.rgb_to_lightness(rgb)

    def forward(self, lightness: Tensor) -> Tensor:
        """Raw prediction: (N, 1, H, W) -> (N, target.channels, ceil(H / output_stride), ceil(W / output_stride)).

        Any size: the input is padded by repeating its last row and column to a multiple of ``stride``.
        """
        height, width = lightness.shape[-2:]
        prediction = self.predict(self.pad(lightness))
        return prediction[..., : -(-height // self.output_stride), : -(-width // self.output_stride)]

    def pad(self, x: Tensor) -> Tensor:
        """Repeat the last row and column until ``stride`` divides the sides: (N, C, H, W) -> (N, C, H', W')."""
        height, width = x.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        return F.pad(x, padding, mode="replicate") if any(padding) else x

    @abstractmethod
    def predict(self, lightness: Tensor) -> Tensor:
        """:meth:`forward` for sides that are multiples of ``stride``."""

    def colorize(self, rgb: Tensor) -> Tensor:
        """What the method makes of photographs at their own size: sRGB (N, 3, H, W) -> sRGB (N, 3, H, W), same L*."""
        return self.target.decode(self(self.to_input(rgb)), color.rgb_to_lightness(rgb))

    def calibrate(self, rgb: Tensor) -> None:
        """Before training, adapt what a fresh model takes from data: sRGB (N, 3, H, W) in [0, 1]; most take nothing."""

    def losses(self, rgb: Tensor, label: Tensor) -> dict[str, Tensor]:
        """The training loss of the paper.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].
            label: scene class (N,), -1 where unknown; used by methods that learn from it.

        Returns:
            ``"loss"`` to minimise, and its parts under other names.
        """
        prediction = self(self.to_input(rgb))
        return {"loss": self.target.loss(prediction, self.target.encode(rgb, size_of(prediction)))}


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation that follows a convolution or linear layer in a Sequential into that layer.

    In place, for eval mode; the function computed stays the same up to rounding.
    """
    for child in module.children():
        fold_batchnorm(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            layer, norm = module[index], module[index + 1]
            # Exact types: timm's subclass of BatchNorm2d holds an activation too.
            if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                module[index], module[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
            elif isinstance(layer, nn.Linear) and type(norm) is nn.BatchNorm1d:
                module[index], module[index + 1] = fuse_linear_bn_eval(layer, norm), nn.Identity()
    return module
