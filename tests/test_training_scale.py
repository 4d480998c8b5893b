"""Training that runs for days on several devices: what two processes learn, what stops a run, and what it leaves."""

import io
import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from skimage import data
from skimage.color import lab2rgb, rgb2lab
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.data import DataLoader
from typer.testing import CliRunner

from colorlib import create_model
from colorlib.benchmarks import experiment, list_experiments
from colorlib.cli import app as command_line
from colorlib.facts import weights_index
from colorlib.targets import LuvBins
from training.callbacks import GuardedCheckpoint, SampleGrid, TrainingDiverged, sample_grid
from training.cli import RecipeCLI
from training.data import PhotoData
from training.export import export
from training.task import ColorTask

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "training" / "recipes"
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's command line warns where both it and pytest have arguments."""
    monkeypatch.setattr("sys.argv", ["training"])


# --- two processes ---------------------------------------------------------------------------------------------------

STEPS, BATCH, CROP = 3, 4, 64  # of the optimiser, of both processes together, in pixels


def _crops() -> list[dict[str, Tensor]]:
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    corners = [(90 * i % 400, 70 * i % 440) for i in range(STEPS * BATCH)]
    return [{"rgb": photograph[:, y : y + CROP, x : x + CROP], "label": torch.tensor(-1)} for x, y in corners]


def _task() -> ColorTask:
    """Bins of u and v, gathered while training, without dropout, random points or batch statistics.

    Batch normalisation is kept in evaluation mode: the statistics of half a batch are not those of the whole one, and
    torch has no SyncBatchNorm for CPUs.
    """
    name = "hwang16_classification_small"
    norms = [part for part, module in create_model(name).named_modules() if isinstance(module, nn.BatchNorm2d)]
    L.seed_everything(0)
    return ColorTask(name, _momentum, model_args={"encoder_weights": "imagenet"}, freeze=norms)


