"""Colour a photograph with every method that colorlib has ready, side by side. Copied to a Space, it runs as it is.

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
from typing import Any, NamedTuple

import gradio as gr
import page
import skimage
from visit import LARGE, MAX_PIXELS, TEMP, Visit, predict, save_full_size, shrink, sweep

from colorlib import io, list_models, model_info

os.environ["GRADIO_TEMP_DIR"] = TEMP.name  # before the first component is made

LIFETIME = 3000  # seconds that files are kept; with the wait for the next round of deletion it is less than an hour
EXAMPLES = ("camera.png", "astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
SHOWN_BY_BROWSERS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
GRAY, ORIGINAL, TRANSFERRED = "gray", "original", "transferred"  # the panels that no method fills


class Panel(NamedTuple):
    """A picture of the grid, and what stands below it."""

    column: gr.Column
    image: gr.Image
    caption: gr.HTML
    save: gr.Button


def make_panel(key: str, label: str) -> Panel:
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
        caption = gr.HTML(page.caption_html(label), padding=False)
        save = gr.Button("Download PNG", size="sm", visible=key not in (GRAY, ORIGINAL), elem_id=f"save-{key}")
    return Panel(column, image, caption, save)


def make_upload(key: str, label: str) -> gr.Image:
    """A place for a photograph of the visitor's."""
    return gr.Image(
        label=label,
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
    source = uploaded(photo)
    if source is None:
        raise gr.Error("No photograph came; send a picture file as photo", print_exception=False)
    try:
        large = shrink(io.read(source, max_pixels=MAX_PIXELS), LARGE)
        results = [predict(large, name) for name in methods]
        files = list(save_full_size(source, results, strength, saturation, Path(tempfile.mkdtemp(dir=TEMP.name))))
    except ValueError as error:  # an ImageError, an unknown method or a number out of range
        raise gr.Error(str(error), print_exception=False) from error
    rows = [
        {"method": result.model, "file": file.name, "seconds": round(result.seconds, 3)}
        for result, file in zip(results, files, strict=True)
    ]
    return [str(file) for file in files], rows


def build() -> gr.Blocks:
    """The page. Its handlers return what changes, by component."""
    ready = list_models(ready=True)
    labels = {name: model_info(name).label for name in ready}
    folder = Path(skimage.__file__).parent / "data"
    learned = [name for name in ready if model_info(name).learned]

    blocks = gr.Blocks(title=page.TITLE, analytics_enabled=False, delete_cache=(LIFETIME // 6, LIFETIME))
    with blocks:
        state = gr.State(None, time_to_live=LIFETIME, delete_callback=lambda _: sweep())
        gr.HTML(page.HEADER, padding=False, elem_id="header")
        with gr.Row(elem_id="page"):
            with gr.Column(scale=1, min_width=280, elem_id="choices"):
                photo = make_upload("photo", "Your photograph")
                gr.Examples([[str(folder / name)] for name in EXAMPLES], photo, label="Or one of these")
                methods = gr.CheckboxGroup(
                    [(label, name) for name, label in labels.items()], value=learned, label="Methods", elem_id="methods"
                )
            with gr.Column(scale=4, min_width=320):
                status = gr.HTML(page.WELCOME, padding=False, elem_id="status")
                with gr.Row(visible=False, equal_height=True, elem_id="dials") as dials:
                    strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="strength")
                    saturation = gr.Slider(0, 2, 1, step=0.05, label="Saturation", elem_id="saturation")
                    save_all = gr.Button("Download all (zip)", size="md", elem_id="save-all")
                with gr.Row(elem_id="panels"):
                    panels = {GRAY: make_panel(GRAY, "Input in gray"), ORIGINAL: make_panel(ORIGINAL, "The original")}
                    panels |= {name: make_panel(name, label) for name, label in labels.items()}
                with gr.Column(visible=False, elem_id="comparison") as comparison:
                    compared = gr.Dropdown([], label="Before and after", elem_id="compared")
                    slider = gr.ImageSlider(
                        show_label=False, interactive=False, format="png", buttons=["fullscreen"], elem_id="slider"
                    )
                    with gr.Column(visible=False, elem_id="possible") as possible:
                        gr.HTML(page.POSSIBLE, padding=False)
                        explore_button = gr.Button("Show alternatives", size="md", elem_id="explore")
                        gallery = gr.Gallery(
                            visible=False,
                            show_label=False,
                            container=False,
                            interactive=False,
                            format="png",
                            columns=4,
                            object_fit="contain",
                            buttons=["fullscreen"],
                            elem_id="alternatives",
                        )
                    gr.HTML(page.TRANSFER, padding=False)
                    with gr.Row(elem_id="transfer"):
                        reference = make_upload("reference", "Another photograph")
                        transferred = make_panel(TRANSFERRED, "With its colours")
                with gr.Accordion("About the methods", elem_id="about") as about:
                    gr.HTML(page.about_html(ready), padding=False)
        gr.HTML(page.FOOTER, padding=False, elem_id="footer")
        finished = gr.DownloadButton(visible="hidden")  # holds a download until the browser has it
        with gr.Column(visible=False):
            files, rows, endpoint = gr.File(file_count="multiple"), gr.JSON(), gr.Button()

        def receive(
            upload: dict[str, Any] | None, strength: float, saturation: float, visit: Visit | None
        ) -> dict[Any, Any]:
            path = uploaded(upload)
            if visit is not None and path is not None and path.is_relative_to(visit.folder):
                return {status: gr.skip()}  # our own preview of this visit's upload
            sweep()
            changes: dict[Any, Any] = {panel.column: gr.Column(visible=False) for panel in panels.values()}
            changes |= {state: None, dials: gr.Row(visible=False), comparison: gr.Column(visible=False)}
            changes |= {about: gr.Accordion(open=path is None)}
            if path is None:
                return changes | {status: page.WELCOME}
            try:
                visit = Visit(path)
            except (io.ImageError, FileNotFoundError) as error:
                message = html.escape(str(error))
                gr.Warning(message, title="This file cannot be coloured")
                return changes | {status: f"<p role='alert'>{message}</p>"}
            visit.strength, visit.saturation = strength, saturation
            for key, file in ((GRAY, visit.gray), (ORIGINAL, visit.original)):
                changes |= {panels[key].column: gr.Column(visible=file is not None), panels[key].image: file}
            if visit.source.suffix.lower() not in SHOWN_BY_BROWSERS:
                changes[photo] = visit.original or visit.gray
            return changes | {state: visit, status: page.status_html(visit, 0, 1)}

        def colour(names: list[str], name: str | None, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            if visit is None:
                yield {status: gr.skip()}  # without a step, Gradio would blank the outputs
                return
            done = {key for key in names if key in visit.results}
            # Each step repeats those before it: if two come at once, the browser loses what the second leaves out.
            changes: dict[Any, Any] = {panels[key].column: gr.Column(visible=key in done) for key in ready}
            for key in ready:
                if key in names and key not in done:
                    yield changes | {status: page.status_html(visit, len(done), len(names))}
                    try:
                        visit.results[key] = predict(visit.large, key)
                    except Exception as error:  # one method's failure does not take the others from the page
                        logging.exception("%s failed", key)
                        gr.Warning(html.escape(str(error)), title=f"{labels[key]} failed")
                        continue
                    done.add(key)
                    changes |= {
                        panels[key].column: gr.Column(visible=True),
                        panels[key].image: visit.show(key),
                        panels[key].caption: page.caption_html(labels[key], visit.results[key].seconds),
                    }
            choices = [(labels[key], key) for key in ready if key in done]
            if choices:
                name = name if name in done else choices[0][1]
                changes |= {compared: gr.Dropdown(choices, value=name), slider: visit.compare(name)}
                changes |= choose(name, visit)
            yield changes | {
                status: page.status_html(visit, 1, 1),
                dials: gr.Row(visible=bool(choices)),
                comparison: gr.Column(visible=bool(choices)),
            }

        def choose(name: str, visit: Visit) -> dict[Any, Any]:
            """Empty what is below the slider, if that was about another method or photograph."""
            if visit.chosen == name:
                return {}
            visit.choose(name)
            return {
                possible: gr.Column(visible=visit.results[name].prediction is not None),
                explore_button: gr.Button(visible=True),
                gallery: gr.Gallery(None, visible=False),
                reference: None,
                transferred.column: gr.Column(visible=False),
                transferred.image: None,
            }

        def repaint(
            strength: float, saturation: float, name: str | None, visit: Visit | None
        ) -> Iterator[dict[Any, Any]]:
            if visit is None or name is None:
                yield {slider: gr.skip()}
                return
            visit.strength, visit.saturation = strength, saturation
            changes: dict[Any, Any] = {slider: visit.compare(name)}
            if visit.transferred:
                changes |= {transferred.image: visit.show_transferred()}
            for key in sorted(visit.results, key=lambda key: key != name):
                changes |= {panels[key].image: visit.show(key)}
                yield changes
            if visit.explored and visit.chosen:
                yield changes | {gallery: visit.alternatives(visit.chosen)}

        def compare(name: str, visit: Visit | None) -> dict[Any, Any]:
            if visit is None:
                return {slider: gr.skip()}
            return {compared: name, slider: visit.compare(name)} | choose(name, visit)

        def explore(strength: float, saturation: float, visit: Visit | None) -> Iterator[dict[Any, Any]]:
            yield {explore_button: gr.Button("Painting ...", interactive=False)}
            changes: dict[Any, Any] = {explore_button: gr.Button(explore_button.value, interactive=True)}
            if visit is None:
                gr.Warning(page.EXPIRED)
            elif (name := visit.chosen) and visit.results[name].prediction:
                visit.strength, visit.saturation = strength, saturation
                try:
                    pictures = visit.alternatives(name)
                    if visit.chosen == name:  # else another was chosen meanwhile
                        visit.explored = True
                        changes[gallery] = gr.Gallery(pictures, visible=True)
                        changes[explore_button] = gr.Button(explore_button.value, interactive=True, visible=False)
                except Exception as error:  # the button must come back
                    logging.exception("alternatives failed")
                    gr.Warning(html.escape(str(error)), title="No alternatives")
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
                visit.transfer(path)
            except (ValueError, FileNotFoundError) as error:
                gr.Warning(html.escape(str(error)), title="Its colours cannot be taken")
                return {reference: visit.reference}  # the one before, if any: its colours are still shown
            file = visit.show_transferred()
            changes = {transferred.column: gr.Column(visible=file is not None), transferred.image: file}
            if path is not None and path.suffix.lower() not in SHOWN_BY_BROWSERS:
                changes |= {reference: visit.reference}
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
                if key == TRANSFERRED:
                    path = visit.save_transferred()
                else:
                    path = next(visit.save([key])) if key else visit.save_zip(shown)
            except FileNotFoundError:
                gr.Warning(page.EXPIRED)
            except Exception as error:  # the button must come back
                logging.exception("saving failed")
                gr.Warning(html.escape(str(error)), title="Saving failed")
            yield {button: gr.Button(button.value, interactive=True), finished: path}

        private: dict[str, Any] = {"api_visibility": "private"}
        network = private | {"concurrency_id": "network", "concurrency_limit": 1, "trigger_mode": "always_last"}
        painting = network | {"concurrency_id": "painting", "concurrency_limit": 2, "show_progress": "hidden"}
        saving = painting | {"concurrency_id": "saving", "concurrency_limit": 1, "trigger_mode": "once"}

        pictures = [component for panel in panels.values() for component in (panel.column, panel.image)]
        captions = [panel.caption for panel in panels.values()]
        frames = [status, dials, comparison]
        below = [possible, explore_button, gallery, reference, transferred.column, transferred.image]
        received = photo.change(
            receive,
            [photo, strength, saturation, state],
            [photo, state, about, *frames, *pictures],
            preprocess=False,  # colorlib.io reads the upload as it came
            show_progress="minimal",
            show_progress_on=status,
            **network,
        )
        coloured, _ = (
            event(
                colour,
                [methods, compared, state],
                [*frames, compared, slider, *below, *pictures, *captions],
                show_progress="hidden",  # its steps tell
                **network,
            )
            for event in (received.then, methods.change)
        )
        coloured.then(None, js=page.REVEAL, **private)
        gr.on(
            [strength.change, saturation.change],
            repaint,
            [strength, saturation, compared, state],
            [slider, gallery, transferred.image, *[panels[name].image for name in ready]],
            **painting,
        )
        compared.input(compare, [compared, state], [compared, slider, *below], **painting)
        for name in ready:
            chosen = panels[name].image.select(partial(compare, name), state, [compared, slider, *below], **painting)
            chosen.then(None, js=page.SCROLL, **private)
        explore_button.click(
            explore, [strength, saturation, state], [explore_button, gallery], **painting | {"trigger_mode": "once"}
        )
        gr.on(
            [reference.upload, reference.clear],
            transfer,
            [reference, strength, saturation, state],
            [reference, transferred.column, transferred.image],
            preprocess=False,
            # As large as an upload may be, references are read one at a time.
            **saving | {"trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": reference},
        )
        buttons = [(panels[name].save, name) for name in ready]
        for button, key in [(save_all, None), (transferred.save, TRANSFERRED), *buttons]:
            saved = button.click(
                partial(save, button, key), [methods, strength, saturation, state], [finished, button], **saving
            )
            saved.then(None, finished, js=page.SAVE, **private)
        endpoint.click(
            colorize,
            [photo, methods, strength, saturation],
            [files, rows],
            preprocess=False,
            api_name="colorize",
            concurrency_id="saving",
        )
    return blocks


demo = build()
demo.queue(max_size=100)

if __name__ == "__main__":
    # A supervisor's stop ends the server as Ctrl-C does, so that TEMP goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.launch(
        theme=page.theme(),
        css_paths=Path(__file__).with_name("style.css"),
        max_file_size="100mb",
        run_history=False,  # it would keep photographs in the browser
        footer_links=["api", "gradio"],
    )
