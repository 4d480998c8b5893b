"""Tensors in safetensors files: read strictly, hashed and without unpickling; written so that equal ones are equal."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from colorlib.facts import EMBEDDED, encoder_file

CONFIG, WEIGHTS = "config.json", "model.safetensors"  # the files of a folder of weights
ENCODER = "encoder"  # what a weights file calls the hash of the encoder's file


class WeightsError(RuntimeError):
    """Weights that are absent, damaged, or made for another network."""


def load_weights(model: nn.Module, path: Path, sha256: str | None = None) -> None:
    """Copy the tensors of a safetensors file into a model: every one of them, and no other.

    A file that leaves out the encoder names that by its hash; then its file is read too.

    Raises:
        WeightsError: a file is absent, damaged, differs from its sha256, holds values that are not finite, or was made
            for another network.
    """
    tensors, encoder = read_weights(path, sha256)
    names = _encoder_names(model)
    tensors |= {ours: encoder[theirs] for ours, theirs in names.items() if theirs in encoder}
    expected = model.state_dict()
    problems = [f"{name} is missing" for name in expected.keys() - tensors.keys()]
    problems += [f"{name} is unknown to the model" for name in tensors.keys() - expected.keys()]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, the model needs {tuple(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise WeightsError(f"{path} does not fit {type(model).__name__}: {shown}")
    for name in expected:
        if not torch.isfinite(tensors[name]).all():  # an output layer's sigmoid would hide an infinite bias
            raise WeightsError(f"{path} holds values that are not finite in {name}; fetch it again, or train anew")
    model.load_state_dict(tensors, strict=True)


def read_weights(path: Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a weights file holds, and, if it leaves out the encoder, what the encoder's file holds.

    Raises:
        WeightsError: a file is absent, damaged, or differs from its sha256.
    """
    tensors = read_tensors(path, sha256)
    named = read_metadata(path).get(ENCODER, "")
    if not named:
        return tensors, {}
    encoder = _encoder_file(path, named)
    try:
        return tensors, read_tensors(encoder, named)
    except WeightsError as error:
        raise WeightsError(f"{path} stands on an encoder that differs or is damaged: {error}") from error


def _encoder_file(path: Path, sha256: str) -> Path:
    """The file of an encoder: beside the weights that name it, or among those that come with colorlib."""
    name = encoder_file(sha256)
    found = [folder / name for folder in (path.parent, EMBEDDED) if (folder / name).is_file()]
    if not found:
        raise WeightsError(
            f"{path} leaves out its encoder, and {name}, which holds it, is neither in {path.parent} nor in colorlib: "
            "copy it there from where this file was made"
        )
    return found[0]


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """What a safetensors file holds, by name.

    Raises:
        WeightsError: the file is absent, damaged, or differs from ``sha256``.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise WeightsError(f"{path} has sha256 {found}, expected {sha256}: damaged or replaced; install it again")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is no readable safetensors file ({error}); fetch it again") from error
    return tensors


def save_weights(
    model: nn.Module, path: Path, metadata: dict[str, str], encoder: Path | None = None, *, half: bool = True
) -> str:
    """Write a model's state as safetensors and return the file's sha256.

    Kernels and matrices are kept in half precision, vectors (biases, batch statistics) in float32: they are few, and a
    running variance may lie outside half precision's range.

    Args:
        model: whose state is written.
        path: file to write.
        metadata: of the file.
        encoder: a file of :func:`save_encoder`, whose tensors the model has: they are left out, and the metadata names
            the file by its hash.
        half: False keeps all as it is.

    Raises:
        WeightsError: a value is not finite, or not once it is rounded to half precision; or the model has another
            encoder.
    """
    tensors = _kept(model.state_dict(), half)
    if encoder is not None:
        names = _encoder_names(model)
        shared = read_tensors(encoder)
        other = [a for a, b in names.items() if b not in shared or not torch.equal(tensors[a], shared[b])]
        if other or not names:
            raise WeightsError(f"the model's encoder is not that of {encoder}: {', '.join(other[:3]) or 'it has none'}")
        tensors = {name: tensor for name, tensor in tensors.items() if name not in names}
        metadata = {**metadata, ENCODER: file_sha256(encoder)}
    return _write(tensors, path, metadata)


def save_encoder(model: nn.Module, folder: Path) -> Path:
    """Write a model's encoder as a file that the weights of several methods can name.

    Args:
        model: a method on an encoder that can be shared; its ``encoder_names`` are the file's.
        folder: where to write it, under a name that its hash gives.

    Raises:
        WeightsError: the model has no such encoder; or a value is not finite, or not once it is rounded to half
            precision.
    """
    names = _encoder_names(model)
    if not names:
        raise WeightsError(f"{type(model).__name__} stands on no encoder that other methods could share")
    state = model.state_dict()
    path = folder / f"{ENCODER}.safetensors"
    sha256 = _write(_kept({theirs: state[ours] for ours, theirs in names.items()}), path, {})
    return path.rename(folder / encoder_file(sha256))


def _encoder_names(model: nn.Module) -> dict[str, str]:
    """See :meth:`colorlib.models.ColorModel.encoder_names`; other modules share none."""
    names: dict[str, str] = getattr(model, "encoder_names", dict)()
    return names


def _kept(state: dict[str, Tensor], half: bool = True) -> dict[str, Tensor]:
    """What a file keeps of a state."""
    tensors = {}
    for name, tensor in state.items():
        kept = tensor.half() if half and tensor.is_floating_point() and tensor.ndim > 1 else tensor
        if not torch.isfinite(kept).all():
            why = "the training diverged" if half else "the file is damaged"
            raise WeightsError(f"{name} holds values that are not finite in {kept.dtype}: {why}")
        tensors[name] = kept.cpu().contiguous()
    return tensors


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> str:
    save_file(tensors, path, metadata)
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        text = _in_order(file.read(length))
        assert len(text) == length, "a header in another order is as long"
        file.seek(8)
        file.write(text)
    return file_sha256(path)


def _in_order(text: bytes) -> bytes:
    """A safetensors header with its metadata sorted: they come in any order, and equal weights are to have one hash."""
    header = json.loads(text)
    if metadata := header.pop("__metadata__", None):
        header = {"__metadata__": dict(sorted(metadata.items())), **header}
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(len(text))


def read_metadata(path: Path) -> dict[str, str]:
    """The key-value pairs in a safetensors file's header."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is no readable safetensors file ({error}); fetch it again") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
