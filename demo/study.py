"""The study of naturalness: pictures in random order, one at a time, of which nobody is told who made them."""

import logging
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
import words
from board import few
from loading import load
from panels import Changes
from uploads import LIFETIME, TEMP

from colorlib.benchmarks import protocol
from colorlib.catalog import catalog
from colorlib.study import ORIGINAL, Vote, Votes

FILE, PHOTOGRAPHS = "COLORLIB_STUDY", "COLORLIB_STUDY_PHOTOS"  # the environment's names for the host's choices


def chosen() -> tuple[Path, list[Path]] | None:
    """The file of votes and the photographs that the host names; None without a file: then there is no study.

    Raises:
        FileNotFoundError: the folder of photographs has no file.
    """
    file, folder = os.environ.get(FILE), os.environ.get(PHOTOGRAPHS)
    if not file:
        return None
    if folder:
        photographs = sorted(path for path in Path(folder).iterdir() if path.is_file())
    else:
        photographs = [photo.path for photo in protocol("skimage").find([])]
    if not photographs:
        raise FileNotFoundError(f"{PHOTOGRAPHS}={folder}: no photograph is there")
    return Path(file), photographs


class Round:
    """A voter's pictures, in an order of their own.

    Args:
        pictures: photograph and whose picture of it: a method's name or ORIGINAL.
        voter: a random name; default: a new one.
    """

    def __init__(self, pictures: Sequence[tuple[Path, str]], voter: str = ""):
        self.voter = voter or uuid.uuid4().hex
        self.left = random.sample(pictures, len(pictures))
        self.total = len(pictures)
        self.shown: tuple[Path, str] | None = None
        self.token = ""  # of the picture that is shown
        self.since = 0.0
        self.lock = threading.Lock()

    @property
    def done(self) -> int:
        """How many pictures have been answered."""
        return self.total - len(self.left) - (self.shown is not None)


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
        self.round = gr.State(None, time_to_live=LIFETIME)
        self.status = gr.HTML(words.study_html(len(self.pictures)), padding=False, elem_id="study-status")
        self.start = gr.Button("Begin", variant="primary", elem_id="study-start")
        with gr.Column(visible=False, elem_id="study") as self.column:
            gr.HTML(f"<h2>{words.QUESTION}</h2>", padding=False)
            with gr.Row(elem_id="study-answers"):
                self.yes = gr.Button("Yes (Y)", elem_id="study-yes")
                self.no = gr.Button("No (N)", elem_id="study-no")
            # Which picture the browser shows: an answer that was given before the next one came is not about that.
            self.token = gr.Textbox(visible="hidden")
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
        outputs = [self.round, self.status, self.start, self.column, self.token, self.image]
        options |= {"concurrency_id": "study", "concurrency_limit": 2}
        self.start.click(self.begin, self.round, outputs, **options)
        for button, natural in ((self.yes, True), (self.no, False)):
            button.click(partial(self.answer, natural=natural), [self.round, self.token], outputs, **options)

    def begin(self, before: Round | None = None) -> Changes:
        """Begin a round, of the same voter as the one before."""
        current = Round(self.pictures, before.voter if before else "")
        with current.lock:
            self._advance(current)
            return self._shown(current)

    def answer(self, current: Round | None, token: str, natural: bool) -> Changes:
        """Keep a vote on the picture that the browser shows, and show the next one once it is kept."""
        if current is None:
            return {self.status: words.study_html(len(self.pictures)), self.start: gr.Button("Begin", visible=True)}
        with current.lock:
            if current.shown is None or token != current.token:
                return {self.status: gr.skip()}  # a second click on a picture that has its answer
            photo, shown = current.shown
            weights = catalog()[shown].weights if shown != ORIGINAL else None
            seconds = round(time.monotonic() - current.since, 3)
            self.votes.add(Vote(current.voter, photo.name, shown, weights.sha256 if weights else "", natural, seconds))
            self._advance(current)
            return self._shown(current)

    def _advance(self, current: Round) -> None:
        """Go on to the next picture that can be made."""
        current.shown, current.token = None, ""
        while current.left:
            photo, shown = current.left.pop()
            try:
                self._picture(photo, shown)
            except Exception:  # one photograph that cannot be read does not end the study
                logging.exception("%s by %s cannot be shown", photo.name, shown)
                current.total -= 1
                continue
            current.shown, current.token, current.since = (photo, shown), uuid.uuid4().hex, time.monotonic()
            return

    def _shown(self, current: Round) -> Changes:
        changes: Changes = {
            self.round: current,
            self.status: words.study_html(current.total, current.done),
            self.token: current.token,
            self.start: gr.Button("Begin again", visible=current.shown is None),
            self.column: gr.Column(visible=current.shown is not None),
        }
        return changes | {self.image: self._picture(*current.shown) if current.shown else None}

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
