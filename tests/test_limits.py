"""Memory and time that the project promises, each measured in a process of its own."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from colorlib import list_models

MEASURE = """
import json, re, statistics, sys, time
import torch
from colorlib import Colorizer
source, out, runs, *names = *sys.argv[1:3], int(sys.argv[3]), *sys.argv[4:]
torch.set_num_threads(1)
def run():
    start = time.perf_counter()
    colorizer(source).save(out)
    return time.perf_counter() - start
for name in names:
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
    colorizer = Colorizer(name)
    run()
    seconds = statistics.median(run() for _ in range(runs))
    # Not getrusage: its peak may be that of the process that started this one.
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
    print(json.dumps({"seconds": seconds, "bytes": int(peak) * 1024}))
"""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc"),
]


def _measure(names: list[str], source: Path, out: Path, runs: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-c", MEASURE, str(source), str(out), str(runs), *names]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(names, map(json.loads, run.stdout.splitlines()), strict=True))


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    from skimage import data
    from skimage.io import imsave

    imsave(tmp_path / "astronaut.png", data.astronaut())
    return tmp_path / "astronaut.png"


def test_small_models_file_to_file_at_512(astronaut: Path, tmp_path: Path):
    """One after the other, as starting a process takes longer than all else."""
    names = list_models("*_small", ready=True)
    for name, measured in _measure(names, astronaut, tmp_path / "out.png", runs=7).items():
        assert measured["bytes"] < 1e9, name
        # The goal is 0.25 s on two free cores; this is one thread, and other tests run beside it.
        assert measured["seconds"] < 1.0, name


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("iizuka16_small", 1.25e9),
        pytest.param("larsson16_small", 1.25e9, marks=pytest.mark.nightly),
        pytest.param("welsh02", 1.25e9, marks=pytest.mark.nightly),
        pytest.param("color_by_colorization_small", 1.25e9, marks=pytest.mark.nightly),
        ("shades_of_gray", 2.5e9),  # which takes its mean over the whole photograph, in floats
    ],
)
def test_a_scan_of_24_megapixels(name: str, most: float, tmp_path: Path):
    """Painted by strips, from bytes to bytes: two copies in floats would be 0.6 GB more. Time linear in pixels."""
    from skimage import data
    from skimage.transform import resize
    from torch import from_numpy

    import colorlib.io

    scan = from_numpy(resize(data.camera(), (4000, 6000), order=1).astype("float32")).expand(3, -1, -1)
    colorlib.io.write(tmp_path / "scan.jpg", scan)
    measured = _measure([name], tmp_path / "scan.jpg", tmp_path / "out.jpg", runs=1)[name]
    assert measured["bytes"] < most
    assert measured["seconds"] < 60  # 5 to 10 on two free cores; it would be minutes if it grew faster than the pixels


BOUNDED = """
import re, sys, torch
from colorlib import Colorizer
from colorlib.io import store
torch.set_num_threads(1)
store.IN_MEMORY = 1 << 22  # so that pictures of a few megapixels count as large
colorizer = Colorizer("lin21_convnet_small")
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")
    colorizer(path).save(path.replace("scan", "out"))
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize(("suffix", "bits"), [("jpg", 8), ("png", 8), ("png", 16), ("tif", 16)])
def test_memory_does_not_grow_with_the_picture(suffix: str, bits: int, tmp_path: Path):
    """From 2 to 12 megapixels: 30 MB of pixels more in 8 bits and 60 in 16, decoded and once more to be encoded."""
    import torch
    from skimage import data

    import colorlib.io

    paths = []
    for height, width in ((1200, 1700), (3000, 4000)):
        picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
        tall = picture.repeat(1, height // 512 + 1, width // 512 + 1)[:, :height, :width]
        paths.append(str(tmp_path / f"scan-{height}.{suffix}"))
        colorlib.io.write(paths[-1], tall, bit_depth=bits)
    # glibc would keep some of what is freed, and more or less of it each time: it gives back all pieces above a size.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    command = [sys.executable, "-c", BOUNDED, *paths]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    small, large = (int(line) * 1024 for line in run.stdout.splitlines())
    assert large - small < 25e6


@pytest.mark.parametrize(("command", "most"), [("--help", 0.5), ("models", 1.0)])
def test_the_shell_starts_quickly(command: str, most: float):
    """In seconds of the CPU, of which other processes take none away; the best of three, since caches may be cold."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "colorlib", command], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < most


WHOLE = """
import re, torch
from colorlib import create_model
torch.set_num_threads(1)
with torch.inference_mode():
    prediction = create_model("larsson16")(torch.rand(1, 1, 512, 512) * 100)
print(tuple(prediction.shape), re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def test_larsson16_at_512_pixels_in_3_gigabytes():
    """With its 147 million weights; the hypercolumns alone, concatenated at stride 4, would be 0.8 GB."""
    run = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True, check=True)
    shape, kilobytes = run.stdout.rsplit(maxsplit=1)
    assert shape == "(1, 64, 128, 128)"
    assert int(kilobytes) * 1024 < 3e9
