"""Too little memory leads to a smaller run that says so, or to an error that says what there is enough for.

Processes of their own may take only so much: what torch says then is what users' machines say.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from skimage import data

from colorlib import Colorizer, OutOfMemoryError, SideBySide, batch, create_model
from colorlib.benchmarks import Method, evaluate
from colorlib.benchmarks.methods import Painter
from colorlib.image import size_of
from colorlib.memory import first_that_fits, is_out_of_memory
from colorlib.models import ColorModel

# Memory that a process has is let go before the limit is set, so that it cannot be used again.
HEAD = """
import ctypes, json, resource, sys
import numpy as np, torch
from skimage import data
from colorlib import Colorizer, OutOfMemoryError, SideBySide

torch.set_num_threads(1)
photo = np.kron(data.camera(), np.ones((2, 2), np.uint8))

def limit(megabytes):
    unlimited()
    ctypes.CDLL(None).malloc_trim(0)
    (used,) = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData")]
    resource.setrlimit(resource.RLIMIT_DATA, (used + (megabytes << 20), -1))

def unlimited():
    resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
"""
SMALL = "hwang16_regression_small"


def run(code: str) -> list[Any]:
    """What a process says, a line each."""
    done = subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit a process so")


@LINUX
@pytest.mark.slow
def test_a_photograph_is_seen_smaller_and_the_result_says_so():
    """Whatever the limit: what torch says depends on what it was at. Each is a process: oneDNN remembers failures."""
    found = {}
    for more in (60, 1500):
        ((error, warning, same),) = run(f"""
colorizer = Colorizer({SMALL!r}, size=768, device="cpu")
colorizer(data.camera()[:64])
limit({more})
try:
    result = colorizer(photo)
except OutOfMemoryError as error:
    print(json.dumps([str(error), "", True]))
else:
    unlimited()
    warning = " ".join(result.warnings)
    size = int(warning.rpartition(" x ")[2] or 768)
    alone = Colorizer({SMALL!r}, size=size, device="cpu")(photo).ab
    print(json.dumps(["", warning, torch.equal(result.ab, alone)]))
""")
        found[more] = error, warning, same
    little = "cpu has too little memory for"
    advice = "use a smaller method, or a machine with more memory"
    assert {error for error, *_ in found.values()} <= {
        "",
        f"{SMALL}: {little} a photograph at 768 x 768 pixels; {advice}",
    }
    begin = f"{little} {SMALL} at 768 x 768 pixels: it saw a copy of "
    sizes = [warning.removeprefix(begin) for error, warning, _ in found.values() if not error]
    assert set(sizes) <= {"", "384 x 384", "192 x 192", "96 x 96", "64 x 64"}
    assert len(set(found.values())) > 1, "no limit mattered"
    assert found[1500] == ("", "", True)
    assert all(same for *_, same in found.values())


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("more", [140, 1500])
def test_side_by_side_each_method_does_what_it_does_alone(more):
    """They share an encoder, whose maps may be too much."""
    found = run(f"""
names = [{SMALL!r}, "dahl16_small"]
both = SideBySide(names, size=768, device="cpu")
both(data.camera()[:64])
limit({more})
try:
    results = both(photo)
except OutOfMemoryError:
    results = []
unlimited()
for name, result in zip(names, results):
    size = int(" ".join(result.warnings).rpartition(" x ")[2] or 768)
    alone = Colorizer(name, size=size, device="cpu")(photo).ab
    print(json.dumps([size, (result.ab - alone).abs().max().item()]))
""")
    assert all(apart < 1e-3 for _, apart in found)
    if more == 1500:
        assert [size for size, _ in found] == [768] * 2


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("more", [150, 1500])
def test_an_error_says_what_there_is_enough_for(more):
    """Fewer photographs at once, or one at a smaller size; and a little more memory is enough for that."""
    start = f"""
colorizer = Colorizer({SMALL!r}, device="cpu")
many = torch.rand(16, 3, 640, 640)
colorizer.paint(many[:1, :, :64])
"""
    (message,) = run(f"""{start}
colorizer.size = 512
limit({more})
message = ""
try:
    colorizer.batch(many)
