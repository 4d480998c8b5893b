"""The classic deep-learning papers on colour in photographs: models, training and metrics in PyTorch."""

from importlib.metadata import version

from colorlib import casts, color, io, metrics, transfer
from colorlib.colorizer import Colorizer, Result, Scene
from colorlib.gallery import Gallery
from colorlib.models import WeightsError, create_model, list_models, model_info

__version__ = version("colorlib-torch")
__all__ = [
    "Colorizer",
    "Gallery",
    "Result",
    "Scene",
    "WeightsError",
    "__version__",
    "casts",
    "color",
    "create_model",
    "io",
    "list_models",
    "metrics",
    "model_info",
    "transfer",
]
