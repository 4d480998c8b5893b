"""Recipes are read, trained, stopped and resumed; data are filtered, cropped and labelled."""

import io
import math
import tarfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from torch import Tensor
from typer.testing import CliRunner

from colorlib import Colorizer, create_model
from colorlib.cli import app as command_line
from colorlib.color import rgb_to_lab
from colorlib.metrics.functional import chroma
from colorlib.models import ColorModel
from colorlib.targets import Regression
from colorlib.tensors import load_weights, read_metadata, save_weights
from training import cli as training_cli
from training import throughput, trial
from training.__main__ import main
from training.callbacks import SampleGrid
from training.cli import RecipeCLI, machine_precision
from training.data import PhotoData, ShortSide, color_std
from training.export import export
from training.task import ColorTask
from training.vivid import fit_saturation

RECIPES = Path(__file__).parent.parent / "training" / "recipes"


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's command line warns where both it and pytest have arguments."""
    monkeypatch.setattr("sys.argv", ["training"])


def _jpeg(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight labelled photographs, two without labels and one gray one."""
    path = tmp_path_factory.mktemp("shards") / "photos-000000.tar"
    photograph = data.coffee()
    with tarfile.open(path, "w") as tar:
        for i in range(11):
            picture = photograph[10 * i : 10 * i + 150, : 150 + i]
            parts = {
                "jpg": _jpeg(picture if i < 10 else np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2))
            }
            if i < 8 or i == 10:
                parts["cls"] = str(i).encode()
            for suffix, content in parts.items():
                entry = tarfile.TarInfo(f"{i:04}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


def _debug(folder: Path, root: Path, *more: str) -> LightningCLI:
    data_args = [f"--data.train=[{folder}]", f"--data.val=[{folder}]", "--trainer.enable_progress_bar=false"]
    here = f"--trainer.default_root_dir={root}"  # takes loggers and checkpoints along
    return main(["fit", "--config", str(RECIPES / "debug.yaml"), here, *data_args, *more])


@pytest.mark.slow
def test_debug_recipe_trains_resumes_and_exports(folder: Path, tmp_path: Path):
    cli = _debug(folder, tmp_path, "--trainer.max_steps=10")
    assert cli.trainer.global_step == 10
    losses = [float(row) for row in _column(tmp_path, "train/loss")]
    assert len(losses) == 10
    assert all(np.isfinite(losses))
    assert sum(losses[-3:]) < sum(losses[:3])
    config = yaml.safe_load((tmp_path / "version_0" / "config.yaml").read_text())
    assert config["model"]["model"] == "iizuka16_small"  # the resolved recipe lies beside the log

    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    resumed = _debug(folder, tmp_path, "--trainer.max_steps=20", "--ckpt_path=last")
    assert resumed.trainer.global_step == 20
    assert len(_column(tmp_path, "train/loss", run=1)) == 10  # the second half only

    path = export(checkpoint, tmp_path / "model.safetensors")
    assert read_metadata(path)["model"] == "iizuka16_small"
    model = create_model("iizuka16_small")
    load_weights(model, path)
    for key, trained in resumed.model.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], trained, rtol=1e-3, atol=1e-3)


def test_too_little_memory_leads_to_options_that_need_half(folder: Path, tmp_path: Path, monkeypatch):
    """Steps stay as large. The error is torch's own, for a tensor that no machine can hold."""

    def losses(*_: object) -> dict[str, torch.Tensor]:
        return {"loss": torch.empty(1 << 50).sum()}

    monkeypatch.setattr(type(create_model("iizuka16_small")), "losses", losses)
    said = "Too little memory for 4 photographs at once. About as many a step, in parts: --data.batch_size 2 "
    with pytest.warns(UserWarning, match=said + "--trainer.accumulate_grad_batches 6"), pytest.raises(RuntimeError):
        _debug(folder, tmp_path, "--data.batch_size=4", "--trainer.accumulate_grad_batches=3")


def _column(root: Path, name: str, run: int = 0) -> list[str]:
    header, *rows = (root / f"version_{run}" / "metrics.csv").read_text().splitlines()
    index = header.split(",").index(name)
    return [cell for cell in (row.split(",")[index] for row in rows) if cell]


def _recipe(path: Path, *more: str) -> LightningCLI:
    """Built as its command builds it, but for weights that would have to be fetched, or colours counted first."""
    wanted = yaml.safe_load(path.read_text())["model"].get("model_args", {})
    offline = ["--model.model_args.table=null"] if "table" in wanted else []
    if wanted.get("encoder_weights") == "imagenet" and not path.stem.endswith("_small"):
        offline.append("--model.model_args.encoder_weights=null")
    args = ["--config", str(path), *offline, *more]
    return RecipeCLI(ColorTask, PhotoData, run=False, args=args, save_config_callback=None)


def test_defaults_are_read_without_being_named(tmp_path: Path):
    """A recipe says what is its own; what it names replaces the default, and --trainer.default_root_dir moves all."""
    recipe, root, elsewhere = RECIPES / "dahl16_small.yaml", str(tmp_path / "root"), str(tmp_path / "elsewhere")
    trainer = _recipe(recipe, f"--trainer.default_root_dir={root}").trainer
    assert [type(logger).__name__ for logger in trainer.loggers] == ["CSVLogger", "TensorBoardLogger"]
    assert {logger.save_dir for logger in trainer.loggers} == {root}
    assert trainer.checkpoint_callback.dirpath == f"{root}/checkpoints"
    assert trainer.check_val_every_n_epoch is None
    own = ["--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={elsewhere}", "--trainer.callbacks=[]"]
    trainer = _recipe(
        recipe, f"--trainer.default_root_dir={root}", *own, "--trainer.enable_checkpointing=false"
    ).trainer
    assert [logger.save_dir for logger in trainer.loggers] == [elsewhere]
    assert not any(isinstance(callback, SampleGrid) for callback in trainer.callbacks)


@pytest.mark.parametrize("apart", [False, True])
def test_folders_that_a_recipe_names_move_together_or_stay(tmp_path: Path, apart: bool):
    """As recipes did before there were defaults; a folder of the user's own for checkpoints stays where it is."""
    recipe = yaml.safe_load((RECIPES / "dahl16_small.yaml").read_text())
    saving = "/own" if apart else "runs/x/checkpoints"
    recipe["trainer"] |= {
        "default_root_dir": "runs/x",
        "logger": [{"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "runs/x"}}],
        "callbacks": [{"class_path": "training.callbacks.GuardedCheckpoint", "init_args": {"dirpath": saving}}],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    trainer = _recipe(tmp_path / "recipe.yaml", f"--trainer.default_root_dir={tmp_path}").trainer
    assert trainer.logger.save_dir == ("runs/x" if apart else str(tmp_path))
    assert trainer.checkpoint_callback.dirpath == ("/own" if apart else f"{tmp_path}/checkpoints")


def test_recipes_train_in_the_precision_that_the_machine_can_do(monkeypatch: pytest.MonkeyPatch):
    recipe = RECIPES / "dahl16_small.yaml"
    for able, chosen in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda able=able: able)
        assert machine_precision("cpu")[0] == chosen
        assert _recipe(recipe, "--trainer.accelerator=cpu").trainer.precision == chosen
        asked = _recipe(recipe, "--trainer.accelerator=cpu", "--trainer.precision=64-true")
        assert asked.trainer.precision == "64-true"
    assert machine_precision("mps")[0] == "32-true"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert machine_precision("auto") == ("32-true", "Tesla V100 has no bf16 units")


def test_the_chosen_precision_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training_cli, "machine_precision", lambda accelerator: ("32-true", f"{accelerator} is slow"))
    with caplog.at_level("INFO"):
        _recipe(RECIPES / "dahl16_small.yaml", "--trainer.accelerator=cpu")
    assert "Precision: 32-true, since cpu is slow (--trainer.precision chooses another)" in caplog.text


def test_no_recipe_names_a_precision_but_the_test_of_training_itself():
    named = {path.stem for path in RECIPES.glob("*.yaml") if "precision" in yaml.safe_load(path.read_text())["trainer"]}
    assert named == {"debug"}


@pytest.mark.parametrize("name", ["iizuka16", "iizuka16_local"])
def test_iizukas_recipes_are_the_papers(name: str):
    """Section 4: crops of 224 from 256, batches of 128, 200,000 iterations of ADADELTA."""
    cli = _recipe(RECIPES / f"{name}.yaml")
    assert isinstance(cli.model.optimizer([torch.nn.Parameter(torch.zeros(1))]), torch.optim.Adadelta)
    assert (cli.trainer.max_steps, cli.datamodule.batch_size) == (200_000, 128)
    assert (cli.datamodule.hparams["resize"], cli.datamodule.hparams["size"]) == (256, 224)


def test_larssons_recipe_is_the_papers():
    """Sections 3.5 and 4: VGG-16 from ImageNet, 128 points, short sides of 256, 1.2 million photographs an epoch."""
    cli = _recipe(RECIPES / "larsson16.yaml", "--model.model_args.components=conv4_1..fc7")
    assert (
        yaml.safe_load((RECIPES / "larsson16.yaml").read_text())["model"]["model_args"]["encoder_weights"] == "imagenet"
    )
    assert cli.trainer.max_steps * cli.datamodule.batch_size == 1_200_000
    assert cli.datamodule.hparams["size"] == 256
    assert cli.model.model.points == 128
    assert cli.model.model.components[0] == "conv4_1"  # as the recipe's header says for table 2


def test_rebalanced_recipes_take_their_table(tmp_path: Path, folder: Path):
    """From the command that their headers name, kept with the weights; without it, they say how to make it."""
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors.*colorlib rebalance --data"):
        create_model("lin21_rebalanced_small", table=tmp_path / "none.safetensors")
    table = tmp_path / "table.safetensors"
    run = CliRunner().invoke(command_line, ["rebalance", "--data", str(folder / "people"), "--out", str(table)])
    assert run.exit_code == 0, run.output
    rgb = torch.rand(2, 3, 64, 64)
    with pytest.raises(ValueError, match="colorlib rebalance writes it"):
        create_model("lin21_rebalanced_small").calibrate(rgb)
    model = create_model("lin21_rebalanced_small", table=table)
    model.calibrate(rgb)
    assert model.target.weights.std() > 0.1
    save_weights(model, tmp_path / "model.safetensors", {})
    loaded = create_model("lin21_rebalanced_small", weights=tmp_path / "model.safetensors")
    torch.testing.assert_close(loaded.target.weights, model.target.weights, rtol=1e-3, atol=1e-3)


def test_halving_schedule(folder: Path, tmp_path: Path):
    """Zhu and Funt 2018: the learning rate is halved every so many steps."""
    trained = _debug(
        folder, tmp_path, "--model.model=color_by_colorization_small", "--model.schedule=halving",
        "--model.halve_every=2", "--trainer.max_steps=5", "--trainer.callbacks.every_n_train_steps=5",
        "--trainer.val_check_interval=5",
    )  # fmt: skip
    (rate,) = trained.trainer.lr_scheduler_configs[0].scheduler.get_last_lr()
    assert rate == pytest.approx(1e-3 / 4)
    angle, cast = (float(_column(tmp_path, name)[-1]) for name in ("val/angle", "val/cast"))
    assert 2 < cast < 20  # of simulated casts, and of what the network leaves
    assert 0 < angle < 60


def test_trial_compares_with_the_best_constant(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The constant is the training mean: its loss is the variance, by numpy."""
    monkeypatch.setattr(trial, "STEPS", 2)
    data_args = [f"--data.train=[{folder}]", f"--data.val=[{folder}]", "--trainer.enable_progress_bar=false"]
    args = [str(RECIPES / "debug.yaml"), *data_args, "--trainer.limit_val_batches=0"]
    network, constant = trial.trial(args)
    assert np.isfinite(network)
    photos = PhotoData(val=[str(folder)], size=64, batch_size=16, workers=0)
    rgb = next(iter(photos.val_dataloader()))["rgb"].float() / 255
    ab = rgb_to_lab(rgb)[:, 1:].numpy() / 110 / 2
    variance = ab.var(axis=(0, 2, 3)).mean()
    # The constant comes from crops of the training photographs, here the same seven.
    assert constant == pytest.approx(variance, rel=0.25)


def test_throughput_is_that_of_step_encoding_and_loader(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Encoding is delayed by 0.5 s a step, the loader by 0.05 s a photograph: both are found where they belong."""
    encode = Regression.encode
    monkeypatch.setattr(Regression, "encode", lambda *args: time.sleep(0.5) or encode(*args))
    monkeypatch.setattr("training.data.color_std", lambda image: time.sleep(0.05) or color_std(image))
    monkeypatch.setattr(throughput, "LOADED", 40)
    found = throughput.throughput([str(RECIPES / "debug.yaml"), f"--data.train=[{folder}]"])
    assert (found.recipe, found.device, found.precision, found.crop, found.batch) == ("debug", "cpu", "32-true", 64, 4)
    assert 0.5 < found.encoding < 1
    assert found.encoding < found.step
    assert 0.05 < found.loading < 0.25
    assert found.photographs == pytest.approx(4 / found.step)
    assert found.hours == pytest.approx(20 * found.step / 3600)  # the recipe has 20 steps of 4
    assert [found.loaders(n) for n in (1, 8)] == [math.ceil(n * 4 * found.loading / found.step) for n in (1, 8)]
    monkeypatch.setattr(throughput, "throughput", lambda args: found)
    throughput.main(["some.yaml", f"--data.train=[{folder}]"])
    heading, row = capsys.readouterr().out.splitlines()[-2:]
    assert f"{found.photographs:.1f}" in row.split()
    assert heading.split()[0] == "recipe"
    with pytest.raises(SystemExit, match="expected recipes"):
        throughput.main([f"--data.train=[{folder}]"])


def test_the_whole_recipe_has_its_own_batches(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever batch the speed is measured with: 20 steps of 4 photographs are 80."""
    monkeypatch.setattr(throughput, "LOADED", 4)
    options = ["--data.batch_size=2", "--trainer.accumulate_grad_batches=2", "--trainer.max_steps=9"]
    found = throughput.throughput([str(RECIPES / "debug.yaml"), f"--data.train=[{folder}]", *options])
    assert (found.batch, found.photographs) == (2, pytest.approx(2 / found.step))
    assert found.hours == pytest.approx(80 / (2 / found.step) / 3600)


def test_layers_are_balanced_before_the_first_step(folder: Path, tmp_path: Path):
    """A.1 on the training photographs; ImageNet's own layers have second moments from 8 to 74."""
    trained = _debug(
        folder, tmp_path, "--model.model=larsson16_small", "--model.model_args.encoder_weights=imagenet",
        "--model.optimizer.init_args.lr=0", "--trainer.max_steps=1", "--trainer.limit_val_batches=0",
        "--trainer.callbacks.every_n_train_steps=1",
    )  # fmt: skip
    model = trained.model.model.eval()
    lightness = model.to_input(next(iter(trained.datamodule.val_dataloader()))["rgb"].float() / 255)
    with torch.no_grad():
        moments = [x.square().mean().item() for x in model.layers(lightness)]
    assert all(0.25 < moment < 4 for moment in moments)
    # The weights that are exported predict the same as those that were trained.
    path = export(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "model.safetensors")
    exported = create_model("larsson16_small", weights=path)
    with torch.no_grad():
        torch.testing.assert_close(exported(lightness), model(lightness), rtol=0, atol=0.05)


def test_frozen_parts_do_not_change(batch: torch.Tensor):
    task = ColorTask("iizuka16_small", freeze=["low_level"]).train()
    before = {key: value.clone() for key, value in task.model.low_level.state_dict().items()}
    optimizer = task.optimizer([p for p in task.parameters() if p.requires_grad])
    task.model.losses(batch, torch.tensor([0, 1, 2]))["loss"].backward()
    optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in task.model.low_level.state_dict().items())
    assert task.model.mid_level.training


def test_scenes_teach_the_encoder_and_leave_nothing_behind(batch: torch.Tensor):
    """Cross-entropy on the mean of the last map, by hand; unlabelled pictures add nothing; the model is as before."""
    torch.manual_seed(0)
    task = ColorTask("larsson16_small", scenes=0.5, classes=4).train()
    plain = create_model("larsson16_small").state_dict().keys()
    assert task.model.state_dict().keys() == plain
    label = torch.tensor([2, -1, 0])
    torch.manual_seed(1)
    losses = task.model.losses(batch, label)
    found = task._with_scenes(losses["loss"], label)
    pooled = task._last_map.mean(dim=(2, 3))
    scores = (pooled @ task.classifier.weight.T + task.classifier.bias).log_softmax(dim=1)
    scene = -(scores[0, 2] + scores[2, 0]) / 2
    torch.testing.assert_close(found["loss"], losses["loss"] + 0.5 * scene)
    last = next(task.model.encoder.stages[-1].parameters())
    taught, alone = (torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (found["loss"], losses["loss"]))
    assert not torch.allclose(taught, alone)
    nothing = task._with_scenes(losses["loss"].detach(), torch.full((3,), -1))
    torch.testing.assert_close(nothing["loss"], losses["loss"].detach())


def test_aged_photographs_are_seen_and_true_colours_learned(batch: torch.Tensor):
    """The network's input changes, what it is to say does not."""
    model = create_model("dahl16_small")
    seen = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    shown = batch.flip(-1)
    loss = model.losses(batch, torch.zeros(3), shown)["loss"]
    torch.testing.assert_close(seen[0], model.to_input(shown))
    prediction = model(model.to_input(shown))
    torch.testing.assert_close(loss, model.target.loss(prediction, model.target.encode(batch, prediction.shape[-2:])))


def test_scales_are_drawn_between_two(folder: Path):
    """A crop of 64 from a short side of 64 to 128: one photograph at several sizes."""
    photos = PhotoData(train=[str(folder)], size=64, resize=(64, 128), batch_size=1, workers=0)
    picture = Image.new("RGB", (200, 100))
    heights = {photos.augment.transforms[0](picture).height for _ in range(200)}
    assert min(heights) >= 64
    assert max(heights) <= 128
    assert len(heights) > 40


def test_the_short_side_is_exact():
    """torchvision's RandomShortestSize makes 127 of 103 and of 98 other sides up to 2,000, and the crop then fails."""
    for side in (*range(60, 260), 412, 824, 1648):
        for size in ((side, side), (side + 37, side), (side, 2 * side)):
            assert min(ShortSide(128, 128)(Image.new("L", size)).size) == 128
    assert ShortSide(128, 128)(Image.new("L", (203, 103))).size == (252, 128)  # 203 x 128 / 103 = 252.3


def test_a_photograph_of_any_size_is_cropped(tmp_path: Path):
    """Down to a quarter of the crop; smaller ones are left out."""
    for side in (1, 5, 31, 32, 103, 106, 107, 128, 206):
        Image.effect_noise((2 * side, side), 80).convert("RGB").save(tmp_path / f"{side}.png")
    photos = PhotoData(train=[str(tmp_path)], size=128, resize=(128, 192), batch_size=6, workers=0, min_color_std=0)
    first, second = islice(photos.train_dataloader(), 2)
    assert first["rgb"].shape == second["rgb"].shape == (6, 3, 128, 128)
    assert [first["position"][-1, 0], second["position"][0, 0]] == [0, 1]  # six are a round
    with pytest.raises(ValueError, match=r"expected size <= resize, .* got size=128 and resize=\(100, 192\)"):
        PhotoData(train=[str(tmp_path)], size=128, resize=(100, 192))


def test_cosine_schedule_rises_and_falls(folder: Path, tmp_path: Path):
    trained = _debug(
        folder, tmp_path, "--model.schedule=cosine", "--model.warmup_steps=2", "--trainer.max_steps=6",
        "--trainer.limit_val_batches=0",
    )  # fmt: skip
    scheduler = trained.trainer.lr_scheduler_configs[0].scheduler
    assert scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match=r"needs trainer\.max_steps above 2, got -1"):
        _debug(folder, tmp_path, "--model.schedule=cosine", "--model.warmup_steps=2", "--trainer.max_steps=-1")


def test_folder_batches(folder: Path):
    photos = PhotoData(val=[str(folder)], train=[str(folder)], size=64, resize=72, batch_size=4, workers=0)
    batches = list(photos.val_dataloader())
    labels = torch.cat([one["label"] for one in batches]).tolist()
    assert labels == [0, 0, 0, -1, 1, 1, 1]  # sorted by path; the broken one is left out, the loose one has no class
    assert {one["rgb"].shape[1:] for one in batches} == {(3, 64, 64)}
    assert batches[0]["rgb"].dtype == torch.uint8
    # The first photograph, centre-cropped: the crop's mean colour is that of the middle of the file.
    middle = np.asarray(Image.open(folder / "cats" / "0.jpg"))[:, 10:210]
    np.testing.assert_allclose(batches[0]["rgb"][0].float().mean(dim=(1, 2)), middle.mean(axis=(0, 1)), atol=1)


def test_shards_are_filtered_and_unlabelled_ones_get_minus_one(shard: Path):
    photos = PhotoData(train=[str(shard)], val=[str(shard)], size=64, resize=72, batch_size=50, workers=0)
    seen = next(iter(photos.train_dataloader()))
    assert set(seen["label"].tolist()) == {*range(8), -1}  # the gray one, of class 10, never comes
    assert seen["rgb"].shape == (50, 3, 64, 64)  # without end: 50 of 10
    assert len(next(iter(photos.val_dataloader()))["label"]) == 11  # validation leaves nothing out
    unlabelled = PhotoData(val=[str(shard)], size=64, batch_size=50, workers=0, labelled=False)
    assert next(iter(unlabelled.val_dataloader()))["label"].eq(-1).all()


def test_crops_and_flips_differ(folder: Path):
    photos = PhotoData(train=[str(folder / "people")], size=64, resize=72, batch_size=24, workers=0)
    torch.manual_seed(0)
    rgb = next(iter(photos.train_dataloader()))["rgb"].float()
    assert len({tuple(one.flatten()[:50].tolist()) for one in rgb}) > 12  # three photographs, many crops
    left, right = rgb[..., :32].mean(dim=(1, 2, 3)), rgb[..., 32:].mean(dim=(1, 2, 3))
    assert 4 <= int((left > right).sum()) <= 20  # the astronaut's bright side is on either side


def test_filter_against_colourless_images():
    """Of real photographs: the standard deviation in numpy, and what is kept at the default threshold."""
    astronaut = data.astronaut()
    boxes = astronaut.reshape(32, 16, 32, 16, 3).mean(axis=(1, 3)).round() / 255
    ab = rgb_to_lab(torch.from_numpy(boxes).permute(2, 0, 1))[1:].flatten(1).numpy()
    assert color_std(Image.fromarray(astronaut)) == pytest.approx(np.sqrt((ab.std(axis=1) ** 2).sum()), rel=1e-2)
    gray = np.repeat(data.camera()[..., None], 3, axis=2)
    tinted = (gray * [1.0, 0.97, 0.94]).astype(np.uint8)
    threshold = PhotoData().min_color_std
    assert color_std(Image.fromarray(gray)) < 0.1
    assert [color_std(Image.fromarray(x)) >= threshold for x in (gray, tinted)] == [False, False]
    assert all(color_std(Image.fromarray(x)) >= threshold for x in (astronaut, data.chelsea(), data.coffee()))


def test_data_errors(tmp_path: Path, folder: Path, shard: Path):
    with pytest.raises(ValueError, match=r"pass --data\.train with shards or folders"):
        PhotoData().train_dataloader()
    with pytest.raises(FileNotFoundError, match="neither a tar shard nor a folder"):
        PhotoData(train=[str(tmp_path / "none")]).train_dataloader()
    with pytest.raises(FileNotFoundError, match="neither tar shards nor photographs"):
        PhotoData(train=[str(tmp_path)]).train_dataloader()
    with pytest.raises(ValueError, match="mixes tar shards and folders"):
        PhotoData(train=[str(folder), str(shard)]).train_dataloader()


class Pale(ColorModel):
    """Sees a photograph's own chroma, and answers with half of it."""

    def __init__(self) -> None:
        super().__init__()
        self.target, self.stride, self.work_size = Regression("lab", -110, 110), 1, None

    def to_input(self, rgb: Tensor) -> Tensor:
        lab = rgb_to_lab(rgb)
        self.seen = lab[:, 1:]
        return lab[:, :1]

    def predict(self, lightness: Tensor) -> Tensor:
        return self.seen / 2


def test_saturation_is_fitted_to_photographs():
    """Half the chroma needs 1.76 times for 0.88 of it, and steps are of 0.05; gamut takes nothing, as it all fits."""
    colorizer = Colorizer(Pale())
    photos = torch.from_numpy(data.astronaut()[None, ::8, ::8]).movedim(-1, 1) / 255
    assert fit_saturation(colorizer, photos, wanted=0.88) == pytest.approx(1.8)
    assert colorizer.target.saturation == pytest.approx(1.8)
    assert fit_saturation(colorizer, photos, wanted=0.4) == 1
    assert fit_saturation(colorizer, photos, most=1.5) == 1.5


def test_mean_chroma_is_scikit_images():
    photo = data.astronaut()[::8, ::8]
    expected = np.linalg.norm(rgb2lab(photo)[..., 1:], axis=-1).mean()
    found = chroma(torch.from_numpy(photo)[None].movedim(-1, 1) / 255)
    assert found.item() == pytest.approx(expected, rel=1e-4)
