"""Colours that follow a reference, several plausible pictures of one prediction (Larsson et al. 2016, 3.4, fig. 10).

- :func:`match_quantiles` takes the colours of any picture to those of a reference;
- :func:`minimize_energy` shifts a predicted distribution towards a histogram, by one bias for each bin;
- :func:`palette` biases it towards one direction of colour space after the other.

A bias is added to logits, so that what the network is sure of hardly changes. `Result.transfer` and `Result.samples` of
`colorlib.colorizer` apply all this to photographs.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import color, io
from colorlib._checks import check_image, check_photos
from colorlib.color import correct_lightness
from colorlib.image import reduced_size
from colorlib.targets import Histogram

CHI_SQUARE_WEIGHT = 10.0  # lambda of eq. 6, which is not printed; chosen on Mini Places validation
# Below this chroma of a reference, pictures in its colours look gray, as theirs is about as much. Of 16 old
# black-and-white prints, some toned, 10 lie below, of 1000 colour photographs of Mini Places none.
LEAST_CHROMA = 3.0
_EPSILON = 1e-4  # of eq. 9; added to the channels too, so that black is neutral


class RatioHistogram(NamedTuple):
    """How often R / L, G / L and B / L take which value, L = (R + G + B) / 3: the marginals of quantile matching.

    Attributes:
        counts: (3, bins), not negative, with something in each row.
        edges: (bins + 1,), increasing; values lie in [0, 3].
    """

    counts: Tensor
    edges: Tensor


def ratio_histogram(rgb: Tensor, bins: int = 256) -> RatioHistogram:
    """Count a picture's colours: sRGB (3, H, W) in [0, 1].

    Raises:
        TypeError: no tensor, or one that is neither float32 nor float64.
        ValueError: a tensor of another shape, or values that are nan or outside [0, 1], or bins below 1.
    """
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, got {bins}")
    ratios, _ = _ratios(rgb)
    edges = torch.linspace(0, 3, bins + 1, dtype=torch.float32, device=rgb.device)
    bin_of = torch.bucketize(ratios.clamp(0, 3).contiguous(), edges[1:-1], right=True)
    return RatioHistogram(torch.stack([one.bincount(minlength=bins) for one in bin_of]).float(), edges)


def match_quantiles(rgb: Tensor, reference: Tensor | RatioHistogram) -> Tensor:
    """Lightness-normalised quantile matching (section 3.4).

    R, G and B over the pixel's lightness are changed, each channel monotonically, until they are distributed as in the
    reference. What the channels then lack in lightness is added to all of them (A.4).

    Args:
        rgb: the picture, sRGB (3, H, W) in [0, 1].
        reference: another one of any size, or its :func:`ratio_histogram`.

    Returns:
        sRGB (3, H, W) of the picture's own (R + G + B) / 3, but where that would leave [0, 1] and is clipped.

    Raises:
        TypeError: no tensors, or some that are neither float32 nor float64.
        ValueError: shapes that do not fit, values that are nan or outside [0, 1], or an empty histogram.
    """
    ratios, gray = _ratios(rgb)
    wanted = reference if isinstance(reference, RatioHistogram) else _ratios(reference, "reference")[0]
    matched = []
    for channel in range(3):
        _, inverse, counts = ratios[channel].unique(return_inverse=True, return_counts=True)
        # A value's quantile is the middle of those that its pixels share; so a picture matched to itself stays.
        quantiles = (counts.cumsum(0) - counts.to(rgb.dtype) / 2) / counts.sum()
        matched.append(_inverse_cdf(wanted, channel, quantiles)[inverse])
    painted = torch.stack(matched).view_as(rgb) * (gray + _EPSILON) - _EPSILON
    return correct_lightness(painted[None], gray[None])[0].clamp(0, 1)


def histograms_of(target: Histogram, rgb: Tensor) -> tuple[Tensor, ...]:
    """The histograms of a picture's true colours in a target's bins: sRGB (3, H, W) -> (K,) of sum 1 for each.

    Raises:
        TypeError: no tensor, or one that is neither float32 nor float64.
        ValueError: a grayscale picture has no hue, and so no histogram of hues; or a tensor of another shape, or values
            that are nan or outside [0, 1].
    """
    check_photos(rgb, "(3, H, W)")
    encoded = target.encode(rgb[None])
    found = []
    for bins, size, weights in zip(target.digitize(encoded), target.sizes, target.true_weights(encoded), strict=True):
        weights = torch.ones_like(bins, dtype=rgb.dtype) if weights is None else weights
        counts = bins.flatten().bincount(weights.flatten().double(), minlength=size)
        if counts.sum() <= 0:
            raise ValueError("the reference has no colour to take; choose another picture")
        found.append((counts / counts.sum()).to(rgb.dtype))
    return tuple(found)


def transfer_bias(
    target: Histogram, prediction: Tensor, wanted: tuple[Tensor, ...], weight: float = CHI_SQUARE_WEIGHT
) -> Tensor:
    """The bias that takes a prediction to wanted histograms, one after the other where the target has marginals.

    Args:
        target: what the prediction means.
        prediction: (1, channels, h, w), as the network gave it.
        wanted: a histogram (K,) for each that the target has, such as :func:`histograms_of` a reference; of any sum.
        weight: lambda of eq. 6; 0 changes nothing.

    Returns:
        (channels,), for :func:`biased`.

    Raises:
        ValueError: histograms of another number or size, or that are empty, negative or not finite.
    """
    check_image(prediction, f"(1, {target.channels}, h, w)", space="as the network gave it", any_float=True)
    wanted = tuple(torch.as_tensor(one, dtype=torch.float32, device=prediction.device) for one in wanted)
    sizes = tuple(one.numel() for one in wanted)
    if sizes != target.sizes:
        raise ValueError(f"expected histograms of {target.sizes} bins, got {sizes}")
    for one in wanted:
        _check_counts(one)
    found = []
    weights = target.predicted_weights(prediction)
    for predicted, histogram, counts in zip(target.histograms(prediction), wanted, weights, strict=True):
        rows = predicted[0].flatten(1).T
        histogram = histogram / histogram.sum()
        found.append(minimize_energy(rows, histogram, weight, None if counts is None else counts.flatten()))
    return torch.cat(found)


def minimize_energy(
    predicted: Tensor,
    histogram: Tensor,
    weight: float = CHI_SQUARE_WEIGHT,
    pixel_weights: Tensor | None = None,
    tolerance: float = 1e-5,
    max_steps: int = 1000,
) -> Tensor:
    """The bias b that minimises eq. 6 for posteriors softmax(log y + b), by gradient descent.

    The step is halved until the energy falls as Armijo's rule asks, and grows again after; it ends when a step lowers
    the energy by less than ``tolerance`` of it.

    Args:
        predicted: y, (N, K), rows of sum 1.
        histogram: t, (K,), of sum 1.
        weight: lambda.
        pixel_weights: how much each pixel counts in both sums, (N,); all alike if None.
        tolerance: of the stopping rule.
        max_steps: at most so many.

    Returns:
        b, (K,), of mean 0; adding a constant would change nothing.

    Raises:
        TypeError: no tensors, or some that are neither float32 nor float64.
        ValueError: a histogram of another size than the predictions.
    """
    check_image(predicted, "(N, K)", name="predicted", space="of sum 1 along K")
    check_image(histogram, f"({predicted.shape[1]})", name="histogram", space="of sum 1")
    counts = torch.ones_like(predicted[:, 0]) if pixel_weights is None else pixel_weights
    if not counts.sum() > 0:
        return torch.zeros_like(histogram)
    share = counts / counts.sum()
    bias, step = torch.zeros_like(histogram), 1.0
    value, gradient = energy(predicted, bias, histogram, weight, share)
    for _ in range(max_steps):
        slope = gradient.square().sum()
        while True:
            trial = bias - step * gradient
            below, ahead = energy(predicted, trial, histogram, weight, share)
            if below <= value - step / 2 * slope or step < 1e-6:
                break
            step /= 2
        if not below < value:
            break
        fallen = value - below
        bias, value, gradient, step = trial, below, ahead, 2 * step
        if fallen < tolerance * value:
            break
    return bias - bias.mean()


def energy(predicted: Tensor, bias: Tensor, histogram: Tensor, weight: float, share: Tensor) -> tuple[Tensor, Tensor]:
    """E of eq. 6 and its gradient in the bias: the mean KL divergence of posteriors, and lambda times the chi-square.

    Args:
        predicted: (N, K).
        bias: (K,).
        histogram: (K,).
        weight: lambda.
        share: of each pixel in the means, (N,), of sum 1; 1 / N in the paper.

    Returns:
        a scalar, and (K,).
    """
    unnormalised = predicted * bias.exp()
    total = unnormalised.sum(dim=1, keepdim=True)
    posterior = unnormalised / total
    divergence = posterior @ bias - total[:, 0].log()  # KL(softmax(log y + b) || y), written out
    mean = share @ posterior
    both = (mean + histogram).clamp(min=1e-12)
    chi_square = ((mean - histogram).square() / both).sum() / 2
    # A softmax passes the gradient v of its output on as p (v - p v); of the two terms v is b and lambda times this.
    outer = bias + weight * (mean - histogram) * (mean + 3 * histogram) / (2 * both.square())
    gradient = share @ (posterior * (outer - (posterior @ outer)[:, None]))
    return share @ divergence + weight * chi_square, gradient


def biased(target: Histogram, prediction: Tensor, bias: Tensor) -> Tensor:
    """The posteriors that replace a prediction, as logits: (N, channels, h, w), (channels,) -> (N, channels, h, w)."""
    return prediction.float() + target.temperature * bias.to(prediction.device)[:, None, None]


def palette(target: Histogram, count: int, strength: float) -> list[Tensor]:
    """Biases that turn once through colour space, for as many different pictures (figure 10).

    Args:
        target: whose bins they are for.
        count: how many.
        strength: of the most favoured bin, as a logit.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 sample, got {count}")
    return [strength * target.palette(math.tau * k / count) for k in range(count)]


