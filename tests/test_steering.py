"""Colours that are chosen for points. Oracles: numpy, scikit-image, and pictures whose answer is known."""

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab, xyz2lab, xyz_tristimulus_values
from torch import Tensor

from colorlib import Colorizer, color, steering
from colorlib.models import ColorModel
from colorlib.painting import Chroma, Prediction
from colorlib.steering import Hint, Steering
from colorlib.targets import HueChroma, LabJoint

SIDES = 60, 80
BLUE, GREEN = (5.0, -30.0), (-25.0, 25.0)


class Halves(ColorModel):
    """Sure of one hue on the left, and of another on the right, of the same chroma."""

    stride = 1

    def __init__(self, hues: tuple[int, int]) -> None:
        super().__init__()
        self.hues = hues
        self.target = HueChroma(fading=0, decoder="mode")

    def predict(self, lightness: Tensor) -> Tensor:
        height, width = lightness.shape[-2:]
        logits = torch.full((64, height, width), -20.0)
        for hue, half in zip(self.hues, (slice(width // 2), slice(width // 2, None)), strict=True):
            logits[hue, :, half] = 5.0
        logits[32 + 8] = 5.0
        return logits[None].expand(len(lightness), -1, -1, -1)


def gray(left: float, right: float, sides: tuple[int, int] = SIDES) -> np.ndarray:
    """A picture of two halves, by their L."""
    lab = np.zeros((*sides, 3))
    lab[:, : sides[1] // 2, 0], lab[:, sides[1] // 2 :, 0] = left, right
    return (255 * lab2rgb(lab)).round().astype(np.uint8)


def painted(picture: np.ndarray, *hints: Hint, hues: tuple[int, int] = (4, 4)) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) before and after, (H, W, 2)."""
    result = Colorizer(Halves(hues))(picture)
    before, after = (one.rgb.movedim(0, -1).double().numpy() for one in (result, result.steer(hints)))
    return rgb2lab(before)[..., 1:], rgb2lab(after)[..., 1:]


def test_the_pixel_gets_the_colour_that_was_chosen():
    wanted = lab2rgb(np.array([[[55.0, *BLUE]]]))[0, 0]
    for x, y in ((10, 10), (0, 0), (79, 59), (39, 30)):
        result = Colorizer(Halves((4, 4)))(gray(55, 55)).steer([Hint.of_rgb(x, y, wanted)])
        assert np.abs(result.rgb[:, y, x].numpy() - wanted).max() < 1 / 255


def test_an_edge_stops_a_colour():
    before, after = painted(gray(40, 75), Hint(10, 30, *BLUE))
    assert np.abs(after[:, :40] - BLUE).max() < 0.5  # all of its side
    assert np.abs(after[:, 40:] - before[:, 40:]).max() < 0.5  # and nothing else


@pytest.mark.parametrize("sides", [(150, 200), (600, 800)])  # with a grid as large as the photograph, and smaller
def test_an_edge_stops_the_colour_of_a_pixel_beside_it(sides: tuple[int, int]):
    height, width = sides
    cell = width / steering.grid_size(*sides)[1]
    result = Colorizer(Halves((4, 4)))(gray(40, 75, sides))
    before = result.rgb.movedim(0, -1)
    for x in (width // 2 - 2, width // 2 - 1, width // 2, width // 2 + 1):
        steered = result.steer([Hint(x, height // 3, *BLUE)]).rgb.movedim(0, -1)
        ab = color.rgb_to_lab(steered.movedim(-1, 0))[1:]
        assert (ab[:, height // 3, x] - torch.tensor(BLUE)).abs().max() < 0.1  # the pixel has it
        changed = ((steered - before).abs().amax(dim=-1) > 2e-3).numpy()
        own = changed[:, : width // 2] if x < width // 2 else changed[:, width // 2 :]
        assert own.mean() > 0.98
        across = changed[:, width // 2 :] if x < width // 2 else changed[:, width // 2 - 1 :: -1]
        # Two cells: one that the edge runs through, or that the pixel is painted from, and its share in the next.
        assert np.nonzero(across)[1].max(initial=-1) < (0 if cell == 1 else 2 * cell)


def test_another_prediction_stops_a_colour_where_no_edge_does():
    before, after = painted(gray(60, 60), Hint(10, 30, *BLUE), hues=(4, 20))
    assert np.abs(after[:, :38] - BLUE).max() < 0.5
    reach = 40 + int(steering.CELLS_APART) + 1
    assert np.abs(after[:, reach:] - before[:, reach:]).max() < 0.5
    _, everywhere = painted(gray(60, 60), Hint(10, 30, *BLUE))
    assert np.abs(everywhere - BLUE).max() < 0.5


def test_hints_share_what_they_reach():
    _, after = painted(gray(60, 60), Hint(10, 30, *BLUE), Hint(70, 30, *GREEN))
    assert np.abs(after[30, 10] - BLUE).max() < 0.5
    assert np.abs(after[30, 70] - GREEN).max() < 0.5
    assert np.abs(after[:, 40] - np.add(BLUE, GREEN) / 2).max() < 1.5  # between the pixels 39 and 40 is the middle
    _, after = painted(gray(60, 60), Hint(10, 30, *BLUE), Hint(10, 30, *GREEN))
    assert np.abs(after - GREEN).max() < 0.5  # of two for one place the later


def test_undoing_gives_the_original():
    result = Colorizer(Halves((4, 20)))(gray(40, 75))
    assert result.steer([]) is result
    steering_one = Steering(result.paint, result.photo)
    first = steering_one.paint([Hint(10, 30, *BLUE)])
    both = steering_one.paint([Hint(10, 30, *BLUE), Hint(70, 30, *GREEN)])
    assert not torch.equal(both.small, first.small)
    assert torch.equal(steering_one.paint([Hint(10, 30, *BLUE)]).small, first.small)
    assert steering_one.paint([]) is result.paint


def test_what_was_chosen_is_said_and_lightness_stays():
    result = Colorizer(Halves((4, 20)))(gray(40, 75)).steer([Hint(10, 30, *BLUE), Hint(70, 30, *GREEN)])
    assert result.provenance.endswith(", 2 colours chosen by hand")
    assert result.prediction is not None  # a click still has its answer
    lightness = rgb2lab(result.rgb.movedim(0, -1).double().numpy())[..., 0]
    assert np.abs(lightness - result.lightness.numpy()).max() < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_walks_are_the_cheapest(seed: int):
    random = np.random.default_rng(seed)
    height, width = 9, 13
    lightness = (40 + 8 * random.standard_normal((height, width))).astype(np.float32)
    apart = random.random((height, width)).astype(np.float32)
    rows, columns = np.array([3, 4]), np.array([7])
    steps = np.concatenate([np.diff(lightness, axis=0).ravel(), np.diff(lightness, axis=1).ravel()]) ** 2
    scale = steering.JUMP**2 + steering.TEXTURE * np.quantile(steps, 0.75)  # the window holds the whole picture
    expected = np.full((height, width), np.inf)
    expected[3:5, 7] = 0
    for _ in range(height * width):  # Bellman and Ford
        for y, x in np.ndindex(height, width):
            for v, u in ((y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                if not (0 <= v < height and 0 <= u < width):
                    continue
                cost = np.hypot(v - y, u - x) * (
                    steering.LENGTH / np.hypot(height, width)
                    + (apart[y, x] ** 2 + apart[v, u] ** 2) / 2 / steering.CELLS_APART
                )
                cost += (lightness[y, x] - lightness[v, u]) ** 2 / scale
                expected[y, x] = min(expected[y, x], expected[v, u] + cost)
    found = steering.walk(lightness, apart, rows, columns)
    near = expected < 1
    assert near.sum() > 10
    assert np.abs(found - expected)[near].max() < 1e-5
    assert np.isinf(found[~near]).all()


def test_blend_is_what_it_says():
    random = np.random.default_rng(0)
    ab = random.normal(0, 20, (2, 4, 5)).astype(np.float32)
    distances = random.uniform(0.05, 1, (3, 4, 5)).astype(np.float32)
    distances[:, 0, 0] = np.inf
    distances[1, 1, 1] = np.inf
    colours = random.normal(0, 30, (3, 2)).astype(np.float32)
    found = steering.blend(ab, distances, colours)
    for y, x in np.ndindex(4, 5):
        d = distances[:, y, x].astype(float)
        t = min(max((1 - d.min()) / (1 - steering.FULL), 0), 1)
        if not t:
            assert (found[:, y, x] == ab[:, y, x]).all()
            continue
        chosen = (colours / d[:, None] ** 2).sum(axis=0) / (1 / d**2).sum()
        cover = 3 * t**2 - 2 * t**3
        assert found[:, y, x] == pytest.approx((1 - cover) * ab[:, y, x] + cover * chosen, abs=1e-3)


def test_differences_are_hellingers():
    target = LabJoint()
    logits = 2 * torch.randn(256, 3, 4, generator=torch.Generator().manual_seed(0))
    paint = Chroma(torch.zeros(1, 2, 3, 4), Prediction(logits, torch.full((1, 3, 4), 50.0), target))
    found = steering.differences(paint, 0.5, 0.9).numpy()
    p = np.exp(logits.numpy())
    p /= p.sum(axis=0)
    expected = np.sqrt(((np.sqrt(p) - np.sqrt(p[:, 1, 3])[:, None, None]) ** 2).sum(axis=0) / 2)
    assert found == pytest.approx(expected, abs=1e-3)
    # Of Gaussians, against the integral.
    paint = Chroma(torch.tensor([0.0, 15.0, 40.0]).view(1, 1, 1, 3).expand(1, 2, 1, 3) * torch.tensor([[[1.0]], [[0]]]))
    t = np.linspace(-100, 150, 20001)
    densities = [np.exp(-((t - mean) ** 2) / (2 * steering.PRECISE**2)) for mean in (0, 15, 40)]
    roots = [np.sqrt(density / np.trapezoid(density, t)) for density in densities]
    expected = [np.sqrt(np.trapezoid((root - roots[0]) ** 2, t) / 2) for root in roots]
    assert steering.differences(paint, 0, 0)[0].numpy() == pytest.approx(expected, abs=1e-4)


def test_warmer_goes_towards_morning_light():
    white = np.array(xyz_tristimulus_values(illuminant="D50", observer="2"))
    _, a, b = xyz2lab(white[None, None])[0, 0]
    hint = Hint(1, 2, 10.0, -4.0)
    warmer = hint.warmer(3)
    assert (warmer.x, warmer.y) == (1, 2)
    assert (warmer.a - hint.a, warmer.b - hint.b) == pytest.approx(3 * np.array([a, b]) / np.hypot(a, b), abs=0.05)
    back = warmer.warmer(-3)
    assert (back.a, back.b) == pytest.approx((10, -4))


def test_large_photographs_get_a_grid_that_is_bounded():
    result = Colorizer(Halves((4, 4)))(np.kron(gray(40, 75), np.ones((10, 10, 1), np.uint8)))
    steered = result.steer([Hint(100, 300, *BLUE)])
    assert min(steered.ab.shape[-2:]) == steering.GRID
    copy = color.rgb_to_lab(steered.rgb)[1:, ::10, ::10].movedim(0, -1)
    assert (copy[:, :39] - torch.tensor(BLUE)).abs().max() < 0.5


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((60, 80), (60, 80)),
        ((600, 800), (256, 341)),
        ((64, 16_000), (23, 5698)),
        ((60_000, 256), (5461, 24)),
        ((1, 64_000_000), (1, 131_072)),
    ],
)
def test_grids_are_bounded_whatever_the_shape(sides: tuple[int, int], expected: tuple[int, int]):
    assert steering.grid_size(*sides) == expected
    assert np.prod(expected) <= steering.CELLS == 131_072


def test_what_is_kept_of_hints_is_bounded():
    result = Colorizer(Halves((4, 4)))(gray(60, 60))
    kept = Steering.of(result)
    for x in range(5):
        kept.paint([Hint(x, 30, *BLUE), Hint(70, 30, *GREEN)])
    assert sorted(kept._found) == [(4, 30), (70, 30)]
    with pytest.raises(ValueError, match="at most 100 points with a chosen colour, got 101"):
        kept.paint([Hint(x % 80, x // 80, *BLUE) for x in range(steering.HINTS + 1)])


def test_what_cannot_be_steered_is_said():
    result = Colorizer(Halves((4, 4)))(gray(40, 75))
    with pytest.raises(ValueError, match=r"hints in a photograph of 80 x 60, got Hint\(x=80"):
        result.steer([Hint(80, 0, *BLUE)])
    with pytest.raises(ValueError, match="finite numbers"):
        result.steer([Hint(0, 0, float("nan"), 0)])
    with pytest.raises(ValueError, match=r"three numbers in \[0, 1\]"):
        Hint.of_rgb(0, 0, (0, 128, 0))
    balanced = Colorizer("gray_world")(gray(40, 75))
    with pytest.raises(ValueError, match="gray_world balances"):
        balanced.steer([Hint(0, 0, *BLUE)])
