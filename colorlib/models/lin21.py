"""Lin, Ferreira: Automated Image Colorization Using Deep Learning, Stanford CS229, 2021.

Section 4; figure 4 is `lin21`. EfficientNet-B7, frozen, is read at four expansions and at its top; a decoder adds these
maps as it upsamples, and regresses a and b. `lin21_rebalanced` weighs errors by the rarity of the true colour.

Where the text leaves room:
- "Expected output" and table sizes give the decoder's channels 1344-480-288-192-128-64-2: the top goes through a 1x1
  block, every sum through a 3x3 one, and the input joins by concatenation at its own size before the last block.
- The input that joins is L / 100, as section 3 has it; the frozen encoder sees the gray its ImageNet weights know.
- a and b are divided by 128, the range of the 256 x 256 grid of section 5.
- The plain network ("ConvNet Baseline") is described nowhere in print: 64-128-256-512-1024 channels, each step halving
  the size, and back by transposed convolutions to which the maps of the way down are added.
"""

from collections.abc import Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from typing_extensions import override

from colorlib.color import AB_GRID
from colorlib.facts import Paper
from colorlib.models._backbones import Encoder, create_encoder
from colorlib.models._base import ColorModel
from colorlib.models._layers import conv_block, conv_bn_relu, init_near_gray, upsample
from colorlib.models._registry import register_model
from colorlib.targets import Rebalanced, Regression, Target

PAPER = Paper(
    authors="Hanzhao Lin, Rafael Ferreira",
    title="Automated Image Colorization Using Deep Learning",
    venue="Stanford CS229",
    year=2021,
    url="https://github.com/hanzhao/image-colorization",
)


class Lin21(ColorModel):
    """Figure 4. The encoder has no gradients and stays in eval mode.

    Args:
        encoder: the classifier, whose stages' maps are all used.
        widths: channels after the last sum, and after the concatenation with the input.
        target: what is regressed, in [-1, 1].
        work_size: short side at which photographs are coloured by default.
    """

    stride = 32

    def __init__(self, *, encoder: Encoder, widths: tuple[int, int], target: Target, work_size: int):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        *sums, top = encoder.channels
        after, last = widths
        self.top = conv_block(top, sums[-1], kernel=1)
        self.blocks = nn.ModuleList(conv_block(i, o) for i, o in zip(sums, (after, *sums[:-1]), strict=True))
        self.join = Join(after, last)
        self.head = nn.Sequential(nn.Conv2d(last, target.channels, 3, padding=1), nn.Tanh())
        self.target, self.work_size = target, work_size

    @override
    def train(self, mode: bool = True) -> "Lin21":
        super().train(mode)
        self.encoder.eval()
        return self

    @override
    def calibrate(self, rgb: Tensor) -> None:
        """Photographs change nothing; but rarity must be known before training.

        Raises:
            ValueError: rebalancing without a table.
        """
        if isinstance(self.target, Rebalanced) and (self.target.weights == 1).all():
            raise ValueError("expected the rarity of colours: colorlib rebalance writes it, model_args.table names it")

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        *finer, coarsest = self.encoder(lightness)
        x = self.top(coarsest)
        for features, block in zip(reversed(finer), reversed(self.blocks), strict=True):
            x = block(upsample(x, features) + features)
        prediction: Tensor = self.head(self.join(upsample(x, lightness), lightness / 100))
        return prediction


