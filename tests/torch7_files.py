"""Writes Torch7's binary format, from its description, and colornet.t7 with random weights in it.

Independent of the reader: nothing of colorlib is imported.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


@dataclass(eq=False)
class Obj:
    """An object of Torch's class system; ``Obj("")`` is a table."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Closure:
    """A function: what ``string.dump`` gave, and its upvalues."""

    code: bytes
    upvalues: Any = None


@dataclass(eq=False)
class View:
    """A tensor on a storage that others may be on too."""

    storage: Array
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    kind: str = "Float"


@dataclass(eq=False)
class Row:
    """A torch.LongStorage."""

    values: tuple[int, ...]


def table(*values: Any, **fields: Any) -> Obj:
    return Obj("", dict(enumerate(values, 1)) | fields)


_NAMES = {"f4": "Float", "f8": "Double", "i8": "Long", "u1": "Byte"}


class Writer:
    def __init__(self, out: BinaryIO):
        self.out = out
        self.indices: dict[int, int] = {}
        self.storages: dict[int, object] = {}
        self.kept: list[Any] = []  # so that no id comes twice
        self.marks: list[int] = []  # where values begin

    def int(self, value: int) -> None:
        self.out.write(struct.pack("<i", value))

    def longs(self, *values: int) -> None:
        self.out.write(struct.pack(f"<{len(values)}q", *values))

    def string(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.int(len(data))
        self.out.write(data)

    def known(self, value: Any, kind: int) -> bool:
        """Write the type and the index of an object, and whether it has been written before."""
        self.int(kind)
        seen = id(value) in self.indices
        if not seen:
            self.kept.append(value)
        self.int(self.indices.setdefault(id(value), len(self.indices) + 1))
        return seen

    def write(self, value: Any) -> None:
        self.marks.append(self.out.tell())
        match value:
            case None:
                self.int(0)
            case bool():
                self.int(5)
                self.int(int(value))
            case int() | float():
                self.int(1)
                self.out.write(struct.pack("<d", value))
            case str():
                self.int(2)
                self.string(value)
            case Closure():
                if not self.known(value, 8):
                    self.string(value.code)
                    self.write(value.upvalues or table())
            case Obj(kind=""):
                if not self.known(value, 3):
                    self.fields(value.fields)
            case Obj():
                if not self.known(value, 4):
                    self.string("V 1")
                    self.string(value.kind)
                    self.write(Obj("", value.fields))
            case Row():
                if not self.known(value, 4):
                    self.string("V 1")
                    self.string("torch.LongStorage")
                    self.longs(len(value.values), *value.values)
            case View():
                self.tensor(value, value.shape, value.strides, value.offset, value.storage, value.kind)
            case np.ndarray():
                steps = [stride // value.itemsize for stride in np.ascontiguousarray(value).strides]
                # Torch7 has no tensors with a side of 0.
                shape, steps = (value.shape, steps) if value.size else ((), [])
                self.tensor(value, shape, steps, 0, value.reshape(-1), _NAMES[value.dtype.str[1:]])
            case _:
                raise TypeError(type(value))

    def fields(self, fields: dict[Any, Any]) -> None:
        self.int(len(fields))
        for key, one in fields.items():
            self.write(key)
            self.write(one)

    def tensor(self, value: Any, shape: Any, strides: Any, offset: int, storage: Array, kind: str) -> None:
        if self.known(value, 4):
            return
        self.string("V 1")
        self.string(f"torch.{kind}Tensor")
        self.int(len(shape))
        self.longs(*shape)
        self.longs(*strides)
        self.longs(offset + 1)
        if not len(storage):
            self.int(0)
            return
        # Views of one array share its storage.
        base = storage if storage.base is None or isinstance(value, View) else storage.base
        self.marks.append(self.out.tell())
        self.kept.append(base)
        if not self.known(self.storages.setdefault(id(base), object()), 4):
            self.string("V 1")
            self.string(f"torch.{kind}Storage")
            self.longs(len(storage))
            self.out.write(storage.tobytes())


def save(path: Path, value: Any) -> list[int]:
    """Write a file; where in it values begin."""
    with path.open("wb") as out:
        writer = Writer(out)
        writer.write(value)
    return writer.marks


class Net:
    """Modules of nn with random weights: He's, so that activations keep their size."""

    def __init__(self, seed: int = 0, kind: str = "f4", gradients: bool = False, norm: bool = False, mm: bool = False):
        self.random = np.random.default_rng(seed)
        self.kind, self.gradients, self.norm, self.mm = kind, gradients, norm, mm

    def module(self, name: str, **fields: Any) -> Obj:
        empty = np.empty(0, self.kind)
        return Obj(name, {"train": False, "_type": f"torch.{_NAMES[self.kind]}Tensor", "output": empty} | fields)

    def tensors(self, fan: int, *shape: int) -> dict[str, Array]:
        weight = self.random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan))
        bias = self.random.standard_normal(shape[0], np.float32) * np.float32(0.1)
        found = {"weight": weight.astype(self.kind), "bias": bias.astype(self.kind)}
        if self.gradients:
            found |= {"gradWeight": np.zeros_like(found["weight"]), "gradBias": np.zeros_like(found["bias"])}
        return found

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[Obj]:
        fan = inputs * kernel**2
        shape = (outputs, fan) if self.mm else (outputs, inputs, kernel, kernel)
        sizes = {"kW": kernel, "kH": kernel, "dW": stride, "dH": stride, "padW": kernel // 2, "padH": kernel // 2}
        planes = {"nInputPlane": inputs, "nOutputPlane": outputs}
        name = "nn.SpatialConvolutionMM" if self.mm else "nn.SpatialConvolution"
        conv = self.module(name, **planes, **sizes, **self.tensors(fan, *shape))
        return [conv, *self.normalised("nn.SpatialBatchNormalization", outputs)]

    def linear(self, inputs: int, outputs: int, *, last: bool = False) -> list[Obj]:
        linear = self.module("nn.Linear", **self.tensors(inputs, outputs, inputs))
        return [linear] if last else [linear, *self.normalised("nn.BatchNormalization", outputs)]

    def normalised(self, name: str, channels: int) -> list[Obj]:
        if not self.norm:
            return []
        low, high = np.ones(channels, self.kind), np.ones(channels, self.kind)
        vectors = {
            "weight": self.random.uniform(0.5, 1.5, channels).astype(self.kind),
            "bias": self.random.uniform(-0.5, 0.5, channels).astype(self.kind),
            "running_mean": self.random.uniform(-0.5, 0.5, channels).astype(self.kind) * low,
            "running_var": self.random.uniform(0.5, 1.5, channels).astype(self.kind) * high,
        }
        return [self.module(name, eps=1e-5, momentum=0.1, affine=True, **vectors)]

    def relu(self) -> Obj:
        return self.module("nn.ReLU", threshold=0, val=0, inplace=True)

    def sequential(self, *modules: Obj) -> Obj:
        return self.module("nn.Sequential", modules=table(*modules))

    def activated(self, *layers: list[Obj]) -> Obj:
        return self.sequential(*(module for layer in layers for module in (*layer, self.relu())))


@dataclass
class Parts:
    """The branches of colornet, as modules."""

    low: Obj
    mid: Obj
    global_: Obj
    vector: Obj
    join: Obj
    color: Obj
    classifier: Obj | None = None
    global_first: bool = False  # in the join


def parts(net: Net, width: int = 64, classes: int | None = None, fusion_kernel: int = 1) -> Parts:
    """Table 1 of the paper, `width` channels in place of 64, the others in proportion."""
    w, square = width, 7 * 7

    def up() -> Obj:
        return net.module("nn.SpatialUpSamplingNearest", scale_factor=2)

    low = [(1, w, 2), (w, 2 * w, 1), (2 * w, 2 * w, 2), (2 * w, 4 * w, 1), (4 * w, 4 * w, 2), (4 * w, 8 * w, 1)]
    trunk = [(2, 8 * w), (1, 8 * w), (2, 8 * w), (1, 8 * w)]
    view = net.module("nn.View", size=Row((8 * w * square,)), numElements=8 * w * square)
    dense = [*net.linear(8 * w * square, 16 * w), net.relu(), *net.linear(16 * w, 8 * w), net.relu()]
    color = [(*net.conv(8 * w, 4 * w, fusion_kernel), net.relu()), (*net.conv(4 * w, 2 * w), net.relu(), up())]
    color += [(*net.conv(2 * w, w), net.relu()), (*net.conv(w, w), net.relu(), up())]
    norm, net.norm = net.norm, False
    last = net.conv(w // 2, 2)
    for tensor in (last[0].fields["weight"], last[0].fields["bias"]):
        tensor *= 0.3  # within the sigmoid's slope
    scores = net.linear(4 * w, classes, last=True) if classes else []
    net.norm = norm
    color += [(*net.conv(w, w // 2), net.relu()), (*last, net.module("nn.Sigmoid"))]
    classifier = net.sequential(*net.linear(8 * w, 4 * w), net.relu(), *scores, net.module("nn.LogSoftMax"))
    trunk_modules = net.activated(*(net.conv(8 * w, o, 3, s) for s, o in trunk)).fields["modules"].fields.values()
    return Parts(
        low=net.activated(*(net.conv(i, o, 3, s) for i, o, s in low)),
        mid=net.activated(net.conv(8 * w, 8 * w), net.conv(8 * w, 4 * w)),
        global_=net.sequential(*trunk_modules, view, *dense),
        vector=net.sequential(
            *net.linear(8 * w, 4 * w),
            net.relu(),
            net.module("nn.Replicate", nfeatures=28, dim=2, ndim=1),
            net.module("nn.Replicate", nfeatures=28, dim=2, ndim=2),
        ),
        join=net.module("nn.JoinTable", dimension=2, size=Row(())),
        color=net.sequential(*(module for row in color for module in row)),
        classifier=classifier if classes else None,
    )


class Graph:
    """nn.gModule, whose first input goes to the global branch, as nngraph makes it of nodes."""

    def __init__(self, net: Net, of: Parts, *, global_first: bool = False, shared: Callable[[Obj], Obj] | None = None):
        self.made: list[Obj] = []
        self.edges: list[tuple[Obj, Obj]] = []
        innode = self.node()
        split = self.node(innode, nSplitOutputs=2)
        selected = [self.node(split, selectindex=i) for i in (1, 2)]
        low = self.node(selected[1], module=of.low)
        mid = self.node(low, module=of.mid)
        again = self.node(selected[0], module=(shared or _shared)(of.low))
        hidden = self.node(again, module=of.global_)
        vector = self.node(hidden, module=of.vector)
        join = self.node(*((vector, mid) if global_first else (mid, vector)), module=of.join)
        outputs = [self.node(join, module=of.color)]
        if of.classifier:
            outputs.append(self.node(hidden, module=of.classifier))
        out = self.node(*outputs)
        # As nngraph numbers them: 4 the low-level network, 5 the mid-level, 8 the global, 9 what repeats its vector.
        first, second = selected
        order = [innode, split, second, low, mid, first, again, hidden, vector, join, *outputs, out]
        forward, backward = self.copied(order), self.copied(order, reverse=True)
        modules = [data.fields["module"] for data in order if "module" in data.fields]
        self.model = net.module(
            "nn.gModule",
            modules=table(*modules),
            nInputs=2,
            verbose=False,
            fg=Obj("graph.Graph", {"nodes": table(*forward), "edges": table(*self.arrows(order, forward))}),
            bg=Obj("graph.Graph", {"nodes": table(*backward), "edges": table()}),
            forwardnodes=table(*forward),
            backwardnodes=table(*reversed(backward)),
            innode=forward[0],
            outnode=backward[-1],
        )

    def node(self, *inputs: Obj, **data: Any) -> Obj:
        """The data of a node, which all graphs share."""
        mapindex = table(*inputs)
        mapindex.fields |= {one: i for i, one in enumerate(inputs, 1)}
        made = table(
            annotations=table(_debugLabel="[net.lua]:12_"), mapindex=mapindex, reverseMap=table(), input=table(), **data
        )
        self.made.append(made)
        self.edges += [(one, made) for one in inputs]
        return made

    def copied(self, order: list[Obj], reverse: bool = False) -> list[Obj]:
        """Nodes around the data, each with its children."""
        nodes = {
            data: Obj("nngraph.Node", {"data": data, "id": i, "visited": False, "marked": False, "children": table()})
            for i, data in enumerate(order, 1)
        }
        for start, end in self.edges:
            parent, child = (end, start) if reverse else (start, end)
            children = nodes[parent].fields["children"].fields
            count = sum(isinstance(key, int) for key in children) + 1
            children |= {count: nodes[child], nodes[child]: count}
        return [nodes[data] for data in order]

    def arrows(self, order: list[Obj], nodes: list[Obj]) -> Iterator[Obj]:
        for start, end in self.edges:
            pair = {"from": nodes[order.index(start)], "to": nodes[order.index(end)]}
            yield Obj("graph.Edge", pair)


def _shared(module: Obj) -> Obj:
    """``module:clone('weight', 'bias')``: other modules, the same numbers."""
    fields = dict(module.fields)
    if "modules" in fields:
        fields["modules"] = table(*map(_shared, fields["modules"].fields.values()))
    return Obj(module.kind, fields)


def colornet(
    net: Net,
    width: int = 8,
    *,
    classes: int | None = None,
    fusion_kernel: int = 1,
    mean: float = 0.44,
    global_first: bool = False,
    shared: Callable[[Obj], Obj] | None = None,
) -> tuple[Obj, Parts]:
    """What colornet.t7 holds, of random weights."""
    made = parts(net, width, classes, fusion_kernel)
    made.global_first = global_first
    return table(mean=mean, model=Graph(net, made, global_first=global_first, shared=shared).model), made
