"""Many photographs: up to fifty by one method, with progress, a stop, and one zip."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr
import words
from board import few
from checks import checked, dials
from loading import load
from methods import label
from panels import Changes, inside
from uploads import LIFETIME, later

if TYPE_CHECKING:
    from batches import Batch

LIMIT = 50  # photographs
Files: TypeAlias = list[dict[str, Any]] | None  # uploads, as Gradio gives them without preprocessing


class Many:
    """The box for files, the settings, and what has become of the photographs.

    Args:
        methods: names of the methods, in order.
    """

    def __init__(self, methods: list[str]):
        # By visitor, so that a stop finds them, and a visitor who leaves frees the work.
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()
        gr.HTML(words.MANY_HEADER, padding=False)
        with gr.Row(elem_id="many"):
            with gr.Column(scale=1, min_width=280):
                self.files = gr.File(file_count="multiple", label=f"Up to {LIMIT} photographs", elem_id="many-files")
                choices = [(label(name), name) for name in methods]
                self.method = gr.Dropdown(choices, value=few()[0], label="Method", elem_id="many-method")
                self.strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="many-strength")
                self.saturation = gr.Slider(0, 2, 1, step=0.05, label="Saturation", elem_id="many-saturation")
                self.borders = gr.Checkbox(
                    True, label="Leave the borders of scans uncoloured: mounts, frames", elem_id="many-borders"
                )
                self.start = gr.Button("Colour them", variant="primary", elem_id="many-start")
                self.stop = gr.Button("Stop", visible=False, elem_id="many-stop")
            with gr.Column(scale=4, min_width=320):
                self.status = gr.HTML(words.MANY_WELCOME, padding=False, elem_id="many-status")
                self.download = gr.DownloadButton("Download all (zip)", visible=False, elem_id="many-download")
                self.pictures = gr.Gallery(
                    visible=False,
                    show_label=False,
                    columns=4,
                    height="auto",
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
        outputs = [self.status, self.download, self.pictures, self.start, self.stop]
        # At once, whatever waits: who has to wait for another's batch is told so, and can stop waiting.
        begun = self.start.click(self.begin, self.files, outputs, queue=False, preprocess=False, **options)
        # One batch at a time; whoever colours one photograph does not wait for it.
        begun.then(
            self.colour,
            [self.files, self.method, self.strength, self.saturation, self.borders],
            outputs,
            preprocess=False,
            concurrency_id="many",
            concurrency_limit=1,
            **options,
        )
        self.stop.click(self.halt, None, self.stop, queue=False, **options)
        blocks.unload(self.leave)

    def begin(self, files: Files, request: gr.Request) -> Changes:
        """Take the visitor's place in the queue, or say why not."""
        paths = _paths(files)
        if not 0 < len(paths) <= LIMIT:
            return {self.status: words.complaint_html(words.many_refusal(len(paths), LIMIT))}
        self.leave(request)  # what an earlier batch has left
        with self._lock:
            self._visits[_key(request)] = Visit()
        return self._busy(True) | {
            self.status: words.many_waiting_html(len(paths)),
            self.pictures: gr.Gallery([], visible=False),
            self.download: gr.DownloadButton(visible=False),
        }

    def colour(
        self,
        files: Files,
        method: str,
        strength: float,
        saturation: float,
        leave_borders: bool,
        request: gr.Request,
    ) -> Iterator[Changes]:
        """Colour the photographs, one after the other, and show each."""
        with self._lock:
            visit = self._visits.get(_key(request))
        if visit is None or visit.batch is not None:  # the visitor has left, or was refused
            yield {self.status: gr.skip()}
            return
        load()
        from batches import Batch

        try:
            (name,) = checked("colorize", [method])
            visit.batch = made = Batch(
                _paths(files), name, *dials(strength, saturation), visit.stopped, bool(leave_borders)
            )
            yield {self.status: words.many_html(0, made.total)}
            for _ in made.run():
                yield {
                    self.status: words.many_html(
                        made.done,
                        made.total,
                        made.failures,
                        made.seconds_left,
                        bordered=made.bordered,
                        smaller=made.smaller,
                    ),
                    self.pictures: gr.Gallery(list(made.pictures), visible=bool(made.pictures)),
                }
            file = made.zip()
        except gr.Error as error:
            yield self._busy(False) | {self.status: words.complaint_html(error.message)}
            return
        except Exception as error:
            logging.error("a batch failed: %s", type(error).__name__)  # a message may have a visitor's file name
            yield self._busy(False) | {self.status: words.complaint_html(words.FAILED)}
            return
        finally:
            visit.stopped.set()  # also where the visitor has left
            self._forget_later(_key(request), visit)
        yield self._busy(False) | {
            self.status: words.many_html(
                made.done,
                made.total,
                made.failures,
                stopped=made.done < made.total,
                bordered=made.bordered,
                smaller=made.smaller,
            ),
            self.download: gr.DownloadButton(value=file, visible=file is not None),
            self.pictures: gr.Gallery(list(made.pictures), visible=bool(made.pictures)),
        }

    def halt(self, request: gr.Request) -> gr.Button:
        """Let the photograph that is being coloured be the last."""
        with self._lock:
            visit = self._visits.get(_key(request))
        if visit is not None:
            visit.stopped.set()
        return gr.Button("Stopping ...", interactive=False)

    def leave(self, request: gr.Request) -> None:
        """Free the work and the files of a visitor who leaves."""
        with self._lock:
            visit = self._visits.pop(_key(request), None)
        if visit is not None:
            visit.stopped.set()
            visit.batch = None

    def _forget_later(self, key: str, visit: "Visit") -> None:
        """The files stay until the visitor begins another batch or leaves, or for LIFETIME."""

        def forget() -> None:
            with self._lock:
                if self._visits.get(key) is visit:
                    del self._visits[key]
            visit.batch = None

        later(LIFETIME, forget)

    def _busy(self, busy: bool) -> Changes:
        return {
            self.start: gr.Button(interactive=not busy),
            self.stop: gr.Button("Stop", visible=busy, interactive=True),
        }


@dataclass
class Visit:
    """What a visitor has begun.

    Attributes:
        stopped: set it, and the photograph that is being coloured is the last.
        batch: the photographs, as soon as they are begun. Its files go with it.
    """

    stopped: threading.Event = field(default_factory=threading.Event)
    batch: "Batch | None" = None


def _key(request: gr.Request) -> str:
    """A visitor's."""
    return request.session_hash or ""


def _paths(files: Files) -> list[Path]:
    """Of uploads, as they came.

    Raises:
        gr.Error: a path is not one of an upload.
    """
    return [inside(Path(file["path"])) for file in files or []]
