"""Torch7's binary files, as ``torch.save`` of Lua wrote them, read as plain data: nothing in them is executed.

Numbers, strings, booleans, tables, tensors, storages, and the objects of other classes, such as modules of nn and
graphs of nngraph, as the tables that they are. Objects that several others refer to are one object. Functions are
passed over. The format is that of torch7's ``File.lua`` on 64-bit machines; longs have eight bytes.

A file is mapped, not loaded: of a tensor, memory is taken when its :meth:`Tensor.array` is. Every length is compared
with the bytes that are left; depth and number of values are bounded.
"""

import math
import mmap
import re
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from colorlib.tensors import WeightsError

# A network of some hundred layers has a few thousand values, on some hundred levels of tables.
MAX_VALUES, MAX_DEPTH = 200_000, 5_000

_TABLE = 3  # a value's type; the others are where they are read
_TYPES = {
    **dict.fromkeys(("Byte", "CudaByte"), "<u1"),
    **dict.fromkeys(("Char", "CudaChar"), "<i1"),
    **dict.fromkeys(("Short", "CudaShort"), "<i2"),
    **dict.fromkeys(("Int", "CudaInt"), "<i4"),
    **dict.fromkeys(("Long", "CudaLong"), "<i8"),
    **dict.fromkeys(("Half", "CudaHalf"), "<f2"),
    **dict.fromkeys(("Float", "Cuda"), "<f4"),
    **dict.fromkeys(("Double", "CudaDouble"), "<f8"),
}


@dataclass(eq=False)
class Table:
    """A Lua table, or an object, whose fields are one.

    Attributes:
        items: values by key.
        kind: of an object its class, such as ``"nn.Linear"``; empty for a table.
        version: of the object's class.
    """

    items: dict[Any, "Value"] = field(default_factory=dict, repr=False)
    kind: str = ""
    version: int = 0

    def get(self, key: Any) -> "Value":
        """A value, None if there is none."""
        return self.items.get(key)

    def sequence(self) -> list["Value"]:
        """The values of keys 1, 2, 3, ... until one is missing."""
        values: list[Value] = []
        while (value := self.items.get(len(values) + 1)) is not None:
            values.append(value)
        return values


@dataclass(frozen=True, eq=False)
class Storage:
    """A row of numbers in the file.

    Attributes:
        values: a view of the mapped file, read-only.
    """

    values: NDArray[Any] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage.

    Attributes:
        shape: sizes.
        strides: in elements, at least 0.
        offset: of the first element.
        storage: None where there are no elements.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None

    def array(self) -> NDArray[Any]:
        """A copy; of shape (0,) where there are no elements.

        Raises:
            WeightsError: the view has more elements than its storage, as a repeated one has.
        """
        if self.storage is None or not self.shape or 0 in self.shape:
            return np.empty(0, np.float32)
        values = self.storage.values
        if math.prod(self.shape) > values.size:
            raise WeightsError(f"a tensor of shape {self.shape} repeats the {values.size:,} numbers of its storage")
        # The stride of a single element means nothing, and may be any number.
        strides = [
            stride * values.itemsize if size > 1 else 0 for size, stride in zip(self.shape, self.strides, strict=True)
        ]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


@dataclass(frozen=True, eq=False)
class Function:
    """A function of Lua, of which nothing is kept."""


Value: TypeAlias = bool | float | str | Table | Storage | Tensor | Function | None
_Steps: TypeAlias = Generator["_Steps", Value, Value]


