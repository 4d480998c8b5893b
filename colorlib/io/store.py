"""Room for decoded pixels: memory for those of a usual photograph, a temporary file for those of a large one.

A network has to see the whole photograph before the first row can be painted, so its pixels wait somewhere. Those in a
file are mapped into memory, and are an array like any other; after each strip :func:`let_go` gives the memory back.
"""

import math
import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

IN_MEMORY = 1 << 27  # bytes: 44 megapixels of RGB in 8 bits


class NoRoomError(OSError):
    """The folder of temporary files is full: says how much was wanted, and what to do."""


class Mapping(mmap.mmap):
    """The content of a temporary file that has no name, and goes with the last array that shows it."""


def is_large(shape: tuple[int, ...], dtype: DTypeLike) -> bool:
    """Whether such an array gets a file."""
    return math.prod(shape) * np.dtype(dtype).itemsize > IN_MEMORY


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array to be filled, in memory or in a file.

    Raises:
        NoRoomError: there is no room for the file.
    """
    if not is_large(shape, dtype):
        return np.empty(shape, dtype)
    count = math.prod(shape) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile() as file:
        try:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process at some pixel, by SIGBUS
                os.posix_fallocate(file.fileno(), 0, count)
            else:
                file.truncate(count)
        except OSError as error:
            got = f"{tempfile.gettempdir()} has no room for {count / 1e9:.1f} GB of decoded pixels ({error.strerror})"
            raise NoRoomError(f"{got}; free some, or name another folder in the variable TMPDIR") from error
        return np.ndarray(shape, dtype, Mapping(file.fileno(), count))


def let_go(*arrays: NDArray[Any]) -> None:
    """Leave to files what lies in files: it takes no memory until it is used again. Others stay as they are."""
    for array in arrays:
        owner: object = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, Mapping) and hasattr(owner, "madvise"):
            owner.madvise(mmap.MADV_DONTNEED)  # of a shared mapping nothing is lost by it
