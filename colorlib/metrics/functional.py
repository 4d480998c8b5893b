"""Metrics of the papers as pure functions, one value per image: sRGB (N, 3, H, W) in [0, 1], twice -> (N,)."""

import torch
from torch import Tensor

from colorlib import color


def rmse_alphabeta(preds: Tensor, target: Tensor) -> Tensor:
    r"""Mean over pixels of the Euclidean distance in alpha-beta (Larsson et al. 2016, eq. 10).

    Despite the name no square is averaged. The paper pools the pixels of all images, which for images of one size is
    the mean of these values; weigh them by pixel count otherwise.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, lower is better; in the units of :func:`colorlib.color.rgb_to_alphabeta`.

    Example:
        >>> import torch
        >>> red, gray = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> rmse_alphabeta(gray, red).item()  # alpha = -0.5, beta = 1, over L = 1/3 + 1e-4
        3.3530...
    """
    _check_pair(preds, target)
    difference = color.rgb_to_alphabeta(preds) - color.rgb_to_alphabeta(target)
    distance: Tensor = torch.linalg.vector_norm(difference, dim=-3)
    return distance.mean(dim=(-2, -1))


def psnr(preds: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, over its pixels and channels (Larsson et al. 2016, eq. 11).

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), higher is better; infinite where the two are equal. A data set's PSNR is the mean of these.

    Example:
        >>> import torch
        >>> psnr(torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.6)).item()
        19.99...
    """
    _check_pair(preds, target)
    return -10 * (preds - target).square().mean(dim=(-3, -2, -1)).log10()


def angular_error(preds: Tensor, target: Tensor, threshold: float = 150) -> Tensor:
    """Mean angle in degrees between colours as vectors (R, G, B) (Zhu and Funt 2018, table 2).

    Only pixels count that are not dark in the target, since the hue of a dark one may be anything. Black in ``preds``
    has no direction and counts as 0.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).
        threshold: pixels count whose R + G + B, of values up to 255, is above this in the target.

    Returns:
        (N,), at least 0, lower is better; nan where no pixel counts.

    Example:
        >>> import torch
        >>> preds, target = torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> angular_error(preds, target).item()
        45.0
    """
    _check_pair(preds, target)
    # Not the arc cosine, whose slope at 1 turns float32's rounding into hundredths of a degree.
    sine = torch.linalg.vector_norm(torch.linalg.cross(preds, target, dim=1), dim=1)
    angle = torch.atan2(sine, (preds * target).sum(dim=1)).rad2deg()
    counts = 255 * target.sum(dim=1) > threshold
    return (angle * counts).sum(dim=(-2, -1)) / counts.sum(dim=(-2, -1))


def _check_pair(preds: Tensor, target: Tensor) -> None:
    if preds.shape != target.shape or preds.ndim != 4 or preds.shape[1] != 3:
        raise ValueError(
            f"expected preds and target of one shape (N, 3, H, W), got {tuple(preds.shape)} and {tuple(target.shape)}"
        )
