"""Dahl: Automatic Colorization, 2016, the baseline of Hwang and Zhou and of Lin and Ferreira.

A page on the web, not a paper. `dahl16` is its "residual encoder": VGG-16 summarises, and on the way back each map is
upsampled, added to the classifier's map of that size, and convolved; U and V come out of a sigmoid.

What follows from how the two papers describe it, and what we chose:
- The loss is a distance between blurred colour channels: here the mean over none, a Gaussian of 3 and one of 5 pixels.
- Where the encoder's maps are narrower than the decoder's (in the compact one), a 1x1 convolution widens them.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib.facts import Paper
from colorlib.models._backbones import Encoder, create_encoder
from colorlib.models._base import ColorModel
from colorlib.models._layers import GrayInput, conv_block, init_near_gray, upsample, xavier
from colorlib.models._registry import register_model
from colorlib.targets import Regression, Target

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


def _lateral(channels: int, width: int) -> nn.Module:
    norm = nn.BatchNorm2d(channels)
    return norm if channels == width else nn.Sequential(norm, xavier(nn.Conv2d(channels, width, 1, bias=False)))


VGG16_LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
VGG16_WIDTHS = (64, 128, 256)
LITE0_LAYERS = ("stage1", "stage2", "stage3", "stage4", "stage5")


def _build(encoder: Encoder, layers: Sequence[str], widths: Sequence[int], tail: int, work_size: int) -> Dahl16:
    model = _Dahl16(
        encoder=encoder,
        layers=layers,
        widths=widths,
        tail=tail,
        target=Regression("yuv", low=-0.5, high=0.5, blurs=(1, 3, 5)),
        output=_Shifted(),
        work_size=work_size,
    )
    *_, last, _ = model.head
    assert isinstance(last, nn.Conv2d)
    init_near_gray(last)
    return model


@register_model("Dahl 2016", PAPER)
def dahl16(encoder_weights: str | None = None) -> Dahl16:
    """The residual encoder on VGG-16 that regresses U and V, baseline of two papers."""
    encoder = create_encoder("vgg16", encoder_weights, VGG16_LAYERS)
    return _build(encoder, VGG16_LAYERS, VGG16_WIDTHS, tail=3, work_size=224)  # the papers' pictures are 224 x 224


@register_model("Dahl 2016, small", PAPER)
def dahl16_small(encoder_weights: str | None = None) -> Dahl16:
    """Compact Dahl 2016: the residual encoder on EfficientNet-Lite0."""
    encoder = create_encoder("efficientnet_lite0", encoder_weights, LITE0_LAYERS)
    return _build(encoder, LITE0_LAYERS, (16, 32, 64, 128), tail=8, work_size=192)
