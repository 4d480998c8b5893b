"""What the page says and what it looks like, apart from `style.css`."""

import html
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import gradio as gr
from visit import ALTERNATIVES, LARGE, UNCERTAINTY, Visit, classes_of

from colorlib import Scene, __version__, model_info
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
<p>Give another photograph, of anything: the picture above takes its colours. Some methods can also colour it as if it
were of that kind; then a black-and-white one will do.</p>"""
BALANCE = """<h2>White balance</h2>
<p>These methods keep the colours of your photograph and take away the tint of the light. Simulate a colour cast to see
how well: the angles tell how far colours are from the original's, before and after. Less is better. They are those of
the method at full strength, wherever the sliders are.</p>"""
EXPIRED = "This photograph has been deleted, as all are within an hour. Upload it again."
FAILED = "Something went wrong on the server. Try again, or try another photograph."
POSSIBILITIES = {key: f"Alternative {number}" for number, key in enumerate(ALTERNATIVES, 1)} | {
    UNCERTAINTY: "Uncertainty: black is sure, white the most undecided part"
}
EXAMPLES = {  # photographs of scikit-image
    "camera.png": "Man with a camera",
    "astronaut.png": "Astronaut",
    "chelsea.png": "Cat",
    "coffee.png": "Cup of coffee",
    "motorcycle_left.png": "Motorcycle",
    "rocket.jpg": "Rocket",
}

# Saves a file that the server has just finished, under its own name.
SAVE = """(file) => {
    if (!file) return;
    const link = Object.assign(document.createElement("a"), {href: file.url, download: file.orig_name});
    document.body.append(link);
    link.click();
    link.remove();
}"""
SCROLL = "() => document.getElementById('comparison').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
# On a phone the results are further down than the screen: when a photograph has come, the page goes to them.
REVEAL = """() => requestAnimationFrame(() => {
    const status = document.getElementById("status");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (document.getElementById("panel-gray") && status.getBoundingClientRect().top > innerHeight)
        status.scrollIntoView({behavior: still ? "auto" : "smooth"});
})"""


def head() -> str:
    """What the page's head holds besides Gradio's own."""
    script = Path(__file__).with_name("script.js").read_text(encoding="utf-8")
    return f"<script>const EXAMPLES = {json.dumps(list(EXAMPLES.values()))};\n{script}</script>"


def caption_html(
    label: str, *notes: str, name: str = "", painted: Mapping[str, float | str] | None = None, of: str = ""
) -> str:
    """What stands below a picture.

    Args:
        label: of the picture.
        *notes: about it.
        name: what a button below it calls it; default: its label.
        painted: the settings that it was painted with, by the ``elem_id`` of what sets them. While other ones are set,
            the picture is marked as one that waits.
        of: CSS selector of what is marked, around the caption; default: its panel.
    """
    spans = "".join(f"<span>{note}</span>" for note in notes if note)
    data = f" data-name='{html.escape(name or label)}'"
    data += f" data-painted='{html.escape(json.dumps(painted))}'" if painted else ""
    data += f" data-of='{of}'" if of else ""
    return f"<div class='caption'{data}><b>{html.escape(label)}</b>{spans}</div>"


def seconds_text(seconds: float) -> str:
    """How long it took."""
    return f"{seconds:.2f} s"


def angles_text(*angles: float) -> str:
    """How far off colours are, step by step; nothing if that cannot be told."""
    return "" if any(map(math.isnan, angles)) else " → ".join(f"{angle:.1f}°" for angle in angles)


def reading_html(name: str) -> str:
    """That a file has come."""
    return f"<p><b>{html.escape(name)}</b>: reading <progress></progress></p>"


def status_html(visit: Visit, done: int, total: int, scenes: Iterable[str] = ()) -> str:
    """Which photograph this is, how far it has come, and what the methods ``scenes`` take it for."""
    height, width = visit.size
    text = f"<b>{html.escape(visit.source.name)}</b>, {width} x {height} pixels. "
    seen = "".join(scenes_html(name, visit.scenes[name]) for name in scenes)
    if done < total:
        step = f", {done + 1} of {total}" if total > 1 else ""
        return f"<p>{text}Colouring{step} <progress value={done} max={total}></progress></p>{seen}"
    return f"<p>{text}Times are for a copy of at most {LARGE} pixels; downloads have full size.</p>{seen}"


def scenes_html(name: str, scenes: Iterable[Scene]) -> str:
    """What a method takes the photograph for; what is not even likely by half a percent is left out."""
    likely = [(scene.name.replace("_", " "), round(100 * scene.probability)) for scene in scenes]
    shown = ", ".join(f"{html.escape(scene)} {percent}&nbsp;%" for scene, percent in likely if percent)
    kinds = f"of the {len(classes_of(name))} kinds of scenes that {html.escape(model_info(name).label)} knows"
    return f"<p class='scenes'>Looks like: {shown} ({kinds})</p>"


def refusal_html(complaint: str, others: Iterable[str]) -> str:
    """Why no colours are taken from the other photograph, and which methods could take its style; or nothing."""
    if not complaint:
        return ""
    names = " or ".join(html.escape(model_info(name).label) for name in others)
    hint = f" Or choose {names} above, for its style." if names else ""
    return f"<p role='status'>{html.escape(complaint)}.{hint}</p>"


def reason(error: Exception) -> str:
    """Why a file is not taken, for the visitor: who could not find it would say where on the server it should be."""
    return EXPIRED if isinstance(error, FileNotFoundError) else str(error)


def warnings_html(name: str, warnings: Iterable[str]) -> str:
    """What was left out of a file, or assumed about it, each thing once."""
    return "".join(f"<p role='status'>{html.escape(f'{name}: {warning}')}.</p>" for warning in dict.fromkeys(warnings))


def complaint_html(complaint: str) -> str:
    """Why a file is not taken."""
    return f"<p role='alert'>{html.escape(complaint)}</p>"


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
