"""What a method puts on a photograph, and how it gets there: chroma on its own lightness, or gains on its channels.

Paint is as small as the network's picture of the photograph, and spreads over one of any size: a strip of rows at a
time, from the photograph's own 8 or 16 bits. Only who asks for it gets the result whole in floats, which take four
times as much memory.
"""

from abc import ABC, abstractmethod
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from colorlib import color, io, transfer
from colorlib._checks import is_concrete
from colorlib._fast_paint import Cover, Ground
from colorlib.image import resize_area, shrink_area, size_of, upsampled
from colorlib.models import ColorModel, WhiteBalance
from colorlib.targets import Histogram, Target, combine

GAIN_SIZE = 64  # short side at which gains, so smooth, are kept
# What was computed of photographs that are still in use, for the next method that paints on them.
_grounds: "WeakKeyDictionary[io.Photo, Ground]" = WeakKeyDictionary()
_SHOULDER = 0.8  # the value from which a channel counts as clipped, more and more until 1


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's answer before a colour was decided on.

    Attributes:
        logits: (channels, h, w), on the network's device.
        lightness: L of CIE Lab in [0, 100] at that size, (1, h, w).
        target: what the channels mean, and how they are decoded.
    """

    logits: Tensor
    lightness: Tensor
    target: Histogram

    def ab(self) -> Tensor:
        """The (a, b) that is decided on, (2, h, w)."""
        return self.target.chroma(self.logits[None], self.lightness[None])[0]

    def biased(self, bias: Tensor) -> "Prediction":
        """With another preference among the colours: (channels,), see :mod:`colorlib.transfer`."""
        return replace(self, logits=transfer.biased(self.target, self.logits[None], bias)[0])

    def cpu(self) -> "Prediction":
        """The same on the CPU."""
        return Prediction(self.logits.cpu(), self.lightness.cpu(), deepcopy(self.target).cpu())


@dataclass(frozen=True, eq=False)
class Paint(ABC):
    """What a method puts on N photographs of one size.

    Attributes:
        small: the map that is put on them, (N, channels, h, w), on the network's device.
    """

    small: Tensor

    @property
    @abstractmethod
    def ab(self) -> Tensor:
        """(a, b) of CIE Lab of what is painted, as small, (N, 2, h, w)."""

    @abstractmethod
    def put(self, rgb: Tensor, large: Tensor, strength: float = 1.0, saturation: float = 1.0) -> Tensor:
        """Paint photographs, or strips of them.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].
            large: :attr:`small` at that place and size, (N, channels, H, W); or (N, channels, 1, 1), for all of it.
            strength: 0 keeps their own colour, 1 takes the paint's; between, colours are mixed.
            saturation: factor on the chroma that results.

        Returns:
            sRGB (N, 3, H, W) in [0, 1].
        """

    def on(self, rgb: Tensor) -> Tensor:
        """Paint whole photographs, a strip at a time: sRGB (N, 3, H, W) in [0, 1] -> sRGB (N, 3, H, W).

        By :mod:`colorlib.color`, on any device; what benchmarks measure.
        """
        painted = torch.empty_like(rgb)
        for start, stop in io.strips(*size_of(rgb), len(rgb)):
            large = upsampled(self.small, size_of(rgb), start, stop)
            painted[:, :, start:stop] = self.put(rgb[:, :, start:stop], large)
        return painted

    def over(self, photo: io.Photo, strength: float = 1.0, saturation: float = 1.0) -> io.Planes:
        """The only photograph painted, on the CPU, a strip at a time whenever one is asked for.

        On the CPU chroma takes the fast road of :mod:`colorlib._fast_paint`, for nearly all pixels within a quarter
        of an 8-bit step of :meth:`on`. What it needs to know of the photograph is kept as long as the photograph.
        """
        rows = partial(self.rows, photo.planes, strength=strength, saturation=saturation)
        return io.Planes(photo.planes.shape, rows)

    def batch(self, rgb: Tensor) -> Tensor:
        """:meth:`on`, on the CPU by the fast road: sRGB (N, 3, H, W) in [0, 1] -> sRGB (N, 3, H, W)."""
        return self.on(rgb)

    @torch.no_grad()
    def rows(self, planes: io.Planes, start: int, stop: int, strength: float, saturation: float) -> Tensor:
        """Paint some rows of the only photograph: (3, stop - start, W) float32 on the CPU."""
        _, height, width = planes.shape
        painted = torch.empty(3, stop - start, width, dtype=torch.float32, device="cpu")
        for first, last in io.strips(stop - start, width):
            rgb = planes.rows(start + first, start + last).to(self.small.device)
            large = upsampled(self.small, (height, width), start + first, start + last)
            painted[:, first:last] = self.put(rgb[None], large, strength, saturation)[0]
        return painted

    def cpu(self) -> "Paint":
        """The same on the CPU."""
        return replace(self, small=self.small.cpu())


@dataclass(frozen=True, eq=False)
class Chroma(Paint):
    """(a, b) of CIE Lab, (N, 2, h, w), that replaces a photograph's; lightness stays exactly as it was.

    Attributes:
        prediction: what it was decided from; None if the method predicts no distribution, or for several photographs.
        disagreement: of a method that combines others, see :meth:`colorlib.targets.Target.disagreement`.
    """

    prediction: Prediction | None = None
    disagreement: Tensor | None = None

    @property
    @override
    def ab(self) -> Tensor:
        return self.small

    @override
    def put(self, rgb: Tensor, large: Tensor, strength: float = 1.0, saturation: float = 1.0) -> Tensor:
        if strength == 1:  # the usual case, in which the photograph's own chroma need not be known
            return combine(color.rgb_to_lightness(rgb), saturation * large)
        lab = color.rgb_to_lab(rgb)
        return combine(lab[:, :1], saturation * torch.lerp(lab[:, 1:], large, strength))

    @override
    def over(self, photo: io.Photo, strength: float = 1.0, saturation: float = 1.0) -> io.Planes:
        if self.small.device.type != "cpu":
            return super().over(photo, strength, saturation)
        cover = Cover(_ground(photo), self.small[0], strength, saturation)
        return io.Planes(photo.planes.shape, cover.rows, cover.levels)

    @override
    def batch(self, rgb: Tensor) -> Tensor:
        if self.small.device.type != "cpu":
            return super().batch(rgb)
        covers = (Cover(Ground(io.Photo(one)), small, 1.0, 1.0) for one, small in zip(rgb, self.small, strict=True))
        return torch.stack([cover.rows(0, rgb.shape[-2]) for cover in covers])

    @override
    def cpu(self) -> "Chroma":
        prediction = self.prediction and self.prediction.cpu()
        return Chroma(self.small.cpu(), prediction, None if self.disagreement is None else self.disagreement.cpu())


@dataclass(frozen=True, eq=False)
class Gains(Paint):
    """Factors on R, G and B, (N, 3, h, w) or (N, 3, 1, 1), put on a photograph by :func:`relit`.

    Attributes:
        seen: the photographs themselves at the size of the map, or nearly: sRGB (N, 3, h, w) in [0, 1].
    """

    seen: Tensor

    @property
    @override
    def ab(self) -> Tensor:
        return color.rgb_to_lab(relit(self.seen, self.small))[:, 1:]

    @override
    def put(self, rgb: Tensor, large: Tensor, strength: float = 1.0, saturation: float = 1.0) -> Tensor:
        mixed = torch.lerp(rgb, relit(rgb, large), strength)
        if saturation != 1:
            lab = color.rgb_to_lab(mixed)
            mixed = combine(lab[:, :1], saturation * lab[:, 1:])
        return mixed

    @override
    def cpu(self) -> "Gains":
        return Gains(self.small.cpu(), self.seen.cpu())


def paint(model: ColorModel, target: Target, seen: Tensor, reference: Tensor | None = None) -> Paint:
    """What a method puts on photographs.

    Args:
        model: the network.
        target: what its output means: the model's own target, or a copy with other settings.
        seen: the photographs as the network sees them, sRGB (N, 3, h, w) in [0, 1], on its device.
        reference: another photograph to take after, sRGB (1, 3, h, w), for methods that take after one.

    Raises:
        ValueError: the network gave nan or infinite colours.
    """
    if isinstance(model, WhiteBalance):
        return Gains(_finite(shrink_area(model.correction(seen), GAIN_SIZE), model), shrink_area(seen, GAIN_SIZE))
    raw: Tensor = model(model.to_input(seen), reference)
    if isinstance(target, Histogram):  # one logit may be -inf, a colour that has no chance; not all
        for logits in raw.split(target.sizes, dim=1):
            _finite(logits.amax(dim=1), model)
    else:
        _finite(raw, model)
    lightness = color.rgb_to_lightness(seen)
    if len(raw) > 1 or not isinstance(target, Histogram):
        return Chroma(_finite(target.chroma(raw, lightness), model), disagreement=target.disagreement(raw))
    prediction = Prediction(raw[0], resize_area(lightness, size_of(raw))[0], copy(target))
    return Chroma(_finite(prediction.ab()[None], model), prediction)


def _finite(colours: Tensor, model: ColorModel) -> Tensor:
    """The same; nan would be painted as some colour, and nobody would know."""
    if is_concrete(colours) and not colours.isfinite().all():
        advice = "its weights are damaged, or overflow in half precision: load them again, or use float32"
        raise ValueError(f"{model.name}: the network gave colours that are nan or infinite; {advice}")
    return colours


def _ground(photo: io.Photo) -> Ground:
    return _grounds.setdefault(photo, Ground(photo))


def balance_as_published(model: ColorModel, seen: Tensor, rgb: Tensor) -> Tensor:
    """White balance by a method's gains alone, as its paper has it: clipped highlights and gray pictures get them too.

    Args:
        model: a method of white balance.
        seen: the photographs as the network sees them, sRGB (N, 3, h, w) in [0, 1], on its device.
        rgb: the photographs, sRGB (N, 3, H, W) in [0, 1], there too.

    Returns:
        sRGB (N, 3, H, W) in [0, 1].

    Raises:
        TypeError: a method that colours.
    """
    if not isinstance(model, WhiteBalance):
        raise TypeError(f"expected a method of white balance, got {model.name}, which colours")
    gains = shrink_area(model.gains(seen), GAIN_SIZE)
    if size_of(gains) != (1, 1):
        gains = F.interpolate(gains, size=size_of(rgb), mode="bilinear", align_corners=False)
    return (rgb * gains).clamp(0, 1)


def relit(rgb: Tensor, gains: Tensor) -> Tensor:
    """Put gains on photographs: sRGB (N, 3, H, W) in [0, 1] and (N, 3, H, W) or (N, 3, 1, 1) -> sRGB, clipped.

    A channel near 1 may be clipped: what was there was brighter, by how much is lost, and a gain below 1 would give a
    highlight the complement's tint. So a clipped channel is raised to the lesser of the other two, at most by the
    greatest gain: that takes the tint away and adds no brightness of its own. A clipped one of the others counts with
    the greatest gain, so white stays white.
    """
    lit = rgb * gains
    near = ((rgb - _SHOULDER) / (1 - _SHOULDER)).clamp(min=0)
    clipped = near.square() * (3 - 2 * near)  # a smooth step
    bound = torch.maximum(lit, rgb * gains.amax(dim=1, keepdim=True).clamp(min=1))
    level = torch.lerp(lit, bound, clipped)
    lesser = torch.minimum(level[:, [1, 2, 0]], level[:, [2, 0, 1]])
    return torch.lerp(lit, torch.maximum(lit, torch.minimum(lesser, bound)), clipped).clamp(0, 1)
