"""How long a method takes for one photograph, how much memory it needs, and how near it comes to the machine's peak.

Operations are multiply-adds, as in ``colorlib models``: a multiplication and the addition that follows it are one. A
peak is in FLOP/s, as is usual: there, they are two.
"""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import skimage
import torch
from PIL import Image
from torch import Tensor

from colorlib import io
from colorlib._text import extra
from colorlib.benchmarks.experiments import AUTHORS, Weights
from colorlib.benchmarks.results import processor
from colorlib.colorizer import Colorizer
from colorlib.facts import fetched_weights, weights_index
from colorlib.models import ColorModel, count_operations, list_models, model_info
from colorlib.tensors import WeightsError
from colorlib.weights import create_model

Runtime = Literal["torch", "onnx", "openvino"]
Dtype = Literal["float32", "bfloat16"]

SECONDS = 20.0  # spent on repetitions, after which no other begins
LEAST, MOST = 3, 9  # repetitions
# The matrices of the peak are so large that a product takes about a tenth of a second or less.
MATRIX_SIDES = {"cpu": 2048, "cuda": 8192}
COPIED = 2**26  # float32 numbers, 268 MB: several times what caches hold
PEAK_SECONDS = 3.0
# What runtimes need; methods are exported to ONNX for both.
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino", "onnx", "onnxscript")}


@dataclass(frozen=True)
class Timing:
    """Of a method on a square photograph.

    Attributes:
        model: name of the registry; with ``AUTHORS`` behind it if it is the network that the authors released.
        side: of the photograph, in pixels.
        network: short side at which the network saw it; None if there is no network that sees less.
        device: name of the processor.
        kind: ``"cpu"`` or ``"cuda"``.
        threads: of torch on a CPU.
        seconds: from the photograph in memory to its picture; the median.
        repeats: over so many.
        megabytes: by which memory grew at its highest beyond what the loaded method has; nan where the system does not
            say.
    """

    model: str
    side: int
    network: int | None
    device: str
    kind: str
    threads: int
    seconds: float
    repeats: int
    megabytes: float


@dataclass(frozen=True)
class Speed(Timing):
    """A timing with its spread, and what the network alone does.

    Attributes:
        resized: whether the network saw the photograph at a size of its own; else as large as it is.
        fastest: seconds of the fastest repetition.
        slowest: seconds of the slowest.
        network_seconds: of the network alone, from its input to its output, the median; nan if there is no network, or
            if it cannot be told apart from the rest, as in an exported method.
        paint_seconds: from what the network said to the picture, the median; nan for an exported method.
        file_seconds: from the photograph as JPEG in memory to its result as JPEG in memory, the median; nan for an
            exported method.
        operations: of the network for this photograph: the multiply-adds of its convolutions and matrix products; 0 if
            there is no network.
        runtime: ``"torch"``; or ``"onnx"`` and ``"openvino"``, which run the exported method.
        dtype: in which the network computes.
    """

    resized: bool
    fastest: float
    slowest: float
    network_seconds: float
    paint_seconds: float
    file_seconds: float
    operations: int
    runtime: Runtime
    dtype: Dtype


@dataclass(frozen=True)
class Peak:
    """What a device was seen to reach.

    Attributes:
        matrix_gflops: 1e9 floating-point operations a second, in the product of two square matrices.
        copy_gbs: 1e9 bytes a second, in a copy within its memory; a byte that is read and written counts twice.
    """

    matrix_gflops: float
    copy_gbs: float

    def share(self, speed: Speed) -> float:
        """Of the matrix product's rate, what a network reached: about 1 is all that can be had; nan if unknown."""
        if not speed.operations:
            return float("nan")
        return 2 * speed.operations / speed.network_seconds / 1e9 / self.matrix_gflops


