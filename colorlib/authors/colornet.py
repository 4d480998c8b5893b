"""The network that Iizuka, Simo-Serra and Ishikawa released, ``colornet.t7`` and ``colornet_imagenet.t7``.

A Torch7 file with a table of ``mean`` and ``model``, an nngraph of two inputs: the picture at 224 x 224, which goes to
the global branch, and the picture itself. We follow it back from its output: the colorization network, the table that
joins both branches, and each branch back to its input. So the order of nodes, and how modules are grouped, do not
matter; which layers there are, their order and their shapes do.

Batch normalisation is folded where the file has it, which the paper says may be done (section 3.4). A second output is
taken for the scene classifier.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from colorlib import create_model
from colorlib.authors.torch7 import Table, Tensor, Value, read_torch7
from colorlib.models import ColorModel
from colorlib.models.iizuka16 import RELEASED, Fusion, Iizuka16
from colorlib.tensors import WeightsError

_GROUPS = ("Sequential",)
_PASSED = ("Identity", "Dropout", "SpatialDropout", "Copy")  # which in use leave what they are given
_CONVOLUTIONS = ("SpatialConvolution", "SpatialConvolutionMM")
_NORMS = ("SpatialBatchNormalization", "BatchNormalization")
# Which only change how numbers are laid out, or scores to probabilities; ours are no modules of the same places.
_RESHAPES = ("View", "Reshape", "Replicate", "LogSoftMax", "SoftMax")
_FUNCTIONS = {nn.ReLU: ("ReLU", "Threshold"), nn.Sigmoid: ("Sigmoid",), nn.Upsample: ("SpatialUpSamplingNearest",)}
_SOME, _MOST, _MOST_CLASSES = 8, 128, 10_000  # channels of the first layer; a file cannot ask for more memory


def convert(path: Path, method: str = "iizuka16") -> ColorModel:
    """The released network as ours, in eval mode, with the settings that the file asks for.

    Args:
        path: ``colornet.t7`` or ``colornet_imagenet.t7``.
        method: its name in the registry, ``"iizuka16"`` or ``"iizuka16_imagenet"``.

    Raises:
        WeightsError: a damaged file, or a network of other layers; the message names the layer.
    """
    root = read_torch7(path)
    if not (isinstance(root, Table) and isinstance(mean := root.get("mean"), float) and 0 <= mean <= 1):
        raise WeightsError(f"{path}: expected a table with the mean of luma, a number in [0, 1], and the model")
    branches = _Branches.of(root.get("model"), path)
    first = branches.first("the local branch", branches.local)
    fusion = branches.first("the colorization network", branches.color)
    if not _SOME <= first.outputs <= _MOST or first.outputs % 2:
        raise WeightsError(f"{path}: the first layer has {first.outputs} channels; expected 64, as the paper has")
    if fusion.kernel not in (1, 3):
        raise WeightsError(f"{path}: the fusion layer's kernel has a side of {fusion.kernel}; expected 1 or 3")
    scenes = [_Layer.of(leaf).outputs for leaf in branches.scenes if _name(leaf) == "Linear"]
    classes = scenes[-1] if scenes else None
    if classes is not None and not 0 < classes <= _MOST_CLASSES:
        raise WeightsError(f"{path}: the scene classifier has {classes} classes")
    settings: dict[str, Any] = {
        "num_classes": classes,
        "width": first.outputs,
        "mean": mean,
        "fusion_kernel": fusion.kernel,
    }
    model = create_model(method, **(settings | RELEASED))
    assert isinstance(model, Iizuka16)
    branches.load(model.float())
    return model


@dataclass(frozen=True)
class _Layer:
    """A convolution or fully-connected layer of the file.

    Attributes:
        module: its table.
        outputs: channels.
        kernel: side, 1 of a fully-connected layer.
    """

    module: Table
    outputs: int
    kernel: int

    @classmethod
    def of(cls, module: Table) -> "_Layer":
        weight = module.get("weight")
        outputs = weight.shape[0] if isinstance(weight, Tensor) and weight.shape else 0
        kernel = module.get("kW") if _name(module) in _CONVOLUTIONS else 1.0
        return cls(module, outputs, int(kernel) if isinstance(kernel, float) and abs(kernel) < 100 else 0)


@dataclass(frozen=True)
class _Branches:
    """The modules on each way through the graph, from an input on.

    Attributes:
        path: of the file.
        local: low-level and mid-level network.
        whole: low-level network and global features.
        color: from the fusion layer on.
        scenes: the classifier; empty if there is none.
        global_first: whether the global vector comes first where both are joined.
    """

    path: Path
    local: list[Table]
    whole: list[Table]
    color: list[Table]
    scenes: list[Table]
    global_first: bool

    @classmethod
    def of(cls, graph: Value, path: Path) -> "_Branches":
        """Follow a graph back from its outputs."""
        if not (isinstance(graph, Table) and _name(graph) == "gModule" and isinstance(graph.get("outnode"), Table)):
            raise WeightsError(f"{path}: the model is no nn.gModule with an outnode")
        out = _data(graph.get("outnode"))
        outputs = _inputs(out, path)
        if len(outputs) not in (1, 2):
            raise WeightsError(f"{path}: the graph has {len(outputs)} outputs; expected colour, and perhaps scenes")
        color, join = _back(outputs[0], path)
        if _name(join.get("module")) != "JoinTable" or len(ways := _inputs(join, path)) != 2:
            raise WeightsError(f"{path}: the colorization network does not begin with a JoinTable of two branches")
        branches = [_back(way, path) for way in ways]
        global_first = any(_name(leaf) == "Linear" for leaf in branches[0][0])
        (whole, first), (local, second) = branches if global_first else reversed(branches)
        if (first.get("selectindex"), second.get("selectindex")) != (1, 2):
            raise WeightsError(f"{path}: expected the global branch on input 1 and the local one on input 2")
        scenes, _ = _back(outputs[1], path) if len(outputs) == 2 else ([], None)
        shared = next((i for i, (a, b) in enumerate(zip(whole, scenes, strict=False)) if a is not b), len(scenes))
        return cls(path, local, whole, color, scenes[shared:], global_first)

    def first(self, what: str, leaves: list[Table]) -> _Layer:
        """The first layer of a branch, which has to be a convolution."""
        if not leaves or _name(leaves[0]) not in _CONVOLUTIONS:
            raise WeightsError(f"{self.path}: {what} does not begin with a convolution")
        return _Layer.of(leaves[0])

    def load(self, model: Iizuka16) -> None:
        """Copy all weights into our network."""
        assert model.global_features is not None
        low, whole = _layers(model, "low_level"), ("global_features.trunk", "global_features.hidden")
        last = _layers(model, "global_features.last")
        fusion: list[tuple[str, nn.Module]] = [("fusion", model.fusion), ("fusion", nn.ReLU())]
        self._match("the local branch", self.local, [*low, *_layers(model, "mid_level")])
        self._match("the global branch", self.whole, [*low, *_layers(model, *whole), *last], again=len(low))
        self._match("the colorization network", self.color, [*fusion, *_layers(model, "colorization")])
        if model.classifier is not None:
            self._match("the scene classifier", self.scenes, _layers(model, "classifier"))

    def _match(self, what: str, leaves: list[Table], ours: list[tuple[str, nn.Module]], again: int = 0) -> None:
        """Copy the layers of one branch, the first ``again`` of ours being there already: they have to be the same."""
        theirs = iter(enumerate(leaves, 1))
        waiting: tuple[int, Table] | None = next(theirs, None)
        for index, (name, module) in enumerate(ours):
            while waiting and _name(waiting[1]) in _RESHAPES:
                waiting = next(theirs, None)
            place = f"{self.path}: module {waiting[0] if waiting else len(leaves) + 1} of {what}"
            kind = _name(waiting[1]) if waiting else "the end"
            wanted = _FUNCTIONS.get(type(module)) or (("Linear",) if isinstance(module, nn.Linear) else _CONVOLUTIONS)
            if waiting is None or kind not in wanted:
                raise WeightsError(f"{place} is {kind}; expected {' or '.join(wanted)}, our layer {name}")
            leaf = waiting[1]
            waiting = next(theirs, None)
            if type(module) in _FUNCTIONS:
                _check_function(leaf, place)
                continue
            norm = waiting[1] if waiting and _name(waiting[1]) in _NORMS else None
            waiting = next(theirs, None) if norm else waiting
            _copy(leaf, norm, module, f"{place}, our layer {name}", self.global_first, check=index < again)
        while waiting and _name(waiting[1]) in _RESHAPES:
            waiting = next(theirs, None)
        if waiting:
            place = f"{self.path}: module {waiting[0]} of {what}"
            raise WeightsError(f"{place} is {_name(waiting[1])}; expected the end")


def _layers(model: nn.Module, *names: str) -> list[tuple[str, nn.Module]]:
    """Our layers in the order in which they run."""
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.Linear, *_FUNCTIONS)
    return [
        (f"{name}.{inner}", module)
        for name in names
        for inner, module in model.get_submodule(name).named_modules()
        if isinstance(module, kinds)
    ]


def _check_function(leaf: Table, place: str) -> None:
    for key, expected in (("threshold", 0.0), ("val", 0.0), ("scale_factor", 2.0)):
        if leaf.get(key) not in (None, expected):
            raise WeightsError(f"{place} has {key} {leaf.get(key)!r}; expected {expected:g}")


def _copy(leaf: Table, norm: Table | None, module: nn.Module, place: str, global_first: bool, check: bool) -> None:
    """A layer's weights, with its normalisation folded in, into ours; or check that ours are these."""
    first = module.mid if isinstance(module, Fusion) else module
    vector = module.global_.in_features // module.kernel**2 if isinstance(module, Fusion) else 0
    assert isinstance(first, nn.Conv2d | nn.Linear)
    shape = (first.weight.shape[0], first.weight.shape[1] + vector, *first.weight.shape[2:])
    flat = (shape[0], math.prod(shape[1:]))  # as SpatialConvolutionMM has it
    if isinstance(first, nn.Conv2d):
        _check_convolution(leaf, first, place)
    weight = _numbers(leaf, "weight", (shape, flat), place).view(shape)
    bias = _numbers(leaf, "bias", (shape[:1],), place)
    if norm is not None:
        weight, bias = _folded(weight, bias, norm, place)
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise WeightsError(f"{place} has weights that are not finite")
    ours = first.get_parameter("bias")
    if check:
        if not (torch.equal(first.weight, weight) and torch.equal(ours, bias)):
            raise WeightsError(f"{place} has other weights in the local branch; they have to be shared")
        return
    with torch.no_grad():
        if isinstance(module, Fusion):
            at = slice(vector) if global_first else slice(-vector, None)
            module.global_.weight.copy_(weight[:, at].flatten(1))
            weight = weight[:, vector:] if global_first else weight[:, :-vector]
        first.weight.copy_(weight)
        ours.copy_(bias)


