"""The words of the page, its markup and its colours, apart from `style.css`. Nothing here needs torch."""

import html
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gradio as gr
from board import errors, few
from keys import (
    ALTERNATIVES,
    ANGLE_SHOWN,
    DISAGREEMENT,
    ERROR_SHOWN,
    GRAY,
    LARGE,
    STYLED,
    TRANSFERRED,
    UNCERTAINTY,
    Errors,
    Said,
    Shade,
)
from methods import label, scene_types, short

from colorlib import __version__
from colorlib.benchmarks.report import HELD_OUT
from colorlib.catalog import Paper, catalog

if TYPE_CHECKING:
    from session import Session

    from colorlib import Scene

TITLE = "Photographs in colour"
HEADER = f"""<h1>{TITLE}</h1>
<p>Upload a black-and-white photograph and see it in colour, by one method of each classic paper or by all.</p>"""
WELCOME = "<p>Your photograph will appear here, in colour. It is deleted within an hour and used for nothing else.</p>"
LEFT = WELCOME.replace("<p>", "<p data-visit=''>")  # the address of the page is of no visit any more
EXAMPLE = f"""<div class='caption'><b>An example. Left: the photograph. Right: {label(few()[0])}</b></div>"""
FOOTER = f"""<p>The colours are guesses, not evidence of how things really looked. No photograph is kept: all are
deleted within an hour. colorlib {__version__}, Apache-2.0.</p>"""
ALTERNATIVES_HEADER = """<h2>How sure are these colours?</h2>
<p>The alternatives pick other colours where the method is unsure. The maps show where that is, and where methods
contradict each other.</p>"""
TRANSFER_HEADER = """<h2>Colours of another photograph</h2>
<p>Upload another photograph, of anything: the picture above takes its colours. Some methods can borrow just the scene
type; a black-and-white photograph works for that.</p>"""
TRUTH_HEADER = """<h2>How near is each method to the truth?</h2>
<p>Your photograph has colours. It was turned gray, and the methods coloured it without having seen the original. The
difference is what an eye sees (CIEDE2000): about 1 is just noticeable. RMSE and PSNR are what most papers print; of
PSNR, more is better. Saturation tells how much paler (-) or stronger (+) the colours are. Gray seldom tells which
colour was there, so what is far from the truth may still look true.</p>"""
BALANCE_HEADER = """<h2>White balance</h2>
<p>These methods remove the tint of the light and keep the colours of your photograph. A black-and-white photograph
can be coloured first. Simulate a colour cast to see how well they do. The angles show how far the colours are from
the original's, before and after; smaller is better. They are those of the method at full strength, whatever the
sliders are set to.</p>"""
BALANCE_WELCOME = "<p role='status'>Upload a photograph in the tab “One photo”: it appears here too.</p>"
BALANCE_WAITS = "<p role='status'>Your photograph appears here when it has been coloured in the other tab.</p>"
NOTHING_TO_BALANCE = """<p role='status'>Your photograph has no colours of its own to balance. Choose above which method
colours it first.</p>"""
NOT_COLOURED = "<p role='status'>That method could not colour your photograph. Choose another above.</p>"
BALANCING = "<p role='status'>Balancing <progress></progress></p>"
PIXEL_HINT = """<p>Click on the picture: you see which colours the methods hold possible there, and can choose another.
By keys: go to the picture with Tab, move the cross with the arrows and press Enter.</p>"""
ERRORS_LEGEND = f"""<p>Black: as in the original. White: {ERROR_SHOWN} or more apart (CIEDE2000); all maps have the same
scale. The number is the mean over the picture.</p>"""
MANY_HEADER = """<h2>Many photographs</h2>
<p>Colour up to fifty photographs by one method and download them as one zip, at full size. A file that cannot be read
is named, and the others go on.</p>"""
MANY_WELCOME = "<p>Your photographs will appear here, each as it is done. They are deleted within an hour.</p>"
CLIP_HEADER = """<h2>A short clip</h2>
<p>At most 30 seconds and 1280 x 720 pixels. Each frame is coloured, and colours are smoothed along the motion, so that
they flicker less. The sound stays. It takes about a second for each two frames.</p>"""
CLIP_WELCOME = "<p role='status'>Your clip will appear here, in colour. It is deleted within an hour.</p>"
CLIP_WAITS = "<p role='status'>Waiting for your turn <progress></progress></p>"
CLIP_READ = "<p role='status'>The clip is being read <progress></progress></p>"
CLIP_STOPPED = "<p role='status'>Stopped.</p>"
DECIDING = """<p>Some methods say how probable each colour is, and one of these becomes the picture: here you say which.
At a lower temperature the probable colours count for more, at a higher one the improbable ones.
Methods that say one colour only, or have no such choice, stay as they are. No network runs again.</p>"""
QUESTION = "Does this picture look natural to you?"
# Probability from which the first scene type is named. Of scenes of Mini Places' validation, 16 % are named, 96 % of
# them rightly. Of photographs of objects and of people, which show none of these types, 1 to 2 % are named.
SURE = 0.9
EXPIRED = "This photograph has been deleted, as every photograph is within an hour. Upload it again."
VISIT_OVER = "This address is of a visit that is over: every photograph is deleted within an hour. Upload it again."
FAILED = "Something went wrong on the server. Try again, or try another photograph."
BORROWED = {TRANSFERRED: "With its colours", STYLED: "With its scene type"}
VARIANTS = {key: f"Alternative {number}" for number, key in enumerate(ALTERNATIVES, 1)} | {
    UNCERTAINTY: "Uncertainty: black where the method is sure, white where it is least sure",
    DISAGREEMENT: "Disagreement: black where three methods say the same colour, white where each says another",
}
EXAMPLES = {  # photographs of scikit-image
    "camera.png": "Man with a camera",
    "astronaut.png": "Astronaut",
    "chelsea.png": "Cat",
    "coffee.png": "Cup of coffee",
    "motorcycle_left.png": "Motorcycle",
    "rocket.jpg": "Rocket",
}

