"""A method as one file, photograph in and photograph out, that needs neither this library nor any colour code.

The file holds all that :meth:`colorlib.Colorizer.batch` does: the photograph made as small as the network is to see
it, its gray, padding, the network, decoding, saturation, and the photograph's own lightness. Batch, height and width
are free. Before it is written, it is run on photographs beside the method it was made from.

Of photographs with values outside [0, 1], or NaN, every value that comes out is NaN: ONNX has no errors of its own, and
a white picture would pass for a result. torch.export raises one.

torch.export follows sizes as formulas. Through fifty convolutions, those of a size that was rounded up to a multiple of
32 would take it minutes, and what it asks on the way would then be demanded of every photograph. So in
:class:`Photographs` a size that is not the photograph's own is a number of its own, read from a tensor.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from colorlib import __version__, color
from colorlib._checks import OVERSHOOT
from colorlib._text import extra
from colorlib.colorizer import Colorizer
from colorlib.image import size_of
from colorlib.io import write_whole
from colorlib.models import WhiteBalance
from colorlib.models.larsson16 import FRAME
from colorlib.painting import GAIN_SIZE, Chroma, Gains

Format = Literal["onnx", "torch-export"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
INPUT, OUTPUT = "photograph", "result"
NOTES = "colorlib.json"  # inside a .pt2; ONNX has a place for metadata
TOLERANCE = 1e-3  # of sRGB in [0, 1]: a quarter of a step of 8 bits
UNDECIDED = 1e-3  # of pixels, where rounding may choose another bin; a cell of the network is several pixels


class ExportError(ValueError):
    """A method that no file of one input and one output can hold."""


class DifferenceError(RuntimeError):
    """What was exported does not do what the method does; nothing has been written."""


class Photographs(nn.Module):
    """What :meth:`colorlib.Colorizer.batch` does, as :func:`torch.export.export` can follow it.

    Args:
        colorizer: the method with its settings: size, decoder, saturation, ...; its module is copied.
        resize: whether the network sees photographs at the colorizer's size; else as large as they are, which is what
            :meth:`colorlib.models.ColorModel.colorize` does.
    """

    def __init__(self, colorizer: Colorizer, resize: bool = True):
        super().__init__()
        # channels_last, which colorizers choose, would put strides into the graph.
        self.model = deepcopy(colorizer.model).to(memory_format=torch.contiguous_format)
        self.target = colorizer.target
        self.resize = resize
        self.size = colorizer.size if resize else None
        self.canvas: int = getattr(self.model, "canvas", 0)
        self.balances = self.model.task == "balance"
        if self.balances:
            self.model.forward = self._predict  # type: ignore[assignment]  # whose sizes torch.export can follow
        # The least that padding gives: a network that takes off borders has to be sure that something is left.
        pixel = torch.zeros(1, 3, 1, 1, dtype=torch.float32, device="cpu")
        self.least = self.model.pad(pixel).shape[-1] // self.model.stride

    def forward(self, photograph: Tensor) -> Tensor:
        """sRGB (N, 3, H, W) in [0, 1] -> sRGB (N, 3, H, W).

        Raises:
            RuntimeError: values outside [0, 1], or NaN.
        """
        valid = ((photograph >= -OVERSHOOT) & (photograph <= 1 + OVERSHOOT)).flatten(1).all(dim=1)
        torch._assert_async(valid.all(), "expected sRGB in [0, 1], got values outside; divide bytes by 255")
        # ONNX leaves the assertion out.
        spoilt = torch.zeros_like(valid, dtype=photograph.dtype).masked_fill(~valid, torch.nan)
        return self._result(photograph) + spoilt[:, None, None, None]

    def _result(self, photograph: Tensor) -> Tensor:
        if self.balances and not self.resize:
            return self.model.colorize(photograph)
        seen = self._resized(photograph)
        paint = Gains(self._gains(seen), seen) if self.balances else Chroma(self._chroma(seen))
        return paint.put(photograph, F.interpolate(paint.small, size_of(photograph), mode="bilinear"))

    def _chroma(self, seen: Tensor) -> Tensor:
        """(a, b) at the network's resolution."""
        prediction, lightness = self._predict(seen), color.rgb_to_lightness(seen)
        if self.model.output_stride > 1:
            lightness = _averaged(lightness, size_of(prediction))
        return self.target.chroma(prediction, lightness)

    def _gains(self, seen: Tensor) -> Tensor:
        """The correction of a white balance, as small as :class:`colorlib.Colorizer` keeps it."""
        gains = cast(WhiteBalance, self.model).correction(seen)
        if not self.model.learned:
            return gains  # one value for the whole picture
        height, width = (torch.scalar_tensor(n, dtype=torch.float64, device="cpu") for n in size_of(gains))
        scale = (GAIN_SIZE / torch.minimum(height, width)).clamp(max=1)
        return _averaged(gains, [_number((n * scale).round()) for n in (height, width)])

    def _resized(self, rgb: Tensor) -> Tensor:
        """As :class:`colorlib.Colorizer` does it before the network."""
        if self.size is None:
            return rgb
        if self.canvas:
            return self._shrunk(rgb, self.size)
        cell, stride = self.model.output_stride, self.model.stride
        height, width = (torch.scalar_tensor(n, dtype=torch.float64, device="cpu") for n in size_of(rgb))
        short, mean = torch.minimum(height, width), (height * width).sqrt()
        scale = torch.minimum(self.size / short, 2 * self.size / mean).clamp(max=1)
        sizes = []
        for n in (height, width):
            small = (n * scale / stride).round().clamp(min=1) * stride
            whole = small if self.model.rounded else (n / cell).ceil() * cell
            sizes.append(_number(torch.where(scale < 1, small, whole)))
        return F.interpolate(rgb, sizes, mode="bilinear", antialias=True).clamp(0, 1)

    def _shrunk(self, rgb: Tensor, size: int) -> Tensor:
        """For a canvas: see :meth:`colorlib.models.larsson16.Larsson16.seen_size`."""
        height, width = (torch.scalar_tensor(n, dtype=torch.float64, device="cpu") for n in size_of(rgb))
        longest, long = 2 * size - FRAME, torch.maximum(height, width)
        scale = (size / torch.minimum(height, width)).clamp(max=1)
        scale = torch.where(long * scale >= longest, longest / long, scale)
        sizes = [_number((n * scale).round().clamp(min=1)) for n in (height, width)]
        for n in sizes:
            torch._check(n < self.canvas)
        return F.interpolate(rgb, sizes, mode="bilinear", antialias=True).clamp(0, 1)

    def _predict(self, rgb: Tensor) -> Tensor:
        """sRGB (N, 3, H, W) -> (N, target.channels, H / output_stride, W / output_stride), rounded up."""
        model = self.model
        if self.canvas:
            prediction = model.predict(model.to_input(model.pad(rgb)))
            for dim, n in zip((-2, -1), size_of(rgb), strict=True):
                prediction = prediction.index_select(dim, _count(n) + (self.canvas - n) // 2)
            return prediction
        padded = model.pad(rgb)  # before to_input, which looks at one pixel at a time
        if model.stride > 1:
            padded = _top_left(padded, [model.stride * _number(n // model.stride, self.least) for n in size_of(padded)])
        given = model.to_input(padded)
        # The photograph as its own reference: the same, but without asking whether it has the global branch's size.
        prediction = model.predict_after(given, padded) if model.takes_reference else model.predict(given)
        if model.stride == 1:
            return prediction
        cell, sizes = model.output_stride, size_of(rgb)
        # Rounded up without -(-n // cell): ONNX divides towards zero.
        return _top_left(prediction, sizes if cell == 1 else [_number((n + cell - 1) // cell) for n in sizes])


def _number(n: int | Tensor, least: int = 1) -> int:
    """The same number; to torch.export one that it knows nothing of, but that it is at least so much."""
    value = n if isinstance(n, Tensor) else torch.scalar_tensor(n, dtype=torch.long, device="cpu")
    number = cast(int, value.long().item())  # int() would ask which
    torch._check(number >= least)
    return number


def _count(n: int) -> Tensor:
    """0 to n - 1. Unlike ``arange``'s, its size is n to torch.export, not the maximum of n and 0."""
    return torch.ones(n, dtype=torch.long, device="cpu").cumsum(0) - 1


def _top_left(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """x[..., :h, :w], whose sizes torch.export then takes to be h and w."""
    height, width = sizes
    return x.index_select(-2, _count(height)).index_select(-1, _count(width))


def _averaged(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """:func:`colorlib.image.resize_area` by products with matrices: ONNX pools to sizes known beforehand only."""
    rows, columns = (_windows(n, parts) for n, parts in zip(size_of(x), sizes, strict=True))
    averaged: Tensor = rows @ x @ columns.mT
    return averaged


def _windows(size: int, parts: int) -> Tensor:
    """The matrix that averages ``size`` pixels into ``parts``, which overlap where they do not divide them."""
    part, pixel = _count(parts)[:, None], _count(size)
    inside = (pixel >= part * size // parts) & (pixel < ((part + 1) * size + parts - 1) // parts)
    weights = inside.float()
    return weights / weights.sum(dim=1, keepdim=True)


def require(format: Format) -> None:
    """Check that the packages a format needs are here.

    Raises:
        ModuleNotFoundError: one is not; the message says how to get it.
    """
    for package in ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ():
        try:
            import_module(package)
        except ImportError as error:
            raise ModuleNotFoundError(
                f"ONNX needs the package {package}, which is not here: {extra('export')}, "
                "or take the format torch-export"
            ) from error


def trace(colorizer: Colorizer, *, resize: bool = True) -> ExportedProgram:
    """A colorizer's method, with its settings, as a graph: sRGB (N, 3, H, W) in [0, 1] -> sRGB (N, 3, H, W).

    Args:
        colorizer: the method, on the CPU.
        resize: whether the network sees photographs at the colorizer's size, or as large as they are.

    Raises:
        ExportError: a method that needs another photograph, one that rounds sides or has a canvas and is not to resize,
            a decoder that draws, or a colorizer on another device.
    """
    model, decoder = colorizer.model, getattr(colorizer.target, "decoder", "")
    if colorizer.device.type != "cpu":
        raise ExportError(f"expected a colorizer on the CPU, got one on {colorizer.device}; make it with device='cpu'")
    if model.takes_reference and not model.learned:
        raise ExportError(
            f"{colorizer.name} takes its colours from another photograph, and an exported file has one input; "
            "export a learned method, such as larsson16_small, or use colorlib colorize --reference"
        )
    canvas = getattr(model, "canvas", 0)
    if canvas and not (resize and colorizer.size and 2 * colorizer.size <= canvas):
        raise ExportError(
            f"{colorizer.name} puts photographs on a canvas of {canvas} pixels, with {canvas // 2} on the short "
            "side: export it at that size or a smaller one"
        )
    if model.rounded and not resize:
        raise ExportError(
            f"{colorizer.name} rounds a photograph's sides by resizing, which a file that does not resize cannot do: "
            "export it at a size, without --size 0"
        )
    if decoder == "sample":
        others = ", ".join(name for name in getattr(colorizer.target, "decoders", ()) if name != "sample")
        raise ExportError(f"the decoder sample draws, and a file is to do the same every time; choose one of {others}")
    module = Photographs(colorizer, resize).eval().requires_grad_(False)
    example = torch.zeros(2, 3, 36, 44, dtype=torch.float32, device="cpu")
    shapes = {0: Dim("batch", min=1), 2: Dim("height", min=1), 3: Dim("width", min=1)}
    with torch.no_grad():
        module(example)  # numbers that are computed once, such as inverse matrices, cannot be while it is traced
        program = torch.export.export(
            module, (example,), dynamic_shapes=(shapes,), prefer_deferred_runtime_asserts_over_guards=True
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def to_onnx(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The content of an ONNX file, whose input and output are called ``photograph`` and ``result``."""
    from onnxscript import optimizer

    made = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),  # names; they are free already
        optimize=False,
        verbose=False,
    )
    assert made is not None
    # Not all of onnxscript's rules: its fusion of clips loses constants where one map is clipped twice.
    optimizer.fold_constants(made.model)
    optimizer.remove_unused_nodes(made.model)
    made.model.metadata_props.update(metadata)
    for node in made.model.graph:
        node.metadata_props.clear()  # where it came from, in Python
    data: bytes = made.model_proto.SerializeToString()
    return data


def to_torch(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The content of a .pt2 file for :func:`torch.export.load`; metadata is the extra file ``colorlib.json``."""
    buffer = BytesIO()
    torch.export.save(program, buffer, extra_files={NOTES: json.dumps(dict(metadata), indent=1)})
    return buffer.getvalue()


def load(data: bytes, format: Format) -> Callable[[Tensor], Tensor]:
    """What a file does, on the CPU: a function from sRGB (N, 3, H, W) in [0, 1] to sRGB (N, 3, H, W)."""
    if format == "torch-export":
        return cast(Callable[[Tensor], Tensor], torch.export.load(BytesIO(data)).module())
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return lambda rgb: torch.from_numpy(session.run([OUTPUT], {INPUT: rgb.numpy()})[0])


@torch.no_grad()
def difference(run: Callable[[Tensor], Tensor], colorizer: Colorizer, *, resize: bool = True) -> float:
    """The largest on photographs of two sizes, between a file and what :func:`trace` says of it.

    Of a decoder that chooses bins, without the ``UNDECIDED`` pixels that differ most. Infinite where the file gives
    anything but colours in [0, 1].
    """
    method = colorizer.batch if resize else partial(_at_own_size, colorizer)
    left_out = UNDECIDED if chooses(colorizer) else 0
    worst = 0.0
    for rgb in _photographs():
        made = run(rgb)
        if not ((made >= -TOLERANCE) & (made <= 1 + TOLERANCE)).all():  # nan is neither
            return math.inf
        pixels = (made - method(rgb)).abs().amax(dim=1).flatten()
        worst = max(worst, float(pixels.quantile(1 - left_out, interpolation="lower")))
    return worst


def chooses(colorizer: Colorizer) -> bool:
    """Whether a method decides on a bin of its distribution, so that rounding may decide on another."""
    return bool(getattr(colorizer.target, "chooses", False))


def _at_own_size(colorizer: Colorizer, rgb: Tensor) -> Tensor:
    """:meth:`colorlib.models.ColorModel.colorize`, with the colorizer's settings."""
    model = colorizer.model
    return colorizer.target.decode(model(model.to_input(rgb)), color.rgb_to_lightness(rgb))


def _photographs() -> Iterator[Tensor]:
    """One photograph, then two smaller ones, of sizes that no stride divides: sRGB (N, 3, H, W) in [0, 1]."""
    from skimage import data

    one = [data.astronaut()[:331, 70:441]]
    two = [photo[60:157, 120:251] for photo in (data.chelsea(), data.coffee())]
    for crops in (one, two):
        yield torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) / 255 for crop in crops])


def describe(colorizer: Colorizer, *, resize: bool = True) -> dict[str, str]:
    """What a file says of itself."""
    size, target, weights = colorizer.size, colorizer.target, colorizer.weights
    if resize and size:
        seen = f"the network sees them at {size} pixels on the short side"
    else:
        seen = "the network sees them as large as they are" + (f", and is at its best at about {size}" if size else "")
    lightness = "white-balanced" if colorizer.task == "balance" else "in colour, with the lightness L* of the input"
    return {
        "model": colorizer.name,
        "colorlib": __version__,
        "weights_sha256": weights.sha256 if weights else "",
        "license": weights.license if weights else "",
        "terms": weights.terms if weights else "",
        "source": weights.source if weights else "",
        "decoder": getattr(target, "decoder", ""),
        "saturation": f"{target.saturation:g}",
        "input": f"{INPUT}: sRGB in [0, 1], float32 (batch, 3, height, width) of any batch, height and width; {seen}",
        "output": f"{OUTPUT}: the same, {lightness}; NaN of photographs with values outside [0, 1]",
    }


def export(colorizer: Colorizer, path: Path, format: Format, *, resize: bool = True) -> float:
    """Write a colorizer's method into a file, if that does what the method does.

    Args:
        colorizer: the method with its settings, on the CPU.
        path: the file, which is written whole or not at all.
        format: see :data:`SUFFIXES`.
        resize: whether the network sees photographs at the colorizer's size, or as large as they are.

    Returns:
        The largest difference to the method on photographs, of sRGB in [0, 1]; see :func:`difference`.

    Raises:
        ModuleNotFoundError: ONNX's packages are not installed.
        ExportError: as of :func:`trace`.
        DifferenceError: the difference is above ``TOLERANCE``.
    """
    require(format)
    program, metadata = trace(colorizer, resize=resize), describe(colorizer, resize=resize)
    data = to_onnx(program, metadata) if format == "onnx" else to_torch(program, metadata)
    worst = difference(load(data, format), colorizer, resize=resize)
    if not worst <= TOLERANCE:  # NaN too
        raise DifferenceError(
            f"{colorizer.name} as {format} differs from the method by {worst:.3g}, more than {TOLERANCE:g}; "
            "nothing has been written; try the other format, or other versions of the packages"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return worst
