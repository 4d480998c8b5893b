"""The demo's handlers that take what a client sends as it came: names of methods and numbers are checked."""

import importlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from test_demo import CAMERA, METHOD

import colorlib

EVIL = ("someone/weights", "/etc/model.safetensors", "gray_world", "", ["larsson16_small"], None)


@pytest.fixture
def photo(app: Any) -> dict[str, Any]:
    path = Path(importlib.import_module("uploads").TEMP.name) / "camera.png"
    path.write_bytes(CAMERA.read_bytes())
    return {"path": str(path)}


@pytest.fixture
def nothing_loads(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colorlib.Colorizer, "__init__", lambda *_, **__: pytest.fail("a method was loaded"))
    importlib.import_module("networks")._loaded.clear()


def last(steps: Any, part: Any) -> str:
    *_, end = steps
    assert end[part.start].interactive is True
    return str(end[part.status])


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize("method", EVIL)
def test_a_method_that_the_page_does_not_offer_is_not_opened(page, photo, method):
    visitor = SimpleNamespace(session_hash="evil")
    page.many.begin([photo], visitor)
    assert "Choose from: " in last(page.many.colour([photo], method, 1, 1, True, visitor), page.many)
    page.clip.begin(photo, visitor)
    assert "Choose from: " in last(page.clip.colour(photo, method, visitor), page.clip)


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize(
    ("strength", "saturation", "said"),
    [
        (2, 1, "expected strength in [0, 1], got 2"),
        (1, -1, "expected saturation in [0, 2], got -1"),
        (1, 1e9, "expected saturation in [0, 2], got 1e+09"),
        (None, 1, "Expected a number for strength, from 0 to 1, got None"),
    ],
)
def test_numbers_out_of_range_are_refused(page, photo, strength, saturation, said):
    visitor = SimpleNamespace(session_hash="wrong")
    page.many.begin([photo], visitor)
    assert said in last(page.many.colour([photo], METHOD, strength, saturation, True, visitor), page.many)
    with pytest.raises(gr.Error) as caught:
        next(page.receive(photo, strength, saturation, None))
    assert said in caught.value.message
    one = SimpleNamespace()
    with pytest.raises(gr.Error):
        page.comparison.borrowing.transfer(photo, strength, saturation, one)
    assert not vars(one)


def test_a_clip_is_the_visitors_for_an_hour_from_its_end(page, photo, monkeypatch, caplog):
    """However long it takes; and a failure names no file of the visitor's."""
    clips, seen = importlib.import_module("colorlib.clips"), []
    monkeypatch.setattr("clip.LIFETIME", 0.2)
    visitor = SimpleNamespace(session_hash="long")

    def slow(_: Path, made: Path, __: Any, *, unpacked: bool) -> Any:
        assert unpacked
        made.write_bytes(b"a clip")
        for done in (1, 2):
            time.sleep(0.5)
            yield SimpleNamespace(done=done, total=2)
        seen.append((made, made.exists()))
        if len(seen) == 2:
            raise RuntimeError(f"no room for {made.stem}")
        return clips.Report(2, 1.0, 0.5, sound=False)

    monkeypatch.setattr(clips, "colorize", slow)
    monkeypatch.setattr("decoding.unpack", lambda *_: None)
    for said in ("Flicker went down by 50 %", importlib.import_module("words").FAILED):
        page.clip.begin(photo, visitor)
        assert said in last(page.clip.colour(photo, METHOD, visitor), page.clip)
    assert [there for _, there in seen] == [True, True]
    assert "a clip failed: RuntimeError" in caplog.text
    assert "camera" not in caplog.text
    deadline = time.monotonic() + 20
    while any(made.parent.exists() for made, _ in seen):
        assert time.monotonic() < deadline
        time.sleep(0.05)
