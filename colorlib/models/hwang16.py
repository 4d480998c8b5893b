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
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from colorlib.catalog import Paper
from colorlib.models import dahl16
from colorlib.models._backbones import Encoder, create_encoder
from colorlib.models._base import ColorModel
from colorlib.models._registry import register_model
from colorlib.models.dahl16 import Dahl16, ResidualEncoder, upsample, xavier
from colorlib.targets import LuvBins, Regression, size_of

PAPER = Paper(
    authors="Jeff Hwang, You Zhou",
    title="Image Colorization with Deep Convolutional Neural Networks",
    venue="Stanford CS231n",
    year=2016,
    url="https://cs231n.stanford.edu/reports/2016/pdfs/219_Report.pdf",
)


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
        aggregation: Literal["concatenation", "sum"],
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


REGRESSION: dict[str, Any] = dahl16.FULL_SIZE | {"encoder": "vgg16_bn"}
CLASSIFICATION: dict[str, Any] = {key: REGRESSION[key] for key in ("encoder", "layers", "widths", "work_size")} | {
    "depth": 128
}
SMALL_CLASSIFICATION: dict[str, Any] = {
    "encoder": "efficientnet_lite0",
    "layers": ("stage2", "stage3", "stage4", "stage5"),
    "widths": (32, 64, 128),
    "depth": 64,
    "work_size": 192,
}


def _regression(
    *,
    encoder: str,
    layers: Sequence[str],
    encoder_weights: str | None = None,
    huber: float | None = None,
    **kwargs: Any,
) -> Dahl16:
    """``huber`` is the threshold M of section 3.5, in units of u and v."""
    return Dahl16(
        encoder=create_encoder(encoder, encoder_weights, layers),
        layers=layers,
        # In units of 20, about the deviation of u and v: what an output without activation begins with.
        target=Regression("luv", low=-5, high=5, huber=huber),
        output=nn.Identity(),
        **kwargs,
    )


def _classification(
    *,
    encoder: str,
    layers: Sequence[str],
    encoder_weights: str | None = None,
    aggregation: Literal["concatenation", "sum"] = "concatenation",
    values: Literal["means", "centres"] = "means",
    smoothing: float = 0.0,
    **kwargs: Any,
) -> Hwang16Classification:
    return Hwang16Classification(
        encoder=create_encoder(encoder, encoder_weights, layers),
        layers=layers,
        aggregation=aggregation,
        target=LuvBins(values=values, smoothing=smoothing),
        **kwargs,
    )


@register_model("Hwang 2016, classification", PAPER)
def hwang16_classification(**kwargs: Any) -> Hwang16Classification:
    """VGG-16 with a residual encoder, all of whose maps predict 50 classes of u and of v (figure 3)."""
    return _classification(**CLASSIFICATION | kwargs)


@register_model("Hwang 2016, regression", PAPER)
def hwang16_regression(**kwargs: Any) -> Dahl16:
    """VGG-16 with a residual encoder that regresses u and v, the paper's baseline (figure 2)."""
    return _regression(**REGRESSION | kwargs)


@register_model("Hwang 2016, classification, small", PAPER)
def hwang16_classification_small(**kwargs: Any) -> Hwang16Classification:
    """Compact Hwang 2016 on EfficientNet-Lite0: 50 classes of u and of v."""
    return _classification(**SMALL_CLASSIFICATION | kwargs)


@register_model("Hwang 2016, regression, small", PAPER)
def hwang16_regression_small(**kwargs: Any) -> Dahl16:
    """Compact Hwang 2016 on EfficientNet-Lite0, regressing u and v."""
    return _regression(**dahl16.SMALL | kwargs)
