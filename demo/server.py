"""The server: its page, what stands before it, and what runs beside it."""

import os
import signal
import sys
import threading
from io import StringIO
from pathlib import Path
from typing import NoReturn

from uploads import TEMP, keep_examples, remove_left, sweep_regularly

# Before Gradio is imported, whose MCP server reads it then; else photographs that it gets would stay for ever.
os.environ["GRADIO_TEMP_DIR"] = TEMP.name

import decoding
import gradio as gr
import words
from guard import FILE, Guard, fetch_nothing, log_no_values
from loading import load, load_in_background
from memory import share_arenas
from page import Page
from starlette.middleware import Middleware
from updates import look_at_changes_only
from visits import MOST


def build(page: Page) -> gr.Blocks:
    """What Gradio serves of a page, with its queue, ready to be launched."""
    share_arenas()  # before there are many threads
    blocks = page.blocks
    blocks.queue(max_size=100, api_open=False)  # nobody runs a handler past the queue
    fetch_nothing()
    log_no_values(blocks)
    look_at_changes_only(blocks)
    keep_examples()
    return blocks


page = Page()
demo = build(page)


def launch() -> None:
    """Serve until Ctrl-C, SIGTERM or SIGHUP."""
    # A supervisor's stop and the end of a terminal end the server as Ctrl-C does, so that TEMP goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, _hang_up)
    remove_left()
    try:
        _serve()
    finally:
        decoding.stop()  # else who waits for a photograph would hold up the end


def _hang_up(number: int, frame: object) -> NoReturn:
    """End as by Ctrl-C; the terminal that is gone takes none of the words that Gradio says then."""
    sys.stdout = sys.stderr = StringIO()
    raise KeyboardInterrupt


def _serve() -> None:
    threading.Thread(target=decoding.start, daemon=True, name="starts decoders").start()
    if "SPACES_ZERO_GPU" in os.environ:
        load()  # ZeroGPU asks at the launch for the functions that need a GPU
    demo.launch(
        theme=words.theme(),
        css_paths=Path(__file__).with_name("style.css"),
        head=words.head(),
        max_file_size=FILE,
        state_session_capacity=MOST,
        run_history=False,  # it would keep photographs in the browser
        footer_links=["api", "gradio"],
        mcp_server=True,  # the public endpoints, as tools
        prevent_thread_lock=True,
        _frontend=False,  # else Gradio asks the server for its page, and ends it if its first visitors keep it busy
        app_kwargs={"middleware": [Middleware(Guard)]},
    )
    load_in_background()
    sweep_regularly(page.visits.expire)
    demo.block_thread()
