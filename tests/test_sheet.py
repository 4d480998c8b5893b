"""The contact sheet: which photographs, which pictures, and where they stand."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import colorlib
from colorlib import io
from training.sheet import GAP, TITLE, main

APP = typer.Typer()
APP.command()(main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photographs of two shapes, each one level of blue."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(5):
        picture = data.astronaut()[: 96 if k % 2 else 64, :64].copy()
        picture[..., 2] = 50 * k
        Image.fromarray(picture).save(folder / f"{k}.png")
    return folder


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def test_every_picture_stands_in_its_place(photos: Path, tmp_path: Path):
    """Two of five photographs, side by side, by a method and by the same at another saturation."""
    methods = ["iizuka16_local_small", "iizuka16_local_small:look=vivid"]
    out = tmp_path / "sheet.png"
    run = CliRunner().invoke(
        APP, [*methods, "--data", str(photos), "-o", str(out), "--count", "2", "--height", "64", "--across", "2"]
    )
    assert run.exit_code == 0, run.output
    found = _pixels(Image.open(out))
    assert found.shape[:2] == (TITLE + 64 + GAP, 2 * (4 * (64 + GAP) + 2 * GAP))
    for block, name in enumerate(("0.png", "2.png")):
        photo = photos / name
        plain, vivid = (colorlib.Colorizer(methods[0], vivid=vivid)(photo) for vivid in (False, True))
        gray = io.to_pil(plain.adjust(saturation=0).rgb)
        for k, expected in enumerate((gray, plain.image, vivid.image, Image.open(photo))):
            x = block * (4 * (64 + GAP) + 2 * GAP) + k * (64 + GAP)
            shown = found[TITLE : TITLE + 64, x : x + 64].astype(int)
            assert np.abs(shown - _pixels(expected)).max() <= 1, (name, k)
    assert (found[:TITLE] < 128).any()  # titles


def test_photographs_of_several_shapes_have_one_height(photos: Path, tmp_path: Path):
    run = CliRunner().invoke(
        APP, ["grayscale", "--data", str(photos), "-o", str(tmp_path / "a.png"), "--height", "48", "--across", "3"]
    )
    assert "5 photographs" in run.output  # of 20 that were asked for
    width, height = Image.open(tmp_path / "a.png").size
    assert (width, height) == (3 * (3 * (48 + GAP) + 2 * GAP), TITLE + 2 * (48 + GAP))
    tall = _pixels(Image.open(tmp_path / "a.png"))[TITLE : TITLE + 48, 3 * (48 + GAP) + 2 * GAP :]
    assert (tall[:, 32:48] == 255).all()  # the second is 32 wide
    assert (tall[:, :32] < 255).any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("method", "place", "message"),
    [
        ("iizuka16_smal", "photos", "did you mean"),
        ("iizuka16_local_small", "nowhere", "expected a folder of photographs or a .tar shard"),
    ],
)
def test_what_cannot_be_shown_is_said(photos: Path, method: str, place: str, message: str):
    run = CliRunner().invoke(APP, [method, "--data", str(photos.parent / place), "-o", str(photos / "sheet.png")])
    assert run.exit_code == 2
    assert message in " ".join(run.output.replace("│", " ").split())
    assert not (photos / "sheet.png").exists()


def test_a_place_that_cannot_be_written_is_said_before_anything_is_painted(photos: Path):
    for out in ("sheet.txt", "nowhere/sheet.png"):
        run = CliRunner().invoke(APP, ["grayscale", "--data", str(photos), "-o", str(photos / out)])
        assert run.exit_code == 2
        assert "expected a picture such as sheet.png" in " ".join(run.output.replace("│", " ").split())
