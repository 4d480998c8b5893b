"""Iizuka, Simo-Serra, Ishikawa: Let there be Color!, SIGGRAPH 2016.

Sections 3 and 4; table 1 and figure 2 are `iizuka16`. Local features of small patches and a global description of the
whole picture share their low-level network and meet in a fusion layer; a scene classifier teaches the global branch.

Where the text leaves room:
- Eq. 6 prints a squared Frobenius norm, section 3.2.5 says mean squared error; only with the mean are the two losses
  "similar in magnitude" at alpha = 1/300 (section 4), so it is the mean.
- Batch normalisation stands before every ReLU, fully-connected layers included, and not before the sigmoid or the
  class scores.
- a* and b* are normalised "globally" to [0, 1]: here by (x / 110 + 1) / 2, see `targets.Regression`.
- Sides that 8 does not divide are padded by repeating the border, and the output is cropped back to half the size.

What the authors released (satoshiiizuka/siggraph2016_colorization, read by :mod:`colorlib.authors.colornet`) differs
from the paper. Each difference is a setting of `iizuka16`, see :data:`RELEASED`:
- Its input is luma, Y of YUV in [0, 1], less a mean (`gray`, `mean`), not L.
- Sides are brought to the nearest multiple of 8 by resizing, not by padding; shrinking averages over areas, enlarging
  interpolates between the centres of the outer pixels (`sides`).
- Its output o in [0, 1] stands for (a, b) = 100 (2 o - 1), and the luma of the input is kept, not L (`keeps`). The
  program turns (a, b) into U and V at the lightness of the colour whose Y, U and V all are the luma, which makes
  chroma stronger. :class:`colorlib.Colorizer` takes the (a, b) of that picture and keeps L, as for every method.
- Batch normalisation is folded into the layers, which have biases instead (`batch_norm`).
- The file has no scene classifier, as far as the program that reads it shows: it takes one output (`num_classes`).
"""

from itertools import pairwise
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_image
from colorlib.facts import Paper
from colorlib.image import antialiased, scaled, size_of
from colorlib.models._backbones import efficientnet_lite0
from colorlib.models._base import ColorModel
from colorlib.models._layers import GrayInput, conv_bn_relu, init_near_gray, scene_loss
from colorlib.models._registry import register_model
from colorlib.targets import LumaLab, Regression, Target

PAPER = Paper(
    authors="Satoshi Iizuka, Edgar Simo-Serra, Hiroshi Ishikawa",
    title="Let there be Color!: Joint End-to-end Learning of Global and Local Image Priors for Automatic Image "
    "Colorization with Simultaneous Classification",
    venue="SIGGRAPH",
    year=2016,
    url="https://doi.org/10.1145/2897824.2925974",
)

PLACES_CLASSES, MINI_PLACES_CLASSES, IMAGENET_CLASSES = 205, 100, 1000
ALPHA = 1 / 300  # weight of the scenes' loss (section 3.5)
Space: TypeAlias = Literal["lab", "yuv", "rgb"]
Gray: TypeAlias = Literal["lightness", "luma"]
Sides: TypeAlias = Literal["padded", "rounded"]

# Of `iizuka16`, but for what only a released file says: its mean, the side of its fusion layer's kernel, its classes.
RELEASED: dict[str, Any] = {"gray": "luma", "sides": "rounded", "keeps": "luma", "batch_norm": False}


def _conv(inputs: int, outputs: int, stride: int = 1, norm: bool = True) -> nn.Sequential:
    """3x3 convolution, padded by 1 so that stride 1 keeps the size and stride 2 halves it; normalised; ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv_bn_relu(conv) if norm else nn.Sequential(conv, nn.ReLU(inplace=True))


def _fully_connected(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    linear = nn.Linear(inputs, outputs, bias=not norm)
    return nn.Sequential(linear, *([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU(inplace=True))


class GlobalFeatures(nn.Module):
    """Table 1 (b): from the low-level features of a fixed-size picture to one vector.

    Args:
        trunk: the convolutions, low-level features -> (N, widths[0]).
        widths: of the trunk's output and of the fully-connected layers after it.
        norm: whether these are normalised; else they have biases.
    """

    def __init__(self, trunk: nn.Module, widths: tuple[int, ...], norm: bool = True):
        super().__init__()
        self.trunk = trunk
        *hidden, last = [_fully_connected(i, o, norm) for i, o in pairwise(widths)]
        self.hidden, self.last = nn.Sequential(*hidden), last

    def forward(self, low_level: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) -> the global feature (N, widths[-1]), and the layer before it (N, widths[-2])."""
        hidden = self.hidden(self.trunk(low_level))
        return self.last(hidden), hidden


