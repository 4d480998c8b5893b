"""CIE Lab and sRGB at memory speed: the arithmetic of painting, in place, on tiles that stay in the cache, on the CPU.

:mod:`colorlib.color` says what the conversions are. It is differentiable and runs on any device, and losses, metrics
and benchmarks use it. This is a second road to the same colours, for finished pictures alone. Powers are polynomials
of a fourth root, which torch computes many values at a time on any processor, and sRGB's levels are looked up. f(Y) is
off by 7.5e-6 at most, which is 0.0009 of L*, and sRGB by 1.4e-5, which is 0.004 of a step of 8 bits and 0.9 of a step
of 16: half of it by the polynomial, half by float32.

All tensors are float32 on the CPU, (channels, pixels) and contiguous.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from colorlib import color
from colorlib.color import (
    BRIGHTEST,
    DARKEST,
    LAB_EPSILON,
    LAB_EPSILON_ROOT,
    LAB_SLOPE,
    WHITE_D65,
    XYZ_FROM_RGB,
    Matrix,
    bisected,
    inverse,
)

# Minimax polynomials of degree 5 in the fourth root of x, lowest degree first, by weighted least squares whose weights
# are multiplied by the error until it is level:
#   x = cos(pi (arange(4000) + 0.5) / 4000) * (1 - low) / 2 + (1 + low) / 2; w = ones(4000)
#   300 times: c = lstsq(sqrt(w) * vander(x, 6), sqrt(w) * f(x)); w *= abs(vander(x, 6) @ c - f(x)); w /= w.sum()
# with low and f: 0.0031308 ** 0.25 and 1.055 x ** (4 / 2.4) - 0.055, then 0.008856 ** 0.25 and x ** (4 / 3)
_GAMMA = (-0.0613402194, 0.162026292, 1.25540433, -0.577482617, 0.289532928, -0.0681472859)
_ROOT = (-0.0139123177, 0.500325761, 0.868035563, -0.58187077, 0.29488563, -0.0674675563)
_GAMMA_LOW, _GAMMA_SLOPE = 0.0031308, 12.92
_LINE = 1 / LAB_SLOPE  # of the straight piece of the inverse of f
_CUBE_OF_ZERO = LAB_EPSILON_ROOT * (LAB_EPSILON_ROOT**2 - _LINE)

LANES = 64  # buffers are multiples of it, so that torch treats the last pixels like all the others

_MIDDLE, _HALF = (DARKEST + BRIGHTEST) / 2, (BRIGHTEST - DARKEST) / 2  # of what counts as inside sRGB
_STEPS = 1 << 14  # color.py finds a factor on chroma as a multiple of 1 / _STEPS
_WIDEST = 60.0  # chroma from which Newton's method sets out; most of the edge of sRGB is farther in
_CLOSE = 0.02  # chroma by which its last step may have moved: the error left is of the order of the square
_ROUNDS = 4  # of Newton's method, after which 99 % are as close
# Yellows whose chroma may leave sRGB and come back, so that a bisection has a choice that must be the same here. Their
# L* is 91.6 to 98.4, their hue 97.0 to 107.2 degrees, and they are back from a chroma of 38.8. The limits, of f(Y), of
# -a / b and of chroma, are a little wider, since red hardly changes close to these.
_YELLOW, _YELLOW_RATIO, _YELLOW_BACK = ((90.5 + 16) / 116, (99 + 16) / 116), (0.10, 0.33), 36.0


class Curve(NamedTuple):
    """A power with a straight piece near zero: the polynomial of max(x, low) ** 0.25, plus slope * x."""

    low: float
    slope: float
    constants: tuple[Tensor, ...]
    highest: float


def _curve(low: float, slope: float, polynomial: tuple[float, ...], scale: float = 1.0, offset: float = 0.0) -> Curve:
    """Of scale * f(x) + offset. Below low, slope * (x - max(x, low)) is added; max(x, low) is the fourth power."""
    c0, c1, c2, c3, c4, c5 = (scale * value for value in polynomial)
    constants = (c0 + offset, c1, c2, c3, c4 - scale * slope)
    return Curve(low, scale * slope, tuple(map(_number, constants)), c5)


@cache
def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32, device="cpu")


@cache
def root_curve() -> Curve:
    """f of CIE Lab: x of X / white, Y or Z / white."""
    return _curve(LAB_EPSILON, LAB_SLOPE, _ROOT)


@cache
def gamma_curve(peak: int) -> Curve:
    """Linear light in [0, 1] -> sRGB in [0, 1] for a peak of 1; for 255 or 65535, what is rounded by cutting off."""
    return _curve(_GAMMA_LOW, _GAMMA_SLOPE, _GAMMA, peak, 0.0 if peak == 1 else 0.5)


@cache
def linear_table(peak: int) -> Tensor:
    """Linear light of each level of sRGB, (peak + 1,)."""
    levels = torch.arange(peak + 1, dtype=torch.float64, device="cpu") / peak
    return color.srgb_to_linear(levels).to(torch.float32)


@cache
def _columns(matrix: Matrix) -> tuple[Tensor, ...]:
    """What the first, second and third channel contribute to each of the others, (3, 1) each."""
    return tuple(
        torch.tensor(column, dtype=torch.float32, device="cpu")[:, None] for column in zip(*matrix, strict=True)
    )


@cache
def to_relative_xyz() -> Matrix:
    """Linear RGB -> X, Y and Z in units of white's."""
    return tuple(tuple(v / white for v in row) for row, white in zip(XYZ_FROM_RGB, WHITE_D65, strict=True))