except OutOfMemoryError as error:
    message = str(error)
print(json.dumps(message))
""")
    if more == 1500:
        assert message == ""
        return
    begin = f"{SMALL}: cpu has too little memory for 16 photographs at 512 x 512 pixels; "
    fewer = {f"there is enough for {count} at once": (count, 512) for count in (8, 4, 2, 1)}
    smaller = {f"size={size} fits": (1, size) for size in (256, 128, 64, 32)}
    none = {"use a smaller method, or a machine with more memory": (0, 0)}
    count, size = (fewer | smaller | none)[message.removeprefix(begin)]
    if not count:
        return
    run(f"""{start}
colorizer.size = {size}
limit({more} + 150)  # what is free lies in pieces
colorizer.paint(many[:{count}])
""")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, int], list[tuple[int, ...]]]:
    """Lets the first runs of a network meet torch's own error, of a tensor that no machine can hold."""

    def lacks(model: ColorModel, runs: int) -> list[tuple[int, ...]]:
        predict, shown = model.predict, list[tuple[int, ...]]()

        def full(lightness: torch.Tensor) -> torch.Tensor:
            shown.append(size_of(lightness))
            return torch.empty(1 << 50, dtype=torch.uint8) if len(shown) <= runs else predict(lightness)

        monkeypatch.setattr(model, "predict", full)
        return shown

    return lacks


@pytest.mark.parametrize("shape", [(512, 512), (500, 20_000), (120, 3000)])
def test_each_copy_needs_less_than_the_one_before(short, shape):
    """Also of a panorama, which has the pixels of four squares."""
    colorizer = Colorizer(SMALL, device="cpu")
    sizes = [*colorizer._sizes(*shape)]
    seen = short(colorizer.model, len(sizes) - 1)
    (warning,) = colorizer(np.zeros(shape, np.uint8)).warnings
    assert len(sizes) >= 2
    assert [size for _, size in sizes] == seen
    assert seen[0] == colorizer.seen_size(*shape)
    assert all(one[0] * one[1] > other[0] * other[1] for one, other in pairwise(seen))
    assert warning.endswith("it saw a copy of {1} x {0}".format(*seen[-1]))
    # Who asks for the size that an error names gets that copy.
    assert [Colorizer(SMALL, size=bound, device="cpu").seen_size(*shape) for bound, _ in sizes] == seen


@pytest.mark.parametrize("name", ["gray_world", "color_by_colorization_small", SMALL])
@pytest.mark.parametrize("shape", [(40, 60), (64, 640), (300, 4000)])
def test_the_first_size_is_the_usual_one(name, shape):
    """Also of a method that works at the photograph's own size, whatever its shape."""
    colorizer = Colorizer(name, device="cpu")
    usual = next(colorizer._sizes(*shape))
    assert usual[1] == colorizer.seen_size(*shape)
    if name == "gray_world":
        assert usual == (min(shape), shape)


def test_on_a_canvas_every_copy_needs_the_same():
    """As the network that Larsson et al. released puts photographs on one of 512 x 512."""
    model = create_model("larsson16", released=True, width=1 / 16)
    colorizer = Colorizer(model, device="cpu", size=256)
    assert [bound for bound, _ in colorizer._sizes(600, 800)] == [256]


def test_scenes_are_found_on_a_smaller_copy_too(monkeypatch):
    colorizer = Colorizer("iizuka16_small", device="cpu")
    scores, shown = colorizer.model.scene_scores, []

    def full(lightness: torch.Tensor) -> torch.Tensor:
        shown.append(size_of(lightness))
        return torch.empty(1 << 50, dtype=torch.uint8) if len(shown) == 1 else scores(lightness)

    monkeypatch.setattr(colorizer.model, "scene_scores", full)
    with pytest.warns(UserWarning, match="at 192 x 192 pixels: it saw a smaller copy"):
        found = colorizer.scenes(data.camera())
    assert shown == [(192, 192), (96, 96)]
    assert found == Colorizer("iizuka16_small", device="cpu", size=96).scenes(data.camera())


