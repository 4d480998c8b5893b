"""The list of methods: `list_models` and `model_info`."""

import difflib
import fnmatch
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from colorlib.facts import Method, Paper, Task
from colorlib.models._base import ColorModel


@dataclass(frozen=True)
class ModelInfo(Method):
    """One method of the registry.

    Attributes:
        build: makes the module with random weights; its keyword arguments differ by method.
    """

    build: Callable[..., ColorModel]

    def create(self, **settings: Any) -> ColorModel:
        """The module with random weights, of torch's default type on its default device, in eval mode.

        Args:
            **settings: of the architecture, passed on to :attr:`build`, whose signature says which there are.

        Raises:
            ValueError: an unknown setting, or one that the architecture refuses.
        """
        known = inspect.signature(self.build).parameters
        if unknown := settings.keys() - known.keys():
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"{self.name} has no setting {', '.join(sorted(unknown))}; {takes}")
        model = self.build(**settings)
        model.name, model.settings = self.name, settings
        return model.eval()

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
        near = difflib.get_close_matches(name, _REGISTRY, n=3, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}?" if near else "colorlib.list_models() names all"
        raise ValueError(f"unknown model {name!r}; {hint}")
    return _REGISTRY[name]