# Saves a file that the server has just finished, under its name.
SAVE = """(file) => {
    if (!file) return;
    const link = Object.assign(document.createElement("a"), {href: file.url, download: file.orig_name});
    document.body.append(link);
    link.click();
    link.remove();
}"""
SCROLL = "() => document.getElementById('comparison').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
# On a phone the results are below the first screen: when a photograph has arrived, the page scrolls to them.
REVEAL = """() => requestAnimationFrame(() => {
    const status = document.getElementById("status");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (document.getElementById("panel-gray") && status.getBoundingClientRect().top > innerHeight / 2)
        status.scrollIntoView({behavior: still ? "auto" : "smooth"});
})"""


def head() -> str:
    """The script of the page, for its head."""
    script = Path(__file__).with_name("script.js").read_text(encoding="utf-8")
    return f"<script>const EXAMPLES = {json.dumps(list(EXAMPLES.values()))};\n{script}</script>"


def caption_html(
    label: str, *notes: str, name: str = "", painted: Mapping[str, float | str] | None = None, of: str = ""
) -> str:
    """The caption below a picture.

    Args:
        label: of the picture.
        *notes: about it.
        name: of the picture in the label of the button below; default: its label.
        painted: the settings that the picture shows, by the ``elem_id`` of their controls. While a control has another
            value, the page marks the picture as waiting.
        of: CSS selector of the element to mark, which surrounds the caption; default: its panel.
    """
    spans = "".join(f"<span>{note}</span>" for note in notes if note)
    data = f" data-name='{html.escape(name or label)}'"
    data += f" data-painted='{html.escape(json.dumps(painted))}'" if painted else ""
    data += f" data-of='{of}'" if of else ""
    return f"<div class='caption'{data}><b>{html.escape(label)}</b>{spans}</div>"


def why_html(name: str) -> str:
    """How near a method comes to true colours, and whether it is the one to begin with."""
    if name not in errors() or not catalog()[name].learned:
        return ""
    less = round(100 * (1 - errors()[name]))
    change = f"{less}&nbsp;% smaller" if less > 0 else f"{-less}&nbsp;% larger"
    said = f"On photographs that it had never seen, its error is {change} than that of leaving them gray."
    board = f"The mean of {', '.join(HELD_OUT)}: {_row_html(name)}."
    if name == few()[0]:
        return f"<p><b>Recommended</b>, as no other method here has a smaller error. {said} <small>{board}</small></p>"
    return f"<p>{said} <small>{board}</small></p>"


def _row_html(name: str) -> str:
    """A method's row of the leaderboard: a link where the host has named the dashboard, else the command."""
    address = os.environ.get("COLORLIB_DASHBOARD", "").rstrip("/")
    row = f"row <code>{html.escape(name)}</code> of the leaderboard"
    if not address:
        return f"{row}, which <code>colorlib dashboard</code> shows"
    link = html.escape(f"{address}/leaderboard?methods={quote(name)}")
    return f"<a href='{link}' target='_blank' rel='noopener'>{row}</a>"


