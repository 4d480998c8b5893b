"""Gray world, white patch and shades of gray. Oracles: hand-made pictures and numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from colorlib import create_model
from colorlib.casts import global_cast
from colorlib.models.von_kries import VonKries, light
from colorlib.targets import Picture

NAMES = ("gray_world", "white_patch", "shades_of_gray")


def _two_pixels(first: tuple[float, float, float], second: tuple[float, float, float]) -> Tensor:
    return torch.tensor([first, second]).T[None, :, None]


@pytest.mark.parametrize(
    ("name", "red", "blue"),
    [
        ("gray_world", 0.4 / 0.5, 0.4 / 0.2),  # means 0.5, 0.4, 0.2
        ("white_patch", 0.6 / 0.8, 0.6 / 0.3),  # maxima 0.8, 0.6, 0.3
        ("shades_of_gray", *(((0.2**6 + 0.6**6) / (x**6 + y**6)) ** (1 / 6) for x, y in ((0.2, 0.8), (0.1, 0.3)))),
    ],
)
def test_gains_by_hand(name: str, red: float, blue: float):
    rgb = _two_pixels((0.2, 0.2, 0.1), (0.8, 0.6, 0.3))
    expected = rgb * torch.tensor([red, 1, blue])[:, None, None]
    torch.testing.assert_close(create_model(name).predict(rgb), 2 * expected - 1)


@pytest.mark.parametrize("norm", [1, 3, 6, 20])
def test_the_norm_is_numpys(batch: Tensor, norm: int):
    values = batch.double().numpy().reshape(3, 3, -1)
    expected = np.linalg.norm(values, ord=norm, axis=2) / values.shape[2] ** (1 / norm)
    np.testing.assert_allclose(light(batch, norm)[..., 0, 0], expected, rtol=1e-5)


def test_a_high_norm_approaches_the_maximum(batch: Tensor):
    torch.testing.assert_close(light(batch.double(), 600), light(batch.double(), math.inf), rtol=0.02, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_global_cast_did_does_not_matter(name: str, batch: Tensor):
    dark = 0.6 * batch  # so that nothing clips
    model = create_model(name)
    torch.testing.assert_close(model(global_cast(dark, 1.4, 0.7)), model(dark))


def test_the_mean_becomes_gray(batch: Tensor):
    mean = create_model("gray_world")(batch).mean(dim=(-2, -1))
    torch.testing.assert_close(mean, mean[:, 1:2].expand(-1, 3))


def test_a_picture_with_a_white_pixel_is_what_white_patch_wants(batch: Tensor):
    lit = batch.clone()
    lit[..., 0, 0] = 1
    torch.testing.assert_close(create_model("white_patch").colorize(lit), lit)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_gray_and_black_stay(name: str, scale: float, batch: Tensor):
    gray = scale * batch[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(create_model(name).colorize(gray), gray)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_channel_bounds_the_gains(name: str):
    without_green = _two_pixels((0.4, 0.0, 0.8), (0.4, 0.0, 0.8))
    expected = torch.tensor([0.4 / 8, 0.0, 0.8 / 8])[None, :, None, None].expand_as(without_green)
    torch.testing.assert_close(create_model(name).colorize(without_green), expected)
    faint_red = _two_pixels((0.01, 0.5, 0.5), (0.01, 0.5, 0.5))
    assert create_model(name).colorize(faint_red)[0, 0, 0, 0].item() == pytest.approx(0.08)


def test_the_prediction_is_not_clipped_but_the_picture_is(batch: Tensor):
    model = create_model("gray_world")
    prediction = model(global_cast(batch, 0.6, 1.0))
    assert prediction.max() > 1
    assert isinstance(model.target, Picture)
    assert model.target.to_rgb(prediction).max() == 1


def test_a_norm_below_one_is_none():
    with pytest.raises(ValueError, match=r"expected a norm of at least 1, got 0\.5"):
        VonKries(0.5)
    with pytest.raises(ValueError, match="VonKries takes no reference"):
        create_model("gray_world")(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
