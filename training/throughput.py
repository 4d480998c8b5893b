"""How fast does a recipe train here, and what holds it up?

``python -m training.throughput RECIPE... --data.train ...`` measures a training step on photographs that are ready, the
share of it that encoding the targets takes, and how many photographs one loader process makes. From these follow how
long the whole recipe takes, and how many loader processes a machine with several such devices needs. Further arguments
are those of ``python -m training fit``; whatever batch they measure with, the whole recipe has the steps and the batch
that its file says. Loader and step are measured one after the other, so each has the processor to itself.
"""

import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from colorlib.models import ColorModel
from training.cli import RecipeCLI
from training.data import PhotoData
from training.heads import Heads
from training.task import Batch, ColorTask

STEPS, WARMUP = 8, 2
LOADED = 200  # photographs that a loader makes while it is timed, in batches
SHUFFLE = 100  # photographs to draw from: a loader reads them before it makes its first batch
DEVICES = 8  # of the machine that loaders are counted for


@dataclass(frozen=True)
class Throughput:
    """Of a recipe on this machine.

    Attributes:
        recipe: its name.
        device: ``"cpu"``, or the name of the CUDA device.
        precision: that it trains in, in Lightning's words.
        crop: side of the crops in pixels.
        batch: photographs a step, as measured.
        seen: photographs that the whole recipe trains on, one that it sees again counted again.
        step: seconds of a training step, backward pass and optimizer included; the median.
        encoding: seconds of it that encode what the network should say; the median.
        loading: seconds that one loader process takes for a photograph.
    """

    recipe: str
    device: str
    precision: str
    crop: int
    batch: int
    seen: int
    step: float
    encoding: float
    loading: float

    @property
    def photographs(self) -> float:
        """A second, where loaders keep up."""
        return self.batch / self.step

    @property
    def hours(self) -> float:
        """That the recipe takes, without validation."""
        return self.seen / self.photographs / 3600

    def loaders(self, devices: int = 1) -> int:
        """How many loader processes keep so many devices busy; each needs a processor core."""
        return math.ceil(devices * self.photographs * self.loading)


def throughput(args: list[str]) -> Throughput:
    """Measure a recipe.

    Args:
        args: the recipe's file and what else `fit` takes.
    """
    recipe, *more = args
    clock = _Clock()
    short = ["--trainer.max_epochs=1", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    cli = RecipeCLI(
        ColorTask,
        PhotoData,
        run=False,
        args=[
            *("--config", recipe, *short, *quiet, "--trainer.callbacks=[]", "--trainer.enable_checkpointing=false"),
            *(f"--data.shuffle={SHUFFLE}", *more, "--data.workers=1"),
        ],
        trainer_defaults={"callbacks": [clock]},
        save_config_callback=None,
        seed_everything_default=0,
    )
    data, trainer = cli.datamodule, cli.trainer
    batch, loading = _loaded(iter(data.train_dataloader()), data.batch_size)
    for model in _methods(cli.model.model):
        model.target.encode = clock.timed(model.target.encode)  # type: ignore[method-assign]
    ready: Any = [batch] * (WARMUP + STEPS)
    data.train_dataloader = lambda: DataLoader(ready, batch_size=None)
    trainer.fit(cli.model, data)
    device = trainer.strategy.root_device
    return Throughput(
        recipe=Path(recipe).stem,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=str(trainer.precision),
        crop=data.size,
        batch=data.batch_size,
        seen=recipe_photographs(cli, recipe),
        step=statistics.median(clock.steps[WARMUP:]),
        encoding=statistics.median(clock.encodings[WARMUP:]),
        loading=loading,
    )


def recipe_photographs(cli: RecipeCLI, recipe: str) -> int:
    """How many photographs a recipe's file, without any further options, trains on."""
    own = cli.parser.parse_args(["--config", recipe])
    return int(own.trainer.max_steps * own.trainer.accumulate_grad_batches * own.data.batch_size)


class _Clock(Callback):
    """Seconds of each step, and of what is encoded in it."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.encodings: list[float] = []
        self._device = torch.device("cpu")

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._device = pl_module.device
        self.encodings.append(0.0)
        self._begin = self._now()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.steps.append(self._now() - self._begin)

    def timed(self, encode: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The same function; its seconds are added to those of the step."""

        def encode_in_time(*args: Any, **kwargs: Any) -> Tensor:
            begin = self._now()
            encoded = encode(*args, **kwargs)
            self.encodings[-1] += self._now() - begin
            return encoded

        return encode_in_time

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # what was asked of it may still be under way
        return perf_counter()


def _loaded(batches: Iterator[Batch], size: int) -> tuple[Batch, float]:
    """A batch, and the seconds that the loader's one process takes for a photograph.

    The process works ahead while nobody asks: the first batches, which may have been ready, do not count.
    """
    for batch in islice(batches, 1 + 2):
        kept: Any = {"rgb": batch["rgb"], "label": batch["label"]}
    count = max(1, math.ceil(LOADED / size))
    begin = perf_counter()
    for _ in islice(batches, count):
        pass
    return kept, (perf_counter() - begin) / (count * size)


def _methods(model: ColorModel) -> list[ColorModel]:
    return list(model.heads.values()) if isinstance(model, Heads) else [model]  # type: ignore[arg-type]


def _row(found: Throughput) -> list[str]:
    return [
        *(found.recipe, found.precision, str(found.crop), str(found.batch), f"{found.photographs:.1f}"),
        f"{found.hours:,.1f}",
        *(f"{found.encoding / found.step:.1%}", f"{1 / found.loading:.0f}"),
        *(str(found.loaders(devices)) for devices in (1, DEVICES)),
    ]


HEADINGS = (
    *("recipe", "precision", "crop", "batch", "images/s", "hours"),
    *("encoding", "1 loader/s", "loaders", f"for {DEVICES}"),
)


def _print(cells: Sequence[str]) -> None:
    print(f"{cells[0]:<32}" + "".join(f"{cell:>12}" for cell in cells[1:]), flush=True)


def main(args: list[str]) -> None:
    """Print a table of recipes, a row as each is measured."""
    recipes = list(takewhile(lambda word: not word.startswith("-"), args))
    if not recipes:
        sys.exit("expected recipes: python -m training.throughput training/recipes/NAME.yaml --data.train PATH")
    _print(HEADINGS)
    for recipe in recipes:
        _print(_row(throughput([recipe, *args[len(recipes) :]])))


if __name__ == "__main__":
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]  # Lightning's command line warns where it has both
    main(arguments)