@cache
def _from_relative_xyz() -> Matrix:
    return tuple(tuple(v * white for v, white in zip(row, WHITE_D65, strict=True)) for row in inverse(XYZ_FROM_RGB))


def bend(x: Tensor, curve: Curve, out: Tensor, scratch: Tensor) -> None:
    """Apply a curve to any number of values, which stay as they are."""
    torch.clamp_min(x, curve.low, out=scratch)
    scratch.rsqrt_().rsqrt_()  # the fourth root; a third less time than two square roots
    *lower, last = curve.constants
    torch.add(last, scratch, alpha=curve.highest, out=out)
    for constant in reversed(lower):
        torch.addcmul(constant, out, scratch, out=out)
    out.add_(x, alpha=curve.slope)


def mix(channels: Tensor, matrix: Matrix, out: Tensor) -> None:
    """Multiply three channels by a matrix: (3, pixels) -> (rows of the matrix, pixels)."""
    # Sums, as in color.py: a matrix product would run in bfloat16 where torch is allowed to.
    first, second, third = _columns(matrix)
    torch.mul(channels[0], first, out=out)
    torch.addcmul(out, channels[1], second, out=out)
    torch.addcmul(out, channels[2], third, out=out)


def to_linear(f: Tensor, out: Tensor, cubes: Tensor) -> None:
    """f(X), f(Y), f(Z) -> linear RGB, in or out of sRGB; negative f(Z) counts as 0. (3, pixels) each."""
    _cube(f, cubes, out)
    cubes[2].clamp_min_(_CUBE_OF_ZERO)
    mix(cubes, _from_relative_xyz(), out)


def _cube(f: Tensor, out: Tensor, g: Tensor) -> None:
    """The inverse of f of CIE Lab, for any number of values; `g` becomes max(f, where the straight piece ends)."""
    torch.clamp_min(f, LAB_EPSILON_ROOT, out=g)
    # f ** 3 where g is f, and else the straight piece: its constant is that of the sum, 0 but for 1e-8.
    torch.addcmul(_number(-_LINE), g, g, out=out)
    out.mul_(g).add_(f, alpha=_LINE)


def outside(linear: Tensor, scratch: Tensor) -> NDArray[np.bool_]:
    """Which colours are outside sRGB: (3, pixels), and a scratch of two rows at least -> (pixels,)."""
    greatest, least = scratch[0], scratch[1]
    torch.maximum(linear[0], linear[1], out=greatest)
    torch.maximum(greatest, linear[2], out=greatest)
    torch.minimum(linear[0], linear[1], out=least)
    torch.minimum(least, linear[2], out=least)
    found: NDArray[np.bool_] = (greatest.numpy() > BRIGHTEST) | (least.numpy() < DARKEST)
    return found


