"""Colour a photograph with every method that colorlib has ready, side by side, or balance its white. For Spaces too.

The registry decides what is shown: a method that is ready there has its panel here.
"""

import html
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import gradio as gr
import page
import skimage
from visit import (
    ALTERNATIVES,
    CASTS,
    LARGE,
    NO_CAST,
    STYLED,
    TEMP,
    TRANSFERRED,
    UNCERTAINTY,
    Light,
    UnreadableError,
    Visit,
    classes_of,
    predict,
    read,
    recognise,
    save_full_size,
    shrink,
    sweep,
    takes_style_of,
)

from colorlib import io, list_models, model_info

os.environ["GRADIO_TEMP_DIR"] = TEMP.name  # before the first component is made

LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
SHOWN_BY_BROWSERS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
GRAY, ORIGINAL, LIGHT, TRUTH = "gray", "original", "light", "truth"  # the panels that no method fills
AFTER = {TRANSFERRED: "With its colours", STYLED: "In its style"}
Task: TypeAlias = Literal["colorize", "balance"]


class Panel(NamedTuple):
    """A picture of the grid, and what stands below it."""

    column: gr.Column
    image: gr.Image
    caption: gr.HTML
    save: gr.Button


def make_panel(key: str, label: str, by_method: bool = True) -> Panel:
    """A panel that is not seen until there is something in it."""
    with gr.Column(visible=False, min_width=0, elem_id=f"panel-{key}") as column:
        image = gr.Image(
            alt_text=label,
            show_label=False,
            container=False,
            interactive=False,
            format="png",  # the default, WebP, moves colours
            buttons=[],
            elem_id=f"image-{key}",
        )
        caption = gr.HTML(page.caption_html(label), padding=False, elem_id=f"caption-{key}")
        save = gr.Button("Download PNG", size="sm", visible=by_method, elem_id=f"save-{key}")
    return Panel(column, image, caption, save)


def make_upload(key: str, label: str) -> gr.Image:
    """A place for a photograph of the visitor's."""
    return gr.Image(
        label=label,
        alt_text=label,
        sources=["upload", "clipboard"],
        type="filepath",
        format="png",
        height=280,
        min_width=280,  # as its column has
        buttons=[],
        elem_id=key,
    )


def uploaded(payload: dict[str, Any] | None) -> Path | None:
    """Where an upload lies; None if none came.

    Handlers take the payload as it came, and a client may put any path of the host into it.
    """
    path = Path(payload["path"]).resolve() if payload and payload.get("path") else None
    if path is not None and not path.is_relative_to(Path(TEMP.name).resolve()):
        raise gr.Error("This file was not uploaded here", print_exception=False)
    return path


def colorize(
    photo: dict[str, Any] | None, methods: list[str], strength: float = 1, saturation: float = 1
) -> tuple[list[str], list[dict[str, Any]]]:
    """Colour a photograph with classic deep-learning methods; its lightness stays as it is.

    Args:
        photo: the photograph, black-and-white or in colour; of its colour only the lightness is used.
        methods: names of the methods.
        strength: from 0, the colour of the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.

    Returns:
        The coloured photographs at full size, a PNG file for each method; and for each the method, the file's name
        and the seconds that the method took.
    """
    return process("colorize", photo, methods, strength, saturation)


def balance(
    photo: dict[str, Any] | None, methods: list[str], strength: float = 1, saturation: float = 1
) -> tuple[list[str], list[dict[str, Any]]]:
    """Balance the white of a photograph in colour: the colour of the light it was taken in is removed.

    Args:
        photo: the photograph, in colour.
        methods: names of the methods.
        strength: from 0, the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.

    Returns:
        The balanced photographs at full size, a PNG file for each method; and for each the method, the file's name
        and the seconds that the method took.
    """
    return process("balance", photo, methods, strength, saturation)


def process(
    task: Task, photo: dict[str, Any] | None, methods: list[str], strength: float, saturation: float
) -> tuple[list[str], list[dict[str, Any]]]:
    """What :func:`colorize` and :func:`balance` have in common."""
    source, large = received(photo)
    try:
        for name in methods:
            if (other := model_info(name).task) != task:
                raise ValueError(f"{name} is no method of {task}; use it with {other}")
        results = [predict(large, name) for name in methods]
        files = list(save_full_size(source, results, strength, saturation, Path(tempfile.mkdtemp(dir=TEMP.name))))
    except ValueError as error:  # an unknown method or a number out of range
        raise gr.Error(str(error), print_exception=False) from error
    rows = [
        {"method": result.model, "file": file.name, "seconds": round(result.seconds, 3)}
        for result, file in zip(results, files, strict=True)
    ]
    return [str(file) for file in files], rows


