"""Toned prints: sepia, yellowed paper, cyanotypes. They have a colour, but none of the scene.

One dye, or one paper, gives each gray its colour, so chroma is a function of lightness. A print is toned if a cubic in
L explains its a and b. Of 16 scans of prints from 1860 to 1936, eleven had a chroma of 2 to 13; for ten of these, the
cubic left 0.4 to 1.6 unexplained. Of 828 photographs in colour, it left less than 2 for eight, some of which are black
and white.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import color
from colorlib._checks import check_photos

CELLS = 64  # along each side: their averages have the tone, and little of the noise of sensors and JPEG
LEAST = 1.0  # mean chroma below which a picture is gray
MOST = 2.0  # root mean square of (a, b) that the tone may leave unexplained; 2.3 is just noticeable


class Toning(NamedTuple):
    """The tone of a print.

    Attributes:
        chroma: mean over the picture, in units of a and b.
        rest: root mean square of the (a, b) that it does not explain.
        rgb: of a middle gray, L = 50, in that tone: sRGB in [0, 1].
    """

    chroma: float
    rest: float
    rgb: tuple[float, float, float]


def toning(rgb: Tensor) -> Toning | None:
    """The tone of a picture that has no other colour, or None: it is gray, or in colour.

    Args:
        rgb: sRGB in [0, 1], (3, H, W).

    Raises:
        TypeError: no tensor of floats.
        ValueError: another shape, or values outside [0, 1].

    Example:
        >>> import torch
        >>> from colorlib.toning import toning
        >>> gray = torch.linspace(0, 1, 100).expand(3, 100, 100)
        >>> sepia = gray * torch.tensor([1, 0.9, 0.7])[:, None, None]
        >>> round(toning(sepia).chroma), toning(gray)
        (15, None)
    """
    check_photos(rgb, "(3, H, W)")
    height, width = rgb.shape[-2:]
    cells = F.adaptive_avg_pool2d(rgb.double(), (min(height, CELLS), min(width, CELLS)))
    lab = color.rgb_to_lab(cells).flatten(1)
    lightness, ab = lab[0] / 100, lab[1:].T
    chroma = ab.norm(dim=1).mean().item()
    if chroma < LEAST:
        return None
    powers = torch.stack([lightness**k for k in range(4)], dim=1)
    # Where all cells are of one lightness, the powers are one and the same: the solver must take the least solution.
    curve = torch.linalg.lstsq(powers, ab, driver="gelsd" if rgb.device.type == "cpu" else None).solution
    rest = (ab - powers @ curve).square().sum(dim=1).mean().sqrt().item()
    if rest > MOST:
        return None
    middle = torch.stack([0.5**k * torch.ones((), dtype=curve.dtype, device=curve.device) for k in range(4)]) @ curve
    lab_of_middle = torch.cat([middle.new_full((1,), 50.0), middle])[:, None, None]
    red, green, blue = color.lab_to_rgb(lab_of_middle, gamut="reduce").flatten().tolist()
    return Toning(chroma, rest, (red, green, blue))
