"""The demo: the border of a scan stays uncoloured, and what is inside is as if there were none."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from test_demo import CAMERA, MANY_COLOURS, METHOD, PICTURES, Desk

import colorlib
from colorlib import borders

AROUND = (40, 30, 20, 50)  # left, top, right, below


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    file = tmp_path / "scan.png"
    ImageOps.expand(Image.open(CAMERA), AROUND, 245).save(file)
    return file


def split(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The inside and the border."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[30:542, 40:552] = True
    return pixels[30:542, 40:552], pixels[~inside]


def test_the_border_stays_uncoloured_and_the_rest_is_as_without(session, scan):
    one = session.Session(scan)
    assert one.warnings == (borders.LEFT,)
    assert [error for _, error in one.colour([MANY_COLOURS])] == [None]
    expected = colorlib.Colorizer(MANY_COLOURS)(CAMERA)
    for path in (one.show(MANY_COLOURS), one.compare(MANY_COLOURS)[1], next(one.save([MANY_COLOURS]))):
        inside, border = split(path)
        assert np.abs(inside - np.asarray(expected.image)).max() <= 1
        assert (border == 245).all()
    # Clicks and points are of the picture with its border.
    one.ask(MANY_COLOURS, (40 + 100.5) / 572, (30 + 60.5) / 592)
    assert one.asked == (100, 60)
    assert one.place(100, 60) == pytest.approx(((40 + 100.5) / 572, (30 + 60.5) / 592))
    one.ask(MANY_COLOURS, 0, 0.999)  # on the border
    assert one.asked == (0, 511)
    one.pointed(MANY_COLOURS).choose(100, 60, "#e02020")
    ((across, down, shade),) = one.choices(MANY_COLOURS)
    picture = np.asarray(Image.open(one.compare(MANY_COLOURS)[1]).convert("RGB"))
    assert "#{:02x}{:02x}{:02x}".format(*picture[round(down * 592), round(across * 572)]) == shade.hex
    # Maps have the size of the picture.
    one.choose(MANY_COLOURS)
    uncertain, border = split(one.alternatives(MANY_COLOURS)["uncertainty"])
    assert uncertain.max() == 255
    assert border.max() == 0


def test_the_visitor_may_want_it_coloured(page: Any, scan: Path):
    visitor = Desk(page)
    changes = visitor.call("receive", [visitor.upload(scan, "scan.png"), 1, 1, None])["changes"]
    assert "scan.png: the border was left uncoloured." in changes["remarks"]["value"]
    assert (changes["border"]["visible"], changes["border"]["value"]) == (True, True)
    assert visitor.session.border is not None
    changes = visitor.call("reframe", [False, 1, 1, None])["changes"]
    assert not changes["remarks"]["visible"]
    assert (changes["border"]["visible"], changes["border"]["value"]) == (True, False)
    visitor.call("colour", [[MANY_COLOURS], None, None])
    expected = np.asarray(colorlib.Colorizer(MANY_COLOURS)(scan).image).astype(int)
    got = np.asarray(Image.open(visitor.session.show(MANY_COLOURS)).convert("RGB")).astype(int)
    assert np.abs(got - expected).max() <= 1
    plain = visitor.call("receive", [visitor.upload(CAMERA, "plain.png"), 1, 1, None])["changes"]
    assert not plain["border"]["visible"]


@pytest.mark.parametrize("first", [None, METHOD])
def test_white_is_balanced_inside_and_the_border_keeps_its_colour(session, tmp_path, first):
    """Inside it is the download of the photograph without a border, and what the page shows."""
    casts, paper = importlib.import_module("casts"), (245, 235, 205)
    photo = Image.open(PICTURES / "rocket.jpg").convert("RGB").resize((480, 320))
    photo.info.clear()  # its colour profile, which the expanded one lacks
    photo.save(tmp_path / "plain.png")
    ImageOps.expand(photo, AROUND, paper).save(tmp_path / "scan.png")
    files = []
    for name in ("plain.png", "scan.png"):
        one = session.Session(tmp_path / name)
        state = casts.simulate(one, casts.NO_CAST, first)
        casts.balance(state, "gray_world")
        shown = np.asarray(Image.open(casts.show_balanced(one, state, "gray_world")).convert("RGB")).astype(int)
        files.append(np.asarray(Image.open(casts.save_balanced(one, "gray_world")).convert("RGB")).astype(int))
    assert tuple(one.border) == (30, 50, 40, 20)
    plain, scan = files
    inside = scan[30 : 30 + 320, 40 : 40 + 480]
    apart = np.abs(inside - plain)
    assert apart.max() <= (4 if first else 0)  # gains stretch the rounding of the first step
    assert (apart > 0).mean() < 1e-2
    if shown.shape == scan.shape:
        assert np.array_equal(shown, scan)
    else:
        assert np.abs(inside - shown).max() <= 4
    around = np.concatenate([scan[:30].reshape(-1, 3), scan[-50:].reshape(-1, 3), scan[:, :40].reshape(-1, 3)])
    gray = np.ptp(around, axis=1) == 0
    assert gray.all() if first else (around == paper).all()
