"""What a method holds possible at a point, in few colours: bins that look alike are counted together.

A predicted distribution has up to 2,500 bins (Larsson et al. 2016, 3.2; Hwang and Zhou 2016, 3.6). Most of them differ
less than an eye can tell, so the most probable ones are many times the same colour. Here the first colour is the disc
of the (a, b) plane that holds the most probability, the next the disc that holds the most of what is left, and so on:
the greedy answer to maximum coverage (Nemhauser, Wolsey and Fisher, Mathematical Programming 14, 1978).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from colorlib import color
from colorlib.targets import Colors

ALIKE = 12.0  # radius of a disc in a and b; 2.3 is just noticeable
LEAST = 1e-3  # probability of a colour that is named
CENTRES = 256  # the most probable bins, of which each may be the centre of a disc


class Possible(NamedTuple):
    """A colour that a method holds possible.

    Attributes:
        probability: of it and what looks like it, in [0, 1].
        rgb: sRGB in [0, 1] at the pixel's lightness.
        ab: its (a, b) of CIE Lab, for :meth:`colorlib.Result.steer`.
    """

    probability: float
    rgb: tuple[float, float, float]
    ab: tuple[float, float]


class Answer(NamedTuple):
    """What a method says about one pixel.

    Attributes:
        colors: the most probable first.
        rest: probability of all other colours; with those of ``colors`` the sum is 1.
        distribution: whether the method predicts one; else ``colors`` is its one colour, of probability 1.
    """

    colors: tuple[Possible, ...]
    rest: float
    distribution: bool


def of_distribution(found: Colors, count: int = 5) -> Answer:
    """The most probable colours of a distribution.

    Args:
        found: the distribution of a pixel.
        count: the most colours to name, at least 1.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    left = found.probabilities.flatten().double()
    lab = color.rgb_to_lab(found.rgb.double().flatten(0, 1).T[None, :, None])[0, :, 0]  # of the same L
    ab = lab[1:].T.contiguous()
    centres = ab[left.topk(min(CENTRES, len(left))).indices]
    alike = (torch.cdist(centres, ab) <= ALIKE).double()
    masses: list[float] = []
    means: list[Tensor] = []
    while len(masses) < count and (mass := alike @ left).max() > LEAST:
        best = mass.argmax()
        members = alike[best] * left
        masses.append(mass[best].item())  # in falling order: what is left only shrinks
        means.append((members[:, None] * ab).sum(dim=0) / members.sum())
        left = left - members
    lab = torch.cat([lab[:1, :1].expand(1, len(means)), torch.stack(means, dim=1)])
    rgb = color.lab_to_rgb(lab[None, :, None], gamut="reduce")[0, :, 0]
    colors = tuple(
        Possible(probability, (r, g, blue), (a, b))
        for probability, (r, g, blue), (a, b) in zip(masses, rgb.T.tolist(), lab[1:].T.tolist(), strict=True)
    )
    return Answer(colors, left.sum().item(), distribution=True)


def of_colour(rgb: Tensor) -> Answer:
    """The one colour of a method without distributions: sRGB (3,) in [0, 1]."""
    _, a, b = color.rgb_to_lab(rgb[:, None, None]).flatten().tolist()
    r, g, blue = rgb.tolist()
    return Answer((Possible(1.0, (r, g, blue), (a, b)),), 0.0, distribution=False)
