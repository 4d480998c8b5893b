"""Weights files: where they lie, and loading them strictly, hashed and without unpickling.

Looked up in this order: an explicit path, then the files embedded in the package (`colorlib/weights`, described by its
`index.json`). The index has a place for a Hub repository and revision; pulling from there is `colorlib.hub`'s task.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from colorlib.catalog import EMBEDDED, WeightsInfo, weights_index

__all__ = [
    "EMBEDDED",
    "WeightsError",
    "WeightsInfo",
    "file_sha256",
    "load_weights",
    "read_metadata",
    "read_tensors",
    "save_weights",
    "weights_index",
]


class WeightsError(RuntimeError):
    """Weights that are absent, damaged, or made for another network."""


def load_weights(model: nn.Module, path: Path, sha256: str | None = None) -> None:
    """Copy the tensors of a safetensors file into a model: every one of them, and no other.

    Raises:
        WeightsError: the file is absent, damaged, differs from ``sha256``, or was made for another network.
    """
    tensors = read_tensors(path, sha256)
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
    model.load_state_dict(tensors, strict=True)


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


def save_weights(model: nn.Module, path: Path, metadata: dict[str, str]) -> str:
    """Write a model's state as safetensors and return the file's sha256.

    Kernels and matrices are kept in half precision, vectors (biases, batch statistics) in float32: they are few, and a
    running variance may lie outside half precision's range.

    Raises:
        WeightsError: a value is not finite, or not once it is rounded to half precision.
    """
    tensors = {}
    for name, tensor in model.state_dict().items():
        kept = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        if not torch.isfinite(kept).all():
            raise WeightsError(f"{name} holds values that are not finite in {kept.dtype}: the training diverged")
        tensors[name] = kept.cpu().contiguous()
    save_file(tensors, path, metadata)
    path.write_bytes(_in_order(path.read_bytes()))
    return file_sha256(path)


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted: they come in any order, and equal weights are to have one hash."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if metadata := header.pop("__metadata__", None):
        header = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


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
