"""Speed: what is counted and timed, and the peak it is compared with. tests/test_commands.py has the command."""

import itertools
import math
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from time import perf_counter, sleep
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import colorlib
from colorlib.benchmarks import timing
from colorlib.benchmarks.timing import Peak, measure, measure_apart, measure_peak
from colorlib.catalog import catalog
from colorlib.export import ExportError
from colorlib.metrics.functional import ciede2000
from colorlib.models import list_models

QUICK = "color_by_colorization_small"  # exported in seconds


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> float:
    """A clock that goes on by so many seconds whenever it is asked."""
    times = itertools.count(0.0, 0.25)
    monkeypatch.setattr(timing, "perf_counter", lambda: next(times))
    return 0.25


def test_operations_are_multiply_adds():
    """Of a convolution: kernel x channels in x channels out x pixels out; a product of matrices: the three sides."""
    x, kernel = torch.zeros(1, 3, 10, 12), torch.zeros(5, 3, 3, 3)
    assert timing.count_operations(lambda: F.conv2d(x, kernel)) == 3 * 3 * 3 * 5 * 8 * 10
    assert timing.count_operations(lambda: torch.zeros(4, 6) @ torch.zeros(6, 7)) == 4 * 6 * 7
    assert timing.count_operations(lambda: torch.zeros(8) + 1) == 0


@pytest.mark.parametrize("name", ["lin21_convnet_small", "larsson16_small", QUICK])
def test_operations_are_those_of_the_catalogue(name: str):
    """Of a photograph of 256 x 256 that the network sees as large as it is; the catalogue counts on no real tensors."""
    speed, _ = measure(name, 256, network=256, repeats=1)
    assert speed.operations == catalog()[name].operations
    assert not speed.resized


def test_operations_are_of_what_the_network_sees():
    """It sees any photograph of more than 128 pixels at 128, a quarter of the pixels of 256."""
    name = "lin21_convnet_small"  # plain convolutions that keep the borders
    speed, _ = measure(name, 512, repeats=1)
    assert (speed.network, speed.resized) == (128, True)
    whole = catalog()[name].operations
    assert whole
    assert speed.operations == whole // 4


def test_a_share_follows_from_operations_and_seconds(ticks: float):
    """By a clock that says 0.25 s for every run: a peak of twice the operations in that time is fully used."""
    speed, seconds = measure(QUICK, 128, repeats=4)
    assert seconds == [ticks] * 4
    assert speed.network_seconds == speed.seconds == speed.fastest == speed.slowest == ticks
    assert speed.paint_seconds == speed.file_seconds == ticks
    whole = Peak(matrix_gflops=2 * speed.operations / ticks / 1e9, copy_gbs=1)
    assert whole.share(speed) == pytest.approx(1)
    assert Peak(4 * whole.matrix_gflops, 1).share(speed) == pytest.approx(0.25)


def test_what_has_no_network_has_no_share():
    speed, _ = measure("gray_world", 64)
    assert (speed.operations, speed.network) == (0, None)
    assert math.isnan(speed.network_seconds)
    assert math.isnan(Peak(100, 10).share(speed))


def test_a_file_is_read_and_written(monkeypatch: pytest.MonkeyPatch):
    """JPEG both times. Who reads the file takes 0.1 s more here, and who writes it; painting is neither."""
    read, save = colorlib.io.read, colorlib.Result.save
    formats = set()

    def slow_read(source: bytes | Image.Image) -> colorlib.io.Photo:
        if isinstance(source, bytes):
            sleep(0.1)
            formats.add(Image.open(BytesIO(source)).format)
        return read(source)

    def slow_save(self: colorlib.Result, stream: BytesIO, **options: str) -> None:
        sleep(0.1)
        save(self, stream, **options)
        formats.add(Image.open(stream).format)

    monkeypatch.setattr(colorlib.io, "read", slow_read)
    monkeypatch.setattr(colorlib.Result, "save", slow_save)
    speed, _ = measure("gray_world", 32, repeats=3)
    assert formats == {"JPEG"}
    assert speed.file_seconds > 0.2
    assert 0 < speed.paint_seconds < 0.2


def test_a_peak_is_what_its_clock_says(ticks: float, monkeypatch: pytest.MonkeyPatch):
    """A product of matrices of side n takes n^3 multiply-adds, 2 FLOP each; a copy reads and writes 4 bytes."""
    monkeypatch.setitem(timing.MATRIX_SIDES, "cpu", 100)
    monkeypatch.setattr(timing, "COPIED", 5000)
    peak = measure_peak()
    assert peak.matrix_gflops == pytest.approx(2 * 100**3 / ticks / 1e9)
    assert peak.copy_gbs == pytest.approx(2 * 4 * 5000 / ticks / 1e9)


