"""The fast road to finished pictures, held to the reference: :mod:`colorlib.color`, which learns and measures."""

import gc
import threading
from weakref import ref

import numpy as np
import pytest
import torch
from skimage import color as skcolor
from skimage import data
from torch import Tensor

from colorlib import Colorizer, _fast_color, _fast_paint, color, io
from colorlib._fast_paint import Cover, Ground
from colorlib.benchmarks.methods import Method
from colorlib.painting import Chroma, _grounds

QUARTER = 0.25 / 255  # of a step of 8 bits


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def chroma(spread: float, *size: int) -> Tensor:
    return (random(2, *size, seed=1) - 0.5) * 2 * spread


def by_reference(photo: io.Photo, small: Tensor, strength: float = 1.0, saturation: float = 1.0) -> Tensor:
    return Chroma(small[None]).rows(photo.planes, 0, photo.height, strength, saturation)


def assert_close(fast: Tensor, reference: Tensor, spread: float) -> None:
    """Within a quarter of a step; where that is finer than the reference's own 1 / 16,384 of chroma, nearly always."""
    off = (fast - reference).abs()
    if spread > 60:
        assert (off > QUARTER).double().mean() < 1e-3
    assert off.max() <= max(1, spread / 60) * QUARTER


def noise(dtype: type, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def ramp() -> np.ndarray:
    """Every gray of 8 bits, then primaries and their complements at every level."""
    level = np.arange(256, dtype=np.uint8)
    masks = [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    return np.stack([level[:, None] * np.array(mask, np.uint8) for mask in masks])


PICTURES = {
    "a photograph": data.astronaut()[:200, :301],
    "a gray photograph": data.camera()[100:201, :99],
    "random colours": noise(np.uint8, 67, 53, 3),
    "random grays": noise(np.uint8, 67, 53),
    "with alpha": noise(np.uint8, 31, 40, 4),
    "16 bits": noise(np.uint16, 61, 47, 3),
    "16 bits, gray": noise(np.uint16, 61, 47),
    "floats": random(3, 45, 37),
    "grays and primaries": ramp(),
    "black": np.zeros((9, 9, 3), np.uint8),
    "white": np.full((9, 9, 3), 255, np.uint8),
    "one pixel": noise(np.uint8, 1, 1, 3),
    "one row": noise(np.uint8, 1, 777, 3),
    "one column": noise(np.uint8, 777, 1, 3),
}


@pytest.mark.parametrize("spread", [0, 10, 40, 110])
@pytest.mark.parametrize("name", PICTURES)
def test_within_a_quarter_of_a_step(name: str, spread: float):
    photo = io.read(PICTURES[name])
    small = chroma(spread, 7, 5)
    reference, planes = by_reference(photo, small), Chroma(small[None]).over(photo)
    assert planes.levels is not None
    assert_close(planes.whole(), reference, spread)
    for bits in (8, 16):
        peak = 2**bits - 1
        levels = planes.levels(0, photo.height, bits)
        assert levels.dtype == (np.uint8 if bits == 8 else np.uint16)
        assert levels.shape == (photo.height, photo.width, 3)
        off = np.abs(levels / peak - reference.permute(1, 2, 0).numpy())
        assert off.max() <= max(1, spread / 60) * QUARTER + 0.5 / peak


@pytest.mark.parametrize(("strength", "saturation"), [(1, 0), (1, 2.5), (0.5, 1), (0, 1), (0.3, 1.7)])
@pytest.mark.parametrize("name", ["a photograph", "random grays", "16 bits", "floats", "grays and primaries", "white"])
def test_strength_and_saturation(name: str, strength: float, saturation: float):
    photo, small = io.read(PICTURES[name]), chroma(40, 7, 5)
    fast = Chroma(small[None]).over(photo, strength, saturation).whole()
    assert_close(fast, by_reference(photo, small, strength, saturation), 40 * saturation)


def test_far_outside_srgb():
    """The reference finds the edge to 1 / 16,384 of the chroma, of 400 to six quarters of a step."""
    photo, small = io.read(noise(np.uint8, 200, 300, 3)), chroma(400, 200, 300)
    off = (Chroma(small[None]).over(photo).whole() - by_reference(photo, small)).abs()
    assert off.max() < 6 * QUARTER
    assert (off > QUARTER).double().mean() < 3e-3


def test_yellows_that_leave_srgb_and_come_back():
    """Along these hues a bisection has a choice, and both roads make the same, but where 0.0004 of L* decides on it.

    Whichever they make, L* is the photograph's.
    """
    hue = torch.linspace(90, 115, 300).deg2rad()[:, None]
    lightness = torch.linspace(88, 100, 400)[None]
    small = torch.stack([hue.cos().expand(300, 400), hue.sin().expand(300, 400)])
    photo = io.read(color.lightness_to_gray(lightness.expand(300, 400)[None]).expand(3, -1, -1))
    for size in (30, 60, 90, 110):
        fast, reference = Chroma(size * small[None]).over(photo).whole(), by_reference(photo, size * small)
        assert ((fast - reference).abs() > QUARTER).double().mean() < 1e-3
        assert (color.rgb_to_lightness(fast) - lightness).abs().max() < 0.01


@pytest.mark.parametrize(
    ("lightness", "hue", "size"),
    [
        ((91, 92), (96.5, 98.5), 96),  # below the yellows that leave sRGB and come back, and among the first of them
        ((91.2, 91.6), (96, 98), 110),  # where red hardly changes with chroma
        ((97.5, 99), (102, 108), 60),  # among the last of them
        ((92, 98.4), (97, 108), 39.5),  # where they are just back
        ((0.7, 1.2), (-75, -68), 15),  # nearly black
        ((0, 3), (0, 360), 30),
    ],
)
def test_where_the_edge_of_srgb_is_hard_to_find(lightness: tuple[float, float], hue: tuple[float, float], size: float):
    degrees = torch.linspace(*hue, 300).deg2rad()[:, None]
    f_of_y = (torch.linspace(*lightness, 400) + 16) / 116
    y, a, b = (part.expand(300, 400).flatten() for part in (f_of_y, size * degrees.cos(), size * degrees.sin()))
    f = outside_srgb(torch.stack([y + a / 500, y, y - b / 200]))
    assert f.shape[1] > 1000
    assert off_the_edge(_fast_color.reduced(f), f).max() < QUARTER / 2


def outside_srgb(f: Tensor) -> Tensor:
    """Those of colours, f(X), f(Y) and f(Z) of (3, n), that are outside sRGB."""
    linear = torch.empty_like(f)
    _fast_color.to_linear(f, linear, torch.empty_like(f))
    return f[:, torch.from_numpy(_fast_color.outside(linear, torch.empty_like(f)))]


def off_the_edge(linear: Tensor, f: Tensor) -> Tensor:
    """How far linear RGB (3, n) is from what the reference's bisection finds for the same colours, in sRGB."""
    x, y, z = f
    exact = torch.stack(color.bisected(116 * y - 16, 500 * (x - y), 200 * (y - z)))
    return (color.linear_to_srgb(linear.clamp(0, 1)) - color.linear_to_srgb(exact.clamp(0, 1))).abs().double()


@pytest.mark.parametrize("spread", [20, 110])
def test_lightness_stays(spread: float):
    """As scikit-image sees it, whatever is painted: within 0.5, of which half a level of 8 bits takes most."""
    picture = np.concatenate([data.astronaut()[:150, :150], noise(np.uint8, 150, 150, 3)])
    painted = Chroma(chroma(spread, 12, 20)[None]).over(io.read(picture))
    assert painted.levels is not None
    before = skcolor.rgb2lab(picture)[..., 0]
    for levels, bound in ((painted.levels(0, 300, 8) / 255, 0.5), (painted.whole().permute(1, 2, 0).numpy(), 0.1)):
        assert np.abs(skcolor.rgb2lab(levels)[..., 0] - before).max() < bound


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("height", "width"), [(300, 211), (3, 40_000), (5000, 2)])
def test_strips_are_parts_of_the_whole(height: int, width: int, kept: bool, monkeypatch: pytest.MonkeyPatch):
    """Bit for bit, wherever they lie, and whether what belongs to the photograph is kept or not."""
    if not kept:
        monkeypatch.setattr(_fast_paint, "_KEPT", 0)
    photo, small = io.read(noise(np.uint8, height, width, 3)), chroma(60, 9, 8)
    for strength in (1.0, 0.4):
        whole = Cover(Ground(photo), small, strength, 1.2)
        rows, levels = whole.rows(0, height), whole.levels(0, height, 16)
        for start, stop in ((0, 1), (height // 3, height // 2 + 1), (height - 1, height)):
            part = Cover(Ground(photo), small, strength, 1.2)
            assert torch.equal(part.rows(start, stop), rows[:, start:stop])
            assert np.array_equal(part.levels(start, stop, 16), levels[start:stop])


@pytest.mark.parametrize(("tile", "block"), [(64, 640), (1000, 1000), (1 << 20, 1 << 22)])
def test_tiles_do_not_matter(tile: int, block: int, monkeypatch: pytest.MonkeyPatch):
    photo, small = io.read(PICTURES["a photograph"]), chroma(60, 9, 8)
    expected = Cover(Ground(photo), small, 1.0, 1.0).rows(0, photo.height)
    monkeypatch.setattr(_fast_paint, "_TILE", tile)
    monkeypatch.setattr(_fast_paint, "_BLOCK", block)
    torch.testing.assert_close(Cover(Ground(photo), small, 1.0, 1.0).rows(0, photo.height), expected, rtol=0, atol=2e-7)


def test_threads_do_not_matter():
    photo, small = io.read(data.astronaut()), chroma(60, 9, 8)
    before = torch.get_num_threads()
    try:
        painted = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            painted.append(Cover(Ground(photo), small, 1.0, 1.0).levels(0, 512, 16).astype(int))
    finally:
        torch.set_num_threads(before)
    assert np.abs(painted[0] - painted[1]).max() <= 1


def test_curves():
    """The errors that the module states, against the formulas in float64."""
    x = torch.linspace(0, 1, 1_000_001, dtype=torch.float64)
    curves = (
        (_fast_color.gamma_curve(1), color.linear_to_srgb(x), 1.4e-5),
        (_fast_color.root_curve(), color._lab_f(x), 7.5e-6),
    )
    for curve, expected, error in curves:
        found, scratch = torch.empty(2, len(x), dtype=torch.float32)
        _fast_color.bend(x.float(), curve, found, scratch)
        assert (found - expected).abs().max() < error


def test_what_belongs_to_a_photograph_is_computed_once(monkeypatch: pytest.MonkeyPatch):
    computed = []
    luminance = Ground._luminance
    monkeypatch.setattr(Ground, "_luminance", lambda *given: computed.append(given[1]) or luminance(*given))
    photo = io.read(data.astronaut())
    methods = [Chroma(chroma(spread, 9, 8)[None]) for spread in (10, 20, 30)]
    threads = [threading.Thread(target=lambda one=one: one.over(photo).whole()) for one in methods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(place.shape[0] * place.shape[1] for place in computed) == 512 * 512


def test_it_is_forgotten_with_the_photograph():
    photo = io.read(data.astronaut())
    Chroma(chroma(10, 9, 8)[None]).over(photo).whole()
    ground = ref(_grounds[photo])
    del photo
    gc.collect()
    assert ground() is None


def test_under_the_callers_modes():
    """Inference mode, gradients, another default type or device: the pictures are the same."""
    photo, small = io.read(PICTURES["a photograph"]), chroma(40, 7, 5)
    expected = Chroma(small[None]).over(photo).whole()
    with torch.inference_mode():
        assert torch.equal(Chroma(small[None]).over(io.read(PICTURES["a photograph"])).whole(), expected)
    assert torch.equal(Chroma(small[None].requires_grad_()).over(photo).whole(), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Chroma(small[None]).over(photo).whole(), expected)
    torch.set_default_device("meta")
    try:
        assert torch.equal(Chroma(small[None]).over(photo).whole(), expected)
    finally:
        torch.set_default_device(None)


def test_saved_pixels_are_those_of_the_image(tmp_path):
    result = Colorizer("lin21_convnet_small")(PICTURES["with alpha"])
    result.save(tmp_path / "saved.png")
    assert np.array_equal(io.read(tmp_path / "saved.png").pixels, np.asarray(result.image))
    rounded = (result.rgb.permute(1, 2, 0) * 255).round().numpy()
    assert np.abs(np.asarray(result.image)[..., :3] - rounded).max() <= 1  # but for ties


def test_batches_are_painted_like_single_photographs():
    rgb, colorizer = random(2, 3, 64, 48), Colorizer("lin21_convnet_small")
    together = colorizer.batch(rgb)
    for one, photo in zip(together, rgb, strict=True):
        torch.testing.assert_close(one, colorizer(photo).rgb, rtol=0, atol=1e-4)


def test_benchmarks_measure_the_reference():
    """Bit for bit, so that rows do not change."""
    rgb = random(2, 3, 64, 48)
    painter = Method.of("lin21_convnet_small").painter("cpu")
    with torch.no_grad():
        model = painter.colorizer.model
        raw = model(model.to_input(painter.colorizer.seen(rgb)))
        expected = painter.colorizer.target.decode(raw, color.rgb_to_lightness(rgb))
    torch.testing.assert_close(painter(rgb), expected, rtol=0, atol=1e-5)
    assert not torch.equal(painter(rgb), painter.colorizer.batch(rgb))
