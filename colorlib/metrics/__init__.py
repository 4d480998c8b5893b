"""How well colours were predicted, by the definitions of the papers."""

from colorlib.metrics import functional

__all__ = ["functional"]
