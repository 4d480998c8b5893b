"""Files of visitors: where they lie, and when they go. Nothing here needs torch."""

import heapq
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue

if sys.platform != "win32":
    import fcntl

FOLDERS = "colorlib-demo-"  # how the names of servers' folders begin
MARK = ".server"  # a file in each of them, which the server holds; nothing else makes a folder a server's
LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
SWEEP = 300  # seconds from one sweep to the next, whether visitors come or not
DECODED = "decoded-"  # how the names of folders for decoded photographs begin, which go at once
LINGER = 10  # seconds that a file is kept after its successor has come: a browser may be about to ask for it


def _hold(folder: Path, *, new: bool = False) -> int | None:
    """Lock the mark of this user's folder: the file descriptor that holds it, until the process ends, however it ends.

    None if another process holds it, if there is none, or if the system has no such locks.

    Args:
        folder: a server's, or another.
        new: whether the mark is to be made.
    """
    if sys.platform == "win32":
        return None
    try:
        held = os.open(folder / MARK, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if new else 0), 0o600)
    except OSError:
        return None
    try:
        if os.fstat(held).st_uid == os.geteuid():
            fcntl.flock(held, fcntl.LOCK_EX | (0 if new else fcntl.LOCK_NB))
            return held
    except OSError:
        pass
    os.close(held)
    return None


def _own_folder() -> "tempfile.TemporaryDirectory[str]":
    """A new folder, held as long as this process runs."""
    while True:
        folder = tempfile.TemporaryDirectory(prefix=FOLDERS)
        _hold(Path(folder.name), new=True)
        if Path(folder.name).is_dir():  # else another server took it for one that is left, before it was held
            return folder


TEMP = _own_folder()  # every file of every visitor; it goes with the server


def remove_left() -> None:
    """Remove the folders of servers that could not, such as one that was killed: those whose mark nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        if (held := _hold(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


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
            elif (hashed or path.name.startswith(DECODED)) and age > LIFETIME:
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
