"""How colour becomes something to learn: a target encodes a photograph, scores a prediction and decodes it.

An architecture and a target together make a method, so the colour spaces and losses of a paper are settings here,
not classes there.
"""

from colorlib._deprecated import moved
from colorlib.targets._base import Target, combine
from colorlib.targets.bins import HueChroma, LabJoint, LabMarginal, LuvBins
from colorlib.targets.decoders import (
    complex_expectation,
    decide,
    entropy,
    expectation,
    fade,
    gaussian_centroids,
    gaussian_quantiles,
    median,
    mode,
    sample,
)
from colorlib.targets.histogram import Colors, Histogram
from colorlib.targets.regression import LumaLab, Picture, Rebalanced, Regression, ab_counts, rebalancing_weights

__all__ = [
    "Colors",
    "Histogram",
    "HueChroma",
    "LabJoint",
    "LabMarginal",
    "LumaLab",
    "LuvBins",
    "Picture",
    "Rebalanced",
    "Regression",
    "Target",
    "ab_counts",
    "combine",
    "complex_expectation",
    "decide",
    "entropy",
    "expectation",
    "fade",
    "gaussian_centroids",
    "gaussian_quantiles",
    "median",
    "mode",
    "rebalancing_weights",
    "sample",
]

__getattr__ = moved(
    __name__,
    {
        **dict.fromkeys(("AB_BOUND", "AB_GRID", "UV_BOUND", "correct_lightness"), "colorlib.color"),
        **dict.fromkeys(("gaussian_blur", "resize_area", "shrink_area", "size_of"), "colorlib.image"),
    },
)
