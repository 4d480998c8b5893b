import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from colorlib import WeightsError, create_model
from colorlib.catalog import EMBEDDED, weights_index
from colorlib.models import ColorModel
from colorlib.tensors import file_sha256, load_weights, read_metadata, read_weights, save_encoder, save_weights
from colorlib.weights import write_in_one_piece


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_weights(nn.Linear(3, 2), path, {"model": "net"})
    return path


@pytest.mark.parametrize("name", sorted(name for name, info in weights_index().items() if not info.members))
def test_embedded_files_are_what_the_index_says(name: str, tmp_path: Path):
    info = weights_index()[name]
    assert file_sha256(info.path) == info.sha256
    assert info.path.stat().st_size <= 16e6
    assert info.license
    assert info.data
    assert Path(__file__).parent.parent.joinpath(info.recipe).is_file()
    metadata = read_metadata(info.path)
    assert metadata["model"] == name
    assert metadata.get("encoder", "") == info.encoder
    if info.encoder:
        assert write_in_one_piece(info.path, tmp_path / "whole.safetensors") == info.whole
    matrices = [tensor for tensor in load_file(info.path).values() if tensor.is_floating_point() and tensor.ndim > 1]
    assert {tensor.dtype for tensor in matrices} == {torch.float16}
    model = create_model(name, pretrained=True, **json.loads(metadata["model_args"]))
    assert sum(parameter.numel() for parameter in model.parameters()) == info.parameters


def test_embedded_files_stay_light():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir() if path.is_file()) <= 60e6
    encoders = {info.encoder for info in weights_index().values()} - {""}
    files = {info.file for info in weights_index().values() if not info.members} | {
        f"encoder-{sha256[:8]}.safetensors" for sha256 in encoders
    }
    assert files == {path.name for path in EMBEDDED.glob("*.safetensors")}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_by_name(value: float, saved: Path):
    tensors = load_file(saved)
    tensors["bias"][1] = value
    save_file(tensors, saved)
    with pytest.raises(WeightsError, match=r"net\.safetensors holds values that are not finite in bias; "):
        load_weights(nn.Linear(3, 2), saved)


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


# --- one encoder, several heads ---------------------------------------------------------------------------------------

ON_LITE0 = ("dahl16_small", "hwang16_classification_small", "larsson16_small", "lin21_small")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an encoder with random weights."""
    torch.manual_seed(0)
    return save_encoder(create_model("larsson16_small"), tmp_path_factory.mktemp("encoder"))


def _on(encoder: Path, name: str) -> ColorModel:
    """A method with random weights on that encoder."""
    model, tensors = create_model(name), load_file(encoder)
    state = {ours: tensors[theirs] for ours, theirs in model.encoder_names().items()}
    model.load_state_dict(state, strict=False)
    return model


@pytest.mark.parametrize("name", ON_LITE0)
def test_a_head_finds_the_encoder_that_it_names(name: str, encoder: Path, tmp_path: Path):
    """The stages' view and that of the expansions, from one file; the whole and its two parts are the same."""
    model, file = _on(encoder, name), encoder.parent / f"{name}.safetensors"
    sha256 = save_weights(model, file, {"model": name}, encoder)
    assert file.stat().st_size < 0.5 * encoder.stat().st_size or name == "lin21_small"  # whose head is wide
    assert not load_file(file).keys() & model.encoder_names().keys()
    assert read_metadata(file)["encoder"] == file_sha256(encoder)

    whole = tmp_path / "whole.safetensors"
    assert write_in_one_piece(file, whole) == save_weights(model, tmp_path / "other.safetensors", {"model": name})
    lightness = torch.linspace(0, 100, 64 * 64).view(1, 1, 64, 64)
    with torch.no_grad():
        parts, one = (create_model(name, weights=path)(lightness) for path in (file, whole))
        expected = model(lightness)
    torch.testing.assert_close(parts, one, rtol=0, atol=0)
    torch.testing.assert_close(parts, expected, rtol=0.02, atol=0.02 * expected.abs().max().item())  # half precision
    load_weights(create_model(name), file, sha256)


def test_a_head_whose_encoder_is_another_one_is_named(encoder: Path, tmp_path: Path):
    """Two hashes that begin alike name one file."""
    wrong = file_sha256(encoder)[:8] + 56 * "0"
    head = tmp_path / "head.safetensors"
    save_file({"a": torch.ones(1)}, head, {"encoder": wrong})
    (tmp_path / encoder.name).write_bytes(encoder.read_bytes())
    with pytest.raises(WeightsError, match=r"head\.safetensors stands on an encoder that differs or is damaged: "):
        read_weights(head)


def test_a_head_without_its_encoder_says_what_is_missing(encoder: Path, tmp_path: Path):
    head, copy = tmp_path / "head.safetensors", tmp_path / encoder.name
    save_weights(_on(encoder, "dahl16_small"), head, {"model": "dahl16_small"}, encoder)
    with pytest.raises(WeightsError, match=rf"leaves out its encoder, and {encoder.name}, which holds it, is neither"):
        create_model("dahl16_small", weights=head)
    content = bytearray(encoder.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    with pytest.raises(WeightsError, match="expected " + file_sha256(encoder)):
        create_model("dahl16_small", weights=head)
    copy.write_bytes(encoder.read_bytes())
    create_model("dahl16_small", weights=head)


def test_an_encoder_is_left_out_only_if_it_is_the_same(encoder: Path, tmp_path: Path):
    torch.manual_seed(1)
    with pytest.raises(WeightsError, match=r"the model's encoder is not that of .*: encoder\.stages\.0"):
        save_weights(create_model("dahl16_small"), tmp_path / "head.safetensors", {}, encoder)
    with pytest.raises(WeightsError, match="it has none"):
        save_weights(create_model("lin21_convnet_small"), tmp_path / "head.safetensors", {}, encoder)
    assert not list(tmp_path.iterdir())
