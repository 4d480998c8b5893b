"""A short clip by one method, with progress, a stop, and what smoothing did to flicker."""

import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import decoding
import gradio as gr
import words
from board import few
from checks import checked
from loading import load
from methods import label
from panels import Changes, uploaded
from uploads import LIFETIME, TEMP, remove_later

EVERY = 5  # frames from one report to the next


class Clip:
    """The box for a clip, the settings, and the clip in colour.

    Args:
        methods: names of the methods, in order.
    """

    def __init__(self, methods: list[str]):
        self._stops: dict[str, threading.Event] = {}  # by visitor: set one, and the visitor's clip ends
        gr.HTML(words.CLIP_HEADER, padding=False)
        with gr.Row(elem_id="clip"):
            with gr.Column(scale=1, min_width=280):
                self.file = gr.File(label="A clip", file_types=["video"], elem_id="clip-file")
                choices = [(label(name), name) for name in methods]
                self.method = gr.Dropdown(choices, value=few()[0], label="Method", elem_id="clip-method")
                self.start = gr.Button("Colour it", variant="primary", elem_id="clip-start")
                self.stop = gr.Button("Stop", visible=False, elem_id="clip-stop")
            with gr.Column(scale=4, min_width=320):
                self.status = gr.HTML(words.CLIP_WELCOME, padding=False, elem_id="clip-status")
                self.video = gr.Video(
                    visible=False,
                    interactive=False,
                    label="In colour",
                    autoplay=False,
                    buttons=["download"],
                    elem_id="clip-video",
                )

    def listen(self, blocks: gr.Blocks, **options: Any) -> None:
        """Attach the handlers to the buttons.

        Args:
            blocks: the page.
            **options: of events.
        """
        outputs = [self.status, self.video, self.start, self.stop]
        begun = self.start.click(self.begin, self.file, outputs, queue=False, preprocess=False, **options)
        # One clip at a time, beside the batches of the tab for many photographs.
        one = {"concurrency_id": "clip", "concurrency_limit": 1}
        begun.then(self.colour, [self.file, self.method], outputs, preprocess=False, **one, **options)
        self.stop.click(self.halt, None, self.stop, queue=False, **options)
        blocks.unload(self.leave)

    def begin(self, file: dict[str, Any] | None, request: gr.Request) -> Changes:
        """Take the visitor's place in the queue, or say why not."""
        if uploaded(file) is None:
            return {self.status: words.complaint_html("Choose a clip first.")}
        self.leave(request)  # what an earlier clip has left
        self._stops[request.session_hash or ""] = threading.Event()
        return self._busy(True) | {self.status: words.CLIP_WAITS, self.video: gr.Video(None, visible=False)}

    def colour(self, file: dict[str, Any] | None, method: str, request: gr.Request) -> Iterator[Changes]:
        """Colour the clip, frame by frame."""
        path, stopped = uploaded(file), self._stops.get(request.session_hash or "")
        if path is None or stopped is None or stopped.is_set():  # refused, or the visitor has stopped or left
            yield self._busy(False) | {self.status: words.CLIP_WELCOME}
            return
        try:
            (name,) = checked("colorize", [method])
        except gr.Error as error:
            yield self._busy(False) | {self.status: words.complaint_html(error.message)}
            return
        load()
        from batches import colorizer

        from colorlib import clips

        folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        unpacked, made = folder / "unpacked", folder / f"{path.stem}-{name}.mp4"
        unpacked.mkdir()
        read = unpacked / f"{path.stem}.mp4"
        try:
            yield {self.status: words.CLIP_READ}
            decoding.unpack(path, read, stopped)
            # Closed also where the visitor has left.
            with closing(clips.colorize(read, made, colorizer(name), unpacked=True)) as coloring:
                while True:
                    step = next(coloring)
                    if stopped.is_set():
                        break
                    if step.done % EVERY == 1:
                        yield {self.status: words.clip_html(step.done, step.total)}
            yield self._busy(False) | {self.status: words.CLIP_STOPPED}
        except StopIteration as end:
            text = words.clip_done_html(end.value.frames, end.value.sound, clips.flicker_text(end.value))
            yield self._busy(False) | {self.status: text, self.video: gr.Video(str(made), visible=True)}
        except decoding.StoppedError:
            yield self._busy(False) | {self.status: words.CLIP_STOPPED}
        except decoding.LimitError as error:
            text = f"{path.name} {error}. Cut out a part, or save it as MP4, and try again."
            yield self._busy(False) | {self.status: words.complaint_html(text)}
        except clips.ClipError as error:
            yield self._busy(False) | {self.status: words.complaint_html(f"{str(error)[:1].upper()}{str(error)[1:]}.")}
        except Exception as error:  # the button must come back
            logging.error("a clip failed: %s", type(error).__name__)  # a message may have the visitor's file name
            yield self._busy(False) | {self.status: words.complaint_html(words.FAILED)}
        finally:  # not before: the file is the visitor's for LIFETIME
            shutil.rmtree(unpacked, ignore_errors=True)  # gigabytes, also of what was stopped
            remove_later(folder, LIFETIME)

    def halt(self, request: gr.Request) -> gr.Button:
        """Let the frame that is being coloured be the last."""
        self._stop(request)
        return gr.Button("Stopping ...", interactive=False)

    def leave(self, request: gr.Request) -> None:
        """Free the work of a visitor who leaves."""
        self._stop(request)
        self._stops.pop(request.session_hash or "", None)

    def _stop(self, request: gr.Request) -> None:
        if stopped := self._stops.get(request.session_hash or ""):
            stopped.set()

    def _busy(self, busy: bool) -> Changes:
        return {
            self.start: gr.Button(interactive=not busy),
            self.stop: gr.Button("Stop", visible=busy, interactive=True),
        }