class Join(nn.Module):
    """A block on the concatenation of a map with the input, computed as W_x x + W_g gray: the same without a copy."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.map, self.gray = (nn.Conv2d(channels, outputs, 3, padding=1, bias=False) for channels in (inputs, 1))
        self.after = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor, gray: Tensor) -> Tensor:
        """(N, inputs, H, W) and (N, 1, H, W) -> (N, outputs, H, W)."""
        joined: Tensor = self.after(self.map(x) + self.gray(gray))
        return joined


class Lin21ConvNet(ColorModel):
    """The plain network that Lin and Ferreira compare with.

    Args:
        widths: channels of the encoder's convolutions, the first at full size.
        target: what is regressed, in [-1, 1].
        work_size: short side at which photographs are coloured by default.
    """

    def __init__(self, *, widths: Sequence[int], target: Target, work_size: int):
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.first = conv_block(1, widths[0])
        self.down = nn.ModuleList(
            conv_bn_relu(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False)) for i, o in pairwise(widths)
        )
        self.up = nn.ModuleList(
            conv_bn_relu(nn.ConvTranspose2d(i, o, 4, stride=2, padding=1, bias=False))
            for i, o in pairwise(reversed(widths))
        )
        # On the concatenation with the input, as in `Join`.
        self.map = init_near_gray(nn.Conv2d(widths[0], target.channels, 3, padding=1))
        self.gray = init_near_gray(nn.Conv2d(1, target.channels, 3, padding=1, bias=False))
        self.target, self.work_size = target, work_size

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        gray = lightness / 100  # "normalized" to [0, 1]: section 3
        maps = [self.first(gray)]
        for halve in self.down:
            maps.append(halve(maps[-1]))
        x = maps.pop()
        for double in self.up:
            x = double(x) + maps.pop()
        prediction: Tensor = (self.map(x) + self.gray(gray)).tanh()
        return prediction


def _chroma() -> Regression:
    return Regression("lab", low=-1, high=1, bound=AB_GRID / 2)


def _rebalanced(table: str | PathLike[str] | None) -> Rebalanced:
    """``table`` is what `colorlib rebalance` wrote; trained weights bring their own."""
    target = Rebalanced()
    if table is not None:
        if not Path(table).is_file():
            raise FileNotFoundError(f"no table at {table}: colorlib rebalance --data PHOTOS --out {table} makes it")
        target.weights.copy_(load_file(Path(table))["weights"])
    return target


def _full_size(target: Target, encoder: str, encoder_weights: str | None) -> Lin21:
    # The paper's pictures are 224 x 224.
    return Lin21(encoder=create_encoder(encoder, encoder_weights), widths=(128, 64), target=target, work_size=224)


def _small(target: Target, encoder_weights: str | None) -> Lin21:
    encoder = create_encoder("efficientnet_lite0_expansions", encoder_weights)
    return Lin21(encoder=encoder, widths=(32, 16), target=target, work_size=192)


@register_model("Lin 2021", PAPER)
def lin21(encoder_weights: str | None = None, encoder: str = "efficientnet_b7") -> Lin21:
    """Five maps of a frozen EfficientNet-B7, added while upsampling, regress a and b (figure 4)."""
    return _full_size(_chroma(), encoder, encoder_weights)


@register_model("Lin 2021, rebalanced", PAPER)
def lin21_rebalanced(
    table: str | PathLike[str] | None = None,
    encoder_weights: str | None = None,
    encoder: str = "efficientnet_b7",
) -> Lin21:
    """Lin 2021 with errors that weigh more where the true colour is rare (eq. 2)."""
    return _full_size(_rebalanced(table), encoder, encoder_weights)


@register_model("Lin 2021, ConvNet", PAPER)
def lin21_convnet() -> Lin21ConvNet:
    """The plain convolutional network that Lin 2021 compares with."""
    return Lin21ConvNet(widths=(64, 128, 256, 512, 1024), target=_chroma(), work_size=224)


@register_model("Lin 2021, small", PAPER)
def lin21_small(encoder_weights: str | None = None) -> Lin21:
    """Compact Lin 2021 on a frozen EfficientNet-Lite0."""
    return _small(_chroma(), encoder_weights)


@register_model("Lin 2021, rebalanced, small", PAPER)
def lin21_rebalanced_small(table: str | PathLike[str] | None = None, encoder_weights: str | None = None) -> Lin21:
    """Compact Lin 2021 with errors that weigh more where the true colour is rare."""
    return _small(_rebalanced(table), encoder_weights)


@register_model("Lin 2021, ConvNet, small", PAPER)
def lin21_convnet_small() -> Lin21ConvNet:
    """The plain convolutional network, a quarter as wide."""
    return Lin21ConvNet(widths=(16, 32, 64, 128, 256), target=_chroma(), work_size=128)
