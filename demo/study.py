"""The study of naturalness: pictures in random order, one at a time, of which nobody is told who made them."""

import os
import random
import threading
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import skimage
import words
from board import few
from loading import load
from panels import Changes
from uploads import TEMP

from colorlib.study import ORIGINAL, Vote, Votes

FILE, PHOTOGRAPHS = "COLORLIB_STUDY", "COLORLIB_STUDY_PHOTOS"  # the environment's names for the host's choices
SHIPPED = tuple(
    Path(skimage.__file__).parent / "data" / name
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
)


def chosen() -> tuple[Path, list[Path]] | None:
    """The file of votes and the photographs that the host names; None without a file: then there is no study.

    Raises:
        FileNotFoundError: the folder of photographs has no file.
    """
    file, folder = os.environ.get(FILE), os.environ.get(PHOTOGRAPHS)
    if not file:
        return None
    photographs = sorted(path for path in Path(folder).iterdir() if path.is_file()) if folder else [*SHIPPED]
    if not photographs:
        raise FileNotFoundError(f"{PHOTOGRAPHS}={folder}: no photograph is there")
    return Path(file), photographs


class Round:
    """A voter's pictures, in an order of their own.

    Args:
        pictures: photograph and whose picture of it: a method's name or ORIGINAL.
    """

    def __init__(self, pictures: Sequence[tuple[Path, str]]):
        self.voter = uuid.uuid4().hex
        self.pictures = random.sample(pictures, len(pictures))
        self.place = 0
        self.since = time.monotonic()


class Study:
    """The picture, the question and the two answers.

    Args:
        file: of the votes.
        photographs: to be shown, as they are and as methods colour them.
    """

    def __init__(self, file: Path, photographs: Sequence[Path]):
        self.votes = Votes(file)
        self.pictures = [(photo, shown) for photo in photographs for shown in (ORIGINAL, *few())]
        self._made: dict[tuple[Path, str], Path] = {}
        self._lock = threading.Lock()
        self.round = gr.State(None, time_to_live=3600)
        self.status = gr.HTML(words.study_html(len(self.pictures)), padding=False, elem_id="study-status")
        self.start = gr.Button("Begin", variant="primary", elem_id="study-start")
        with gr.Column(visible=False, elem_id="study") as self.column:
            gr.HTML(f"<h2>{words.QUESTION}</h2>", padding=False)
            with gr.Row(elem_id="study-answers"):
                self.yes = gr.Button("Yes (Y)", elem_id="study-yes")
                self.no = gr.Button("No (N)", elem_id="study-no")
            self.image = gr.Image(
                alt_text="The picture in question",
                show_label=False,
                container=False,
                interactive=False,
                format="png",
                buttons=[],
                elem_id="study-image",
            )

    def listen(self, **options: Any) -> None:
        """Attach the handlers.

        Args:
            **options: of events.
        """
        outputs = [self.round, self.status, self.start, self.column, self.image]
        # A second click before the next picture is there would be a vote on a picture that nobody has seen.
        once = options | {"trigger_mode": "once", "concurrency_id": "study", "concurrency_limit": 2}
        self.start.click(self.begin, None, outputs, **once)
        self.yes.click(partial(self.answer, natural=True), self.round, outputs, **once)
        self.no.click(partial(self.answer, natural=False), self.round, outputs, **once)

    def begin(self) -> Changes:
        """Begin a round."""
        return self._shown(Round(self.pictures))

    def answer(self, current: Round | None, natural: bool) -> Changes:
        """Keep a vote, and show the next picture once it is kept."""
        if current is None or current.place >= len(current.pictures):
            return {self.status: words.study_html(len(self.pictures)), self.start: gr.Button("Begin", visible=True)}
        photo, shown = current.pictures[current.place]
        seconds = time.monotonic() - current.since
        self.votes.add(Vote(current.voter, photo.name, shown, natural, round(seconds, 3)))
        current.place += 1
        return self._shown(current)

    def _shown(self, current: Round) -> Changes:
        done, total = current.place, len(current.pictures)
        changes: Changes = {self.round: current, self.status: words.study_html(total, done)}
        if done == total:
            return changes | {
                self.column: gr.Column(visible=False),
                self.start: gr.Button("Begin again", visible=True),
                self.image: None,
            }
        picture = self._picture(*current.pictures[done])
        current.since = time.monotonic()
        return changes | {
            self.start: gr.Button(visible=False),
            self.column: gr.Column(visible=True),
            self.image: picture,
        }

    def _picture(self, photo: Path, shown: str) -> Path:
        """A picture's file, whose name tells nothing; made when it is first needed."""
        with self._lock:  # whoever needs the same picture meanwhile waits for it
            made = self._made.get((photo, shown))
            if made is None or not made.is_file():
                made = Path(TEMP.name) / f"{uuid.uuid4().hex}.png"
                load()
                from blind import write

                write(photo, shown, made)
                self._made[photo, shown] = made
        return made
