"""Toned prints are told from gray pictures and from pictures in colour."""

import numpy as np
import pytest
import skimage.color
import torch
from skimage import data
from torch import Tensor

from colorlib.gallery import has_colour
from colorlib.toning import toning

SEPIA = np.array([112, 66, 20]) / 255


def tensor(rgb: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float()


def toned(gray: np.ndarray, dye: np.ndarray) -> np.ndarray:
    """A print in which black is the dye and white the paper: gray (H, W) in [0, 1] -> sRGB (H, W, 3)."""
    return gray[..., None] + (1 - gray[..., None]) * dye


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("dye", [SEPIA, [0.0, 0.2, 0.45]], ids=["sepia", "cyanotype"])
def test_a_print_is_toned_whatever_its_grain(dye: np.ndarray, noise: float):
    gray = data.camera() / 255
    grain = np.random.default_rng(0).normal(0, noise, (*gray.shape, 3))
    rgb = np.clip(toned(gray, np.asarray(dye)) + grain, 0, 1)
    found = toning(tensor(rgb))
    assert found is not None
    # Of what the eye averages, by scikit-image and numpy.
    cells = rgb.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    lab = skimage.color.rgb2lab(cells).reshape(-1, 3)
    assert found.chroma == pytest.approx(np.linalg.norm(lab[:, 1:], axis=1).mean(), abs=1e-3)
    fits = [np.polynomial.Polynomial.fit(lab[:, 0], lab[:, k], 3) for k in (1, 2)]
    rest = np.stack([lab[:, k] - fit(lab[:, 0]) for k, fit in zip((1, 2), fits, strict=True)])
    assert found.rest == pytest.approx(np.sqrt((rest**2).sum(axis=0).mean()), abs=1e-3)
    middle = skimage.color.rgb2lab(np.array(found.rgb)[None, None])[0, 0]
    np.testing.assert_allclose(middle, [50, *(fit(50) for fit in fits)], atol=0.1)
    assert not has_colour(tensor(rgb))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry"])
def test_photographs_in_colour_are_not(name: str):
    rgb = tensor(getattr(data, name)() / 255)
    assert toning(rgb) is None
    assert has_colour(rgb)


def test_gray_is_not_toned():
    gray = tensor(np.repeat(data.camera()[..., None] / 255, 3, axis=2))
    assert toning(gray) is None
    assert not has_colour(gray)


def test_a_coloured_spot_on_a_print_is_colour():
    rgb = toned(data.camera() / 255, SEPIA)
    rgb[100:200, 100:200] = [0.1, 0.7, 0.2]
    assert toning(tensor(rgb)) is None


def test_a_flat_and_a_tiny_picture_have_a_tone():
    for size in ((1, 1), (3, 200)):
        flat = torch.tensor(SEPIA, dtype=torch.float32)[:, None, None].expand(3, *size)
        found = toning(flat)
        assert found is not None
        assert found.rest == pytest.approx(0, abs=1e-4)
