"""Borders of scans: found where they are, and nowhere else."""

import re
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from skimage import data
from torch.testing import assert_close

from colorlib import Colorizer, color, io
from colorlib.borders import Border, border, cropped, framed

PHOTOGRAPHS = ("astronaut", "camera", "cat", "chelsea", "coffee", "coins", "moon", "rocket", "horse", "page", "text")
PICTURES = Path(skimage.__file__).parent / "data"


def photo(name: str = "camera") -> torch.Tensor:
    return io.read(np.ascontiguousarray(getattr(data, name)()).astype(np.uint8)).rgb


def padded(rgb: torch.Tensor, around: Border, level: float, noise: float = 0.0) -> torch.Tensor:
    sides = (around.left, around.right, around.top, around.bottom)
    mask = torch.nn.functional.pad(torch.zeros_like(rgb[:1]), sides, value=1)
    paper = level + noise * torch.randn(mask.shape, generator=torch.Generator().manual_seed(1))
    return torch.where(mask > 0, paper, torch.nn.functional.pad(rgb, sides)).clamp(0, 1)


@pytest.mark.parametrize("level", [0.0, 0.85, 1.0])
@pytest.mark.parametrize(
    "around",
    [
        Border(20, 20, 20, 20),
        Border(10, 90, 40, 15),
        Border(60, 60, 0, 0),
        Border(0, 0, 33, 40),
        Border(12, 0, 9, 0),
        Border(5, 5, 5, 5),
        Border(100, 3, 100, 100),
    ],
)
@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_the_exact_rectangle(around, level, name):
    dark = name == "coffee" and level == 0 and around == Border(60, 60, 0, 0)  # the photograph ends black below
    assert border(padded(photo(name), around, level)) == (None if dark else around)


def test_paper_has_a_grain():
    around = Border(30, 40, 20, 25)
    assert border(padded(photo(), around, 0.92, noise=0.02)) == around


def test_a_mount_within_a_margin():
    inner = padded(photo("coffee"), Border(15, 15, 15, 15), 0)
    assert border(padded(inner, Border(20, 22, 24, 26), 0.97)) == Border(35, 37, 39, 41)


def test_a_scan_that_is_a_little_askew():
    """By 0.4 degrees: the border ends where no row has it whole, and nothing of the photograph is taken."""
    whole = padded(photo("coffee"), Border(40, 40, 40, 40), 1).permute(1, 2, 0).numpy()
    turned = torch.from_numpy(skimage.transform.rotate(whole, 0.4, cval=1).astype(np.float32)).permute(2, 0, 1)
    found = border(turned.clamp(0, 1))
    assert found is not None
    assert all(34 <= side <= 42 for side in found), found


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_without_any(name):
    assert border(photo(name)) is None


def test_a_plain_sky_stays():
    """Even above a straight horizon, and where the ground is of one lightness."""
    rgb = photo("camera").clone()
    rgb[:, :120] = 0.8
    assert border(rgb) is None
    rgb[:, 120:, :] = rgb[:, 120:].clamp(max=0.4)
    assert border(rgb) is None  # as straight as a border, but alone
    rgb[:, -40:] = 0.1
    assert border(rgb) is None  # another lightness
    rgb[:, -40:] = 0.8
    assert border(rgb) is None  # a third as high
    assert border(io.read(PICTURES / "rocket.jpg")) is None  # its sky is dark, and even


def test_one_lightness_is_no_border():
    assert border(torch.full((3, 100, 100), 0.7)) is None
    for size in ((1, 1), (1, 500), (9, 9)):
        assert border(torch.zeros(3, *size)) is None


def test_a_large_scan_loses_nothing_of_its_photograph():
    inside = torch.nn.functional.interpolate(photo("coffee")[None], scale_factor=5, mode="bicubic")[0].clamp(0, 1)
    around = Border(123, 87, 201, 155)
    found = border(io.Photo(padded(inside, around, 1)))
    assert found is not None
    step = (2000 + 210) / 1024 * 1.6  # a pixel of the small copy
    assert all(real - 2 * step <= side <= real for side, real in zip(found, around, strict=True)), found


def test_what_comes_back_into_its_border():
    around = Border(10, 20, 30, 5)
    whole = io.Photo(padded(photo("coffee"), around, 0.9))
    inside = cropped(whole, around)
    assert torch.equal(inside.rgb, photo("coffee"))
    result = Colorizer("larsson16_small")(inside.rgb)
    alone = Colorizer("larsson16_small")(photo("coffee"))
    assert torch.equal(result.ab, alone.ab), "the network sees no border"
    planes = framed(result.planes, whole, around)
    made = planes.whole()
    rows, columns = around.inside(whole.height, whole.width)
    assert torch.equal(made[:, rows, columns], alone.rgb)
    outside = torch.ones(whole.height, whole.width, dtype=torch.bool)
    outside[rows, columns] = False
    assert (made.amax(dim=0) - made.amin(dim=0))[outside].max() == 0
    assert_close(color.rgb_to_lightness(made)[0], color.rgb_to_lightness(whole.rgb)[0], rtol=0, atol=0.02)
    assert torch.equal(torch.cat([planes.rows(0, 7), planes.rows(7, 400), planes.rows(400, 430)], dim=1), made)


def test_depth_and_alpha_are_cropped_too(tmp_path):
    pixels = np.zeros((60, 80, 4), np.uint16)
    pixels[10:50, 20:70, :3] = 40_000
    pixels[..., 3] = np.arange(80) * 700
    one = io.read(io_file(tmp_path, pixels))
    inside = cropped(one, Border(10, 10, 20, 10))
    assert (inside.height, inside.width, inside.bit_depth) == (40, 50, 16)
    assert_close(inside.rgb, torch.full((3, 40, 50), 40_000 / 65_535), rtol=0, atol=1e-6)
    assert_close(inside.alpha[0, 0], torch.arange(20, 70) * 700 / 65_535, rtol=0, atol=1e-6)


def io_file(folder: Path, pixels: np.ndarray) -> Path:
    import tifffile

    path = folder / "deep.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    return path


def test_no_picture():
    with pytest.raises(ValueError, match=re.escape("(3, H, W)")):
        border(torch.zeros(1, 20, 20))
