"""Where a network's time goes: each of its layers, how long it takes, and how near it comes to the machine's peak."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import torch
from torch import Tensor, nn

from colorlib.benchmarks.timing import LEAST, Peak, network_run
from colorlib.models import ColorModel

BETWEEN = "between layers"  # activations, resizing, sums, copies: what no layer does


@dataclass(frozen=True)
class Layer:
    """Of a network, at one size of its input.

    Attributes:
        name: in the module; or :data:`BETWEEN`.
        what: its kind, and the shape of its output.
        operations: multiply-adds of its convolutions and matrix products.
        seconds: the median.
    """

    name: str
    what: str
    operations: int
    seconds: float

    def share(self, peak: Peak) -> float:
        """Of the matrix product's rate, what the layer reached."""
        return 2 * self.operations / self.seconds / 1e9 / peak.matrix_gflops


@torch.no_grad()
def time_layers(
    name: str, side: int, *, network: int | None = None, device: str = "cpu", repeats: int = 5
) -> list[Layer]:
    """Time each layer of a method's network, in this process, with torch's threads as they are.

    A layer is a module without others in it. On a GPU, waiting for each one makes the sum longer than the network takes
    by itself.

    Args:
        name: of the registry. Without weights it is measured with random ones, which take as long.
        side: of the photograph, in pixels.
        network: short side at which the network sees it; default: the method's own.
        device: such as ``"cpu"`` or ``"cuda"``.
        repeats: of which the medians are taken, after one that warms up.

    Returns:
        The layers, those first that take longest, and among them what happens between layers. None for a method
        without a network.

    Raises:
        ValueError: there is no such method or device.
    """
    model, run = network_run(name, side, network=network, device=device)
    if not model.learned:
        return []
    runs: list[dict[str, float]] = []
    with _timed(model, device) as spent:
        for _ in range(1 + max(repeats, LEAST)):
            spent.clear()
            started = perf_counter()
            run()
            _wait(device)
            total = perf_counter() - started
            runs.append({**spent, BETWEEN: total - sum(spent.values())})
    operations, shapes = _counted(model, run)
    layers = [
        Layer(layer, shapes.get(layer, ""), operations.get(layer, 0), statistics.median(one[layer] for one in runs[1:]))
        for layer in runs[0]
    ]
    return sorted(layers, key=lambda layer: -layer.seconds)


def _leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in model.named_modules() if not any(True for _ in module.children()))


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _watched(model: ColorModel, before: Callable[..., None], after: Callable[..., None]) -> Iterator[None]:
    """Call ``before(name, module, input)`` and ``after(name, module, input, output)`` around each layer."""
    hooks = [module.register_forward_pre_hook(partial(before, name)) for name, module in _leaves(model)]
    hooks += [module.register_forward_hook(partial(after, name)) for name, module in _leaves(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _timed(model: ColorModel, device: str) -> Iterator[dict[str, float]]:
    """Seconds that each layer took; one that is called twice counts twice."""
    spent: dict[str, float] = defaultdict(float)
    began: dict[str, float] = {}

    def before(name: str, *_: object) -> None:
        _wait(device)
        began[name] = perf_counter()

    def after(name: str, *_: object) -> None:
        _wait(device)
        spent[name] += perf_counter() - began[name]

    with _watched(model, before, after):
        yield spent


def _counted(model: ColorModel, run: Callable[[], object]) -> tuple[dict[str, int], dict[str, str]]:
    """Multiply-adds of each layer, and what it is."""
    from torch.utils.flop_counter import FlopCounterMode  # here, since it imports triton

    operations: dict[str, int] = defaultdict(int)
    shapes: dict[str, str] = {}
    counter = FlopCounterMode(display=False)

    def before(name: str, *_: object) -> None:
        operations[name] -= counter.get_total_flops() // 2

    def after(name: str, module: nn.Module, _: object, output: Tensor) -> None:
        operations[name] += counter.get_total_flops() // 2
        shapes[name] = f"{_kind(module)} -> {' x '.join(map(str, output.shape[1:]))}"

    with _watched(model, before, after), counter:
        run()
    return operations, shapes


def _kind(module: nn.Module) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d):
        size, step = module.kernel_size[0], module.stride[0]
        return f"{kind} {size}x{size}" + (f" / {step}" if step > 1 else "") + (" depthwise" * (module.groups > 1))
    return kind
