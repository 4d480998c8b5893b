"""From a training checkpoint to a weights file: ``python -m training.export runs/NAME/checkpoints/last.ckpt OUT``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from colorlib import __version__, create_model
from colorlib.catalog import EMBEDDED, WeightsInfo, list_weights, weights_index
from colorlib.models import ColorModel
from colorlib.tensors import WeightsError, file_sha256, read_tensors, save_encoder, save_weights
from colorlib.weights import known


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Lightning checkpoint; its averaged weights, if it has them.")],
    out: Annotated[Path, typer.Argument(help="File to write, or a folder for NAME.safetensors.")] = EMBEDDED,
    data: Annotated[str, typer.Option(help="What it was trained on, for the index of embedded weights.")] = "",
    license: Annotated[
        str, typer.Option(help="SPDX identifier of the weights. Default: of what it began with and of its teacher.")
    ] = "",
    noncommercial: Annotated[bool, typer.Option("--noncommercial", help="They forbid commercial use.")] = False,
    classes: Annotated[Path | None, typer.Option(help="Names of the scene classes, a line each.")] = None,
    recipe: Annotated[str, typer.Option(help="The last recipe of this training; default: NAME.yaml.")] = "",
    model: Annotated[str, typer.Option(help="Which of the methods that were trained together to export.")] = "",
    share: Annotated[bool, typer.Option("--share", help="Let other methods share this one's encoder.")] = False,
) -> Path:
    """Write a checkpoint's model as safetensors; into the package's own folder, list it in the index too."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    trained = state["hyper_parameters"]["model"]
    names = [trained] if isinstance(trained, str) else trained
    name = model or names[0]
    if name not in names or (len(names) > 1 and not model):
        raise typer.BadParameter(f"expected --model to be one of {', '.join(names)}, which were trained; got {model!r}")
    # Where the first weights and the colours' rarity came from is no business of whoever loads the trained ones.
    args = dict(state["hyper_parameters"]["model_args"] or {})
    for key in ("encoder_weights", "table"):
        args.pop(key, None)
    built = create_model(name, **args)
    prefix = "model." if isinstance(trained, str) else f"model.heads.{name}."
    tensors = {key.removeprefix(prefix): value for key, value in state["state_dict"].items() if key.startswith(prefix)}
    built.load_state_dict(tensors, strict=True)
    path = out / f"{name}.safetensors" if out.is_dir() else out
    embedded = path.resolve().parent == EMBEDDED.resolve()
    if embedded and args:
        raise typer.BadParameter(f"embedded weights are built without arguments, these were trained with {args}")
    scenes = classes.read_text(encoding="utf-8").split("\n") if classes else []
    labels = tuple(line.strip() for line in scenes if line.strip())
    metadata = {"model": name, "model_args": json.dumps(args), "colorlib": __version__}
    metadata |= {"classes": json.dumps(labels)} if labels else {}
    metadata |= {"steps": str(state["global_step"])}
    inherited, forbidden = _terms(state["hyper_parameters"], license)
    license, noncommercial = license or inherited, noncommercial or forbidden
    metadata |= {"license": license} if license else {}
    metadata |= {"noncommercial": json.dumps(noncommercial)} if noncommercial else {}
    if share and not (embedded and built.encoder_names()):
        raise typer.BadParameter("--share needs a method whose encoder others can have, and embedded weights to write")
    encoder = _shared(built) if embedded and not share else None
    if embedded and len(names) > 1 and encoder is None:
        raise typer.BadParameter(
            f"{name} was trained on an encoder that is not embedded: export that with --share first"
        )
    whole = save_weights(built, path, metadata)
    if embedded:
        recipe = f"training/recipes/{recipe or f'{name}.yaml'}"
        parameters = sum(parameter.numel() for parameter in built.parameters())
        own = license or "Apache-2.0"
        info = WeightsInfo(path.name, whole, own, recipe, data, parameters, classes=labels, noncommercial=noncommercial)
        encoder = save_encoder(built, path.parent) if share else encoder
        if encoder is not None:
            sha256 = save_weights(built, path, metadata, encoder)
            info = replace(info, sha256=sha256, encoder=file_sha256(encoder), whole=whole)
        list_weights(name, info)
        _remove_unnamed()
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {file_sha256(path)}")
    return path


def _terms(settings: dict[str, Any], license: str) -> tuple[str, bool]:
    """The licences of the weights that a training began with or learned from, and whether one forbids commercial use.

    Args:
        settings: of the training.
        license: what the new weights are to have, if that is said.

    Raises:
        typer.BadParameter: these weights cannot be read, and no licence is said.
    """
    theirs = []
    for one in (settings.get("weights"), settings.get("teacher")):
        if one in (None, "embedded"):  # colorlib's own ask for nothing
            continue
        try:
            if (info := known(one)) is None:
                raise WeightsError("it is not here")
            theirs.append(info)
        except (ValueError, WeightsError) as error:
            if not license:
                raise typer.BadParameter(
                    f"it was trained from {one}, whose licence cannot be read ({error}): say --license, and "
                    "--noncommercial if these weights forbid commercial use"
                ) from error
    licences = dict.fromkeys(info.license for info in theirs if info.license)
    return " AND ".join(licences), any(info.noncommercial for info in theirs)  # as SPDX writes it


def _shared(model: ColorModel) -> Path | None:
    """The embedded encoder that a model was trained on, frozen; its tensors are then the model's, exactly.

    A moving average of what does not move differs from it by the rounding of a thousand steps.
    """
    names, state = model.encoder_names(), model.state_dict()
    if not names:
        return None
    for path in sorted(EMBEDDED.glob("encoder-*.safetensors")):
        theirs = read_tensors(path)
        tensors = {ours: theirs[name].to(state[ours].dtype) for ours, name in names.items() if name in theirs}
        if len(tensors) == len(names) and all(_near(state[name], tensor) for name, tensor in tensors.items()):
            model.load_state_dict(tensors, strict=False)
            return path
    return None


def _near(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _remove_unnamed() -> None:
    """Encoders that no embedded weights name any more."""
    named = {info.encoder for info in weights_index().values()}
    for path in EMBEDDED.glob("encoder-*.safetensors"):
        if file_sha256(path) not in named:
            path.unlink()


if __name__ == "__main__":
    typer.run(export)
