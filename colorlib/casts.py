"""Simulated colour casts: the perturbations that Zhu and Funt 2018 train and measure white balance on.

Red and blue are scaled, by two numbers over the whole picture (eq. 1) or by a ramp across it (eq. 2); green stays. The
factors apply to the values of the file, as in the paper, and what leaves [0, 1] is clipped, as it would be in a file.

Raises:
    TypeError: no tensor of floating point.
    ValueError: a tensor of another shape, or on a CPU values that are nan or outside [0, 1].
"""

import math
from typing import Literal

import torch
from torch import Tensor

from colorlib._checks import check_photos

Kind = Literal["global", "left", "right", "up", "down"]
# The five transformations of the paper. A ramp is named after the side towards which red and blue grow.
KINDS: tuple[Kind, ...] = ("global", "left", "right", "up", "down")
LOW, HIGH = 0.6, 1.4


def global_cast(rgb: Tensor, red: Tensor | float, blue: Tensor | float) -> Tensor:
    """Scale red and blue (eq. 1): sRGB (N, 3, H, W) in [0, 1] -> the same, clipped.

    Args:
        rgb: the pictures.
        red: factor on red, a number or one for each picture, (N,).
        blue: factor on blue, likewise.

    Raises:
        ValueError: a factor that is negative or not finite, or another number of them.
    """
    check_photos(rgb, any_float=True)
    return _scale(rgb, *(_factors(x, rgb, name) for name, x in (("red", red), ("blue", blue))))


def ramp_cast(rgb: Tensor, towards: Literal["left", "right", "up", "down"]) -> Tensor:
    """Scale red and blue by a factor that grows linearly from 0.6 to 1.4 towards a side (eq. 2).

    sRGB (N, 3, H, W) in [0, 1] -> the same, clipped.

    Raises:
        ValueError: there is no such side.
    """
    check_photos(rgb, any_float=True)
    if towards not in KINDS[1:]:
        raise ValueError(f"expected one of {', '.join(KINDS[1:])}, got {towards!r}")
    ramp = _ramp(rgb, towards)
    return _scale(rgb, ramp, ramp)


def random_casts(rgb: Tensor, kinds: tuple[Kind, ...] = KINDS, generator: torch.Generator | None = None) -> Tensor:
    """Give each picture a cast, its kind and the factors of a global one drawn uniformly.

    Args:
        rgb: sRGB (N, 3, H, W) in [0, 1], on any device.
        kinds: to draw from.
        generator: of the CPU, so that a seed gives the same casts on every device; default: torch's own.

    Returns:
        sRGB (N, 3, H, W), clipped to [0, 1].

    Raises:
        ValueError: no kinds, or an unknown one.
    """
    check_photos(rgb, any_float=True)
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"expected kinds of {', '.join(KINDS)}, got {kinds!r}")
    count = len(rgb)
    # The same numbers from a seed, whatever the program's default type and device are.
    drawn = torch.randint(len(kinds), (count,), generator=generator, device="cpu").to(rgb.device)
    drawn_factors = torch.rand(2, count, 1, 1, generator=generator, dtype=torch.float32, device="cpu")
    factors = (LOW + (HIGH - LOW) * drawn_factors).to(rgb)
    red, blue = (x.expand(-1, *rgb.shape[-2:]) for x in factors)
    for index, kind in enumerate(kinds):
        if kind != "global":
            ramp, chosen = _ramp(rgb, kind), (drawn == index)[:, None, None]
            red, blue = torch.where(chosen, ramp, red), torch.where(chosen, ramp, blue)
    return _scale(rgb, red, blue)


def _factors(x: Tensor | float, rgb: Tensor, name: str) -> Tensor:
    """One for each picture, (N or 1, 1, 1)."""
    factors = torch.as_tensor(x, dtype=rgb.dtype, device=rgb.device).flatten()
    if len(factors) not in (1, len(rgb)):
        raise ValueError(f"expected one factor on {name}, or one for each of {len(rgb)} pictures; got {len(factors)}")
    if not isinstance(x, Tensor) and not 0 <= x < math.inf:
        raise ValueError(f"expected a factor on {name} of at least 0, got {x}")
    return factors[:, None, None]


def _ramp(rgb: Tensor, towards: Kind) -> Tensor:
    """(H, W), its outermost pixels having the factors LOW and HIGH."""
    height, width = rgb.shape[-2:]
    across = towards in ("left", "right")
    steps = torch.linspace(0, 1, width if across else height, dtype=rgb.dtype, device=rgb.device)
    ramp = LOW + (HIGH - LOW) * (steps.flip(0) if towards in ("left", "up") else steps)
    return (ramp if across else ramp[:, None]).expand(height, width)


def _scale(rgb: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """By factors (N or 1, H, W), or what broadcasts to that."""
    r, g, b = rgb.unbind(dim=-3)
    return torch.stack([r * red, g, b * blue], dim=-3).clamp(0, 1)
