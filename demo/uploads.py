"""Files of visitors: where they lie, and when they go. Nothing here needs torch."""

import heapq
import logging
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue

TEMP = tempfile.TemporaryDirectory(prefix="colorlib-demo-")  # every file of every visitor; it goes with the server
LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
SWEEP = 300  # seconds from one sweep to the next, whether visitors come or not
LINGER = 10  # seconds that a file is kept after its successor has come: a browser may be about to ask for it


class UnreadableError(Exception):
    """A visitor's file that cannot be used; the message explains it without any term of the library."""


def remove_later(folder: Path, seconds: float | None = None) -> None:
    """Remove a folder after some seconds, by default LINGER."""
    later(LINGER if seconds is None else seconds, partial(shutil.rmtree, folder, ignore_errors=True))


def later(seconds: float, action: Callable[[], None]) -> None:
    """Do something after some seconds, unless the server ends before.

    One thread does it all: a timer each would be a thread for every photograph of the last hour.
    """
    # This queue may be used by finalizers, which can run amid anything, its own methods included.
    _plans.put((time.monotonic() + seconds, next(_numbers), action))
    _start_to_act()


_plans: SimpleQueue[tuple[float, int, Callable[[], None]]] = SimpleQueue()
_numbers = count()  # of two plans for one moment the first goes first; actions have no order


@cache
def _start_to_act() -> None:
    threading.Thread(target=_act, daemon=True, name="later").start()


def _act() -> None:
    """Do what is planned, each at its time."""
    due: list[tuple[float, int, Callable[[], None]]] = []
    while True:
        with suppress(Empty):
            heapq.heappush(due, _plans.get(timeout=max(0.0, due[0][0] - time.monotonic()) if due else None))
        while due and due[0][0] <= time.monotonic():
            try:
                heapq.heappop(due)[2]()
            except Exception as error:  # the others wait for their turn
                logging.error("something planned failed: %s", type(error).__name__)


_examples: set[Path] = set()


def keep_examples() -> None:
    """Sweep nothing of what is there now, before a visitor comes: the page's examples."""
    _examples.update(Path(TEMP.name).iterdir())


def sweep() -> None:
    """Remove what Gradio leaves: uploads that were cut off, what agents sent long ago, and folders that are empty.

    Gradio names folders by a hash, and forgets the photographs that its MCP server gets, so it never deletes these.
    """
    for path in set(Path(TEMP.name).iterdir()) - _examples:
        with suppress(OSError):  # not empty, or gone already
            age = time.time() - path.stat().st_mtime
            hashed = re.fullmatch("[0-9a-f]{40,64}", path.name) is not None
            if not path.is_dir():
                if age > LIFETIME:
                    path.unlink()
            elif hashed and age > LIFETIME:
                shutil.rmtree(path, ignore_errors=True)
            elif age > (60 if hashed else LIFETIME):  # a file may be about to come, after networks have run
                path.rmdir()


def sweep_regularly(expire: Callable[[], None]) -> None:
    """Sweep in the background for as long as the server runs.

    Args:
        expire: ends the visits whose time is over.
    """

    def run() -> None:
        while True:
            time.sleep(SWEEP)
            expire()
            sweep()

    threading.Thread(target=run, daemon=True, name="sweep").start()