def angles_legend(simulated: bool) -> str:
    """What maps of angles show: how far colours are from the true ones, or where nobody knows them, the light."""
    if simulated:
        text = "how far the colours are from the original's. Dark pixels are not counted, and are black"
    else:
        text = "how far the light that the method takes away is from gray"
    shown = f"From black, 0°, to white, {ANGLE_SHOWN}° and more. All maps have the same scale. The number is the mean"
    return f"<p>The angle says {text}. {shown}.</p>"


def truth_html(errors: Mapping[str, Errors], names: Iterable[str]) -> str:
    """A table of how far the pictures of methods are from the original, the nearest first; gray has no rank.

    Args:
        errors: by method; without any, there is no original.
        names: the methods that are shown.
    """
    shown = sorted((name for name in (*names, GRAY) if name in errors), key=errors.__getitem__)
    if shown in ([], [GRAY]):
        return ""
    ranks = iter(range(1, len(shown)))
    rows = ""
    for name in shown:
        rank, text = ("", "No colour at all") if name == GRAY else (next(ranks), html.escape(label(name)))
        one = errors[name]
        cells = f"{one.ciede2000:.1f}", f"{one.rmse:.3f}", f"{one.psnr:.1f} dB", f"{100 * one.saturation:+.0f} %"
        rows += f"<tr><td>{rank}</td><th scope='row'>{text}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    columns = "Rank", "Method", "Difference", "RMSE", "PSNR", "Saturation"
    head = "".join(f"<th scope='col'>{column}</th>" for column in columns)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    # On a phone it is wider than the page: a region that keys can reach scrolls.
    return f"{TRUTH_HEADER}<div class='wide' tabindex='0' role='region' aria-label='Errors by method'>{table}</div>"


def pixel_html(place: tuple[float, float], said: Sequence[Said], points: Sequence[tuple[float, float, Shade]]) -> str:
    """What methods say about a pixel, each colour a button that chooses it; and the points that have one.

    Args:
        place: of the pixel, as shares of the width and the height.
        said: by each method, the one on the slider first.
        points: where they are, likewise, and their colours.
    """
    first, *others = said
    across, down = place
    where = f"{100 * across:.0f}&nbsp;% across, {100 * down:.0f}&nbsp;% down"
    one = first.shades[0]
    likely = f"most likely {one.name}, {100 * one.probability:.0f}&nbsp;%" if first.distribution else one.name
    strips = "".join(_strip_html(each) for each in others)
    rows = "".join(_point_html(number, *point) for number, point in enumerate(points))
    chosen = f"<h3>Your colours</h3><ol class='points'>{rows}</ol>" if rows else ""
    tools = "".join(_tool_html(text, {"do": text.lower()}) for text in ("Warmer", "Cooler", "Undo"))
    return f"""<div data-across='{across:.4f}' data-down='{down:.4f}'>
<h2>Which colours are possible here?</h2>
<p role='status'>{html.escape(short(first.method))}, {where}: {likely}. Choose a colour for what you clicked on.</p>
<ul class='bars'>{_bars_html(first)}</ul>
<div class='tools'><label>Any colour <input type='color' value='{one.hex}' data-key='any'></label>{tools}</div>
{chosen}<details><summary>What the other methods say here</summary><ul class='strips'>{strips}</ul></details></div>"""


def _bars_html(said: Said) -> str:
    widest = max(shade.probability for shade in said.shades)
    rows = ""
    for number, shade in enumerate(said.shades):
        bar = f"<i style='background:{shade.hex};width:{100 * shade.probability / widest:.0f}%'></i>"
        chance = f"<b>{100 * shade.probability:.0f}&nbsp;%</b>" if said.distribution else "<b></b>"
        do = _do({"do": "choose", "a": shade.a, "b": shade.b})
        inside = f"<span>{shade.name}</span><span>{bar}</span>{chance}"
        rows += f"<li><button {do} data-key='bar-{number}'>{inside}</button></li>"
    if not said.distribution:
        return f"{rows}<li>It says one colour a pixel, and not what else it holds possible.</li>"
    return f"{rows}<li>Other colours: {100 * said.rest:.0f}&nbsp;%</li>" if said.rest >= 0.005 else rows


