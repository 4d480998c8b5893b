"""Photographs of a protocol, if this machine has them, and what methods make of them, painted when asked for."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import color, list_models
from colorlib.benchmarks import DataError
from colorlib.benchmarks import protocol as find_protocol
from colorlib.benchmarks.methods import Method, Painter
from colorlib.benchmarks.photos import Photo
from colorlib.benchmarks.protocols import Protocol
from colorlib.casts import Kind
from colorlib.metrics.functional import delta_e_2000

THUMBNAIL = 160  # pixels on the long side
DARK = 150 / 255  # R + G + B up to which a pixel has no angle, as in the metric


@dataclass(frozen=True, eq=False)
class Pictures:
    """The photographs of a protocol.

    Attributes:
        protocol: how they are brought to size, and what methods see of them.
        photos: by name.
    """

    protocol: Protocol
    photos: dict[str, Photo]

    def load(self, name: str, cast: Kind | None) -> tuple[Tensor, Tensor]:
        """A photograph, and what methods see of it, gray or under a cast: sRGB (3, H, W) twice."""
        true = self.protocol.load(self.photos[name])
        if cast:
            return true, self.protocol.cast(true, name, cast)
        return true, true.mean(dim=0, keepdim=True).expand_as(true)

    def paint(self, method: str, name: str, cast: Kind | None) -> Tensor:
        """What a method makes of it, as it was scored: sRGB (3, H, W)."""
        return _paint(self, method, name, cast)

    def thumbnail(self, method: str, name: str, cast: Kind | None) -> Tensor:
        """The same, small; of methods that cannot be run here, the photograph."""
        rgb = self.paint(method, name, cast) if runnable(method) else self.load(name, cast)[0]
        scale = THUMBNAIL / max(rgb.shape[-2:])
        return F.interpolate(rgb[None], scale_factor=scale, mode="area")[0] if scale < 1 else rgb


def runnable(method: str) -> bool:
    """Whether this machine has the method's weights."""
    return method.partition(":")[0] in list_models(ready=True)


@lru_cache(maxsize=8)
def find_pictures(protocol: str, roots: tuple[str, ...]) -> Pictures | None:
    """The photographs of a protocol below these folders; None if they are not all there."""
    try:
        found = find_protocol(protocol.partition("@")[0])
        photos = found.find([Path(root) for root in roots])
    except (ValueError, DataError):
        return None
    return Pictures(found, {photo.key: photo for photo in photos}) if found.id == protocol else None


@lru_cache(maxsize=256)
@torch.no_grad()
def _paint(pictures: Pictures, method: str, name: str, cast: Kind | None) -> Tensor:
    true, seen = pictures.load(name, cast)
    painted = _painter(method, pictures.protocol.true_histogram)((seen if cast else true)[None]).cpu()
    return pictures.protocol.corrected(painted, true[None])[0]


@lru_cache(maxsize=16)
def _painter(method: str, true_histogram: bool) -> Painter:
    return Method.of(method).painter("auto", true_histogram=true_histogram)


def error_map(rgb: Tensor, true: Tensor, measure: str) -> Tensor:
    """Where a picture errs: sRGB (3, H, W) twice -> (H, W), CIEDE2000 or ``"angle"`` in degrees, nan where dark."""
    if measure == "CIEDE2000":
        return delta_e_2000(color.rgb_to_lab(rgb), color.rgb_to_lab(true))
    angle = torch.atan2(torch.linalg.cross(rgb, true, dim=0).norm(dim=0), (rgb * true).sum(dim=0)).rad2deg()
    return angle.where(true.sum(dim=0) > DARK, torch.nan)
