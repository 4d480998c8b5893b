"""The version that is installed; apart, since `importlib.metadata` takes longer to import than `colorlib` itself."""

from importlib.metadata import version

__version__ = version("colorlib-torch")
