"""CIE Lab and sRGB at memory speed: the arithmetic of painting, in place, on tiles that stay in the cache, on the CPU.

:mod:`colorlib.color` says what the conversions are. It is differentiable and runs on any device, and losses, metrics
and benchmarks use it. This is a second road to the same colours, for finished pictures alone. Powers are polynomials
of a fourth root, which torch computes many values at a time on any processor, and sRGB's levels are looked up. f(Y) is
off by 7.5e-6 at most, which is 0.0009 of L*, and sRGB by 1.4e-5, which is 0.004 of a step of 8 bits and 0.9 of a step
of 16: half of it by the polynomial, half by float32.

All tensors are float32 on the CPU, (channels, pixels) and contiguous.
"""

from functools import cache, partial
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
# The edge of sRGB is looked up by f(Y) and hue, and a step of Newton's method leads on from there. After a step of less
# than _NEAR in chroma, as 997 of 1,000 are in photographs, sRGB is off by at most 0.1 of a step of 8 bits.
_LIGHTNESSES, _HUES = 128, 256  # of the table; so many hues on either side of f(X) = f(Y)
_BLACK = 16 / 116  # f(Y) of black
_BEYOND = 0.8  # |f(X) - f(Y)| + |f(Z) - f(Y)|, more than any colour of sRGB has
_BELOW = 1 - 1e-6  # so that the greatest value is in the last cell of the table
_NEAR = 2.0
_SLACK = 1e-5  # of linear light, for rounding
_PART = 1 << 15  # colours at a time, so that what is computed of them mostly stays in the cache
# Yellows whose chroma may leave sRGB and come back, so that a bisection has a choice that must be the same here: f(Y)
# from L* of 92 to 99, -a / b of hues from 97 to 108 degrees, and the chroma from which it may be back.
_YELLOW, _YELLOW_RATIO, _YELLOW_BACK = ((92 + 16) / 116, (99 + 16) / 116), (0.12, 0.33), 40.0


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

    :func:`colorlib.color.lab_to_rgb` finds it by bisection. Here a step of Newton's method leads from a table to it, or
    three where the first is long. Where these do not find it, and on some yellows, bisection has the last word.
    """
    parts = [_by_newton(part) for part in f.split(_PART, dim=1)]
    linear, found = (torch.cat(each, dim=-1) for each in zip(*parts, strict=True))
    for bring_back in (partial(_by_newton, steps=3), _by_bisection):
        left = (~found).nonzero()[:, 0]
        if len(left) > 0:
            linear[:, left], found[left] = bring_back(f[:, left])
    return linear


def _by_newton(f: Tensor, steps: int = 1) -> tuple[Tensor, Tensor]:
    """Linear RGB at the edge of sRGB, (3, n), and where it is found, (n,)."""
    count = f.shape[1]
    ray = _Ray(F.pad(f[None], (0, -count % LANES), mode="replicate")[0])
    factor = ray.expected()
    for _ in range(steps - 1):
        ray.go_to(factor)
        factor.add_(ray.step(factor)).clamp_min_(0)
    ray.go_to(factor)
    last = ray.step(factor)
    # Rounded down as the bisection's, and straight on. Y stays what it is, since its slope is 0.
    step = (factor + last).mul_(_STEPS).floor_().clamp_(0, _STEPS - 1).div_(_STEPS).sub_(factor)
    linear = ray.linear.addcmul_(ray.slopes, step)
    first, second, third = linear.abs()
    # A channel may have left sRGB before, and be on its way back.
    inside = torch.maximum(first, second, out=first).maximum(third) < _HALF + _SLACK
    found = inside & (last.abs_() < _NEAR / ray.chroma) & ~ray.ambiguous()
    return linear.add_(_MIDDLE)[:, :count], found[:count]


def _by_bisection(f: Tensor) -> tuple[Tensor, bool]:
    x, y, z = f
    return torch.stack(bisected(116 * y - 16, 500 * (x - y), 200 * (y - z))), True


@cache
def _edges() -> Tensor:
    """Where each hue leaves sRGB, as |f(X) - f(Y)| + |f(Z) - f(Y)|: a row for each f(Y), (rows * 2 * hues,) float32.

    In a row f(Z) - f(Y), as a share of that sum, goes from 1 to -1 with f(X) below f(Y), and back to 1 with f(X) above.
    """
    y = (torch.arange(_LIGHTNESSES, dtype=torch.float32, device="cpu") + 0.5) / _LIGHTNESSES * (1 - _BLACK) + _BLACK
    z = ((torch.arange(_HUES, dtype=torch.float32, device="cpu") + 0.5) / _HUES * 2 - 1) * _BEYOND
    x = _BEYOND - z.abs()
    y, x, z = (part.flatten() for part in torch.broadcast_tensors(y[:, None], torch.cat([-x, x]), torch.cat([-z, z])))
    ray = _Ray(torch.stack([y + x, y, y + z]))
    inside, outside = torch.zeros_like(y), torch.ones_like(y)
    for _ in range(12):
        middle = (inside + outside) / 2
        ray.go_to(middle)
        fits = (ray.linear.abs() <= _HALF).all(0)
        inside, outside = torch.where(fits, middle, inside), torch.where(fits, outside, middle)
    return inside * _BEYOND


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
        torch.addcmul(_number(-_MIDDLE), self._cubes[0], second, out=self._base)

    @property
    def chroma(self) -> Tensor:
        """At a factor of 1, (n,)."""
        return (500 * self.ray[0]).square_().add_((200 * self.ray[1]).square_()).sqrt_()

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

    def step(self, factor: Tensor) -> Tensor:
        """A step of Newton's method from where the ray is, to a factor of 1 at most, (n,).

        With growing chroma each channel goes up to the bound of sRGB or down to it: the step is the least at which one
        of them would arrive if it went on straight.
        """
        arrival = torch.copysign(_number(_HALF), self.slopes).sub_(self.linear).div_(self.slopes)
        step = torch.minimum(arrival[0], arrival[1])
        return torch.minimum(step, arrival[2], out=step).minimum(1 - factor)

    def expected(self) -> Tensor:
        """About the factor at the edge of sRGB, (n,)."""
        x, z = self.ray
        length = z.abs()
        length.add_(x.abs())
        hue = torch.add(_number(_HUES / 2), z / length, alpha=_HUES / 2 * _BELOW)
        cells = torch.add(
            _number(-_BLACK * _LIGHTNESSES / (1 - _BLACK)), self._y, alpha=_LIGHTNESSES / (1 - _BLACK) * _BELOW
        )
        place = torch.add(torch.copysign(hue, x, out=hue), cells.floor_(), alpha=2 * _HUES).add_(_HUES).to(torch.int32)
        place.clamp_(0, _LIGHTNESSES * 2 * _HUES - 1)
        return torch.index_select(_edges(), 0, place).div_(length).clamp_max_(1)

    def ambiguous(self) -> Tensor:
        """Where chroma, of which the inverse is given, may leave sRGB and come back, (n,)."""
        (darkest, lightest), (low, high) = _YELLOW, _YELLOW_RATIO
        where = self._y > darkest
        if where.any():  # rarely
            ratio = 2.5 * self.ray[0] / self.ray[1]  # -a / b
            where &= (self._y < lightest) & (ratio > low) & (ratio < high) & (self.ray[1] < 0)
            where &= self.chroma > _YELLOW_BACK
        return where
