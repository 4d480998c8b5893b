"""Score methods on photographs: ``python -m training.score DATA METHOD...``; a row each, with bootstrap intervals.

Photographs are scaled to ``--size`` on the short side and cropped to the centre; each method's output has the
photograph's own L*, so `grayscale` is the photograph without its colour. RMSE is Larsson's alpha-beta distance, pooled
over pixels, PSNR the mean over photographs (Larsson et al. 2016, A.3).
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from colorlib import Colorizer
from colorlib.metrics.functional import psnr, rmse_alphabeta
from training.data import PhotoData

METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"RMSE": rmse_alphabeta, "PSNR": psnr}


def score(
    data: Annotated[str, typer.Argument(help="Tar shards or a folder, as data.val of a recipe.")],
    methods: Annotated[list[str], typer.Argument(help="Names of the registry, with embedded weights, or files.")],
    size: Annotated[int, typer.Option(help="Side of the square photographs.")] = 128,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
) -> None:
    """Print mean and 95 % bootstrap interval of every metric, and of its difference to the first method's."""
    photos = PhotoData(val=[data], size=size, batch_size=32, workers=0)
    models = {name: Colorizer(name, device="cpu").model for name in methods}
    values: dict[str, dict[str, list[Tensor]]] = {name: {metric: [] for metric in METRICS} for name in methods}
    for batch in tqdm(photos.val_dataloader(), unit="batch"):
        rgb = batch["rgb"].float() / 255
        for name, model in models.items():
            with torch.inference_mode():
                painted = model.colorize(rgb)
            for metric, function in METRICS.items():
                values[name][metric].append(function(painted, rgb))
    arrays = {name: {m: torch.cat(v).double().numpy() for m, v in row.items()} for name, row in values.items()}
    first = arrays[methods[0]]
    print(f"{len(first['RMSE'])} photographs of {size} x {size} from {data}")
    for name, row in arrays.items():
        cells = [f"{m} {_interval(v, resamples)} ({_interval(v - first[m], resamples)})" for m, v in row.items()]
        print(f"{name:24} " + "  ".join(cells))


def _interval(values: NDArray[np.float64], resamples: int) -> str:
    """Mean and percentile bootstrap interval over photographs, seeded."""
    drawn = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    typer.run(score)
