"""How long a method takes for one photograph, and how much memory, in a process that does nothing else."""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import skimage
import torch
from PIL import Image

from colorlib import io
from colorlib.benchmarks.methods import Method
from colorlib.benchmarks.results import processor
from colorlib.models import create_model, list_models, model_info

SECONDS = 20.0  # spent on repetitions, after which no other begins
LEAST, MOST = 3, 9  # repetitions


@dataclass(frozen=True)
class Timing:
    """Of a method on a square photograph.

    Attributes:
        model: name of the registry.
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


def time_method(name: str, side: int, *, network: int | None = None, device: str = "cpu") -> Timing:
    """Measure a method, in a fresh process: once to warm up, then for its seconds and its memory.

    A method without weights is measured with random ones, which take as long.

    Args:
        name: of the registry.
        side: of the photograph, a square one of an astronaut that comes with scikit-image.
        network: short side at which the network sees it; default: the method's own.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ValueError: there is no such method.
        RuntimeError: it did not come to an end there; what it printed says why.
    """
    model_info(name)  # which refuses what there is not
    # not by multiprocessing, whose processes first run the caller's script again
    run = "import sys; from colorlib.benchmarks import timing; timing._main(sys.argv[1])"
    arguments = json.dumps([name, side, network, device, torch.get_num_threads()])
    done = subprocess.run([sys.executable, "-c", run, arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} could not be timed at {side}: its process ended with {done.returncode}.")
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def _main(arguments: str) -> None:
    print(json.dumps(asdict(_time(*json.loads(arguments)))))


@torch.no_grad()
def _time(name: str, side: int, network: int | None, device: str, threads: int) -> Timing:
    torch.set_num_threads(threads)
    settings = (("size", str(network)),) if network else ()
    model = name if name in list_models(ready=True) else create_model(name)
    painter = Method(name, model, settings).painter(device)
    on = painter.colorizer.device
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        rgb = io.read(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)).rgb[None].to(on)
    before = _reset_peak(on)
    seconds: list[float] = []
    started = time.perf_counter()
    while len(seconds) <= MOST and (len(seconds) <= LEAST or time.perf_counter() - started < SECONDS):
        start = time.perf_counter()
        painter(rgb)
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        seconds.append(time.perf_counter() - start)
    return Timing(
        name,
        side,
        painter.colorizer.size,
        processor(on),
        on.type,
        threads,
        round(statistics.median(seconds[1:]), 4),
        len(seconds) - 1,
        round((_peak(on) - before) / 1e6, 1),
    )


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
