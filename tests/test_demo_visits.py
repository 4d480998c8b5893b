"""The demo keeps a visit while one looks: at an address that nobody can guess, and not longer than photographs."""

import queue
import re
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from test_demo import CAMERA, MANY_COLOURS, METHOD, PICTURES, Desk, gray_file, plain


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


def test_the_photograph_that_a_visit_borrows_from_is_shown(page, visitor):
    coffee = visitor.upload(PICTURES / "coffee.png", "coffee.png")
    visitor.call("transfer", [coffee, 1, 1, None])
    visitor.call("pick", [MANY_COLOURS, 1, 1, None])
    found = restored(page, visitor.session.visit)
    assert Path(found["reference"]["path"]) == visitor.session.preview
    assert found["panel-transferred"]["visible"]
    listening = [one for one in page.blocks.fns.values() if one.name == "restore"]
    assert all(page.comparison.borrowing.reference in one.outputs for one in listening)
    assert len(listening) == 1
    visitor.call("transfer", [None, 1, 1, None])
    found = restored(page, visitor.session.visit)
    assert found["reference"] is None
    assert "panel-transferred" not in found


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


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(app: Any, monkeypatch: pytest.MonkeyPatch) -> Clock:
    import visits

    clock = Clock()
    monkeypatch.setattr(visits, "time", clock)
    return clock


def test_a_visit_ends_in_time_even_if_it_was_loaded_anew(page, clock, tmp_path):
    """Whoever holds its session holds nothing of the photograph, and is told so."""
    import uploads
    import words

    assert uploads.LIFETIME + uploads.SWEEP < 3600
    desk = Desk(page)
    desk.call("receive", [desk.upload(gray_file(tmp_path, (300, 200)), "small.png"), 1, 1, None])
    desk.call("colour", [[METHOD], None, None])
    session, token = desk.session, desk.session.visit
    clock.now += uploads.LIFETIME - 1
    assert "status" in restored(page, token)
    assert session.show(METHOD).exists()
    clock.now += 2
    page.visits.expire()
    assert not session.folder.exists()
    assert vars(session).keys() == {"source", "folder", "visit"}
    assert set(restored(page, token)) == {"status", "remarks"}
    for handler, data in (("colour", [[METHOD], None, None]), ("pick", [METHOD, 0.5, 1, None])):
        with pytest.raises(gr.Error) as raised:
            desk.call(handler, data)
        assert raised.value.message == words.EXPIRED
    # And goes on to another photograph.
    desk.call("receive", [desk.upload(CAMERA, "camera.png"), 1, 1, None])
    assert desk.session is not session
    assert desk.session.folder.exists()


class Held:
    """In the place of a session."""


def test_visits_are_few_and_need_no_threads(app):
    import visits

    before = set(threading.enumerate())
    kept, sessions = visits.Visits(), [Held() for _ in range(visits.MOST + 1)]
    tokens = [kept.keep(session) for session in sessions]
    assert len(set(threading.enumerate()) - before) <= 1  # it may be the one for all plans, see uploads.later
    assert [kept.find(token) for token in tokens] == [None, *sessions[1:]]


def test_what_is_planned_is_done_in_time_by_one_thread(app):
    import uploads

    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    uploads.later(0, lambda: done.put("now"))
    assert done.get(timeout=10) == "now"  # the thread is there
    before = set(threading.enumerate())
    for number in range(100):
        uploads.later(3600, partial(done.put, f"in an hour: {number}"))
    uploads.later(0.4, lambda: done.put("last"))
    uploads.later(0.2, lambda: 1 / 0)
    uploads.later(0, lambda: done.put("first"))
    begun = time.monotonic()
    assert [done.get(timeout=10), done.get(timeout=10)] == ["first", "last"]
    assert time.monotonic() - begun > 0.3
    assert not set(threading.enumerate()) - before
    assert done.empty()
