"""Servers of a test, in a process of its own on a free port, and a window of a browser to look at them."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: dict[str, str], log: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server: the address that it tells in its log, and its process, which ends here.

    Args:
        command: what to run.
        folder: where.
        environment: of the process.
        log: where its output goes.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 240
        while not (found := re.search(r"http://[\d.]+:\d+", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        yield found.group(), process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def window(browser: Browser, patience: int, **options: Any) -> Iterator[Page]:
    """An empty page in a context of its own.

    Args:
        browser: where.
        patience: milliseconds to wait for what is expected of the page.
        **options: of the context, such as its viewport.
    """
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(patience)
        expect.set_options(timeout=patience)
        yield page
