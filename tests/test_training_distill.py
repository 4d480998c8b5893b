"""A compact network learns another one's distributions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from colorlib import create_model
from colorlib.models import ColorModel
from colorlib.targets import HueChroma, LabMarginal
from colorlib.tensors import read_tensors, save_weights
from training.__main__ import main
from training.distill import Teacher, divergence
from training.export import export
from training.task import ColorTask

RECIPE = Path(__file__).parent.parent / "training" / "recipes" / "larsson16_distilled_small.yaml"
LAYERS = "data..conv2_2"  # of VGG-16 at full size, and the hidden layer of 1024


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, with opinions that differ from pixel to pixel."""
    torch.manual_seed(0)
    model = create_model("larsson16", components=LAYERS)
    with torch.no_grad():
        model.get_submodule("predictors").weight.mul_(4)
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_weights(model, file, {"model": "larsson16", "model_args": f'{{"components": "{LAYERS}"}}'})
    return file


def test_divergence_is_that_of_its_definition():
    """By numpy in double precision, pixel by pixel."""
    draw = np.random.default_rng(0)
    ours, theirs = draw.normal(size=(2, 3, 64, 4, 5), scale=2)
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (theirs[:, :32], ours[:, :32]))
    hue = (p * np.log(p / q)).sum(axis=1)
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (theirs[:, 32:], ours[:, 32:]))
    chroma = (p * np.log(p / q)).sum(axis=1)
    expected = (p * ((np.arange(32) + 0.5) / 32)[:, None, None]).sum(axis=1)
    tensors = torch.from_numpy(ours).float(), torch.from_numpy(theirs).float()
    of_hue = divergence(HueChroma(), *tensors).item()
    assert of_hue == pytest.approx((5 * expected * hue + chroma).mean(), rel=1e-5)
    assert divergence(LabMarginal(), *tensors).item() == pytest.approx((hue + chroma).mean(), rel=1e-5)
    assert divergence(HueChroma(), tensors[1], tensors[1]).item() == pytest.approx(0, abs=1e-6)


def test_other_bins_are_refused(teacher: Path):
    with pytest.raises(ValueError, match=r"the same bins, as larsson16 and larsson16_small"):
        Teacher(str(teacher), create_model("larsson16_lab_marginal_small"))
    with pytest.raises(ValueError, match=r"the same bins"):
        Teacher("iizuka16_small", create_model("iizuka16_small"))
    with pytest.raises(ValueError, match=r"soft in \(0, 1\], got 0"):
        Teacher(str(teacher), create_model("larsson16_small"), soft=0)


def test_a_teachers_loss_is_not_compiled(teacher: Path):
    with pytest.raises(ValueError, match="leave out compile or teacher"):
        ColorTask("larsson16_small", teacher=str(teacher), compile=True)


def test_the_methods_own_loss_may_count_too(teacher: Path, batch: Tensor):
    student, label = create_model("larsson16_small"), torch.full((3,), -1)
    half = Teacher(str(teacher), student, soft=0.25)
    torch.manual_seed(1)
    own = student.losses(batch, label)["loss"]
    torch.manual_seed(1)
    mixed = half.losses(student, batch, label)
    torch.testing.assert_close(mixed["own"], own)
    torch.testing.assert_close(mixed["loss"], 0.25 * mixed["divergence"] + 0.75 * own)
    mixed["loss"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in student.parameters() if p.requires_grad)


def _apart(student: ColorModel, teacher: Path, rgb: Tensor) -> float:
    with torch.no_grad():
        return float(Teacher(str(teacher), student).losses(student.eval(), rgb, torch.empty(0))["divergence"])


@pytest.mark.slow
def test_a_compact_network_comes_to_agree(teacher: Path, folder: Path, batch: Tensor, tmp_path: Path):
    """By the recipe, on crops of three photographs; measured on others of them, beside a network without training."""
    args = [
        "fit", "--config", str(RECIPE), f"--data.train=[{folder}]", f"--data.val=[{folder}]", "--data.size=64",
        "--data.resize=80", "--data.batch_size=6", "--data.workers=0", "--data.shuffle=8", f"--model.teacher={teacher}",
        "--model.weights=null", "--model.aged=0", "--model.warmup_steps=5", "--trainer.max_steps=80",
        "--model.optimizer.init_args.lr=2e-3", "--trainer.accelerator=cpu", "--trainer.precision=32-true",
        "--trainer.limit_val_batches=0", f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]  # fmt: skip
    trained = main(args)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name or "network" in name for name in state)
    student = trained.model.model
    torch.manual_seed(3)
    control = create_model("larsson16_small")
    before, after = _apart(control, teacher, batch), _apart(student, teacher, batch)
    assert after < 0.5 * before, (before, after)

    export(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "student.safetensors")
    assert len(read_tensors(tmp_path / "student.safetensors")) == len(student.state_dict())