class Fusion(nn.Module):
    """Eq. 5: at each position one layer over [global; mid], the vector concatenated with the mid-level feature.

    W [global; mid] is computed as W_g global + W_m mid: the same sum, without a copy of the vector at each position.

    Args:
        global_channels: of the vector.
        mid_channels: of the mid-level feature.
        outputs: of the layer.
        kernel: side of a convolution in place of the paper's layer, odd; beyond the border both features are 0.
        norm: whether it is normalised; else it has a bias.
    """

    def __init__(self, global_channels: int, mid_channels: int, outputs: int, kernel: int = 1, norm: bool = True):
        super().__init__()
        self.kernel = kernel
        self.global_ = nn.Linear(global_channels * kernel**2, outputs, bias=False)
        self.mid = nn.Conv2d(mid_channels, outputs, kernel, padding=kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, mid_level: Tensor, global_feature: Tensor) -> Tensor:
        """(N, C_m, h, w) and (N, C_g) -> (N, outputs, h, w)."""
        if self.kernel == 1:
            spread = self.global_(global_feature)[:, :, None, None]
        else:
            weight = self.global_.weight.view(self.mid.out_channels, -1, self.kernel, self.kernel)
            everywhere = global_feature[:, :, None, None].expand(-1, -1, *size_of(mid_level))
            spread = F.conv2d(everywhere, weight, padding=self.kernel // 2)
        return F.relu(self.norm(self.mid(mid_level) + spread))


class Iizuka16(ColorModel):
    """The networks of figure 2 and what happens between them.

    Args:
        low_level: table 1 (a): L in [0, 100], (N, 1, H, W) -> (N, C, H/8, W/8).
        global_features: table 1 (b); None makes the paper's baseline.
        mid_level: table 1 (c): -> (N, C_m, H/8, W/8).
        fusion: first row of table 1 (d); a convolution where there are no global features.
        colorization: the rest of table 1 (d): -> (N, target.channels, H/2, W/2) in [0, 1].
        classifier: figure 2: (N, C_h) -> (N, classes); goes with the global features.
        target: colour space to regress, section 4.8.
        global_size: side of the picture that the global features are computed on.
        work_size: short side at which photographs are coloured by default.
        alpha: weight of the classification loss, eq. 6.
        gray: what the network sees, L or luma.
        mean: what is taken off luma in [0, 1].
        sides: what is done where 8 does not divide them.
    """

    stride = 8
    output_stride = 2

    def __init__(
        self,
        *,
        low_level: nn.Module,
        global_features: GlobalFeatures | None,
        mid_level: nn.Module,
        fusion: nn.Module,
        colorization: nn.Module,
        classifier: nn.Module | None,
        target: Target,
        global_size: int,
        work_size: int,
        alpha: float,
        gray: Gray = "lightness",
        mean: float = 0.0,
        sides: Sides = "padded",
    ):
        super().__init__()
        self.gray, self.rounded = gray, sides == "rounded"
        self.input = GrayInput(mean, std=1, scale=1) if gray == "luma" else nn.Identity()
        self.low_level, self.global_features, self.mid_level = low_level, global_features, mid_level
        self.fusion, self.colorization, self.classifier = fusion, colorization, classifier
        self.target, self.global_size, self.alpha = target, global_size, alpha
        self.work_size = work_size

    @override
    def to_input(self, rgb: Tensor) -> Tensor:
        """The gray that the network sees, as its L: sRGB (N, 3, H, W) in [0, 1] -> L in [0, 100], (N, 1, H, W)."""
        if self.gray == "lightness":
            return super().to_input(rgb)
        return color.rgb_to_lightness(color.rgb_to_yuv(rgb)[:, :1].clamp(0, 1).expand_as(rgb))

    @override
    def pad(self, x: Tensor) -> Tensor:
        # An exported graph is given multiples of the stride.
        return x if self.rounded and not torch.compiler.is_exporting() else super().pad(x)

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        return self.predict_with_scene(lightness)[0]

    @property
    @override
    def takes_reference(self) -> bool:
        return self.global_features is not None

    @override
    def predict_after(self, lightness: Tensor, reference: Tensor) -> Tensor:
        """Style transfer (section 4.5): the global features are those of another photograph's lightness.

        Raises:
            ValueError: a network without global features.
        """
        if self.global_features is None:
            return super().predict_after(lightness, reference)
        global_feature, _ = self.describe(self.to_input(reference))
        low_level = self.low_level(self._rounded(self.input(lightness)))
        predicted: Tensor = self.colorization(self.fusion(self.mid_level(low_level), global_feature))
        return self._halved(predicted, lightness)

    def predict_with_scene(self, lightness: Tensor) -> tuple[Tensor, Tensor | None]:
        """Colour, and scene scores if there are any.

        Args:
            lightness: L, (N, 1, H, W), H and W multiples of 8 unless sides are rounded.

        Returns:
            (N, C, H / 2, W / 2), rounded up, and (N, classes).
        """
        predicted, scores = self._predicted(self._rounded(self.input(lightness)))
        return self._halved(predicted, lightness), scores

    def _predicted(self, gray: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the networks make of their input, whose sides 8 divides: (N, 1, H, W) -> (N, C, H/2, W/2), scores."""
        low_level = self.low_level(gray)
        mid_level = self.mid_level(low_level)
        if self.global_features is None:
            return self.colorization(self.fusion(mid_level)), None
        # The weights are shared; the features only if the size is the same too.
        same = size_of(gray) == (self.global_size, self.global_size)
        global_feature, hidden = self.global_features(low_level) if same else self._described(gray)
        scores = None if self.classifier is None else self.classifier(hidden)
        return self.colorization(self.fusion(mid_level, global_feature)), scores

    def _rounded(self, gray: Tensor) -> Tensor:
        if not self.rounded or torch.compiler.is_exporting():
            return gray
        return scaled(gray, [max(1, (n + 4) // self.stride) * self.stride for n in size_of(gray)])

    def _halved(self, predicted: Tensor, like: Tensor) -> Tensor:
        """A prediction for rounded sides at half those of the input."""
        if not self.rounded or torch.compiler.is_exporting():
            return predicted
        return scaled(predicted, [-(-n // self.output_stride) for n in size_of(like)])

    @override
    def _colorize(self, rgb: Tensor) -> Tensor:
        if not self.rounded or torch.compiler.is_exporting():
            return super()._colorize(rgb)
        # Resized once, from the rounded size to the photograph's, on the gray that the target keeps.
        given = self.to_input(rgb)
        predicted, _ = self._predicted(self._rounded(self.input(self._as_weights(given))))
        return self.target.decode(predicted, given if isinstance(self.target, LumaLab) else color.rgb_to_lightness(rgb))

    def describe(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """What the global branch says of whole pictures: L (N, 1, H, W) -> its feature, and the layer before it.

        Raises:
            ValueError: a network without global features.
        """
        return self._described(self._rounded(self.input(lightness)))

    def _described(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        if self.global_features is None:
            raise ValueError("this network has no global features")
        size = (self.global_size, self.global_size)
        small = scaled(gray, size) if self.rounded else antialiased(gray, size)
        described: tuple[Tensor, Tensor] = self.global_features(self.low_level(small))
        return described

    @override
    def scene_scores(self, lightness: Tensor) -> Tensor:
        if self.classifier is None:
            return super().scene_scores(lightness)
        check_image(lightness, "(N, 1, H, W)", space="as to_input gives it", any_float=True)
        scores: Tensor = self.classifier(self.describe(self._as_weights(lightness))[1])
        return scores

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """Eq. 6: ``color`` + alpha ``scene``, the cross-entropy over the pictures whose label is known."""
        prediction, scores = self.predict_with_scene(self.to_input(rgb if shown is None else shown))
        color = self.target.loss(prediction, self.target.encode(rgb, size_of(prediction)))
        if scores is None or self.alpha == 0:
            return {"loss": color, "color": color}
        scene = scene_loss(scores, label)
        return {"loss": color + self.alpha * scene, "color": color, "scene": scene}


def _colorization(widths: tuple[int, int, int, int, int], outputs: int, norm: bool = True) -> nn.Sequential:
    """Table 1 (d) after the fusion, whose channels are widths[0]."""
    fused, first, second, third, last = widths
    return nn.Sequential(
        _conv(fused, first, norm=norm),
        nn.Upsample(scale_factor=2, mode="nearest"),
        _conv(first, second, norm=norm),
        _conv(second, third, norm=norm),
        nn.Upsample(scale_factor=2, mode="nearest"),
        _conv(third, last, norm=norm),
        init_near_gray(nn.Conv2d(last, outputs, 3, padding=1)),
        nn.Sigmoid(),
    )


def _full_size(
    space: Space,
    num_classes: int | None = PLACES_CLASSES,
    alpha: float = ALPHA,
    *,
    global_branch: bool = True,
    width: int = 64,
    gray: Gray = "lightness",
    mean: float = 0.0,
    sides: Sides = "padded",
    keeps: Gray = "lightness",
    batch_norm: bool = True,
    fusion_kernel: int = 1,
) -> Iizuka16:
    target = LumaLab() if keeps == "luma" else Regression(space)
    w, norm = width, batch_norm
    low = [(1, w, 2), (w, 2 * w, 1), (2 * w, 2 * w, 2), (2 * w, 4 * w, 1), (4 * w, 4 * w, 2), (4 * w, 8 * w, 1)]
    trunk = [_conv(8 * w, 8 * w, stride, norm) for stride in (2, 1, 2, 1)]
    widths = (8 * w * 7 * 7, 16 * w, 8 * w, 4 * w)
    fusion = Fusion(4 * w, 4 * w, 4 * w, fusion_kernel, norm) if global_branch else _conv(4 * w, 4 * w, norm=norm)
    classifier = None
    if global_branch and num_classes is not None:
        classifier = nn.Sequential(_fully_connected(8 * w, 4 * w, norm), nn.Linear(4 * w, num_classes))
    return Iizuka16(
        low_level=nn.Sequential(*(_conv(*layer, norm) for layer in low)),
        global_features=GlobalFeatures(nn.Sequential(*trunk, nn.Flatten()), widths, norm) if global_branch else None,
        mid_level=nn.Sequential(_conv(8 * w, 8 * w, norm=norm), _conv(8 * w, 4 * w, norm=norm)),
        fusion=fusion,
        colorization=_colorization((4 * w, 2 * w, w, w, w // 2), target.channels, norm),
        classifier=classifier,
        target=target,
        global_size=224,
        work_size=224,
        alpha=alpha,
        gray=gray,
        mean=mean,
        sides=sides,
    )


def _small(
    space: Space,
    encoder_weights: str | None,
    num_classes: int = MINI_PLACES_CLASSES,
    alpha: float = ALPHA,
    *,
    global_branch: bool = True,
) -> Iizuka16:
    """Narrower channels, on EfficientNet-Lite0: its stages to stride 8 are the low-level network, the others the
    convolutions of the global branch, where pooling takes the place of the paper's first fully-connected layer.
    """  # noqa: D205
    target = Regression(space)
    stages = efficientnet_lite0(encoder_weights).stages
    trunk = nn.Sequential(*stages[3:], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Iizuka16(
        low_level=nn.Sequential(*stages[:3]),
        global_features=GlobalFeatures(trunk, (320, 512, 256, 128)) if global_branch else None,
        mid_level=nn.Sequential(_conv(40, 192), _conv(192, 128)),
        fusion=Fusion(128, 128, 128) if global_branch else _conv(128, 128),
        colorization=_colorization((128, 64, 32, 32, 16), target.channels),
        classifier=nn.Sequential(_fully_connected(256, 128), nn.Linear(128, num_classes)) if global_branch else None,
        target=target,
        global_size=192,  # nearer to the 224 of the encoder's ImageNet than training's 128: scenes are told better
        work_size=192,  # above the 128 of training: the same hues, and colours keep closer to edges
        alpha=alpha,
    )


@register_model("Iizuka 2016", PAPER)
def iizuka16(
    num_classes: int | None = PLACES_CLASSES,
    alpha: float = ALPHA,
    width: int = 64,
    gray: Gray = "lightness",
    mean: float = 0.0,
    sides: Sides = "padded",
    keeps: Gray = "lightness",
    batch_norm: bool = True,
    fusion_kernel: int = 1,
) -> Iizuka16:
    """Local and global features, fused; Lab regression with a scene classifier (table 1).

    Args:
        num_classes: of scenes; None leaves out the classifier.
        alpha: weight of the classification loss, eq. 6.
        width: channels of the first layer; those of the others are in proportion.
        gray: what the network sees, ``"lightness"`` or ``"luma"``.
        mean: what is taken off luma in [0, 1].
        sides: ``"padded"`` or ``"rounded"`` to multiples of 8.
        keeps: what of the photograph stays, ``"lightness"`` or ``"luma"``.
        batch_norm: whether layers are normalised; else they have biases.
        fusion_kernel: side of the fusion layer's kernel.
    """
    return _full_size(
        "lab",
        num_classes,
        alpha,
        width=width,
        gray=gray,
        mean=mean,
        sides=sides,
        keeps=keeps,
        batch_norm=batch_norm,
        fusion_kernel=fusion_kernel,
    )


@register_model("Iizuka 2016, ImageNet", PAPER)
def iizuka16_imagenet(
    num_classes: int | None = IMAGENET_CLASSES,
    alpha: float = ALPHA,
    width: int = 64,
    gray: Gray = "lightness",
    mean: float = 0.0,
    sides: Sides = "padded",
    keeps: Gray = "lightness",
    batch_norm: bool = True,
    fusion_kernel: int = 1,
) -> Iizuka16:
    """Iizuka 2016 for ImageNet, on which its authors trained it too, for comparisons; settings as of iizuka16."""
    return iizuka16(num_classes, alpha, width, gray, mean, sides, keeps, batch_norm, fusion_kernel)


@register_model("Iizuka 2016, YUV", PAPER)
def iizuka16_yuv(num_classes: int = PLACES_CLASSES, alpha: float = ALPHA) -> Iizuka16:
    """Iizuka 2016 trained to predict U and V (section 4.8)."""
    return _full_size("yuv", num_classes, alpha)


@register_model("Iizuka 2016, RGB", PAPER)
def iizuka16_rgb(num_classes: int = PLACES_CLASSES, alpha: float = ALPHA) -> Iizuka16:
    """Iizuka 2016 trained to predict R, G and B, whose luma the input's gray replaces (section 4.8)."""
    return _full_size("rgb", num_classes, alpha)


@register_model("Iizuka 2016, local", PAPER)
def iizuka16_local() -> Iizuka16:
    """The paper's baseline: no global features, a 3x3 convolution in place of the fusion layer (section 4)."""
    return _full_size("lab", global_branch=False)


@register_model("Iizuka 2016, small", PAPER)
def iizuka16_small(
    encoder_weights: str | None = None, num_classes: int = MINI_PLACES_CLASSES, alpha: float = ALPHA
) -> Iizuka16:
    """Compact Iizuka 2016 on EfficientNet-Lite0, with global features and scene classes."""
    return _small("lab", encoder_weights, num_classes, alpha)


@register_model("Iizuka 2016, YUV, small", PAPER)
def iizuka16_yuv_small(
    encoder_weights: str | None = None, num_classes: int = MINI_PLACES_CLASSES, alpha: float = ALPHA
) -> Iizuka16:
    """Compact Iizuka 2016 trained to predict U and V."""
    return _small("yuv", encoder_weights, num_classes, alpha)


@register_model("Iizuka 2016, RGB, small", PAPER)
def iizuka16_rgb_small(
    encoder_weights: str | None = None, num_classes: int = MINI_PLACES_CLASSES, alpha: float = ALPHA
) -> Iizuka16:
    """Compact Iizuka 2016 trained to predict R, G and B, whose luma the input's gray replaces."""
    return _small("rgb", encoder_weights, num_classes, alpha)


@register_model("Iizuka 2016, local, small", PAPER)
def iizuka16_local_small(encoder_weights: str | None = None) -> Iizuka16:
    """Compact Iizuka 2016 without global features, the baseline of its paper."""
    return _small("lab", encoder_weights, global_branch=False)