def test_a_peak_is_near_numpys(monkeypatch: pytest.MonkeyPatch):
    """Within a factor of 4 of another library's on one thread, also where other programs take turns with us."""
    side = 1024
    monkeypatch.setitem(timing.MATRIX_SIDES, "cpu", side)
    monkeypatch.setattr(timing, "COPIED", 2**24)
    peak = measure_peak()
    a, b = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    source = np.ones(2**24, dtype=np.float32)
    target = np.empty_like(source)
    product = min(_timed(lambda: np.matmul(a, b)) for _ in range(9))
    copy = min(_timed(lambda: np.copyto(target, source)) for _ in range(9))
    threads = torch.get_num_threads()
    assert 1 / 4 < peak.matrix_gflops / (2 * side**3 / product / 1e9) < 4 * threads
    assert 1 / 4 < peak.copy_gbs / (2 * source.nbytes / copy / 1e9) < 4 * threads


def _timed(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


@pytest.mark.nightly
def test_a_process_of_its_own_measures_the_same_method():
    apart = measure_apart(QUICK, 64, network=32, repeats=3)
    here, _ = measure(QUICK, 64, network=32, repeats=3)
    for name in ("model", "side", "network", "device", "kind", "threads", "operations", "resized", "runtime", "dtype"):
        assert getattr(apart, name) == getattr(here, name), name
    assert apart.repeats == 3
    assert apart.fastest <= apart.seconds <= apart.slowest
    assert 0 < apart.network_seconds < apart.slowest


def test_why_a_process_failed_is_said():
    with pytest.raises(RuntimeError, match=r"gray_world could not be timed at 8: its process ended with 1: .*tpu9"):
        measure_apart("gray_world", 8, device="tpu9")


def test_onnx_runtime_runs_what_torch_runs(tmp_path: Path):
    """The same picture, and the same row but for its seconds."""
    file = tmp_path / "method.onnx"
    timing.export_onnx(QUICK, file)
    rgb = timing._photograph(150)
    exported = timing.load_exported("onnx", file)(rgb)
    own = timing._colorizer(QUICK, None, "cpu").batch(rgb)
    assert (exported - own).abs().max() < 1e-3
    assert (own - rgb).abs().max() > 0.02  # it does something
    speed, seconds = measure(QUICK, 150, runtime="onnx", file=file, repeats=3)
    assert (speed.runtime, speed.network, len(seconds)) == ("onnx", 128, 3)
    assert speed.operations == measure(QUICK, 150, repeats=1)[0].operations
    assert math.isnan(speed.network_seconds)
    assert math.isnan(Peak(100, 10).share(speed))


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ExportError, match="welsh02 takes its colours from another photograph"):
        timing.export_onnx("welsh02", tmp_path / "method.onnx")
    with pytest.raises(ValueError, match="the runtime onnx needs the exported method"):
        measure(QUICK, 32, runtime="onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(
        ModuleNotFoundError, match=r"needs the package onnxscript.*pip install -e '\.\[export\]' in a checkout"
    ):
        timing.export_onnx(QUICK, tmp_path / "method.onnx")


def test_openvino_gets_the_file_and_as_many_threads(monkeypatch: pytest.MonkeyPatch):
    """By a stand-in for the package, which no extra installs; what it computes is not its matter here."""
    asked = []

    class Core:
        def compile_model(self, *arguments):
            asked.append(arguments)
            return lambda inputs: {0: 1 - inputs[0]}

    package = ModuleType("openvino")
    package.Core = Core
    monkeypatch.setitem(sys.modules, "openvino", package)
    rgb = torch.rand(1, 3, 4, 5)
    assert torch.equal(timing.load_exported("openvino", "method.onnx")(rgb), 1 - rgb)
    assert asked == [("method.onnx", "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads()})]


@pytest.mark.parametrize("name", ["lin21_convnet_small", QUICK])
def test_bfloat16_is_the_networks_alone(name: str):
    """The picture is nearly the same, and in float32; the network's answer has passed through 8 bits of precision."""
    assert name in list_models(ready=True)
    rgb = timing._photograph(96)
    colorizer, other = (timing._colorizer(name, None, "cpu") for _ in range(2))
    timing.compute_in_bfloat16(other.model, "cpu")
    given = colorizer.model.to_input(rgb)
    with torch.no_grad():
        answer, rounded = colorizer.model(given), other.model(given)
    assert rounded.dtype == torch.float32
    assert 0 < (answer - rounded).abs().max() < 0.1 * answer.abs().max()
    picture = other.batch(rgb)
    assert picture.dtype == torch.float32
    assert ciede2000(picture, colorizer.batch(rgb)).item() < 1


def test_units_for_bfloat16_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    """Of the processor's flags; AVX-512 alone would compute it by way of float32."""
    for flags, expected in (({"avx512_f": True, "avx512_bf16": False}, False), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags)
        assert timing.has_bfloat16("cpu") is expected
