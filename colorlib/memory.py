"""Too little memory: which errors mean it, and the first of several attempts for which there is enough.

Torch is imported when it is needed: the shell names this error without it.
"""

import gc
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

LITTLE = "has too little memory for"  # what results say of themselves then, after the device

# What torch and the libraries under it say, in small letters. oneDNN, MIOpen and cuDNN do not name the reason: they
# find no way to run an operation, for which there is one at a smaller size.
_WORDS = (
    "not enough memory",
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "could not create a primitive",
    "could not create a memory",
    "unable to find an engine",
)


class OutOfMemoryError(MemoryError):
    """There is too little memory; says for what, and for what there is enough."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was too little memory, on the machine or on a GPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)
    )


def first_that_fits(attempts: Iterable[Callable[[], T]]) -> tuple[int, T]:
    """The number and the result of the first attempt for which there is enough memory.

    Raises:
        OutOfMemoryError: there is enough for none; says what the last one met.
    """
    import torch

    reason = ""
    for number, attempt in enumerate(attempts):
        try:
            return number, attempt()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Not before: the error held the attempt's tensors.
        gc.collect()
        torch.cuda.empty_cache()
    raise OutOfMemoryError(reason)
