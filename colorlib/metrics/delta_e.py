"""The colour difference Delta E 2000 of CIE Lab."""

import math

from torch import Tensor

from colorlib._maths import angle, root
from colorlib.metrics._batches import check_alike


def delta_e_2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Colour difference Delta E 2000 of each pixel (Sharma, Wu and Dalal 2005, with kL = kC = kH = 1).

    The formula itself jumps where hues are opposite: there rounding may move it by some hundredths.

    Args:
        lab1: CIE Lab, L in [0, 100], (*, 3, H, W).
        lab2: CIE Lab, L in [0, 100], (*, 3, H, W).

    Returns:
        (*, H, W), at least 0; float32 is good to 1e-4.

    Example:
        >>> import torch
        >>> first, second = torch.tensor([50.0, 2.6772, -79.7751]), torch.tensor([50.0, 0, -82.7485])
        >>> delta_e_2000(first.view(3, 1, 1), second.view(3, 1, 1)).item()
        2.0424...
    """
    check_alike("(*, 3, H, W)", "CIE Lab, L in [0, 100]", lab1=lab1, lab2=lab2)
    (l1, a1, b1), (l2, a2, b2) = lab1.unbind(dim=-3), lab2.unbind(dim=-3)
    # Near gray, a is stretched by up to a half.
    stretch = 1.5 - 0.5 * _vividness((_hypotenuse(a1, b1) + _hypotenuse(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = _hypotenuse(a1, b1), _hypotenuse(a2, b2)
    # In [0, 2 pi), on which rests how the formula turns between opposite hues: half a turn either way stays as it is.
    hue1, hue2 = (angle(b, a) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    turn = hue2 - hue1
    turn = turn - 2 * math.pi * (turn / (2 * math.pi)).round()
    hue, chroma, lightness = (hue1 + turn / 2) % (2 * math.pi), (chroma1 + chroma2) / 2, (l1 + l2) / 2 - 50

    weight = (
        1
        - 0.17 * (hue - math.radians(30)).cos()
        + 0.24 * (2 * hue).cos()
        + 0.32 * (3 * hue + math.radians(6)).cos()
        - 0.20 * (4 * hue - math.radians(63)).cos()
    )
    squared = lightness.square()
    dl = (l2 - l1) / (1 + 0.015 * squared / (20 + squared).sqrt())
    dc = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    dh = 2 * root(chroma1 * chroma2) * (turn / 2).sin() / (1 + 0.015 * chroma * weight)
    # Only blue is rotated.
    rotation = math.radians(60) * (-((hue - math.radians(275)) / math.radians(25)).square()).exp()
    return root(dl.square() + dc.square() + dh.square() - 2 * rotation.sin() * _vividness(chroma) * dc * dh)


def _hypotenuse(x: Tensor, y: Tensor) -> Tensor:
    return root(x.square() + y.square())


def _vividness(chroma: Tensor) -> Tensor:
    """0 of gray, towards 1 well above a chroma of 25."""
    power = (chroma / 25) ** 7
    return root(power / (1 + power))
