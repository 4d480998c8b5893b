"""Zhu, Funt: Colorizing Color Images, Electronic Imaging 2018; its method is called color by colorization.

White balance by a network that colours a photograph in colour. Table 1 and figure 1 are `color_by_colorization`, which
is the network of Johnson et al. for style transfer.

Where the text leaves room, or misleads:
- Table 1 prints stride 3 in the encoder, but the two deconvolutions of stride 2 restore the size: strides are 2.
- The 3x3 convolutions of a shave block are unpadded, and its identity branch is cropped by 2 pixels a side: that is the
  shave. Reflecting the input's border by 40 pixels makes up for five blocks, as many as Johnson et al. have; the paper
  does not say how many.
- A photograph is perturbed in four ways for each epoch, the result "added": one input in five has no cast.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from colorlib.casts import random_casts
from colorlib.facts import Paper
from colorlib.models._base import WhiteBalance
from colorlib.models._layers import conv_bn_relu
from colorlib.models._registry import register_model
from colorlib.targets import Picture

PAPER = Paper(
    authors="Ligeng Zhu, Brian Funt",
    title="Colorizing Color Images",
    venue="Electronic Imaging",
    year=2018,
    url="https://doi.org/10.2352/ISSN.2470-1173.2018.14.HVEI-541",
)
SHAVE = 2  # pixels that a block takes off each side, at a quarter of the size


class ShaveBlock(nn.Module):
    """Two unpadded convolutions, and beside them the identity, cropped to their size."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h - 4, w - 4)."""
        shaved: Tensor = x[..., SHAVE:-SHAVE, SHAVE:-SHAVE] + self.body(x)
        return shaved


class ColorByColorization(WhiteBalance):
    """Table 1: encoder, shave blocks, decoder.

    Args:
        widths: channels after each convolution of the encoder.
        blocks: how many shave blocks.
        work_size: short side at which photographs are balanced by default.
        clean: share of the training inputs that have no cast.
    """

    stride = 4

    def __init__(self, *, widths: tuple[int, int, int], blocks: int, work_size: int, clean: float):
        super().__init__()
        first, second, third = widths
        self.encoder = nn.Sequential(
            *conv_bn_relu(nn.Conv2d(3, first, 9, padding=4, bias=False)),
            *conv_bn_relu(nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False)),
            *conv_bn_relu(nn.Conv2d(second, third, 3, stride=2, padding=1, bias=False)),
        )
        self.shave_blocks = nn.Sequential(*(ShaveBlock(third) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            *conv_bn_relu(_Doubling(third, second)),
            *conv_bn_relu(_Doubling(second, first)),
            nn.Conv2d(first, 3, 9, padding=4),
            nn.Tanh(),
        )
        self.target, self.work_size, self.clean = Picture(), work_size, clean
        self.border = self.stride * SHAVE * blocks

    @override
    def pad(self, x: Tensor) -> Tensor:
        """Reflect the border, by what the shave blocks take off and until 4 divides the sides."""
        for dim in (-2, -1):
            size = x.shape[dim]
            x = x.index_select(dim, _reflected(size, self.border, self.border + -size % self.stride, x.device))
        return x

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        """sRGB (N, 3, H, W), of which :meth:`pad` has made H + 80, W + 80 -> the balanced one in [-1, 1]."""
        balanced: Tensor = self.decoder(self.shave_blocks(self.encoder(2 * lightness - 1)))
        return balanced

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """Mean squared error of photographs restored from random casts, or from ``shown``."""
        if shown is not None:
            return {"loss": self.target.loss(self(self.to_input(shown)), self.target.encode(rgb))}
        perturbed = random_casts(rgb)
        kept = torch.rand(len(rgb), dtype=torch.float32, device="cpu").to(rgb.device) < self.clean
        inputs = torch.where(kept[:, None, None, None], rgb, perturbed)
        return {"loss": self.target.loss(self(self.to_input(inputs)), self.target.encode(rgb))}


class _Doubling(nn.ConvTranspose2d):
    """Deconvolution 3x3 of stride 2 that gives exactly twice the size."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)


def _reflected(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices that reflect a row of pixels at its ends, as often as it takes: ... 2, 1, 0, 1, 2, ... and so on."""
    index = torch.arange(-before, size + after, device=device).abs()
    period = torch.full_like(index, 2 * (size - 1)).clamp(min=1)  # a tensor, as ONNX takes no remainder by a size
    index = index % period
    return torch.minimum(index, period - index)


@register_model("Color by Colorization", PAPER, task="balance")
def color_by_colorization(clean: float = 0.2) -> ColorByColorization:
    """White balance: a network that takes casts away, even those that vary over the picture (table 1)."""
    # The paper's training photographs are COCO's; larger ones are balanced at this size and keep their detail.
    return ColorByColorization(widths=(32, 64, 128), blocks=5, work_size=256, clean=clean)


@register_model("Color by Colorization, small", PAPER, task="balance")
def color_by_colorization_small(clean: float = 0.2) -> ColorByColorization:
    """Compact Color by Colorization: half the channels."""
    # Trained on 96 pixels. Of 96 and 128, 128 left less of simulated casts on Mini Places' validation photographs.
    return ColorByColorization(widths=(16, 32, 64), blocks=5, work_size=128, clean=clean)
