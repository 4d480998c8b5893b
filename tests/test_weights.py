import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from colorlib import WeightsError, create_model
from colorlib.models import _weights
from colorlib.models._weights import file_sha256, load_weights, read_metadata, save_weights, weights_index


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_weights(nn.Linear(3, 2), path, {"model": "net"})
    return path


@pytest.mark.parametrize("name", sorted(weights_index()))
def test_embedded_files_are_what_the_index_says(name: str):
    info = weights_index()[name]
    assert file_sha256(info.path) == info.sha256
    assert info.path.stat().st_size <= 16e6
    assert info.license
    assert info.data
    assert Path(__file__).parent.parent.joinpath(info.recipe).is_file()
    metadata = read_metadata(info.path)
    assert metadata["model"] == name
    matrices = [tensor for tensor in load_file(info.path).values() if tensor.is_floating_point() and tensor.ndim > 1]
    assert {tensor.dtype for tensor in matrices} == {torch.float16}
    model = create_model(name, pretrained=True, **json.loads(metadata["model_args"]))
    assert sum(parameter.numel() for parameter in model.parameters()) == info.parameters


def test_embedded_files_stay_light():
    assert sum(path.stat().st_size for path in _weights.EMBEDDED.iterdir()) <= 90e6
    assert {info.file for info in weights_index().values()} == {p.name for p in _weights.EMBEDDED.glob("*.safetensors")}


def test_missing_unknown_and_misshapen_tensors_are_named(saved: Path):
    tensors = load_file(saved)
    save_file({"weight": tensors["weight"][:1].contiguous(), "extra": tensors["bias"]}, saved)
    with pytest.raises(WeightsError) as error:
        load_weights(nn.Linear(3, 2), saved)
    assert "bias is missing" in str(error.value)
    assert "extra is unknown to the model" in str(error.value)
    assert "weight has shape (1, 3), the model needs (2, 3)" in str(error.value)


def test_weights_of_another_model_do_not_load_in_part(tmp_path: Path):
    path = tmp_path / "local.safetensors"
    save_weights(create_model("iizuka16_local_small"), path, {})
    model = create_model("iizuka16_small")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match="does not fit Iizuka16"):
        load_weights(model, path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_weights_of_a_sibling_are_refused(tmp_path: Path):
    """Every tensor fits, but the outputs would mean other colours."""
    path = tmp_path / "dahl.safetensors"
    save_weights(create_model("dahl16_small"), path, {"model": "dahl16_small"})
    create_model("dahl16_small", weights=path)
    with pytest.raises(WeightsError, match="made for dahl16_small, not for hwang16_regression_small"):
        create_model("hwang16_regression_small", weights=path)


def test_equal_weights_have_one_hash(tmp_path: Path):
    """Metadata come out of safetensors in any order: with six entries, six files would hardly agree."""
    net, metadata = nn.Linear(3, 2), {key: key.upper() for key in "abcdef"}
    hashes = {save_weights(net, tmp_path / f"{k}.safetensors", metadata) for k in range(6)}
    assert len(hashes) == 1
    assert read_metadata(tmp_path / "0.safetensors") == metadata
    load_weights(nn.Linear(3, 2), tmp_path / "0.safetensors", hashes.pop())


def test_replaced_file(saved: Path):
    with pytest.raises(WeightsError, match="expected 0000"):
        load_weights(nn.Linear(3, 2), saved, "0000")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_damaged_file(saved: Path, content: bytes | None):
    saved.write_bytes(saved.read_bytes()[:-5] if content is None else content)
    for read in (lambda: load_weights(nn.Linear(3, 2), saved), lambda: read_metadata(saved)):
        with pytest.raises(WeightsError, match="no readable safetensors file"):
            read()


def test_absent_file(tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights file at"):
        load_weights(nn.Linear(3, 2), tmp_path / "none.safetensors")


def test_diverged_weights_are_not_saved(tmp_path: Path):
    for value in (float("nan"), 1e6):  # the second overflows half precision
        net = nn.Linear(3, 2)
        nn.init.constant_(net.weight, value)
        with pytest.raises(WeightsError, match="weight holds values that are not finite"):
            save_weights(net, tmp_path / "net.safetensors", {})
    assert not list(tmp_path.iterdir())
