"""How saturated a method's pictures should be by default: ``python -m training.vivid NAME --data ../shared/data/val``.

What is learned hedges between the colours that are possible, and is paler than photographs are. The factor on chroma is
the one by which validation photographs come out nearly as colourful as they are.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from colorlib import Colorizer
from colorlib.benchmarks import protocol
from colorlib.catalog import list_weights, weights_index
from colorlib.metrics.functional import chroma
from colorlib.targets import LuvBins

CHROMA = 0.87  # of the photographs' own: where a guess is wrong, less looks better
MOST = 2.0  # by eye: beyond, patches of foliage and sky glow
MOST_OF_CLASSES = 1.5  # where each pixel gets the colour of one class, edges between two of them are seen sooner
BATCH = 50


@torch.no_grad()
def fit_saturation(colorizer: Colorizer, photos: Tensor, wanted: float = CHROMA, most: float = MOST) -> float:
    """The saturation of its target by which a colorizer gives photographs a share of the chroma that they have.

    Args:
        colorizer: its target's saturation is left at what is returned.
        photos: sRGB (N, 3, H, W).
        wanted: mean chroma over mean true chroma.
        most: where to stop, if even that is too little.

    Returns:
        At least 1, in steps of 0.05.
    """
    true = chroma(photos).mean()

    def share(saturation: float) -> float:
        colorizer.target.saturation = saturation
        painted = torch.cat([chroma(colorizer.batch(some)).cpu() for some in photos.split(BATCH)])
        return (painted.mean() / true).item()

    low, high = 20, round(20 * most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle / 20) >= wanted else (middle + 1, high)
    colorizer.target.saturation = low / 20
    return low / 20


def main(
    names: Annotated[list[str], typer.Argument(help="Methods with embedded weights.")],
    data: Annotated[list[Path], typer.Option(help="Where Mini Places' validation photographs are.")],
    photos: Annotated[int, typer.Option(help="How many to look at.")] = 150,
) -> None:
    """Choose each method's default saturation, and list it in the index of embedded weights."""
    validation = protocol("miniplaces")
    found = validation.find(data)
    step = -(-len(found) // photos)  # they are sorted by class
    rgb = torch.stack([validation.load(photo) for photo in found[::step]])
    for name in names:
        colorizer = Colorizer(name, vivid=False)
        most = MOST_OF_CLASSES if isinstance(colorizer.target, LuvBins) else MOST
        saturation = fit_saturation(colorizer, rgb, most=most)
        list_weights(name, replace(weights_index()[name], saturation=saturation))
        print(f"{name}: saturation {saturation}")


if __name__ == "__main__":
    typer.run(main)
