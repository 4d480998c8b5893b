"""From a histogram of colour bins to one value, and how undecided a histogram is."""

import math
from functools import cache

import torch
from torch import Tensor

from colorlib.color import AB_BOUND


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
