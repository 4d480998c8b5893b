"""The photographs of a protocol, if this machine has them, and methods' results on them, painted on demand."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from store import known_protocol
from torch import Tensor

from colorlib import Colorizer, color
from colorlib.benchmarks import DataError, Protocol
from colorlib.benchmarks.methods import Method, Painter
from colorlib.benchmarks.photos import Photo
from colorlib.casts import Kind
from colorlib.catalog import catalog
from colorlib.metrics.functional import angles, delta_e_2000

THUMBNAIL = 160  # pixels on the long side


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
        """A photograph, and the input of the methods, grayscale or under a cast: sRGB (3, H, W) twice."""
        return _load(self, name, cast)

    def paint(self, method: str, name: str, cast: Kind | None) -> Tensor:
        """A method's result, as it was scored: sRGB (3, H, W)."""
        return _paint(self, method, name, cast)

    def thumbnail(self, method: str, name: str, cast: Kind | None) -> Tensor:
        """The same, small; for methods that cannot run here, the photograph."""
        rgb = self.paint(method, name, cast) if runnable(method) else self.load(name, cast)[0]
        scale = THUMBNAIL / max(rgb.shape[-2:])
        return F.interpolate(rgb[None], scale_factor=scale, mode="area")[0] if scale < 1 else rgb


def runnable(method: str) -> bool:
    """Whether this machine has the method's weights."""
    entry = catalog().get(method.partition(":")[0])
    return entry is not None and entry.ready


@lru_cache(maxsize=8)
def find_pictures(protocol: str, roots: tuple[str, ...]) -> Pictures | None:
    """The photographs of a protocol below these folders; None if they are not all there."""
    found = known_protocol(protocol)
    if found is None:
        return None
    try:
        photos = found.find([Path(root) for root in roots])
    except DataError:
        return None
    return Pictures(found, {photo.key: photo for photo in photos})


@lru_cache(maxsize=64)
def _load(pictures: Pictures, name: str, cast: Kind | None) -> tuple[Tensor, Tensor]:
    true = pictures.protocol.load(pictures.photos[name])
    seen = pictures.protocol.cast(true, name, cast) if cast else true.mean(dim=0, keepdim=True).expand_as(true)
    return true, seen


@lru_cache(maxsize=256)
@torch.no_grad()
def _paint(pictures: Pictures, method: str, name: str, cast: Kind | None) -> Tensor:
    true, seen = pictures.load(name, cast)
    painted = _painter(method, pictures.protocol.true_histogram)((seen if cast else true)[None]).cpu()
    return pictures.protocol.corrected(painted, true[None])[0]


@lru_cache(maxsize=16)
def _painter(method: str, true_histogram: bool) -> Painter:
    return Method.of(method).painter("auto", true_histogram=true_histogram)


@lru_cache(maxsize=2)
def style_gallery(method: str) -> tuple[list[NDArray[np.uint8]], list[list[NDArray[np.uint8]]]]:
    """Photographs of scikit-image, and each of them painted after each as reference (Iizuka et al. 2016, 4.5).

    Returns:
        The references, and a line per photograph: it in gray, then what comes of it; (H, W, 3) bytes each.
    """
    found = find_pictures("skimage@1", ())
    assert found is not None
    photos = [_square(found.load(name, None)[0]) for name in found.photos]
    colorizer = Colorizer(method)
    lines = []
    for photo in photos:
        painted = [colorizer(photo, reference=reference).rgb for reference in photos]
        lines.append([_bytes(x) for x in (photo.mean(dim=0, keepdim=True).expand_as(photo), *painted)])
    return [_bytes(photo) for photo in photos], lines


def _square(rgb: Tensor) -> Tensor:
    height, width = rgb.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[:, top : top + side, left : left + side]


def _bytes(rgb: Tensor) -> NDArray[np.uint8]:
    return (rgb * 255).round().byte().permute(1, 2, 0).numpy()


def error_map(rgb: Tensor, true: Tensor, measure: str) -> Tensor:
    """Where a picture errs: sRGB (3, H, W) twice -> (H, W), CIEDE2000 or ``"angle"`` in degrees, nan where dark."""
    if measure == "CIEDE2000":
        return delta_e_2000(color.rgb_to_lab(rgb), color.rgb_to_lab(true))
    return angles(rgb[None], true[None])[0]
