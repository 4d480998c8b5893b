"""Functions with a corner, differentiable there too: where the slope is infinite or undefined, it counts as 0.

Their values are torch's own, bit for bit.
"""

import torch
from torch import Tensor


def root(x: Tensor) -> Tensor:
    """Square root, of any shape. Its slope at 0 counts as 0, which is one of a norm's subgradients."""
    return _held(x, x != 0).sqrt()


def log10(x: Tensor) -> Tensor:
    """Logarithm, -inf at 0, of any shape. Its slope counts as 0 at 0 and, in float32, below 1e-38."""
    return _held(x, x > torch.finfo(x.dtype).tiny).log10()


def angle(y: Tensor, x: Tensor) -> Tensor:
    """atan2 in radians, of one shape. Its slope counts as 0 at the origin, and within 1e-19 of it in float32."""
    away = x.square() + y.square() > torch.finfo(x.dtype).tiny  # which the slope is divided by
    return torch.atan2(_held(y, away), _held(x, away))


def _held(x: Tensor, smooth: Tensor) -> Tensor:
    """The same values, constants to autograd where they are not smooth: what comes back there, nan too, is dropped."""
    return x.where(smooth, x.detach())
