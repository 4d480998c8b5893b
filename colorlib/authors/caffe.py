"""Weights of Caffe: HDF5 (``.caffemodel.h5``) and protocol buffers (``.caffemodel``).

Layouts: `caffe.proto` and `Net::ToHDF5` of BVLC Caffe. A file is mapped into memory and its arrays are views of it, so
that none can ask for more memory than the file has bytes.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from colorlib._text import extra
from colorlib.tensors import WeightsError

Layers: TypeAlias = dict[str, list[NDArray[np.float32]]]
"""The arrays (Caffe's blobs) of each layer that has any, by the layer's name."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
# Field numbers of caffe.proto.
_LAYERS = {100: (1, 7), 2: (4, 6)}  # of NetParameter: a layer, and one of 2014, each with its name and its blobs
_DATA, _SHAPE, _DIM = 5, 7, 1  # of BlobProto and BlobShape
_OLD_SHAPE = (1, 2, 3, 4)  # number, channels, height, width
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def read(path: Path) -> Layers:
    """The weights in a caffemodel, of either format.

    Returns:
        Arrays in the order of the layer's blobs, read-only views of the file; layers in the order of the graph in a
        binary file, by name in HDF5, which keeps no other order.

    Raises:
        WeightsError: no caffemodel, or a damaged one.
        ModuleNotFoundError: HDF5 needs the package h5py, which is not here.
    """
    try:
        content = np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError) as error:  # ValueError of an empty file
        raise WeightsError(f"{path} cannot be read ({error})") from error
    return _hdf5(path, content) if bytes(content[: len(_HDF5)]) == _HDF5 else _binary(path, content)


