"""Torch takes seconds to load. The page is served without it, and loads it before the first photograph needs it."""

import threading
from types import ModuleType

_lock = threading.Lock()


def load() -> ModuleType:
    """The module :mod:`session`, and with it torch and the library.

    One thread imports and the others wait: two that import one package at the same time may see it half made.
    """
    with _lock:
        import session

        return session


def load_in_background() -> threading.Thread:
    """Start to load, for whoever comes first."""
    thread = threading.Thread(target=load, name="loads torch", daemon=True)
    thread.start()
    return thread
