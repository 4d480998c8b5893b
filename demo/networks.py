"""Networks: each is loaded once, several share their work, and on ZeroGPU they run in a process that has the GPU."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from colorlib import Colorizer, Result, Scene, SideBySide, io
from colorlib.weights import share_encoders

GPU_SECONDS = 20  # at most, for a network on ZeroGPU; the fewer, the shorter the queue
_loading = threading.Lock()
_loaded: dict[str, Colorizer] = {}
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def on_gpu(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """Decorate a function that runs a network: on ZeroGPU, where Spaces share GPUs, it gets a process that has one.

    Arguments and results are pickled there, so tensors are on the CPU. Everything else runs in a process without a GPU,
    though torch says that there is one, so it must not load a method.
    """
    try:
        import spaces  # every Gradio Space has it
    except ModuleNotFoundError:
        return function
    lent: Callable[_Given, _Made] = spaces.GPU(duration=GPU_SECONDS)(function)
    return lent


def colorizer(name: str) -> Colorizer:
    """A method. It is loaded when it is first needed, and once, however many ask at the same time."""
    with _loading:
        if name not in _loaded:
            _loaded[name] = Colorizer(name)
        return _loaded[name]


def ahead(made: Iterator[_Made]) -> Iterator[_Made]:
    """The same, but the next is made, in another thread, while the caller uses the one before."""
    with ThreadPoolExecutor(1) as worker:  # which ends with what it is at when the caller leaves

        def ask() -> Future[_Made | None]:
            context = contextvars.copy_context()  # by which Gradio and ZeroGPU know whose request it is
            return worker.submit(lambda: context.run(lambda: next(made, None)))

        coming = ask()
        while (thing := coming.result()) is not None:
            coming = ask()
            yield thing


def side_by_side(names: list[str]) -> SideBySide:
    """Methods that share what they have in common."""
    colorizers = [colorizer(name) for name in names]
    with _loading:
        share_encoders((one.model, one.weights.encoder) for one in colorizers if one.weights)
    return SideBySide(colorizers)


@on_gpu
def colourings(rgb: Tensor, names: list[str]) -> Iterator[tuple[str, Result | Exception, list[Scene]]]:
    """What each method predicts, without the photograph, or why it failed; and the scene types that it recognises."""
    # Together they share their work. Whoever comes first does not wait until all of them are loaded.
    for batch in [names] if all(name in _loaded for name in names) else [[name] for name in names]:
        yield from _together(io.Photo(rgb), batch)


def _together(photo: io.Photo, names: list[str]) -> Iterator[tuple[str, Result | Exception, list[Scene]]]:
    try:
        steps = list(side_by_side(names).steps(photo)) if names else []
    except Exception as error:  # one that cannot be loaded leaves the others
        yield from ((name, error, []) for name in names)
        return
    for method, colour in steps:
        try:
            made = without_photo(colour())
            scenes = method.scenes(photo) if method.classes else []
        except Exception as error:
            yield method.name, error, []
            continue
        yield method.name, made, scenes


def without_photo(result: Result) -> Result:
    """A result on the CPU, where sessions have room; without the photograph, which the caller has."""
    return replace(result, photo=io.Photo(torch.empty(3, 0, 0)), paint=result.paint.cpu())
