"""The mean of what a method says of a photograph, and of its mirror image: errors that depend on the side cancel."""

import torch
from torch import Tensor
from typing_extensions import override

from colorlib.models import ColorModel


class Mirrored(ColorModel):
    """The mean of what a method says of a photograph, and of its mirror image."""

    def __init__(self, model: ColorModel):
        super().__init__()
        self.model, self.target, self.name = model, model.target, model.name
        self.stride, self.output_stride, self.work_size = model.stride, model.output_stride, model.work_size

    @override
    def to_input(self, rgb: Tensor) -> Tensor:
        return self.model.to_input(rgb)

    @override
    def pad(self, x: Tensor) -> Tensor:
        return self.model.pad(x)

    @override
    def crop(self, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        return self.model.crop(prediction, size)

    @property
    @override
    def takes_reference(self) -> bool:
        return self.model.takes_reference

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        return _mean(self.model.predict(_both(lightness)))

    @override
    def predict_after(self, lightness: Tensor, reference: Tensor) -> Tensor:
        return _mean(self.model.predict_after(_both(lightness), reference))


def _both(lightness: Tensor) -> Tensor:
    """Photographs, and behind them their mirror images: (N, 1, H, W) -> (2 N, 1, H, W)."""
    # As one batch: an encoder that keeps the maps of a photograph tells others from it by their shape alone.
    return torch.cat([lightness, lightness.flip(-1)])


def _mean(answers: Tensor) -> Tensor:
    """What is said of photographs and of their mirror images, put together: (2 N, C, h, w) -> (N, C, h, w)."""
    direct, mirrored = answers.chunk(2)
    return (direct + mirrored.flip(-1)) / 2
