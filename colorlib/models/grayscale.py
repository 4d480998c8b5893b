"""The baseline every colourisation must beat: no colour at all."""

import torch
from torch import Tensor
from typing_extensions import override

from colorlib.models._base import ColorModel
from colorlib.models._registry import register_model
from colorlib.targets import Regression


class Grayscale(ColorModel):
    """Predicts zero chroma everywhere; has no parameters."""

    work_size = 32  # the answer is the same at every size, and to make lightness of a large one takes time

    def __init__(self) -> None:
        super().__init__()
        self.target = Regression("lab", low=-1, high=1)

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        return torch.zeros_like(lightness).expand(-1, self.target.channels, -1, -1)


@register_model("Grayscale", learned=False)
def grayscale() -> Grayscale:
    """The photograph without colour, the row every method is compared with."""
    return Grayscale()