def _strip_html(said: Said) -> str:
    """A method in one line: its colours side by side, each as wide as it is probable."""
    parts = ""
    for number, shade in enumerate(said.shades):
        share = f"{100 * shade.probability:.0f} %"
        text = f"{shade.name}, {share}" if said.distribution else f"{shade.name}, its one colour"
        style = f"background:{shade.hex};flex-grow:{shade.probability:.3f}"
        do = _do({"do": "choose", "a": shade.a, "b": shade.b})
        key = f"{said.method}-{number}"
        parts += f"<button {do} data-key='{key}' style='{style}' title='{text}' aria-label='{text}'></button>"
    rest = f"<i style='flex-grow:{said.rest:.3f}'></i>"
    return f"<li><span>{html.escape(label(said.method))}</span><div>{parts}{rest}</div></li>"


def _point_html(number: int, across: float, down: float, shade: Shade) -> str:
    where = f"{100 * across:.0f}&nbsp;% across, {100 * down:.0f}&nbsp;% down"
    do = _do({"do": "ask", "x": across, "y": down})
    remove = _tool_html("Remove", {"do": "remove", "point": number}, f"Remove {shade.name}, {where}")
    data = f"data-point='{across:.4f} {down:.4f} {shade.hex}'"
    swatch = f"<i style='background:{shade.hex}'></i>"
    return f"<li {data}><button {do} data-key='point-{number}'>{swatch}{shade.name}, {where}</button>{remove}</li>"


def _tool_html(text: str, what: dict[str, Any], name: str = "") -> str:
    return f"<button {_do(what)} data-key='{html.escape(name or text)}' aria-label='{name or text}'>{text}</button>"


def _do(what: dict[str, Any]) -> str:
    return f"data-do='{html.escape(json.dumps(what))}'"


def taken_text(key: str) -> str:
    """Which picture was taken for a method's own, for captions."""
    return (VARIANTS | BORROWED)[key].lower()


def paper_text(name: str) -> str:
    """The title of a method's paper, for the small type below its name."""
    paper = catalog()[name].paper
    return f"<small>{html.escape(paper.title)}</small>" if paper else ""


def terms_text(name: str) -> str:
    """What the licence of a method's weights forbids to do with its pictures, in small type; empty if nothing."""
    weights = catalog()[name].weights
    return f"<small>{html.escape(weights.terms)}</small>" if weights and weights.noncommercial else ""


def seconds_text(seconds: float) -> str:
    """A time, as captions show it."""
    return f"{seconds:.2f} s"


def angles_text(*angles: float) -> str:
    """How far colours are from the original's, step by step; empty if that is unknown."""
    return "" if any(map(math.isnan, angles)) else " → ".join(f"{angle:.1f}°" for angle in angles)


def reading_html(name: str) -> str:
    """The status while a file is read."""
    return f"<p><b>{html.escape(name)}</b>: reading <progress></progress></p>"


def status_html(session: "Session", done: int, total: int, recognisers: Iterable[str] = ()) -> str:
    """The photograph, the progress on it, and the scene types that the methods ``recognisers`` see in it."""
    height, width = session.size
    text = f"<b data-visit='{session.visit}'>{html.escape(session.source.name)}</b>, {width} x {height} pixels. "
    seen = "".join(scenes_html(name, session.scenes[name]) for name in recognisers)
    if done < total:
        step = f", {done + 1} of {total}" if total > 1 else ""
        return f"<p>{text}Colouring{step} <progress value={done} max={total}></progress></p>{seen}"
    times = f"Times are for at most {LARGE} pixels, shared work counted once."
    return f"<p>{text}{times} Downloads have full size.</p>{seen}"


def study_html(total: int, done: int | None = None) -> str:
    """What the study is, before it begins; then how far it is."""
    if done is None:
        return (
            f"<p>You will see {total} pictures, one at a time: photographs as they were taken and photographs that a "
            "method has coloured, in random order. Say whether each looks natural, by click or by the keys Y and N. "
            "You may stop at any time; each answer counts. Nothing is kept about you.</p>"
        )
    if done == total:
        return "<p role='status'>That was the last picture. Thank you.</p>"
    return f"<p role='status'>{done + 1} of {total} <progress value={done} max={total}></progress></p>"


def many_refusal(count: int, limit: int) -> str:
    """Why a batch is not begun."""
    return f"Choose at most {limit} photographs at a time; you chose {count}." if count else "Choose photographs first."


def many_waiting_html(total: int) -> str:
    """The status until it is the visitor's turn."""
    return f"<p role='status'>{total} photographs are ready. Waiting for your turn <progress></progress></p>"


