"""The classic deep-learning papers on colour in photographs: models, training and metrics in PyTorch.

Names are imported when they are first used, so that ``import colorlib`` costs nothing.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

import lazy_loader

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
    "catalog",
    "color",
    "create_model",
    "io",
    "list_models",
    "metrics",
    "model_info",
    "transfer",
]

if TYPE_CHECKING:
    from colorlib import benchmarks, casts, catalog, color, io, metrics, transfer
    from colorlib.colorizer import Colorizer, Result, Scene
    from colorlib.gallery import Gallery
    from colorlib.models import WeightsError, create_model, list_models, model_info
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submodules=["benchmarks", "casts", "catalog", "color", "io", "metrics", "transfer"],
        submod_attrs={
            "colorizer": ["Colorizer", "Result", "Scene"],
            "gallery": ["Gallery"],
            "models": ["WeightsError", "create_model", "list_models", "model_info"],
        },
    )
