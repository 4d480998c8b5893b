"""``colorlib speed``: seconds, memory and the share of the machine's peak of every method, next to other runtimes."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

import typer

import colorlib
from colorlib.cli._options import open_colorizer, takes_options
from colorlib.cli._shell import UsageError, check_signals, interruptible, say, usage_errors

if TYPE_CHECKING:
    from colorlib.benchmarks.experiments import Weights
    from colorlib.benchmarks.timing import Dtype, Runtime

# Columns of the table that say what happens at the largest side: of which value, its unit, and how it is written.
AT_LARGEST = {
    "network (ms)": ("network_seconds", 1000, "{:.1f}"),
    "painting (ms)": ("paint_seconds", 1000, "{:.1f}"),
    "JPEG to JPEG (ms)": ("file_seconds", 1000, "{:.1f}"),
    "operations": ("operations", 1e-9, "{:.1f} G"),
    "share of the peak": ("share", 100, "{:.0f} %"),
    "memory (MB)": ("megabytes", 1, "{:.0f}"),
}
SIDES, QUICK_SIDES = (256, 512, 1024), (256,)  # of the photographs, in pixels
REPEATS, QUICK_REPEATS = 9, 3
BUDGET = 5.0  # seconds for the repetitions of a method at one size
SHOWN = 0.01  # of the network's time: layers that take less are printed together
OWN_SIZE = "iizuka16_time"  # the experiment whose networks see photographs as large as they are: Iizuka's table 3


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """The options of ``speed``."""

    model: Annotated[
        list[str], typer.Option("--model", "-m", help="A method. May be repeated. Default: all that are ready.")
    ] = field(default_factory=list)
    side: Annotated[
        list[int],
        typer.Option(
            "--side", min=1, help="Side of the square photo, in pixels. May be repeated. Default: 256, 512, 1024."
        ),
    ] = field(default_factory=list)
    size: Annotated[
        int | None,
        typer.Option(
            min=0, help="Short side at which the network sees a photo. Default: as trained. 0: the photo's own size."
        ),
    ] = None
    device: Annotated[
        list[str],
        typer.Option("--device", help="cpu, cuda, cuda:1, ... May be repeated. Default: cpu, and cuda if available."),
    ] = field(default_factory=list)
    runtime: Annotated[
        list[str],
        typer.Option(
            "--runtime",
            help="torch, onnx or openvino. The last two run the exported method on the CPU; an export takes up to a "
            "minute. May be repeated. Default: torch.",
        ),
    ] = field(default_factory=list)
    dtype: Annotated[
        list[str],
        typer.Option(
            "--dtype",
            help="float32 or bfloat16, of networks in torch. May be repeated. Default: float32.",
        ),
    ] = field(default_factory=list)
    threads: Annotated[int | None, typer.Option(min=1, help="Threads on the CPU. Default: torch's choice.")] = None
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Measure 3 repetitions at 256 pixels only, and no memory. It takes less than 3 minutes unless the "
            "machine is busy.",
        ),
    ] = False
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Then also time each layer of the networks of --model, at the largest --side."),
    ] = False
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="Also write a row per measurement to this .parquet file."),
    ] = None


class Case(NamedTuple):
    """What is measured at once; cases that differ in method and side only share a table."""

    device: str
    runtime: "Runtime"
    dtype: "Dtype"
    resized: bool
    model: str
    side: int
    network: int | None
    weights: "Weights" = "any"

    @property
    def where(self) -> str:
        """For messages."""
        told = [word for word in (self.runtime, self.dtype) if word not in ("torch", "float32")]
        return " ".join((f"{self.model} at {self.side} on {self.device}", *told))


@takes_options
def speed(options: SpeedOptions) -> None:
    """Measure the speed of methods.

    Measured is the time from the photograph in memory to its result. A first run warms up and does not count. The
    table shows the median of the others, the fastest and the slowest. Then, at the largest side, it shows the network
    alone: its time, its operations, and its share of the machine's peak, which is a matrix product timed in the same
    run. Painting is what follows the network. JPEG to JPEG also reads and writes a file in memory. An operation is a
    multiply-add, as in `colorlib models`; the peak in FLOP/s counts it as two. Memory is what a fresh process needs
    beyond the loaded method.

    Without --model, --side, --size and --quick, Iizuka's full and compact networks are also measured at the
    photograph's own size, 224 to 2048 pixels, as in table 3 of the paper.

    Methods without weights are measured with random ones, which take as long. Other programs on this machine make the
    times longer. The rows in --out are written as they are measured, so that an interrupted run leaves a file of what
    it has measured. The dashboard shows the file speed.parquet of its results folder.

    Exit code: 0 success, 1 a measurement failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    import torch

    measured: list[tuple[Case, dict[str, Any]]] = []
    with interruptible("Interrupted."), usage_errors():
        cases = _cases(options)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
        if options.threads:
            torch.set_num_threads(options.threads)
        with _reported(measured, options.out), _Meter(options) as meter:
            for case, row in _rows(cases, meter):
                measured.append((case, row))
                if options.out:
                    _write(options.out, [row for _, row in measured])
        largest = max(case.side for case in cases)
        for case in cases if options.layers else ():
            if (case.runtime, case.dtype, case.side) == ("torch", "float32", largest):
                check_signals()
                _print_layers(case, meter)
    if meter.failed:
        raise typer.Exit(1)


