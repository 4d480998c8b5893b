"""Exported files beside the modules they were made from, run by ONNX Runtime and by PyTorch alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from typer.testing import CliRunner
from typer.testing import Result as Run

from colorlib import export
from colorlib.cli import app
from colorlib.colorizer import Colorizer
from colorlib.models import model_info
from colorlib.models._layers import SameConv2d
from colorlib.models.iizuka16 import RELEASED
from colorlib.targets import Histogram
from colorlib.weights import create_model

QUICK = "color_by_colorization_small"  # traced in seconds
# One of each kind: hypercolumns and histograms, a regression with an output of the input's size, global features. The
# file of QUICK, of white balance, is what the command writes, below; the other methods' files are checked when they
# are written, as every file is.
NAMES = [
    "lin21_convnet_small",
    *(pytest.param(name, marks=pytest.mark.nightly) for name in ("larsson16_small", "iizuka16_small", "consensus")),
]
FORMATS = ["torch-export", "onnx"]


def photographs(count: int, height: int, width: int) -> Tensor:
    sources = (data.astronaut(), data.chelsea(), data.coffee())[:count]
    crops = [torch.from_numpy(source[60 : 60 + height, 30 : 30 + width].copy()) for source in sources]
    return torch.stack(crops).permute(0, 3, 1, 2) / 255


# Larger than the network's size and smaller, more and fewer than two, sides of one pixel, a multiple of every stride.
BATCHES = [photographs(1, 240, 417), photographs(3, 150, 101), photographs(2, 1, 7), photographs(1, 192, 192)]


def run_onnx(content: bytes) -> Callable[[Tensor], np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda rgb: session.run(None, {"photograph": rgb.numpy()})[0]


def run_torch(content: bytes) -> Callable[[Tensor], np.ndarray]:
    module = torch.export.load(BytesIO(content)).module()
    return lambda rgb: module(rgb).numpy()


@dataclass(frozen=True)
class Traced:
    """A method and the files that come of one trace of it."""

    colorizer: Colorizer
    program: torch.export.ExportedProgram

    @cached_property
    def onnx(self) -> Callable[[Tensor], np.ndarray]:
        return run_onnx(export.to_onnx(self.program, {}))

    @cached_property
    def torch(self) -> Callable[[Tensor], np.ndarray]:
        return run_torch(export.to_torch(self.program, {}))


@cache
def traced(name: str, size: int | None = None) -> Traced:
    """Traced once, which takes up to a minute, for all tests."""
    colorizer = Colorizer(name, device="cpu", size=size)
    return Traced(colorizer, export.trace(colorizer))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_file_does_what_the_method_does(name: str):
    """At sizes and batch sizes other than those it was traced with, in both formats."""
    method = traced(name)
    for rgb in BATCHES:
        for run in (method.onnx, method.torch):
            np.testing.assert_allclose(run(rgb), method.colorizer.batch(rgb), rtol=0, atol=1e-3, err_msg=str(rgb.shape))


@pytest.mark.parametrize("name", [QUICK, "iizuka16_local_small"])
def test_without_resizing_it_does_what_the_module_does(name: str):
    """And the colorizer's saturation, of which the module's own target knows nothing; here before it is traced."""
    model, weights = create_model(name, pretrained=True), model_info(name).weights
    run = export.Photographs(Colorizer(name, device="cpu"), resize=False)
    model.target.saturation = weights.saturation
    for rgb in BATCHES:
        with torch.no_grad():
            np.testing.assert_allclose(run(rgb), model.colorize(rgb), rtol=0, atol=1e-4, err_msg=str(rgb.shape))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gray_world", *(pytest.param(name, marks=pytest.mark.nightly) for name in (QUICK, "iizuka16_local_small"))]
)
def test_a_file_without_resizing_does_what_the_module_does(name: str):
    """Any size, in both runtimes, and as the command checks it."""
    model, weights = create_model(name, pretrained=True), model_info(name).weights
    colorizer = Colorizer(name, device="cpu")
    program = export.trace(colorizer, resize=False)
    runs = run_onnx(export.to_onnx(program, {})), program.module()
    if weights is not None:
        model.target.saturation = weights.saturation
    assert export.difference(runs[1], colorizer, resize=False) < 1e-4
    for rgb in BATCHES:
        for run in runs:
            with torch.no_grad():
                np.testing.assert_allclose(run(rgb), model.colorize(rgb), rtol=0, atol=1e-4, err_msg=str(rgb.shape))


# White balance without learning has one way to the result and colours another, each with and without resizing before;
# a push needs no more than one of each.
SIZED = [(name, size) for name in ("gray_world", "white_patch", "shades_of_gray", "grayscale") for size in (None, 64)]
ON_PUSH = [("gray_world", None), ("white_patch", 64), ("shades_of_gray", None), ("grayscale", 64)]


@pytest.mark.parametrize(
    ("name", "size"),
    [pytest.param(*case, marks=[] if case in ON_PUSH else pytest.mark.nightly) for case in SIZED],
)
def test_what_was_not_learned_is_exported_too(name: str, size: int | None):
    method = traced(name, size)
    for rgb in BATCHES:
        # By the road that is exported; the one that paints on CPUs alone is off by a little more.
        painted = method.colorizer.paint(rgb).on(rgb)
        np.testing.assert_allclose(method.torch(rgb), painted, rtol=0, atol=1e-5)


def check_refusals(onnx: Callable[[Tensor], np.ndarray], torch_alone: Callable[[Tensor], np.ndarray]) -> None:
    good, gap = photographs(1, 60, 70), photographs(1, 60, 70)
    gap[0, 1, 5, 5] = torch.nan
    for bad in (good * 255, -good, gap):
        with pytest.raises(RuntimeError, match=r"expected sRGB in \[0, 1\], got values outside; divide bytes by 255"):
            torch_alone(bad)
        assert np.isnan(onnx(bad)).all()
        mixed = onnx(torch.cat([good, bad]))
        np.testing.assert_array_equal(mixed[:1], onnx(good))
        assert np.isnan(mixed[1:]).all()
    assert np.isfinite(torch_alone(good)).all()
    assert np.isfinite(onnx(good + 1e-6)).all()  # of rounding, nobody complains


def test_values_that_are_no_photograph_are_refused(files: dict[str, Path]):
    """Those of bytes that nobody divided by 255, and NaN; of a batch, ONNX spoils only the photographs concerned."""
    check_refusals(traced("gray_world").onnx, traced("gray_world").torch)
    check_refusals(run_onnx(files["onnx"].read_bytes()), run_torch(files["torch-export"].read_bytes()))


def test_other_devices_are_refused():
    colorizer = Colorizer("grayscale", device="cpu")
    colorizer.device = torch.device("cuda:1")
    with pytest.raises(export.ExportError, match="on the CPU, got one on cuda:1"):
        export.trace(colorizer)


def test_rounded_sides_need_resizing():
    """Else sides that 8 does not divide would be padded, where the method resizes them."""
    colorizer = Colorizer(create_model("iizuka16", width=8, **RELEASED), device="cpu")
    with pytest.raises(export.ExportError, match="without --size 0"):
        export.trace(colorizer, resize=False)


def test_settings_are_those_of_the_colorizer():
    """Saturation, size and decoder."""
    name, rgb = "iizuka16_local_small", BATCHES[0]
    pale = Colorizer(name, device="cpu", vivid=False, size=64)
    with torch.no_grad():  # as it is traced, without waiting for it
        run = export.Photographs(pale)
        torch.testing.assert_close(run(rgb), pale.batch(rgb), rtol=0, atol=1e-4)
        assert (run(rgb) - Colorizer(name, device="cpu", size=64).batch(rgb)).abs().max() > 0.05
        assert (run(rgb) - Colorizer(name, device="cpu", vivid=False).batch(rgb)).abs().max() > 0.05

    mode = Colorizer("larsson16_lab_marginal_small", device="cpu", decoder="mode")
    assert export.describe(mode)["decoder"] == "mode"
    with torch.no_grad():
        torch.testing.assert_close(export.Photographs(mode)(rgb), mode.batch(rgb), rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(7, 5), (96, 128), (150, 101)])
@pytest.mark.parametrize("cell", [2, 4])
def test_averages_are_those_of_area_interpolation(size: tuple[int, int], cell: int):
    rgb = photographs(2, *size)
    cells = [-(-n // cell) for n in size]
    torch.testing.assert_close(export._averaged(rgb, cells), F.interpolate(rgb, cells, mode="area"))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_constant_padding_is_tensorflows_for_multiples_of_the_stride(
    kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(0)
    conv = SameConv2d(3, 3, kernel, stride, groups=3)
    with torch.no_grad():
        expected = conv(BATCHES[3])
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        torch.testing.assert_close(conv(BATCHES[3]), expected, rtol=0, atol=0)


# The command


def command(*arguments: object) -> Run:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported") / "new folder"
    found = {}
    for format in FORMATS:
        found[format] = folder / f"balance{export.SUFFIXES[format]}"
        run = command(QUICK, "--format", format, "--out", found[format])
        assert run.exit_code == 0, run.output
        assert run.stdout.startswith(f"{found[format]}: ")
        assert "MB, differs from the method by " in run.stdout
    assert set(folder.iterdir()) == set(found.values())
    return found


def check_metadata(found: dict[str, str]) -> None:
    assert found["model"] == QUICK
    assert found["weights_sha256"] == model_info(QUICK).weights.sha256
    assert found["license"] == found["terms"] == "Apache-2.0"
    assert found["source"] == ""
    assert found["colorlib"] == version("colorlib-torch")
    assert "sRGB in [0, 1], float32 (batch, 3, height, width)" in found["input"]
    assert "128 pixels on the short side" in found["input"]
    assert "white-balanced" in found["output"]


def test_an_onnx_file_says_what_it_is(files: dict[str, Path]):
    model = onnx.load(files["onnx"])
    onnx.checker.check_model(model)
    check_metadata({entry.key: entry.value for entry in model.metadata_props})
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("photograph", "result")
    for value in (given, made):
        dimensions = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dimensions] == ["batch", 3, "height", "width"]
    assert str(Path(export.__file__).parent).encode() not in files["onnx"].read_bytes()


def test_a_torch_file_says_what_it_is(files: dict[str, Path]):
    notes = {"colorlib.json": ""}
    program = torch.export.load(files["torch-export"], extra_files=notes)
    check_metadata(json.loads(notes["colorlib.json"]))
    assert str(Path(export.__file__).parent) not in str(program)


RUN_ONNX = """
import sys
sys.modules["torch"] = sys.modules["colorlib"] = None
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
given = numpy.load(sys.argv[2])
numpy.savez(sys.argv[3], **{key: session.run(["result"], {"photograph": given[key]})[0] for key in given})
"""
RUN_TORCH = """
import sys
sys.modules["colorlib"] = sys.modules["timm"] = None
import numpy, torch
module = torch.export.load(sys.argv[1]).module()
given = numpy.load(sys.argv[2])
numpy.savez(sys.argv[3], **{key: module(torch.from_numpy(given[key])).numpy() for key in given})
"""


@pytest.mark.parametrize(("format", "script"), [("onnx", RUN_ONNX), ("torch-export", RUN_TORCH)])
def test_a_file_needs_neither_colorlib_nor_the_other_runtime(
    files: dict[str, Path], format: str, script: str, tmp_path: Path
):
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    np.savez(before, **{str(rgb.shape): rgb.numpy() for rgb in BATCHES})
    arguments = [sys.executable, "-c", script, str(files[format]), str(before), str(after)]
    run = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    colorizer, made = Colorizer(QUICK, device="cpu"), np.load(after)
    for rgb in BATCHES:
        np.testing.assert_allclose(made[str(rgb.shape)], colorizer.batch(rgb), rtol=0, atol=1e-3)


def test_options_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the command line, without waiting for what it would write."""

    def write(colorizer: Colorizer, path: Path, format: str, *, resize: bool) -> float:
        target = colorizer.target
        decoder = target.decoder if isinstance(target, Histogram) else None
        asked.append((colorizer.name, format, resize, colorizer.size, target.saturation, decoder))
        path.write_bytes(b"")
        return 0.0

    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(export, "export", write)
    monkeypatch.chdir(tmp_path)
    vivid = model_info("iizuka16_local_small").weights.saturation
    assert command("iizuka16_local_small", "--size", 96).exit_code == 0
    assert command("iizuka16_local_small", "--size", 0, "--no-vivid", "--format", "torch-export").exit_code == 0
    assert command("larsson16_small", "--decode", "mode", "--out", "l.onnx").exit_code == 0
    assert asked == [
        ("iizuka16_local_small", "onnx", True, 96, vivid, None),
        ("iizuka16_local_small", "torch-export", False, 192, 1, None),
        ("larsson16_small", "onnx", True, 192, 1, "mode"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {
        "iizuka16_local_small.onnx",
        "iizuka16_local_small.pt2",
        "l.onnx",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["iizuka16_smal"], "did you mean iizuka16_small"),
        (["iizuka16"], "iizuka16 has no embedded weights"),
        (["welsh02"], "welsh02 takes its colours from another photograph"),
        (["larsson16_small", "--decode", "sample"], "choose one of median, expectation, mode"),
        (["iizuka16_small", "--decode", "mode"], "predicts one colour a pixel"),
        ([QUICK, "--format", "tflite"], "'tflite' is not one of"),
        ([QUICK, "--out", "model.bin"], "expected a name that ends in .onnx"),
        (["nowhere.safetensors"], "no readable safetensors file"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    run = command(*arguments)
    assert run.exit_code == 2
    assert said in run.output
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "gray_world.pt2"
    there.write_bytes(b"precious")
    run = command("gray_world", "--format", "torch-export")
    assert run.exit_code == 2
    assert "--overwrite replaces it" in run.output
    assert there.read_bytes() == b"precious"
    run = command("gray_world", "--format", "torch-export", "--overwrite")
    assert run.exit_code == 0, run.output
    rgb = BATCHES[0]
    np.testing.assert_allclose(run_torch(there.read_bytes())(rgb), traced("gray_world").torch(rgb))


@pytest.mark.parametrize(
    ("decoder", "whole_bins", "pixels", "agrees"),
    [
        ("mode", False, 20, True),
        ("mode", False, 30, False),  # of 2 x 97 x 131, of which a thousandth is 25
        ("median", True, 20, True),
        ("median", True, 30, False),
        ("median", False, 1, False),
        ("expectation", True, 1, False),
    ],
)
def test_rounding_may_choose_another_bin_at_few_pixels(decoder: str, whole_bins: bool, pixels: int, agrees: bool):
    colorizer = Colorizer(create_model("larsson16", width=1 / 32), device="cpu", size=32, decoder=decoder)
    colorizer.target.whole_bins = whole_bins

    def painted(rgb: Tensor, wrong: float) -> Tensor:
        result = colorizer.batch(rgb)
        green = result[0, 1, 50, :pixels]
        green.copy_(torch.where(green > 0.5, green - wrong, green + wrong))
        return result

    assert (export.difference(lambda rgb: painted(rgb, 0.03), colorizer) < export.TOLERANCE) == agrees
    for nothing in (np.nan, np.inf, 3.0):  # these are no colours, at however few pixels
        assert export.difference(lambda rgb, x=nothing: painted(rgb, x if len(rgb) == 2 else 0), colorizer) == np.inf


@pytest.mark.parametrize("worst", [2e-3, float("nan")])
def test_a_file_that_differs_is_not_written(worst: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "difference", lambda run, colorizer, resize: worst)
    path = tmp_path / "model.pt2"
    path.write_bytes(b"precious")
    run = command("gray_world", "--format", "torch-export", "--out", path, "--overwrite")
    assert run.exit_code == 1
    assert "differs from the method by" in run.output
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"precious"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, package, None)
    run = command(QUICK, "--out", tmp_path / "model.onnx")
    assert run.exit_code == 2
    assert f"needs the package {package}" in run.output
    assert "pip install -e '.[export]'" in run.output
    assert not list(tmp_path.iterdir())