def test_what_is_measured_is_not_seen_smaller(short, tmp_path):
    method = Method.of(f"{SMALL}:transfer=quantile")
    painter = method.painter("cpu")
    short(painter.colorizer.model, 1)
    with pytest.raises(OutOfMemoryError, match="at 192 x 192 pixels; choose a smaller size"):
        painter(torch.rand(1, 3, 200, 200))


def test_a_benchmark_names_the_size_of_its_batches(monkeypatch):
    monkeypatch.setattr(Painter, "__call__", lambda *_: torch.empty(1 << 50, dtype=torch.uint8))
    with pytest.raises(OutOfMemoryError, match=r"^too little memory with a batch_size of 4; choose a smaller one \("):
        evaluate(SMALL, "skimage", batch_size=4, device="cpu")


def test_the_demo_says_it(session, short):
    networks, words = importlib.import_module("networks"), importlib.import_module("words")
    one = session.Session(Path(skimage.__file__).parent / "data" / "camera.png")
    short(networks.colorizer(SMALL).model, 1)
    assert [error for _, error in one.colour([SMALL])] == [None]
    (remark,) = one.results[SMALL].warnings
    assert "it saw a copy of" in remark
    caption = importlib.import_module("results").Results.painted(_panels(SMALL), SMALL, one)["caption"]
    assert f"<span>{words.remarks_text([remark])}</span>" in caption


def test_a_client_of_the_demo_is_told(app, short):
    networks, api = importlib.import_module("networks"), importlib.import_module("api")
    photo = Path(importlib.import_module("uploads").TEMP.name) / "camera.png"
    photo.write_bytes((Path(skimage.__file__).parent / "data" / "camera.png").read_bytes())
    short(networks.colorizer(SMALL).model, 1)
    _, (row,) = api.colorize({"path": str(photo)}, [SMALL])
    assert "it saw a copy of" in row["warnings"][-1]


def test_the_tab_for_many_names_them(app, short):
    batches, words = importlib.import_module("batches"), importlib.import_module("words")
    photo = Path(skimage.__file__).parent / "data" / "camera.png"
    made = batches.Batch([photo, photo], SMALL)
    short(importlib.import_module("networks").colorizer(SMALL).model, 1)
    assert len(list(made.run())) == 2
    assert made.smaller == ["camera.png"]
    assert "smaller copies of these: camera.png.</p>" in words.many_html(2, 2, smaller=made.smaller)


def _panels(name: str) -> Any:
    """A grid whose parts are their own names."""
    return SimpleNamespace(panels={name: SimpleNamespace(image="image", caption="caption")})


def test_where_nothing_fits_the_error_says_so(short, tmp_path):
    """And a photograph of a folder fails with it, while the next one is coloured."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(data.camera()).save(tmp_path / "in" / name)
    colorizer = Colorizer(SMALL, device="cpu")
    shown = short(colorizer.model, 3)
    outcomes = [*batch.run(batch.plan([str(tmp_path / "in")], tmp_path / "out"), colorizer)]
    advice = "use a smaller method, or a machine with more memory"
    failed = f"{SMALL}: cpu has too little memory for a photograph at 192 x 192 pixels; {advice}"
    assert shown == [(192, 192), (96, 96), (64, 64), (192, 192)]
    assert [(one.status, one.error) for one in outcomes] == [("failed", failed), ("colored", None)]


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="size of tensor"):
        first_that_fits([lambda: torch.ones(2) + torch.ones(3)])
    assert not is_out_of_memory(ValueError("out of memory"))
    assert is_out_of_memory(OutOfMemoryError())
    with pytest.raises(OutOfMemoryError, match=r"^allocate memory$"):
        first_that_fits([_lacking, _lacking])


def _lacking() -> None:
    raise RuntimeError("allocate memory\nat a place in C++")


@pytest.mark.cuda
def test_on_a_gpu_too():
    photo = torch.rand(3, 2048, 2048)
    _, total = torch.cuda.mem_get_info()
    colorizer = Colorizer(SMALL, size=2048, device="cuda")
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + (100 << 20)) / total)
    try:
        (warning,) = colorizer(photo).warnings
        assert "has too little memory" in warning
        (other,) = SideBySide([SMALL, "dahl16_small"], size=2048, device="cuda")(photo)[0].warnings
        assert "too little memory" in other
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
