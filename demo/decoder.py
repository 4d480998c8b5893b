"""What decodes visitors' files, in a process of its own with limits: see :mod:`decoding`, which starts it.

That process imports this module, :mod:`preloaded` and what these need, and nothing else of the demo.
"""

import multiprocessing
import os
import pickle
import re
import signal
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from colorlib import io

_ALIGNED = 64  # bytes


def begin(memory: int) -> None:
    """Load the library, and set the limit on memory.

    Args:
        memory: bytes for files, besides what the process has before them. Only Linux counts what is mapped: elsewhere
            there is no limit.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pebble's own handler would wait for a decoder that loops
    threading.Thread(target=_end_with_server, daemon=True).start()
    import preloaded  # noqa: F401  # where it is not inherited
    import torch

    torch.set_num_threads(1)
    if sys.platform == "linux":
        import resource

        (taken,) = re.findall(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        most = 1024 * int(taken) + memory
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard),) * 2)


def _end_with_server() -> None:
    """A kill leaves the server no time to end this process."""
    server = multiprocessing.parent_process()
    assert server is not None
    server.join()
    os._exit(1)


def answer(function: Callable[..., object], arguments: Sequence[object], place: Path) -> None:
    """Call a function, and write to a file what it returned, or its error."""
    with place.open("wb") as file:
        try:
            _put(function(*arguments), file)
        except BaseException as error:  # also of a full disk
            file.seek(0)
            file.truncate()
            _put(_portable(error), file)


def _portable(error: BaseException) -> Exception:
    """The same, or if it does not survive the way to another process, one that says as much."""
    error.__traceback__ = error.__cause__ = error.__context__ = None  # they hold what was decoded so far
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the error's own way of being pickled raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def read(source: Path, max_pixels: int) -> "io.Photo":
    """See :func:`colorlib.io.read`."""
    from colorlib import io

    return io.read(source, max_pixels=max_pixels)


def page(source: Path, max_pixels: int, number: int) -> "io.Photo":
    """One of the photographs of :func:`colorlib.io.pages`."""
    from colorlib import io

    with closing(io.pages(source, max_pixels=max_pixels, first=number)) as pages:
        return next(pages)


def unpack(source: Path, destination: Path) -> None:
    """See :func:`colorlib.clips.unpack`."""
    from colorlib import clips

    clips.unpack(source, destination)


# From process to process. Pixels would be pickled once for each view of them, and held three times on their way
# through a pipe: so they lie in a file as they lay in memory, and the file is theirs in the other process.


def _put(made: object, file: IO[bytes]) -> None:
    """Write anything that can be pickled: the memory of its arrays, the rest pickled, and where that begins."""
    rest = BytesIO()
    _Pickler(rest, file).dump(made)
    start = file.tell()
    file.write(rest.getbuffer())
    file.write(struct.pack("<Q", start))


def take(path: Path) -> Any:
    """What :func:`_put` has written; it has its own memory, or if large the file, which may then be removed."""
    from colorlib.io import store

    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        memory: Any = store.Mapping(file.fileno(), size) if size > store.IN_MEMORY else np.fromfile(file, np.uint8)
    view = memoryview(memory)
    (start,) = struct.unpack("<Q", view[-8:])
    return _Unpickler(BytesIO(view[start:-8]), memory).load()


class _Pickler(pickle.Pickler):
    def __init__(self, rest: IO[bytes], file: IO[bytes]):
        super().__init__(rest, protocol=5)
        self._file, self._places = file, dict[int, tuple[int, object]]()

    def persistent_id(self, thing: object) -> tuple[int, tuple[int, ...], tuple[int, ...], str] | None:
        """Where an array will be found: offset in the file, shape, strides and type."""
        if type(thing) is not np.ndarray or thing.dtype.hasobject:
            return None
        whole = thing
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        if not whole.flags.c_contiguous:
            whole = thing = np.ascontiguousarray(thing)
        if id(whole) not in self._places:
            self._file.write(bytes(-self._file.tell() % _ALIGNED))
            self._places[id(whole)] = self._file.tell(), whole  # which must stay, or another could get its id
            _write(whole, self._file)
        start, _ = self._places[id(whole)]
        return start + _address(thing) - _address(whole), thing.shape, thing.strides, thing.dtype.str


class _Unpickler(pickle.Unpickler):
    def __init__(self, rest: IO[bytes], memory: Any):
        super().__init__(rest)
        self._memory = memory

    def persistent_load(self, place: tuple[int, tuple[int, ...], tuple[int, ...], str]) -> "np.ndarray[Any, Any]":
        offset, shape, strides, kind = place
        return np.ndarray(shape, kind, self._memory, offset, strides)


def _address(array: "np.ndarray[Any, Any]") -> int:
    return int(array.__array_interface__["data"][0])


def _write(array: "np.ndarray[Any, Any]", file: IO[bytes]) -> None:
    """The memory of an array; of a large one, bit by bit, so that it is not in memory as a whole."""
    from colorlib.io import store

    memory = array.reshape(-1).view(np.uint8)
    for start in range(0, memory.size, 1 << 24):
        file.write(memory[start : start + (1 << 24)].data)
        store.let_go(array)
