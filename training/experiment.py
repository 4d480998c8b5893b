"""One of the papers' experiments, from photographs to rows: ``python -m training experiment NAME --data DATA``.

What was done before is not repeated: a training that was interrupted goes on from its last checkpoint, one that is
finished stays, and so do rows that were measured with these weights.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from colorlib import io
from colorlib.benchmarks import AbsentError, IncompleteError, Method, evaluate, protocol, summarize
from colorlib.benchmarks.experiments import (
    EXPERIMENTS,
    Experiment,
    Times,
    Training,
    cell_table,
    claim_table,
    experiment,
    experiment_rows,
    list_experiments,
    seconds_table,
    with_values,
)
from colorlib.benchmarks.results import SHIPPED
from colorlib.benchmarks.timing import time_method
from colorlib.tensors import WeightsError
from training.export import export

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "training" / "recipes"


def run(
    names: Annotated[list[str], typer.Argument(help=f"Of {', '.join(list_experiments())}; or all.")],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            "-d",
            help="Folders that hold train/ and val/ with photographs to train and to validate on, and, at any depth of "
            "two, the benchmarks' photographs.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for results/ and experiments/; default: those that are shipped.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for trainings.")] = Path("runs/experiments"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    train_only: Annotated[bool, typer.Option("--train-only", help="Stop before anything is measured.")] = False,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="Measure on this one in place of the experiment's own. May be repeated.")
    ] = None,
) -> None:
    """Train what an experiment needs, measure it, and say which claims hold, or which printed numbers came out."""
    roots = folders(data)
    shipped, own = (out / "results", out / "experiments") if out else (SHIPPED, EXPERIMENTS)
    for name in list_experiments() if names == ["all"] else names:
        this = experiment(name)
        print(f"{name}: {this.title}", flush=True)
        weights = {method: train(method, how, data, roots, runs) for method, how in this.trainings.items()}
        if train_only:
            continue
        named_so = list(this.benchmarks)  # a folder of one's own has another name than its path
        for on in benchmark or this.benchmarks:
            try:
                for method in this.methods:
                    trained = "@" in method
                    found = named(method, weights) if trained else method
                    rows = evaluate(found, on, roots, out=own if trained else shipped, device=device, progress=True)
                    named_so.append(rows["benchmark"].iloc[0])
            except (AbsentError, IncompleteError, WeightsError) as error:
                if not this.reproduces:
                    raise
                print(f"  {on} is left out: {error}", flush=True)
        for times in this.times:
            try:
                time(times, own / "timings.csv")
            except WeightsError as error:
                if not this.reproduces:
                    raise
                print(f"  seconds are left out: {error}", flush=True)
        say(replace(this, benchmarks=tuple(dict.fromkeys(named_so))), shipped, own)


def folders(data: Sequence[Path]) -> list[Path]:
    """Where photographs may lie: the folders, and those in them that are not hidden."""
    inside = {one: sorted(x for x in one.iterdir() if x.is_dir() and not x.name.startswith(".")) for one in data}
    return [root for one in data for root in (one, *inside[one])]


def named(method: str, weights: dict[str, Path]) -> Method:
    """``METHOD@TRAINING:SETTINGS`` with the weights of that training."""
    training, colon, settings = method.partition(":")
    return replace(Method.of(f"{weights[training]}{colon}{settings}"), name=method)


def train(method: str, how: Training, data: Sequence[Path], roots: Sequence[Path], runs: Path) -> Path:
    """Train a method, unless it is trained, and export its weights.

    Args:
        method: ``METHOD@TRAINING``, which also names what is written to ``runs``.
        how: recipe and options.
        data: folders with ``train`` and ``val``.
        roots: folders with the photographs of benchmarks.
        runs: folder for checkpoints, logs and the weights.

    Returns:
        The weights file.
    """
    weights = runs / f"{method}.safetensors"
    if weights.is_file():
        return weights
    folder = runs / method
    if how.benchmark:
        photos = [copied(how, roots, runs / f"{how.benchmark}-without-{how.without}")]
    else:
        photos = [root / "train" for root in data if (root / "train").is_dir()]
    if not photos:
        raise typer.BadParameter(f"no folder train/ in {', '.join(map(str, data))}", param_hint="--data")
    val = [root / "val" for root in data if (root / "val").is_dir()]
    options = {
        "model.model": method.partition("@")[0],
        **how.set,
        "trainer.default_root_dir": str(folder),
        "data.train": f"[{','.join(map(str, photos))}]",
        "data.val": f"[{','.join(map(str, val))}]",
        "trainer.enable_progress_bar": "false",
    }
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file():
        options["ckpt_path"] = str(last)
    print(f"  training {method}: {how.recipe}, logs in {folder}", flush=True)
    # A process of its own: a run's seeds and hooks are no business of the next one's.
    command = [sys.executable, "-m", "training", "fit", "--config", str(RECIPES / how.recipe)]
    subprocess.run([*command, *(f"--{name}={value}" for name, value in options.items())], check=True)
    return export(last, weights)


def copied(how: Training, roots: Sequence[Path], folder: Path) -> Path:
    """A folder of a benchmark's photographs, wherever they lie, but for those that another one measures."""
    if not folder.is_dir():
        held_out = {photo.key for photo in protocol(how.without).find(roots)} if how.without else set()
        chosen = [photo for photo in protocol(how.benchmark).find(roots) if photo.key not in held_out]
        building = folder.with_suffix(".part")
        building.mkdir(parents=True, exist_ok=True)
        for photo in chosen:
            io.write_whole(building / Path(photo.key).name, photo.content())
        building.rename(folder)
    return folder


def time(times: Times, file: Path) -> None:
    """Measure seconds and memory, and put them into the file in place of this machine's earlier ones."""
    for kind in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name in times.methods:
            for side in times.sides:
                timing = time_method(
                    name, side, network=None if times.resized else side, device=kind, weights=times.weights
                )
                print(f"  {name} at {side}: {timing.seconds:.3f} s, {timing.megabytes:.0f} MB", flush=True)
                rows = pd.DataFrame([asdict(timing)]).astype({"network": "Int64"})
                if file.is_file():
                    rows = pd.concat([pd.read_csv(file, dtype={"network": "Int64"}), rows])
                key = ["kind", "device", "threads", "model", "network", "side"]
                rows = rows.drop_duplicates(key, keep="last").sort_values(key)
                file.parent.mkdir(parents=True, exist_ok=True)
                io.write_whole(file, rows.to_csv(index=False, lineterminator="\n").encode())


def say(this: Experiment, shipped: Path, own: Path) -> None:
    """Print which claims hold, and which numbers came out."""
    if this.reproduces:
        rows = experiment_rows(shipped, own)
        if len(cells := cell_table(this, rows)):
            print(cells.to_string(index=False))
        mine = this.of(rows)
        if there := with_values(this, mine):
            print(
                summarize(mine, scores=there)[["protocol", "model", "score", "value", "low", "high"]].to_string(
                    index=False
                )
            )
        if this.times and (own / "timings.csv").is_file():
            print(seconds_table(this, pd.read_csv(own / "timings.csv")).to_string(index=False))
    for row in claim_table(this, experiment_rows(shipped, own)).itertuples() if this.claims else ():
        print(f"  {row.claim} {row.score} on {row.benchmark}: {row.ours} (printed: {row.printed}). Holds: {row.holds}")


app = typer.Typer(add_completion=False)
app.command()(run)
