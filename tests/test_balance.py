"""White balance by the user's verb: a photograph in colour goes in, of any size, and comes out without its cast."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from colorlib import Colorizer, create_model, io
from colorlib.casts import global_cast, ramp_cast
from colorlib.metrics.functional import angular_error
from colorlib.models import WhiteBalance
from colorlib.models._base import smooth_gains
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
    result = Colorizer(Scaling(error=0.05, work_size=64))(astronaut)
    expected = astronaut * torch.tensor([0.5, 1, 1]).view(3, 1, 1)
    assert (result.rgb - expected).abs().mean() < 0.004
    assert result.gains is not None
    assert result.gains.shape == (3, 64, 64)
    assert result.ab.shape == (2, 64, 64)


@pytest.mark.parametrize("name", ["gray_world", "white_patch", "shades_of_gray"])
def test_one_gain_for_a_picture_is_put_on_it_as_it_is(name: str, astronaut: Tensor):
    """What the method itself makes of a photograph, where channels clip and in the dark too."""
    model = create_model(name)
    for photo in (global_cast(astronaut[None], 1.4, 0.6)[0], 0.04 * astronaut):
        result = Colorizer(name)(photo)
        torch.testing.assert_close(result.rgb, model.colorize(photo[None])[0], atol=1e-6, rtol=1e-5)
        assert result.gains is not None
        assert result.gains.shape == (3, 1, 1)


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
    for value in (0.0, 1.0, 0.5):
        photo = torch.full((3, *size), value)
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
