"""The commands that the guides name do what the guides say; servers start, weights are fetched, speed is measured."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from loopback_hub import LoopbackHub
from PIL import Image
from serving import free_port, running
from skimage import data
from typer.testing import CliRunner
from typer.testing import Result as Run

import colorlib
from colorlib.benchmarks import reported, timing
from colorlib.cards import assemble
from colorlib.catalog import weights_index
from colorlib.cli import app, serve, speed

ROOT = Path(__file__).parent.parent
GUIDES = [  # but for README.md, whose commands tests/test_readme.py runs
    *("colorlib/README.md", "colorlib/models/README.md", "colorlib/benchmarks/README.md"),
    *("training/README.md", "demo/README.md", "dashboard/README.md", ".github/CONTRIBUTING.md"),
]
# Commands of the guides that are not run here, and the reason. That they parse, tests/test_readme.py shows.
ELSEWHERE = {
    "colorlib export": "takes a minute each; tests/test_export.py runs it",
    "colorlib push": "needs a Hub; tests/test_hub.py runs it on one",
    "colorlib push-results": "needs a Hub; tests/test_hub.py runs it on one",
    "colorlib colorize scans/ -o out/ --model me/iizuka16-small": "needs a Hub; see test_fetched_weights_work_offline",
    "colorlib fetch me/iizuka16-small": "needs a Hub; see test_fetched_weights_work_offline",
    "colorlib speed --quick": "takes minutes; see test_a_quick_measurement_of_all_methods_is_quick",
    "colorlib speed -m iizuka16_small --runtime": "exports for a minute; see test_speed_in_processes_of_their_own",
    "colorlib colorize https://host/scan.jpg": "needs servers; tests/test_addresses.py runs it on one",
    "colorlib fetch larsson16": "needs the authors' server; tests/test_authors.py fetches from another",
    "colorlib fetch iizuka16": "needs the authors' server",
    "colorlib fetch iizuka16_imagenet": "needs a server",
    "colorlib convert autocolorize.caffemodel.h5": "needs the authors' file; tests/test_authors.py converts another",
    "colorlib benchmarks coco -d photos/ --write": "needs COCO; tests/test_external.py writes other photographs",
    "colorlib score ddcolor/ -b coco -d photos/": "needs COCO; tests/test_external.py scores others",
    "colorlib evaluate --model all": "measures every method; tests/test_results.py runs it",
    "colorlib evaluate -m larsson16_small -b coco -d photos/": "needs the photographs of COCO",
    "colorlib evaluate -m all -b kodak -d photos/": "needs a benchmark that the guide tells how to add",
}


def call(*arguments: object) -> Run:
    return CliRunner().invoke(app, list(map(str, arguments)))


def commands(guide: str) -> list[str]:
    """The whole commands of a guide: those in its blocks of shell code, and one that stands in a list."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines()] + re.findall(r"Measure: `(colorlib [^`]+)`", text)
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("colorlib ")]


def elsewhere(command: str) -> bool:
    return any(command == known or command.startswith(f"{known} ") for known in ELSEWHERE)


COMMANDS = sorted({(guide, command) for guide in GUIDES for command in commands(guide)})


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the guides speak of."""
    monkeypatch.chdir(tmp_path)
    small = {name: Image.fromarray(getattr(data, name)()).resize((96, 64)) for name in ("chelsea", "coffee", "camera")}
    for name, photo in (("scan.tif", "camera"), ("painting.jpg", "coffee"), ("beach.jpg", "chelsea")):
        small[photo].save(name)
    for folder, photo in (("scans/box", "camera"), ("holiday", "coffee"), ("photos/train", "chelsea")):
        Path(folder).mkdir(parents=True)
        small[photo].save(f"{folder}/one.jpg")
    small["camera"].save("scans/two.tif")
    with tarfile.open("photos/val.tar", "w") as shard:
        shard.add("holiday/one.jpg", "one.jpg")
    shutil.copyfile(weights_index()["larsson16_small"].path, "my.safetensors")
    Path("runs").mkdir()
    return tmp_path


def test_no_command_is_excused_that_no_guide_names():
    for known in ELSEWHERE:
        assert any(command.startswith(known) for _, command in COMMANDS), known


@pytest.mark.parametrize(("guide", "command"), [pair for pair in COMMANDS if not elsewhere(pair[1])])
def test_commands_of_the_guides_run(files: Path, guide: str, command: str):
    """For real, and what they are to write is there."""
    _, *words = shlex.split(re.sub(r"\s[<>] \S+", "", command))
    given = (files / "scan.tif").read_bytes() if "-" in words else None
    run = CliRunner().invoke(app, words, input=given)
    assert run.exit_code == 0, run.output
    out = next((word for flag, word in pairwise(words) if flag in ("-o", "--out")), None)
    if out == "-":
        assert run.stdout_bytes.startswith(b"\x89PNG")
    elif out is None:
        assert run.stdout or words[0] == "evaluate"
    else:
        made = files / out
        written = [path for path in made.rglob("*") if path.is_file()] if made.is_dir() else [made]
        assert written
        for path in written:
            if path.suffix in (".jpg", ".png", ".tif"):
                assert np.asarray(Image.open(path)).ndim == 3, path


# Servers


@pytest.mark.parametrize(
    ("command", "path", "expected"),
    [(["demo"], "/config", b"larsson16_small"), (["dashboard", "--results", "shipped"], "/_stcore/health", b"ok")],
)
def test_the_apps_start_and_stop(tmp_path: Path, command: list[str], path: str, expected: bytes):
    """From any folder, on the port that is asked for; a signal to the command ends the server."""
    (tmp_path / "shipped").mkdir()
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "colorlib", *command, "--port", str(port)]
    with running(command, tmp_path, environment, tmp_path / "log") as (address, process):
        assert address == f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(address + path, timeout=60) as answer:
                    assert expected in answer.read()
                break
            except urllib.error.URLError:  # it listens only soon after it says so
                assert time.monotonic() < deadline
                time.sleep(0.2)
    assert process.poll() is not None
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)


def test_the_apps_get_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda file, command, variables: started.append((file, command, variables)))
    assert call("demo", "--port", 7000, "--host", "0.0.0.0").exit_code == 0
    roots = (tmp_path / "a", tmp_path / "b")
    options = ("--data", roots[0], "-d", roots[1], "--results", "hf://datasets/me/results")
    assert call("dashboard", "--port", 7001, *options).exit_code == 0
    (python, demo, variables), (_, dashboard, others) = started
    assert (python, demo) == (sys.executable, [sys.executable, str(ROOT / "demo/app.py")])
    assert (variables["GRADIO_SERVER_PORT"], variables["GRADIO_SERVER_NAME"]) == ("7000", "0.0.0.0")
    assert dashboard[1:5] == ["-m", "streamlit", "run", str(ROOT / "dashboard/app.py")]
    assert dashboard[5:9] == ["--server.port", "7001", "--server.address", "127.0.0.1"]
    assert others["COLORLIB_RESULTS"] == "hf://datasets/me/results"
    assert others["COLORLIB_DATA"] == os.pathsep.join(map(str, roots))


@pytest.mark.parametrize(("command", "package"), [("demo", "gradio"), ("dashboard", "streamlit")])
def test_apps_that_cannot_start_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, package: str
):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    run = call(command)
    assert run.exit_code == 2
    assert f"needs the package {package}: pip install -e '.[{command}]' in a checkout" in run.stderr
    monkeypatch.setattr(serve, "CHECKOUT", tmp_path)  # as of an installed wheel
    run = call(command)
    assert run.exit_code == 2
    assert f"the {command} is not part of the installed package. Clone the repository" in run.stderr
    assert f"`make {command}` there, or `pip install -e '.[{command}]'` and `colorlib {command}`" in run.stderr


# Weights


def test_fetched_weights_work_offline(tmp_path: Path):
    """Fetched once from a Hub; a second process colours without any connection."""
    name = "lin21_convnet_small"
    assemble(name, tmp_path / "repository", "me/x", "me/results")
    content = {
        path.relative_to(tmp_path / "repository").as_posix(): path.read_bytes()
        for path in (tmp_path / "repository").rglob("*")
        if path.is_file()
    }
    Image.fromarray(data.camera()).resize((96, 64)).save(tmp_path / "scan.png")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def run(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "colorlib", *words]
        variables = environment | extra
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    with LoopbackHub() as server:
        server.commit("me/x", content)
        fetched = run("fetch", "me/x", name, "gray_world", HF_ENDPOINT=server.endpoint)
        refused = run("fetch", "me/y", HF_ENDPOINT=server.endpoint)
    assert fetched.returncode == 0, fetched.stderr
    there, included, nothing = fetched.stdout.splitlines()
    assert there.startswith(f"me/x: {tmp_path / 'cache'}")
    assert (Path(there.removeprefix("me/x: ")) / "model.safetensors").read_bytes() == content["model.safetensors"]
    assert included == f"{name}: included in colorlib"
    assert nothing == "gray_world: needs no weights"
    assert refused.returncode == 2
    assert "no repository me/y" in refused.stderr
    done = run("colorize", "scan.png", "-o", "out", "--model", "me/x", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    expected = colorlib.Colorizer(name)(tmp_path / "scan.png").rgb
    found = np.asarray(Image.open(tmp_path / "out/scan.png"))
    assert np.abs(found / 255 - expected.movedim(0, -1).numpy()).max() < 0.01


@pytest.mark.parametrize(
    ("name", "said"),
    [("iizuka17", "expected OWNER/REPO, or a method"), ("iizuka16_yuv", "has no embedded weights")],
)
def test_what_cannot_be_fetched_is_explained(name: str, said: str):
    run = call("fetch", name)
    assert run.exit_code == 2
    assert said in run.stderr


# Speed


@pytest.fixture
def threads() -> Iterator[int]:
    """Torch's, which --threads changes; they are put back."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


Waits = tuple[list[float], list[tuple[object, ...]]]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Seconds that every method takes, which are known beforehand, over and over; and the calls."""
    times = [0.6, 0.05, 0.25, 0.15]  # the first run takes longest, and must not count; the median of the others is 0.15
    calls: list[tuple[object, ...]] = []

    def wait(self: colorlib.Colorizer, rgb: torch.Tensor) -> torch.Tensor:
        time.sleep(times[len(calls) % len(times)])
        calls.append((self.name, *rgb.shape))
        return rgb

    monkeypatch.setattr(colorlib.Colorizer, "batch", wait)
    monkeypatch.setattr(timing, "measure_peak", lambda *_: timing.Peak(matrix_gflops=80.0, copy_gbs=12.5))
    return times, calls


def test_speed_is_what_a_clock_says(tmp_path: Path, threads: int, waits: Waits):
    """Of methods that take a time known beforehand."""
    times, calls = waits
    options = ("-m", "grayscale", "-m", "iizuka16_local_small", "--side", 64, "--side", 40, "--quick")
    run = call("speed", *options, "--device", "cpu", "--threads", 1, "-o", tmp_path / "new" / "speed.parquet")
    assert run.exit_code == 0, run.output
    cases = [(name, side) for name in ("grayscale", "iizuka16_local_small") for side in (40, 64)]
    assert calls == [(name, 1, 3, side, side) for name, side in cases for _ in times]
    rows = pd.read_parquet(tmp_path / "new" / "speed.parquet")
    assert list(zip(rows["model"], rows["side"], strict=True)) == cases
    assert set(rows.columns) == {field.name for field in fields(timing.Speed)} | {
        *("matrix_gflops", "copy_gbs", "share", "torch", "colorlib")
    }
    told = {"kind": "cpu", "threads": 1, "dtype": "float32", "runtime": "torch", "repeats": 3, "matrix_gflops": 80}
    assert {name: rows[name].unique().tolist() for name in told} == {name: [value] for name, value in told.items()}
    # A busy machine wakes it late, once in a while very late: only the slowest has to bear that.
    for column, least, most in (("fastest", 0.05, 0.1), ("seconds", 0.15, 0.24), ("slowest", 0.25, 2)):
        assert rows[column].between(least, most).all(), column
    assert rows["megabytes"].isna().all()  # which only a fresh process can tell
    # The network is not what waits.
    network = rows.set_index("model").loc["iizuka16_local_small"]
    assert (network["share"] * 80e9 * network["network_seconds"]).tolist() == pytest.approx(
        (2 * network["operations"]).tolist()
    )
    assert rows.set_index("model").loc["grayscale", ["network_seconds", "share"]].isna().all(axis=None)
    # The table.
    head, peak, unit, columns, titles, *lines = run.stdout.strip().splitlines()
    assert re.search(r", threads: 1, float32, torch [^,;]+$", head)
    assert peak == "peak: 80 GFLOP/s in a matrix product, 12.5 GB/s in a copy"
    assert unit == "ms per photograph: median (fastest - slowest)"
    assert columns == "last columns: at 64 x 64; an operation is a multiply-add, which the peak counts as 2 FLOP"
    assert re.split(r"  +", titles) == [
        *("method", "40 x 40", "64 x 64", "network (ms)", "painting (ms)", "JPEG to JPEG (ms)"),
        *("operations", "share of the peak"),
    ]
    cells = {line.split()[0]: re.findall(r"([\d.]+) \(([\d.]+) - ([\d.]+)\)", line) for line in lines}
    for row in rows.itertuples():
        printed = [float(number) for number in cells[row.model][(40, 64).index(row.side)]]
        assert printed == pytest.approx([1000 * x for x in (row.seconds, row.fastest, row.slowest)], abs=0.051)
    assert list(cells) == sorted(cells, key=lambda name: float(cells[name][0][0]))
    [gray] = [line for line in lines if line.startswith("grayscale")]
    row = rows[(rows["model"] == "grayscale") & (rows["side"] == 64)].iloc[0]
    times = [f"{1000 * row[name]:.1f}" for name in ("paint_seconds", "file_seconds")]
    assert re.split(r"  +", gray)[3:] == ["-", *times, "-", "-"]


def test_an_interrupted_measurement_keeps_its_rows(
    tmp_path: Path, threads: int, waits: Waits, monkeypatch: pytest.MonkeyPatch
):
    """They are in the file and in the table; Ctrl-C comes in the middle of the third case."""
    waits[0][:] = [0]
    wait = colorlib.Colorizer.batch

    def interrupted(self: colorlib.Colorizer, rgb: torch.Tensor) -> torch.Tensor:
        if rgb.shape[-1] == 40:
            raise KeyboardInterrupt
        return wait(self, rgb)

    monkeypatch.setattr(colorlib.Colorizer, "batch", interrupted)
    options = ("-m", "grayscale", "--side", 16, "--side", 24, "--side", 40, "--quick", "--device", "cpu")
    run = call("speed", *options, "-o", tmp_path / "speed.parquet")
    assert run.exit_code == 130
    assert pd.read_parquet(tmp_path / "speed.parquet")["side"].tolist() == [16, 24]
    assert f"{tmp_path / 'speed.parquet'}: 2 rows" in run.stderr
    assert "Interrupted." in run.stderr
    titles = re.split(r"  +", run.stdout.strip().splitlines()[4])
    assert titles == ["method", "16 x 16", "24 x 24", "painting (ms)", "JPEG to JPEG (ms)"]


@pytest.mark.nightly
def test_speed_in_processes_of_their_own(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch):
    """For real: memory, both data types where the machine has the units, and ONNX Runtime beside torch."""
    monkeypatch.setattr(timing, "COPIED", 2**22)
    monkeypatch.setitem(timing.MATRIX_SIDES, "cpu", 512)
    method = "color_by_colorization_small"  # exported in seconds
    options = ["-m", method, "--side", 200, "--device", "cpu", "--threads", 1]
    dtypes = ["float32", *(["bfloat16"] if timing.has_bfloat16("cpu") else [])]
    options += [word for dtype in dtypes for word in ("--dtype", dtype)]
    run = call("speed", *options, "--runtime", "torch", "--runtime", "onnx", "-o", tmp_path / "speed.parquet")
    assert run.exit_code == 0, run.output
    rows = pd.read_parquet(tmp_path / "speed.parquet").set_index(["runtime", "dtype"])
    assert list(rows.index) == [*(("torch", dtype) for dtype in dtypes), ("onnx", "float32")]
    assert set(rows["operations"]) == {timing.measure(method, 200, repeats=1)[0].operations}
    assert (rows["share"].loc["torch"] > 0).all()
    assert rows["share"].loc["onnx"].isna().all()  # the network cannot be told apart
    # The photograph's result is in memory at least, and the network's maps, but not another process's.
    assert (rows["megabytes"].isna() | rows["megabytes"].between(200 * 200 * 3 * 4 / 1e6, 500)).all()
    for row in rows.reset_index().itertuples():
        runtime = "" if row.runtime == "torch" else f"{row.runtime}, "
        [line] = [line for line in run.stdout.splitlines() if f"threads: 1, {runtime}{row.dtype}, torch" in line]
        assert line.startswith(row.device)


def test_more_pixels_take_longer(threads: int):
    """Of a real method, whose time grows with the photograph: 1024 times as many pixels."""
    options = ("--quick", "--side", 64, "--side", 2048, "--device", "cpu", "--threads", 1)
    run = call("speed", "-m", "shades_of_gray", *options)
    assert run.exit_code == 0
    small, large = (float(fastest) for fastest in re.findall(r"\(([\d.]+) - ", run.stdout.strip().splitlines()[-1]))
    assert large > 20 * small


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-m", "iizuka17"), "unknown model 'iizuka17'; did you mean"),
        (("--device", "tpu9"), "device 'tpu9' cannot be used"),
        (("-o", "speed.csv"), "expected a name that ends in .parquet"),
        (("--side", "0"), "--side"),
        (("--runtime", "tvm"), "--runtime tvm: expected torch, onnx or openvino"),
        (("--dtype", "int8"), "--dtype int8: expected float32 or bfloat16"),
        (("--runtime", "openvino"), "needs the package openvino, which is not installed: pip install openvino"),
        (
            ("--runtime", "onnx", "--dtype", "bfloat16"),
            "onnx runs on the CPU in float32: add --device cpu --dtype",
        ),
    ],
)
def test_speed_that_cannot_be_measured(options: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    monkeypatch.setattr(timing, "has_bfloat16", lambda device: True)
    run = call("speed", *options)
    assert (run.exit_code, run.stdout) == (2, "")
    assert said in run.stderr


def test_bfloat16_needs_its_units(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timing, "has_bfloat16", lambda device: False)
    run = call("speed", "--dtype", "bfloat16", "--device", "cpu")
    assert (run.exit_code, run.stdout) == (2, "")
    assert "--dtype bfloat16: cpu has no units for bfloat16, so it would take longer than float32" in run.stderr


def test_a_method_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measure = timing.measure

    def fail(name: str, side: int, **options: Any) -> tuple[timing.Speed, list[float]]:
        if name == "gray_world":
            raise RuntimeError("not enough memory: you tried to allocate 1 TB")
        return measure(name, side, **options)

    monkeypatch.setattr(timing, "measure", fail)
    options = ("-m", "gray_world", "-m", "white_patch", "--side", 32, "--quick", "--device", "cpu")
    run = call("speed", *options, "-o", tmp_path / "speed.parquet")
    assert run.exit_code == 1
    assert "gray_world at 32 on cpu failed: not enough memory" in run.stderr
    assert list(pd.read_parquet(tmp_path / "speed.parquet")["model"]) == ["white_patch"]


def test_what_cannot_be_exported_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a failure where all methods are measured, with one where it was asked for by name."""
    monkeypatch.setattr(colorlib.models, "list_models", lambda **_: ["welsh02"])
    options = ("--runtime", "onnx", "--side", 32, "--side", 40, "--quick")
    for named, code in (((), 0), (("-m", "welsh02"), 1)):
        run = call("speed", *named, *options)
        assert (run.exit_code, run.stdout) == (code, "")
        assert run.stderr.count("welsh02 is left out on onnx: welsh02 takes its colours from another photograph") == 1


def test_iizukas_table_is_measured_with_all_methods():
    """Both networks at the photograph's own size, but not where anything else is asked for."""
    printed = reported().query("paper == 'iizuka16' and table == 'table 3' and column == 'Pixels'")
    sides = sorted(int(pixels**0.5) for pixels in printed["value"])
    cases = speed._cases(speed.SpeedOptions(device=["cpu"]))
    own = [(case.model, case.side, case.network) for case in cases if not case.resized]
    assert own == [(name, side, side) for name in ("iizuka16", "iizuka16_small") for side in sides]
    assert {case.side for case in cases if case.resized} == {256, 512, 1024}
    assert {case.model for case in cases if case.resized} == set(colorlib.list_models(ready=True))
    for options in ({"quick": True}, {"side": [224]}, {"model": ["iizuka16"]}, {"size": 100}):
        assert all(case.resized for case in speed._cases(speed.SpeedOptions(device=["cpu"], **options)))
    [case] = speed._cases(speed.SpeedOptions(device=["cpu"], model=["iizuka16"], side=[300], size=0))
    assert (case.network, case.resized) == (300, False)


@pytest.mark.nightly
def test_a_quick_measurement_of_all_methods_is_quick(tmp_path: Path):
    start = time.perf_counter()
    assert call("speed", "--quick", "--device", "cpu", "-o", tmp_path / "speed.parquet").exit_code == 0
    assert time.perf_counter() - start < 180
    assert list(pd.read_parquet(tmp_path / "speed.parquet")["model"]) == colorlib.list_models(ready=True)
