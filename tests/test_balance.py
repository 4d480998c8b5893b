"""White balance by the user's verb: a photograph in colour goes in, of any size, and comes out without its cast."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from colorlib import Colorizer, create_model, io
from colorlib.benchmarks import Method
from colorlib.casts import global_cast, ramp_cast
from colorlib.metrics.functional import angular_error
from colorlib.models import WhiteBalance
from colorlib.models._base import smooth_gains
from colorlib.painting import relit
from colorlib.targets import Picture


class Scaling(WhiteBalance):
    """Halves red and leaves the rest, but for an error in every other column, as a network makes in detail."""

    def __init__(self, error: float = 0.0, work_size: int | None = None):
        super().__init__()
        self.target, self.error, self.work_size = Picture(), error, work_size

    def predict(self, lightness: Tensor) -> Tensor:
        balanced = lightness * torch.tensor([0.5, 1.0, 1.0]).view(3, 1, 1)
        balanced[..., ::2] += self.error
        balanced[..., 1::2] -= self.error
        return 2 * balanced - 1


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    return torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255


def test_gains_of_a_network_are_put_on_the_photograph(astronaut: Tensor):
    """Not the network's picture: its detail, and what it gets wrong in it, stay out."""
    photo = 0.75 * astronaut  # without highlights
    result = Colorizer(Scaling(error=0.05, work_size=64))(photo)
    expected = photo * torch.tensor([0.5, 1, 1]).view(3, 1, 1)
    assert (result.rgb - expected).abs().mean() < 0.004
    assert result.gains is not None
    assert result.gains.shape == (3, 64, 64)
    assert result.ab.shape == (2, 64, 64)


@pytest.mark.parametrize("name", ["gray_world", "white_patch", "shades_of_gray"])
def test_one_gain_for_a_picture_is_put_on_it_as_it_is(name: str, astronaut: Tensor):
    """What the method itself makes of a photograph, but in highlights; in the dark too."""
    model = create_model(name)
    for photo in (global_cast(astronaut[None], 1.4, 0.6)[0], 0.04 * astronaut):
        result = Colorizer(name)(photo)
        midtones = (photo <= 0.75).all(dim=0)
        expected = model.colorize(photo[None])[0]
        torch.testing.assert_close(result.rgb[:, midtones], expected[:, midtones], atol=1e-6, rtol=1e-5)
        assert result.gains is not None
        assert result.gains.shape == (3, 1, 1)


def _with_whites(photo: Tensor) -> Tensor:
    lit = photo.clone()
    lit[:, :8], lit[:, 8:16] = 1, 0
    return lit


@pytest.mark.parametrize("name", ["gray_world", "shades_of_gray", "color_by_colorization_small"])
@pytest.mark.parametrize("cast", [(1.0, 1.0), (1.3, 0.7), (0.7, 1.3)])
def test_white_stays_white(name: str, cast: tuple[float, float], astronaut: Tensor):
    """Clipped highlights have lost their ratio: a gain that fits the rest would tint them. Black stays black."""
    photo = _with_whites(global_cast(0.9 * astronaut[None], *cast)[0])
    colorizer = Colorizer(name)
    for balanced in (colorizer(photo).rgb, colorizer.batch(photo[None])[0]):
        assert (balanced[:, :8] - 1).abs().max() < 1e-6
        assert balanced[:, 8:16].abs().max() < 1e-6
        assert (balanced[:, 16:] - photo[:, 16:]).abs().mean() > 1e-3  # and the rest is balanced


def test_a_highlight_that_a_cast_clipped_finds_back_to_white():
    """White under a warm light is (1, 1, 0.6) in the file: gains of (1 / 1.4, 1, 1 / 0.6) would give (0.71, 1, 1)."""
    gains = torch.tensor([1 / 1.4, 1, 1 / 0.6]).view(1, 3, 1, 1)
    clipped = torch.tensor([[1.0, 1.0, 0.6], [1.0, 0.9, 0.3], [0.7, 0.5, 0.3]]).T[None, :, None]
    white, yellow, midtone = relit(clipped, gains)[0, :, 0].T
    torch.testing.assert_close(white, torch.ones(3))
    torch.testing.assert_close(yellow, torch.tensor([1 / 1.4, 0.9, 0.5]))  # not tinted with the complement: as it is
    torch.testing.assert_close(midtone, torch.tensor([0.5, 0.5, 0.5]))


