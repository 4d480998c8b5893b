"""CIE Lab and sRGB at memory speed: the arithmetic of painting, in place, on tiles, on the CPU.

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
# The edge of sRGB is looked up by f(Y) and hue, and a step of Newton's method leads on from there. If that is less than
# _NEAR in chroma, sRGB is off by 0.12 of a step of 8 bits at most, for colours of a chroma up to 60; beyond, color.py's
# own steps are coarser than that.
_LIGHTNESSES, _HUES = 256, 256  # of the table; so many hues on either side of f(X) = f(Y)
_BLACK = 16 / 116  # f(Y) of black
_ROW = _LIGHTNESSES / (1 - _BLACK)  # rows of the table by f(Y)
_BEYOND = 0.8  # |f(X) - f(Y)| + |f(Z) - f(Y)|, more than any colour of sRGB has
_NEAR = 1.0  # chroma
_PART = 1 << 16  # colours at a time: what is computed of them stays in the processor's cache
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

    :func:`colorlib.color.lab_to_rgb` finds it by bisection. Here a step of Newton's method leads from a table to it, or
    three where the first is long. Where these do not find it, and on some yellows, bisection has the last word.
    """
    linear, left = _by_newton(f, steps=1)
    if len(left) > 0:
        linear[:, left], still = _by_newton(f[:, left], steps=3)
        left = left[still]
    left = torch.cat([left, _yellows(f)])
    if len(left) > 0:
        x, y, z = f[:, left]
        linear[:, left] = torch.stack(bisected(116 * y - 16, 500 * (x - y), 200 * (y - z)))
    return linear