def read_torch7(path: Path) -> Value:
    """What a binary Torch7 file holds.

    Raises:
        WeightsError: the file is absent, damaged, or no binary Torch7 file; the message names the byte.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: mmap's word for an empty file
        raise WeightsError(f"{path} cannot be read as a Torch7 file: {error}") from error
    return _Reader(path, content).read()


class _Reader:
    """Reads one file.

    Readers of values are generators that yield readers of the values inside: a deep file fills a list, not the stack.
    """

    def __init__(self, path: Path, content: memoryview):
        self.path, self.content, self.at = path, content, 0
        self.objects: dict[int, Value] = {}
        self.values = 0

    def read(self) -> Value:
        waiting: list[_Steps] = [self._value()]
        value: Value = None
        while waiting:
            try:
                waiting.append(waiting[-1].send(value))
                value = None
            except StopIteration as done:
                waiting.pop()
                value = done.value
            if len(waiting) > MAX_DEPTH:
                raise self._error(f"more than {MAX_DEPTH:,} values inside one another")
        if self.at != len(self.content):
            raise self._error(f"{len(self.content) - self.at:,} bytes are left after the last value")
        return value

    def _value(self) -> _Steps:
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._error(f"more than {MAX_VALUES:,} values, which no network has")
        match kind := self._int():
            case 0:
                return None
            case 1:
                return float(self._unpacked("<d")[0])
            case 2:
                return self._string()
            case 3 | 4 | 7 | 8:
                index = self._int()
                if index in self.objects:
                    return self.objects[index]
                reader = {3: self._table, 4: self._object}.get(kind, self._function)
                return (yield reader(index))
            case 5:
                if (truth := self._int()) not in (0, 1):
                    raise self._error(f"a boolean of {truth}")
                return bool(truth)
            case 6:  # before functions had an index
                return (yield self._function(None))
        raise self._error(f"a value of type {kind}, which Torch7 does not have")

    def _table(self, index: int) -> _Steps:
        table = Table()
        self.objects[index] = table
        yield self._filled(table)
        return table

    def _filled(self, table: Table) -> _Steps:
        count = self._int()
        if not 0 <= 8 * count <= self._left:  # a key and a value have four bytes at least
            raise self._error(f"a table of {count:,} values, with {self._left:,} bytes left in the file")
        for _ in range(count):
            key = yield self._value()
            value = yield self._value()
            if key is None or key != key:
                raise self._error("a table with a key that is nil or not a number")
            table.items[key] = value
        return None

    def _object(self, index: int) -> _Steps:
        version, name = self._string(), ""
        if found := re.fullmatch(r"V (\d{1,9})", version):
            name = self._string()
        else:
            version, name = "", version  # as files were before classes had versions
        found_type = re.fullmatch(r"torch\.(\w+?)(Tensor|Storage)", name)
        if found_type and found_type[1] in _TYPES:
            dtype = np.dtype(_TYPES[found_type[1]])
            if found_type[2] == "Storage":
                self.objects[index] = self._storage(dtype)
            else:
                self.objects[index] = yield self._tensor(dtype)
            return self.objects[index]
        if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", name) or name.startswith(("torch.", "tds.")):
            raise self._error(f"an object of class {name[:60]!r}, which is none that networks are made of")
        made = Table(kind=name, version=int(found[1]) if found else 0)
        self.objects[index] = made
        if self._int() != _TABLE:
            raise self._error(f"an object of class {name} whose fields are no table")
        inner = self._int()
        if inner in self.objects:
            raise self._error(f"an object of class {name} whose fields are those of another")
        self.objects[inner] = made
        yield self._filled(made)
        return made

    def _function(self, index: int | None) -> _Steps:
        function = Function()
        if index is not None:
            self.objects[index] = function
        self._take(self._int(), "function")
        yield self._value()  # what it had closed over
        return function

    def _storage(self, dtype: np.dtype[Any]) -> Storage:
        (count,) = self._unpacked("<q")
        if not 0 <= count * dtype.itemsize <= self._left:
            raise self._error(f"a storage of {count:,} numbers, with {self._left:,} bytes left in the file")
        return Storage(np.frombuffer(self._take(count * dtype.itemsize, "storage"), dtype))

    def _tensor(self, dtype: np.dtype[Any]) -> _Steps:
        dimensions = self._int()
        if not 0 <= 16 * dimensions <= self._left or dimensions > 32:
            raise self._error(f"a tensor of {dimensions:,} dimensions")
        shape, strides = (self._unpacked(f"<{dimensions}q") for _ in range(2))
        offset = self._unpacked("<q")[0] - 1  # Lua counts from 1
        storage = yield self._value()
        if storage is not None and not (isinstance(storage, Storage) and storage.values.dtype == dtype):
            raise self._error("a tensor on something that is no storage of its type")
        size = 0 if storage is None else storage.values.size
        if dimensions and min(shape) > 0:
            last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
            if min(strides) < 0 or not 0 <= offset <= last < size:
                raise self._error(f"a tensor of shape {shape} that reaches beyond its storage of {size:,} numbers")
        elif dimensions and min(shape) < 0:
            raise self._error(f"a tensor of shape {shape}")
        return Tensor(shape, strides, offset, storage)

    def _string(self) -> str:
        return bytes(self._take(self._int(), "string")).decode("latin-1")

    def _int(self) -> int:
        value: int = self._unpacked("<i")[0]
        return value

    def _unpacked(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout), "number"))

    def _take(self, count: int, what: str) -> memoryview:
        if not 0 <= count <= self._left:
            raise self._error(f"a {what} of {count:,} bytes, with {self._left:,} left in the file")
        self.at += count
        return self.content[self.at - count : self.at]

    @property
    def _left(self) -> int:
        return len(self.content) - self.at

    def _error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.path}: damaged, or no binary Torch7 file: at byte {self.at:,} {what}")
