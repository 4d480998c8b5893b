"""The demo: how distributions are decided on, and alternatives that become the picture."""

import html
import importlib
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from test_demo import CAMERA, MANY_COLOURS, METHOD, PICTURES, Desk, gray_file

import colorlib

ROCKET = PICTURES / "rocket.jpg"  # 640 x 427 pixels: all copies on the page are the photograph itself


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def same(path: Path, expected: colorlib.Result) -> bool:
    """The page paints floats, and a file of 8 bits is painted from tables: a tie may be rounded otherwise."""
    apart = np.abs(pixels(path) - np.asarray(expected.image))
    return bool(apart.max() <= 1 and (apart > 0).mean() < 1e-3)


def coloured(session: Any, names: list[str], source: Path = ROCKET) -> Any:
    one = session.Session(source)
    assert [error for _, error in one.colour(names)] == [None] * len(names)
    return one


def test_a_decoder_and_a_temperature_are_those_of_the_library(session, monkeypatch):
    one = coloured(session, [MANY_COLOURS, METHOD])
    expected = colorlib.Colorizer(MANY_COLOURS, decoder="mode")
    expected.target.temperature = 0.4
    other, plain, errors = expected(ROCKET), colorlib.Colorizer(METHOD)(ROCKET), dict(one.errors)
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("a network ran"))
    before = pixels(one.show(MANY_COLOURS))
    one.decoder, one.temperature = "mode", 0.4
    assert same(one.show(MANY_COLOURS), other)
    assert same(next(one.save([MANY_COLOURS])), other)
    assert same(one.show(METHOD), plain)  # predicts one colour
    one.ask(MANY_COLOURS, 0.5, 0.2)
    (said,) = (said for said in one.said(MANY_COLOURS) if said.distribution)
    assert said.shades[0].probability == pytest.approx(other.ask(320, 85).colors[0].probability, abs=1e-4)
    assert one.errors == errors, "the table scores the method"
    one.decoder, one.temperature = None, 1
    assert np.array_equal(pixels(one.show(MANY_COLOURS)), before)


def test_a_decoder_that_a_method_lacks_leaves_its_own(session):
    name = "larsson16_lab_joint_small"  # a grid has no median
    one = coloured(session, [name])
    before = pixels(one.show(name))
    one.decoder = "median"
    assert np.array_equal(pixels(one.show(name)), before)


def test_a_visitors_colours_stay_when_the_rest_is_decided_otherwise(session):
    one = coloured(session, [MANY_COLOURS])
    one.ask(MANY_COLOURS, 0.5, 0.9)
    one.pointed(MANY_COLOURS).choose(320, 384, "#c02020")
    before = one.result(MANY_COLOURS)
    one.temperature = 0.3
    after = one.result(MANY_COLOURS)
    assert one.result(MANY_COLOURS) is after
    cells = torch.nn.functional.interpolate(before.paint.small - after.paint.small, size=(427, 640))[0].norm(dim=0)
    assert cells[384, 320] < 0.1, "the point has its colour"
    assert cells.max() > 5, "the rest is bolder"


def test_an_alternative_becomes_the_picture_everywhere(session):
    one = coloured(session, [MANY_COLOURS])
    one.choose(MANY_COLOURS)
    third = [*one.results[MANY_COLOURS].samples(6)][2]
    own = pixels(one.show(MANY_COLOURS))
    assert one.take("alternative-3") == MANY_COLOURS
    assert same(one.show(MANY_COLOURS), third)
    assert same(one.compare(MANY_COLOURS)[1], third)
    (file,) = one.save([MANY_COLOURS])
    assert same(file, third)
    assert "sample 3 of 6" in colorlib.io.read_provenance(file)
    assert np.abs(pixels(file) - own).mean() > 0.5
    # The others can be taken after it: they are of the method, not of its third alternative.
    first = one.alternatives(MANY_COLOURS)["alternative-1"]
    assert same(first, next(one.results[MANY_COLOURS].samples(6)))
    # A point is put on it, and stays when its own picture comes back.
    one.pointed(MANY_COLOURS).choose(10, 10, "#20c020")
    assert torch.equal(one.result(MANY_COLOURS).paint.small, third.steer(one.points[MANY_COLOURS].hints).paint.small)
    assert one.take(None) == MANY_COLOURS
    one.pointed(MANY_COLOURS).undo()
    assert np.array_equal(pixels(one.show(MANY_COLOURS)), own)


def test_what_a_method_borrowed_becomes_its_picture(session):
    one = coloured(session, [METHOD])
    one.choose(METHOD)
    assert one.take("transferred") is None, "nothing is borrowed yet"
    one.set_reference(PICTURES / "coffee.png")
    assert one.borrow() == ""
    assert one.take("transferred") == METHOD
    assert same(one.show(METHOD), one.results[METHOD].transfer(PICTURES / "coffee.png"))