def _hdf5(path: Path, content: NDArray[np.uint8]) -> Layers:
    """``/data/LAYER/INDEX``, each a float array in one piece."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path.name} is an HDF5 file, and the package h5py, which reads these, is not here: {extra('authors')}"
        ) from error
    try:
        with h5py.File(path, "r", libver="earliest") as file:
            layers = {
                name: [
                    _view(content, _member(group, str(index), h5py.Dataset), f"{path}: {name}, array {index}")
                    for index in range(len(group))
                ]
                for name, group in _groups(_member(file, "data", h5py.Group), h5py.Group)
                if len(group)
            }
        _check_apart(content, layers, path)
        return layers
    except WeightsError as error:
        raise WeightsError(f"{error}; fetch the file again") from None
    except Exception as error:  # the library has no error of its own
        raise WeightsError(f"{path} is a damaged HDF5 file ({error}); fetch it again") from error


def _check_apart(content: NDArray[np.uint8], layers: Layers, path: Path) -> None:
    """That no two arrays share bytes: this format has no checksums, and a wrong address would give a shifted array."""
    first = content.__array_interface__["data"][0]
    pieces = sorted(
        (array.__array_interface__["data"][0] - first, array.nbytes, name)
        for name, arrays in layers.items()
        for array in arrays
        if array.size
    )
    for (start, count, name), (following, _, other) in pairwise(pieces):
        if start + count > following:
            raise WeightsError(f"{path}: {name} and {other} have arrays in the same place")


def _groups(parent: Any, kind: type) -> Iterator[tuple[str, Any]]:
    for name in parent:
        yield name, _member(parent, name, kind)


def _member(parent: Any, name: str, kind: type) -> Any:
    """What is in a group under a name, if it is in this file itself."""
    import h5py

    place = f"{parent.file.filename}: {parent.name}"
    if name not in parent:
        raise WeightsError(f"{place} has no {name}; Caffe numbers a layer's arrays from 0, in the group data")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise WeightsError(f"{place}: {name} is a link to elsewhere, which is not followed")
    member = parent[name]
    if not isinstance(member, kind):
        raise WeightsError(f"{place}: {name} is a {type(member).__name__}, expected a {kind.__name__}")
    return member


def _view(content: NDArray[np.uint8], dataset: Any, place: str) -> NDArray[np.float32]:
    shape, dtype, start = dataset.shape, dataset.dtype, dataset.id.get_offset()
    if dtype != np.float32 or shape is None:
        raise WeightsError(f"{place} has values of type {dtype}, expected float32")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    if start is None or dataset.external or dataset.is_virtual:
        raise WeightsError(f"{place} is not stored in one piece, as Caffe writes it")
    return _floats(content[start:], dtype, shape, place)


def _floats(content: NDArray[np.uint8], dtype: Any, shape: tuple[int, ...], place: str) -> NDArray[np.float32]:
    count = 4 * math.prod(shape)
    if len(content) < count:
        raise WeightsError(f"{place} has shape {shape}, more than the rest of the file holds")
    array: NDArray[np.float32] = content[:count].view(dtype).reshape(shape)
    return array


def _binary(path: Path, content: NDArray[np.uint8]) -> Layers:
    """A `NetParameter` in the wire format of protocol buffers."""
    layers: Layers = {}
    try:
        for field, value in _fields(content):
            if field in _LAYERS and isinstance(value, np.ndarray):
                name, blobs = _layer(value, *_LAYERS[field])
                if name in layers:
                    raise WeightsError(f"two layers are called {name}")
                if blobs:
                    layers[name] = blobs
    except WeightsError as error:
        raise WeightsError(f"{path} is no caffemodel, or a damaged one ({error}); fetch it again") from None
    if not layers:
        raise WeightsError(f"{path} is no caffemodel, or one without weights: it has no layer with arrays")
    return layers


def _layer(content: NDArray[np.uint8], name_field: int, blob_field: int) -> tuple[str, list[NDArray[np.float32]]]:
    name, blobs = "", list[NDArray[np.float32]]()
    for field, value in _fields(content):
        if field == name_field:
            name = _bytes(value).tobytes().decode("utf-8", "replace")
        elif field == blob_field:
            blobs.append(_blob(_bytes(value), f"{name or 'a layer'}, array {len(blobs)}"))
    return name, blobs


def _blob(content: NDArray[np.uint8], place: str) -> NDArray[np.float32]:
    data, shape = content[:0], None
    old = dict.fromkeys(_OLD_SHAPE, 1)
    for field, value in _fields(content):
        if field == _DATA:
            if len(data):
                raise WeightsError(f"{place} is in several pieces")
            data = _bytes(value)
        elif field == _SHAPE:
            shape = tuple(_dims(_bytes(value)))
        elif field in old:
            old[field] = _number(value)
    shape = tuple(old.values()) if shape is None else shape
    if len(data) != 4 * math.prod(shape):
        raise WeightsError(f"{place} has shape {shape} and {len(data)} bytes of values, expected 4 each")
    return _floats(data, "<f4", shape, place)


def _dims(content: NDArray[np.uint8]) -> Iterator[int]:
    for field, value in _fields(content):
        if field == _DIM and isinstance(value, int):
            yield value
        elif field == _DIM:  # packed
            packed, at = _bytes(value), 0
            while at < len(packed):
                number, at = _varint(packed, at)
                yield number


def _fields(content: NDArray[np.uint8]) -> Iterator[tuple[int, "int | NDArray[np.uint8]"]]:
    """The fields of a message: their numbers, and their integers or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(content, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise WeightsError(f"wire type {wire} is none of those that caffemodels have")
        if length > len(content) - at:
            raise WeightsError(f"a field of {length} bytes, where {len(content) - at} are left")
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(content):
            raise WeightsError("a number is cut off")
        byte = int(content[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WeightsError("a number of more than 64 bits")


def _bytes(value: "int | NDArray[np.uint8]") -> NDArray[np.uint8]:
    if isinstance(value, int):
        raise WeightsError("a number, where bytes are expected")
    return value


def _number(value: "int | NDArray[np.uint8]") -> int:
    if not isinstance(value, int):
        raise WeightsError("bytes, where a number is expected")
    return value
