"""The room that opens weights, whatever names them; the files of this folder are those that come with colorlib.

`index.json` describes these, and may name a repository on the Hugging Face Hub where a file is not here. Whatever is
loaded is loaded strictly, hashed and never unpickled.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch

from colorlib import __version__
from colorlib.facts import weights_index
from colorlib.models import ColorModel, Encoder, ModelInfo, WeightsInfo, fold_batchnorm, list_models, model_info
from colorlib.models.consensus import Consensus
from colorlib.tensors import (
    CONFIG,
    ENCODER,
    WEIGHTS,
    WeightsError,
    file_sha256,
    load_weights,
    read_metadata,
    save_weights,
)
from colorlib.weights import repository

__all__ = [
    "Opened",
    "WeightsError",
    "configured",
    "create_model",
    "known",
    "locate",
    "open_model",
    "sha256_of",
    "share_encoders",
    "write_in_one_piece",
]


@dataclass(frozen=True)
class Opened:
    """A method that is ready to run.

    Attributes:
        module: in eval mode. Of weights that were opened here, batch norms are folded into the convolutions before
            them, and memory is channels last: that is fast to run, and nothing to train on.
        name: of the method.
        info: what is known of its weights; None if there are none, or for a module that was given.
    """

    module: ColorModel
    name: str
    info: WeightsInfo | None


def create_model(
    name: str, pretrained: bool = False, *, weights: str | PathLike[str] | None = None, **settings: Any
) -> ColorModel:
    """Build a method by name, in eval mode.

    With weights it is in float32 on the CPU. Without, it begins as any module of torch: random, of the default type on
    the default device.

    Args:
        name: one of :func:`list_models`.
        pretrained: load the embedded weights, strictly; where they are not installed, those of their repository on the
            Hugging Face Hub, if the index names one.
        weights: a safetensors file to load instead.
        **settings: of the architecture, passed on to the method's builder, whose signature says which there are.

    Raises:
        ValueError: unknown name or setting.
        WeightsError: no weights are available, or they do not fit.
    """
    info = model_info(name)
    if weights is None and not (pretrained and info.learned):
        return info.create(**settings)
    theirs = info.weights.settings if weights is None and info.weights else {}
    with torch.device("cpu"):
        model = info.create(**{**theirs, **settings}).float()
    if weights is None:
        _load_pretrained(model, info, tried=not settings)  # with settings it is meant to paint differently
        return model
    load_weights(model, Path(weights))
    if (made_for := read_metadata(Path(weights)).get("model", name)) != name:
        raise WeightsError(f"{weights} was made for {made_for}, not for {name}, whose outputs may mean other colours")
    return model


def _load_pretrained(model: ColorModel, info: ModelInfo, tried: bool) -> None:
    """Load the weights that the index names; `tried`: if they come from the Hub, on the test picture."""
    weights = info.weights
    if weights is None:
        raise WeightsError(
            f"{info.name} has no embedded weights; {_fetching(info.name)}train it (python -m training fit "
            f"--model.model {info.name}, with a config of training/recipes) and pass weights=FILE, use "
            f"pretrained=False for random ones, or choose one of {', '.join(list_models(ready=True, task=info.task))}"
        )
    if isinstance(model, Consensus):
        for name, member in model.members.items():
            _load_pretrained(cast(ColorModel, member), model_info(name), tried)
        model.weigh(weights.members)
        return
    if weights.path.is_file() or not weights.repo:
        load_weights(model, weights.path, weights.sha256)
        return
    from colorlib import hub  # here, since few need huggingface_hub

    folder = hub.pull(f"{weights.repo}@{weights.revision or 'main'}")
    load_weights(model, folder / WEIGHTS, weights.whole or weights.sha256)
    if tried:
        repository.try_out(model, folder)


def _fetching(name: str) -> str:
    """What gets the weights that a method's authors published, in words; empty if they published none."""
    from colorlib.authors.published import PUBLISHED

    return f"`colorlib fetch {name}` gets those of its authors; or " if name in PUBLISHED else ""


def locate(what: str | PathLike[str]) -> str | Path:
    """What a string stands for: the name of a method, or else a file or folder on this disk.

    A repository on the Hub is fetched, unless the cache has it.

    Args:
        what: the name of a method; a path; or ``OWNER/REPO`` or ``OWNER/REPO@REVISION``, where no such path exists.

    Raises:
        ValueError: there is no such method, file or folder.
        WeightsError: a repository that cannot be had.
    """
    name, path = str(what), Path(what)
    if name in list_models():
        return name
    if path.exists() or path.suffix == ".safetensors":  # reading one that is absent says so
        return path
    if "/" in name:
        from colorlib import hub

        return hub.pull(name)
    return model_info(name).name  # which raises, and suggests the nearest names


