"""A method as it is measured: a name, with settings that differ from its own, and what paints by it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from colorlib import io
from colorlib.catalog import Task
from colorlib.colorizer import Colorizer
from colorlib.models import ColorModel, model_info
from colorlib.painting import balance_as_published
from colorlib.weights import locate, sha256_of

Transfer = Literal["energy", "quantile"]
# Of the target, as experiments vary them (Larsson et al. 2016, tables 1 and 5).
TARGET_SETTINGS: dict[str, Callable[[str], Any]] = {
    "decoder": str,
    "fading": float,
    "temperature": float,
    "smoothing": float,
    "saturation": float,
}
_WORDS = {"look": ("vivid",), "picture": ("network",), "mirror": ("true",)}  # settings that are there or not


@dataclass(frozen=True)
class Method:
    """A method and its settings.

    Attributes:
        name: as results name it: ``larsson16_small``, or ``larsson16_small:decoder=mode,fading=0``.
        model: a name of the registry, a weights file or folder, or a module.
        settings: `decoder`, `fading`, `temperature`, `smoothing` and `saturation` of its target, ``look=vivid`` for
            those that :class:`colorlib.Colorizer` has by default, ``mirror=true`` for the mean with the mirror image,
            `size` at which the network sees photographs, `transfer` (``energy`` or ``quantile``) of each photograph's
            true colours (Larsson et al. 2016, 3.4), and ``picture=network``: the network's own picture at the
            photograph's size (:meth:`colorlib.models.ColorModel.colorize`), where else its gains or its colours at the
            size at which it works are put on the photograph.
    """

    name: str
    model: str | PathLike[str] | ColorModel
    settings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, model: "str | PathLike[str] | ColorModel | Method") -> "Method":
        """A method from what names it: ``NAME`` or ``NAME:SETTING=VALUE,...``.

        Raises:
            ValueError: an unknown setting, or neither a method nor a file of that name.
            WeightsError: a repository on the Hub that is not available.
        """
        if isinstance(model, Method):
            return model
        if isinstance(model, ColorModel):
            return cls(model.name, model)
        name, colon, text = str(model).rpartition(":")
        if not colon or "=" not in text:  # such as the drive of a path
            name, text = str(model), ""
        settings = tuple((key, value) for key, _, value in (part.partition("=") for part in text.split(",") if part))
        known = {*TARGET_SETTINGS, "size", "transfer", *_WORDS}
        for key, value in settings:
            allowed = get_args(Transfer) if key == "transfer" else _WORDS.get(key)
            if key not in known or (allowed and value not in allowed):
                expected = f"{key} to be {' or '.join(allowed)}" if allowed else f"one of {', '.join(sorted(known))}"
                raise ValueError(f"{model}: there is no setting {key}={value}; expected {expected}")
        return cls(str(model), locate(name), settings)

    @property
    def task(self) -> Task:
        """What it does.

        Raises:
            WeightsError: the weights file does not say whose it is.
        """
        return model_info(self.model).task if isinstance(self.model, str) else self.painter("cpu").task

    @property
    def weights(self) -> str:
        """The sha256 of its weights; empty if there is nothing to learn."""
        if isinstance(self.model, ColorModel):
            tensors = self.model.state_dict()
            return _digest(tensors[name] for name in sorted(tensors)) if tensors else ""
        return sha256_of(self.model)

    def painter(self, device: str | torch.device = "auto", *, true_histogram: bool = False) -> "Painter":
        """Load it.

        Args:
            device: as of :class:`colorlib.Colorizer`.
            true_histogram: where nothing else is set, `transfer` by energy if it predicts distributions, else by
                quantiles.

        Raises:
            ValueError: an unknown name, or a setting that the method does not have, or that would have no effect.
            WeightsError: no weights, or weights that are damaged.
        """
        return Painter(self, device, true_histogram)


class Painter:
    """Paints batches of photographs by a method.

    Attributes:
        colorizer: what does it.
        transfer: how each photograph's true colours are shown to the method, if at all.
    """

    def __init__(self, method: Method, device: str | torch.device, true_histogram: bool):
        settings: dict[str, Any] = dict(method.settings)
        size = settings.pop("size", None)
        self.transfer: Transfer | None = settings.pop("transfer", None)
        self._own_picture, vivid, mirror = (
            settings.pop(word, None) is not None for word in ("picture", "look", "mirror")
        )
        given = {"size": size, "mirror": mirror, "transfer": self.transfer or true_histogram}
        if self._own_picture and (ignored := [key for key, value in given.items() if value]):
            raise ValueError(
                f"{method.name}: picture=network is what the network makes of the photograph at its own size, without "
                f"{' or '.join(ignored)}; leave out one of them"
            )
        self.colorizer = Colorizer(
            method.model, device=device, size=int(size) if size else None, vivid=vivid, mirror=mirror
        )
        target = self.colorizer.target
        if self.transfer == "energy" and not self.colorizer.distribution:
            raise ValueError(f"{method.name}: predicts no distribution, so transfer=quantile is all that works")
        for key, value in settings.items():
            if not hasattr(target, key):
                raise ValueError(f"{method.name}: {type(target).__name__} has no setting {key!r}")
            setattr(target, key, TARGET_SETTINGS[key](value))
        if true_histogram and self.transfer is None:
            self.transfer = "energy" if self.colorizer.distribution else "quantile"

    @property
    def task(self) -> Task:
        """What the method does."""
        return self.colorizer.task

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        """Photographs of one size: sRGB (N, 3, H, W) -> sRGB (N, 3, H, W) on the method's device."""
        if self._own_picture:
            return self._picture(rgb.to(self.colorizer.device, torch.float32))
        if self.task == "balance":
            # What a user gets spares white and gray, which no paper does.
            return balance_as_published(self.colorizer.model, self.colorizer.seen(rgb), rgb.to(self.colorizer.device))
        if self.transfer is None:
            # Not by Colorizer.batch, whose fast painting differs by a little: rows stay the same.
            return self.colorizer.paint(rgb).on(rgb.to(self.colorizer.device, torch.float32))
        return torch.stack([self._with_true_colours(one) for one in rgb])

    def _picture(self, rgb: Tensor) -> Tensor:
        """The network's own, with the settings of this method."""
        model, before = self.colorizer.model, self.colorizer.model.target
        model.target = self.colorizer.target
        try:
            return model.colorize(rgb)
        finally:
            model.target = before

    def _with_true_colours(self, rgb: Tensor) -> Tensor:
        photo = io.Photo(rgb.cpu())
        if self.colorizer.model.takes_reference and not self.colorizer.distribution:
            result = self.colorizer.result(photo, reference=photo, smaller=False)
        else:
            result = self.colorizer.result(photo, smaller=False).transfer(photo, self.transfer)
        return result.paint.on(result.photo.rgb[None].to(self.colorizer.device))[0]  # as above


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
