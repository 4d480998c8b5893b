"""The methods, one paper a file; importing this package fills the registry.

Every module beside this one whose name has no underscore is a paper. Papers from elsewhere register by an entry point
of the group ``colorlib.models`` that names their module, whose builders stand under :func:`register_model`.
"""

import importlib
import pkgutil

from colorlib._deprecated import moved
from colorlib.facts import Paper, WeightsInfo, plugins
from colorlib.models._backbones import Encoder
from colorlib.models._base import ColorModel, WhiteBalance
from colorlib.models._describe import count_operations, describe, describe_all
from colorlib.models._layers import fold_batchnorm, scene_loss
from colorlib.models._registry import ModelInfo, list_models, model_info, register_model

__all__ = [
    "ColorModel",
    "Encoder",
    "ModelInfo",
    "Paper",
    "WeightsInfo",
    "WhiteBalance",
    "count_operations",
    "describe",
    "describe_all",
    "fold_batchnorm",
    "list_models",
    "model_info",
    "register_model",
    "scene_loss",
]

__getattr__ = moved(__name__, {"WeightsError": "colorlib.tensors", "create_model": "colorlib.weights"})

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
for _plugin in plugins():
    try:
        _plugin.load()
    except Exception as error:
        where = f"the entry point {_plugin.name!r} = {_plugin.value!r} of the group {_plugin.group!r}"
        raise ImportError(f"{where} cannot be loaded ({error}); mend or uninstall the package that has it") from error