def many_html(
    done: int,
    total: int,
    failures: Collection[str] = (),
    seconds: float | None = None,
    stopped: bool = False,
    bordered: Collection[str] = (),
    smaller: Collection[str] = (),
) -> str:
    """How far a batch is, the sentences about the files that failed, and names.

    These are of scans whose border was left, and of photographs that a method saw smaller for want of memory.
    """
    coloured = done - len(failures)
    if stopped or done == total:
        text = f"{'Stopped: ' if stopped else ''}{coloured} of {total} coloured."
    else:
        left = f", about {max(1, round(seconds))} s left" if seconds else ""
        text = f"Colouring {done + 1} of {total}{left} <progress value={done} max={total}></progress>"
    lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in failures)
    borders = f"<p>The border was left uncoloured: {html.escape(', '.join(bordered))}.</p>" if bordered else ""
    little = "There was too little memory: the method saw smaller copies of these"
    copies = f"<p>{little}: {html.escape(', '.join(smaller))}.</p>" if smaller else ""
    return f"<p role='status'>{text}</p>" + borders + copies + (f"<ul>{lines}</ul>" if lines else "")


def clip_html(done: int, total: int) -> str:
    """How far a clip is."""
    return (
        f"<p role='status'>Colouring frame {done} of about {total} <progress value={done} max={total}></progress></p>"
    )


def clip_done_html(frames: int, sound: bool, flicker: str) -> str:
    """What became of a clip."""
    return f"<p role='status'>{frames} frames in colour{', with their sound' if sound else ''}. {flicker}</p>"


def scenes_html(name: str, scenes: Iterable["Scene"]) -> str:
    """The scene types that a method sees in the photograph, if it is sure; those below half a percent are left out."""
    scenes = list(scenes)
    if not scenes or scenes[0].probability < SURE:
        return ""
    likely = [(scene.name.replace("_", " "), round(100 * scene.probability)) for scene in scenes]
    shown = ", ".join(f"{html.escape(scene)} {percent}&nbsp;%" for scene, percent in likely if percent)
    known = f"of the {len(scene_types(name))} scene types that {html.escape(short(name))} knows"
    return f"<p class='scenes'>Looks like: {shown} ({known})</p>"


def refusal_html(complaint: str, others: Iterable[str]) -> str:
    """Why the other photograph gives no colours, and which methods could borrow its scene type; empty if it does."""
    if not complaint:
        return ""
    names = " or ".join(html.escape(label(name)) for name in others)
    hint = f" Or choose {names} above, to borrow its scene type." if names else ""
    return f"<p role='status'>{html.escape(complaint)}.{hint}</p>"


def reason(error: Exception) -> str:
    """Why a file cannot be used, for the visitor. The message of a missing file would name a path on the server."""
    return EXPIRED if isinstance(error, FileNotFoundError) else str(error)


def remarks_text(warnings: Iterable[str]) -> str:
    """What there is to say of a run of a method's network, for the caption of its picture."""
    return html.escape("; ".join(warnings))


def warnings_html(name: str, warnings: Iterable[str]) -> str:
    """The warnings about a file, each once."""
    return "".join(f"<p role='status'>{html.escape(f'{name}: {warning}')}.</p>" for warning in dict.fromkeys(warnings))


def complaint_html(complaint: str) -> str:
    """Why a file cannot be used, as an alert."""
    return f"<p role='alert'>{html.escape(complaint)}</p>"


def about_html(names: Iterable[str]) -> str:
    """The papers with their methods: a sentence about each, and the licence of its weights."""
    groups: dict[str, str] = {}
    for entry in (catalog()[name] for name in names):
        licence = f" Weights: {html.escape(entry.weights.terms)}." if entry.weights else ""
        item = f"<li><b>{html.escape(label(entry.name))}</b>. {html.escape(entry.summary)}{licence}</li>"
        combined = entry.weights is not None and entry.weights.members
        source = "Several methods together" if combined else paper_html(entry.paper)
        groups[source] = groups.get(source, "") + item
    baselines_last = sorted(groups.items(), key=lambda group: group[0] == paper_html(None))
    return "".join(f"<p>{source}</p><ul>{items}</ul>" for source, items in baselines_last)


def paper_html(paper: Paper | None) -> str:
    """A reference with its link."""
    if paper is None:
        return "Baselines, to compare with"
    link = f"<a href='{html.escape(paper.url)}' target='_blank' rel='noopener'>{html.escape(paper.title)}</a>"
    return f"{html.escape(paper.authors)}: {link}, {html.escape(paper.venue)} {paper.year}"


def theme() -> gr.themes.Base:
    """Neutral grays, against which colours are judged, and a font that needs no other server."""
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
