"""Heads that are trained together learn what each would learn alone."""

from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file
from skimage import data
from torch import Tensor

from colorlib import color, create_model
from colorlib.catalog import WeightsInfo
from colorlib.tensors import file_sha256, read_metadata
from training import export as exporting
from training.heads import Heads
from training.task import ColorTask

NAMES = ["dahl16_small", "hwang16_classification_small", "larsson16_lab_l2_small"]


@pytest.fixture
def rgb() -> Tensor:
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    return torch.stack([photograph[:, 40:104, 180:244], photograph[:, 300:364, 100:164]])


def test_heads_learn_what_each_learns_alone(rgb: Tensor):
    label = torch.tensor([-1, -1])
    torch.manual_seed(0)
    together = Heads.create(NAMES, embedded=True, encoder_weights="larsson16_small").train()
    together.encoder.requires_grad_(False).eval()
    gray = color.lightness_to_gray(color.rgb_to_lightness(rgb)).expand_as(rgb)
    for name, head in together.heads.items():
        torch.manual_seed(1)
        loss = head.losses(rgb, label, gray)["loss"]
        torch.manual_seed(1)
        losses = together.losses(rgb, label)
        if name != "larsson16_lab_l2_small":  # whose points are drawn in another order than alone
            torch.testing.assert_close(losses[name], loss, rtol=1e-5, atol=1e-6)
        assert losses["loss"].item() == pytest.approx(sum(losses[one].item() for one in NAMES))
        parameters = [p for p in head.parameters() if p.requires_grad]
        alone = torch.autograd.grad(losses[name], parameters, retain_graph=True)
        summed = torch.autograd.grad(losses["loss"], parameters)
        for first, second in zip(alone, summed, strict=True):
            torch.testing.assert_close(second, first)


def test_they_begin_with_their_weights_on_the_encoder_that_is_named():
    heads = Heads.create(NAMES[:2], embedded=True, encoder_weights="imagenet")
    before = create_model("dahl16_small", pretrained=True)
    torch.testing.assert_close(heads.heads["dahl16_small"].head.state_dict(), before.head.state_dict(), rtol=0, atol=0)
    fresh = create_model("dahl16_small", encoder_weights="imagenet").encoder.state_dict()
    for head in heads.heads.values():
        torch.testing.assert_close(head.encoder.state_dict(), fresh, rtol=0, atol=0)
        assert head.encoder is heads.encoder


def test_other_stages_are_refused():
    with pytest.raises(
        ValueError, match=r"dahl16_small reads stage1, .*, lin21_small reads block2a_expand, .* separate"
    ):
        Heads.create(["dahl16_small", "lin21_small"], embedded=False)


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, WeightsInfo]]:
    """A folder that stands for the package's, and an index for it."""
    folder, index = tmp_path / "weights", {}
    folder.mkdir()
    monkeypatch.setattr(exporting, "EMBEDDED", folder)
    monkeypatch.setattr(exporting, "list_weights", index.__setitem__)
    monkeypatch.setattr(exporting, "weights_index", lambda: index)
    monkeypatch.setattr("colorlib.tensors.EMBEDDED", folder)
    return folder, index


def _checkpoint(task: ColorTask, path: Path) -> Path:
    torch.save({"state_dict": task.state_dict(), "hyper_parameters": dict(task.hparams), "global_step": 7}, path)
    return path


def test_each_head_is_exported_by_its_name_and_shares_the_encoder(
    tmp_path: Path, embedded: tuple[Path, dict[str, WeightsInfo]]
):
    folder, index = embedded
    torch.manual_seed(0)
    alone = _checkpoint(ColorTask("larsson16_small"), tmp_path / "larsson.ckpt")
    exporting.export(alone, folder, share=True)
    heads = ColorTask(NAMES[:2], model_args={"encoder_weights": None})
    shared = create_model("larsson16_small", weights=folder / "larsson16_small.safetensors").encoder
    heads.model.encoder.load_state_dict(shared.state_dict())
    for parameter in heads.model.encoder.parameters():  # as a moving average leaves it
        parameter.data *= 1 + 1e-6
    together = _checkpoint(heads, tmp_path / "heads.ckpt")
    for name in NAMES[:2]:
        exporting.export(together, folder, model=name, recipe="heads.yaml")
    (encoder,) = folder.glob("encoder-*")
    for name, info in index.items():
        assert info.encoder == file_sha256(encoder) == read_metadata(folder / info.file)["encoder"]
        assert not load_file(folder / info.file).keys() & create_model(name).encoder_names().keys()
        assert info.sha256 == file_sha256(folder / info.file)
        assert info.parameters == sum(p.numel() for p in create_model(name).parameters())
    trained = heads.model.heads["dahl16_small"].state_dict()
    loaded = create_model("dahl16_small", weights=folder / "dahl16_small.safetensors").state_dict()
    torch.testing.assert_close(loaded, trained, rtol=1e-3, atol=1e-4)  # half precision

    torch.manual_seed(1)  # another encoder: the first stays as long as a head names it
    again = _checkpoint(ColorTask("larsson16_small"), tmp_path / "again.ckpt")
    exporting.export(again, folder, share=True)
    assert len(list(folder.glob("encoder-*"))) == 2
    for name in NAMES[:2]:
        index[name] = index["larsson16_small"]
    exporting.export(again, folder, share=True)
    assert [path.name[8:16] for path in folder.glob("encoder-*")] == [index["larsson16_small"].encoder[:8]]


def test_which_of_several_has_to_be_said(tmp_path: Path):
    path = _checkpoint(ColorTask(NAMES[:2]), tmp_path / "heads.ckpt")
    with pytest.raises(
        typer.BadParameter, match="one of dahl16_small, hwang16_classification_small, which were trained"
    ):
        exporting.export(path, tmp_path)


def test_what_cannot_be_trained_together_is_said():
    with pytest.raises(ValueError, match="each on an encoder; lin21_convnet_small have none"):
        Heads.create(["dahl16_small", "lin21_convnet_small"], embedded=False)
    with pytest.raises(ValueError, match="different methods, each on an encoder; got dahl16_small, dahl16_small"):
        Heads.create(["dahl16_small", "dahl16_small"], embedded=False)
    with pytest.raises(ValueError, match="several methods begin with weights \"embedded\" or with none, got 'embeded'"):
        ColorTask(NAMES[:2], weights="embeded")


def test_an_encoder_that_cannot_be_shared_leaves_the_weights_as_they_were(
    tmp_path: Path, embedded: tuple[Path, dict[str, WeightsInfo]]
):
    folder, index = embedded
    path = _checkpoint(ColorTask("lin21_convnet_small"), tmp_path / "convnet.ckpt")
    with pytest.raises(typer.BadParameter, match="--share needs a method whose encoder others can have"):
        exporting.export(path, folder, share=True)
    heads = _checkpoint(ColorTask(NAMES[:2]), tmp_path / "heads.ckpt")  # whose encoder is not embedded
    with pytest.raises(typer.BadParameter, match="export that with --share first"):
        exporting.export(heads, folder, model="dahl16_small")
    assert not list(folder.iterdir())
    assert not index
