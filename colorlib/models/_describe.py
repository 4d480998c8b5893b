"""The facts about a method that the catalogue keeps, read off its network."""

from collections.abc import Callable

import torch
from torch import nn

from colorlib import facts
from colorlib.models._base import ColorModel
from colorlib.models._registry import ModelInfo, list_models, model_info
from colorlib.targets import Histogram, Regression, Target


def describe_all() -> list[facts.Entry]:
    """Every method of this tree, sorted by name; those of plugins are left out."""
    infos = map(model_info, list_models())
    return [describe(info) for info in infos if info.build.__module__.startswith("colorlib.models.")]


def describe(info: ModelInfo) -> facts.Entry:
    """Everything the catalogue says of a method."""
    model = info.on_meta()
    return facts.Entry(
        name=info.name,
        label=info.label,
        summary=info.summary,
        paper=info.paper,
        learned=info.learned,
        task=info.task,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        takes_reference=model.takes_reference,
        distribution=isinstance(model.target, Histogram),
        target=_meaning(model.target) if info.learned else None,
        operations=operations(model, info.task) if info.learned else None,  # last, as it takes the model apart
    )


def operations(model: ColorModel, task: facts.Task) -> int | None:
    """Multiply-accumulates for one photograph of 256 x 256; None if they depend on the photograph.

    The model is of no other use afterwards.
    """
    _strip(model)
    try:
        with torch.device("meta"), torch.no_grad():
            return count_operations(lambda: model(torch.empty(1, 3 if task == "balance" else 1, 256, 256)))
    except RuntimeError:  # torch's, where a shape would need a value
        return None


def count_operations(run: Callable[[], object]) -> int:
    """The multiply-adds of all convolutions and matrix products while something runs."""
    from torch.utils.flop_counter import FlopCounterMode  # here, since it imports triton

    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def _strip(module: nn.Module) -> None:
    """Take away the layers that count as no operations and change no shape: half the time of meta tensors."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.ReLU | nn.ReLU6 | nn.SiLU):
            setattr(module, name, nn.Identity())
        else:
            _strip(child)


def _meaning(target: Target) -> str:
    """What a network's output stands for, in a few words."""
    if isinstance(target, Histogram):
        return f"{' + '.join(map(str, target.sizes))} bins of {', '.join(target.axes)}"
    if isinstance(target, Regression):
        return f"{'picture' if target.space == 'rgb' else 'chroma'} in {target.space}"
    return type(target).__name__.lower()
