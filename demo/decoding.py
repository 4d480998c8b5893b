"""Files of visitors are decoded here, and nowhere else: in processes with limits, so that none ends the server.

A decoder that crashes ends its process, and another takes its place. One that takes too long is ended. One that wants
too much memory gets none. :mod:`decoder` is what these processes run. No process sees the files of two visitors where
the system can fork, so that a crash is that of the file.
"""

import atexit
import logging
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

import decoder
from pebble import ProcessExpired, ProcessPool
from uploads import DECODED, TEMP

if TYPE_CHECKING:
    from colorlib import io

PROCESSES = 2
SECONDS = 60.0  # for a photograph, or a page of one: of most pixels, the slowest format takes 20 on a busy machine
LONG_SECONDS = 600.0  # for a clip, or all pages of a file
MEMORY = 2 << 30  # bytes for a file: of most pixels, JPEG 2000 takes most, 1.1 GB


class LimitError(Exception):
    """A file that cannot be decoded here; the message goes on after its name."""


class StoppedError(Exception):
    """Whoever sent the file has stopped the work, or left; or the server ends."""


def start() -> ProcessPool:
    """The processes. They load the library when they are started, which takes seconds, so best before they are needed.

    Where the system can, they are forks of a process that has loaded it and done nothing, so that one that ends is
    replaced at once; never of the server, which has threads.
    """
    global _pool, _ended
    with _lock:
        _ended = False
        if _pool is None or not _pool.active:
            _end(_pool)
            windows = sys.platform == "win32"
            context = multiprocessing.get_context("spawn" if windows else "forkserver")
            if not windows:
                context.set_forkserver_preload(["decoder", "preloaded"])
                _share_path()
                forkserver.ensure_running()
            tasks = 100 if windows else 1  # of a process: to fork another takes no time
            _pool = ProcessPool(
                PROCESSES, max_tasks=tasks, initializer=decoder.begin, initargs=(MEMORY,), context=context
            )
            if not _pool.active:  # asked, it starts
                raise RuntimeError("the decoders could not be started")
        return _pool


def stop() -> None:
    """End the processes, whatever they are at."""
    global _pool, _ended
    with _lock:
        _ended = True
        _end(_pool)
        _pool = None


_lock = threading.Lock()
_pool: ProcessPool | None = None
_ended = False  # whether the last word was to stop
atexit.register(stop)  # before multiprocessing waits for processes that a pool would replace for ever


def _end(pool: ProcessPool | None) -> None:
    if pool is not None:
        pool.stop()
        pool.join()


def _share_path() -> None:
    """Processes that are started here, now or later, find the same modules."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(one for one in [*sys.path, *before] if one))


def run(
    function: Callable[..., Any],
    *arguments: object,
    seconds: float | None = None,
    stopped: threading.Event | None = None,
) -> Any:
    """Call a function of a module in one of the processes.

    Args:
        function: what to call.
        *arguments: of it.
        seconds: that it may take, from when a process is free for it; default: SECONDS.
        stopped: set it, and the process is ended.

    Returns:
        What the function returned.

    Raises:
        LimitError: it took too long, wanted too much memory, or ended its process.
        StoppedError: it was stopped.
        Exception: any that the function raised.
    """
    with tempfile.TemporaryDirectory(dir=TEMP.name, prefix=DECODED, ignore_cleanup_errors=True) as folder:
        place, task = Path(folder, "made"), (function, arguments, Path(folder, "made"))
        try:
            try:
                _wait(task, seconds or SECONDS, stopped)
            except BrokenProcessPool:  # a process that had nothing to do was ended
                _wait(task, seconds or SECONDS, stopped)
        except TimeoutError:
            raise LimitError(f"takes longer than {seconds or SECONDS:.0f} seconds to read") from None
        except (ProcessExpired, BrokenProcessPool) as error:
            logging.error("a decoder ended, exit code %s", getattr(error, "exitcode", None))
            raise LimitError("cannot be read: its decoder crashed") from None
        except CancelledError:
            raise StoppedError from None
        made = decoder.take(place)
    if isinstance(made, MemoryError):
        raise LimitError("needs more memory to be read than one file may take")
    if isinstance(made, Exception):
        raise made
    return made


def _wait(task: tuple[Any, ...], seconds: float, stopped: threading.Event | None) -> None:
    """Let a process do it.

    Raises:
        TimeoutError: it took too long.
        ProcessExpired: it ended its process.
        BrokenProcessPool: the processes have ended for another reason.
        StoppedError: it was stopped, or the processes were.
    """
    pool = start()
    future = pool.schedule(decoder.answer, task, timeout=seconds)
    try:
        while not wait([future], timeout=0.2).done:
            if (stopped is not None and stopped.is_set()) or _ended:
                raise StoppedError
            if not pool.active:
                raise BrokenProcessPool
        future.result()
    finally:
        future.cancel()


def read(source: Path, *, max_pixels: int, stopped: threading.Event | None = None) -> "io.Photo":
    """See :func:`colorlib.io.read`, and :func:`run`."""
    photo: io.Photo = run(decoder.read, source, max_pixels, stopped=stopped)
    return photo


def pages(source: Path, *, max_pixels: int, stopped: threading.Event | None = None) -> "Iterator[io.Photo]":
    """See :func:`colorlib.io.pages`, and :func:`run`; the limits are of each page, and of all LONG_SECONDS."""
    number, count, left = 1, 1, LONG_SECONDS
    while number <= count:
        begun = time.monotonic()
        photo: io.Photo = run(decoder.page, source, max_pixels, number, seconds=min(SECONDS, left), stopped=stopped)
        number, count, left = number + 1, photo.pages, max(1e-3, left - (time.monotonic() - begun))
        yield photo
        del photo  # before the next is read


def unpack(source: Path, destination: Path, stopped: threading.Event | None = None) -> None:
    """See :func:`colorlib.clips.unpack`, and :func:`run`."""
    run(decoder.unpack, source, destination, seconds=LONG_SECONDS, stopped=stopped)
