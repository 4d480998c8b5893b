"""EfficientNet-Lite (Tan and Le 2019, without squeeze-and-excitation and with ReLU6), up to its last block.

Parameters have the names and the order of timm's `tf_efficientnet_lite0` and `lite2`, so that weights made with them
fit. Unlike timm's, every block is a plain sequence, in which batch normalisations can be folded into the convolutions.
"""

import math
from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from colorlib.models._layers import SameConv2d

# Of each group of blocks: how many, kernel, stride, expansion, channels (Tan and Le 2019, table 1).
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
_EPS = 1e-3  # of the batch normalisations, as in TensorFlow


class Residual(nn.Sequential):
    """A sequence whose input is added to its output."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        output = input
        for layer in self:
            output = layer(output)
        return input + output


def trunk(width: float = 1, depth: float = 1) -> tuple[nn.Sequential, list[nn.Sequential]]:
    """The stem for three colours, at stride 2, and the seven groups of blocks of an EfficientNet-Lite.

    Args:
        width: factor of Lite0's channels, to multiples of 8; the stem keeps its own.
        depth: factor of Lite0's blocks, rounded up; the first and the last group keep theirs, as in all of Lite.
    """
    layers: dict[str, nn.Module] = {
        "conv_stem": _conv(3, STEM_CHANNELS, 3, stride=2),
        "bn1": nn.BatchNorm2d(STEM_CHANNELS, eps=_EPS),
        "act1": nn.ReLU6(inplace=True),
    }
    widths = [STEM_CHANNELS, *(_rounded(channels * width) for *_, channels in _GROUPS)]
    groups: list[nn.Sequential] = []
    for (inputs, outputs), (count, kernel, stride, expansion, _) in zip(pairwise(widths), _GROUPS, strict=True):
        first = _block(inputs, outputs, kernel, stride, expansion)
        if 0 < len(groups) < len(_GROUPS) - 1:
            count = math.ceil(count * depth)
        groups.append(nn.Sequential(first, *(_block(outputs, outputs, kernel, 1, expansion) for _ in range(count - 1))))
    return nn.Sequential(OrderedDict(layers)), groups


def _rounded(channels: float) -> int:
    """To the nearest multiple of 8, but never down by more than a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _block(inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> nn.Sequential:
    """Expand, convolve each channel, narrow; the first group, which expands nothing, has no such layer."""
    wide = inputs * expansion
    layers: dict[str, nn.Module] = {}
    if expansion > 1:
        layers |= {"conv_pw": _conv(inputs, wide, 1), "bn1": nn.BatchNorm2d(wide, eps=_EPS), "act1": nn.ReLU6(True)}
    depth, last, narrow = ("bn2", "bn3", "conv_pwl") if expansion > 1 else ("bn1", "bn2", "conv_pw")
    layers |= {
        "conv_dw": _conv(wide, wide, kernel, stride, groups=wide),
        depth: nn.BatchNorm2d(wide, eps=_EPS),
        f"act{depth[-1]}": nn.ReLU6(inplace=True),
        narrow: _conv(wide, outputs, 1),
        last: nn.BatchNorm2d(outputs, eps=_EPS),
    }
    kind = Residual if stride == 1 and inputs == outputs else nn.Sequential
    return kind(OrderedDict(layers))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Without bias, and started as TensorFlow's EfficientNet: normal, of variance 2 / fan-out."""
    kind = nn.Conv2d if kernel == 1 else SameConv2d
    conv = kind(inputs, outputs, kernel, stride, groups=groups, bias=False)
    nn.init.normal_(conv.weight, std=math.sqrt(2 * groups / (kernel * kernel * outputs)))
    return conv
