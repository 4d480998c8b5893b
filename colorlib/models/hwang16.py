"""Hwang, Zhou: Image Colorization with Deep Convolutional Neural Networks, Stanford CS231n, 2016.

Section 3; figure 2 is `hwang16_regression`, figure 3 `hwang16_classification`. VGG-16, normalised before every ReLU and
trained with the rest, summarises; Dahl's residual encoder creates, and regresses u and v of CIE Luv, or hands all its
maps to a concatenation layer from which 50 classes are predicted for each.

Where the text leaves room:
- VGG-16 "pretrained", with batch normalisation before every non-linearity, is torchvision's `vgg16_bn`, which was
  trained that way.
- The figures print no depths for the three convolutions after the concatenation: 128 each here. Like the last one of
  the regression, they are not normalised: "apart from the last few layers".
- The two parallel 1x1 convolutions are one with twice the outputs, u's then v's, which is the same.
- An elementwise sum needs maps of one depth, so 1x1 convolutions bring them to it.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import override

from colorlib.facts import Paper
from colorlib.image import size_of
from colorlib.models import dahl16
from colorlib.models._backbones import Encoder, create_encoder
from colorlib.models._base import ColorModel
from colorlib.models._layers import upsample, xavier
from colorlib.models._registry import register_model
from colorlib.models.dahl16 import VGG16_LAYERS, VGG16_WIDTHS, Dahl16, ResidualEncoder
from colorlib.targets import LuvBins, Regression

PAPER = Paper(
    authors="Jeff Hwang, You Zhou",
    title="Image Colorization with Deep Convolutional Neural Networks",
    venue="Stanford CS231n",
    year=2016,
    url="https://cs231n.stanford.edu/reports/2016/pdfs/219_Report.pdf",
)

Aggregation: TypeAlias = Literal["concatenation", "sum"]
Values: TypeAlias = Literal["means", "centres"]


class Hwang16Classification(ColorModel):
    """Figure 3: residual encoder, concatenation layer, three 3x3 convolutions, the classes of u and of v.

    Args:
        encoder: the classifier, up to the last of the layers.
        layers: its maps that are used, from fine to coarse; predictions have the size of the finest.
        widths: see :class:`colorlib.models.dahl16.ResidualEncoder`.
        aggregation: how the residual encoder's maps are joined, ``"concatenation"`` or elementwise ``"sum"``.
        depth: channels of the three convolutions.
        target: the bins.
        work_size: short side at which photographs are coloured by default.
    """

    target: LuvBins

    def __init__(
        self,
        *,
        encoder: Encoder,
        layers: Sequence[str],
        widths: Sequence[int],
        aggregation: Aggregation,
        depth: int,
        target: LuvBins,
        work_size: int,
    ):
        super().__init__()
        if aggregation not in ("concatenation", "sum"):
            raise ValueError(f'expected aggregation to be "concatenation" or "sum", got {aggregation!r}')
        indices = [encoder.names.index(name) for name in layers]
        self.encoder, self.layers = encoder, tuple(layers)
        self.stride, self.output_stride = encoder.strides[max(indices)], encoder.strides[min(indices)]
        self.residual_encoder = ResidualEncoder([encoder.channels[i] for i in indices], widths, widths[0])
        depths = (widths[-1], *reversed(widths[:-1]), widths[0])
        self.projections = nn.ModuleList(
            xavier(nn.Conv2d(each, widths[0], 1)) if aggregation == "sum" else nn.Identity() for each in depths
        )
        joined = widths[0] if aggregation == "sum" else sum(depths)
        self.aggregation, self.target, self.work_size = aggregation, target, work_size
        self.head = nn.Sequential(
            *_plain(joined, depth),
            *_plain(depth, depth),
            *_plain(depth, depth),
            xavier(nn.Conv2d(depth, target.channels, 1)),
        )

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        steps = self.residual_encoder(self.encoder.read(lightness, self.layers))
        # 1x1 convolutions commute with the upsampling, and come first as there is less to convolve.
        maps = [upsample(project(x), steps[-1]) for project, x in zip(self.projections, steps, strict=True)]
        joined = torch.stack(maps).sum(dim=0) if self.aggregation == "sum" else torch.cat(maps, dim=1)
        scores: Tensor = self.head(joined)
        return scores

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """The target's loss; on the way, training gathers the means of its bins."""
        prediction = self(self.to_input(rgb if shown is None else shown))
        encoded = self.target.encode(rgb, size_of(prediction))
        if self.training:
            self.target.gather(encoded)
        return {"loss": self.target.loss(prediction, encoded)}