def read_reference(
    reference: io.Source | io.Photo, max_pixels: int = io.MAX_PIXELS
) -> tuple[io.Photo, tuple[str, ...]]:
    """A picture to take after, and what reading it here left out."""
    if isinstance(reference, io.Photo):
        return reference, ()
    photo = io.read(reference, max_pixels=max_pixels)
    return photo, tuple(f"of the reference {photo.name}: {warning}" for warning in photo.warnings)


def shrink_reference(photo: io.Photo) -> io.Photo:
    """A picture to take colours from, small, as :func:`shrink` makes it.

    Raises:
        ValueError: it has no colour, or less than an eye would notice.
    """
    small = shrink(photo)
    # Of 32 x 32 averages, which have the scene's colour and neither the sensor's noise nor JPEG's.
    ab = color.rgb_to_lab(F.adaptive_avg_pool2d(small.rgb, 32))[1:]
    chroma = ab.square().sum(dim=0).mean().sqrt().item()
    if chroma < LEAST_CHROMA:
        found = "gray" if chroma < 0.05 else f"nearly gray (a chroma of {chroma:.1f})"
        advice = f"choose another picture, with a chroma of at least {LEAST_CHROMA:g}"
        raise ValueError(f"{photo.name or 'the reference'}: it is {found} and has no colour to take; {advice}")
    return small


