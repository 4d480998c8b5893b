"""The three public functions, for scripts and agents. They take files and keep no session."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from keys import LARGE
from loading import load
from methods import ready, scene_types
from panels import uploaded
from uploads import TEMP, UnreadableError

from colorlib.catalog import Task, catalog

if TYPE_CHECKING:
    from colorlib import io


def colorize(
    photo: dict[str, Any] | None, methods: list[str], strength: float = 1, saturation: float = 1
) -> tuple[list[str], list[dict[str, Any]]]:
    """Colour a photograph with classic deep-learning methods; its lightness stays as it is.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        methods: names of the methods.
        strength: from 0, the colour of the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.

    Returns:
        The coloured photographs at full size, a PNG file for each method; and for each the method, the name of the
        file, the seconds that the method took, and warnings: what was left out when the photograph was read.
    """
    return _process("colorize", photo, methods, strength, saturation)


def balance(
    photo: dict[str, Any] | None, methods: list[str], strength: float = 1, saturation: float = 1
) -> tuple[list[str], list[dict[str, Any]]]:
    """Balance the white of a colour photograph: remove the tint of the light that it was taken in.

    Args:
        photo: the photograph, in colour.
        methods: names of the methods.
        strength: from 0, the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.

    Returns:
        The balanced photographs at full size, a PNG file for each method; and for each the method, the name of the
        file, the seconds that the method took, and warnings: what was left out when the photograph was read.
    """
    return _process("balance", photo, methods, strength, saturation)


def scenes(photo: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Recognise the scene of a photograph: the five likeliest kinds of scene.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.

    Returns:
        For each scene its name and probability, the most probable first.
    """
    _, large, _ = _received(photo)
    for name in ready("colorize"):
        if scene_types(name):
            return [scene._asdict() for scene in load().recognise(large, name)]
    raise gr.Error("No available method recognises scenes", print_exception=False)


def _process(
    task: Task, photo: dict[str, Any] | None, methods: list[str], strength: float, saturation: float
) -> tuple[list[str], list[dict[str, Any]]]:
    source, large, warnings = _received(photo)
    session = load()
    try:
        for name in methods:
            if name in catalog() and (other := catalog()[name].task) != task:
                raise ValueError(f"{name} is not a method for {task}: use it with {other}")
        results = [session.predict(large, name) for name in methods]
        folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        files: list[Path] = list(session.save_full_size(source, results, strength, saturation, folder))
    except ValueError as error:  # an unknown method or a number out of range
        raise gr.Error(str(error), print_exception=False) from error
    rows = [
        {"method": result.model, "file": file.name, "seconds": round(result.seconds, 3), "warnings": list(warnings)}
        for result, file in zip(results, files, strict=True)
    ]
    return [str(file) for file in files], rows


def _received(photo: dict[str, Any] | None) -> tuple[Path, "io.Photo", tuple[str, ...]]:
    """The file that a client sent, a copy of the size that methods are given, and what reading left out."""
    source = uploaded(photo)
    if source is None:
        raise gr.Error("No photograph was received: send a picture file as photo", print_exception=False)
    session = load()
    try:
        whole = session.read(source)
        return source, session.shrink(whole, LARGE), whole.warnings
    except UnreadableError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except FileNotFoundError as error:
        raise gr.Error(words.EXPIRED, print_exception=False) from error