@pytest.fixture
def desk(page: Any, tmp_path: Path) -> Any:
    visitor = Desk(page)
    visitor.call("receive", [visitor.upload(gray_file(tmp_path, (300, 200)), "small.png"), 1, 1, None])
    visitor.call("colour", [[MANY_COLOURS, METHOD], None, None])
    return visitor


def painted(changes: dict[str, Any], element: str) -> Any:
    """The settings of a picture, by its caption."""
    found = re.search("data-painted='([^']+)'", changes[element])
    assert found
    return json.loads(html.unescape(found[1]))


def test_the_page_decides_otherwise(desk):
    decide = desk.page.deciding.decide
    decide("mode", 0.4, desk.session)
    assert (desk.session.decoder, desk.session.temperature) == ("mode", 0.4)
    changes = desk.call("repaint", [1, 1, None])["changes"]
    expected = {"strength": 1, "saturation": 1, "decoder": "The most probable colour", "temperature": 0.4}
    assert painted(changes, f"caption-{MANY_COLOURS}") == expected
    assert painted(changes, f"caption-{METHOD}") == {"strength": 1, "saturation": 1}
    decide("modus", 0.4, desk.session)  # which no page of ours sends
    decide("mode", 0, desk.session)  # an emptied box
    decide("mode", 1, None)
    assert (desk.session.decoder, desk.session.temperature) == (None, 0.4)


def test_the_page_takes_an_alternative_and_goes_back(desk):
    name = desk.session.compared
    assert name == MANY_COLOURS
    own = pixels(Path(desk.call("repaint", [1, 1, None])["changes"][f"image-{name}"]["path"]))
    desk.call("explore", [1, 1, None])
    changes = desk.call("take-alternative-5", [1, 1, None])["changes"]
    assert "alternative 5" in changes["sides"]
    assert changes["own"]["visible"]
    assert "alternative 5" in changes[f"caption-{name}"]
    assert np.abs(pixels(Path(changes[f"image-{name}"]["path"])) - own).mean() > 0.5
    changes = desk.call("own", [1, 1, None])["changes"]
    assert "alternative" not in changes["sides"]
    assert not changes["own"]["visible"]
    assert np.array_equal(pixels(Path(changes[f"image-{name}"]["path"])), own)


def test_wrong_decisions_of_clients_are_answered_with_the_right_ones(app):
    api = importlib.import_module("api")
    photo = {"path": str(app.TEMP.name) + "/camera.png"}
    Path(photo["path"]).write_bytes(CAMERA.read_bytes())
    for call, said in (
        (
            lambda: api.colorize(photo, [MANY_COLOURS], 1, 1, "modus"),
            "Choose from: own, mode, median, expectation, sam",
        ),
        (
            lambda: api.colorize(photo, [MANY_COLOURS], 1, 1, "mode", 0),
            "expected a temperature of at least 0.001, got 0",
        ),
        (
            lambda: api.alternatives(photo, MANY_COLOURS, 1, 1, 1, "own", 1e-40),
            "expected a temperature of at least 0.001, got 1e-40",
        ),
        (lambda: api.colorize(photo, [MANY_COLOURS], 1, 1, "own", None), "Expected a number for temperature, at least"),
        (lambda: api.colorize(photo, [MANY_COLOURS, METHOD], 1, 1, "mode"), f"With {METHOD}, which predict one colour"),
        (lambda: api.steer(photo, METHOD, [], 1, 1, "own", 2), "decoder must be own and temperature 1"),
        (
            lambda: api.alternatives(photo, "larsson16_lab_joint_small", 1, 1, 1, "median"),
            "expected a decoder of LabJoint: expectation, mode, sample; got 'median'",
        ),
    ):
        with pytest.raises(gr.Error, match=re.escape(said)):
            call()


def test_clients_decide(app):
    api = importlib.import_module("api")
    photo = {"path": str(app.TEMP.name) + "/rocket.jpg"}
    Path(photo["path"]).write_bytes(ROCKET.read_bytes())
    expected = colorlib.Colorizer(MANY_COLOURS, decoder="expectation")
    expected.target.temperature = 0.38
    result = expected(ROCKET)
    (file,), _ = api.colorize(photo, [MANY_COLOURS], 1, 1, "expectation", 0.38)
    assert same(Path(file), result)
    (first, _), _ = api.alternatives(photo, MANY_COLOURS, 1, 1, 1, "expectation", 0.38)
    assert same(Path(first), next(result.samples(1)))
    (file,), _ = api.steer(photo, MANY_COLOURS, [], 1, 1, "expectation", 0.38)
    assert same(Path(file), result)