def shrink(photo: io.Photo) -> io.Photo:
    """A reference, small: its histogram needs no more pixels than that of a prediction, its scene even fewer."""
    size = reduced_size(photo.height, photo.width)
    return io.Photo(io.shrunk(photo, size)[0], name=photo.name)


def _ratios(rgb: Tensor, name: str = "") -> tuple[Tensor, Tensor]:
    """R / L, G / L, B / L as (3, H W), and L (1, H, W)."""
    check_photos(rgb, "(3, H, W)", name=name)
    gray = rgb.mean(dim=0, keepdim=True)
    return ((rgb + _EPSILON) / (gray + _EPSILON)).flatten(1), gray


def _inverse_cdf(wanted: Tensor | RatioHistogram, channel: int, quantiles: Tensor) -> Tensor:
    """The values at quantiles of the reference's channel, linear in between."""
    if isinstance(wanted, RatioHistogram):
        counts = wanted.counts[channel].to(quantiles)
        if wanted.edges.numel() != counts.numel() + 1:
            shapes = f"{tuple(wanted.counts.shape)} and {tuple(wanted.edges.shape)}"
            raise ValueError(f"expected counts of shape (3, bins) and edges of (bins + 1,), got {shapes}")
        _check_counts(counts)
        cumulative = torch.cat([counts.new_zeros(1), counts.cumsum(0)]) / counts.sum()
        return _interpolate(quantiles, cumulative, wanted.edges.to(quantiles))
    values, counts = wanted[channel].unique(return_counts=True)
    cumulative = (counts.cumsum(0) - counts.to(quantiles.dtype) / 2) / counts.sum()
    return _interpolate(quantiles, cumulative, values.to(quantiles))


def _interpolate(x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    """numpy.interp: piecewise linear through (xp, fp), constant outside."""
    right = torch.searchsorted(xp, x).clamp(1, len(xp) - 1)  # of a single point, 0
    left = (right - 1).clamp(min=0)
    run = (xp[right] - xp[left]).clamp(min=torch.finfo(xp.dtype).tiny)
    return torch.lerp(fp[left], fp[right], ((x - xp[left]) / run).clamp(0, 1))


def _check_counts(counts: Tensor) -> None:
    if not (counts.isfinite().all() and (counts >= 0).all() and counts.sum() > 0):
        raise ValueError(f"expected a histogram of finite counts from 0 with something in it, got {counts.tolist()}")
