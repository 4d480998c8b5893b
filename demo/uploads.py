"""Files of visitors: where they lie, and when they go. Nothing here needs torch."""

import re
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

TEMP = tempfile.TemporaryDirectory(prefix="colorlib-demo-")  # every file of every visitor; it goes with the server
LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
SWEEP = 300  # seconds from one sweep to the next, whether visitors come or not
LINGER = 10  # seconds that a file is kept after its successor has come: a browser may be about to ask for it


class UnreadableError(Exception):
    """A visitor's file that cannot be used; the message explains it without any term of the library."""


def remove_later(folder: Path) -> None:
    """Remove a folder after LINGER seconds."""
    timer = threading.Timer(LINGER, partial(shutil.rmtree, folder, ignore_errors=True))
    timer.daemon = True
    timer.start()


def sweep() -> None:
    """Remove the empty folders that deleted uploads leave, and what agents sent long ago.

    Gradio names both by a hash. It forgets the photographs that its MCP server gets, so it never deletes these.
    """
    for folder in Path(TEMP.name).iterdir():
        with suppress(OSError):  # not empty, or gone already
            age = time.time() - folder.stat().st_mtime
            if age > LIFETIME and re.fullmatch("[0-9a-f]{40,64}", folder.name):
                shutil.rmtree(folder, ignore_errors=True)
            elif age > 60:  # Gradio may be about to write into a younger one
                folder.rmdir()


def sweep_regularly() -> None:
    """Sweep in the background for as long as the server runs."""

    def run() -> None:
        while True:
            time.sleep(SWEEP)
            sweep()

    threading.Thread(target=run, daemon=True, name="sweep").start()
