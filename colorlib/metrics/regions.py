"""Scores of regions of a photograph that people look at first: isolated blotches of colour, and skin.

See :mod:`colorlib.metrics.functional` for what all scores have in common.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colorlib._maths import angle, root
from colorlib.image import shrink_area
from colorlib.metrics._batches import Photos, pairs
from colorlib.metrics.delta_e import delta_e_2000

BLOTCH_SIDE = 256  # pixels of the short side at which blotches are looked for
BLOTCH_AREA = 0.002, 0.05  # of the picture: a smaller patch is a speck, a larger one a wall or a sky
VIVID, NEARLY_GRAY = 25, 10  # chroma of CIE Lab: above it a patch glares, below it a photograph looks gray
SKIN_SHARE = 0.005  # of the pixels: of fewer, a photograph says nothing about a group
ITA_MEDIUM, ITA_LIGHT = 10, 41  # degrees


def blotch(preds: Tensor, target: Tensor) -> Tensor:
    """Whether a picture has an isolated blotch of colour where the photograph is nearly gray.

    A blotch is a connected patch of 0.2 to 5 % of the picture in which the chroma of CIE Lab is above 25, and the
    photograph's below 10. Pixels are connected that touch at a side or a corner. Both pictures are first shrunk, by
    averaging over areas, until the short side has 256 pixels; smaller ones stay as they are. The mean of this score
    over photographs is the share of pictures with a blotch.

    Patches are found on the host, so a GPU is waited for.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), 1 or 0, lower is better. It has no gradient.

    Example:
        >>> import torch
        >>> gray = torch.full((1, 3, 20, 20), 0.5)
        >>> stained = gray.clone()
        >>> stained[:, 0, 5:8, 5:8] = 1  # 9 of 400 pixels, 2.25 %
        >>> blotch(stained, gray)
        tensor([1.])
    """
    return torch.cat([_blotch(*pair) for pair in pairs(preds, target)])


@torch.no_grad()
def _blotch(preds: Photos, target: Photos) -> Tensor:
    chroma, true = (_chroma(Photos(shrink_area(photos.rgb, BLOTCH_SIDE)).lab) for photos in (preds, target))
    stained = ((chroma > VIVID) & (true < NEARLY_GRAY)).cpu().numpy()
    found = [_has_patch(one) for one in stained]
    return torch.tensor(found, dtype=preds.rgb.dtype, device=preds.rgb.device)


def _has_patch(mask: NDArray[np.bool_]) -> bool:
    """Whether a connected part of a mask (H, W) is of the size of a blotch."""
    least, most = (share * mask.size for share in BLOTCH_AREA)
    if mask.sum() < least:
        return False
    from skimage.measure import label  # here, since it takes as long to import as all other metrics together

    areas = np.bincount(label(mask, connectivity=2).ravel())[1:]
    return bool(((areas >= least) & (areas <= most)).any())


def _chroma(lab: Tensor) -> Tensor:
    return root(lab[:, 1:].square().sum(dim=1))


def skin_ciede2000(preds: Tensor, target: Tensor) -> Tensor:
    """Mean Delta E 2000 over a photograph's skin, in three groups from dark to light tones.

    Skin is what has the colour of skin in daylight by the rule of Kovač, Peer and Solina 2003: of values up to 255,
    R > 95, G > 40, B > 20, R - G > 15 and R > B. (The paper's range, max - min > 15, follows from these.) The tone is
    the Individual Typology Angle, ITA = atan2(L - 50, b) in degrees (Chardon et al. 1991), of each pixel; groups join
    the six classes of Del Bino and Bernerd 2013 in pairs: dark is up to 10 degrees (brown and dark skin), medium up to
    41 (tan and intermediate), light above (light and very light).

    The rule knows colours and nothing else. So it also finds wood, sand, brick and brown clothes, and misses skin in
    coloured light, in black and white, and in deep shade. The tone is one of pixels, so the shaded side of a light face
    counts as darker. Compare methods by it on photographs of people, all in the same ones.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W); skin and its tone are found here.

    Returns:
        (N, 3), dark, medium and light, at least 0, lower is better; nan where less than 0.5 % of a photograph's pixels
        are of a group.

    Example:
        >>> import torch
        >>> brown, beige = torch.tensor([0.45, 0.3, 0.2]), torch.tensor([0.95, 0.8, 0.7])  # ITA -33 and 63 degrees
        >>> photo = torch.stack([brown, beige], dim=1)[None, :, None]
        >>> skin_ciede2000(photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1), photo)
        tensor([[17.5406,     nan, 15.1072]])
    """
    return torch.cat([_skin_ciede2000(*pair) for pair in pairs(preds, target)])


def _skin_ciede2000(preds: Photos, target: Photos) -> Tensor:
    difference = delta_e_2000(preds.lab, target.lab)
    fewest = SKIN_SHARE * difference.shape[-2:].numel()
    means = []
    for group in _skin_groups(target):
        pixels = group.sum(dim=(-2, -1))
        mean = (difference * group).sum(dim=(-2, -1)) / pixels.clamp(min=1)
        means.append(mean.where(pixels >= fewest, math.nan))
    return torch.stack(means, dim=1)


def _skin_groups(photos: Photos) -> tuple[Tensor, Tensor, Tensor]:
    """Where a photograph's skin is dark, medium and light, (N, H, W) each."""
    # 8-bit values that equal a threshold must not count by rounding.
    red, green, blue = (255 * photos.rgb - 1e-3).unbind(dim=1)
    skin = (red > 95) & (green > 40) & (blue > 20) & (red - green > 15 + 1e-3) & (red > blue + 1e-3)
    lightness, _, b = photos.lab.unbind(dim=1)
    tone = angle(lightness - 50, b).rad2deg()
    light = skin & (tone > ITA_LIGHT)
    dark = skin & (tone <= ITA_MEDIUM)
    return dark, skin & ~dark & ~light, light