def _momentum(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


def _train(batch_size: int, samples: list[dict[str, Tensor]], **kwargs: Any) -> dict[str, Tensor]:
    """A model's weights after some steps."""
    task = _task()
    trainer = L.Trainer(accelerator="cpu", max_steps=STEPS, enable_checkpointing=False, **QUIET, **kwargs)
    trainer.fit(task, DataLoader(samples, batch_size))
    return task.model.state_dict()


def _worker(folder: Path) -> None:
    """One of two processes, started by torchrun: it takes every second sample; Lightning would shuffle them."""
    rank = int(os.environ["RANK"])
    weights = _train(BATCH // 2, _crops()[rank::2], strategy="ddp", devices=2, use_distributed_sampler=False)
    torch.save(weights, folder / f"{rank}.pt")
    try:  # then one of them meets a NaN
        _script([1, 1, math.nan if rank else 1, 1], folder, strategy="ddp", devices=2)
    except TrainingDiverged as error:
        (folder / f"{rank}.txt").write_text(str(error))


def _torchrun(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *args]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path):
    """Of each batch, half in one process and half in the other: the same weights, and the same counts of the bins."""
    run = _torchrun(__file__, str(tmp_path))
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = _train(BATCH, _crops())
    for name, expected in alone.items():
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(first[name], second[name])
    assert first["target.counts"].sum() == 2 * STEPS * BATCH * (CROP // 4) ** 2  # u and v of the pixels of all steps
    # Neither the weights at the beginning nor what one of the processes would have learned by itself.
    for other in (_task().model.state_dict(), _train(BATCH // 2, _crops()[::2])):
        assert max((other[name] - first[name]).abs().max() for name in other if "head" in name) > 1e-3
    # A NaN in the second one stops both.
    for rank in (0, 1):
        assert (tmp_path / f"{rank}.txt").read_text().startswith("step 2: the loss is nan")


def _count(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    target = LuvBins()
    for encoded in _chroma()[rank::2]:
        target.gather(encoded)
    torch.save(target.state_dict(), Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def _chroma() -> Tensor:
    return 60 * torch.randn(6, 1, 2, 20, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.nightly
def test_bins_are_counted_over_all_processes(tmp_path: Path):
    torch.multiprocessing.spawn(_count, (str(tmp_path),), nprocs=2)
    whole = LuvBins()
    whole.gather(_chroma().flatten(0, 1))
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["counts"], whole.counts, rtol=0, atol=0)
        torch.testing.assert_close(found["totals"], whole.totals, rtol=1e-12, atol=1e-9)


# --- what stops a run, and what it leaves ----------------------------------------------------------------------------


class _Scripted(L.LightningModule):
    """One weight, losses as they are told."""

    def __init__(self, losses: list[float]):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.script = losses

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight.sum() + self.script[batch_idx] - self.weight.detach().sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1)


def _script(losses: list[float], folder: Path, task: _Scripted | None = None, **kwargs: Any) -> GuardedCheckpoint:
    guard = GuardedCheckpoint(str(folder), every_n_train_steps=2, window=4, patience=3)
    trainer = L.Trainer(accelerator="cpu", max_steps=len(losses), callbacks=[guard], **QUIET, **kwargs)
    batches = torch.zeros(len(losses) * trainer.world_size, 1)
    trainer.fit(task or _Scripted(losses), DataLoader(batches, batch_size=1))  # type: ignore[arg-type]
    return guard


def _saved(folder: Path) -> tuple[int, float]:
    """Steps and the weight of the last checkpoint: minus one for each step."""
    state = torch.load(folder / "last.ckpt", weights_only=True)
    return state["global_step"], state["state_dict"]["weight"].item()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_never_reaches_the_weights(tmp_path: Path, value: str):
    task = _Scripted([1, 1, 1, float(value), 1])
    with pytest.raises(TrainingDiverged, match=rf"step 3: the loss is {value}\. The last .* {tmp_path}/last\.ckpt"):
        _script(task.script, tmp_path, task)
    assert task.weight.item() == -3
    assert _saved(tmp_path) == (2, -2)
    assert len(list(tmp_path.iterdir())) == 2  # the last and the best, nothing from the end


def test_a_lasting_spike_stops_and_nothing_of_it_is_saved(tmp_path: Path):
    """From the fourth step on the median is known; the checkpoint that was due after two steps of spike is not made."""
    with pytest.raises(TrainingDiverged, match=r"step 6: the loss is 99, for 3 steps above 5 times its median of 1\.5"):
        _script([2, 1, 2, 1, 99, 99, 99, 1], tmp_path)
    assert _saved(tmp_path) == (4, -4)


@pytest.mark.parametrize("losses", [[1, 1, 1, 1, 99, 99, 1, 1], [99, 99, 99, 50, 9, 9, 9, 9], [2, 1, 4, 2, 7, 7, 9, 1]])
def test_spikes_that_pass_falls_and_noise_do_not_stop(tmp_path: Path, losses: list[float]):
    guard = _script(losses, tmp_path)
    assert _saved(tmp_path) == (8, -8)
    assert guard.suspicious == 0


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path):
    """A gradient may be NaN where the loss is not; then the checkpoint due before the next loss finds it."""
    task = _Scripted([1, 1, 1, 1, 1, 1])
    task.on_after_backward = lambda: task.weight.grad.fill_(math.nan if task.global_step == 3 else 1)  # type: ignore[assignment]
    with pytest.raises(TrainingDiverged, match="step 4: weight are not finite"):
        _script(task.script, tmp_path, task)
    assert _saved(tmp_path) == (2, -2)


@pytest.mark.parametrize("suspicious", [False, True])
def test_other_errors_still_save_what_was_good(tmp_path: Path, suspicious: bool):
    task = _Scripted([1, 1, 1, 1, 99 if suspicious else 1, 1])

    def fail(batch: Tensor, batch_idx: int) -> None:
        if batch_idx == 5:
            raise OSError("disk full")

    task.on_train_batch_start = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="disk full"):
        _script(task.script, tmp_path, task)
    assert _saved(tmp_path) == ((4, -4) if suspicious else (5, -5))


def test_nothing_saved_yet_is_said(tmp_path: Path):
    with pytest.raises(TrainingDiverged, match=r"No checkpoint was written yet: begin again at a lower learning rate"):
        _script([math.nan], tmp_path)
    assert not list(tmp_path.iterdir())


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    path = tmp_path_factory.mktemp("rebalance") / "table.safetensors"
    run = CliRunner().invoke(command_line, ["rebalance", "--data", str(folder / "people"), "--out", str(path)])
    assert run.exit_code == 0, run.output
    return path


def _recipe(path: Path, folder: Path, root: Path, *more: str) -> LightningCLI:
    """A recipe, small enough for a test, that runs in another folder."""
    text = path.read_text()
    (root / path.name).write_text(text.replace(yaml.safe_load(text)["trainer"]["default_root_dir"], str(root)))
    args = [
        *("--config", str(root / path.name), f"--data.train=[{folder}]", f"--data.val=[{folder}]"),
        *("--data.batch_size=2", "--data.size=64", "--data.resize=72", "--data.workers=0", "--data.shuffle=8"),
        *("--model.warmup_steps=0", "--trainer.max_steps=2", "--trainer.val_check_interval=2"),
        *("--trainer.callbacks.every_n_train_steps=2", "--trainer.limit_val_batches=1", "--trainer.accelerator=cpu"),
        *("--trainer.num_sanity_val_steps=0", "--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false"),
    ]
    return RecipeCLI(ColorTask, PhotoData, run=False, args=[*args, *more], save_config_callback=None)


def _offline(path: Path, table: Path) -> list[str]:
    """For weights that would have to be fetched, and colours that would have to be counted first."""
    model = yaml.safe_load(path.read_text())["model"]
    wanted = model.get("model_args", {})
    if "teacher" in model:  # a network here that has the same bins, and a student that begins elsewhere
        return [f"--model.teacher={weights_index()['larsson16_small'].path}", "--model.weights=null"]
    args = [f"--model.model_args.table={table}"] if "table" in wanted else []
    if not re.sub(r"_[23]$", "", path.stem).endswith("_small") and not path.stem.startswith("heads"):
        args.append("--trainer.precision=32-true")
        args += ["--model.model_args.encoder_weights=null"] if "encoder_weights" in wanted else []
    return args


class _Ends(Callback):
    """Keeps the state before the first step and after the last, ahead of any moving average."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        self.after = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        self.taught = {name for name, value in pl_module.named_parameters() if value.grad is None or value.grad.any()}

    def moved(self) -> dict[str, Tensor]:
        return {name: value - self.before[name] for name, value in self.after.items()}


LARGE = ("larsson16", "lin21", "lin21_rebalanced")


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        # Networks of 75 million parameters and more, whose compact or plain sibling is here.
        pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] * (path.stem in LARGE))
        for path in sorted(RECIPES.glob("*.yaml"))
    ],
)
def test_every_recipe_trains(recipe: Path, folder: Path, table: Path, tmp_path: Path):
    """Two steps: what is to be trained changes, what is frozen does not, and the checkpoint is what was trained."""
    cli = _recipe(recipe, folder, tmp_path, *_offline(recipe, table))
    of_experiments = {how.recipe for name in list_experiments() for how in experiment(name).trainings.values()}
    of_several = isinstance(cli.model.model_name, list)
    assert (
        recipe.name in of_experiments
        or of_several
        or re.sub(r"_[23]$|_distilled(?=_small$)", "", recipe.stem) in (cli.model.model_name, "debug")
    )
    assert cli.model.model.training
    ends = _Ends()
    cli.trainer.callbacks.append(ends)
    cli.trainer.fit(cli.model, cli.datamodule)

    log = pd.read_csv(tmp_path / "version_0" / "metrics.csv")
    losses, rates = log["train/loss"].dropna(), log.filter(like="lr-").stack().dropna()
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert len(rates) == 2
    assert np.isfinite(log["val/loss"].dropna()).all()

    frozen = {f"{name}." for name in _names(cli.model, cli.model.frozen)}
    frozen |= {name for name, value in cli.model.named_parameters() if not value.requires_grad}
    trained = {name for name, value in cli.model.named_parameters() if value.requires_grad}
    changed = {name for name, value in ends.moved().items() if value.any()}
    assert not [name for name in changed if name.startswith(tuple(frozen))]
    assert len(trained - changed) < 3
    assert not ends.taught & (trained - changed)  # none but those whose gradient is zero
    has_encoder_frozen = recipe.stem in ("lin21", "lin21_rebalanced")
    assert bool(frozen) == (has_encoder_frozen or "freeze:" in recipe.read_text())

    loaded = ColorTask.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    for name, value in cli.model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    assert (tmp_path / "samples" / "step-000002.png").is_file()
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()  # up to a gigabyte each


def _names(task: ColorTask, modules: list[nn.Module]) -> list[str]:
    return [name for name, module in task.named_modules() if any(module is one for one in modules)]


class _Read(RecipeCLI):
    """Only reads, since building takes seconds."""

    def instantiate_classes(self) -> None:
        pass


def test_recipes_watch_alike():
    """Both loggers, learning rates, pictures and guarded checkpoints, last, in the run's own folder."""
    for path in RECIPES.glob("*.yaml"):
        args = ["--config", str(path)]
        config = _Read(ColorTask, PhotoData, run=False, args=args, save_config_callback=None).config
        trainer, root = config.trainer, f"runs/{path.stem}"
        assert trainer.default_root_dir == root
        assert [one.class_path.rpartition(".")[2] for one in trainer.logger] == ["CSVLogger", "TensorBoardLogger"]
        assert [one.init_args.save_dir for one in trainer.logger] == [root, root]
        names = [one.class_path.rpartition(".")[2] for one in trainer.callbacks]
        assert names[-3:] == ["LearningRateMonitor", "SampleGrid", "GuardedCheckpoint"]
        saving = trainer.callbacks[-1].init_args
        assert saving.dirpath == f"{root}/checkpoints"
        assert trainer.max_steps % saving.every_n_train_steps == 0  # or the last steps would not be saved
        assert np.min(config.data.resize) >= config.data.size


@pytest.mark.slow
def test_a_run_that_meets_a_nan_goes_on_from_its_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Through the command line's classes, with a moving average: what is left is finite, and is what resumes."""
    step = ColorTask.training_step
    more = ["--trainer.max_steps=6", "--trainer.val_check_interval=6"]
    args = (RECIPES / "iizuka16_small.yaml", folder, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(
            ColorTask,
            "training_step",
            lambda self, *args: step(self, *args) * (math.nan if self.global_step == 3 else 1),
        )
        cli = _recipe(*args, *more)
        with pytest.raises(TrainingDiverged, match=r"step 3: the loss is nan.*--trainer\.gradient_clip_val 1"):
            cli.trainer.fit(cli.model, cli.datamodule)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2
    for key in ("state_dict", "current_model_state"):
        assert all(value.isfinite().all() for value in state[key].values())
    cli = _recipe(*args, *more, "--trainer.gradient_clip_val=1")
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path="last", weights_only=True)
    assert cli.trainer.global_step == 6
    assert export(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "model.safetensors").is_file()


@pytest.mark.slow
def test_gradients_are_clipped_from_recipes(folder: Path, tmp_path: Path):
    """Of plain gradient descent at rate 1, one step is as long as the clipped gradient."""
    args = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1", "--trainer.max_steps=1"]
    lengths = []
    for clip in ("0.01", "null"):
        root = tmp_path / clip
        root.mkdir()
        cli = _recipe(RECIPES / "debug.yaml", folder, root, *args, f"--trainer.gradient_clip_val={clip}")
        ends = _Ends()
        cli.trainer.callbacks.append(ends)
        cli.trainer.fit(cli.model, cli.datamodule)
        moved = [value.flatten() for name, value in ends.moved().items() if name in dict(cli.model.named_parameters())]
        lengths.append(torch.cat(moved).norm().item())
    assert lengths[0] == pytest.approx(0.01, rel=1e-3)
    assert lengths[1] > 0.02


# --- pictures --------------------------------------------------------------------------------------------------------


def _cells(grid: np.ndarray, columns: int) -> np.ndarray:
    """(3, columns, h, w, 3) without the margins of two pixels."""
    height, width = (grid.shape[0] - 2) // 3, (grid.shape[1] - 2) // columns
    rows = grid[2:, 2:].reshape(3, height, columns, width, 3).swapaxes(1, 2)
    return rows[:, :, : height - 2, : width - 2]


def test_samples_are_what_is_seen_made_and_true(folder: Path, tmp_path: Path):
    cli = _recipe(RECIPES / "debug.yaml", folder, tmp_path)
    cli.trainer.fit(cli.model, cli.datamodule)
    path = tmp_path / "samples" / "step-000002.png"
    seen, made, true = _cells(np.asarray(Image.open(path)), columns=2)
    rgb = next(iter(cli.datamodule.val_dataloader()))["rgb"]
    np.testing.assert_array_equal(true, rgb.permute(0, 2, 3, 1))
    gray = rgb2lab(true)[..., :1] * [1, 0, 0]  # L of the photograph, by scikit-image
    np.testing.assert_allclose(seen, 255 * lab2rgb(gray), atol=1)
    with torch.no_grad():
        painted = cli.model.model.eval().colorize(rgb / 255)
    np.testing.assert_allclose(made, 255 * painted.permute(0, 2, 3, 1), atol=1)
    # The same picture lies in TensorBoard's file.
    events = EventAccumulator(str(tmp_path / "tensorboard" / "version_0")).Reload()
    (image,) = events.Images("val/samples")
    assert image.step == 2
    shown = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    np.testing.assert_allclose(shown, np.asarray(Image.open(path)), atol=1)


def test_samples_of_white_balance(batch: Tensor):
    model = create_model("color_by_colorization_small")
    grid = sample_grid(model, batch)
    seen, made, true = torch.from_numpy(_cells(grid.permute(1, 2, 0).numpy(), columns=3)).permute(0, 1, 4, 2, 3)
    assert torch.equal(true, batch)
    gains = (seen / batch).flatten(2).nanmedian(dim=2).values  # of red, green and blue
    torch.testing.assert_close(gains[:, 1], torch.ones(3))
    assert ((gains - 1).abs()[:, [0, 2]] > 0.01).any(dim=1).all()
    with torch.no_grad():
        torch.testing.assert_close(made, model.colorize(seen))


@pytest.mark.parametrize("quiet", [{"sanity_checking": True, "is_global_zero": True}, {"is_global_zero": False}])
def test_samples_are_drawn_once(quiet: dict[str, bool], tmp_path: Path):
    trainer: Any = SimpleNamespace(**{"sanity_checking": False, "default_root_dir": tmp_path} | quiet)
    SampleGrid().on_validation_batch_end(trainer, None, None, {}, 0)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# --- speed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dahl16_small", pytest.param("larsson16_small", marks=pytest.mark.nightly)])
def test_compiled_training_is_the_same(name: str, batch: Tensor, monkeypatch: pytest.MonkeyPatch):
    """The same loss, gradients and names of weights; what is compiled is what training runs."""
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend=counter))
    rgb, label = batch[..., :64, :64], torch.full((3,), -1)
    found = []
    for compile in (False, True):
        torch.manual_seed(0)
        task = ColorTask(name, compile=compile)
        torch.manual_seed(1)
        loss = task.losses(rgb, label)["loss"]
        loss.backward()
        found.append((loss, {key: value.grad for key, value in task.named_parameters()}, list(task.state_dict())))
    assert counter.frame_count > 0
    assert found[0][2] == found[1][2]
    torch.testing.assert_close(found[0][:2], found[1][:2], rtol=1e-3, atol=1e-4)


def test_channels_last_keeps_values(batch: Tensor):
    rgb, label = batch[..., :64, :64], torch.full((3,), -1)
    results = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        task = ColorTask("dahl16_small", channels_last=channels_last)
        kernels = [value for value in task.parameters() if value.ndim == 4 and min(value.shape[1:]) > 1]
        last = [value.is_contiguous(memory_format=torch.channels_last) for value in kernels]
        assert all(last) if channels_last else not any(last)
        loss = task.losses(rgb, label)["loss"]
        loss.backward()
        with torch.no_grad():
            painted = task.model.eval().colorize(rgb)
        results.append((loss, {key: value.grad for key, value in task.named_parameters()}, painted))
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-4)


if __name__ == "__main__":
    _worker(Path(sys.argv[1]))
