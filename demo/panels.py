"""Pictures with a caption and a button, and boxes for uploads. A handler returns what changes, by component."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import gradio as gr
import words
from keys import DECODERS
from uploads import TEMP

if TYPE_CHECKING:
    from session import Session

Changes: TypeAlias = dict[Any, Any]


class Panel(NamedTuple):
    """A picture, and what stands below it."""

    column: gr.Column
    image: gr.Image
    caption: gr.HTML
    save: gr.Button
    take: gr.Button


def make_maps(elem_id: str) -> gr.Gallery:
    """A hidden gallery for maps, a method each."""
    return gr.Gallery(
        visible=False,
        show_label=False,
        format="png",
        columns=4,
        height="auto",
        object_fit="contain",
        interactive=False,
        buttons=[],
        elem_id=elem_id,
    )


def make_panel(key: str, label: str, download: bool = True, take: bool = False) -> Panel:
    """A panel that is hidden until it has a picture.

    Args:
        key: of its ids.
        label: of its picture.
        download: whether it offers its picture at full size.
        take: whether its picture can become the method's.
    """
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
        caption = gr.HTML(words.caption_html(label), padding=False, elem_id=f"caption-{key}")
        use = gr.Button("Use this picture", size="sm", visible=take, elem_id=f"take-{key}")
        save = gr.Button("Download PNG", size="sm", visible=download, elem_id=f"save-{key}")
    return Panel(column, image, caption, save, use)


def make_slider(key: str, pictures: tuple[Path, Path] | None = None) -> gr.ImageSlider:
    """Two pictures, one over the other, with a handle between."""
    return gr.ImageSlider(
        pictures and (str(pictures[0]), str(pictures[1])),
        show_label=False,
        interactive=False,
        format="png",
        buttons=["fullscreen"],
        elem_id=key,
        elem_classes="slider",
    )


def make_upload(key: str, label: str) -> gr.Image:
    """A box for one of the visitor's photographs."""
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
    """The path of an upload; None if there is none.

    Handlers take the payload as it came, and a client may put any path of the host into it.

    Raises:
        gr.Error: the path is not one of an upload.
    """
    return inside(Path(payload["path"])) if payload and payload.get("path") else None


def inside(path: Path) -> Path:
    """The same path, resolved.

    Raises:
        gr.Error: it is not one of an upload.
    """
    path = path.resolve()
    if not path.is_relative_to(Path(TEMP.name).resolve()):
        raise gr.Error("This file was not uploaded here", print_exception=False)
    return path


def outputs(panels: Iterable[Panel]) -> list[Any]:
    """The components that handlers change, but for the buttons."""
    return [part for panel in panels for part in (panel.column, panel.image, panel.caption)]


def closed(panels: Iterable[Panel]) -> Changes:
    """Hide panels and take their pictures off the page."""
    changes: Changes = {}
    for panel in panels:
        changes |= {panel.column: gr.Column(visible=False), panel.image: None}
    return changes


def settings(session: "Session", *names: str) -> dict[str, float | str]:
    """The settings of the next picture, for its caption. Ask before painting, during which a slider may be moved.

    Args:
        session: the visitor's.
        *names: of the methods in the picture: some predict distributions, and have more settings.
    """
    found: dict[str, float | str] = {"strength": session.strength, "saturation": session.saturation}
    if any(name in session.results and session.results[name].prediction is not None for name in names):
        found |= {"decoder": DECODERS[session.decoder], "temperature": session.temperature}
    return found
