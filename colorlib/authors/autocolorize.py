"""Larsson's released network, `autocolorize.caffemodel.h5`, as our `larsson16`.

Names and shapes of its layers: `autocolorize/res/autocolorize.prototxt.template` of gustavla/autocolorize.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from colorlib.authors import caffe
from colorlib.models import ColorModel
from colorlib.models.larsson16 import Larsson16
from colorlib.tensors import WeightsError
from colorlib.weights import create_model

# The factors of the deconvolutions, whose bilinear kernels Caffe keeps with the weights.
FIXED = {
    **{f"conv4_{k}_full_reshaped": 2 for k in (1, 2, 3)},
    **{f"conv5_{k}_full_reshaped": 4 for k in (1, 2, 3)},
    **{f"fc{k}_full_reshaped": 8 for k in (6, 7)},
    "prediction_h_full_reshaped": 4,
    "prediction_c_full_reshaped": 4,
}


def convert(path: Path, **settings: Any) -> ColorModel:
    """The network in a caffemodel, HDF5 or binary, in eval mode.

    Args:
        path: the file.
        **settings: of the architecture, beside those of the released network.

    Raises:
        WeightsError: a damaged file, or one of another network; the message names the layer.
        ModuleNotFoundError: h5py is not installed.
    """
    layers = caffe.read(path)
    model = cast(Larsson16, create_model("larsson16", released=True, **settings))
    learned = dict(_learned(model))
    found = [name for name in layers if name not in FIXED]
    for name in found:
        if name not in learned:
            raise WeightsError(f"{path}: there is a layer {name}, which larsson16 does not have")
    for name in learned:
        if name not in layers:
            raise WeightsError(f"{path}: the layer {name} is missing, or has no weights")
    if found not in (list(learned), sorted(learned)):
        first = next(ours for ours, theirs in zip(learned, found, strict=True) if ours != theirs)
        raise WeightsError(f"{path}: the layers are in another order; {first} is not at its place in the graph")
    for name, parts in learned.items():
        _fill(parts, layers[name], f"{path}: the layer {name}")
    for name in FIXED.keys() & layers.keys():
        _check_bilinear(layers[name], FIXED[name], f"{path}: the layer {name}")
    return model


def _learned(model: Larsson16) -> Iterator[tuple[str, list[NDArray[np.float32]]]]:
    """The layers in the order of the graph: weights and biases, whose memory is the model's."""
    for name, stage in zip(model.encoder.names, model.encoder.stages, strict=True):
        yield name, _arrays(next(layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)))
    yield "h_fc1", _arrays(model.hypercolumn.linear)
    weight, bias = _arrays(model.predictors)
    half = len(bias) // 2  # hue, then chroma
    yield "prediction_h", [weight[:half], bias[:half]]
    yield "prediction_c", [weight[half:], bias[half:]]


def _arrays(conv: nn.Conv2d) -> list[NDArray[np.float32]]:
    return [conv.get_parameter(name).detach().numpy() for name in ("weight", "bias")]


def _fill(parts: list[NDArray[np.float32]], arrays: list[NDArray[np.float32]], place: str) -> None:
    if len(arrays) != len(parts):
        raise WeightsError(f"{place} has {len(arrays)} arrays, expected {len(parts)}: weights and biases")
    for part, array in zip(parts, arrays, strict=True):
        # Files of 2014 have four dimensions throughout.
        shape = array.shape[max(0, array.ndim - part.ndim) :]
        if shape != part.shape or array.size != part.size:
            raise WeightsError(f"{place} has an array of shape {array.shape}, expected {part.shape}")
        np.copyto(part, array.reshape(part.shape))


def _check_bilinear(arrays: list[NDArray[np.float32]], factor: int, place: str) -> None:
    """That a deconvolution is the bilinear one, which is all that we have."""
    side = 2 * factor
    rise = 1 - np.abs(np.arange(side) / factor - (side - 1) / side)
    expected = np.outer(rise, rise)[None, None]
    if len(arrays) != 1 or arrays[0].shape != expected.shape:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise WeightsError(f"{place} has arrays of shapes {shapes}, expected one kernel of {expected.shape}")
    if not np.allclose(arrays[0], expected, rtol=0, atol=1e-5):
        raise WeightsError(f"{place} is not the bilinear kernel of side {side} that the released network has there")
