"""The methods, one paper a file; importing this package fills the registry."""

from colorlib.models import (
    color_by_colorization,
    dahl16,
    grayscale,
    hwang16,
    iizuka16,
    larsson16,
    lin21,
    von_kries,
    welsh02,
)
from colorlib.models._base import ColorModel, WhiteBalance
from colorlib.models._registry import ModelInfo, Paper, create_model, list_models, model_info
from colorlib.models._weights import WeightsError, WeightsInfo

__all__ = [
    "ColorModel",
    "ModelInfo",
    "Paper",
    "WeightsError",
    "WeightsInfo",
    "WhiteBalance",
    "color_by_colorization",
    "create_model",
    "dahl16",
    "grayscale",
    "hwang16",
    "iizuka16",
    "larsson16",
    "lin21",
    "list_models",
    "model_info",
    "von_kries",
    "welsh02",
]
