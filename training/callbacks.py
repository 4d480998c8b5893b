"""What watches over a long run: checkpoints that stay good, and pictures of how far it has come."""

import math
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchvision.utils import make_grid, save_image
from typing_extensions import override

from colorlib import color
from colorlib.casts import random_casts
from colorlib.models import ColorModel


class TrainingDiverged(RuntimeError):
    """The loss, or the weights, are not worth going on with."""


class GuardedCheckpoint(ModelCheckpoint):
    """Checkpoints of a run that may diverge: they stay as they were before, and training stops with what to do next.

    It stops where the loss is NaN or infinite, before that reaches the weights; where the loss has been far above its
    running median for several steps; and where weights about to be saved are not finite. From the first suspicious step
    on nothing is saved, not even where an exception or a signal ends the run, unless the loss comes back.

    Args:
        dirpath: folder of the checkpoints.
        every_n_train_steps: how often they are written.
        factor: losses above so many times the median are suspicious.
        window: of so many steps; a rise is not looked for before there are as many.
        patience: suspicious steps in a row that stop the training.
        save_last: see `ModelCheckpoint`; here, a resumed run goes on in the same file.
        save_on_exception: likewise.
        enable_version_counter: likewise.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        every_n_train_steps: int | None = None,
        factor: float = 5.0,
        window: int = 100,
        patience: int = 10,
        save_last: bool = True,
        save_on_exception: bool = True,
        enable_version_counter: bool = False,
    ):
        super().__init__(
            dirpath=dirpath,
            every_n_train_steps=every_n_train_steps,
            save_last=save_last,
            save_on_exception=save_on_exception,
            enable_version_counter=enable_version_counter,
        )
        self.factor, self.patience = factor, patience
        self.losses: deque[float] = deque(maxlen=window)  # the last ones that were not suspicious
        self.suspicious = 0  # steps in a row

    @override
    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        # The mean over all processes, so that they stop together instead of waiting for each other.
        mean = trainer.strategy.reduce(loss.detach(), reduce_op="mean")
        value = float(mean) * trainer.accumulate_grad_batches  # as it was before Lightning divided it
        if not math.isfinite(value):
            self.suspicious += 1
            raise self._diverged(trainer, f"the loss is {value}")
        usual = median(self.losses) if len(self.losses) == self.losses.maxlen else math.inf
        if value <= self.factor * usual:
            self.suspicious = 0
            self.losses.append(value)
            return
        self.suspicious += 1
        if self.suspicious == self.patience:
            what = f"the loss is {value:.4g}, for {self.patience} steps above {self.factor:g} times its median"
            raise self._diverged(trainer, f"{what} of {usual:.4g}")

    @override
    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if not self.suspicious:
            super().on_train_batch_end(trainer, *args, **kwargs)

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:  # before the file is written
        broken = _not_finite(pl_module)
        if broken:
            raise self._diverged(trainer, f"{', '.join(broken[:3])} are not finite" + " and others" * (len(broken) > 3))

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if not (self.suspicious or _not_finite(pl_module)):
            super().on_exception(trainer, pl_module, exception)

    def _diverged(self, trainer: L.Trainer, what: str) -> TrainingDiverged:
        path = self.last_model_path or trainer.ckpt_path
        last = (
            f"The last good checkpoint is {path}. Go on from it with clipped gradients (--ckpt_path {path} "
            "--trainer.gradient_clip_val 1), or begin a new run with its weights at a lower learning rate "
            f"(python -m training.export {path} FILE, then --model.weights FILE --model.optimizer.init_args.lr RATE)"
            if path
            else "No checkpoint was written yet: begin again at a lower learning rate "
            "(--model.optimizer.init_args.lr RATE) or with clipped gradients (--trainer.gradient_clip_val 1)"
        )
        anomaly = "--trainer.detect_anomaly true names the operation that made a NaN"
        return TrainingDiverged(f"step {trainer.global_step}: {what}. {last}. {anomaly}")


def _not_finite(module: torch.nn.Module) -> list[str]:
    return [name for name, tensor in module.state_dict().items() if not tensor.isfinite().all()]


class SampleGrid(Callback):
    """Pictures of the first validation photographs in every round: what the model sees, what it makes of it, the truth.

    Three rows, one column for each photograph, in ``samples/step-000600.png`` of the run's folder, and in TensorBoard
    where the run has it. White balance sees a cast, the same in every round.

    Args:
        count: photographs, at most a batch of them.
    """

    def __init__(self, count: int = 8):
        self.count = count

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        with trainer.precision_plugin.forward_context():
            grid = sample_grid(pl_module.model, batch["rgb"][: self.count].float() / 255)  # type: ignore[arg-type]
        path = Path(trainer.default_root_dir, "samples", f"step-{trainer.global_step:06}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_image(grid, path)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/samples", grid, trainer.global_step)


@torch.no_grad()
def sample_grid(model: ColorModel, rgb: Tensor) -> Tensor:
    """What a model sees, what it makes of it, and the truth, a row each: sRGB (N, 3, h, w) -> (3, H, W) in [0, 1]."""
    if model.task == "balance":
        seen = given = random_casts(rgb, ("global",), torch.Generator().manual_seed(0))
    else:
        seen, given = color.lightness_to_gray(model.to_input(rgb)).expand_as(rgb), rgb
    grid: Tensor = make_grid(torch.cat([seen, model.colorize(given).to(rgb), rgb]), nrow=len(rgb))
    return grid
