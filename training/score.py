"""Score methods on photographs: ``python -m training.score DATA METHOD...``; a row each, with bootstrap intervals.

Photographs are scaled to ``--size`` on the short side and cropped to the centre. Each method's output has the
photograph's own lightness, L* or, as in Larsson et al. 2016 (A.4), the mean of R, G and B; so `grayscale` is the
photograph without its colour. RMSE is Larsson's alpha-beta distance, pooled over pixels, PSNR the mean over photographs
(A.3).

A method is a name of the registry or a file, and may set attributes of its target (`larsson16_small:decoder=mode`, or
`:fading=0,temperature=0.7`) or be shown each photograph's true histogram (`larsson16_small:transfer=energy`, or
quantile: sections 3.3 and 3.4, tables 1, 4 and 5).

With ``--casts``, methods of white balance are given simulated casts instead (Zhu and Funt 2018): seeded, so that all
methods see the same. Scored is the angle to the photograph, first of the casts themselves (`cast`); a name followed by
`:network` is the network's own picture, where else its gains are put on the photograph.
"""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from colorlib import Colorizer, color, transfer
from colorlib.casts import KINDS, Kind, random_casts
from colorlib.metrics.functional import angular_error, psnr, rmse_alphabeta
from colorlib.models import ColorModel
from colorlib.targets import Histogram, correct_lightness
from training.data import PhotoData

METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"RMSE": rmse_alphabeta, "PSNR": psnr}
SETTINGS: dict[str, type] = {"decoder": str, "fading": float, "temperature": float}


def score(
    data: Annotated[str, typer.Argument(help="Tar shards or a folder, as data.val of a recipe.")],
    methods: Annotated[list[str], typer.Argument(help="NAME, or NAME:ATTRIBUTE=VALUE,... of the target; or a file.")],
    size: Annotated[int, typer.Option(help="Side of the square photographs.")] = 128,
    keep: Annotated[Literal["lightness", "mean"], typer.Option(help="L*, or the mean of R, G and B.")] = "lightness",
    limit: Annotated[int | None, typer.Option(help="Take so many photographs only, the first.")] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    casts: Annotated[
        Literal["global", "ramps"] | None, typer.Option(help="Score white balance on simulated casts of this kind.")
    ] = None,
) -> None:
    """Print mean and 95 % bootstrap interval of every metric, and of its difference to the first method's."""
    if casts:
        _score_casts(data, methods, size, ("global",) if casts == "global" else KINDS[1:], limit, resamples)
        return
    photos = PhotoData(val=[data], size=size, batch_size=1 if limit else 32, workers=0)
    painters = {method: _painter(method) for method in methods}
    values: dict[str, dict[str, list[Tensor]]] = {name: {metric: [] for metric in METRICS} for name in methods}
    torch.manual_seed(0)  # of the decoder that draws
    for batch in tqdm(islice(photos.val_dataloader(), limit), unit="batch"):
        rgb = batch["rgb"].float() / 255
        for name, paint in painters.items():
            painted = paint(rgb)
            if keep == "mean":
                painted = correct_lightness(painted, rgb.mean(dim=1, keepdim=True)).clamp(0, 1)
            for metric, function in METRICS.items():
                values[name][metric].append(function(painted, rgb))
    arrays = {name: {m: torch.cat(v).double().numpy() for m, v in row.items()} for name, row in values.items()}
    first = arrays[methods[0]]
    kept = "L*" if keep == "lightness" else "(R + G + B) / 3"
    print(f"{len(first['RMSE'])} photographs of {size} x {size} from {data}, {kept} kept")
    width = max(map(len, methods))
    for name, row in arrays.items():
        cells = [f"{m} {_interval(v, resamples)} ({_interval(v - first[m], resamples)})" for m, v in row.items()]
        print(f"{name:{width}}  " + "  ".join(cells))


@torch.no_grad()
def _score_casts(
    data: str, methods: list[str], size: int, kinds: tuple[Kind, ...], limit: int | None, resamples: int
) -> None:
    photos = PhotoData(val=[data], size=size, batch_size=1, workers=0)
    balancers = {method: _balancer(method) for method in methods}
    angles: dict[str, list[Tensor]] = {name: [] for name in ("cast", *methods)}
    for index, batch in enumerate(tqdm(islice(photos.val_dataloader(), limit), unit="photo")):
        rgb = batch["rgb"].float() / 255
        perturbed = random_casts(rgb, kinds, torch.Generator().manual_seed(index))
        angles["cast"].append(angular_error(perturbed, rgb))
        for name, balance in balancers.items():
            angles[name].append(angular_error(balance(perturbed), rgb))
    arrays = {name: torch.cat(values).double().numpy() for name, values in angles.items()}
    counted = ~np.isnan(arrays["cast"])  # a dark photograph has no pixel that counts
    print(f"{counted.sum()} photographs of {size} x {size} from {data}, casts: {', '.join(kinds)}; degrees")
    width = max(map(len, arrays))
    for name, values in arrays.items():
        kept = values[counted]
        ratio = kept.mean() / arrays["cast"][counted].mean()
        mean = _interval(kept, resamples)
        print(f"{name:{width}}  mean {mean}  median {np.median(kept):.3f}  of the cast {ratio:.3f}")


def _balancer(method: str) -> Callable[[Tensor], Tensor]:
    """What balances one photograph, sRGB (1, 3, H, W)."""
    name, _, manner = method.partition(":")
    colorizer = Colorizer(name, device="cpu")
    if colorizer.task != "balance" or manner not in ("", "network"):
        raise typer.BadParameter(f"expected a method of white balance, NAME or NAME:network, got {method}")
    return colorizer.model.colorize if manner else lambda rgb: colorizer(rgb[0]).rgb[None]


def _painter(method: str) -> Callable[[Tensor], Tensor]:
    """What paints a batch of photographs, sRGB (N, 3, H, W), by a method and its settings."""
    name, _, text = method.partition(":")
    settings = {key: value for key, _, value in (setting.partition("=") for setting in text.split(",") if setting)}
    model = Colorizer(name, device="cpu").model
    kind = settings.pop("transfer", None)
    for key, value in settings.items():
        if key not in SETTINGS or not hasattr(model.target, key):
            raise typer.BadParameter(f"{method}: {type(model.target).__name__} has no setting {key!r}")
        try:
            setattr(model.target, key, SETTINGS[key](value))
        except ValueError as error:
            raise typer.BadParameter(f"{method}: {error}") from error

    @torch.no_grad()
    def paint(rgb: Tensor) -> Tensor:
        if kind is None:
            return model.colorize(rgb)
        return torch.cat([_with_true_histogram(model, one, kind) for one in rgb.split(1)])

    return paint


def _with_true_histogram(model: ColorModel, rgb: Tensor, kind: str) -> Tensor:
    """Section 3.4 on one photograph, (1, 3, H, W), whose own colours are the reference."""
    match kind, model.target:
        case "quantile", _:
            return transfer.match_quantiles(model.colorize(rgb)[0], rgb[0])[None]
        case "energy", Histogram() as target:
            prediction = model(model.to_input(rgb))
            bias = transfer.transfer_bias(target, prediction, transfer.histograms_of(target, rgb[0]))
            return target.decode(transfer.biased(target, prediction, bias), color.rgb_to_lightness(rgb))
    raise typer.BadParameter(f"expected transfer=quantile, or transfer=energy of a distribution, got {kind}")


def _interval(values: NDArray[np.float64], resamples: int) -> str:
    """Mean and percentile bootstrap interval over photographs, seeded."""
    drawn: NDArray[Any] = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    typer.run(score)
