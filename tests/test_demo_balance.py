"""The demo's tab for white balance: what is balanced, and the maps of angles."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_demo import (
    BALANCERS,
    CAMERA,
    METHOD,
    PICTURES,
    Desk,
    gray_file,
)

import colorlib

ROCKET = PICTURES / "rocket.jpg"  # 640 x 427 pixels: all copies on the page are the photograph itself


def pixels(path: Any) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.fixture
def casts(session: Any) -> Any:
    import casts

    return casts


@pytest.fixture
def light(session: Any) -> Any:
    import light

    return light


def test_the_light_of_gray_world_is_the_mean_of_the_photograph(light):
    """Its gains make the mean gray, so the light is the mean: the angle is that of the mean from (1, 1, 1)."""
    result = colorlib.Colorizer("gray_world")(ROCKET)
    mean = colorlib.io.read(ROCKET).rgb.double().mean(dim=(1, 2)).numpy()
    expected = math.degrees(math.acos(mean.sum() / (math.sqrt(3) * np.linalg.norm(mean))))
    degrees = light.light_angles(result.gains, (427, 640))
    assert degrees.shape == (427, 640)
    assert degrees.numpy() == pytest.approx(np.full((427, 640), expected), abs=1e-3)
    assert expected > 3


def test_a_map_is_black_at_none_and_white_at_twenty_degrees(light):
    shown = light.shown(torch.tensor([[0.0, 10.0, 20.0, 40.0, math.nan]]))
    assert shown.tolist() == [[[0, 0.5, 1, 1, 0]]] * 3


@pytest.mark.parametrize("name", BALANCERS)
def test_under_a_cast_the_map_is_of_what_is_left_of_it(session, casts, name):
    one = session.Session(ROCKET)
    state = casts.simulate(one, "Reddish")
    casts.balance(state, name)
    one.strength, one.saturation = 0.2, 2  # which are not measured
    path, mean = casts.angle_map(one, state, name)
    assert mean == pytest.approx(state.angles[name], abs=1e-3)
    rgb = colorlib.Colorizer(name)(state.photo.rgb).rgb.double().flatten(1)
    truth = one.card.rgb.double().flatten(1)
    cosine = torch.nn.functional.cosine_similarity(rgb, truth, dim=0).clamp(max=1)
    expected = cosine.arccos().rad2deg().where((255 * truth).round().sum(dim=0) > 150, 0) / 20
    expected = (255 * expected.clamp(max=1)).reshape(427, 640).numpy()
    found = pixels(path)
    assert np.abs(found[..., 0] - expected).max() < 1.5
    assert np.ptp(found, axis=2).max() == 0


def test_a_gray_photograph_is_coloured_first_and_then_balanced(session, casts, tmp_path):
    """Its downloads too: the file is what the library makes of it in two steps."""
    source = gray_file(tmp_path)
    one = session.Session(source)
    state = casts.simulate(one, casts.NO_CAST, METHOD)
    coloured = colorlib.Colorizer(METHOD)(source)
    assert np.abs(pixels(casts.show_cast(one, state)) - np.asarray(coloured.image)).max() <= 1
    casts.balance(state, "gray_world")
    assert state.angle == 0
    expected = np.asarray(colorlib.Colorizer("gray_world")(coloured.image).image).astype(int)
    assert (
        np.abs(pixels(casts.show_balanced(one, state, "gray_world")) - expected).max() <= 4
    )  # gains stretch the rounding of the first step
    file = casts.save_balanced(one, "gray_world")
    assert file.name == f"gray-{METHOD}-gray_world.png"
    assert np.abs(pixels(file) - expected).max() <= 4  # gains stretch the rounding of the first step
    provenance = colorlib.io.read_provenance(file)
    assert provenance.startswith(coloured.provenance)
    assert "Then: White-balanced" in provenance
    # Under a cast, what is right is the coloured picture.
    state = casts.simulate(one, "Bluish", METHOD)
    truth = torch.from_numpy(pixels(casts.show_truth(one, state))).permute(2, 0, 1) / 255
    assert state.angle == pytest.approx(
        colorlib.metrics.functional.angular_error(state.photo.rgb[None], truth[None]).item(), abs=0.1
    )
    assert state.angle > 3


def test_the_tab_says_what_to_do_and_then_shows_maps(page, tmp_path):
    visitor = Desk(page)
    visitor.call("receive", [visitor.upload(CAMERA, "gray.png"), 1, 1, None])
    gray = visitor.call("simulate", ["None", "", None])["changes"]
    assert not gray["balance"]["visible"]
    assert "no colours of its own" in gray["balance-status"]
    first = visitor.call("simulate", ["None", METHOD, None])["changes"]
    assert first["balance"]["visible"]
    assert "As Iizuka 2016 colours it" in first["caption-light"]
    assert first["measure"]["visible"]
    maps = visitor.call("measure", [None])["changes"]
    assert len(maps["angles"]["value"]) == len(BALANCERS)
    means = [float(text.split(": ")[1].rstrip("°")) for _, text in maps["angles"]["value"]]
    assert means == sorted(means)
    assert "is from gray" in maps["angles-legend"]["value"]
    cast = visitor.call("simulate", ["Bluish", METHOD, None])["changes"]
    assert not cast["angles"]["visible"]  # those of another light
    assert cast["panel-truth"]["visible"]
    assert "from the original" in visitor.call("measure", [None])["changes"]["angles-legend"]["value"]
    left = visitor.call("receive", [visitor.upload(CAMERA, "two.png"), 1, 1, None])["changes"]
    assert "appears here when it has been coloured" in left["balance-status"]
    assert not left["balance"]["visible"]


@pytest.mark.parametrize("name", BALANCERS)
def test_white_balance_is_the_librarys(session, casts, name):
    # 640 x 427 pixels: both copies on the page are the photograph itself.
    one = session.Session(ROCKET)
    state = casts.simulate(one, casts.NO_CAST)
    casts.balance(state, name)
    one.strength, one.saturation = 0.7, 1.2
    expected = colorlib.Colorizer(name)(ROCKET).adjust(0.7, 1.2)
    assert np.array_equal(np.asarray(Image.open(casts.show_balanced(one, state, name))), np.asarray(expected.image))
    file = casts.save_balanced(one, name)
    assert file.name == f"rocket-{name}.png"
    assert np.array_equal(np.asarray(Image.open(file)), np.asarray(expected.image))
    assert "White-balanced" in colorlib.io.read_provenance(file)


@pytest.mark.parametrize("name", BALANCERS)
def test_angles_are_of_the_method_wherever_the_sliders_are(session, casts, name):
    one = session.Session(ROCKET)
    state = casts.simulate(one, "Reddish")
    balanced = colorlib.Colorizer(name)(state.photo.rgb).rgb.flatten(1).double()
    truth = one.card.rgb.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(balanced, truth.double(), dim=0).clamp(max=1)
    expected = cosine.arccos().rad2deg()[255 * truth.sum(dim=0) > 150].mean().item()
    for one.strength, one.saturation in ((1, 1), (0.3, 1), (1, 0), (1, 2)):
        state.results.clear()
        casts.balance(state, name)
        casts.show_balanced(one, state, name)
        assert state.angles[name] == pytest.approx(expected, abs=1e-3)


def test_casts_are_what_they_are_called(session, casts):
    one = session.Session(PICTURES / "coffee.png")
    before = one.card.rgb
    assert casts.simulate(one, casts.NO_CAST).angle == 0
    for cast in casts.CASTS:
        state = casts.simulate(one, cast)
        assert state.angle > 3
        gained = state.photo.rgb - before
        magenta = gained[0] + gained[2] - 2 * gained[1]  # or, where negative, green
        halves = {"left": (..., slice(300)), "right": (..., slice(-300, None)), "above": slice(200)}
        halves["below"] = slice(-200, None)
        if cast == "Reddish":
            assert gained[0].mean() > 0 > gained[2].mean()
        elif cast == "Bluish":
            assert gained[0].mean() < 0 < gained[2].mean()
        else:
            for part in cast.lower().split(", "):
                (half,) = (pixels for where, pixels in halves.items() if where in part)
                assert (magenta[half].mean() > 0) == ("purple" in part)


def test_a_cast_is_removed_by_who_can(session, casts):
    # Where the mean is gray, gray world undoes any global cast that clips nothing.
    one = session.Session(ROCKET)
    rgb = 0.25 + one.card.rgb / 4
    one.card = type(one.card)(rgb * rgb.mean() / rgb.mean(dim=(1, 2), keepdim=True))
    state = casts.simulate(one, "Reddish")
    casts.balance(state, "gray_world")
    assert state.angle > 10
    assert state.angles["gray_world"] < 0.05
    # Another state: what was made of the first is forgotten.
    assert casts.simulate(one, "Bluish").results == {}


def test_a_download_has_the_colours_of_the_picture_on_the_page(session, casts, tmp_path):
    """Whatever is painted afterwards; and the tab shows that when it balances again."""
    one = session.Session(gray_file(tmp_path, (300, 200)))
    list(one.colour([METHOD]))
    casts.simulate(one, casts.NO_CAST, METHOD)
    before = casts.save_balanced(one, "gray_world").read_bytes()
    one.pointed(METHOD).choose(100, 100, "#ff0000")
    assert casts.save_balanced(one, "gray_world").read_bytes() == before
    casts.simulate(one, casts.NO_CAST, METHOD)
    assert casts.save_balanced(one, "gray_world").read_bytes() != before


def test_downloads_have_the_original_light(session, casts):
    one = session.Session(ROCKET)
    plain = casts.save_balanced(one, "gray_world").read_bytes()
    casts.simulate(one, "Reddish")
    assert casts.save_balanced(one, "gray_world").read_bytes() == plain
