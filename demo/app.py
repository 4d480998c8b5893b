"""Colour a photograph with every method that colorlib has ready, side by side, or balance its white. For Spaces too."""

import os
import signal
from pathlib import Path

from uploads import TEMP, keep_examples, sweep_regularly

# Before Gradio is imported, whose MCP server reads it then; else photographs that it gets would stay for ever.
os.environ["GRADIO_TEMP_DIR"] = TEMP.name

import gradio as gr
import words
from guard import FILE, Guard, fetch_nothing, log_no_values
from loading import load, load_in_background
from page import Page
from starlette.middleware import Middleware
from visits import MOST


def build(page: Page) -> gr.Blocks:
    """What Gradio serves of a page, with its queue, ready to be launched."""
    blocks = page.blocks
    blocks.queue(max_size=100, api_open=False)  # nobody runs a handler past the queue
    fetch_nothing()
    log_no_values(blocks)
    keep_examples()
    return blocks


page = Page()
demo = build(page)

if __name__ == "__main__":
    # A supervisor's stop ends the server as Ctrl-C does, so that TEMP goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