def time_method(
    name: str, side: int, *, network: int | None = None, device: str = "cpu", weights: Weights = "any"
) -> Timing:
    """Measure a method, in a fresh process: once to warm up, then for its seconds and its memory.

    A method without weights is measured with random ones, which take as long.

    Args:
        name: of the registry.
        side: of the photograph, a square one of an astronaut that comes with scikit-image.
        network: short side at which the network sees it; default: the method's own.
        device: ``"cpu"`` or ``"cuda"``.
        weights: whose, see :data:`colorlib.benchmarks.experiments.Weights`.

    Raises:
        ValueError: there is no such method.
        WeightsError: the authors' weights have not been fetched.
        RuntimeError: it did not come to an end there; the message says why.
    """
    speed = measure_apart(name, side, network=network, device=device, weights=weights)
    timing = {field.name: getattr(speed, field.name) for field in fields(Timing)}
    return Timing(**timing | {"seconds": round(speed.seconds, 4), "megabytes": round(speed.megabytes, 1)})


def measure_apart(name: str, side: int, *, weights: Weights = "any", **options: Any) -> Speed:
    """What :func:`measure` says in a fresh process, whose memory is the method's alone.

    Args:
        name: as for :func:`measure`.
        side: as for :func:`measure`.
        weights: as for :func:`measure`.
        **options: of :func:`measure`.

    Raises:
        ValueError: there is no such method.
        WeightsError: the authors' weights have not been fetched.
        RuntimeError: it did not come to an end there; the message says why.
    """
    _check(name, weights)
    options["weights"] = weights
    # not by multiprocessing, whose processes first run the caller's script again
    run = "import sys; from colorlib.benchmarks import timing; timing._main(sys.argv[1])"
    arguments = json.dumps([name, side, torch.get_num_threads(), options], default=str)
    # A session of its own, so that Ctrl-C reaches this process alone, which ends the other.
    done = subprocess.run(
        [sys.executable, "-c", run, arguments], capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise RuntimeError(f"{name} could not be timed at {side}: its process ended with {done.returncode}: {said}")
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


@torch.no_grad()
def measure(
    name: str,
    side: int,
    *,
    network: int | None = None,
    device: str = "cpu",
    runtime: Runtime = "torch",
    dtype: Dtype = "float32",
    file: str | Path | None = None,
    weights: Weights = "any",
    repeats: int = MOST,
    budget: float = SECONDS,
) -> tuple[Speed, list[float]]:
    """Measure a method in this process, with torch's threads as they are: once to warm up, then for its seconds.

    Args:
        name: of the registry. Without weights it is measured with random ones, which take as long.
        side: of the photograph, as for :func:`time_method`.
        network: short side at which the network sees it; default: the method's own.
        device: such as ``"cpu"`` or ``"cuda"``.
        runtime: see :class:`Speed`; the others than torch run on the CPU.
        dtype: in which the network computes; all else is in float32.
        file: the exported method of another runtime, see :func:`export_onnx`.
        weights: whose, see :data:`colorlib.benchmarks.experiments.Weights`.
        repeats: the most repetitions.
        budget: seconds after which no other repetition begins; three there are in any case.

    Returns:
        The row, and the seconds of each repetition. Memory is reliable in a fresh process only.

    Raises:
        ValueError: there is no such method or device, or a runtime without its file.
        WeightsError: the authors' weights have not been fetched.
    """
    colorizer = _colorizer(name, network, device, weights)
    model, on = colorizer.model, colorizer.device
    if dtype == "bfloat16":
        compute_in_bfloat16(model, on.type)
    rgb = _photograph(side).to(on)
    # What users get, painted by the fast road; benchmarks' scores are of the reference.
    run = colorizer.batch if runtime == "torch" else load_exported(runtime, file)
    before = _reset_peak(on)
    seconds = _seconds(partial(run, rgb), on, repeats, budget)
    megabytes = (_peak(on) - before) / 1e6
    operations, network_seconds, paint_seconds, file_seconds = 0, [math.nan], [math.nan], [math.nan]
    if runtime == "torch":
        paint_seconds = _seconds(partial(colorizer.paint(rgb).batch, rgb), on, repeats, budget)
        file_seconds = _seconds(partial(_file_to_file, colorizer, _jpeg(rgb)), on, repeats, budget)
    if model.learned:
        given = _given(colorizer, rgb)
        operations = count_operations(given)
        if runtime == "torch":
            network_seconds = _seconds(given, on, repeats, budget)
    speed = Speed(
        model=f"{name}{AUTHORS}" if colorizer.weights and colorizer.weights.source else name,
        side=side,
        network=colorizer.size,
        device=processor(on),
        kind=on.type,
        threads=torch.get_num_threads(),
        seconds=statistics.median(seconds),
        repeats=len(seconds),
        megabytes=megabytes,
        resized=network != side,
        fastest=min(seconds),
        slowest=max(seconds),
        network_seconds=statistics.median(network_seconds),
        paint_seconds=statistics.median(paint_seconds),
        file_seconds=statistics.median(file_seconds),
        operations=operations,
        runtime=runtime,
        dtype=dtype,
    )
    return speed, seconds


def network_run(
    name: str, side: int, *, network: int | None = None, device: str = "cpu"
) -> tuple[ColorModel, Callable[[], Tensor]]:
    """A method's network, and what runs it once on the photograph that :func:`measure` takes.

    Raises:
        ValueError: there is no such method or device.
    """
    colorizer = _colorizer(name, network, device)
    return colorizer.model, _given(colorizer, _photograph(side).to(colorizer.device))


def measure_peak(device: str = "cpu", dtype: Dtype = "float32") -> Peak:
    """The fastest of several matrix products, and of several copies, with torch's threads as they are.

    Args:
        device: such as ``"cpu"`` or ``"cuda"``.
        dtype: of the matrices.
    """
    on = torch.device(device)
    side = MATRIX_SIDES.get(on.type, MATRIX_SIDES["cpu"])
    first, second = torch.rand(2, side, side, dtype=torch.float32, device=on).to(getattr(torch, dtype))
    product = torch.empty_like(first)
    multiplied = min(_seconds(lambda: torch.mm(first, second, out=product), on, MOST, PEAK_SECONDS))
    source = torch.rand(COPIED, dtype=torch.float32, device=on)
    target = torch.empty_like(source)
    copied = min(_seconds(lambda: target.copy_(source), on, MOST, PEAK_SECONDS))
    return Peak(2 * side**3 / multiplied / 1e9, 2 * source.nbytes / copied / 1e9)


def has_bfloat16(device: str) -> bool:
    """Whether a device has units for bfloat16; without, it is computed by way of float32, and takes longer."""
    on = torch.device(device)
    if on.type == "cuda":
        with torch.cuda.device(on):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(found.get(unit, False) for unit in ("avx512_bf16", "amx_bf16", "bf16"))  # the last on ARM


def compute_in_bfloat16(model: ColorModel, kind: str) -> None:
    """Let a network compute in bfloat16, where torch's autocast says that it may; what comes out is float32."""
    forward = model.forward

    def run(lightness: Tensor, reference: Tensor | None = None) -> Tensor:
        with torch.autocast(kind, torch.bfloat16):
            return forward(lightness, reference).float()

    model.forward = run  # type: ignore[method-assign]  # a wrapper would hide the model's target and sizes


def require(runtime: Runtime) -> None:
    """Check that the packages of a runtime are here.

    Raises:
        ModuleNotFoundError: one is not; the message says how to get it.
    """
    for package in _PACKAGES.get(runtime, ()):
        try:
            import_module(package)
        except ImportError as error:
            install = "pip install openvino" if package == "openvino" else extra("export")
            raise ModuleNotFoundError(
                f"the runtime {runtime} needs the package {package}, which is not installed: {install}"
            ) from error


@torch.no_grad()
def export_onnx(name: str, file: Path, *, network: int | None = None, resize: bool = True) -> None:
    """Write a method, as it is measured, as an ONNX file for :func:`measure`. It takes up to a minute.

    Args:
        name: of the registry.
        file: where.
        network: short side at which the network sees photographs; default: the method's own.
        resize: whether it sees them at that size, or as large as they are.

    Raises:
        ModuleNotFoundError: ONNX's packages are not installed.
        ExportError: a method that needs another photograph.
    """
    from colorlib import export

    require("onnx")
    colorizer = _colorizer(name, network, "cpu")
    program = export.trace(colorizer, resize=resize)
    io.write_whole(file, export.to_onnx(program, export.describe(colorizer, resize=resize)))


def load_exported(runtime: Runtime, file: str | Path | None) -> Callable[[Tensor], Tensor]:
    """What an exported method does on the CPU, with as many threads as torch has: sRGB -> sRGB (N, 3, H, W).

    Raises:
        ValueError: no file.
        ModuleNotFoundError: the runtime's package is not installed.
    """
    if file is None:
        raise ValueError(f"the runtime {runtime} needs the exported method; write it with export_onnx")
    require(runtime)
    threads = torch.get_num_threads()
    if runtime == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return lambda rgb: torch.from_numpy(session.run(["result"], {"photograph": rgb.numpy()})[0])
    openvino = import_module("openvino")
    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_NUM_THREADS": threads})
    return lambda rgb: torch.from_numpy(compiled([rgb.numpy()])[0])


def _check(name: str, weights: Weights) -> None:
    """Raise if the name is unknown, or if the authors' weights are asked for and are not here."""
    model_info(name)
    if weights == "authors" and not fetched_weights(name):
        raise WeightsError(f"the weights that the authors of {name} published are not here: colorlib fetch {name}")


def _colorizer(name: str, network: int | None, device: str, weights: Weights = "any") -> Colorizer:
    _check(name, weights)
    pretrained = name in list_models(ready=True) and (
        weights != "own" or name in weights_index() or not fetched_weights(name)
    )
    model = name if pretrained else create_model(name)
    return Colorizer(model, device=device, size=network, vivid=False)


def _given(colorizer: Colorizer, rgb: Tensor) -> Callable[[], Tensor]:
    """What runs the network alone, once its input has been made of a photograph (1, 3, H, W)."""
    return partial(colorizer.model, colorizer.model.to_input(colorizer.seen(rgb)))


def _photograph(side: int) -> Tensor:
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        return io.read(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)).rgb[None]


def _jpeg(rgb: Tensor) -> bytes:
    """A photograph (1, 3, H, W) as a file in memory."""
    file = BytesIO()
    io.write(file, rgb[0].cpu(), format="JPEG")
    return file.getvalue()


def _file_to_file(colorizer: Colorizer, content: bytes) -> None:
    colorizer.result(io.read(content), smaller=False).save(BytesIO(), format="JPEG")


def _seconds(run: Callable[[], object], device: torch.device, repeats: int, budget: float) -> list[float]:
    """Of each repetition; the first run warms up and does not count."""
    seconds: list[float] = []
    started = perf_counter()
    while len(seconds) <= repeats and (len(seconds) <= LEAST or perf_counter() - started < budget):
        start = perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(perf_counter() - start)
    return seconds[1:]


def _main(arguments: str) -> None:
    name, side, threads, options = json.loads(arguments)
    torch.set_num_threads(threads)
    speed, _ = measure(name, side, **options)
    print(json.dumps(asdict(speed)))


def _reset_peak(device: torch.device) -> float:
    """Bytes that are in use, from which the peak counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak(device)


def _peak(device: torch.device) -> float:
    """The most bytes that were in use since."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform != "linux":
        return float("nan")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return 1024 * float(line.split()[1])
