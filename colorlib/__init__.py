"""The classic deep-learning papers on colour in photographs: models, training and metrics in PyTorch."""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from colorlib import casts, color, io, metrics, transfer
from colorlib.colorizer import Colorizer, Result, Scene
from colorlib.gallery import Gallery
from colorlib.models import WeightsError, create_model, list_models, model_info

if TYPE_CHECKING:
    from colorlib import benchmarks

__version__ = version("colorlib-torch")
__all__ = [
    "Colorizer",
    "Gallery",
    "Result",
    "Scene",
    "WeightsError",
    "__version__",
    "benchmarks",
    "casts",
    "color",
    "create_model",
    "io",
    "list_models",
    "metrics",
    "model_info",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name == "benchmarks":  # when it is asked for: pandas and pyarrow take as long to import as all the rest
        return importlib.import_module("colorlib.benchmarks")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
