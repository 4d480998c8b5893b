"""Pictures under casts, without colour and smaller, and how far apart two are."""

from typing import Literal

import torch.nn.functional as F
from keys import CASTS, ERROR_SHOWN, Errors
from torch import Tensor

from colorlib import color, io
from colorlib.casts import global_cast, ramp_cast
from colorlib.gallery import looks_coloured
from colorlib.metrics.delta_e import delta_e_2000
from colorlib.metrics.functional import angular_error, ciede2000, psnr, rmse_alphabeta, saturation_difference
from colorlib.toning import toning


def kind_of(rgb: Tensor) -> Literal["gray", "toned", "colour"]:
    """What a photograph, sRGB (3, H, W), is: only one in colour can be scored against, or balanced."""
    if toning(rgb) is not None:
        return "toned"
    return "colour" if looks_coloured(rgb) else "gray"


def to_gray(rgb: Tensor) -> Tensor:
    """The lightness alone, as the methods see it: sRGB (3, H, W) -> sRGB (3, H, W)."""
    return color.lightness_to_gray(color.rgb_to_lightness(rgb)).expand(3, -1, -1)


def angle_between(rgb: Tensor, truth: Tensor) -> float:
    """Mean angle in degrees between the colours of two pictures, (3, H, W); nan where all of the second is dark."""
    return angular_error(rgb[None], truth[None]).item()


def errors_of(rgb: Tensor, truth: Tensor) -> Errors:
    """How far a picture is from another, both sRGB (3, H, W)."""
    scores = (ciede2000, rmse_alphabeta, psnr, saturation_difference)
    return Errors(*(score(rgb[None], truth[None]).item() for score in scores))


def under_cast(rgb: Tensor, cast: str) -> Tensor:
    """A simulated cast of colour, one of CASTS: sRGB (3, H, W) -> sRGB (3, H, W)."""
    settings = CASTS[cast]
    return (ramp_cast if "towards" in settings else global_cast)(rgb[None], **settings)[0]


def error_map(rgb: Tensor, truth: Tensor) -> Tensor:
    """Where two pictures, sRGB (3, H, W), differ: gray (3, H, W), from black, alike, to white, `ERROR_SHOWN` apart."""
    apart = delta_e_2000(color.rgb_to_lab(rgb), color.rgb_to_lab(truth))
    return (apart / ERROR_SHOWN).clamp(0, 1).expand(3, -1, -1)


def shrink(photo: io.Photo, longest: int) -> io.Photo:
    """A copy for the page: 8 bits, without metadata, no side longer than ``longest``."""
    height, width = photo.rgb.shape[-2:]
    scale = min(1, longest / max(height, width))
    size = [max(1, round(side * scale)) for side in (height, width)]

    def resize(planes: Tensor) -> Tensor:
        return F.interpolate(planes[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)

    return io.Photo(resize(photo.rgb), None if photo.alpha is None else resize(photo.alpha), name=photo.name)
