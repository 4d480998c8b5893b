"""Dahl: Automatic Colorization, 2016, the baseline of Hwang and Zhou and of Lin and Ferreira.

A page on the web, not a paper. `dahl16` is its "residual encoder": VGG-16 summarises, and on the way back each map is
upsampled, added to the classifier's map of that size, and convolved; U and V come out of a sigmoid.

What follows from how the two papers describe it, and what we chose:
- The loss is a distance between blurred colour channels: here the mean over none, a Gaussian of 3 and one of 5 pixels.
- Where the encoder's maps are narrower than the decoder's (in the compact one), a 1x1 convolution widens them.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib.catalog import Paper
from colorlib.models._backbones import Encoder, GrayInput, create_encoder
from colorlib.models._base import ColorModel, normalised, starts_gray
from colorlib.models._registry import register_model
from colorlib.targets import Regression, Target, size_of

PAPER = Paper(
    authors="Ryan Dahl",
    title="Automatic Colorization",
    venue="tinyclouds.org",
    year=2016,
    url="https://tinyclouds.org/colorize/",
)


class ResidualEncoder(nn.Module):
    """The way back from a classifier's coarsest map to its finest, joined by sums at every size.

    Args:
        channels: of the classifier's maps, from fine to coarse.
        widths: of the sums, from fine to coarse: one for each map but the coarsest.
        outputs: channels after the last sum.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], outputs: int):
        super().__init__()
        self.top = nn.Sequential(nn.BatchNorm2d(channels[-1]), *conv_block(channels[-1], widths[-1], kernel=1))
        self.laterals = nn.ModuleList(_lateral(c, w) for c, w in zip(channels[:-1], widths, strict=True))
        after = (outputs, *widths[:-1])
        self.units = nn.ModuleList(conv_block(w, o) for w, o in zip(widths, after, strict=True))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The classifier's maps, from fine to coarse -> what each step makes of them, from coarse to fine."""
        *finer, coarsest = maps
        steps = [self.top(coarsest)]
        for features, lateral, unit in zip(reversed(finer), reversed(self.laterals), reversed(self.units), strict=True):
            steps.append(unit(upsample(steps[-1], features) + lateral(features)))
        return steps


class Dahl16(ColorModel):
    """VGG-16, a residual encoder, and the input itself as the last thing that is added.

    Args:
        encoder: the classifier, up to the last of the layers.
        layers: its maps that are used, from fine to coarse.
        widths: see :class:`ResidualEncoder`.
        tail: channels of the sum with the input.
        target: what is regressed.
        output: the last layer's activation.
        work_size: short side at which photographs are coloured by default.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        layers: Sequence[str],
        widths: Sequence[int],
        tail: int,
        target: Target,
        output: nn.Module,
        work_size: int,
    ):
        super().__init__()
        indices = [encoder.names.index(name) for name in layers]
        self.encoder, self.layers = encoder, tuple(layers)
        self.stride = encoder.strides[max(indices)]
        self.residual_encoder = ResidualEncoder([encoder.channels[i] for i in indices], widths, tail)
        self.input = nn.Sequential(GrayInput([0.5] * 3, [0.25] * 3, scale=1), _lateral(3, tail))
        self.head = nn.Sequential(
            *conv_block(tail, tail), xavier(nn.Conv2d(tail, target.channels, 3, padding=1)), output
        )
        self.target, self.work_size = target, work_size

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        *_, finest = self.residual_encoder(self.encoder.read(lightness, self.layers))
        prediction: Tensor = self.head(upsample(finest, lightness) + self.input(lightness))
        return prediction


class _Shifted(nn.Module):
    """A sigmoid about 0: the [-0.5, 0.5] of U and V."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid() - 0.5


class _Dahl16(Dahl16):
    @override
    def to_input(self, rgb: Tensor) -> Tensor:
        """Y of YUV, the gray of the two papers' baseline, as its L: (N, 3, H, W) -> L in [0, 100], (N, 1, H, W)."""
        return color.rgb_to_lightness(color.rgb_to_yuv(rgb)[:, :1].clamp(0, 1).expand_as(rgb))


def conv_block(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return normalised(xavier(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)))


def xavier(conv: nn.Conv2d) -> nn.Conv2d:
    """Xavier initialisation, in place (Hwang and Zhou 2016, 5.2)."""
    nn.init.xavier_uniform_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the size of another map."""
    size = size_of(like)
    return x if size_of(x) == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _lateral(channels: int, width: int) -> nn.Module:
    norm = nn.BatchNorm2d(channels)
    return norm if channels == width else nn.Sequential(norm, xavier(nn.Conv2d(channels, width, 1, bias=False)))


# The papers' pictures are 224 x 224.
FULL_SIZE: dict[str, Any] = {
    "encoder": "vgg16",
    "layers": ("conv1_2", "conv2_2", "conv3_3", "conv4_3"),
    "widths": (64, 128, 256),
    "tail": 3,
    "work_size": 224,
}
SMALL: dict[str, Any] = {
    "encoder": "efficientnet_lite0",
    "layers": ("stage1", "stage2", "stage3", "stage4", "stage5"),
    "widths": (16, 32, 64, 128),
    "tail": 8,
    "work_size": 192,
}


def _build(*, encoder: str, layers: Sequence[str], encoder_weights: str | None = None, **kwargs: Any) -> Dahl16:
    model = _Dahl16(
        encoder=create_encoder(encoder, encoder_weights, layers),
        layers=layers,
        target=Regression("yuv", low=-0.5, high=0.5, blurs=(1, 3, 5)),
        output=_Shifted(),
        **kwargs,
    )
    *_, last, _ = model.head
    assert isinstance(last, nn.Conv2d)
    starts_gray(last)
    return model


@register_model("Dahl 2016", PAPER)
def dahl16(**kwargs: Any) -> Dahl16:
    """The residual encoder on VGG-16 that regresses U and V, baseline of two papers."""
    return _build(**FULL_SIZE | kwargs)


@register_model("Dahl 2016, small", PAPER)
def dahl16_small(**kwargs: Any) -> Dahl16:
    """Compact Dahl 2016: the residual encoder on EfficientNet-Lite0."""
    return _build(**SMALL | kwargs)