def test_highlights_are_smooth_and_in_order():
    """A ramp to white stays one: no step, and nothing gets darker on the way."""
    ramp = torch.linspace(0, 1, 1001).expand(1, 3, 1, -1)
    balanced = relit(ramp, torch.tensor([0.69, 1, 0.8]).view(1, 3, 1, 1))[0, :, 0]
    steps = balanced.diff(dim=1)
    assert (steps > -1e-6).all()
    assert steps.max() < 0.004  # of 0.001 in the photograph
    torch.testing.assert_close(balanced[:, :750], ramp[0, :, 0, :750] * torch.tensor([[0.69], [1], [0.8]]))
    torch.testing.assert_close(balanced[:, -1], torch.ones(3))


@pytest.mark.parametrize("name", ["gray_world", "shades_of_gray", "color_by_colorization_small"])
def test_gray_photographs_stay_gray(name: str, astronaut: Tensor):
    """A gray photograph has no cast to measure; nor one with JPEG's rounding, or with a stamp in colour."""
    gray = astronaut.mean(dim=0).expand(3, -1, -1)
    noisy = (gray + torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(0)) / 255).clamp(0, 1)
    stamped = gray.clone()
    stamped[:, :96, :96] = astronaut[:, 100:196, 100:196]
    colorizer = Colorizer(name)
    for photo in (gray, noisy, stamped):
        torch.testing.assert_close(colorizer(photo).rgb, photo, atol=1e-6, rtol=0)
        torch.testing.assert_close(colorizer.batch(photo[None])[0], photo, atol=1e-6, rtol=0)
    assert (colorizer(astronaut).rgb - astronaut).abs().mean() > 1e-3


def test_what_spares_white_and_gray_leaves_less_of_a_cast(astronaut: Tensor):
    """Against the gains as published, on photographs whose highlights a cast clips."""
    for name in ("shades_of_gray", "color_by_colorization_small"):
        colorizer, published = Colorizer(name), Method.of(name).painter("cpu", true_histogram=False)
        ours, theirs = [], []
        for photograph in (data.astronaut(), data.chelsea(), data.coffee()):
            truth = torch.from_numpy(photograph[::2, ::2].copy()).permute(2, 0, 1)[None] / 255
            for factors in ((1.4, 0.6), (0.6, 1.4)):
                cast = global_cast(truth, *factors)
                ours.append(angular_error(colorizer.batch(cast), truth))
                theirs.append(angular_error(published(cast), truth))
        assert torch.stack(ours).mean() < torch.stack(theirs).mean()


def test_benchmarks_measure_the_gains_as_published(batch: Tensor):
    """Their rows were measured so, and stay valid bit for bit."""
    cast = global_cast(batch, 1.4, 0.6)
    model = create_model("shades_of_gray")
    painted = Method.of("shades_of_gray").painter("cpu", true_histogram=False)(cast)
    assert torch.equal(painted, (cast * model.gains(cast)).clamp(0, 1))
    gray = batch.mean(dim=1, keepdim=True).expand_as(batch)
    network = Method.of("color_by_colorization_small").painter("cpu", true_histogram=False)
    assert (network(gray) - gray).abs().max() > 1e-3


def test_smooth_gains_are_least_squares():
    """Against numpy's polynomial of second degree."""
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0.2, 1, (2, 1, 3, 40, 48))
    gains = smooth_gains(torch.from_numpy(before), torch.from_numpy(after))
    y, x = np.mgrid[-1:1:40j, -1:1:48j]
    terms = np.stack([x**i * y**j for i in range(3) for j in range(3 - i)], axis=-1).reshape(-1, 6)
    for channel in range(3):
        a, b = (z[0, channel].ravel() for z in (before, after))
        expected = terms @ np.linalg.lstsq(terms * a[:, None], b, rcond=None)[0]
        np.testing.assert_allclose(gains[0, channel].ravel(), expected, rtol=2e-3)