def _cases(options: SpeedOptions) -> list[Case]:
    """What to measure, in the order of the tables.

    Raises:
        UsageError: an option asks for what cannot be measured.
    """
    import torch

    from colorlib.benchmarks import experiment
    from colorlib.models import list_models, model_info

    if options.layers and not options.model:
        raise UsageError("--layers needs the methods whose layers to time: add --model NAME")
    if options.out and options.out.suffix != ".parquet":
        raise UsageError(f"--out {options.out}: expected a name that ends in .parquet")
    try:
        methods = [model_info(name).name for name in dict.fromkeys(options.model)] or list_models(ready=True)
    except ValueError as error:
        raise UsageError(str(error)) from error
    devices = list(dict.fromkeys(options.device)) or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        open_colorizer("grayscale", device)  # which refuses a device that cannot be used
    sides = sorted(set(options.side)) or (QUICK_SIDES if options.quick else SIDES)
    sized = [(name, side, side if options.size == 0 else options.size) for name, side in product(methods, sides)]
    kinds = _kinds(options, devices)
    if options.layers and not any(kind[1:] == ("torch", "float32") for kind in kinds):
        raise UsageError(
            "--layers times the layers of networks in torch in float32: add --runtime torch --dtype float32"
        )
    cases = [Case(*kind, options.size != 0, *case) for kind in kinds for case in sized]
    if not (options.model or options.side or options.quick or options.size is not None):
        [times] = experiment(OWN_SIZE).times
        plain = [kind for kind in kinds if kind[1:] == ("torch", "float32")]
        own = product(plain, times.methods, times.sides)
        cases += [Case(*kind, False, name, side, side, times.weights) for kind, name, side in own]
    return cases


def _kinds(options: SpeedOptions, devices: Sequence[str]) -> "list[tuple[str, Runtime, Dtype]]":
    """Devices, runtimes and data types that go together.

    Raises:
        UsageError: one of them goes with none of the others, or is not available here.
    """
    from colorlib.benchmarks.timing import Dtype, Runtime, has_bfloat16, require

    runtimes: list[Runtime] = _known("--runtime", options.runtime or ["torch"], get_args(Runtime))
    dtypes: list[Dtype] = _known("--dtype", options.dtype or ["float32"], get_args(Dtype))
    for runtime in runtimes:
        try:
            require(runtime)
        except ModuleNotFoundError as error:
            raise UsageError(str(error)) from error
    for device in devices if "bfloat16" in dtypes else ():
        if not has_bfloat16(device):
            raise UsageError(
                f"--dtype bfloat16: {device} has no units for bfloat16, so it would take longer than float32; leave "
                "the option out, or choose another --device"
            )
    kinds = [
        (device, runtime, dtype)
        for device, runtime, dtype in product(devices, runtimes, dtypes)
        if runtime == "torch" or (device, dtype) == ("cpu", "float32")
    ]
    for runtime in runtimes:
        if not any(kind[1] == runtime for kind in kinds):
            raise UsageError(f"--runtime {runtime} runs on the CPU in float32: add --device cpu --dtype float32")
    return kinds


