"""Larsson's released network as its authors describe it, with random weights: prototxt, HDF5 and binary caffemodels.

Written from `autocolorize/res/autocolorize.prototxt.template` of gustavla/autocolorize and from `caffe.proto`; the
binary file is protobuf's own. By hand, a file of the true size: `python tests/autocolorize_files.py FILE`.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

Weights = dict[str, list[NDArray[np.float32]]]

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
POOLED = {"data": 4, "conv1_1": 4, "conv1_2": 4, "conv2_1": 2, "conv2_2": 2}  # the mean of so many pixels a side
LARGER = {**{f"conv4_{k}": 2 for k in (1, 2, 3)}, **{f"conv5_{k}": 4 for k in (1, 2, 3)}, "fc6": 8, "fc7": 8}


@dataclass(frozen=True)
class Layer:
    """A layer of a prototxt.

    Attributes:
        shapes: of its weights.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    top: str
    parameters: str = ""
    shapes: tuple[tuple[int, ...], ...] = field(default=())


def layers(width: float = 1.0) -> Iterator[Layer]:
    """All layers after the input, in the order of the graph."""
    channels = {"data": 1}

    def conv(name: str, bottom: str, outputs: int, kernel: int, relu: bool = True) -> Iterator[Layer]:
        shapes = ((outputs, channels[bottom], kernel, kernel), (outputs,))
        said = f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2}"
        yield Layer(name, "Convolution", (bottom,), name, f"convolution_param {{ {said} }}", shapes)
        if relu:
            yield Layer(f"relu_{name}", "ReLU", (name,), name)
        channels[name] = outputs

    def larger(name: str, bottom: str, top: str, factor: int) -> Iterator[Layer]:
        """Every channel as a picture of its own, through one deconvolution."""
        yield reshape(f"{name}_reshaped", bottom, f"{name}_reshaped", 1)
        said = f"num_output: 1 kernel_size: {2 * factor} stride: {factor} pad: {factor // 2} bias_term: false"
        shapes = ((1, 1, 2 * factor, 2 * factor),)
        full = f"{top}_reshaped"
        yield Layer(full, "Deconvolution", (f"{name}_reshaped",), full, f"convolution_param {{ {said} }}", shapes)
        yield reshape(top, full, top, channels[bottom])

    def reshape(name: str, bottom: str, top: str, count: int) -> Layer:
        said = f"shape {{ dim: -1 dim: {count} }} axis: 0 num_axes: 2"
        return Layer(name, "Reshape", (bottom,), top, f"reshape_param {{ {said} }}")

    before = "data"
    for block, (outputs, count) in enumerate(BLOCKS, 1):
        for index in range(1, count + 1):
            yield from conv(f"conv{block}_{index}", before, round(outputs * width), 3)
            before = f"conv{block}_{index}"
        yield Layer(f"pool{block}", "Pooling", (before,), f"pool{block}", _pooling("MAX", 2))
        channels[f"pool{block}"], before = channels[before], f"pool{block}"
    for name, kernel in (("fc6", 7), ("fc7", 1)):
        yield from conv(name, before, round(4096 * width), kernel)
        yield Layer(f"dropout_{name}", "Dropout", (name,), name)
        before = name
    for name, cells in POOLED.items():
        yield Layer(f"{name}_full", "Pooling", (name,), f"{name}_full", _pooling("AVE", cells))
    for name, factor in LARGER.items():
        yield from larger(name, name, f"{name}_full", factor)
    column = [name if name.startswith("conv3") else f"{name}_full" for name in channels if not name.startswith("pool")]
    channels["dense_hypercolumn"] = sum(n for name, n in channels.items() if not name.startswith("pool"))
    yield Layer("dense_hypercolumn", "Concat", tuple(column), "dense_hypercolumn", "concat_param { axis: 1 }")
    yield from conv("h_fc1", "dense_hypercolumn", round(1024 * width), 1)
    for head in ("prediction_h", "prediction_c"):
        yield from conv(head, "h_fc1", 32, 1, relu=False)
    for head in ("prediction_h", "prediction_c"):
        yield Layer(f"{head}_softmax", "Softmax", (head,), f"{head}_softmax")
        channels[f"{head}_softmax"] = 32
        yield from larger(f"{head}_softmax", f"{head}_softmax", f"{head}_full", 4)


