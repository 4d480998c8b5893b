"""How much each member of the consensus counts: ``python -m training.certainty --data VAL.tar --data MORE.tar``.

The certainties are those by which the geometric median comes nearest to validation photographs. Gradient descent finds
them, since Weiszfeld's steps have gradients. Inverse squared errors and least squares, which suit a mean, came out
further away. Every source counts alike, however many photographs it has.
"""

from dataclasses import replace
from typing import Annotated

import torch
import typer
from torch import Tensor

from colorlib.catalog import list_weights, weights_index
from colorlib.color import rgb_to_lab
from colorlib.image import resize_area, size_of
from colorlib.models.consensus import Consensus, geometric_median
from colorlib.weights import create_model
from training.data import PhotoData

MOST = 0.45  # of all: a member that counts as much as the rest together is never overruled
STEPS, RATE = 60, 0.1
CELLS = 4  # every so many rows and columns of what members say


@torch.no_grad()
def ask(model: Consensus, photos: Tensor) -> tuple[Tensor, Tensor]:
    """What members say of photographs, and what is true, at some of the pixels.

    Args:
        model: in eval mode.
        photos: sRGB in [0, 1], (N, 3, H, W), sides multiples of 32.

    Returns:
        (a, b) of each member, (K, N, 2, h, w), and of the photographs, (N, 2, h, w).
    """
    said = torch.cat([model.answers(model.to_input(one)) for one in photos.split(1)], dim=1)
    true = resize_area(rgb_to_lab(photos)[:, 1:], size_of(said))
    return said[..., ::CELLS, ::CELLS], true[..., ::CELLS, ::CELLS]


def fit_certainty(said: Tensor, true: Tensor, most: float = MOST) -> list[float]:
    """How much each member is to count.

    Args:
        said: (a, b) of each of K members, (K, N, 2, h, w).
        true: (a, b) of the photographs, (N, 2, h, w).
        most: the greatest share; the rest keep their ratios.

    Returns:
        K shares of sum 1, rounded to two digits.

    Raises:
        ValueError: so few methods that one of them has to count more.
    """
    if most * len(said) < 1:
        raise ValueError(f"shares of at most {most} of {len(said)} methods do not add up to 1")
    logits = torch.zeros(len(said), requires_grad=True)
    descent = torch.optim.Adam([logits], lr=RATE)
    for _ in range(STEPS):
        descent.zero_grad()
        centre = geometric_median(said, logits.exp()[:, None, None, None, None])
        (centre - true).norm(dim=1).mean().backward()
        descent.step()
    shares = logits.detach().softmax(dim=0)
    capped = torch.zeros_like(shares, dtype=torch.bool)
    while (shares > most + 1e-6).any():
        capped |= shares > most
        rest = shares.masked_fill(capped, 0)
        shares = torch.where(capped, most, rest * (1 - most * capped.sum()) / rest.sum())
    return [round(share, 2) for share in shares.tolist()]


def load(source: str, count: int, size: int) -> Tensor:
    """Photographs spread over a folder or shard: sRGB in [0, 1], (count, 3, size, size)."""
    loader = PhotoData(val=source, size=size, resize=size, workers=0).val_dataloader()
    photos = torch.cat([batch["rgb"] for batch in loader])
    return photos[:: max(1, len(photos) // count)][:count] / 255


def main(
    data: Annotated[list[str], typer.Option(help="Folders or shards of photographs that no member was trained on.")],
    name: Annotated[str, typer.Argument(help="The method.")] = "consensus",
    photos: Annotated[int, typer.Option(min=1, help="How many to look at in each.")] = 80,
    size: Annotated[
        int, typer.Option(min=32, help="Side to which they are scaled; rounded to a multiple of 32.")
    ] = 128,
) -> None:
    """Choose how much each member counts, and list it in the index of embedded weights."""
    model = create_model(name, pretrained=True)
    if not isinstance(model, Consensus):
        raise typer.BadParameter(f"expected a method that combines others, got {name}")
    asked = [ask(model, load(source, photos, 32 * round(size / 32))) for source in data]
    shares = fit_certainty(torch.cat([said for said, _ in asked], dim=1), torch.cat([true for _, true in asked]))
    members = dict(zip(model.members, shares, strict=True))
    list_weights(name, replace(weights_index()[name], members=members))
    for member, share in members.items():
        print(f"{member}: {share}")


if __name__ == "__main__":
    typer.run(main)
