"""The demo keeps a visit while one looks: at an address that nobody can guess, and not longer than photographs."""

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_demo import CAMERA, MANY_COLOURS, METHOD, Desk, gray_file, plain


def request(token: str) -> Any:
    return SimpleNamespace(query_params={"visit": token} if token else {})


def restored(page: Any, token: str) -> dict[str, Any]:
    return {one.elem_id: plain(change) for one, change in page.restore(request(token)).items() if one.elem_id}


@pytest.fixture
def visitor(page: Any, tmp_path: Path) -> Desk:
    desk = Desk(page)
    desk.call("receive", [desk.upload(gray_file(tmp_path, (300, 200)), "small.png"), 1, 1, None])
    desk.call("colour", [[MANY_COLOURS, METHOD], None, None])
    return desk


def test_what_was_seen_is_there_again(page, visitor):
    desk, token = visitor, visitor.session.visit
    assert re.fullmatch(r"[\w-]{22}", token), "16 random bytes"
    desk.session.strength = 0.5
    desk.session.ask(METHOD, 0.5, 0.5)
    desk.session.pointed(METHOD).choose(150, 100, "#c02020")
    desk.call("pick", [METHOD, 0.5, 1, None])
    before = np.asarray(Image.open(desk.session.show(METHOD)))
    found = restored(page, token)
    assert f"data-visit='{token}'" in found["status"]
    assert found["methods"] == [MANY_COLOURS, METHOD]
    assert (found["strength"], found["saturation"], found["decoder"], found["temperature"]) == (0.5, 1, "", 1)
    assert found["compared"]["value"] == METHOD
    assert "with your colours" in found["sides"]
    assert "Your colours" in found["pixel"]
    assert np.array_equal(np.asarray(Image.open(found[f"image-{METHOD}"]["path"])), before)
    # The picture in the box is the session's own: it is not taken for an upload.
    shown = Path(found["photo"]["path"])
    assert shown.is_relative_to(desk.session.folder)
    (step,) = page.receive({"path": str(shown)}, 1, 1, desk.session)
    assert page.session not in step


def test_a_visit_without_a_picture_yet(page, tmp_path):
    desk = Desk(page)
    desk.call("receive", [desk.upload(CAMERA, "camera.png"), 1, 1, None])
    found = restored(page, desk.session.visit)
    assert "camera.png" in found["status"]
    assert "compared" not in found


def test_who_goes_on_leaves_the_visit(page, visitor):
    desk, first = visitor, visitor.session.visit
    answer = desk.call("receive", [desk.upload(CAMERA, "camera.png"), 1, 1, None])["changes"]
    second = desk.session.visit
    assert second != first
    assert f"data-visit='{second}'" in answer["status"]
    assert page.visits.find(first) is None
    gone = desk.call("receive", [None, 1, 1, None])["changes"]
    assert "data-visit=''" in gone["status"]
    assert page.visits.find(second) is None


@pytest.mark.parametrize("token", ["unknown", "../../etc/passwd", "x" * 10_000])
def test_an_address_of_no_visit_says_so(page, token):
    found = restored(page, token)
    assert set(found) == {"status", "remarks"}
    assert "role='alert'" in found["remarks"]["value"]
    assert "a visit that is over: every photograph is deleted within an hour" in found["remarks"]["value"]


def test_the_plain_address_shows_the_first_screen(page):
    assert set(restored(page, "")) == {"status"}


def test_a_visit_ends_in_time(app, monkeypatch):
    import uploads
    import visits

    assert uploads.LIFETIME < 3600
    monkeypatch.setattr(visits, "LIFETIME", 0.05)
    kept = visits.Visits()
    token = kept.keep(SimpleNamespace())
    assert kept.find(token) is not None
    deadline = time.monotonic() + 10
    while kept.find(token) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