def open_model(what: str | PathLike[str] | ColorModel) -> Opened:
    """A method with its weights, ready to run.

    Args:
        what: as :func:`locate` takes it: a name with embedded weights, a safetensors file or a folder with a
            `model.safetensors` as ``python -m training.export`` writes them, or a repository on the Hub. Or a module,
            which is used as it is and set to eval mode.

    Raises:
        ValueError: there is no such method, file or folder.
        WeightsError: no weights, or weights that are damaged, of another method, or not what was pushed.
    """
    if isinstance(what, ColorModel):
        return Opened(what.eval(), what.name, None)
    where = locate(what)
    if isinstance(where, str):
        opened = Opened(create_model(where, pretrained=True), where, model_info(where).weights)
    else:
        opened = _opened(where)
    fold_batchnorm(opened.module).to(memory_format=torch.channels_last)
    if isinstance(opened.module, Consensus) and opened.info and opened.info.members:
        members = opened.module.members.items()
        share_encoders((cast(ColorModel, member), weights_index()[name].encoder) for name, member in members)
    return opened


def share_encoders(models: Iterable[tuple[ColorModel, str]]) -> None:
    """Let methods whose weights name one encoder have one module for it: less memory, and maps that serve them all.

    The methods are changed: ``encoder`` of all becomes the first one's.

    Args:
        models: just opened, each with the hash of its encoder's file, empty if it has an encoder to itself or none.
    """
    first: dict[tuple[Any, ...], Encoder] = {}
    for model, sha256 in models:
        encoder = getattr(model, "encoder", None)
        if sha256 and isinstance(encoder, Encoder):
            # On one device, and both with batch norms folded or both without.
            layers = tuple(type(layer) for layer in encoder.modules())
            weight = next(encoder.parameters())
            key = sha256, encoder.names, weight.device, weight.dtype, layers
            model.encoder = first.setdefault(key, encoder)


def _opened(path: Path) -> Opened:
    """The method in a folder or file."""
    if path.is_dir() and (path / CONFIG).is_file():
        return Opened(*repository.load(path))
    file = path / WEIGHTS if path.is_dir() else path
    name, settings, info = _described(file)
    return Opened(create_model(name, weights=file, **settings), name, info)


def _described(file: Path) -> tuple[str, dict[str, Any], WeightsInfo]:
    """What a weights file says of itself: its method, that one's settings, and the rest."""
    metadata = read_metadata(file)
    if "model" not in metadata:
        raise WeightsError(f"{file} does not say which model it is for; write it with python -m training.export")
    classes = tuple(json.loads(metadata.get("classes", "[]")))
    info = WeightsInfo(
        file.name,
        file_sha256(file),
        metadata.get("license", ""),
        "",
        "",
        classes=classes,
        encoder=metadata.get(ENCODER, ""),
        source=metadata.get("source", ""),
        noncommercial=json.loads(metadata.get("noncommercial", "false")),
    )
    return metadata["model"], json.loads(metadata.get("model_args", "{}")), info


def known(what: str | PathLike[str]) -> WeightsInfo | None:
    """What is known of a method's weights, as :func:`locate` finds them; None if it has none."""
    where = locate(what)
    if isinstance(where, str):
        return model_info(where).weights
    if where.is_dir() and (where / CONFIG).is_file():
        return repository.Config.read(where / CONFIG).weights
    return _described(where / WEIGHTS if where.is_dir() else where)[2]


def sha256_of(what: str | PathLike[str]) -> str:
    """The sha256 of a method's weights, as :func:`locate` finds them; empty if it has none."""
    where = locate(what)
    if isinstance(where, str):
        info = model_info(where).weights
        return info.sha256 if info else ""
    return file_sha256(where / WEIGHTS if where.is_dir() else where)


def write_in_one_piece(file: Path, out: Path) -> str:
    """Write weights in one piece, the encoder included, and return the sha256 of what was written.

    Args:
        file: a weights file, which may leave out the encoder that it names.
        out: file to write.

    Raises:
        WeightsError: a file is absent or damaged.
    """
    name, settings, info = _described(file)
    if not info.encoder:
        shutil.copyfile(file, out)
        return info.sha256
    metadata = {key: value for key, value in read_metadata(file).items() if key != ENCODER}
    return save_weights(create_model(name, weights=file, **settings), out, metadata)


def configured(model: str | PathLike[str]) -> tuple[repository.Config, Path]:
    """What is to be pushed: embedded weights by their name, or a file of ``python -m training.export``.

    Returns:
        The configuration, with a self-test that was run on the spot, and the weights file.

    Raises:
        ValueError: no such method.
        WeightsError: no weights, or no readable ones.
    """
    path = Path(model)
    if path.suffix == ".safetensors":
        name, settings, described = _described(path)
        built = create_model(name, weights=path, **settings)
        parameters = sum(parameter.numel() for parameter in built.parameters())
        info = replace(described, file=WEIGHTS, parameters=parameters)
    else:
        name = model_info(str(model)).name
        built = create_model(name, pretrained=True)
        found = model_info(name).weights
        if found is None:
            raise WeightsError(f"{name} has nothing to learn, so there are no weights to push")
        if found.members:
            raise WeightsError(
                f"{name} has no file of its own, as it combines {', '.join(found.members)}; push these, or write them "
                f"into one file with colorlib.tensors.save_weights(model, path, {{'model': {name!r}}}) and push that"
            )
        info, path, settings = found, found.path, found.settings
    config = repository.Config(name, settings, info, repository.self_test(built), __version__)
    return config, path