@pytest.mark.parametrize("towards", ["left", "down"])
def test_smooth_gains_undo_the_casts_of_the_paper(astronaut: Tensor, towards: str):
    """A ramp's inverse is no polynomial, but nearly; white, which the cast clips, is left out of the photograph."""
    photo = 0.7 * astronaut[None]
    for cast in (ramp_cast(photo, towards), global_cast(photo, 0.6, 1.4)):
        undone = cast * smooth_gains(cast, photo)
        assert (undone - photo).abs().mean() < 0.06 * (cast - photo).abs().mean()


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (33, 20)])
def test_any_size_and_black(size: tuple[int, int]):
    for value in (0.0, 0.5):
        photo = torch.tensor([value, 0.6 * value, 0.6 * value])[:, None, None].expand(3, *size).clone()
        result = Colorizer(Scaling())(photo)
        assert result.rgb.shape == photo.shape
        torch.testing.assert_close(result.rgb[1:], photo[1:], atol=1e-5, rtol=0)
        assert result.rgb[0].max() == pytest.approx(value / 2, abs=1e-3)


def test_strength_and_saturation(astronaut: Tensor):
    result = Colorizer(Scaling())(astronaut)
    torch.testing.assert_close(result.adjust(strength=0).rgb, astronaut)
    half = result.adjust(strength=0.5).rgb
    torch.testing.assert_close(half, (astronaut + result.rgb) / 2)
    gray = result.adjust(saturation=0).rgb
    assert (gray.amax(dim=0) - gray.amin(dim=0)).max() < 1e-3


def test_what_it_is_called_and_what_it_refuses(astronaut: Tensor, tmp_path: Path):
    result = Colorizer("gray_world")(astronaut)
    result.save(tmp_path / "balanced.png")
    assert str(io.read_provenance(tmp_path / "balanced.png")).startswith("White-balanced by colorlib")
    assert Colorizer("gray_world").task == "balance"
    assert result.uncertainty is None
    with pytest.raises(ValueError, match="balances a photograph's own colours"):
        result.transfer(data.coffee())
    with pytest.raises(ValueError, match="takes no reference"):
        Colorizer("gray_world")(astronaut, reference=data.coffee())
    with pytest.raises(ValueError, match="no distribution"):
        Colorizer("gray_world", decoder="mode")


@pytest.mark.parametrize("cast", ["warm", "cold", "ramp"])
def test_color_by_colorization_small_takes_casts_away(cast: str):
    """From a portrait in orange, a cat, coffee and a night, hard as they are; and as well when they are enlarged."""
    colorizer = Colorizer("color_by_colorization_small")
    before, after, large = [], [], []
    for photograph in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket()):
        truth = torch.from_numpy(photograph).permute(2, 0, 1)[None] / 255
        casts = {"warm": (1.3, 0.75), "cold": (0.75, 1.3)}
        perturbed = ramp_cast(truth, "left") if cast == "ramp" else global_cast(truth, *casts[cast])
        before.append(angular_error(perturbed, truth))
        after.append(angular_error(colorizer(perturbed[0]).rgb[None], truth))
        big, big_truth = (torch.nn.functional.interpolate(x, (1200, 1700), mode="bilinear") for x in (perturbed, truth))
        large.append(angular_error(colorizer(big[0]).rgb[None], big_truth))
    assert torch.stack(after).mean() < 0.9 * torch.stack(before).mean()
    assert (torch.stack(large) - torch.stack(after)).abs().max() < 0.5  # degrees


def test_the_module_alone_gives_the_networks_picture(batch: Tensor):
    """As published, image in and image out, without our gains."""
    model = create_model("color_by_colorization_small", pretrained=True)
    with torch.no_grad():
        balanced = model.colorize(batch)
    assert balanced.shape == batch.shape
    assert (balanced - batch).abs().mean() < 0.08
