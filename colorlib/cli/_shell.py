"""What all commands share: messages, errors with exit code 2, and signals."""

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from colorlib.batch import PlanError
from colorlib.facts import WeightsInfo


class UsageError(ValueError):
    """The command cannot start. Nothing has been written."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C or another signal asks the command to end.

    Attributes:
        code: the exit code that shells expect.
    """

    def __init__(self, number: int):
        super().__init__()
        self.code = 128 + number


def say(line: str) -> None:
    """Print a line to stderr, above the progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def say_terms(name: str, weights: WeightsInfo | None) -> None:
    """Print on which terms a method's weights are, if they forbid commercial use."""
    if weights and weights.noncommercial:
        say(f"{name}: weights and pictures are {weights.terms}")


def say_warnings(name: object, warnings: Iterable[str]) -> None:
    """Print the warnings about a file."""
    for warning in warnings:
        say(f"{name}: warning: {warning}")


def say_ignored(ignored: "Counter[str]") -> None:
    """Print how many files were left out, and their suffixes."""
    if ignored:
        say(f"ignored files that are not images by their suffix: {ignored.total()} ({', '.join(sorted(ignored))})")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Print why a command cannot start, and exit with code 2."""
    try:
        yield
    except (UsageError, PlanError, OSError) as error:
        say(f"Error: {error}")
        raise typer.Exit(2) from None


@contextmanager
def interruptible(message: str) -> Iterator[None]:
    """On SIGTERM and SIGHUP clean up as on Ctrl-C; print a message, and exit with the code that shells expect."""
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
        for number in _SIGNALS:
            # A shell may have had us ignore it, as nohup does.
            if (before := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler):
                handlers[number] = before
                signal.signal(number, _stop)
    _received.clear()
    try:
        yield
        check_signals()
    except KeyboardInterrupt as interruption:
        say(message)
        raise typer.Exit(interruption.code if isinstance(interruption, Stopped) else 130) from None
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


def check_signals() -> None:
    """Stop if a signal came and Python lost the exception, as it does while a generator is being closed."""
    if _received:
        raise Stopped(_received[0])


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_received: list[int] = []


def _stop(number: int, _: object) -> None:
    _received.append(number)
    raise Stopped(number)