def _pooling(how: str, side: int) -> str:
    return f"pooling_param {{ pool: {how} kernel_size: {side} stride: {side} }}"


def prototxt(side: int, width: float = 1.0) -> str:
    """The network for pictures of one size."""
    shape = f"shape: {{ dim: 1 dim: 1 dim: {side} dim: {side} }}"
    lines = [f'layer {{ name: "data" type: "Input" top: "data" input_param {{ {shape} }} }}']
    for one in layers(width):
        bottoms = " ".join(f'bottom: "{name}"' for name in one.bottoms)
        lines.append(f'layer {{ name: "{one.name}" type: "{one.type}" {bottoms} top: "{one.top}" {one.parameters} }}')
    return "\n".join(lines)


def random_weights(width: float = 1.0, seed: int = 0) -> Weights:
    """He's initialisation, so that values neither vanish nor grow; bilinear kernels where they are fixed."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for one in layers(width):
        if one.type == "Convolution":
            kernel, bias = one.shapes
            deviation = np.float32(np.sqrt(2 / np.prod(kernel[1:])))
            if one.name.startswith("prediction"):  # histograms with hues and chromas of their own
                deviation *= 3
            values = rng.standard_normal(kernel, np.float32)
            values *= deviation
            weights[one.name] = [values, 0.1 * rng.standard_normal(bias, np.float32)]
        elif one.type == "Deconvolution":
            weights[one.name] = [bilinear(one.shapes[0][-1])]
    return weights


def bilinear(side: int) -> NDArray[np.float32]:
    """Caffe's BilinearFiller."""
    kernel = np.empty((1, 1, side, side), np.float32)
    f = int(np.ceil(side / 2))
    c = (2 * f - 1 - f % 2) / (2 * f)
    for y in range(side):
        for x in range(side):
            kernel[0, 0, y, x] = (1 - abs(x / f - c)) * (1 - abs(y / f - c))
    return kernel


def write_hdf5(path: Path, weights: Weights, names: Iterable[str] | None = None) -> None:
    """As Caffe's `Net::ToHDF5`: a group for every layer, in it the arrays by their numbers."""
    with h5py.File(path, "w", libver="earliest") as file:
        data = file.create_group("data")
        for name in ("data", *(names or weights)):
            group = data.create_group(name)
            for index, array in enumerate(weights.get(name, ())):
                group.create_dataset(str(index), data=array)


def write_binary(path: Path, weights: Weights, types: Mapping[str, str] | None = None) -> None:
    """A `NetParameter` by protobuf's own library."""
    net = _message("NetParameter")()
    net.name = "autocolorize"
    for name, arrays in weights.items():
        layer = net.layer.add()
        layer.name, layer.type = name, (types or {}).get(name, "Convolution")
        for array in arrays:
            blob = layer.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data.extend(array.ravel().tolist())
    path.write_bytes(net.SerializeToString())


def _message(name: str) -> Any:
    """The few fields of caffe.proto that weights need."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_part.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(title: str, *fields: tuple[str, int, int, int, str]) -> None:
        made = file.message_type.add(name=title)
        for called, number, kind, label, other in fields:
            one = made.field.add(name=called, number=number, type=kind, label=label)
            if other:
                one.type_name = f".caffe.{other}"
            elif label == kinds.LABEL_REPEATED and kind in (kinds.TYPE_FLOAT, kinds.TYPE_INT64):
                one.options.packed = True

    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    message("BlobShape", ("dim", 1, kinds.TYPE_INT64, many, ""))
    message("BlobProto", ("data", 5, kinds.TYPE_FLOAT, many, ""), ("shape", 7, kinds.TYPE_MESSAGE, one, "BlobShape"))
    message(
        "LayerParameter",
        ("name", 1, kinds.TYPE_STRING, one, ""),
        ("type", 2, kinds.TYPE_STRING, one, ""),
        ("blobs", 7, kinds.TYPE_MESSAGE, many, "BlobProto"),
    )
    message(
        "NetParameter",
        ("name", 1, kinds.TYPE_STRING, one, ""),
        ("layer", 100, kinds.TYPE_MESSAGE, many, "LayerParameter"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


if __name__ == "__main__":
    write_hdf5(Path(sys.argv[1]), random_weights(), (one.name for one in layers()))
