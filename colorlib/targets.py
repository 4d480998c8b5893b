"""How colour becomes something to learn: a target encodes a photograph, scores a prediction and decodes it.

An architecture and a target together make a method, so the colour spaces and losses of a paper are settings here,
not classes there.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_image, check_photos, check_tensor

# sRGB spans a in [-86.2, 98.2] and b in [-107.9, 94.5]: this holds both and keeps gray in the middle.
AB_BOUND = 110.0
# Half the width of the bins' range in Hwang and Zhou 2016, whatever sRGB spans: u in [-83, 175], v in [-134, 107].
UV_BOUND = 100.0
AB_GRID = 256  # cells of 1 along a and b


class Target(nn.Module, ABC):
    """The colour representation that a network's output channels stand for.

    A module, so that what a target learns from data (bin means, class weights) travels with a model's weights.

    Attributes:
        channels: how many channels the network must put out.
        saturation: factor on the chroma of finished photographs; may be set. 1 is what was predicted.
    """

    channels: int
    saturation: float = 1.0

    @abstractmethod
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """What the network should say: sRGB (N, 3, H, W) in [0, 1] -> (N, C, h, w), ``size`` or as large.

        Training calls it at every step, so type and shape are checked, and values are not.

        Raises:
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape.
        """

    @abstractmethod
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Scalar loss between a prediction (N, channels, h, w) and what :meth:`encode` returned at its size."""

    @abstractmethod
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The (a, b) of CIE Lab that a prediction means, at the prediction's own resolution.

        Args:
            prediction: (N, channels, h, w), as the network gave it.
            lightness: L of CIE Lab in [0, 100], (N, 1, h, w).

        Returns:
            (N, 2, h, w); not reduced to the sRGB gamut.
        """

    def decode(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The photograph a prediction means: (N, channels, h, w) and L (N, 1, H, W) -> sRGB (N, 3, H, W) in [0, 1].

        The output has exactly the given L*, whatever was predicted: see :func:`combine`.

        Raises:
            TypeError: no tensors of floating point; of the lightness, float32 or float64.
            ValueError: tensors of other shapes.
        """
        return combine(lightness, self.chroma(prediction, lightness))

    def chroma(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """:meth:`to_ab`, saturated, for L of any size: (N, channels, h, w) and L (N, 1, H, W) -> (N, 2, h, w)."""
        self._check_decoded(prediction, lightness)
        return self.saturation * self.to_ab(prediction, resize_area(lightness, size_of(prediction)))

    def _check_decoded(self, prediction: Tensor, lightness: Tensor) -> None:
        shape = f"(N, {self.channels}, h, w)"
        check_image(prediction, shape, name="prediction", space="as the network gave it", any_float=True)
        check_image(lightness, "(N, 1, H, W)", name="lightness", space="L of CIE Lab in [0, 100]")


def combine(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (N, 1, H, W) and (a, b) of any size (N, 2, h, w), upsampled bilinearly -> sRGB (N, 3, H, W) of exactly that L*.

    Chroma that does not fit into sRGB at its lightness is reduced; clipping channels would move L*.
    """
    if ab.shape[-2:] != lightness.shape[-2:]:
        ab = F.interpolate(ab, size=lightness.shape[-2:], mode="bilinear", align_corners=False)
    return color.lab_to_rgb(torch.cat([lightness, ab], dim=-3), gamut="reduce")


class Regression(Target):
    """Regress the colour channels of a space, normalised to the range of the network's output layer.

    Args:
        space: ``"lab"``, ``"luv"`` and ``"yuv"`` predict the two chroma channels, ``"rgb"`` all three.
        low: what the network puts out for the least value of a channel; 0 for a sigmoid, -1 for tanh.
        high: what it puts out for the greatest.
        bound: the greatest absolute value of a chroma channel; default: 110 for Lab, 100 for Luv, what sRGB reaches for
            YUV. Luv's u and v exceed it, which a network without an output layer can say.
        huber: threshold M of the Huber penalty, in units of the space, that takes the place of the square.
        blurs: sides of Gaussian kernels, odd: the loss is the mean over copies of both pictures that these have
            blurred, 1 being none.
    """

    # Centre and half-width of each predicted channel. U and V reach the sums of their matrix rows' positive entries.
    SPACES: ClassVar[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
        "lab": ((0.0, 0.0), (AB_BOUND, AB_BOUND)),
        "luv": ((0.0, 0.0), (UV_BOUND, UV_BOUND)),
        "yuv": ((0.0, 0.0), (0.43601035, 0.61497538)),
        "rgb": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }

    def __init__(
        self,
        space: Literal["lab", "luv", "yuv", "rgb"] = "lab",
        low: float = 0.0,
        high: float = 1.0,
        *,
        bound: float | None = None,
        huber: float | None = None,
        blurs: Sequence[int] = (1,),
    ):
        super().__init__()
        if space not in self.SPACES:
            raise ValueError(f"expected space to be one of {', '.join(self.SPACES)}, got {space!r}")
        self.space, self.low, self.high, self.huber, self.blurs = space, low, high, huber, tuple(blurs)
        self._centre, half = self.SPACES[space]
        self._half = half if bound is None else (bound,) * len(half)
        self.channels = len(self._centre)

    @override
    def extra_repr(self) -> str:
        return f"space={self.space!r}, low={self.low}, high={self.high}"

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        check_image(rgb, "(N, 3, H, W)")
        match self.space:
            case "lab":
                channels = color.rgb_to_lab(rgb)[..., 1:, :, :]
            case "luv":
                channels = color.rgb_to_luv(rgb)[..., 1:, :, :]
            case "yuv":
                channels = color.rgb_to_yuv(rgb)[..., 1:, :, :]
            case _:
                channels = rgb
        centre, half = self._affine(channels)
        return resize_area(
            self.low + (self.high - self.low) * ((channels - centre) / half + 1) / 2, size or size_of(rgb)
        )

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Mean over pixels and channels of the squared error, or of its Huber penalty."""
        residual = prediction.to(encoded.dtype) - encoded
        losses = [self.penalty(gaussian_blur(residual, side)).mean() for side in self.blurs]
        return torch.stack(losses).mean()

    def penalty(self, residual: Tensor) -> Tensor:
        """Of normalised residuals (N, C, h, w): u^2, or M (2 |u| - M) beyond M (Hwang and Zhou 2016, 3.5)."""
        if self.huber is None:
            return residual.square()
        _, half = self._affine(residual)
        threshold = self.huber * (self.high - self.low) / (2 * half)
        size = residual.abs()
        return torch.where(size < threshold, size.square(), threshold * (2 * size - threshold))

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        centre, half = self._affine(lightness)
        channels = centre + half * (2 * (prediction.to(lightness.dtype) - self.low) / (self.high - self.low) - 1)
        if self.space == "lab":
            return channels
        if self.space == "luv":
            return _luv_to_ab(channels, lightness)
        # The input's own gray stands in for the predicted luma (Iizuka et al. 2016, section 4.8).
        chroma = channels if self.space == "yuv" else color.rgb_to_yuv(channels)[..., 1:, :, :]
        rgb = color.yuv_to_rgb(torch.cat([color.lightness_to_gray(lightness), chroma], dim=-3)).clamp(0, 1)
        return color.rgb_to_lab(rgb)[..., 1:, :, :]

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        centre, half = (
            torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
            for values in (self._centre, self._half)
        )
        return centre, half


class Rebalanced(Regression):
    """Lab regression whose squared errors weigh more where the true colour is rare (Lin and Ferreira 2021, eq. 2).

    Attributes:
        weights: v(a, b) on the grid of :func:`ab_counts`, (256, 256); all 1 until they are set, best to what
            :func:`rebalancing_weights` gives. They are kept with a model's weights.
    """

    weights: Tensor

    def __init__(self, low: float = -1.0, high: float = 1.0, *, bound: float = AB_GRID / 2):
        super().__init__("lab", low, high, bound=bound)
        self.register_buffer("weights", torch.ones(AB_GRID, AB_GRID, dtype=torch.float32))

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Eq. 2: the mean over pixels and channels of the weighted squared error."""
        _, half = self._affine(encoded)
        ab = half * (2 * (encoded - self.low) / (self.high - self.low) - 1)
        rows, columns = _ab_cells(ab)
        weights = self.weights.to(encoded.dtype)[rows, columns][:, None]
        return (weights * (prediction.to(encoded.dtype) - encoded).square()).mean()


def ab_counts(rgb: Tensor) -> Tensor:
    """How many pixels have each colour, on a grid of cells of 1 x 1: sRGB (N, 3, H, W) in [0, 1] -> int64 (256, 256).

    Cell (i, j) holds a in [i - 128, i - 127) and b in [j - 128, j - 127) of CIE Lab.

    Raises:
        TypeError: no tensor, or one that is neither float32 nor float64.
        ValueError: a tensor of another shape, or on a CPU values that are nan or outside [0, 1].
    """
    check_photos(rgb)
    rows, columns = _ab_cells(color.rgb_to_lab(rgb)[:, 1:])
    return torch.bincount((rows * AB_GRID + columns).flatten(), minlength=AB_GRID**2).view(AB_GRID, AB_GRID)


def rebalancing_weights(counts: Tensor, mix: float = 0.9, sigma: float = 5.0, kernel: int = 10) -> Tensor:
    """How much each colour is to weigh in a loss, from how often it comes (Lin and Ferreira 2021, eq. 3).

    The smoothed distribution is a density over a and b in [-1, 1], whose uniform one is 1/4: that is the printed
    lambda / 4. A kernel of even side has no middle cell; it reaches one cell further to the left than to the right.

    Args:
        counts: pixels on the grid of :func:`ab_counts`, (256, 256), not all 0.
        mix: lambda, the share of the uniform distribution, in (0, 1].
        sigma: of the Gaussian that smooths, in cells.
        kernel: its side, in cells.

    Returns:
        v(a, b), (256, 256) float32 above 0, whose mean under the smoothed distribution is 1.

    Raises:
        ValueError: counts of another shape or without any pixel, or ``mix`` outside its range.
    """
    check_tensor(counts, f"counts ({AB_GRID}, {AB_GRID})", name="counts")
    if counts.shape != (AB_GRID, AB_GRID) or not counts.any():
        raise ValueError(f"expected counts of shape {(AB_GRID, AB_GRID)}, some above 0; got {tuple(counts.shape)}")
    if not 0 < mix <= 1:
        raise ValueError(f"expected mix in (0, 1], got {mix}")
    padded = F.pad(counts.double()[None, None], (kernel // 2, (kernel - 1) // 2) * 2)
    gaussian = _gaussian(kernel, sigma, padded).view(1, 1, 1, -1)
    smoothed = F.conv2d(F.conv2d(padded, gaussian), gaussian.mT)[0, 0]
    probability = smoothed / smoothed.sum()
    density = probability * (AB_GRID / 2) ** 2
    weights = 1 / ((1 - mix) * density + mix / 4)
    return (weights / (probability * weights).sum()).float()


def _ab_cells(ab: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (ab + AB_GRID // 2).floor().long().clamp(0, AB_GRID - 1).unbind(dim=1)
    return rows, columns


class Picture(Target):
    """The whole picture, in [-1, 1] (Zhu and Funt 2018): for methods whose input has colour already.

    What is predicted brings its own lightness.
    """

    channels = 3

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        check_image(rgb, "(N, 3, H, W)")
        return 2 * resize_area(rgb, size or size_of(rgb)) - 1

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Mean squared error over pixels and channels."""
        return F.mse_loss(prediction.to(encoded.dtype), encoded)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        return color.rgb_to_lab(self.to_rgb(prediction.to(lightness.dtype)))[:, 1:]

    @override
    def decode(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The picture that is predicted, whatever the lightness: (N, 3, H, W) -> sRGB (N, 3, H, W) in [0, 1]."""
        self._check_decoded(prediction, lightness)
        return self.to_rgb(prediction.to(lightness.dtype))

    def to_rgb(self, prediction: Tensor) -> Tensor:
        """(N, 3, H, W) -> sRGB (N, 3, H, W), clipped to [0, 1]."""
        return ((prediction + 1) / 2).clamp(0, 1)


class Colors(NamedTuple):
    """What a distribution says about one pixel: a grid of colours, the axes being those of the target.

    Attributes:
        axes: what the rows and columns of the grid are, such as ``("hue", "chroma")``.
        probabilities: (rows, columns), of sum 1. Where the target predicts its axes apart, it is their product.
        rgb: sRGB in [0, 1] of each bin at the pixel's lightness, reduced to the gamut, (rows, columns, 3).
    """

    axes: tuple[str, str]
    probabilities: Tensor
    rgb: Tensor

    def top(self, n: int = 5) -> list[tuple[float, tuple[float, float, float]]]:
        """The n most probable bins: probability and sRGB in [0, 1], most probable first."""
        values, order = self.probabilities.flatten().topk(min(n, self.probabilities.numel()))
        colours = self.rgb.flatten(0, 1)[order].tolist()
        return [(value, (r, g, b)) for value, (r, g, b) in zip(values.tolist(), colours, strict=True)]


class Histogram(Target):
    """A target whose prediction is one histogram of colour bins at each pixel, or several (Larsson et al. 2016, 3.2).

    Channels are logits, histogram after histogram. Encoded photographs hold values, not bins: :meth:`digitize` turns
    one into the other.

    Args:
        sizes: bins of each histogram.
        decoder: how a histogram becomes a colour, one of :attr:`decoders`.
        temperature: logits are divided by it before the softmax when decoding, not in the loss; 1 is the paper's.

    Attributes:
        decoders: those that the target has, the paper's choice first.
    """

    decoders: ClassVar[tuple[str, ...]]
    axes: ClassVar[tuple[str, str]]

    def __init__(self, sizes: Sequence[int], decoder: str | None, temperature: float):
        super().__init__()
        self.sizes, self.channels, self.temperature = tuple(sizes), sum(sizes), temperature
        self.decoder = self.decoders[0] if decoder is None else decoder

    @property
    def decoder(self) -> str:
        """How a histogram becomes a colour; may be set.

        Raises:
            ValueError: it is none of :attr:`decoders`.
        """
        return self._decoder

    @decoder.setter
    def decoder(self, name: str) -> None:
        if name not in self.decoders:
            raise ValueError(f"expected a decoder of {type(self).__name__}: {', '.join(self.decoders)}; got {name!r}")
        self._decoder = name

    @property
    def temperature(self) -> float:
        """What logits are divided by when decoding; may be set.

        Raises:
            ValueError: it is not above 0.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not 0 < value < math.inf:
            raise ValueError(f"expected a temperature above 0, got {value}")
        self._temperature = value

    @override
    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, decoder={self.decoder!r}, temperature={self.temperature}"

    @abstractmethod
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        """The bin of every pixel in each histogram: (N, C, h, w) from :meth:`encode` -> (N, h, w) integers each."""

    @abstractmethod
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """How undecided a prediction is: (N, channels, h, w) -> (N, 1, h, w) in [0, 1], whatever the decoder."""

    @abstractmethod
    def grid(self, lightness: float) -> Tensor:
        """The colour of each bin at L in [0, 100] of CIE Lab: sRGB (3, rows, columns), for :class:`Colors`."""

    @abstractmethod
    def palette(self, angle: float) -> Tensor:
        """A bias towards the colours that lie at an angle of colour space, in radians: (channels,) in [-1, 1]."""

    def true_weights(self, encoded: Tensor) -> tuple[Tensor | None, ...]:
        """How much each pixel counts in a picture's histograms, (N, h, w) each; None counts all alike."""
        return (None,) * len(self.sizes)

    def predicted_weights(self, prediction: Tensor) -> tuple[Tensor | None, ...]:
        """The same for a predicted picture."""
        return (None,) * len(self.sizes)

    def histograms(self, prediction: Tensor) -> tuple[Tensor, ...]:
        """The probabilities of each histogram, at the decoding temperature: (N, K, h, w) each, float32."""
        scaled = self.smoothed(prediction.float()) / self.temperature
        return tuple(logits.softmax(dim=1) for logits in scaled.split(self.sizes, dim=1))

    def smoothed(self, prediction: Tensor) -> Tensor:
        """Predictions as they are decoded, after what a target does among neighbours: (N, channels, h, w); nothing."""
        return prediction

    def colors(self, prediction: Tensor, lightness: float) -> Colors:
        """What is predicted for one pixel: (channels,) and its L in [0, 100]."""
        histograms = [h.flatten() for h in self.histograms(prediction[None, :, None, None])]
        rgb = self.grid(lightness).to(prediction.device)
        probabilities = torch.outer(*histograms) if len(histograms) == 2 else histograms[0].view(rgb.shape[1:])
        return Colors(self.axes, probabilities, rgb.movedim(0, -1))

    def _log_loss(self, prediction: Tensor, encoded: Tensor) -> list[Tensor]:
        """Eq. 2 with a one-hot truth, the log loss of each histogram: (N, h, w) each."""
        logits = prediction.float().split(self.sizes, dim=1)
        return [
            F.cross_entropy(one, k, reduction="none") for one, k in zip(logits, self.digitize(encoded), strict=True)
        ]


class HueChroma(Histogram):
    """Hue and chroma of the colour bicone, a histogram of uniform bins for each (Larsson et al. 2016, 3.2 and 3.3).

    Args:
        bins: of hue, and of chroma.
        hue_weight: lambda_H of eq. 3.
        fading: eta of eq. 5, printed with `max`: only `min` fades, see :func:`fade`. 0 switches it off. As |z| is at
            most 1 / bins, the paper's 0.03 goes with its 32 bins; for K of them take 0.96 / K.
        decoder: ``"median"`` of the chroma or its ``"expectation"``, either with the complex expectation of hue and
            fading; the ``"mode"`` of both, or a ``"sample"`` of both (table 5).
        temperature: see :class:`Histogram`.
    """

    decoders = ("median", "expectation", "mode", "sample")
    axes = ("hue", "chroma")

    def __init__(
        self,
        bins: int = 32,
        hue_weight: float = 5.0,
        fading: float = 0.03,
        decoder: str | None = None,
        temperature: float = 1.0,
    ):
        super().__init__((bins, bins), decoder, temperature)
        self.bins, self.hue_weight, self.fading = bins, hue_weight, fading

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Hue and chroma in [0, 1], (N, 2, h, w); of the averaged colours where ``size`` is smaller."""
        check_image(rgb, "(N, 3, H, W)")
        hue, chroma, _ = color.rgb_to_huechroma(resize_area(rgb, size or size_of(rgb)))
        return torch.cat([hue, chroma], dim=1)

    @override
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        return tuple((encoded * self.bins).long().clamp(0, self.bins - 1).unbind(dim=1))

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Eq. 3, averaged over pixels: the hue's log loss weighs lambda_H times the true chroma."""
        hue, chroma = self._log_loss(prediction, encoded)
        return (chroma + self.hue_weight * encoded[:, 1] * hue).mean()

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        hue, chroma = self.to_huechroma(prediction)
        return _bicone_to_lab(hue, chroma, lightness)[:, 1:]

    def to_huechroma(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """The hue and the chroma that are decided on, each in [0, 1]: (N, channels, h, w) -> twice (N, 1, h, w)."""
        hue, chroma = self.histograms(prediction)
        edges, centres = self._edges(prediction.device), self._centres(prediction.device)
        if self.decoder in ("mode", "sample"):
            return decide(self.decoder, hue, edges, centres), decide(self.decoder, chroma, edges, centres)
        decided = decide(self.decoder, chroma, edges, centres)
        z = complex_expectation(hue)
        if self.fading:
            decided = fade(decided, z, self.fading)
        return z.angle() / math.tau % 1, decided

    @override
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """Entropy of the hue, of at most 1, times the median chroma before fading (figure 10)."""
        hue, chroma = self.histograms(prediction)
        return entropy(hue) * median(chroma, self._edges(prediction.device))

    @override
    def grid(self, lightness: float) -> Tensor:
        centres = self._centres("cpu")
        hue, chroma = (x[None, None] for x in torch.meshgrid(centres, centres, indexing="ij"))
        return _in_gamut(_bicone_to_lab(hue, chroma, torch.full_like(hue, lightness)))

    @override
    def palette(self, angle: float) -> Tensor:
        """The cosine of the distance to a hue; no preference among chromas."""
        theta = math.tau * self._centres("cpu")
        return torch.cat([(theta - angle).cos(), torch.zeros_like(theta)])

    @override
    def true_weights(self, encoded: Tensor) -> tuple[Tensor | None, ...]:
        """Hue counts as much as there is chroma, as in eq. 3: that of a gray pixel is arbitrary."""
        return encoded[:, 1], None

    @override
    def predicted_weights(self, prediction: Tensor) -> tuple[Tensor | None, ...]:
        """The same with the chroma that is expected."""
        chroma = self.histograms(prediction)[1]
        return expectation(chroma, self._centres(prediction.device))[:, 0], None

    def _edges(self, device: torch.device | str) -> Tensor:
        return torch.linspace(0, 1, self.bins + 1, dtype=torch.float32, device=device)

    def _centres(self, device: torch.device | str) -> Tensor:
        return (torch.arange(self.bins, dtype=torch.float32, device=device) + 0.5) / self.bins


class _Quantiles(Histogram):
    """Histograms over a and b whose bins are evenly spaced quantiles of a Gaussian (Larsson et al. 2016, 3.2)."""

    axes = ("a", "b")

    def __init__(self, bins: int, sigma: float, sizes: Sequence[int], decoder: str | None, temperature: float):
        super().__init__(sizes, decoder, temperature)
        self.bins, self.sigma = bins, sigma

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(a, b) of CIE Lab, (N, 2, h, w)."""
        check_image(rgb, "(N, 3, H, W)")
        return resize_area(color.rgb_to_lab(rgb)[:, 1:], size or size_of(rgb))

    @override
    def grid(self, lightness: float) -> Tensor:
        centres = self._centres("cpu")
        a, b = torch.meshgrid(centres, centres, indexing="ij")
        return _in_gamut(torch.stack([torch.full_like(a, lightness), a, b])[None])

    def _bins(self, encoded: Tensor) -> Tensor:
        inner = gaussian_quantiles(self.bins, self.sigma)[1:-1].to(encoded)
        return torch.bucketize(encoded.contiguous(), inner, right=True)

    def _centres(self, device: torch.device | str) -> Tensor:
        return gaussian_centroids(self.bins, self.sigma).float().to(device)


class _Marginal(Histogram):
    """Two histograms that are predicted apart."""

    @override
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._bins(encoded).unbind(dim=1))

    @abstractmethod
    def _bins(self, encoded: Tensor) -> Tensor:
        """(N, 2, h, w) -> integers (N, 2, h, w)."""

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """The sum of both cross-entropies, averaged over pixels."""
        first, second = self._log_loss(prediction, encoded)
        return (first + second).mean()

    @override
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """Entropy of the two, which are independent, of at most 1."""
        first, second = self.histograms(prediction)
        return (entropy(first) + entropy(second)) / 2


class LabMarginal(_Quantiles, _Marginal):
    """A histogram over a and one over b (Larsson et al. 2016, 3.2: K = 32, sigma = 25).

    Args:
        bins: of each histogram.
        sigma: of the Gaussian whose quantiles the edges are.
        decoder: ``"expectation"``, best for Lab in the paper (section 3.3), ``"median"``, ``"mode"`` or ``"sample"``.
        temperature: see :class:`Histogram`.
    """

    decoders = ("expectation", "median", "mode", "sample")

    def __init__(self, bins: int = 32, sigma: float = 25.0, decoder: str | None = None, temperature: float = 1.0):
        super().__init__(bins, sigma, (bins, bins), decoder, temperature)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        edges = gaussian_quantiles(self.bins, self.sigma).float().to(prediction.device)
        centres = self._centres(prediction.device)
        decided = [decide(self.decoder, histogram, edges, centres) for histogram in self.histograms(prediction)]
        return torch.cat(decided, dim=1).to(lightness.dtype)

    @override
    def palette(self, angle: float) -> Tensor:
        """How far a bin lies towards the angle of the (a, b) plane."""
        centres = self._centres("cpu")
        towards = centres / centres.abs().max()
        return torch.cat([towards * math.cos(angle), towards * math.sin(angle)])


class LabJoint(_Quantiles):
    """One histogram over a grid of (a, b) (Larsson et al. 2016, 3.2: 16 x 16, sigma = 25).

    Args:
        bins: along a, and along b; channel ``bins * i + j`` is bin i of a and j of b.
        sigma: of the Gaussian whose quantiles the edges are.
        decoder: ``"expectation"``, ``"mode"`` or ``"sample"``; a grid has no median.
        temperature: see :class:`Histogram`.
    """

    decoders = ("expectation", "mode", "sample")

    def __init__(self, bins: int = 16, sigma: float = 25.0, decoder: str | None = None, temperature: float = 1.0):
        super().__init__(bins, sigma, (bins * bins,), decoder, temperature)

    @override
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        a, b = self._bins(encoded).unbind(dim=1)
        return (a * self.bins + b,)

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Eq. 2, averaged over pixels."""
        (joint,) = self._log_loss(prediction, encoded)
        return joint.mean()

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        (joint,) = self.histograms(prediction)
        axes = self._axes(prediction.device)
        if self.decoder == "expectation":
            decided = [expectation(joint, axis) for axis in axes]
        else:
            # One decision for both: the bin's number, then its colour.
            one_bin = sample if self.decoder == "sample" else mode
            index = one_bin(joint, torch.arange(self.channels, device=joint.device))
            decided = [axis[index] for axis in axes]
        return torch.cat(decided, dim=1).to(lightness.dtype)

    @override
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """Entropy of (a, b), of at most 1."""
        return entropy(*self.histograms(prediction))

    @override
    def palette(self, angle: float) -> Tensor:
        """How far a bin lies towards the angle of the (a, b) plane."""
        a, b = self._axes("cpu")
        towards = a * math.cos(angle) + b * math.sin(angle)
        return towards / a.square().add(b.square()).max().sqrt()

    def _axes(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """The a and the b of every channel."""
        centres = self._centres(device)
        return centres.repeat_interleave(self.bins), centres.repeat(self.bins)


class LuvBins(_Marginal):
    """A histogram of u and one of v of CIE Luv, uniform bins over [-100, 100] (Hwang and Zhou 2016, 3.6).

    sRGB spans u in [-83, 175] and v in [-134, 107]: what lies outside, such as pure red and blue, counts as the
    outermost bin, so a prediction gets no further than that bin's value.

    Args:
        bins: of each histogram.
        values: what a bin stands for: the ``"means"`` of the training photographs' values in it, which training gathers
            and keeps with the weights, or its ``"centres"``. A bin that training never saw stands for its centre.
        smoothing: standard deviation in cells of a Gaussian over the class scores, section 5.3; 0, the paper's final
            choice, leaves them.
        decoder: the ``"mode"``, as in the paper, or ``"expectation"``, ``"median"`` or ``"sample"``.
        temperature: see :class:`Histogram`.
    """

    decoders = ("mode", "expectation", "median", "sample")
    axes = ("u", "v")
    totals: Tensor
    counts: Tensor

    def __init__(
        self,
        bins: int = 50,
        values: Literal["means", "centres"] = "means",
        smoothing: float = 0.0,
        decoder: str | None = None,
        temperature: float = 1.0,
    ):
        super().__init__((bins, bins), decoder, temperature)
        if values not in ("means", "centres"):
            raise ValueError(f'expected values to be "means" or "centres", got {values!r}')
        self.bins, self.values, self.smoothing = bins, values, smoothing
        # Sums over billions of pixels: float32 would stand still at 2^24. Weights files keep vectors as they are.
        self.register_buffer("totals", torch.zeros(2 * bins, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(2 * bins, dtype=torch.float64))

    @override
    def encode(self, rgb: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(u, v) of CIE Luv, (N, 2, h, w)."""
        check_image(rgb, "(N, 3, H, W)")
        return resize_area(color.rgb_to_luv(rgb)[:, 1:], size or size_of(rgb))

    @override
    def _bins(self, encoded: Tensor) -> Tensor:
        scaled = (encoded + UV_BOUND) * (self.bins / (2 * UV_BOUND))
        return scaled.floor().long().clamp(0, self.bins - 1)

    @torch.no_grad()
    def gather(self, encoded: Tensor) -> None:
        """Count these pixels in the means of their bins: what :meth:`encode` gave, (N, 2, h, w).

        Of several processes that train together, each counts the pixels of all.
        """
        seen = self.totals.new_zeros(2, 2 * self.bins)
        for channel, k in enumerate(self.digitize(encoded)):
            where = (channel * self.bins + k).flatten()
            seen[0].index_add_(0, where, encoded[:, channel].flatten().to(seen))
            seen[1] += torch.bincount(where, minlength=2 * self.bins)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(seen)
        self.totals += seen[0]
        self.counts += seen[1]

    @override
    def smoothed(self, prediction: Tensor) -> Tensor:
        """Class scores under a Gaussian, section 5.3, if ``smoothing`` is set."""
        if not self.smoothing or size_of(prediction) == (1, 1):
            return prediction
        return gaussian_blur(prediction.float(), 2 * math.ceil(3 * self.smoothing) + 1, self.smoothing)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        edges = torch.linspace(-UV_BOUND, UV_BOUND, self.bins + 1, dtype=torch.float32, device=prediction.device)
        pairs = zip(self.histograms(prediction), self.bin_values(), strict=True)
        decided = [decide(self.decoder, histogram, edges, values) for histogram, values in pairs]
        return _luv_to_ab(torch.cat(decided, dim=1).to(lightness.dtype), lightness)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LuvBins":
        # Moved with the model, but kept from its half precision, which ends at 65,504 pixels.
        kept = {"totals": self.totals, "counts": self.counts}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in kept.items():
            setattr(self, name, values.to(fn(values).device))
        return self

    def bin_values(self) -> tuple[Tensor, Tensor]:
        """What each bin of u and of v stands for, (bins,) each."""
        width = 2 * UV_BOUND / self.bins
        index = torch.arange(self.bins, dtype=torch.float32, device=self.totals.device)
        centres = (index + 0.5) * width - UV_BOUND
        if self.values == "centres":
            return centres, centres
        means = self.totals / self.counts.clamp(min=1)
        u, v = torch.where(self.counts > 0, means, centres.repeat(2)).float().split(self.bins)
        return u, v

    @override
    def grid(self, lightness: float) -> Tensor:
        u, v = torch.meshgrid(*(values.cpu() for values in self.bin_values()), indexing="ij")
        full = torch.full_like(u, lightness)[None, None]
        return _in_gamut(torch.cat([full, _luv_to_ab(torch.stack([u, v])[None], full)], dim=1))

    @override
    def palette(self, angle: float) -> Tensor:
        """How far a bin lies towards the angle of the (u, v) plane."""
        u, v = (values.cpu() / UV_BOUND for values in self.bin_values())
        return torch.cat([u * math.cos(angle), v * math.sin(angle)]).clamp(-1, 1)


def decide(decoder: str, histogram: Tensor, edges: Tensor, centres: Tensor) -> Tensor:
    """One value from a histogram, by the decoder's name: (N, K, h, w), (K + 1,) and (K,) -> (N, 1, h, w)."""
    match decoder:
        case "median":
            return median(histogram, edges)
        case "sample":
            return sample(histogram, centres)
        case "mode":
            return mode(histogram, centres)
    return expectation(histogram, centres)


def sample(histogram: Tensor, values: Tensor) -> Tensor:
    """Draw a bin at every pixel, by torch's generator: (N, K, h, w) and the bins' values (K,) -> (N, 1, h, w)."""
    # The greatest of log p + Gumbel noise is a draw from p, without a sum over bins.
    noise = -torch.empty_like(histogram).exponential_().log()
    return values[(histogram.log() + noise).argmax(dim=1, keepdim=True)]


def mode(histogram: Tensor, values: Tensor) -> Tensor:
    """The value of the most probable bin: (N, K, h, w) and (K,) -> (N, 1, h, w)."""
    return values[histogram.argmax(dim=1, keepdim=True)]


def median(histogram: Tensor, edges: Tensor) -> Tensor:
    """Where the cumulative sum reaches one half, linear inside the bin: (N, K, h, w) and (K + 1,) -> (N, 1, h, w)."""
    cumulative = histogram.cumsum(dim=1)
    half = cumulative[:, -1:] / 2  # of what rounding made of 1
    k = (cumulative < half).sum(dim=1, keepdim=True).clamp(max=histogram.shape[1] - 1)
    mass = histogram.gather(1, k)
    inside = 1 - (cumulative.gather(1, k) - half) / mass.clamp(min=torch.finfo(mass.dtype).tiny)
    return edges[k] + inside * (edges[k + 1] - edges[k])


def expectation(histogram: Tensor, values: Tensor) -> Tensor:
    """The mean of the bins' values: (N, K, h, w) and (K,) -> (N, 1, h, w)."""
    return (histogram * values[:, None, None]).sum(dim=1, keepdim=True)


def complex_expectation(hue: Tensor) -> Tensor:
    """z of Larsson et al. 2016, eq. 4, with its factor 1 / K: (N, K, h, w) -> (N, 1, h, w) complex, |z| <= 1 / K."""
    bins = hue.shape[1]
    theta = math.tau * (torch.arange(bins, dtype=hue.dtype, device=hue.device) + 0.5) / bins
    return torch.complex(expectation(hue, theta.cos()), expectation(hue, theta.sin())) / bins


def fade(chroma: Tensor, z: Tensor, eta: float) -> Tensor:
    """Chromatic fading, eq. 5: less chroma where the hue is undecided. `min`, as the printed `max` would add chroma."""
    return (z.abs() / eta).clamp(max=1) * chroma


def entropy(histogram: Tensor) -> Tensor:
    """Shannon's, over that of a uniform histogram: (N, K, h, w) -> (N, 1, h, w) in [0, 1]."""
    nats: Tensor = torch.special.entr(histogram).sum(dim=1, keepdim=True)
    return nats / math.log(histogram.shape[1])


def gaussian_quantiles(bins: int, sigma: float) -> Tensor:
    """Edges of bins that are equally probable under a Gaussian of mean 0: (bins + 1,) float64.

    The outermost ones, infinitely far, are where sRGB ends: -110 and 110 hold all a and b.
    """
    inner = sigma * torch.tensor(_normal_quantiles(bins)[1:-1], dtype=torch.float64, device="cpu")
    bound = inner.new_tensor([AB_BOUND])
    return torch.cat([-bound, inner, bound])


def gaussian_centroids(bins: int, sigma: float) -> Tensor:
    """Mean of each of these bins under the Gaussian: (bins,) float64."""
    edges = torch.tensor(_normal_quantiles(bins), dtype=torch.float64, device="cpu")
    density = torch.exp(-edges.square() / 2) / math.sqrt(math.tau)
    return bins * sigma * (density[:-1] - density[1:])


@cache
def _normal_quantiles(bins: int) -> tuple[float, ...]:
    """Edges of bins that are equally probable under the normal distribution, from -inf to inf.

    Numbers and no tensor, so that an exported graph holds them instead of a function that ONNX has not.
    """
    return tuple(torch.special.ndtri(torch.arange(bins + 1, dtype=torch.float64, device="cpu") / bins).tolist())


def correct_lightness(rgb: Tensor, gray: Tensor) -> Tensor:
    """The lightness correction of Larsson et al. 2016, A.4: add the same to R, G and B, so that their mean is ``gray``.

    sRGB (N, 3, H, W) and (N, 1, H, W) -> (N, 3, H, W); outside [0, 1] where the colour does not fit.
    """
    return rgb + (gray - rgb.mean(dim=1, keepdim=True))


def _bicone_to_lab(hue: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
    """The colour of a hue and a chroma that has the given L of CIE Lab: three times (N, 1, h, w) -> (N, 3, h, w).

    Adding the same to R, G and B changes neither hue nor chroma, so, as in A.4, that brings the colour to its
    lightness: here to L, which has no closed form. May lie outside sRGB.
    """
    pure = color.huechroma_to_rgb(hue.to(lightness.dtype), chroma.to(lightness.dtype), torch.full_like(lightness, 0.5))
    low, high = -pure.amax(dim=1, keepdim=True), 1 - pure.amin(dim=1, keepdim=True)  # L is 0 at most, 100 at least
    for _ in range(16):
        middle = (low + high) / 2
        darker = color.rgb_to_lightness(pure + middle) < lightness
        low, high = torch.where(darker, middle, low), torch.where(darker, high, middle)
    return color.rgb_to_lab(pure + (low + high) / 2)


# Chromaticities (u', v') of sRGB lie in this box, that of white too; beyond it XYZ may be negative or infinite.
_CHROMATICITY_LOW, _CHROMATICITY_HIGH = (0.12, 0.15), (0.46, 0.57)


def _luv_to_ab(uv: Tensor, lightness: Tensor) -> Tensor:
    """(u, v) of CIE Luv at L: (N, 2, h, w) and (N, 1, h, w) -> (a, b) of CIE Lab, (N, 2, h, w); may lie outside sRGB.

    In the dark a small u or v is an impossible colour: it is brought back towards white, in its own direction.
    """
    scale = 1 / (13 * lightness.clamp(min=1e-3))
    factor = torch.ones_like(lightness)
    for offset, middle, low, high in zip(
        (uv * scale).split(1, dim=1), color.luv_white(), _CHROMATICITY_LOW, _CHROMATICITY_HIGH, strict=True
    ):
        # Not torch.where(..., number, number), which is of torch's default type.
        room = torch.full_like(offset, high - middle).where(offset > 0, middle - low)
        factor = torch.minimum(factor, room / offset.abs().clamp(min=1e-9))
    luv = torch.cat([lightness, uv * factor], dim=1)
    return color.xyz_to_lab(color.luv_to_xyz(luv))[:, 1:]


def gaussian_blur(x: Tensor, side: int, sigma: float | None = None) -> Tensor:
    """Convolve each channel with a Gaussian, the border repeated: (N, C, H, W) -> (N, C, H, W).

    Args:
        x: the maps.
        side: of the kernel, odd; 1 returns ``x``.
        sigma: default: 0.15 side + 0.35, as OpenCV chooses it by the side.
    """
    if side == 1:
        return x
    sigma = sigma or 0.15 * side + 0.35
    kernel = _gaussian(side, sigma, x)
    # Banded matrices: a convolution of single channels takes CPUs many times as long, above all backwards.
    rows, columns = (_band(size, kernel) for size in size_of(x))
    blurred: Tensor = rows @ x @ columns.mT
    return blurred


def _gaussian(side: int, sigma: float, like: Tensor) -> Tensor:
    """Weights whose sum is 1, (side,)."""
    offsets = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def _band(size: int, kernel: Tensor) -> Tensor:
    """The matrix that convolves a row of pixels, its ends repeated, with a kernel of odd side: (size, size)."""
    side = len(kernel)
    near = torch.arange(size, device=kernel.device)[:, None] + torch.arange(side, device=kernel.device) - side // 2
    return kernel.new_zeros(size, size).scatter_add_(1, near.clamp(0, size - 1), kernel.expand(size, -1))


def _in_gamut(lab: Tensor) -> Tensor:
    return color.lab_to_rgb(lab, gamut="reduce")[0]


def size_of(x: Tensor) -> tuple[int, int]:
    """Height and width of a map (*, H, W)."""
    height, width = x.shape[-2:]
    return height, width


def shrink_area(x: Tensor, short_side: int) -> Tensor:
    """:func:`resize_area` until the short side is no longer than that: (N, C, H, W) -> (N, C, h, w)."""
    height, width = size_of(x)
    scale = min(1.0, short_side / min(height, width))
    return resize_area(x, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize_area(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by averaging over areas: (N, C, H, W) -> (N, C, *size)."""
    return x if size_of(x) == size else F.interpolate(x, size=size, mode="area")