def _plain(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return xavier(nn.Conv2d(inputs, outputs, 3, padding=1)), nn.ReLU(inplace=True)


# The regression stands on the baseline's layers; the classification is joined at the finest of them.
LITE0_LAYERS = ("stage2", "stage3", "stage4", "stage5")


def _regression(
    encoder: str,
    encoder_weights: str | None,
    layers: Sequence[str],
    widths: Sequence[int],
    tail: int,
    huber: float | None,
    work_size: int,
) -> Dahl16:
    return Dahl16(
        encoder=create_encoder(encoder, encoder_weights, layers),
        layers=layers,
        widths=widths,
        tail=tail,
        # In units of 20, about the deviation of u and v: what an output without activation begins with.
        target=Regression("luv", low=-5, high=5, huber=huber),
        output=nn.Identity(),
        work_size=work_size,
    )


@register_model("Hwang 2016, classification", PAPER)
def hwang16_classification(
    encoder_weights: str | None = None,
    aggregation: Aggregation = "concatenation",
    values: Values = "means",
    smoothing: float = 0.0,
) -> Hwang16Classification:
    """VGG-16 with a residual encoder, all of whose maps predict 50 classes of u and of v (figure 3)."""
    return Hwang16Classification(
        encoder=create_encoder("vgg16_bn", encoder_weights, VGG16_LAYERS),
        layers=VGG16_LAYERS,
        widths=VGG16_WIDTHS,
        aggregation=aggregation,
        depth=128,
        target=LuvBins(values=values, smoothing=smoothing),
        work_size=224,
    )


@register_model("Hwang 2016, regression", PAPER)
def hwang16_regression(encoder_weights: str | None = None, huber: float | None = None) -> Dahl16:
    """VGG-16 with a residual encoder that regresses u and v, the paper's baseline (figure 2).

    ``huber`` is the threshold M of section 3.5, in units of u and v; None is the squared error.
    """
    return _regression("vgg16_bn", encoder_weights, VGG16_LAYERS, VGG16_WIDTHS, tail=3, huber=huber, work_size=224)


@register_model("Hwang 2016, classification, small", PAPER)
def hwang16_classification_small(
    encoder_weights: str | None = None,
    aggregation: Aggregation = "concatenation",
    values: Values = "means",
    smoothing: float = 0.0,
) -> Hwang16Classification:
    """Compact Hwang 2016 on EfficientNet-Lite0: 50 classes of u and of v."""
    return Hwang16Classification(
        encoder=create_encoder("efficientnet_lite0", encoder_weights, LITE0_LAYERS),
        layers=LITE0_LAYERS,
        widths=(32, 64, 128),
        aggregation=aggregation,
        depth=64,
        target=LuvBins(values=values, smoothing=smoothing),
        work_size=192,
    )


@register_model("Hwang 2016, regression, small", PAPER)
def hwang16_regression_small(encoder_weights: str | None = None, huber: float | None = None) -> Dahl16:
    """Compact Hwang 2016 on EfficientNet-Lite0, regressing u and v."""
    layers, widths = dahl16.LITE0_LAYERS, (16, 32, 64, 128)
    return _regression("efficientnet_lite0", encoder_weights, layers, widths, tail=8, huber=huber, work_size=192)