def _check_convolution(leaf: Table, ours: nn.Conv2d, place: str) -> None:
    kernel, stride = ours.kernel_size[0], ours.stride[0]
    expected = {"kW": kernel, "kH": kernel, "dW": stride, "dH": stride, "padW": kernel // 2, "padH": kernel // 2}
    for key, value in expected.items():
        found = leaf.get(key)
        if found is None and key.startswith("pad"):
            found = leaf.get("padding") or 0.0  # one number for both, in files of early versions
        if found != value:
            raise WeightsError(f"{place} has {key} {found!r}; expected {value}")
    if leaf.get("groups") not in (None, 1.0):
        raise WeightsError(f"{place} has groups {leaf.get('groups')!r}; expected 1")


def _folded(weight: TorchTensor, bias: TorchTensor, norm: Table, place: str) -> tuple[TorchTensor, TorchTensor]:
    """A layer's weights with the batch normalisation that follows it folded in."""
    shape = ((len(weight),),)
    eps = norm.get("eps")
    if not (isinstance(eps, float) and 0 < eps < 1):
        raise WeightsError(f"{place} has a batch normalisation of eps {eps!r}")
    mean = _numbers(norm, "running_mean", shape, place)
    if norm.get("running_var") is None:  # of early versions: 1 / sqrt(variance + eps)
        variance = _numbers(norm, "running_std", shape, place).pow(-2) - eps
    else:
        variance = _numbers(norm, "running_var", shape, place)
    affine = norm.get("weight") is not None
    scale = _numbers(norm, "weight", shape, place) if affine else torch.ones_like(mean)
    shift = _numbers(norm, "bias", shape, place) if affine else torch.zeros_like(mean)
    fuse = fuse_conv_bn_weights if weight.ndim == 4 else fuse_linear_bn_weights
    folded, moved = fuse(weight, bias, mean, variance, eps, scale, shift)
    return folded, moved


def _numbers(module: Table, name: str, shapes: Iterable[tuple[int, ...]], place: str) -> TorchTensor:
    """A tensor of the file in float32."""
    found = module.get(name)
    if not isinstance(found, Tensor):
        raise WeightsError(f"{place} has no {name}")
    if found.shape not in shapes:
        raise WeightsError(f"{place} has {name} of shape {found.shape}; expected {next(iter(shapes))}")
    try:
        numbers: NDArray[Any] = found.array()
    except WeightsError as error:
        raise WeightsError(f"{place}: {name} is {error}") from error
    if numbers.dtype.kind != "f":
        raise WeightsError(f"{place} has {name} of {numbers.dtype}; expected floating point")
    return torch.from_numpy(numbers.astype(np.float32, copy=False))


def _name(module: Value) -> str:
    """The class of a module, whichever library it is of: ``SpatialConvolution`` of nn and of cudnn."""
    return module.kind.rpartition(".")[2] if isinstance(module, Table) else ""


def _flattened(module: Table, path: Path) -> Iterator[Table]:
    """The modules inside a Sequential, in their order."""
    # Not by recursion: a file may nest them as deep as it likes.
    waiting = [module]
    seen = 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if seen > 1000:
            raise WeightsError(f"{path}: more than 1,000 modules in one")
        if _name(one) in _GROUPS:
            modules = one.get("modules")
            inside = modules.sequence() if isinstance(modules, Table) else []
            if not inside or not all(isinstance(each, Table) for each in inside):
                raise WeightsError(f"{path}: a {one.kind} without modules")
            waiting += reversed(inside)  # type: ignore[arg-type]
        elif _name(one) not in _PASSED:
            yield one


def _data(node: Value) -> Table:
    data = node.get("data") if isinstance(node, Table) else None
    return data if isinstance(data, Table) else Table()


def _inputs(data: Table, path: Path) -> list[Table]:
    """What a node of the graph takes, in its order."""
    index = data.get("mapindex")
    inputs = index.sequence() if isinstance(index, Table) else []
    if not all(isinstance(one, Table) for one in inputs):
        raise WeightsError(f"{path}: a node of the graph has inputs that are no nodes")
    return inputs  # type: ignore[return-value]


def _back(data: Table, path: Path) -> tuple[list[Table], Table]:
    """The modules on the way from an input or a table of several to here, and the data of that node."""
    way: list[list[Table]] = []
    for _ in range(1000):
        inputs = _inputs(data, path)
        if "selectindex" in data.items or len(inputs) > 1:
            return [leaf for leaves in reversed(way) for leaf in leaves], data
        module = data.get("module")
        way.append(list(_flattened(module, path)) if isinstance(module, Table) else [])
        if not inputs:
            raise WeightsError(f"{path}: a branch of the graph begins with no input")
        [data] = inputs
    raise WeightsError(f"{path}: a branch of the graph has no end")
