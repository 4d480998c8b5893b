"""Several methods at once: the colour that most of them agree on, and how far apart they are. It is no paper's.

At every pixel each member says an (a, b) of CIE Lab. The answer is their geometric median, from which the sum of
distances to theirs is least. Where one says green and four say brown, a mean is a greenish brown, and the geometric
median is brown: as long as most of the weight is in one place, it matters little how far away the rest is.

There is no formula for it. Weiszfeld's algorithm (E. Weiszfeld, "Sur le point pour lequel la somme des distances de n
points donnés est minimum", Tohoku Mathematical Journal 43, 1937, pages 355 to 386) takes mean after mean, in which each
point weighs the inverse of its distance from the last mean. Here each step is half as long again, which still leads
there (L. M. Ostresh, "On the convergence of a class of iterative methods for solving the Weber location problem",
Operations Research 26, 1978), and their number is fixed: to ask whether it is near enough would make an accelerator
wait, and cannot be exported.

All members see the photograph at one size, and as one gray, the L of CIE Lab; on a grayscale photograph it is the gray
of each of their papers.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib._maths import root
from colorlib.models._backbones import Encoder
from colorlib.models._base import ColorModel
from colorlib.models._registry import model_info, register_model
from colorlib.targets import Regression

STEPS, STEP = 24, 1.5
NEAR = 0.5  # of (a, b): a nearer point weighs about as one so far away, or the first to be met would hold the mean


class Centre(Regression):
    """(a, b) of CIE Lab and how far the members are from it: three channels in units of a and b."""

    def __init__(self) -> None:
        super().__init__("lab", low=-1, high=1, bound=1)
        self.channels = 3

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """Mean squared error of (a, b)."""
        return super().loss(prediction[:, :2], encoded)

    @override
    def to_ab(self, prediction: Tensor, lightness: Tensor) -> Tensor:
        return super().to_ab(prediction[:, :2], lightness)

    @override
    def disagreement(self, prediction: Tensor) -> Tensor:
        return prediction[:, 2:]


class Consensus(ColorModel):
    """The geometric median of what its members say, at every pixel.

    Args:
        members: methods that colour, by name.

    Attributes:
        certainty: how much each of them counts, (K,), at least 0 and not all 0; at first all alike. It is kept with
            the weights, and may be set: see :meth:`weigh`.

    Raises:
        ValueError: no members, or one that does not colour.
    """

    stride = 32
    output_stride = 2
    work_size = 192
    certainty: Tensor

    def __init__(self, members: Mapping[str, ColorModel]):
        super().__init__()
        if not members:
            raise ValueError("expected at least one member, got none")
        for name, member in members.items():
            if member.task != "colorize" or self.stride % member.stride:
                raise ValueError(f"expected members that colour, with a stride that divides {self.stride}; got {name}")
        self.members = nn.ModuleDict(members)
        self.register_buffer("certainty", torch.ones(len(members), dtype=torch.float32))
        self.target = Centre()

    def weigh(self, certainty: Mapping[str, float]) -> None:
        """Set how much each member counts, by name.

        Raises:
            ValueError: other names, or numbers that are negative, not finite or all 0.
        """
        if certainty.keys() != self.members.keys():
            raise ValueError(f"expected the certainty of {', '.join(self.members)}; got that of {', '.join(certainty)}")
        values = self.certainty.new_tensor([certainty[name] for name in self.members])
        if not (all(0 <= value < math.inf for value in certainty.values()) and any(certainty.values())):
            raise ValueError(f"expected finite certainties of at least 0, one of them above; got {dict(certainty)}")
        self.certainty = values

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        """L (N, 1, H, W), sides multiples of 32 -> a, b and the disagreement, (N, 3, H / 2, W / 2)."""
        said = self.answers(lightness)
        weights = self.certainty.to(said.dtype)[:, None, None, None, None]
        centre = geometric_median(said, weights)
        distance = root((said - centre).square().sum(dim=2, keepdim=True))
        return torch.cat([centre, _mean(distance, weights)], dim=1)

    def answers(self, lightness: Tensor) -> Tensor:
        """What each member says: L (N, 1, H, W), sides multiples of 32 -> (a, b), (K, N, 2, H / 2, W / 2)."""
        members = [cast(ColorModel, member) for member in self.members.values()]
        with ExitStack() as stack:
            for encoder in _shared(members):
                stack.enter_context(encoder.reading(lightness))
            return torch.stack([self._ab(member, lightness) for member in members])

    def _ab(self, member: ColorModel, lightness: Tensor) -> Tensor:
        """Of one member, at the consensus's resolution: (N, 2, H / 2, W / 2)."""
        if member.takes_reference:
            # The picture as its own reference: the same, but without asking for its size, which cannot be exported.
            raw = member.predict_after(lightness, color.lightness_to_gray(lightness).expand(-1, 3, -1, -1))
        else:
            raw = member.predict(lightness)
        ab = member.target.to_ab(raw, F.avg_pool2d(lightness, member.output_stride))
        if member.output_stride < self.output_stride:
            return F.avg_pool2d(ab, self.output_stride // member.output_stride)
        scale = member.output_stride // self.output_stride
        return F.interpolate(ab, scale_factor=scale, mode="bilinear") if scale > 1 else ab

    @override
    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """Each member's own loss, by its name, and their sum."""
        each = {
            name: cast(ColorModel, member).losses(rgb, label, shown)["loss"] for name, member in self.members.items()
        }
        return {"loss": torch.stack([*each.values()]).sum(), **each}

    @override
    def calibrate(self, rgb: Tensor) -> None:
        for member in self.members.values():
            cast(ColorModel, member).calibrate(rgb)


def _shared(members: Iterable[ColorModel]) -> list[Encoder]:
    """The encoders that more than one member stands on."""
    found = Counter(getattr(member, "encoder", None) for member in members)
    return [encoder for encoder, count in found.items() if count > 1 and isinstance(encoder, Encoder)]


def geometric_median(points: Tensor, weights: Tensor) -> Tensor:
    """The point from which the weighted sum of distances to K points is least, at every pixel; by Weiszfeld's steps.

    A distance d counts as the root of d^2 + NEAR^2.

    Args:
        points: (K, N, C, h, w).
        weights: of each, at least 0 and nowhere 0 for all: (K, N, 1, h, w), or what broadcasts to it.

    Returns:
        (N, C, h, w).
    """
    centre = _mean(points, weights)
    for _ in range(STEPS):
        distance = ((points - centre).square().sum(dim=2, keepdim=True) + NEAR**2).sqrt()
        centre = torch.lerp(centre, _mean(points, weights / distance), STEP)
    return centre


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Over the first dimension."""
    mean: Tensor = (weights * values).sum(dim=0) / weights.sum(dim=0)
    return mean


# Of five that err in different ways, those to which the fit of `training.certainty` gave more than a hundredth.
MEMBERS = ("larsson16_small", "larsson16_lab_joint_small", "hwang16_classification_small")


@register_model("Consensus")
def consensus() -> Consensus:
    """The weighted geometric median of the colours of three compact methods, and how far apart they are."""
    return Consensus({name: model_info(name).create() for name in MEMBERS})
