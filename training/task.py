"""One Lightning module trains every method: the model knows its loss, the recipe the optimiser."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from colorlib import create_model
from colorlib.casts import random_casts
from colorlib.metrics.functional import angular_error, psnr, rmse_alphabeta
from colorlib.models import ColorModel, scene_loss
from training.data import mixed_seed
from training.degrade import degrade
from training.distill import Teacher
from training.heads import Heads

Batch = dict[str, Tensor]


class ColorTask(L.LightningModule):
    """Minimises a model's own loss; validates on it, and on the colours that come out.

    Those of a colourisation are measured by alpha-beta RMSE and PSNR; those of white balance by the angular error that
    is left of simulated global casts, the same in every round, beside the error that they made; the loss draws others.

    Args:
        model: name in the registry; or several, all of which stand on one encoder and are trained together, see
            :class:`training.heads.Heads`.
        optimizer: called with the parameters that are trained.
        model_args: keyword arguments for the model's builder.
        schedule: ``"cosine"`` decays the learning rate to zero over ``trainer.max_steps``, ``"halving"`` halves it
            every ``halve_every`` steps.
        warmup_steps: over these the learning rate rises linearly.
        halve_every: steps.
        freeze: submodules that keep their weights and their batch statistics.
        channels_last: memory layout; faster for bf16 convolutions on CPUs and for CUDA.
        weights: a safetensors file to begin with, such as an earlier round's; default: fresh ones. Where several
            methods are trained, "embedded" begins with their embedded weights.
        scenes: weight of the cross-entropy of scene classes, which a linear layer on the mean of the encoder's last map
            predicts while training; the layer is thrown away after it. What a scene is teaches an encoder more than
            its colours do.
        classes: how many scene classes there are.
        aged: share of the training photographs that the network sees as old ones, see :mod:`training.degrade`.
        teacher: a method whose distributions are learned, in place of the colours of photographs, see
            :mod:`training.distill`: a name with weights, or a file of them.
        soft: how much what the teacher says counts in the loss, in (0, 1]; the rest is the method's own.
        compile: let `torch.compile` translate the training loss, model included; the first steps then take minutes. Not
            beside a teacher.

    Raises:
        ValueError: settings that do not go together, or that the method does not have.
        WeightsError: weights that cannot be loaded.
    """

    def __init__(
        self,
        model: str | list[str],
        optimizer: OptimizerCallable = torch.optim.Adadelta,
        model_args: dict[str, Any] | None = None,
        schedule: Literal["constant", "cosine", "halving"] = "constant",
        warmup_steps: int = 0,
        halve_every: int = 3000,
        freeze: Iterable[str] = (),
        channels_last: bool = False,
        weights: str | None = None,
        scenes: float = 0.0,
        classes: int = 100,
        aged: float = 0.0,
        teacher: str | None = None,
        soft: float = 1.0,
        compile: bool = False,
    ):
        super().__init__()
        if compile and teacher:
            raise ValueError(
                "compile translates the method's own loss, which a teacher's replaces: leave out compile or teacher"
            )
        self.save_hyperparameters(ignore="optimizer")
        self.seed = torch.initial_seed()
        self.model_name, self.model_args = model, model_args or {}
        self.model = _model(model, weights, self.model_args).train()
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        # The loss and not the module: methods that train on points never call their model. The names of weights stay.
        self.losses = torch.compile(self.model.losses) if compile else self.model.losses
        self.optimizer, self.schedule = optimizer, schedule
        self.warmup_steps, self.halve_every = warmup_steps, halve_every
        self.frozen = [self.model.get_submodule(name) for name in freeze]
        for module in self.frozen:
            module.requires_grad_(False)
        self.scenes, self.aged = scenes, aged
        self.teacher: Teacher | None = None
        if scenes:
            encoder = self.model.get_submodule("encoder")
            self.classifier = torch.nn.Linear(encoder.channels[-1], classes)  # type: ignore[index,arg-type]
            last = encoder.get_submodule("stages")[-1]  # type: ignore[index]
            last.register_forward_hook(self._keep)
        self.train()  # Lightning keeps the modes that it finds: here, those of the frozen parts

    @override
    def __getstate__(self) -> dict[str, Any]:
        # A copy, such as the weights' average, needs no optimizer, which holds the trainer and its processes, nor a
        # teacher.
        return {**super().__getstate__(), "optimizer": None, "teacher": None}

    def _keep(self, module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._last_map = output

    @override
    def setup(self, stage: str) -> None:
        if self.hparams["teacher"] and self.teacher is None:
            # Once there is a trainer: a recipe can be read where the teacher's weights are not.
            self.teacher = Teacher(self.hparams["teacher"], self.model, self.hparams["soft"])
        # A checkpoint brings balanced weights; a method that takes nothing from data needs no batch.
        if (
            stage != "fit"
            or self.trainer.ckpt_path
            or self.hparams["weights"]
            or type(self.model).calibrate is ColorModel.calibrate
        ):
            return
        # Here, since DDP then gives every process the first one's weights.
        batch = next(iter(self.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
        self.model.eval().calibrate(_unit(batch["rgb"]))
        self.train()

    @override
    def train(self, mode: bool = True) -> "ColorTask":
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    @override
    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])
        total = self.trainer.max_steps
        if self.schedule == "cosine" and total <= self.warmup_steps:
            raise ValueError(f"a cosine schedule needs trainer.max_steps above {self.warmup_steps}, got {total}")
        scheduler: torch.optim.lr_scheduler.LRScheduler
        match self.schedule:
            case "cosine":
                scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - self.warmup_steps)
            case "halving":
                scheduler = torch.optim.lr_scheduler.StepLR(optimizer, self.halve_every, gamma=0.5)
            case _:
                scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        if self.warmup_steps:
            rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=self.warmup_steps)
            scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, scheduler], [self.warmup_steps])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A resumed run draws the same points, casts and ages as one that never stopped.
        torch.manual_seed(mixed_seed(self.seed, self.global_rank, self.current_epoch, batch_idx))

    @override
    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        torch.manual_seed(mixed_seed(self.seed, self.global_rank, batch_idx))  # in every round the same

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        rgb = _unit(batch["rgb"])
        shown = degrade(rgb, self.aged) if self.aged else None
        if self.teacher:
            losses = self.teacher.losses(self.model, rgb, batch["label"], shown)
        else:
            losses = self.losses(rgb, batch["label"], shown)
        if self.scenes:
            losses |= self._with_scenes(losses["loss"], batch["label"])
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        return losses["loss"]

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        rgb = _unit(batch["rgb"])
        if self.teacher:
            losses = self.teacher.losses(self.model, rgb, batch["label"])
        else:
            losses = self.model.losses(rgb, batch["label"])
        if self.scenes:
            losses |= self._with_scenes(losses["loss"], batch["label"])
        if self.model.task == "balance":
            perturbed = random_casts(rgb, ("global",), torch.Generator().manual_seed(batch_idx))
            pairs = {"angle": angular_error(self.model.colorize(perturbed), rgb), "cast": angular_error(perturbed, rgb)}
            scores = {name: angle.nanmean() for name, angle in pairs.items()}
        elif isinstance(self.model, Heads):
            painted = self.model.colorize_all(rgb)
            scores = {f"{name}_{key}": value for name, one in painted.items() for key, value in _scores(one, rgb)}
        else:
            scores = dict(_scores(self.model.colorize(rgb), rgb))
        values = {f"val/{name}": value for name, value in {**losses, **scores}.items()}
        self.log_dict(values, batch_size=len(rgb), prog_bar=True, sync_dist=True)

    def _with_scenes(self, loss: Tensor, label: Tensor) -> dict[str, Tensor]:
        """The loss with that of the scenes; pictures without a label add nothing."""
        scores = self.classifier(self._last_map.float().mean(dim=(2, 3)))
        scene = scene_loss(scores, label)
        top1 = (scores.argmax(dim=1) == label).sum() / (label >= 0).sum().clamp(min=1)
        return {"loss": loss + self.scenes * scene, "color": loss, "scene": scene.detach(), "top1": top1}


def _scores(painted: Tensor, rgb: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "rmse_alphabeta", rmse_alphabeta(painted, rgb).mean()
    yield "psnr", psnr(painted, rgb).mean()


def _model(name: str | list[str], weights: str | None, settings: dict[str, Any]) -> ColorModel:
    if isinstance(name, str):
        return create_model(name, weights=weights, **settings)
    if weights not in (None, "embedded"):
        raise ValueError(f'several methods begin with weights "embedded" or with none, got {weights!r}')
    return Heads.create(name, embedded=weights is not None, **settings)


def _unit(rgb: Tensor) -> Tensor:
    """Eight-bit sRGB -> float32 in [0, 1]; photographs travel as bytes, a quarter of the size."""
    return rgb.float() / 255