def _by_newton(f: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Linear RGB at the edge of sRGB, (3, n), and which are not found, (m,)."""
    count = f.shape[1]
    padded = F.pad(f[None], (0, -count % LANES), mode="replicate")[0]
    linear, left = torch.empty_like(padded), []
    rays = _Rays(min(_PART, padded.shape[1]))
    for first in range(0, padded.shape[1], _PART):
        part = slice(first, first + _PART)
        left.append(first + rays.to_edge(padded[:, part], steps, linear[:, part]))
    where = torch.cat(left)
    return linear[:, :count], where[where < count]


def _yellows(f: Tensor) -> Tensor:
    """The colours, of (3, n), whose chroma may leave sRGB and come back: (m,)."""
    (darkest, lightest), (low, high) = _YELLOW, _YELLOW_RATIO
    where = np.flatnonzero(f[1].numpy() > darkest)
    x, y, z = f.numpy()[:, where]
    a, b = 500 * (x - y), 200 * (y - z)
    found = (y < lightest) & (b > 0) & (-a > low * b) & (-a < high * b) & (np.hypot(a, b) > _YELLOW_BACK)
    return torch.from_numpy(where[found])


@cache
def _edges() -> Tensor:
    """Where each hue leaves sRGB, as |f(X) - f(Y)| + |f(Z) - f(Y)|: a row for each f(Y), (rows * 2 * hues,) float32.

    In a row f(Z) - f(Y), as a share of that sum, goes from 1 to -1 with f(X) below f(Y), and back to 1 with f(X) above.
    """
    y = (torch.arange(_LIGHTNESSES, dtype=torch.float32, device="cpu") + 0.5) / _LIGHTNESSES * (1 - _BLACK) + _BLACK
    z = ((torch.arange(_HUES, dtype=torch.float32, device="cpu") + 0.5) / _HUES * 2 - 1) * _BEYOND
    x = _BEYOND - z.abs()
    y, x, z = (part.flatten() for part in torch.broadcast_tensors(y[:, None], torch.cat([-x, x]), torch.cat([-z, z])))
    rays = _Rays(len(y))
    rays.start(torch.stack([y + x, y, y + z]))
    inside, outside = torch.zeros_like(y), torch.ones_like(y)
    for _ in range(12):
        middle = (inside + outside) / 2
        rays.go_to(middle)
        fits = (rays.linear.abs() <= _HALF).all(0)
        inside, outside = torch.where(fits, middle, inside), torch.where(fits, outside, middle)
    return inside * _BEYOND


class _Rays:
    """Colours of one L* and hue along growing chroma, from gray at a factor of 0 to the given ones at 1; n at a time.

    Up to the edge of sRGB f(Z) is positive: where it is 0, blue is far below its bound, or red above.

    Attributes:
        ray: f(X) - f(Y) and f(Z) - f(Y) at a factor of 1, (2, n).
        linear: linear RGB less the middle of what counts as inside sRGB, (3, n).
        slopes: its derivative by the factor.
    """

    def __init__(self, most: int):
        """Make buffers for so many colours."""
        self._buffers = torch.empty(22, most, dtype=torch.float32, device="cpu")
        self._places = torch.empty(most, dtype=torch.int32, device="cpu")
        self._first, self._second, self._third = _columns(_from_relative_xyz())

    def start(self, f: Tensor) -> None:
        """Take colours, f(X), f(Y) and f(Z) of (3, n)."""
        buffers = self._buffers[:, : f.shape[1]]
        self._y = f[1]
        self.ray, self._f, self._g, self._cubes, spare = buffers[:10].split(2)
        self._base, self.linear, self.slopes, self._arrival = buffers[10:].split(3)
        self._spare, self._other = spare
        torch.sub(f[0::2], self._y, out=self.ray)
        _cube(self._y, self._spare, self._other)
        torch.addcmul(_number(-_MIDDLE), self._spare, self._second, out=self._base)

    def to_edge(self, f: Tensor, steps: int, out: Tensor) -> Tensor:
        """Write linear RGB at the edge of sRGB, (3, n), after so many steps; returns which are not found, (m,)."""
        self.start(f)
        factor = self._expected()
        for _ in range(steps - 1):
            self.go_to(factor)
            factor.add_(self._step()).clamp_(0, 1)
        self.go_to(factor)
        step = self._step()
        moved = torch.square(step, out=self._arrival[1])
        # Rounded down as the bisection's, and straight on. Y stays what it is, since its slope is 0.
        step.add_(factor).mul_(_STEPS).floor_().clamp_(0, _STEPS - 1).div_(_STEPS).sub_(factor)
        self.linear.addcmul_(self.slopes, step)
        torch.add(self.linear, _MIDDLE, out=out)
        chroma, of_b = torch.square(self.ray, out=self._f)
        moved.mul_(torch.add(chroma, of_b, alpha=(200 / 500) ** 2, out=chroma))
        # What is no number, as of gray, is not found either.
        return torch.from_numpy(np.flatnonzero(~(moved.numpy() <= (_NEAR / 500) ** 2)))

    def go_to(self, factor: Tensor) -> None:
        """Set `linear` and `slopes` to what they are at factors (n,)."""
        torch.addcmul(self._y, self.ray, factor, out=self._f)
        _cube(self._f, self._cubes, self._g)
        torch.addcmul(self._base, self._cubes[0], self._first, out=self.linear)
        torch.addcmul(self.linear, self._cubes[1], self._third, out=self.linear)
        # 3 g ** 2 is the derivative of the straight piece too, as it touches the cube.
        change = self._g.square_().mul_(self.ray)
        torch.mul(change[0], 3 * self._first, out=self.slopes)
        torch.addcmul(self.slopes, change[1], 3 * self._third, out=self.slopes)

    def _step(self) -> Tensor:
        """A step of Newton's method from where the rays are, (n,).

        With growing chroma each channel goes up to the bound of sRGB or down to it: the step is the least at which one
        of them would arrive if it went on straight.
        """
        torch.copysign(_number(_HALF), self.slopes, out=self._arrival)
        self._arrival.sub_(self.linear).div_(self.slopes)
        step, second, third = self._arrival
        torch.minimum(step, second, out=step)
        return torch.minimum(step, third, out=step)

    def _expected(self) -> Tensor:
        """About the factor at the edge of sRGB, (n,)."""
        x, z = self.ray
        length = torch.abs(z, out=self._spare)
        hue = torch.abs(x, out=self._other)
        length.add_(hue)
        torch.div(z, length, out=hue)
        torch.add(_number(_HUES / 2), hue, alpha=_HUES / 2, out=hue)
        torch.copysign(hue, x, out=hue)
        row = torch.add(_number(-_BLACK * _ROW), self._y, alpha=_ROW, out=self._f[0]).floor_()
        hue.add_(row, alpha=2 * _HUES).add_(_HUES)
        places = self._places[: len(hue)].copy_(hue).clamp_(0, 2 * _HUES * _LIGHTNESSES - 1)  # white, and no numbers
        return torch.index_select(_edges(), 0, places, out=hue).div_(length).clamp_max_(1)