def _known(option: str, given: Sequence[str], known: Sequence[str]) -> list[Any]:
    """Each of the values once, if all are known."""
    for value in given:
        if value not in known:
            raise UsageError(f"{option} {value}: expected {', '.join(known[:-1])} or {known[-1]}")
    return list(dict.fromkeys(given))


class _Meter:
    """Measures cases; it keeps what several of them need: the peaks of devices, and exported methods.

    Attributes:
        failed: how many cases could not be measured, but for those that all methods were asked for and cannot be
            exported.
    """

    def __init__(self, options: SpeedOptions):
        from colorlib.benchmarks.timing import measure_peak

        self.quick, self.named = options.quick, bool(options.model)
        self.failed = 0
        self.peak = cache(measure_peak)
        self._files: dict[str, Path | None] = {}

    def __enter__(self) -> "_Meter":
        self._folder = TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def row(self, case: Case) -> dict[str, Any] | None:
        """The row of a case; None if it cannot be measured, which is then said."""
        from colorlib.tensors import WeightsError

        try:
            file = None if case.runtime == "torch" else self._exported(case)
            if case.runtime != "torch" and file is None:
                return None
            return self._measured(case, file)
        except (ValueError, RuntimeError, MemoryError, WeightsError) as error:
            say(f"{case.where} failed: {error}")
            self.failed += 1
            return None

    def _measured(self, case: Case, file: Path | None) -> dict[str, Any]:
        import torch

        from colorlib.benchmarks import timing

        peak = self.peak(case.device, case.dtype)
        how: dict[str, Any] = {
            "network": case.network,
            "device": case.device,
            "runtime": case.runtime,
            "dtype": case.dtype,
            "weights": case.weights,
        }
        how |= {"file": file, "repeats": QUICK_REPEATS if self.quick else REPEATS, "budget": BUDGET}
        if self.quick:
            speed, _ = timing.measure(case.model, case.side, **how)
        else:
            speed = timing.measure_apart(case.model, case.side, **how)
        row = asdict(speed) | asdict(peak) | {"share": peak.share(speed)}
        if self.quick:
            row["megabytes"] = float("nan")  # which only a fresh process can tell
        return row | {"torch": torch.__version__, "colorlib": colorlib.__version__}

    def _exported(self, case: Case) -> Path | None:
        """The file of a method, which is written once; None if there can be none, which is then said once."""
        from colorlib.benchmarks.timing import export_onnx
        from colorlib.export import ExportError

        if case.model not in self._files:
            file = Path(self._folder.name) / f"{case.model}.onnx"
            self._files[case.model] = None
            try:
                export_onnx(case.model, file, network=case.network, resize=case.resized)
            except ExportError as error:
                say(f"{case.model} is left out on {case.runtime}: {error}")
                self.failed += self.named
            else:
                self._files[case.model] = file
        return self._files[case.model]


