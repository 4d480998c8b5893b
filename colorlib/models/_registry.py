"""The list of methods: `list_models`, `model_info` and `create_model`."""

import difflib
import fnmatch
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch

from colorlib.catalog import Method, Paper, Task
from colorlib.models._base import ColorModel
from colorlib.models._weights import WeightsError, load_weights, read_metadata


@dataclass(frozen=True)
class ModelInfo(Method):
    """One method of the registry.

    Attributes:
        build: makes the module with random weights; its keyword arguments differ by method.
    """

    build: Callable[..., ColorModel]

    def on_meta(self) -> ColorModel:
        """The module with shapes but without values: no time, no memory."""
        with torch.device("meta"):
            return self.build().eval()


_REGISTRY: dict[str, ModelInfo] = {}
_Build = TypeVar("_Build", bound=Callable[..., ColorModel])


def register_model(
    label: str, paper: Paper | None = None, *, learned: bool = True, task: Task = "colorize"
) -> Callable[[_Build], _Build]:
    """Decorator: list a builder under its function's name, summed up by the first line of its docstring."""

    def register(build: _Build) -> _Build:
        name = build.__name__
        if name in _REGISTRY:
            raise ValueError(f"two models are called {name!r}")
        summary = (inspect.getdoc(build) or "").partition("\n")[0]
        _REGISTRY[name] = ModelInfo(name, label, summary, paper, learned, task, build)
        return build

    return register


def list_models(pattern: str = "*", *, ready: bool = False, task: Task | None = None) -> list[str]:
    """Names of the methods, sorted.

    Args:
        pattern: shell-style filter, such as ``"iizuka16*"``.
        ready: only those that can be used: they need no weights, or these are embedded or in the index's repository.
        task: only those that do this; default: all.
    """
    return sorted(
        name
        for name, info in _REGISTRY.items()
        if fnmatch.fnmatch(name, pattern) and (info.ready or not ready) and task in (None, info.task)
    )


def model_info(name: str) -> ModelInfo:
    """What is known about a method.

    Raises:
        ValueError: there is none of this name; the message suggests the nearest ones.
    """
    if name not in _REGISTRY:
        near = difflib.get_close_matches(name, _REGISTRY, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "colorlib.list_models() names all"
        raise ValueError(f"unknown model {name!r}; {hint}")
    return _REGISTRY[name]


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
        WeightsError: no weights are at hand, or they do not fit.
    """
    info = model_info(name)
    known = inspect.signature(info.build).parameters
    if unknown := settings.keys() - known.keys():
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ValueError(f"{name} has no setting {', '.join(sorted(unknown))}; {takes}")
    if weights is None and not (pretrained and info.learned):
        model = info.build(**settings)
    else:
        with torch.device("cpu"):
            model = info.build(**settings).float()
    model.name = name
    if weights is not None:
        load_weights(model, Path(weights))
        if (theirs := read_metadata(Path(weights)).get("model", name)) != name:
            raise WeightsError(f"{weights} was made for {theirs}, not for {name}, whose outputs may mean other colours")
    elif pretrained and info.learned:
        if info.weights is None:
            raise WeightsError(
                f"{name} has no embedded weights; train it (python -m training fit --model.model {name}, with a "
                f"config of training/recipes) and pass weights=FILE, use pretrained=False for random ones, "
                f"or choose one of {', '.join(list_models(ready=True, task=info.task))}"
            )
        if info.weights.path.is_file() or not info.weights.repo:
            load_weights(model, info.weights.path, info.weights.sha256)
        else:
            from colorlib import hub  # here, since few need huggingface_hub

            folder = hub.pull(f"{info.weights.repo}@{info.weights.revision or 'main'}")
            load_weights(model, folder / hub.WEIGHTS, info.weights.sha256)
            if not settings:  # else it is meant to paint otherwise
                hub.try_out(model.eval(), folder)
    return model.eval()
