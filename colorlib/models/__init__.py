"""The methods, one paper a file; importing this package fills the registry.

Every module beside this one whose name has no underscore is a paper. Papers from elsewhere register by an entry point
of the group ``colorlib.models`` that names their module, whose builders stand under :func:`register_model`.
"""

import importlib
import pkgutil

from colorlib.catalog import Paper, WeightsInfo, plugins
from colorlib.models._base import ColorModel, WhiteBalance
from colorlib.models._registry import ModelInfo, create_model, list_models, model_info, register_model
from colorlib.models._weights import WeightsError

__all__ = [
    "ColorModel",
    "ModelInfo",
    "Paper",
    "WeightsError",
    "WeightsInfo",
    "WhiteBalance",
    "create_model",
    "list_models",
    "model_info",
    "register_model",
]

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
for _plugin in plugins():
    try:
        _plugin.load()
    except Exception as error:
        where = f"the entry point {_plugin.name!r} = {_plugin.value!r} of the group {_plugin.group!r}"
        raise ImportError(f"{where} cannot be loaded ({error}); mend or uninstall the package that has it") from error
