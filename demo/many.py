"""Many photographs: up to fifty by one method, with progress, a stop, and one zip."""

import logging
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from board import few
from loading import load
from methods import label
from panels import Changes, inside
from uploads import LIFETIME

if TYPE_CHECKING:
    from batches import Batch

LIMIT = 50  # photographs


class Many:
    """The box for files, the settings, and what has become of the photographs.

    Args:
        methods: names of the methods, in order.
    """

    def __init__(self, methods: list[str]):
        # By visitor, so that a stop finds them, and a visitor who leaves frees the work.
        self._running: dict[str, Batch] = {}
        self._lock = threading.Lock()
        gr.HTML(words.MANY_HEADER, padding=False)
        with gr.Row(elem_id="many"):
            with gr.Column(scale=1, min_width=280):
                self.files = gr.File(file_count="multiple", label=f"Up to {LIMIT} photographs", elem_id="many-files")
                choices = [(label(name), name) for name in methods]
                self.method = gr.Dropdown(choices, value=few()[0], label="Method", elem_id="many-method")
                self.strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="many-strength")
                self.saturation = gr.Slider(0, 2, 1, step=0.05, label="Saturation", elem_id="many-saturation")
                self.start = gr.Button("Colour them", variant="primary", elem_id="many-start")
                self.stop = gr.Button("Stop", visible=False, elem_id="many-stop")
            with gr.Column(scale=4, min_width=320):
                self.status = gr.HTML(words.MANY_WELCOME, padding=False, elem_id="many-status")
                self.download = gr.DownloadButton("Download all (zip)", visible=False, elem_id="many-download")
                self.pictures = gr.Gallery(
                    visible=False,
                    show_label=False,
                    columns=4,
                    object_fit="contain",
                    format="png",
                    buttons=["fullscreen"],
                    elem_id="many-pictures",
                )

    def listen(self, blocks: gr.Blocks, **options: Any) -> None:
        """Attach the handlers to the buttons.

        Args:
            blocks: the page.
            **options: of events.
        """
        inputs = [self.files, self.method, self.strength, self.saturation]
        outputs = [self.status, self.download, self.pictures, self.start, self.stop]
        # One batch at a time; whoever colours one photograph does not wait for it.
        self.start.click(self.colour, inputs, outputs, concurrency_id="many", concurrency_limit=1, **options)
        # At once, whatever waits.
        self.stop.click(self.halt, None, self.stop, queue=False, **options)
        blocks.unload(self.leave)

    def colour(
        self, files: list[str] | None, method: str, strength: float, saturation: float, request: gr.Request
    ) -> Iterator[Changes]:
        """Colour the photographs, one after the other, and show each."""
        paths = [inside(Path(file)) for file in files or []]
        if not 0 < len(paths) <= LIMIT:
            yield {self.status: words.complaint_html(words.many_refusal(len(paths), LIMIT))}
            return
        yield self._busy(True) | {
            self.status: words.many_html(0, len(paths)),
            self.pictures: gr.Gallery([], visible=False),
            self.download: gr.DownloadButton(visible=False),
        }
        load()
        from batches import Batch

        made = Batch(paths, method, strength, saturation)
        self._begin(request.session_hash, made)
        try:
            for _ in made.run():
                yield {
                    self.status: words.many_html(made.done, made.total, made.failures, made.seconds_left),
                    self.pictures: gr.Gallery(list(made.pictures), visible=bool(made.pictures)),
                }
            file = made.zip()
        except Exception:
            logging.exception("a batch failed")
            yield self._busy(False) | {self.status: words.complaint_html(words.FAILED)}
            return
        finally:
            made.stopped.set()  # also where the visitor has left
        yield self._busy(False) | {
            self.status: words.many_html(made.done, made.total, made.failures, stopped=made.done < made.total),
            self.download: gr.DownloadButton(value=file, visible=file is not None),
            self.pictures: gr.Gallery(list(made.pictures), visible=bool(made.pictures)),
        }

    def halt(self, request: gr.Request) -> gr.Button:
        """Let the photograph that is being coloured be the last."""
        with self._lock:
            running = self._running.get(request.session_hash or "")
        if running is not None:
            running.stopped.set()
        return gr.Button("Stopping ...", interactive=False)

    def leave(self, request: gr.Request) -> None:
        """Free the work and the files of a visitor who leaves."""
        with self._lock:
            running = self._running.pop(request.session_hash or "", None)
        if running is not None:
            running.stopped.set()

    def _begin(self, visitor: str | None, made: "Batch") -> None:
        """Keep the batch until the visitor's next, until the visitor leaves, or for LIFETIME: its files go with it."""
        key = visitor or ""
        with self._lock:
            self._running[key] = made
        timer = threading.Timer(LIFETIME, self._forget, (key, weakref.ref(made)))
        timer.daemon = True
        timer.start()

    def _forget(self, key: str, old: "weakref.ref[Batch]") -> None:
        with self._lock:
            if (made := self._running.get(key)) is not None and made is old():
                made.stopped.set()
                del self._running[key]

    def _busy(self, busy: bool) -> Changes:
        return {
            self.start: gr.Button(interactive=not busy),
            self.stop: gr.Button("Stop", visible=busy, interactive=True),
        }