def reduced(f: Tensor) -> Tensor:
    """Linear RGB of colours outside sRGB, brought to its edge at their L* and hue: (3, n) f(X), f(Y), f(Z) -> (3, n).

    As :func:`colorlib.color.lab_to_rgb` has it, whose factors on chroma are multiples of 1 / 16,384: the edge is found
    by Newton's method and rounded down to these. The few that are not found, and some yellows, it gets itself.
    """
    linear, found = _newton(f)
    left = (~found).nonzero()[:, 0]
    if len(left) > 0:
        x, y, z = f[:, left]
        linear[:, left] = torch.stack(bisected(116 * y - 16, 500 * (x - y), 200 * (y - z)))
    return linear


def _newton(f: Tensor) -> tuple[Tensor, Tensor]:
    """Linear RGB at the edge of sRGB, (3, n), and where it is found, (n,).

    Along a ray of growing chroma each channel goes up to the bound of sRGB or down to it: the next factor is the least
    at which one of them would arrive if it went on straight.
    """
    count = f.shape[1]
    edge = _Ray(F.pad(f[None], (0, -count % LANES), mode="replicate")[0])
    per_chroma = (500 * edge.ray[0]).square_().add_((200 * edge.ray[1]).square_()).rsqrt_()
    factor = (_WIDEST * per_chroma).clamp_max_(1)
    arrival = torch.empty_like(edge.linear)
    for _ in range(_ROUNDS):
        edge.go_to(factor)
        torch.copysign(_number(_HALF), edge.slopes, out=arrival)
        arrival.sub_(edge.linear).div_(edge.slopes)
        step = torch.minimum(arrival[0], arrival[1]).minimum(arrival[2])
        factor.add_(step).clamp_(0, 1)
    edge.go_to(factor.mul_(_STEPS).floor_().clamp_max_(_STEPS - 1).div_(_STEPS))
    found = step.abs_() < _CLOSE * per_chroma
    found &= ~edge.ambiguous(per_chroma)
    return edge.linear.add_(_MIDDLE)[:, :count], found[:count]


class _Ray:
    """Colours of one L* and hue along growing chroma: of given f(X), f(Y) and f(Z), (3, n), at a factor of 1.

    Up to the edge of sRGB f(Z) is positive: where it is 0, blue is far below its bound, or red above.

    Attributes:
        ray: f(X) - f(Y) and f(Z) - f(Y) at a factor of 1, (2, n).
        linear: linear RGB less the middle of what counts as inside sRGB, (3, n).
        slopes: its derivative by the factor.
    """

    def __init__(self, f: Tensor):
        self._y = f[1]
        self.ray = f[0::2] - self._y
        self._f, self._g, self._cubes = (torch.empty_like(self.ray) for _ in range(3))
        self._base, self.linear, self.slopes = (torch.empty_like(f) for _ in range(3))
        _cube(self._y, self._cubes[0], self._g[0])
        self._first, second, self._third = _columns(_from_relative_xyz())
        torch.mul(self._cubes[0], second, out=self._base).sub_(_MIDDLE)

    def go_to(self, factor: Tensor) -> None:
        """Set `linear` and `slopes` to what they are at factors (n,)."""
        torch.addcmul(self._y, self.ray, factor, out=self._f)
        _cube(self._f, self._cubes, self._g)
        torch.addcmul(self._base, self._cubes[0], self._first, out=self.linear)
        torch.addcmul(self.linear, self._cubes[1], self._third, out=self.linear)
        # 3 g ** 2 is the derivative of the straight piece too, as it touches the cube.
        change = self._g.square_().mul_(3).mul_(self.ray)
        torch.mul(change[0], self._first, out=self.slopes)
        torch.addcmul(self.slopes, change[1], self._third, out=self.slopes)

    def ambiguous(self, per_chroma: Tensor) -> Tensor:
        """Where chroma, of which the inverse is given, may leave sRGB and come back, (n,)."""
        (darkest, lightest), (low, high) = _YELLOW, _YELLOW_RATIO
        where = (per_chroma < 1 / _YELLOW_BACK) & (self._y > darkest)
        if where.any():  # rarely
            ratio = 2.5 * self.ray[0] / self.ray[1]  # -a / b
            where &= (self._y < lightest) & (ratio > low) & (ratio < high) & (self.ray[1] < 0)
        return where