def scenes(photo: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Say what a photograph shows: the five likeliest kinds of scene.

    Args:
        photo: the photograph, black-and-white or in colour; of its colour only the lightness is used.

    Returns:
        For each scene its name and probability, the most probable first.
    """
    _, large = received(photo)
    for name in ready("colorize"):
        if classes_of(name):
            return [scene._asdict() for scene in recognise(large, name)]
    raise gr.Error("No method that is ready recognises scenes", print_exception=False)


def received(photo: dict[str, Any] | None) -> tuple[Path, io.Photo]:
    """What a client sent, and a copy of the size that methods are given."""
    source = uploaded(photo)
    if source is None:
        raise gr.Error("No photograph came; send a picture file as photo", print_exception=False)
    try:
        return source, shrink(read(source), LARGE)
    except UnreadableError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except FileNotFoundError as error:
        raise gr.Error(page.EXPIRED, print_exception=False) from error


def ready(task: Task) -> list[str]:
    """The methods of a task: learned ones, then those that need no training, then what belongs to no paper.

    Within these by name, which keeps the methods of a paper together.
    """

    def rank(name: str) -> tuple[bool, bool, str]:
        info = model_info(name)
        return not info.learned, info.paper is None, name

    return sorted(list_models(ready=True, task=task), key=rank)


def build() -> gr.Blocks:
    """The page. Its handlers return what changes, by component."""
    painters, balancers = ready("colorize"), ready("balance")
    labels = {name: model_info(name).label for name in painters + balancers}
    folder = Path(skimage.__file__).parent / "data"
    learned = [name for name in painters if model_info(name).learned]

    blocks = gr.Blocks(title=page.TITLE, analytics_enabled=False, delete_cache=(LIFETIME // 6, LIFETIME))
    with blocks:
        state = gr.State(None, time_to_live=LIFETIME, delete_callback=lambda _: sweep())
        with gr.Row():
            gr.HTML(page.HEADER, padding=False, elem_id="header")
            if "SPACE_ID" in os.environ:
                gr.DuplicateButton(variant="secondary", elem_id="duplicate")
        with gr.Row(elem_id="page"):
            with gr.Column(scale=1, min_width=280, elem_id="choices"):
                photo = make_upload("photo", "Your photograph")
                remarks = gr.HTML(padding=False, visible=False, elem_id="remarks")
                gr.Examples([[str(folder / name)] for name in page.EXAMPLES], photo, label="Or one of these")
                methods = gr.CheckboxGroup(
                    [(labels[name], name) for name in painters], value=learned, label="Methods", elem_id="methods"
                )
            with gr.Column(scale=4, min_width=320):
                status = gr.HTML(page.WELCOME, padding=False, elem_id="status")
                with gr.Row(visible=False, equal_height=True, elem_id="dials") as dials:
                    strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="strength")
                    saturation = gr.Slider(0, 2, 1, step=0.05, label="Saturation", elem_id="saturation")
                    save_all = gr.Button("Download all (zip)", size="md", elem_id="save-all")
                with gr.Row(elem_id="panels"):
                    panels = {GRAY: make_panel(GRAY, "Input in gray", by_method=False)}
                    panels[ORIGINAL] = make_panel(ORIGINAL, "The original", by_method=False)
                    panels |= {name: make_panel(name, labels[name]) for name in painters}
                with gr.Column(visible=False, elem_id="comparison") as comparison:
                    compared = gr.Dropdown([], label="Before and after", elem_id="compared")
                    slider = gr.ImageSlider(
                        show_label=False, interactive=False, format="png", buttons=["fullscreen"], elem_id="slider"
                    )
                    sides = gr.HTML(padding=False, elem_id="sides")
                    with gr.Column(visible=False, elem_id="possible") as possible:
                        gr.HTML(page.POSSIBLE, padding=False)
                        explore_button = gr.Button("Show alternatives", size="md", elem_id="explore")
                        with gr.Row(elem_id="alternatives"):
                            possibilities = {
                                key: make_panel(key, page.POSSIBILITIES[key]) for key in (*ALTERNATIVES, UNCERTAINTY)
                            }
                    gr.HTML(page.TRANSFER, padding=False)
                    with gr.Row(elem_id="transfer"):
                        with gr.Column(min_width=280):
                            reference = make_upload("reference", "Another photograph")
                            refusal = gr.HTML(padding=False, visible=False, elem_id="refusal")
                        afters = {key: make_panel(key, label) for key, label in AFTER.items()}
                with gr.Column(visible=False, elem_id="balance") as balancing:
                    gr.HTML(page.BALANCE, padding=False)
                    cast = gr.Dropdown([NO_CAST, *CASTS], label="Simulated cast", elem_id="cast")
                    with gr.Row(elem_id="balanced"):
                        lights = {LIGHT: make_panel(LIGHT, "The original", by_method=False)}
                        lights |= {name: make_panel(name, labels[name]) for name in balancers}
                        lights[TRUTH] = make_panel(TRUTH, "The original", by_method=False)
                with gr.Accordion("About the methods", elem_id="about") as about:
                    gr.HTML(page.about_html(painters + balancers), padding=False)
        gr.HTML(page.FOOTER, padding=False, elem_id="footer")
        everything = panels | possibilities | afters | lights
        finished = gr.DownloadButton(visible="hidden")  # holds a download until the browser has it
        with gr.Column(visible=False):
            files, rows, endpoint = gr.File(file_count="multiple"), gr.JSON(), gr.Button()
            to_balance = gr.CheckboxGroup([(labels[name], name) for name in balancers], value=balancers)

        def receive(
            upload: dict[str, Any] | None, strength: float, saturation: float, visit: Visit | None
        ) -> Iterator[dict[Any, Any]]:
            path = uploaded(upload)
            if visit is not None and path is not None and path.is_relative_to(visit.folder):
                yield {status: gr.skip()}  # our own preview of this visit's upload
                return
            sweep()
            # Whatever is still shown goes: its files are about to be removed.
            changes: dict[Any, Any] = {panel.image: None for panel in everything.values()}
            changes |= {panel.column: gr.Column(visible=False) for panel in everything.values()}
            changes |= {state: None, slider: None, dials: gr.Row(visible=False), comparison: gr.Column(visible=False)}
            changes |= {balancing: gr.Column(visible=False)}
            changes |= {about: gr.Accordion(open=path is None)}
            if path is None:
                yield changes | {status: page.WELCOME}  # remarks stay: the file that they are about is gone by itself
                return
            changes |= {remarks: gr.HTML(visible=False)}
            yield changes | {status: page.reading_html(path.name)}
            try:
                visit = Visit(path)
            except (UnreadableError, FileNotFoundError) as error:
                changes |= {photo: None, remarks: gr.HTML(page.complaint_html(page.reason(error)), visible=True)}
                yield changes | {status: page.WELCOME}
                return
            visit.strength, visit.saturation = strength, saturation
            for key, file in ((GRAY, visit.gray), (ORIGINAL, visit.original)):
                changes |= {panels[key].column: gr.Column(visible=file is not None), panels[key].image: file}
            if visit.source.suffix.lower() not in SHOWN_BY_BROWSERS:
                changes[photo] = visit.original or visit.gray
            text = page.warnings_html(visit.source.name, visit.warnings)
            changes[remarks] = gr.HTML(text, visible=bool(text))
            yield changes | {state: visit, status: page.status_html(visit, 0, 1)}

        def colour(names: list[str], name: str | None, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            if visit is None:
                yield {status: gr.skip()}  # without a step, Gradio would blank the outputs
                return
            done = {key for key in names if key in visit.results}
            # Each step repeats those before it: if two come at once, the browser loses what the second leaves out.
            changes: dict[Any, Any] = {panels[key].column: gr.Column(visible=key in done) for key in painters}
            for key in painters:
                if key in names and key not in done:
                    yield changes | {status: page.status_html(visit, len(done), len(names), recognised(done, visit))}
                    try:
                        visit.colour(key)
                    except Exception:  # one method's failure does not take the others from the page
                        logging.exception("%s failed", key)
                        gr.Warning(page.FAILED, title=f"{html.escape(labels[key])} could not colour it")
                        continue
                    done.add(key)
                    changes |= {panels[key].column: gr.Column(visible=True)} | coloured_by(key, visit)
            choices = [(labels[key], key) for key in painters if key in done]
            if choices:
                name = name if name in done else choices[0][1]
                changes |= {compared: gr.Dropdown(choices, value=name)}
                changes |= before_after(name, visit) | begin_anew(name, visit) | choose(name, visit)
            yield changes | {
                status: page.status_html(visit, 1, 1, recognised(done, visit)),
                dials: gr.Row(visible=bool(choices)),
                comparison: gr.Column(visible=bool(choices)),
            }

        def settings(visit: Visit) -> dict[str, float | str]:
            """What the next picture is painted with; asked for before, so that a change meanwhile is not missed."""
            return {"strength": visit.strength, "saturation": visit.saturation}

        def coloured_by(name: str, visit: Visit) -> dict[Any, Any]:
            """A method's picture and caption."""
            painted, seconds = settings(visit), page.seconds_text(visit.results[name].seconds)
            caption = page.caption_html(labels[name], seconds, painted=painted)
            return {panels[name].image: visit.show(name), panels[name].caption: caption}

        def before_after(name: str, visit: Visit) -> dict[Any, Any]:
            """The slider, and what its sides are."""
            painted, label = settings(visit), f"Left: in gray. Right: {labels[name]}"
            return {slider: visit.compare(name), sides: page.caption_html(label, painted=painted, of="#slider")}

        def recognised(names: set[str], visit: Visit) -> list[str]:
            return [name for name in painters if name in names and name in visit.scenes]

        def begin_anew(name: str, visit: Visit) -> dict[Any, Any]:
            """What is below the slider goes, if it was about another method or photograph."""
            if visit.chosen == name:
                return {}
            below = [*possibilities.values(), *afters.values()]
            changes: dict[Any, Any] = {panel.column: gr.Column(visible=False) for panel in below}
            changes |= {panel.image: None for panel in below}
            return changes | {
                possible: gr.Column(visible=visit.results[name].prediction is not None),
                explore_button: gr.Button(visible=True),
            }

        def choose(name: str, visit: Visit) -> dict[Any, Any]:
            """What comes in its place."""
            if visit.chosen == name:
                return {}
            visit.choose(name)
            changes: dict[Any, Any] = {reference: None} if visit.reference is None else {}
            return changes | take_after(visit)

        def take_after(visit: Visit) -> dict[Any, Any]:
            """What the chosen method makes of the other photograph, if one was given."""
            complaint = visit.take_after()
            others = [name for name in painters if name in visit.results and takes_style_of(name)]
            name = "" if visit.reference is None else visit.reference.name
            text = page.warnings_html(name, visit.reference_warnings)
            text += page.refusal_html(complaint, [] if STYLED in visit.after else others)
            changes: dict[Any, Any] = {refusal: gr.HTML(text, visible=bool(text))}
            for key, panel in afters.items():
                changes |= {panel.column: gr.Column(visible=key in visit.after), panel.image: None}
            return changes | taken_after(visit)

        def taken_after(visit: Visit) -> dict[Any, Any]:
            """The pictures of that, with their captions."""
            changes: dict[Any, Any] = {}
            for key in list(visit.after):
                painted, method = settings(visit), labels[visit.after[key].model]
                name = f"{method}, {AFTER[key].lower()}"
                caption = page.caption_html(AFTER[key], html.escape(method), name=name, painted=painted)
                changes |= {afters[key].image: visit.show_after(key), afters[key].caption: caption}
            return changes

        def held_possible(visit: Visit, name: str) -> dict[Any, Any]:
            """A method's alternatives and its uncertainty, with their captions."""
            changes: dict[Any, Any] = {}
            painted = settings(visit)
            for key, file in visit.alternatives(name).items():
                label = page.POSSIBILITIES[key]
                caption = page.caption_html(
                    label,
                    name=f"{labels[name]}, {label.partition(':')[0].lower()}",
                    painted=None if key == UNCERTAINTY else painted,
                )
                changes |= {possibilities[key].image: file, possibilities[key].caption: caption}
            return changes

        def illuminate(cast: str, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            """White balance in another light."""
            if visit is None or visit.original is None or not balancers:
                yield {status: gr.skip()}
                return
            light, simulated = visit.illuminate(cast), cast != NO_CAST
            label, off = ("With the cast", page.angles_text(light.angle)) if simulated else ("The original", "")
            changes: dict[Any, Any] = {
                balancing: gr.Column(visible=True),
                lights[LIGHT].column: gr.Column(visible=True),
                lights[LIGHT].image: visit.show_light(light),
                lights[LIGHT].caption: page.caption_html(label, off, painted={"cast": cast}),
                lights[TRUTH].column: gr.Column(visible=simulated),
                lights[TRUTH].image: visit.original,
            }
            for name in balancers:
                yield changes
                try:
                    visit.balance(light, name)
                except Exception:  # as in colour
                    logging.exception("%s failed", name)
                    gr.Warning(page.FAILED, title=f"{html.escape(labels[name])} could not balance it")
                    continue
                changes |= balanced(name, light, visit)
                changes |= {lights[name].column: gr.Column(visible=True)}
                changes |= {lights[name].save: gr.Button(visible=not simulated)}
            yield changes

        def balanced(name: str, light: Light, visit: Visit) -> dict[Any, Any]:
            """A method's picture and caption; in the light of the original, angles would say nothing."""
            painted = settings(visit) | {"cast": light.cast}
            angles = "" if light.cast == NO_CAST else page.angles_text(light.angle, light.angles[name])
            seconds = page.seconds_text(light.results[name].seconds)
            caption = page.caption_html(labels[name], seconds, angles, painted=painted)
            return {lights[name].image: visit.show_balanced(light, name), lights[name].caption: caption}

        def repaint(
            strength: float, saturation: float, name: str | None, visit: Visit | None
        ) -> Iterator[dict[Any, Any]]:
            if visit is None or name not in visit.results:
                yield {slider: gr.skip()}
                return
            visit.strength, visit.saturation = strength, saturation
            changes = before_after(name, visit) | taken_after(visit)
            light = visit.light

            def steps() -> Iterator[dict[Any, Any]]:
                for key in sorted(visit.results, key=lambda key: key != name):
                    yield coloured_by(key, visit)
                for key in list(light.results):
                    yield balanced(key, light, visit)
                if visit.explored and visit.chosen:
                    yield held_possible(visit, visit.chosen)

            for step in steps():
                changes |= step
                if name != visit.compared and visit.compared:  # another was chosen meanwhile
                    name = visit.compared
                    changes |= before_after(name, visit)
                yield changes

        def compare(name: str, strength: float, saturation: float, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            if visit is None:
                gr.Warning(page.EXPIRED)
                yield {slider: gr.skip()}
                return
            visit.strength, visit.saturation = strength, saturation  # though its card may still wait for them
            changes: dict[Any, Any] = {compared: name} | before_after(name, visit) | begin_anew(name, visit)
            yield changes  # what was asked for; to take after the other photograph takes longer
            yield changes | choose(name, visit)

        def pick(name: str, strength: float, saturation: float, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            """From the list itself, which is left alone: setting it would undo a choice made meanwhile."""
            for changes in compare(name, strength, saturation, visit):
                yield {component: change for component, change in changes.items() if component is not compared}

        def explore(strength: float, saturation: float, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            yield {explore_button: gr.Button("Painting ...", interactive=False)}
            changes: dict[Any, Any] = {explore_button: gr.Button(explore_button.value, interactive=True)}
            if visit is None:
                gr.Warning(page.EXPIRED)
            elif (name := visit.chosen) and visit.results[name].prediction:
                visit.strength, visit.saturation = strength, saturation
                try:
                    found = held_possible(visit, name)
                    if visit.chosen == name:  # else another was chosen meanwhile
                        visit.explored = True
                        changes |= found | {panel.column: gr.Column(visible=True) for panel in possibilities.values()}
                        changes[explore_button] = gr.Button(explore_button.value, interactive=True, visible=False)
                except Exception:  # the button must come back
                    logging.exception("alternatives failed")
                    gr.Warning(page.FAILED, title="No alternatives")
            yield changes

        def transfer(
            upload: dict[str, Any] | None, strength: float, saturation: float, visit: Visit | None
        ) -> dict[Any, Any]:
            path = uploaded(upload)
            if visit is None:
                gr.Warning(page.EXPIRED)
                return {reference: None}
            visit.strength, visit.saturation = strength, saturation
            try:
                visit.refer(path)
            except (UnreadableError, FileNotFoundError) as error:
                complaint = gr.HTML(page.complaint_html(page.reason(error)), visible=True)
                # The one before, if any: what was taken from it is still shown.
                return {reference: visit.preview, refusal: complaint}
            changes = take_after(visit)
            if path is not None:
                # What browsers do not show, and what a painting that began before this upload has taken off the page.
                changes |= {reference: visit.preview}
            return changes

        def save(
            button: gr.Button,
            key: str | None,
            names: list[str],
            strength: float,
            saturation: float,
            visit: Visit | None,
        ) -> Iterator[dict[Any, Any]]:
            yield {button: gr.Button("Preparing ...", interactive=False)}
            path = None
            try:
                if visit is None:
                    raise FileNotFoundError
                visit.strength, visit.saturation = strength, saturation
                shown = (name for name in names if name in visit.results)
                if key in afters:
                    path = visit.save_after(key)
                elif key in possibilities:
                    path = visit.save_alternative(key)
                elif key in balancers:
                    path = visit.save_balanced(key)
                else:
                    path = next(visit.save([key])) if key else visit.save_zip(shown)
            except FileNotFoundError:
                gr.Warning(page.EXPIRED)
            except Exception:  # the button must come back
                logging.exception("saving failed")
                gr.Warning(page.FAILED, title="Saving failed")
            yield {button: gr.Button(button.value, interactive=True), finished: path}

        private: dict[str, Any] = {"api_visibility": "private"}
        network = private | {"concurrency_id": "network", "concurrency_limit": 1, "trigger_mode": "always_last"}
        painting = network | {"concurrency_id": "painting", "concurrency_limit": 2, "show_progress": "hidden"}
        saving = painting | {"concurrency_id": "saving", "concurrency_limit": 1, "trigger_mode": "once"}

        def parts(of: dict[str, Panel]) -> list[Any]:
            return [part for panel in of.values() for part in (panel.column, panel.image, panel.caption)]

        frames = [status, dials, comparison]
        taken, explored = parts(afters), parts(possibilities)
        below = [possible, explore_button, *explored, reference, refusal, *taken]
        arrival = photo.change(
            receive,
            [photo, strength, saturation, state],
            [photo, remarks, state, about, slider, balancing, *frames, *parts(everything)],
            preprocess=False,  # colorlib.io reads the upload as it came
            show_progress="hidden",  # its steps tell
            **network,
        )
        arrival.then(None, js=page.REVEAL, **private)
        coloured, _ = (
            event(
                colour,
                [methods, compared, state],
                [*frames, compared, slider, sides, *below, *parts(panels)],
                show_progress="hidden",  # its steps tell
                **network,
            )
            for event in (arrival.then, methods.change)
        )
        for event in (coloured.then, cast.input):
            shown = [status, balancing, *parts(lights), *[panel.save for panel in lights.values()]]
            event(illuminate, [cast, state], shown, show_progress="hidden", **network)
        gr.on(
            [strength.change, saturation.change],
            repaint,
            [strength, saturation, compared, state],
            [slider, sides, *parts(everything)],
            **painting,
        )
        compared.input(pick, [compared, strength, saturation, state], [slider, sides, *below], **painting)
        for name in painters:
            chosen = panels[name].image.select(
                partial(compare, name),
                [strength, saturation, state],
                [compared, slider, sides, *below],
                **painting,
            )
            chosen.then(None, js=page.SCROLL, **private)
        explore_button.click(
            explore,
            [strength, saturation, state],
            [explore_button, *explored],
            **painting | {"trigger_mode": "once"},
        )
        gr.on(
            [reference.upload, reference.clear],
            transfer,
            [reference, strength, saturation, state],
            [reference, refusal, *taken],
            preprocess=False,
            # As large as an upload may be, references are read one at a time.
            **saving | {"trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": reference},
        )
        buttons = [(panel.save, key) for key, panel in everything.items()]
        for button, key in [(save_all, None), *buttons]:
            saved = button.click(
                partial(save, button, key), [methods, strength, saturation, state], [finished, button], **saving
            )
            saved.then(None, finished, js=page.SAVE, **private)
        public: dict[str, Any] = {"preprocess": False, "concurrency_id": "saving"}
        numbers = [strength, saturation]
        endpoint.click(colorize, [photo, methods, *numbers], [files, rows], api_name="colorize", **public)
        endpoint.click(balance, [photo, to_balance, *numbers], [files, rows], api_name="balance", **public)
        endpoint.click(scenes, photo, rows, api_name="scenes", **public)
    return blocks


demo = build()
demo.queue(max_size=100)

if __name__ == "__main__":
    # A supervisor's stop ends the server as Ctrl-C does, so that TEMP goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.launch(
        theme=page.theme(),
        css_paths=Path(__file__).with_name("style.css"),
        head=page.head(),
        max_file_size="100mb",
        run_history=False,  # it would keep photographs in the browser
        footer_links=["api", "gradio"],
    )
