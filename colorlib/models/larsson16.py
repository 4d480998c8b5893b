"""Larsson, Maire, Shakhnarovich: Learning Representations for Automatic Colorization, ECCV 2016.

Sections 3.2 to 3.5 and A.1; figure 2 is `larsson16`. A pixel is described by its hypercolumn, the activations of every
layer of a classifier at its place; one hidden layer turns that into histograms of colour. The heads of table 1 are
targets: hue and chroma (`larsson16`), Lab regression, and marginal or joint histograms of Lab.

Where the text leaves room, or where we compute the same otherwise:
- The hidden layer is linear in the hypercolumn before its ReLU, and so commutes with bilinear upsampling: inference
  projects each layer at its own resolution, upsamples and sums. A dense map of 12,417 channels never exists.
- A layer of stride s has its cell j at pixel s (j + 1/2) - 1/2; fc6 is padded by 3 and so keeps the size of pool5.
- Neither dropout nor learning rates are printed: there is no dropout, and the recipes say what they chose.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import groupby
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib.facts import Paper
from colorlib.image import resize, size_of
from colorlib.models._backbones import Encoder, create_encoder, vgg16
from colorlib.models._base import ColorModel
from colorlib.models._layers import GrayInput, deconvolved, off_canvas, on_canvas, resized, xavier
from colorlib.models._registry import register_model
from colorlib.targets import Histogram, HueChroma, LabJoint, LabMarginal, Regression, Target

PAPER = Paper(
    authors="Gustav Larsson, Michael Maire, Gregory Shakhnarovich",
    title="Learning Representations for Automatic Colorization",
    venue="ECCV",
    year=2016,
    url="https://doi.org/10.1007/978-3-319-46493-0_35",
)
DATA = "data"  # the input itself, the hypercolumn's first layer
FRAME = 12  # pixels that a canvas is longer than what is shown on it, at least

Components: TypeAlias = str | Sequence[str]
"""Layers of a hypercolumn: a range such as ``"conv4_1..fc7"``, or their names."""


class Hypercolumn(nn.Module):
    """The fully-connected layer on hypercolumns (`h_fc1` of figure 2) before its ReLU.

    Args:
        channels: of each layer of the hypercolumn.
        outputs: of the fully-connected layer.
        pooled: how layers come to one size: earlier ones by the mean of the pixels of a cell, later ones by a
            deconvolution, to which they are 0 beyond the border; else all by bilinear interpolation.
    """

    def __init__(self, channels: Sequence[int], outputs: int, pooled: bool = False):
        super().__init__()
        self.channels, self.pooled = tuple(channels), pooled
        self.linear = nn.Conv2d(sum(channels), outputs, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier initialisation (section 4)."""
        xavier(self.linear)

    def forward(self, layers: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """A dense map from the layers' own: (N, channels[i], h_i, w_i) each -> (N, outputs, *size)."""
        return self._sum(self._projected(layers, size))

    def at(self, layers: Sequence[Tensor], points: Tensor) -> Tensor:
        """At sparse points only, for training: (N, channels[i], h_i, w_i) each -> (N, outputs, P, 1).

        Args:
            layers: the maps; in the backward pass a point's gradient goes to its four nearest cells.
            points: (N, P, 2), x and y, -1 at the picture's left and upper edge and 1 at the right and lower one.
        """
        pairs = zip(layers, self._weights(), strict=True)
        return self._sum(F.conv2d(gather(layer, points), weight) for layer, weight in pairs)

    @torch.no_grad()
    def rescale(self, factors: Sequence[float]) -> None:
        """Multiply the weights on each layer by a factor, in place."""
        for weight, factor in zip(self._weights(), factors, strict=True):
            weight.mul_(factor)

    def _weights(self) -> tuple[Tensor, ...]:
        weights: tuple[Tensor, ...] = self.linear.weight.split(self.channels, dim=1)
        return weights

    def _projected(self, layers: Sequence[Tensor], size: tuple[int, int]) -> Iterator[Tensor]:
        """What the layers contribute, (N, outputs, *size), summed over consecutive layers of one resolution."""
        start = 0
        # The product is done where there are fewer pixels, and once for each resolution.
        for _, group in groupby(layers, key=lambda layer: min(layer.shape[-2], size[0])):
            stacked = torch.cat([self._down(layer, size) if layer.shape[-2] > size[0] else layer for layer in group], 1)
            weight = self.linear.weight[:, start : start + stacked.shape[1]]
            start += stacked.shape[1]
            yield self._up(F.conv2d(stacked, weight), size)

    def _down(self, layer: Tensor, size: tuple[int, int]) -> Tensor:
        return F.avg_pool2d(layer, layer.shape[-2] // size[0]) if self.pooled else resized(layer, size)

    def _up(self, layer: Tensor, size: tuple[int, int]) -> Tensor:
        return deconvolved(layer, size[0] // layer.shape[-2]) if self.pooled else resized(layer, size)

    def _sum(self, projected: Iterable[Tensor]) -> Tensor:
        hidden = reduce(torch.add, projected)
        return hidden + self.linear.get_parameter("bias").to(hidden.dtype)[:, None, None]


def gather(layer: Tensor, points: Tensor) -> Tensor:
    """Bilinear interpolation at points (N, P, 2) in [-1, 1], beyond the outer cells their value: -> (N, C, P, 1).

    As `torch.nn.functional.grid_sample`, which under autocast either rounds coordinates to half precision, and so takes
    wrong cells, or keeps a float32 copy of every map.
    """
    count, _, height, width = layer.shape
    corners = []
    for at, size in zip(points.unbind(dim=-1), (width, height), strict=True):
        cell = ((at + 1) * (size / 2) - 0.5).clamp(0, size - 1)
        low = cell.floor().long()
        corners.append(((low, 1 - (cell - low)), ((low + 1).clamp(max=size - 1), cell - low)))
    columns, rows = corners
    cells = layer.movedim(1, -1).flatten(0, 2)
    first = torch.arange(count, device=layer.device)[:, None] * (height * width)
    found = torch.zeros((), dtype=points.dtype, device=layer.device)
    for row, row_weight in rows:
        for column, column_weight in columns:
            index = (first + row * width + column).flatten()
            found = found + cells.index_select(0, index) * (row_weight * column_weight).flatten()[:, None]
    rows_of_points: Tensor = found.to(layer.dtype).unflatten(0, (count, -1))
    return rows_of_points.movedim(-1, 1)[..., None]


class Larsson16(ColorModel):
    """Figure 2: a classifier's layers, the hidden layer on their hypercolumns, and the output predictors.

    Args:
        encoder: the classifier; its stages are the layers of the hypercolumn, after the input itself, ``data``.
        target: what is predicted.
        components: which layers the hypercolumn has: ``"conv4_1..fc7"`` is a range, as in table 2, or their names. The
            encoder ends with the last one.
        hidden: width of the hidden layer.
        points: hypercolumns that training takes of each photograph.
        output_stride: of dense prediction.
        work_size: short side at which photographs are coloured by default.
        gray: how the network sees gray; default: normalised as ImageNet is.
        canvas: side of a square in whose middle photographs are shown, surrounded by 0 (gray, as above), a multiple of
            32; 0: none, and their sides are padded to multiples of 32. Their short side is half the canvas at most,
            their long side 12 pixels less than the canvas. Larger ones get the next larger multiple of 32.
        pooled: how layers come to one size, see :class:`Hypercolumn`.
        released: predict histograms (log probabilities) of every pixel, upsampled after the softmax by a deconvolution;
            and let :meth:`colorize` keep (R + G + B) / 3 in place of L*, as the authors' program does.

    Attributes:
        components: names of the hypercolumn's layers.
    """

    stride = 32
    work_size: int

    def __init__(
        self,
        *,
        encoder: Encoder,
        target: Target,
        components: Components,
        hidden: int,
        points: int,
        output_stride: int,
        work_size: int,
        gray: GrayInput | None = None,
        canvas: int = 0,
        pooled: bool = False,
        released: bool = False,
    ):
        super().__init__()
        if canvas % self.stride:
            raise ValueError(f"expected a canvas of a multiple of {self.stride} pixels, got {canvas}")
        names = (DATA, *encoder.names)
        self.components = _select(components, names)
        channels = dict(zip(names, (1, *encoder.channels), strict=True))
        self.encoder = encoder.truncate(max(names.index(name) for name in self.components))
        # By default of unit second moment, as the other layers.
        self.data = gray or GrayInput(mean=0.449 * 255, std=0.226 * 255)
        self.hypercolumn = Hypercolumn([channels[name] for name in self.components], hidden, pooled)
        self.predictors = nn.Conv2d(hidden, target.channels, 1)
        xavier(self.predictors)
        self.target, self.points = target, points
        self.work_size, self.canvas, self.released = work_size, canvas, released
        self.cell, self.output_stride = output_stride, 1 if released else output_stride

    @override
    def to_input(self, rgb: Tensor) -> Tensor:
        """The gray of section 3.1, (R + G + B) / 3, as its L: sRGB (N, 3, H, W) -> L in [0, 100], (N, 1, H, W)."""
        return color.rgb_to_lightness(rgb.mean(dim=-3, keepdim=True).expand_as(rgb))

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        height, width = lightness.shape[-2:]
        size = height // self.cell, width // self.cell
        prediction: Tensor = self.predictors(self.hypercolumn(self.layers(lightness), size).relu())
        return self._spread(prediction, partial(deconvolved, factor=self.cell)) if self.released else prediction

    def _spread(self, prediction: Tensor, upsample: Callable[[Tensor], Tensor]) -> Tensor:
        """Upsample histograms and not their logits; as logits again."""
        assert isinstance(self.target, Histogram)
        histograms = [upsample(logits.softmax(dim=1)) for logits in prediction.split(self.target.sizes, dim=1)]
        return torch.cat(histograms, dim=1).clamp(min=torch.finfo(prediction.dtype).tiny).log()

    @override
    def pad(self, x: Tensor) -> Tensor:
        return on_canvas(x, self._side(*size_of(x))) if self.canvas else super().pad(x)

    @override
    def crop(self, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        if not self.canvas:
            return super().crop(prediction, size)
        return off_canvas(prediction, (-(-size[0] // self.output_stride), -(-size[1] // self.output_stride)))

    def _side(self, height: int, width: int) -> int:
        """Of the canvas."""
        if torch.compiler.is_exporting():  # a graph's photographs are shown at a size that fits
            return self.canvas
        return max(self.canvas, -(-(max(height, width) + FRAME) // self.stride) * self.stride)

    @override
    def seen_size(self, height: int, width: int, size: float) -> tuple[int, int]:
        if not self.canvas:
            return super().seen_size(height, width, size)
        scale = min(size / min(height, width), 1)
        if max(height, width) * scale >= (longest := 2 * size - FRAME):
            scale = longest / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    @override
    def _colorize(self, rgb: Tensor) -> Tensor:
        if not self.released:
            return super()._colorize(rgb)
        assert isinstance(self.target, HueChroma)
        size = size_of(rgb)
        prediction = self(self.to_input(resize(rgb, self.seen_size(*size, self.work_size))))
        if size_of(prediction) != size:
            prediction = self._spread(prediction, partial(resized, size=size))
        return self.target.picture(prediction.to(rgb.dtype), rgb.mean(dim=1, keepdim=True))

    def layers(self, lightness: Tensor) -> list[Tensor]:
        """The maps that hypercolumns are read off: L (N, 1, H, W), sides multiples of 32 -> one for each component."""
        data = [self.data(lightness)] if DATA in self.components else []
        return data + self.encoder.read(lightness, self.components)

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """The target's loss at random pixels of each photograph (section 3.5)."""
        count, _, height, width = rgb.shape
        lightness = self.pad(self.to_input(rgb if shown is None else shown))
        x = torch.randint(width, (count, self.points), device=rgb.device)
        y = torch.randint(height, (count, self.points), device=rgb.device)
        size = torch.tensor((lightness.shape[-1], lightness.shape[-2]), device=rgb.device)
        corner = (size - torch.tensor((width, height), device=rgb.device)) // 2 if self.canvas else 0
        points = (2 * (torch.stack([x, y], dim=-1) + corner) + 1).float() / size - 1
        prediction = self.predictors(self.hypercolumn.at(self.layers(lightness), points).relu())
        truth = rgb.flatten(2).gather(2, (y * width + x)[:, None].expand(-1, 3, -1))[..., None]
        return {"loss": self.target.loss(prediction, self.target.encode(truth))}

    @override
    def calibrate(self, rgb: Tensor) -> None:
        """Balance the encoder's layers on photographs (A.1), below a hidden layer that begins anew."""
        self.rebalance(self.to_input(rgb))
        self.hypercolumn.reset_parameters()

    @torch.no_grad()
    def rebalance(self, lightness: Tensor) -> None:
        """A.1: give each layer of the encoder unit second moment on this L, (N, 1, H, W); predictions stay the same."""
        features = self.encoder(self.pad(lightness))
        factors = [float(x.float().square().mean().clamp(min=1e-12).rsqrt()) for x in features]
        self.encoder.rescale(factors)
        inverse = {DATA: 1.0} | {name: 1 / m for name, m in zip(self.encoder.names, factors, strict=True)}
        self.hypercolumn.rescale([inverse[name] for name in self.components])


def _select(components: Components, names: tuple[str, ...]) -> tuple[str, ...]:
    """Layer names in their order, from a range or a list."""
    if isinstance(components, str):
        first, dots, last = components.partition("..")
        wanted = [first, last if dots else first]
    else:
        wanted = list(components)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise ValueError(f"expected components of {', '.join(names)}, or FIRST..LAST; got {components!r}")
    indices = [names.index(name) for name in wanted]
    if isinstance(components, str):
        indices = list(range(indices[0], indices[1] + 1))
        if not indices:
            raise ValueError(f"expected FIRST..LAST in the order {', '.join(names)}; got {components!r}")
    return tuple(names[index] for index in sorted(set(indices)))


ALL_OF_VGG16, ALL_OF_LITE0 = "data..fc7", "data..stage5"


def _full_size(target: Target, components: Components, encoder_weights: str | None) -> Larsson16:
    return Larsson16(
        encoder=create_encoder("vgg16", encoder_weights),
        components=components,
        hidden=1024,
        target=target,
        points=128,
        output_stride=4,
        work_size=256,  # short sides of "at most 256 pixels", section 4
    )


def _small(target: Target, components: Components, encoder_weights: str | None, encoder: str) -> Larsson16:
    return Larsson16(
        encoder=create_encoder(encoder, encoder_weights),
        components=components,
        hidden=512,
        target=target,
        points=128,
        output_stride=4,
        work_size=192,
    )


def _lab() -> Regression:
    """In units of 20, about the deviation of a and b: what an output without activation begins with."""
    return Regression("lab", low=-5.5, high=5.5)


@register_model("Larsson 2016", PAPER)
def larsson16(
    components: Components = ALL_OF_VGG16, encoder_weights: str | None = None, released: bool = False, width: float = 1
) -> Larsson16:
    """Hypercolumns of VGG-16 predict histograms of hue and chroma (figure 2).

    Args:
        components: see :class:`Larsson16`.
        encoder_weights: see :func:`colorlib.models._backbones.vgg16`.
        released: the network that the authors released, where it differs from the paper: all the settings at the end of
            :class:`Larsson16`, and whole bins (:class:`colorlib.targets.HueChroma`).
        width: factor on the channels of every layer, for tests.
    """
    if not released and width == 1:
        return _full_size(HueChroma(), components, encoder_weights)
    gray = GrayInput(mean=0, std=1, scale=1) if released else None
    return Larsson16(
        encoder=vgg16(encoder_weights, gray=gray, width=width),
        components=components,
        hidden=round(1024 * width),
        target=HueChroma(whole_bins=released),
        points=128,
        output_stride=4,
        work_size=256,
        gray=gray,
        canvas=512 if released else 0,
        pooled=released,
        released=released,
    )


@register_model("Larsson 2016, Lab L2", PAPER)
def larsson16_lab_l2(components: Components = ALL_OF_VGG16, encoder_weights: str | None = None) -> Larsson16:
    """Larsson 2016 regressing a and b of Lab (eq. 1, table 1)."""
    return _full_size(_lab(), components, encoder_weights)


@register_model("Larsson 2016, Lab marginal", PAPER)
def larsson16_lab_marginal(components: Components = ALL_OF_VGG16, encoder_weights: str | None = None) -> Larsson16:
    """Larsson 2016 predicting a histogram of a and one of b, 32 bins each (table 1)."""
    return _full_size(LabMarginal(), components, encoder_weights)


@register_model("Larsson 2016, Lab joint", PAPER)
def larsson16_lab_joint(components: Components = ALL_OF_VGG16, encoder_weights: str | None = None) -> Larsson16:
    """Larsson 2016 predicting a joint histogram of a and b, 16 x 16 bins (table 1)."""
    return _full_size(LabJoint(), components, encoder_weights)


@register_model("Larsson 2016, small", PAPER)
def larsson16_small(
    components: Components = ALL_OF_LITE0, encoder_weights: str | None = None, encoder: str = "efficientnet_lite0"
) -> Larsson16:
    """Compact Larsson 2016: hypercolumns of EfficientNet-Lite0 predict histograms of hue and chroma."""
    return _small(HueChroma(), components, encoder_weights, encoder)


@register_model("Larsson 2016, Lab L2, small", PAPER)
def larsson16_lab_l2_small(
    components: Components = ALL_OF_LITE0, encoder_weights: str | None = None, encoder: str = "efficientnet_lite0"
) -> Larsson16:
    """Compact Larsson 2016 regressing a and b of Lab."""
    return _small(_lab(), components, encoder_weights, encoder)


@register_model("Larsson 2016, Lab marginal, small", PAPER)
def larsson16_lab_marginal_small(
    components: Components = ALL_OF_LITE0, encoder_weights: str | None = None, encoder: str = "efficientnet_lite0"
) -> Larsson16:
    """Compact Larsson 2016 predicting a histogram of a and one of b."""
    return _small(LabMarginal(), components, encoder_weights, encoder)


@register_model("Larsson 2016, Lab joint, small", PAPER)
def larsson16_lab_joint_small(
    components: Components = ALL_OF_LITE0, encoder_weights: str | None = None, encoder: str = "efficientnet_lite0"
) -> Larsson16:
    """Compact Larsson 2016 predicting a joint histogram of a and b."""
    return _small(LabJoint(), components, encoder_weights, encoder)
