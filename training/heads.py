"""Several methods that stand on one encoder, trained together: its maps are computed once for all of them."""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from typing_extensions import override

from colorlib import color, create_model
from colorlib.models import ColorModel, Encoder
from colorlib.models.larsson16 import Larsson16


class Heads(ColorModel):
    """Methods on one encoder, each of which learns what it would learn alone from the same photographs in grayscale.

    All see one gray, the L of CIE Lab, so that the encoder runs once. Alone, some see the gray of their paper, which
    differs where a photograph has colour. Their losses are summed. They share no parameter but the encoder's, which
    recipes freeze; so AdamW, whose steps do not depend on a loss's scale, trains each of them as if the others were not
    there.

    Args:
        heads: methods whose encoders have the same stages. They all get the first one's.

    Raises:
        ValueError: no methods, one of them twice, one without an encoder, or encoders with different stages.
    """

    def __init__(self, heads: Sequence[ColorModel]):
        super().__init__()
        without = [head.name for head in heads if not isinstance(getattr(head, "encoder", None), Encoder)]
        if not heads or without or len({head.name for head in heads}) < len(heads):
            said = f"{', '.join(without)} have none" if without else f"got {', '.join(head.name for head in heads)}"
            raise ValueError(f"expected different methods, each on an encoder; {said}")
        first, *others = heads
        self.encoder = _encoder(first)
        for head in others:
            theirs = _encoder(head)
            if (theirs.names, theirs.channels) != (self.encoder.names, self.encoder.channels):
                raise ValueError(
                    f"{first.name} reads {', '.join(self.encoder.names)} of its encoder, {head.name} reads "
                    f"{', '.join(theirs.names)}: train them in separate runs"
                )
            head.encoder = self.encoder
        self.heads = nn.ModuleDict({head.name: head for head in heads})
        self.target, self.stride = first.target, max(head.stride for head in heads)
        self.name = "+".join(self.heads)

    @classmethod
    def create(cls, names: Sequence[str], *, embedded: bool, **settings: Any) -> "Heads":
        """Methods by their names, on the encoder that the settings name.

        Args:
            names: in the registry.
            embedded: begin with their embedded weights, but for the encoder.
            **settings: of every method's builder, such as ``encoder_weights="larsson16_small"``.
        """
        fresh = [create_model(name, **settings) for name in names]
        if not embedded:
            return cls(fresh)
        heads = [create_model(name, pretrained=True) for name in names]
        for head, with_encoder in zip(heads, fresh, strict=True):
            _encoder(head).load_state_dict(_encoder(with_encoder).state_dict())
        return cls(heads)

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        first: Tensor = next(iter(self._heads().values())).predict(lightness)
        return first

    @override
    def calibrate(self, rgb: Tensor) -> None:
        """Calibrate those that leave the encoder as it is; Larsson's would rescale it under the others."""
        for head in self._heads().values():
            if not isinstance(head, Larsson16):
                head.calibrate(rgb)

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """The sum of the heads' losses, and each under the head's name."""
        lightness = self.to_input(rgb if shown is None else shown)
        gray = color.lightness_to_gray(lightness).expand_as(rgb)  # every paper's gray of this picture is the same
        with self.encoder.reading(self.pad(lightness)):
            losses = {name: head.losses(rgb, label, gray)["loss"] for name, head in self._heads().items()}
        return {"loss": sum(losses.values(), start=lightness.new_zeros(())), **losses}

    def colorize_all(self, rgb: Tensor) -> dict[str, Tensor]:
        """What each method makes of photographs: sRGB (N, 3, H, W) in [0, 1] -> sRGB (N, 3, H, W) by its name."""
        return {name: head.colorize(rgb) for name, head in self._heads().items()}

    def _heads(self) -> dict[str, ColorModel]:
        return {name: cast(ColorModel, head) for name, head in self.heads.items()}


def _encoder(method: ColorModel) -> Encoder:
    return cast(Encoder, method.get_submodule("encoder"))
