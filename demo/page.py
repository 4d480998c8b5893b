"""What the page says and what it looks like, apart from `style.css`."""

import html
from collections.abc import Iterable

import gradio as gr
from visit import LARGE, Visit

from colorlib import __version__, model_info
from colorlib.models import Paper

TITLE = "Photographs in colour"
HEADER = f"""<h1>{TITLE}</h1>
<p>Give it a black-and-white photograph, and the classic deep-learning methods colour it, side by side.</p>"""
WELCOME = "<p>Your photograph will be here, in colour. It is deleted within an hour and used for nothing else.</p>"
FOOTER = f"""<p>The colours are guesses, no evidence of how things looked. No photograph is kept: all are deleted
within an hour. colorlib {__version__}, Apache-2.0.</p>"""
POSSIBLE = """<h2>What else it could be</h2>
<p>This method weighs many colours for each place. Every alternative favours others where it is undecided.</p>"""
TRANSFER = """<h2>Colours after another photograph</h2>
<p>Give a photograph in colour, of anything: the picture above takes its colours.</p>"""
EXPIRED = "This photograph has been deleted, as all are within an hour; upload it again"

# Saves a file that the server has just finished, under its own name.
SAVE = """(file) => {
    if (!file) return;
    const link = Object.assign(document.createElement("a"), {href: file.url, download: file.orig_name});
    document.body.append(link);
    link.click();
    link.remove();
}"""
SCROLL = "() => document.getElementById('comparison').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
# On a phone the results are further down than the screen.
REVEAL = """() => {
    const status = document.getElementById("status");
    if (status.getBoundingClientRect().top > innerHeight) status.scrollIntoView({behavior: "smooth"});
}"""


def caption_html(label: str, seconds: float | None = None) -> str:
    """What stands below a picture."""
    time_taken = "" if seconds is None else f"<span>{seconds:.2f} s</span>"
    return f"<div class='caption'><b>{html.escape(label)}</b>{time_taken}</div>"


def status_html(visit: Visit, done: int, total: int) -> str:
    """Which photograph this is, and how far it has come."""
    height, width = visit.size
    text = f"<b>{html.escape(visit.source.name)}</b>, {width} x {height} pixels. "
    if done < total:
        return f"<p>{text}Colouring, {done + 1} of {total} <progress value={done} max={total}></progress></p>"
    return f"<p>{text}Times are for a copy of at most {LARGE} pixels; downloads have full size.</p>"


def about_html(names: Iterable[str]) -> str:
    """Papers with their methods; of each what it is, and the licence of its weights."""
    papers: dict[Paper | None, str] = {}
    for info in map(model_info, names):
        licence = f" Weights: {html.escape(info.weights.license)}." if info.weights else ""
        item = f"<li><b>{html.escape(info.label)}</b>: {html.escape(info.summary)}{licence}</li>"
        papers[info.paper] = papers.get(info.paper, "") + item
    baselines_last = sorted(papers.items(), key=lambda entry: entry[0] is None)
    return "".join(f"<p>{paper_html(paper)}</p><ul>{items}</ul>" for paper, items in baselines_last)


def paper_html(paper: Paper | None) -> str:
    """A reference with its link."""
    if paper is None:
        return "To compare with"
    link = f"<a href='{html.escape(paper.url)}' target='_blank' rel='noopener'>{html.escape(paper.title)}</a>"
    return f"{html.escape(paper.authors)}: {link}, {html.escape(paper.venue)} {paper.year}"


def theme() -> gr.themes.Base:
    """Neutral grays, which colours are judged against, and fonts that no other server is asked for."""
    base = gr.themes.Base(primary_hue="neutral", secondary_hue="neutral", neutral_hue="neutral", font="system-ui")
    return base.set(
        body_background_fill="#d6d6d6",
        body_background_fill_dark="#262626",
        body_text_color_subdued="#4d4d4d",
        body_text_color_subdued_dark="#b3b3b3",
        block_background_fill="#e6e6e6",
        block_background_fill_dark="#303030",
        block_label_text_color="#333333",
        block_title_text_color="#333333",
        border_color_primary="#b3b3b3",
        border_color_primary_dark="#4d4d4d",
        input_background_fill="#f2f2f2",
        input_background_fill_dark="#262626",
        button_secondary_background_fill="#f2f2f2",
        button_secondary_background_fill_hover="#ffffff",
        button_secondary_background_fill_dark="#404040",
        button_secondary_background_fill_hover_dark="#4d4d4d",
        checkbox_label_background_fill="#f2f2f2",
        checkbox_label_background_fill_dark="#404040",
    )