def _rows(cases: Sequence[Case], meter: _Meter) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case that can be measured, and its row."""
    from tqdm import tqdm

    with tqdm(cases, unit="case", disable=None, file=sys.stderr) as bar:
        for case in bar:
            check_signals()
            bar.set_postfix_str(case.where)
            row = meter.row(case)
            if row is not None:
                yield case, row


def _write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pandas as pd

    from colorlib import io

    io.write_whole(out, pd.DataFrame(rows).astype({"network": "Int64"}).to_parquet(index=False))


@contextmanager
def _reported(measured: Sequence[tuple[Case, Mapping[str, Any]]], out: Path | None) -> Iterator[None]:
    """In the end, or when it is interrupted, print what was measured."""
    try:
        yield
    finally:
        tables = defaultdict[tuple[str, ...], list[Mapping[str, Any]]](list)
        for case, row in measured:
            tables[case.device, case.runtime, case.dtype, str(case.resized)].append(row)
        for rows in tables.values():
            typer.echo(f"{_table(rows)}\n")
        if out and measured:
            say(f"{out}: {len(measured)} rows")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was measured on a device, a line for each method, fastest first."""
    from colorlib._text import aligned

    by_method = defaultdict[str, dict[int, Mapping[str, Any]]](dict)
    for row in rows:
        by_method[row["model"]][row["side"]] = row
    sides = sorted({row["side"] for row in rows})
    order = sorted(by_method, key=lambda name: by_method[name][min(by_method[name])]["seconds"])
    known = [title for title, (value, *_) in AT_LARGEST.items() if any(row[value] > 0 for row in rows)]  # nan is not
    lines = [["method", *(f"{side} x {side}" for side in sides), *known]]
    for name in order:
        times = [_milliseconds(by_method[name].get(side)) for side in sides]
        lines.append([name, *times, *(_at_largest(by_method[name].get(sides[-1]), title) for title in known)])
    return "\n".join([*_heading(rows[0], sides[-1] if known else None), aligned(lines)])


def _print_layers(case: Case, meter: _Meter) -> None:
    """Print the layers of a network that take at least a hundredth of its time, and the others together."""
    from colorlib._text import aligned
    from colorlib.benchmarks.layers import time_layers

    layers = time_layers(case.model, case.side, network=case.network, device=case.device)
    total = sum(layer.seconds for layer in layers)
    peak = meter.peak(case.device, "float32")
    lines = [["layer", "what", "operations", "ms", "of the time", "of the peak"]]
    shown = [layer for layer in layers if layer.seconds >= SHOWN * total]
    for layer in shown:
        lines.append(
            [
                layer.name,
                layer.what,
                f"{layer.operations / 1e9:.2f} G" if layer.operations else "-",
                f"{1000 * layer.seconds:.2f}",
                f"{100 * layer.seconds / total:.0f} %",
                f"{100 * layer.share(peak):.0f} %" if layer.operations else "-",
            ]
        )
    if rest := total - sum(layer.seconds for layer in shown):
        count = len(layers) - len(shown)
        lines.append([f"{count} others", "", "", f"{1000 * rest:.2f}", f"{100 * rest / total:.0f} %", ""])
    what = f"{case.model} at {case.side} x {case.side} on {case.device}"
    typer.echo(f"{what}: the layers of its network\n{aligned(lines)}\n" if layers else f"{what}: no network\n")


def _heading(row: Mapping[str, Any], largest: int | None) -> Iterator[str]:
    """What a table is about, a line each; if there are columns at the largest side, what they are."""
    where = f"{row['device']}, threads: {row['threads']}" if row["kind"] == "cpu" else row["device"]
    runtime = "" if row["runtime"] == "torch" else f"{row['runtime']}, "
    seen = "" if row["resized"] else ", networks at the photograph's own size"
    yield f"{where}, {runtime}{row['dtype']}, torch {row['torch']}{seen}"
    yield f"peak: {row['matrix_gflops']:.0f} GFLOP/s in a matrix product, {row['copy_gbs']:.1f} GB/s in a copy"
    yield "ms per photograph: median (fastest - slowest)"
    if largest:
        yield f"last columns: at {largest} x {largest}; an operation is a multiply-add, which the peak counts as 2 FLOP"


def _at_largest(row: Mapping[str, Any] | None, title: str) -> str:
    value, unit, text = AT_LARGEST[title]
    return text.format(unit * row[value]) if row and row[value] > 0 else "-"


def _milliseconds(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    middle, fastest, slowest = (1000 * row[name] for name in ("seconds", "fastest", "slowest"))
    return f"{middle:.1f} ({fastest:.1f} - {slowest:.1f})"
