"""The methods, one paper a file; importing this package fills the registry."""

from colorlib.models import grayscale, iizuka16, larsson16
from colorlib.models._base import ColorModel
from colorlib.models._registry import ModelInfo, Paper, create_model, list_models, model_info
from colorlib.models._weights import WeightsError, WeightsInfo

__all__ = [
    "ColorModel",
    "ModelInfo",
    "Paper",
    "WeightsError",
    "WeightsInfo",
    "create_model",
    "grayscale",
    "iizuka16",
    "larsson16",
    "list_models",
    "model_info",
]
