"""Downloads: pictures at full size, written when a button is clicked."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from panels import Changes

if TYPE_CHECKING:
    from session import Session

Write = Callable[["Session", list[str]], Path]  # from the session and the methods that are ticked


def saving(write: Callable[["Session", str], Path], key: str) -> Write:
    """Write one picture, whatever methods are ticked."""
    return lambda session, _: write(session, key)


class Downloads:
    """A hidden button that holds each file until the browser has it."""

    def __init__(self) -> None:
        self.finished = gr.DownloadButton(visible="hidden")

    def attach(self, button: gr.Button, write: Write, inputs: list[Any], **options: Any) -> None:
        """Let a button write and download a file.

        Args:
            button: the button.
            write: writes the file.
            inputs: the ticked methods, strength, saturation and session.
            **options: of the event.
        """
        saved = button.click(partial(self.save, button, write), inputs, [self.finished, button], **options)
        saved.then(None, self.finished, js=words.SAVE, api_visibility="private")

    def save(
        self,
        button: gr.Button,
        write: Write,
        names: list[str],
        strength: float,
        saturation: float,
        session: "Session | None",
    ) -> Iterator[Changes]:
        """Write a file, while the button says so."""
        yield {button: gr.Button("Preparing ...", interactive=False)}
        path = None
        try:
            if session is None:
                raise FileNotFoundError
            session.strength, session.saturation = strength, saturation
            path = write(session, names)
        except FileNotFoundError:
            gr.Warning(words.EXPIRED)
        except Exception:  # the button must come back
            logging.exception("saving failed")
            gr.Warning(words.FAILED, title="Saving failed")
        yield {button: gr.Button(button.value, interactive=True), self.finished: path}
