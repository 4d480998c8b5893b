"""Ask a pixel and steer: below the large picture, which colours are possible where one clicks, and which to take."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from panels import Changes

if TYPE_CHECKING:
    from session import Session


class Pixel:
    """What is said about the pixel that was clicked, with a button for each colour; and the visitor's points.

    Its buttons, and clicks on the picture, arrive as one event: a mapping whose ``do`` names one of :attr:`ACTIONS`.
    """

    def __init__(self) -> None:
        script = Path(__file__).with_name("pixel.js").read_text(encoding="utf-8")
        self.html = gr.HTML(words.PIXEL_HINT, padding=False, js_on_load=script, elem_id="pixel")

    def shown(self, name: str, session: "Session") -> Changes:
        """What is said about the pixel, a method first, and its points."""
        if session.asked is None:
            return {self.html: words.PIXEL_HINT}
        return {self.html: words.pixel_html(session.place(*session.asked), session.said(name), session.choices(name))}

    def emptied(self) -> Changes:
        """Nothing has been asked of a new photograph."""
        return {self.html: words.PIXEL_HINT}

    def act(self, event: Any, name: str, session: "Session") -> bool:
        """Do what a visitor asks for.

        Args:
            event: of the page, as it came: a client may put anything into it.
            name: the method on the slider.
            session: the visitor's.

        Returns:
            Whether the method's picture has changed.
        """
        try:
            action = ACTIONS[event["do"]]
            before = session.result(name)
            action(session, name, event)
        except (KeyError, TypeError, OverflowError):
            return False  # no page of ours sends it
        except ValueError as error:  # nor what leads to most of these; but a visitor may choose too many colours
            gr.Warning(html.escape(str(error)), title="Nothing was painted")
            return False
        return session.result(name) is not before


def _ask(session: "Session", name: str, event: dict[str, Any]) -> None:
    across, down = float(event["x"]), float(event["y"])
    if not (0 <= across < 1 and 0 <= down < 1):
        raise ValueError(f"expected shares in [0, 1), got {across} and {down}")
    session.ask(name, across, down)


def _choose(session: "Session", name: str, event: dict[str, Any]) -> None:
    colour = str(event["colour"]) if "colour" in event else (float(event["a"]), float(event["b"]))
    session.pointed(name).choose(*_asked(session), colour)


def _warm(session: "Session", name: str, event: dict[str, Any]) -> None:
    session.pointed(name).warm(*_asked(session), 1 if event["do"] == "warmer" else -1)


def _remove(session: "Session", name: str, event: dict[str, Any]) -> None:
    session.pointed(name).remove(int(event["point"]))


def _undo(session: "Session", name: str, event: dict[str, Any]) -> None:
    session.pointed(name).undo()


def _asked(session: "Session") -> tuple[int, int]:
    if session.asked is None:
        raise ValueError("no pixel was asked about")
    return session.asked


ACTIONS: dict[str, Callable[["Session", str, dict[str, Any]], None]] = {
    "ask": _ask,
    "choose": _choose,
    "warmer": _warm,
    "cooler": _warm,
    "remove": _remove,
    "undo": _undo,
}
