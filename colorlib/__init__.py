"""The classic deep-learning papers on colour in photographs: models, training and metrics in PyTorch.

Names are imported when they are first used, so that ``import colorlib`` costs nothing.
"""

from typing import TYPE_CHECKING

import lazy_loader

__all__ = [
    "Colorizer",
    "Gallery",
    "OutOfMemoryError",
    "Result",
    "Scene",
    "SideBySide",
    "WeightsError",
    "__version__",
    "batch",
    "benchmarks",
    "casts",
    "catalog",
    "color",
    "create_model",
    "io",
    "list_models",
    "metrics",
    "model_info",
    "steering",
    "transfer",
]

if TYPE_CHECKING:
    from colorlib import batch, benchmarks, casts, catalog, color, io, metrics, steering, transfer
    from colorlib._version import __version__
    from colorlib.colorizer import Colorizer, Scene
    from colorlib.gallery import Gallery
    from colorlib.memory import OutOfMemoryError
    from colorlib.models import list_models, model_info
    from colorlib.result import Result
    from colorlib.side_by_side import SideBySide
    from colorlib.tensors import WeightsError
    from colorlib.weights import create_model
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submodules=["batch", "benchmarks", "casts", "catalog", "color", "io", "metrics", "steering", "transfer"],
        submod_attrs={
            "_version": ["__version__"],
            "memory": ["OutOfMemoryError"],
            "colorizer": ["Colorizer", "Scene"],
            "gallery": ["Gallery"],
            "models": ["list_models", "model_info"],
            "result": ["Result"],
            "side_by_side": ["SideBySide"],
            "tensors": ["WeightsError"],
            "weights": ["create_model"],
        },
    )
