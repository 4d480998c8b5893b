"""Files of visitors: where they lie, and when they go. Nothing here needs torch."""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

TEMP = tempfile.TemporaryDirectory(prefix="colorlib-demo-")  # every file of every visitor; it goes with the server
LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
SWEEP = 300  # seconds from one sweep to the next, whether visitors come or not
LINGER = 10  # seconds that a file is kept after its successor has come: a browser may be about to ask for it


class UnreadableError(Exception):
    """A visitor's file that cannot be used; the message explains it without any term of the library."""


def remove_later(folder: Path, seconds: float | None = None) -> None:
    """Remove a folder after some seconds, by default LINGER."""
    timer = threading.Timer(LINGER if seconds is None else seconds, partial(shutil.rmtree, folder, ignore_errors=True))
    timer.daemon = True
    timer.start()


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
