"""Memory and time that the project promises, each measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import json, re, statistics, sys, time
import torch
from colorlib import Colorizer
source, out, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
colorizer = Colorizer("iizuka16_small")
def run():
    start = time.perf_counter()
    colorizer(source).save(out)
    return time.perf_counter() - start
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


def _measure(source: Path, out: Path, runs: int) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(source), str(out), str(runs)], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    from skimage import data
    from skimage.io import imsave

    imsave(tmp_path / "astronaut.png", data.astronaut())
    return tmp_path / "astronaut.png"


def test_small_model_file_to_file_at_512(astronaut: Path, tmp_path: Path):
    measured = _measure(astronaut, tmp_path / "out.png", runs=7)
    assert measured["bytes"] < 1e9
    # The goal is 0.25 s on two free cores; this is one thread, and other tests run beside it.
    assert measured["seconds"] < 1.0


def test_a_scan_of_24_megapixels(tmp_path: Path):
    """DESIGN: under 2.5 GB, time linear in pixels."""
    from skimage import data
    from skimage.transform import resize
    from torch import from_numpy

    import colorlib.io

    scan = from_numpy(resize(data.camera(), (4000, 6000), order=1).astype("float32")).expand(3, -1, -1)
    colorlib.io.write(tmp_path / "scan.jpg", scan)
    measured = _measure(tmp_path / "scan.jpg", tmp_path / "out.jpg", runs=1)
    assert measured["bytes"] < 2.5e9
