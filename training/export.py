"""From a training checkpoint to a weights file: ``python -m training.export runs/NAME/checkpoints/last.ckpt OUT``."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer

from colorlib import create_model
from colorlib.catalog import EMBEDDED, WeightsInfo, list_weights
from colorlib.models._weights import save_weights


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Lightning checkpoint; its averaged weights, if it has them.")],
    out: Annotated[Path, typer.Argument(help="File to write, or a folder for NAME.safetensors.")] = EMBEDDED,
    data: Annotated[str, typer.Option(help="What it was trained on, for the index of embedded weights.")] = "",
    license: Annotated[str, typer.Option(help="SPDX identifier of the weights.")] = "Apache-2.0",
    classes: Annotated[Path | None, typer.Option(help="Names of the scene classes, a line each.")] = None,
    recipe: Annotated[str, typer.Option(help="The last recipe of this training; default: NAME.yaml.")] = "",
) -> Path:
    """Write a checkpoint's model as safetensors; into the package's own folder, list it in the index too."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    name = state["hyper_parameters"]["model"]
    # Where the first weights and the colours' rarity came from is no business of whoever loads the trained ones.
    args = dict(state["hyper_parameters"]["model_args"] or {})
    for key in ("encoder_weights", "table"):
        args.pop(key, None)
    model = create_model(name, **args)
    prefix = "model."
    tensors = {key.removeprefix(prefix): value for key, value in state["state_dict"].items() if key.startswith(prefix)}
    model.load_state_dict(tensors, strict=True)
    path = out / f"{name}.safetensors" if out.is_dir() else out
    if path.parent == EMBEDDED and args:
        raise typer.BadParameter(f"embedded weights are built without arguments, these were trained with {args}")
    scenes = classes.read_text(encoding="utf-8").split("\n") if classes else []
    names = tuple(line.strip() for line in scenes if line.strip())
    metadata = {"model": name, "model_args": json.dumps(args), "colorlib": version("colorlib-torch")}
    metadata |= {"classes": json.dumps(names)} if names else {}
    sha256 = save_weights(model, path, {**metadata, "steps": str(state["global_step"])})
    if path.parent == EMBEDDED:
        recipe = f"training/recipes/{recipe or f'{name}.yaml'}"
        parameters = sum(parameter.numel() for parameter in model.parameters())
        list_weights(name, WeightsInfo(path.name, sha256, license, recipe, data, parameters, classes=names))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {sha256}")
    return path


if __name__ == "__main__":
    typer.run(export)
