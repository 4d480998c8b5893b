"""Angles of colours for white balance, as maps. This module needs torch: see :mod:`loading`."""

import torch
import torch.nn.functional as F
from keys import ANGLE_SHOWN
from torch import Tensor

from colorlib.metrics.functional import angles


def error_angles(rgb: Tensor, truth: Tensor) -> Tensor:
    """Between the colours of two pictures, (3, H, W): degrees (H, W); nan where the second is dark."""
    return angles(rgb[None], truth[None])[0]


def light_angles(gains: Tensor, size: tuple[int, int]) -> Tensor:
    """How far from gray the light is that a method takes away: gains (3, h, w) -> degrees, of a size (H, W).

    Scaling by the gains makes the light gray, so it is their inverse. Each pixel has an angle, as some methods see more
    than one light.
    """
    light = 1 / gains
    cosine = F.cosine_similarity(light, torch.ones_like(light), dim=0).clamp(max=1)
    found = cosine.double().arccos().rad2deg().to(gains)
    return F.interpolate(found[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


def shown(degrees: Tensor) -> Tensor:
    """A map of angles (H, W) to look at: gray (3, H, W), from black at 0 to white at ANGLE_SHOWN; nan is black."""
    return (degrees.nan_to_num(0) / ANGLE_SHOWN).clamp(0, 1).expand(3, -1, -1)
