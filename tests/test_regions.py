"""Blotches and skin: :mod:`colorlib.metrics.regions` against scipy, scikit-image, numpy and colours known by name."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color as skcolor
from skimage import data
from skimage.measure import block_reduce
from torch import Tensor
from torch.testing import assert_close

from colorlib.metrics.functional import blotch, skin_ciede2000

Array = NDArray[np.float64]
GRAY, ORANGE = 0.5, (0.9, 0.4, 0.1)  # ORANGE has a chroma of 77: skimage.color.rgb2lab([0.9, 0.4, 0.1])


def _lab(rgb: Tensor) -> Array:
    return skcolor.rgb2lab(rgb.double().numpy(), channel_axis=0)


def _gray(side: int = 100) -> Tensor:
    return torch.full((1, 3, side, side), GRAY)


def _stained(*rectangles: tuple[slice, slice], side: int = 100) -> Tensor:
    picture = _gray(side)
    for rows, columns in rectangles:
        picture[0, :, rows, columns] = torch.tensor(ORANGE)[:, None, None]
    return picture


@pytest.mark.parametrize(
    ("height", "width", "found"),
    [(4, 5, 1), (4, 4, 0), (20, 25, 1), (23, 22, 0)],
    ids=["0.20 %", "0.16 %, a speck", "5.00 %", "5.06 %, more than a blotch"],
)
def test_a_blotch_is_from_0_2_to_5_percent(height: int, width: int, found: int):
    assert blotch(_stained((slice(10, 10 + height), slice(30, 30 + width))), _gray()).tolist() == [found]


def test_pixels_are_connected_at_sides_and_corners():
    corner = _stained((slice(10, 13), slice(10, 14)), (slice(13, 16), slice(14, 18)))  # 12 pixels and 12
    apart = _stained((slice(10, 13), slice(10, 14)), (slice(14, 17), slice(14, 18)))
    assert blotch(torch.cat([corner, apart]), _gray().expand(2, -1, -1, -1)).tolist() == [1, 0]


def test_colour_that_the_photograph_has_is_no_blotch():
    stained = _stained((slice(10, 20), slice(10, 20)))
    assert blotch(stained, stained).tolist() == [0]
    # skimage.color.rgb2lab([0.5, 0.45, 0.4]) has a chroma of 9.3, and that of [0.5, 0.45, 0.38] is 11.8
    for photograph, found in (((0.5, 0.45, 0.4), 1), ((0.5, 0.45, 0.38), 0)):
        assert blotch(stained, torch.tensor(photograph).view(1, 3, 1, 1).expand_as(stained)).tolist() == [found]
    # skimage.color.rgb2lab([0.6, 0.48, 0.33]) has a chroma of 26.3, and that of [0.6, 0.48, 0.35] is 23.8
    for picture, found in (((0.6, 0.48, 0.33), 1), ((0.6, 0.48, 0.35), 0)):
        painted = _gray()
        painted[0, :, 10:20, 10:20] = torch.tensor(picture)[:, None, None]
        assert blotch(painted, _gray()).tolist() == [found]


def _blotched(preds: Array, target: Array) -> bool:
    """By scipy, in pictures (3, H, W) of at most 256 pixels."""
    chroma, true = (np.hypot(*skcolor.rgb2lab(x, channel_axis=0)[1:]) for x in (preds, target))
    labels, count = ndimage.label((chroma > 25) & (true < 10), structure=np.ones((3, 3)))
    areas = ndimage.sum_labels(np.ones_like(labels), labels, np.arange(1, count + 1)) / labels.size
    return bool(((areas >= 0.002) & (areas <= 0.05)).any())


def test_blotches_of_random_patches_are_those_that_scipy_finds():
    generator = np.random.default_rng(0)
    photograph = skcolor.gray2rgb(np.full((64, 80), GRAY)).transpose(2, 0, 1)
    pictures = []
    for limit in np.linspace(1.5, 4.5, 40):  # from many large patches to none
        stains = ndimage.gaussian_filter(generator.normal(size=(64, 80)), 2.5) * 12 > limit
        pictures.append(np.where(stains, np.array(ORANGE)[:, None, None], photograph))
    expected = [_blotched(picture, photograph) for picture in pictures]
    assert 5 < sum(expected) < 35
    preds, target = torch.from_numpy(np.stack(pictures)), torch.from_numpy(photograph)[None].expand(40, -1, -1, -1)
    assert blotch(preds, target).tolist() == expected


def test_blotches_are_looked_for_at_256_pixels():
    """A chequered patch is vivid pixel by pixel, and pale where each pixel stands for four."""
    preds = _gray(512)
    preds[0, :, 100:150, 100:150] = torch.tensor((0.62, 0.5, 0.33))[:, None, None]
    preds[0, :, 100:150:2, 100:150:2] = preds[0, :, 101:150:2, 101:150:2] = GRAY
    shrunk = block_reduce(preds[0].double().numpy(), (1, 2, 2), np.mean)
    large, small = _blotched(preds[0].numpy(), _gray(512)[0].numpy()), _blotched(shrunk, _gray(256)[0].numpy())
    assert (large, small) == (True, False)
    assert blotch(preds, _gray(512)).tolist() == [small]


def _skin(preds: Array, target: Array) -> list[float]:
    """Kovač's rule on 8-bit values, as it is printed, and the tone's angle by the arc tangent: (3, H, W) twice."""
    r, g, b = (255 * target).round()
    spread = np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)
    skin = (r > 95) & (g > 40) & (b > 20) & (spread > 15) & (np.abs(r - g) > 15) & (r > g) & (r > b)
    lab = skcolor.rgb2lab(target, channel_axis=0)
    difference = skcolor.deltaE_ciede2000(lab, skcolor.rgb2lab(preds, channel_axis=0), channel_axis=0)
    tone = np.degrees(np.arctan((lab[0] - 50) / np.where(lab[2] == 0, 1e-9, lab[2])))
    tone[lab[2] < 0] += 180 * np.sign(lab[0] - 50)[lab[2] < 0]  # beyond the quadrants of the arc tangent
    groups = (skin & (tone <= 10), skin & (tone > 10) & (tone <= 41), skin & (tone > 41))
    return [difference[group].mean() if group.mean() >= 0.005 else np.nan for group in groups]


def test_skin_of_a_portrait_is_what_numpy_finds():
    """The astronaut, whose face, hands and orange suit count; and noise, which has all colours."""
    portrait = data.astronaut()[::4, ::4].transpose(2, 0, 1) / 255
    noise = np.random.default_rng(0).integers(0, 256, portrait.shape) / 255
    target = np.stack([portrait, noise])
    preds = 0.5 * target + 0.5 * target.mean(axis=1, keepdims=True)
    expected = np.array([_skin(x, y) for x, y in zip(preds, target, strict=True)])
    assert not np.isnan(expected).any()
    found = skin_ciede2000(torch.from_numpy(preds), torch.from_numpy(target))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# ITA by skimage.color.rgb2lab of these three: 65, 40 and -40 degrees.
TONES = {"light": (235, 200, 178), "medium": (200, 158, 128), "dark": (110, 72, 52)}


def test_tones_of_skin_have_columns_of_their_own():
    photograph = torch.tensor([TONES[tone] for tone in ("dark", "medium", "light")]).T.view(1, 3, 1, 3) / 255
    gray = photograph.mean(dim=1, keepdim=True).expand_as(photograph)
    expected = skcolor.deltaE_ciede2000(_lab(photograph[0]), _lab(gray[0]), channel_axis=0)
    assert_close(skin_ciede2000(gray, photograph).double(), torch.from_numpy(expected), rtol=1e-4, atol=0)
    assert skin_ciede2000(photograph, photograph).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("colour", [(95, 60, 40), (200, 185, 100), (150, 160, 140), (120, 60, 20), (180, 120, 180)])
def test_each_clause_of_the_rule_is_a_strict_one(colour: tuple[int, int, int]):
    """Red of 95, red 15 above green, red below green, blue of 20, red as blue: one step further, or not, from skin."""
    photograph = torch.tensor(colour).view(1, 3, 1, 1) / 255
    assert skin_ciede2000(photograph, photograph).isnan().all()


def test_a_group_of_few_pixels_has_no_value():
    for pixels, known in ((49, False), (50, True)):  # of 10,000
        photograph = _gray()
        photograph.view(3, -1)[:, :pixels] = torch.tensor(TONES["light"])[:, None] / 255
        dark, medium, light = skin_ciede2000(_gray(), photograph)[0].isnan().tolist()
        assert (dark, medium, light) == (True, True, not known)
