"""Names that have moved: they work for one more release, with a warning that says where they are now."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def moved(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for names that are now elsewhere.

    Args:
        module: the name of the module they were in.
        places: the module that each is in now; ``MODULE:NAME`` where the name has changed too.
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        where, _, new = places[name].partition(":")
        new = new or name
        warnings.warn(f"{module}.{name} is now {where}.{new}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(where), new)

    return find
