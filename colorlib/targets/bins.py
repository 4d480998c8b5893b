"""Targets that are histograms of colour bins, as the papers cut their colour spaces into bins."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_image
from colorlib.color import UV_BOUND
from colorlib.image import resize_area, size_of
from colorlib.targets.decoders import (
    complex_expectation,
    decide,
    entropy,
    expectation,
    fade,
    gaussian_centroids,
    gaussian_quantiles,
    median,
    mode,
    sample,
)
from colorlib.targets.histogram import Histogram, Marginal, in_gamut


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
        whole_bins: decide as the authors' program does: the median of chroma is the centre of its bin, where else it is
            interpolated inside, and the mode of chroma is the lower edge of its bin, where else it is the centre.
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
        whole_bins: bool = False,
    ):
        super().__init__((bins, bins), decoder, temperature)
        self.bins, self.hue_weight, self.fading, self.whole_bins = bins, hue_weight, fading, whole_bins

    @property
    @override
    def chooses(self) -> bool:
        return super().chooses or (self.whole_bins and self.decoder == "median")

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
        return color.bicone_to_lab(hue, chroma, lightness)[:, 1:]

    def to_huechroma(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """The hue and the chroma that are decided on, each in [0, 1]: (N, channels, h, w) -> twice (N, 1, h, w)."""
        hue, chroma = self.histograms(prediction)
        edges, centres = self._edges(prediction.device), self._centres(prediction.device)
        if self.decoder in ("mode", "sample"):
            values = edges[:-1] if self.whole_bins and self.decoder == "mode" else centres
            return decide(self.decoder, hue, edges, centres), decide(self.decoder, chroma, edges, values)
        if self.whole_bins and self.decoder == "median":
            decided = centres[(chroma.cumsum(dim=1) < 0.5).sum(dim=1, keepdim=True).clamp(max=self.bins - 1)]
        else:
            decided = decide(self.decoder, chroma, edges, centres)
        z = complex_expectation(hue)
        if self.fading:
            decided = fade(decided, z, self.fading)
        return z.angle() / math.tau % 1, decided

    def picture(self, prediction: Tensor, gray: Tensor) -> Tensor:
        """What is predicted at a gray, as the authors' program has it: HSV's, clipped, then moved to that gray.

        Args:
            prediction: (N, channels, H, W).
            gray: (R + G + B) / 3 of the photographs, in [0, 1], (N, 1, H, W).

        Returns:
            sRGB (N, 3, H, W) in [0, 1], whose (R + G + B) / 3 is the gray where the colour fits.
        """
        hue, chroma = self.to_huechroma(prediction)
        value = gray + chroma / 2
        saturation = self.saturation * torch.where(value > 0, chroma / value.where(value > 0, 1), 0)
        rgb = color.hsv_to_rgb(torch.cat([hue, saturation, value], dim=1).clamp(0, 1))
        return color.correct_lightness(rgb, gray).clamp(0, 1)

    @override
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """Entropy of the hue, of at most 1, times the median chroma before fading (figure 10)."""
        hue, chroma = self.histograms(prediction)
        return entropy(hue) * median(chroma, self._edges(prediction.device))

    @override
    def grid(self, lightness: float) -> Tensor:
        centres = self._centres("cpu")
        hue, chroma = (x[None, None] for x in torch.meshgrid(centres, centres, indexing="ij"))
        return in_gamut(color.bicone_to_lab(hue, chroma, torch.full_like(hue, lightness)))

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
        return in_gamut(torch.stack([torch.full_like(a, lightness), a, b])[None])

    def _bins(self, encoded: Tensor) -> Tensor:
        inner = gaussian_quantiles(self.bins, self.sigma)[1:-1].to(encoded)
        return torch.bucketize(encoded.contiguous(), inner, right=True)

    def _centres(self, device: torch.device | str) -> Tensor:
        return gaussian_centroids(self.bins, self.sigma).float().to(device)


class LabMarginal(_Quantiles, Marginal):
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


class LuvBins(Marginal):
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
        super().__init__((bins, bins), decoder, temperature, smoothing)
        if values not in ("means", "centres"):
            raise ValueError(f'expected values to be "means" or "centres", got {values!r}')
        self.bins, self.values = bins, values
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
            seen[1].index_add_(0, where, torch.ones_like(where, dtype=seen.dtype))
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(seen)
        self.totals += seen[0]
        self.counts += seen[1]

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        edges = torch.linspace(-UV_BOUND, UV_BOUND, self.bins + 1, dtype=torch.float32, device=prediction.device)
        pairs = zip(self.histograms(prediction), self.bin_values(), strict=True)
        decided = [decide(self.decoder, histogram, edges, values) for histogram, values in pairs]
        return color.uv_to_ab(torch.cat(decided, dim=1).to(lightness.dtype), lightness)

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
        return in_gamut(torch.cat([full, color.uv_to_ab(torch.stack([u, v])[None], full)], dim=1))

    @override
    def palette(self, angle: float) -> Tensor:
        """How far a bin lies towards the angle of the (u, v) plane."""
        u, v = (values.cpu() / UV_BOUND for values in self.bin_values())
        return torch.cat([u * math.cos(angle), v * math.sin(angle)]).clamp(-1, 1)
