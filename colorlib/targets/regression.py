"""Targets that are colours themselves: the channels of a colour space, or the whole picture."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_image, check_photos, check_tensor
from colorlib.color import AB_BOUND, AB_GRID, UV_BOUND
from colorlib.image import gaussian_blur, gaussian_kernel, resize_area, scaled, size_of
from colorlib.targets._base import Target


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
            return color.uv_to_ab(channels, lightness)
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


class LumaLab(Regression):
    """Lab regression that keeps luma, Y of YUV, in place of L, as the authors' program of Iizuka et al. 2016 does.

    The program turns (a, b) into U and V at the lightness, not of the photograph's gray, but of the colour whose Y, U
    and V all are its luma. That colour is lighter, so U and V become larger; the pictures its authors show are such.
    """

    def __init__(self, bound: float = 100.0):
        super().__init__("lab", bound=bound)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        ab = super().to_ab(prediction, lightness)
        return color.rgb_to_lab(_on_luma(ab, color.lightness_to_gray(lightness)))[..., 1:, :, :]

    @override
    def decode(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        """The picture of the authors' program, clipped: L (N, 1, H, W) of a gray -> sRGB (N, 3, H, W) with its luma."""
        self._check_decoded(prediction, lightness)
        ab = super().to_ab(scaled(prediction, size_of(lightness)), lightness)
        return _on_luma(self.saturation * ab, color.lightness_to_gray(lightness))


def _on_luma(ab: Tensor, luma: Tensor) -> Tensor:
    """(a, b) (N, 2, H, W) and luma in [0, 1], (N, 1, H, W) -> sRGB (N, 3, H, W), clipped."""
    lightness = color.rgb_to_lightness(color.yuv_to_rgb(luma.expand(-1, 3, -1, -1)))
    rgb = color.lab_to_rgb(torch.cat([lightness, ab], dim=-3), gamut="none")
    return color.yuv_to_rgb(torch.cat([luma, color.rgb_to_yuv(rgb)[..., 1:, :, :]], dim=-3)).clamp(0, 1)


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
    gaussian = gaussian_kernel(kernel, sigma, padded).view(1, 1, 1, -1)
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

    The prediction contains lightness too.
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
