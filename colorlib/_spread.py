"""Work that is spread over processes of this machine, or over a Ray cluster.

A task is a function of one item that can be pickled. It is sent to each process once, the items one by one.
"""

import logging
import math
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from colorlib._text import extra

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
_NOT_YET = object()


class WorkerDied(RuntimeError):
    """A process ended in the middle of its work."""


def warm_up() -> None:
    """Begin to load torch for processes to come, in the background, where the system has a way to.

    Loading it takes seconds. Without this, it begins when the first of the processes is needed. What was loaded stays
    for later runs, until this process ends.
    """
    if _context().get_start_method() == "forkserver":
        with _without_interrupts(), _safe_path():
            forkserver.ensure_running()


@contextmanager
def _safe_path() -> Iterator[None]:
    """A process that is started here does not import what lies in the current folder, such as a PIL.py among scans."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@cache
def _context() -> "ForkServerContext | SpawnContext":
    """How processes start: on Linux as forks of one that has loaded torch and done nothing, so it loads once for all.

    This process is not forked: torch and the codecs have threads here, which a fork leaves behind.

    What that one loads is a setting of the whole process: a caller's own processes by "forkserver" start with the
    library loaded too, and a list of the caller's that is set later, before the first of them, takes its place.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["colorlib.batch", "colorlib.colorizer"])
    return context


def in_processes(
    task: Callable[[_Item], _Made], items: Iterable[tuple[int, _Item]], workers: int
) -> Generator[tuple[int, _Made | WorkerDied], None, None]:
    """Do work in processes of one torch thread each.

    An item is taken when a process is free for it, and processes are started as there are items for them. When the
    iterator ends, is closed, or raises, the processes are asked to end by SIGTERM and waited for: what they clean up on
    an exception, they clean up then. They ignore Ctrl-C, which is this process's to deal with.

    Args:
        task: what to do.
        items: with their indices; an exception from it ends all.
        workers: the most processes.

    Yields:
        Index and result as they come; WorkerDied for an item whose process was killed, and whose place another takes.

    Raises:
        RuntimeError: processes cannot be started.
    """
    payload = pickle.dumps(task)
    coming = iter(items)
    crew: dict[Connection, _Worker[_Item]] = {}
    try:
        while True:
            while len(crew) < workers and (item := next(coming, None)):
                worker = _Worker(payload, item)
                crew[worker.connection] = worker
            if not crew:
                return
            for connection in wait(list(crew)):
                assert isinstance(connection, Connection)
                worker = crew[connection]
                index, made = worker.index, worker.received()
                if made is _NOT_YET:
                    continue
                # It begins with the next item before this result is dealt with.
                if isinstance(made, WorkerDied) or (item := next(coming, None)) is None:
                    del crew[connection]
                    worker.end()
                else:
                    worker.give(item)
                yield index, made
    finally:
        for worker in crew.values():
            worker.stop()
        for worker in crew.values():
            worker.end()


class _Worker(Generic[_Item]):
    """A process with an item to work on, and this end of the pipe to it.

    Attributes:
        index: of the item.
        connection: this end of the pipe.
    """

    def __init__(self, payload: bytes, item: tuple[int, _Item]):
        warm_up()  # else it would be started without what that does
        context = _context()
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True, name="colorlib worker")
        with _without_interrupts():
            self._process.start()
        theirs.close()  # so that it is closed when the process ends
        self._payload: bytes | None = payload
        self._ready = False
        self.index, self._item = item

    def give(self, item: tuple[int, _Item]) -> None:
        """Hand over the next item."""
        self.index, self._item = item
        with suppress(ConnectionError):  # `received` tells
            self.connection.send(self._item)

    def received(self) -> Any:
        """What the process has sent: a result, or NOT_YET while it asks for the task, and then for an item."""
        try:
            made = self.connection.recv()
            if self._payload is not None:
                self.connection.send(dict(os.environ))
                self.connection.send_bytes(self._payload)
                self._payload = None
                return _NOT_YET
            if not self._ready:
                self._ready = True
                self.connection.send(self._item)
                return _NOT_YET
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            if not self._ready:
                raise RuntimeError(
                    f"a worker could not start (exit code {code}; its message is above); scripts that start workers "
                    'need `if __name__ == "__main__":` around what they do; or take 1 worker'
                ) from None
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
            return WorkerDied(
                f"the process that worked on it {how}; this happens when memory runs out: try it alone, with 1 worker"
            )
        return made

    def stop(self) -> None:
        """Ask it to clean up and end."""
        self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended, which a process without work does."""
        self.connection.close()
        self._process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that is started here never hears of Ctrl-C, which a terminal sends to all; this one does afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whose start would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    """What a worker does: says that it is there, gets the task, and then item after item until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    try:
        _serve(connection)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which says nothing when the process is ending anyway


def _serve(connection: Connection) -> None:
    with suppress(EOFError, ConnectionError):  # the other process is gone
        connection.send(None)
        environment = connection.recv()  # that of now: this one may be of a process that was started long ago
        os.environ.clear()
        os.environ.update(environment)
        task = pickle.loads(connection.recv_bytes())
        if "torch" in sys.modules:  # as the task has brought it
            sys.modules["torch"].set_num_threads(1)
        connection.send(None)
        while True:
            connection.send(task(connection.recv()))


def _leave(number: int, _: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what is being written is cleaned up now
    raise SystemExit(128 + number)


# A cluster


def ray_is_there() -> bool:
    """Whether Ray is installed; it is not imported."""
    return find_spec("ray") is not None


def on_ray(
    task: Callable[[_Item], _Made],
    items: Iterable[tuple[int, _Item]],
    workers: int | None,
    *,
    gpu: bool,
    threads: int = 1,
    cpus: int = 1,
) -> Generator[tuple[int, _Made], None, None]:
    """Do work on a Ray cluster: the one that is connected, else one is looked for, else started here.

    An item whose worker is killed is done again by another.

    Args:
        task: what to do.
        items: with their indices.
        workers: processes; default: one per GPU of the cluster, or per so many CPUs.
        gpu: whether each needs one.
        threads: of torch, in each.
        cpus: for which there is a process by default.

    Yields:
        Index and result as they come.

    Raises:
        ImportError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f"--engine ray needs Ray: {extra('ray')}") from error
    rows = [{"index": index, "item": item} for index, item in items]
    if not rows:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False  # callers have one
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    resources = ray.cluster_resources()
    count = workers or max(1, math.floor(resources.get("GPU", 0) if gpu else resources.get("CPU", cpus) / cpus))
    # A block for each item: what a killed worker had is done again, and nothing else.
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _RayWorker,
        fn_constructor_args=(task, threads),
        compute=ray.data.ActorPoolStrategy(size=min(count, len(rows))),
        num_cpus=0 if gpu else 1,
        num_gpus=1 if gpu else 0,
    )
    for row in made.iter_rows():
        yield row["index"], row["made"]


class _RayWorker:
    """A process of the cluster."""

    def __init__(self, task: Callable[[Any], Any], threads: int):
        import torch

        torch.set_num_threads(threads)  # rounding depends on it
        self.task = task

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"index": row["index"], "made": self.task(row["item"])}
