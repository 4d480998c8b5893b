"""The public functions, for scripts and agents. They take files and keep no session."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from checks import checked, dials, number
from loading import load
from methods import ready, scene_types
from panels import uploaded
from uploads import TEMP, UnreadableError

from colorlib.catalog import Task, catalog

if TYPE_CHECKING:
    from replies import Run, Sent

OWN = "own"
DECODERS = (OWN, "mode", "median", "expectation", "sample")
MOST_ALTERNATIVES = 12  # each is painted at full size


def colorize(
    photo: dict[str, Any] | None,
    methods: list[str],
    strength: float = 1,
    saturation: float = 1,
    decoder: str = OWN,
    temperature: float = 1,
    leave_border: bool = True,
) -> tuple[list[str], list[dict[str, Any]]]:
    """Colour a photograph with classic deep-learning methods; its lightness stays as it is.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        methods: names of the methods.
        strength: from 0, the colour of the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.
        decoder: how distributions become colours: own (the method's), mode, median, expectation or sample.
        temperature: of predicted distributions, at least 0.001; below 1 the probable colours count for more.
        leave_border: whether the border of a scan stays uncoloured: a mount, a frame or a margin.

    Returns:
        The coloured photographs at full size, a PNG file for each method; and for each the method, the name of the
        file, the seconds that the method took, and warnings: what was left out when the photograph was read, and
        whether it has a border.
    """
    return _process("colorize", photo, methods, strength, saturation, leave_border, decoder, temperature)


def balance(
    photo: dict[str, Any] | None,
    methods: list[str],
    strength: float = 1,
    saturation: float = 1,
    leave_border: bool = True,
) -> tuple[list[str], list[dict[str, Any]]]:
    """Balance the white of a colour photograph: remove the tint of the light that it was taken in.

    Args:
        photo: the photograph, in colour.
        methods: names of the methods.
        strength: from 0, the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.
        leave_border: whether the border of a scan, such as a mount or a frame, stays as it is and has no part in it.

    Returns:
        The balanced photographs at full size, a PNG file for each method; and for each the method, the name of the
        file, the seconds that the method took, and warnings: what was left out when the photograph was read, and
        whether it has a border.
    """
    return _process("balance", photo, methods, strength, saturation, leave_border)


def scenes(photo: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Recognise the scene of a photograph: the five likeliest kinds of scene.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.

    Returns:
        For each scene its name and probability, the most probable first.
    """
    sent = _received(photo)
    for name in ready("colorize"):
        if scene_types(name):
            return [scene._asdict() for scene in _replies().recognise(sent.large, name)]
    raise gr.Error("No available method recognises scenes", print_exception=False)


def ask(
    photo: dict[str, Any] | None, x: int, y: int, methods: list[str], leave_border: bool = True
) -> list[dict[str, Any]]:
    """Ask which colours methods hold possible at a pixel of a photograph, and how probable these are.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        x: column of the pixel, from 0 at the left.
        y: row of the pixel, from 0 at the top.
        methods: names of methods for colorize.
        leave_border: whether the border of a scan stays uncoloured; of a pixel on it, the nearest inside is meant.

    Returns:
        For each method its name; whether it predicts a distribution; its colours at the pixel's lightness, the most
        probable first, each with probability, hex such as #8a5a2b, name in words, and a and b of CIE Lab; and the rest,
        the probability of all other colours. A method without a distribution answers with its one colour.
    """
    sent = _received(photo, leave_border)
    names = checked("colorize", methods)
    column, row = number("x, the column of a pixel", x), number("y, the row of a pixel", y)
    with _refusals():  # the pixel is outside
        said = _replies().ask(sent, names, int(column), int(row))
    return [one._asdict() | {"shades": [shade._asdict() for shade in one.shades]} for one in said]


def steer(
    photo: dict[str, Any] | None,
    method: str,
    points: list[dict[str, Any]],
    strength: float = 1,
    saturation: float = 1,
    decoder: str = OWN,
    temperature: float = 1,
    leave_border: bool = True,
) -> tuple[list[str], list[dict[str, Any]]]:
    """Colour a photograph by a method, and correct it: colours chosen for some points spread over what belongs to them.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        method: name of one method for colorize.
        points: at most 100 objects such as {"x": 120, "y": 80, "colour": "#8a5a2b"}: column and row of a pixel, colour.
        strength: from 0, the colour of the photograph itself, to 1, the method's and the points'.
        saturation: factor on the chroma that results, 0 to 2.
        decoder: how distributions become colours: own (the method's), mode, median, expectation or sample.
        temperature: of predicted distributions, at least 0.001; below 1 the probable colours count for more.
        leave_border: whether the border of a scan stays uncoloured; of a point on it, the nearest inside is meant.

    Returns:
        The coloured photograph at full size, as one PNG file; and a row with the method, the name of the file, the
        seconds that the method took, and warnings: what was left out when the photograph was read, and whether it has a
        border.
    """
    sent = _received(photo, leave_border, "colorize")
    (name,) = checked("colorize", [method])
    strength, saturation = dials(strength, saturation)
    decision = _decision([name], decoder, temperature)
    try:
        chosen = [(int(point["x"]), int(point["y"]), str(point["colour"])) for point in points or []]
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        expected = 'expected points such as [{"x": 120, "y": 80, "colour": "#8a5a2b"}]'
        raise gr.Error(f"{expected}; got {points!r}", print_exception=False) from error
    with _refusals(), _folder() as folder:
        run, file = _replies().steer(sent, name, chosen, strength, saturation, decision, folder)
    return [str(file)], [_row(name, run, sent.warnings, file)]


def compare(
    photo: dict[str, Any] | None, methods: list[str], strength: float = 1, saturation: float = 1
) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare methods: one picture with a photograph in gray and in the colours of each, and how far these are apart.

    The border of a scan, such as a mount or a frame, is cut off.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        methods: names of methods for colorize.
        strength: from 0, the colour of the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.

    Returns:
        The picture, a PNG file: without colour first, then by each method in the order of the rows, from left to right
        and from above; each at most 640 pixels long. For each method its name, the seconds that it took, and warnings.
        And for each two methods their names and ciede2000, the mean difference between their pictures: about 1 is just
        noticeable.
    """
    sent = _received(photo)
    names = checked("colorize", methods)
    strength, saturation = dials(strength, saturation)
    with _refusals(), _folder() as folder:
        picture = folder / "comparison.png"
        runs, apart = _replies().compare(sent.large, names, strength, saturation, picture)
    return str(picture), [_row(name, run, sent.warnings) for name, run in zip(names, runs, strict=True)], apart


def score(photo: dict[str, Any] | None, methods: list[str]) -> list[dict[str, Any]]:
    """Score methods on a photograph in colour: it is turned gray, coloured, and compared with the original.

    The border of a scan, such as a mount or a frame, does not count.

    Args:
        photo: the photograph, in colour.
        methods: names of methods for colorize.

    Returns:
        For each method, and for gray, which is no colour at all, a row; the nearest to the original first. It has the
        method; ciede2000, the mean difference, which counts for the order: about 1 is just noticeable; rmse of alpha
        and beta; psnr in dB, of which more is better; and saturation, how much more of it there is than in the
        original: -0.2 is 20 % less.
    """
    sent = _received(photo)
    names = checked("colorize", methods)
    with _refusals():  # the photograph has no colour
        scored = _replies().score(sent.large, names)
    return [{"method": name} | errors._asdict() for name, errors in scored]


def alternatives(
    photo: dict[str, Any] | None,
    method: str,
    count: int = 6,
    strength: float = 1,
    saturation: float = 1,
    decoder: str = OWN,
    temperature: float = 1,
    leave_border: bool = True,
) -> tuple[list[str], list[dict[str, Any]]]:
    """Colour a photograph in several plausible ways, by a method that predicts distributions of colours.

    Args:
        photo: the photograph, black-and-white or in colour; only its lightness is used.
        method: name of one method for colorize that predicts distributions.
        count: how many alternatives, 1 to 12.
        strength: from 0, the colour of the photograph itself, to 1, the method's.
        saturation: factor on the chroma that results, 0 to 2.
        decoder: how distributions become colours: own (the method's), mode, median, expectation or sample.
        temperature: of predicted distributions, at least 0.001; below 1 the probable colours count for more.
        leave_border: whether the border of a scan stays uncoloured: a mount, a frame or a margin.

    Returns:
        The coloured photographs at full size, PNG files, and last a map of uncertainty: black where the method is sure,
        white where it is least sure. And a row for each file with the method, the name of the file, the seconds that
        the network took once for all, and warnings: what was left out when the photograph was read, and whether it has
        a border.
    """
    sent = _received(photo, leave_border, "colorize")
    (name,) = checked("colorize", [method])
    able = [each for each in ready("colorize") if catalog()[each].distribution]
    if name not in able:
        text = f"{name} predicts one colour a pixel, so it has no alternatives. Choose from: {', '.join(able)}"
        raise gr.Error(text, print_exception=False)
    wanted = number("count, from 1 to 12", count)
    if not (1 <= wanted <= MOST_ALTERNATIVES and wanted == int(wanted)):
        raise gr.Error(
            f"Expected a whole number from 1 to {MOST_ALTERNATIVES} for count, got {count!r}", print_exception=False
        )
    strength, saturation = dials(strength, saturation)
    decision = _decision([name], decoder, temperature)
    with _refusals(), _folder() as folder:
        run, files = _replies().alternatives(sent, name, int(wanted), strength, saturation, decision, folder)
    return [str(file) for file in files], [_row(name, run, sent.warnings, file) for file in files]


def _decision(names: list[str], decoder: Any, temperature: Any) -> tuple[str | None, float]:
    """How distributions are to be decided on.

    Raises:
        gr.Error: there is no such decoder or temperature, or a method that predicts no distribution.
    """
    if decoder not in DECODERS:
        raise gr.Error(f"There is no decoder {decoder!r}. Choose from: {', '.join(DECODERS)}", print_exception=False)
    wanted = number("temperature, at least 0.001", temperature)
    single = [name for name in names if not catalog()[name].distribution]
    if single and (decoder, wanted) != (OWN, 1):
        text = f"With {', '.join(single)}, which predict one colour a pixel, decoder must be {OWN} and temperature 1"
        raise gr.Error(text, print_exception=False)
    return (None if decoder == OWN else decoder), wanted


def _process(
    task: Task,
    photo: dict[str, Any] | None,
    methods: list[str],
    strength: float,
    saturation: float,
    leave_border: bool,
    decoder: str = OWN,
    temperature: float = 1,
) -> tuple[list[str], list[dict[str, Any]]]:
    sent = _received(photo, leave_border, task)
    names = checked(task, methods)
    strength, saturation = dials(strength, saturation)
    decision = _decision(names, decoder, temperature)
    with _refusals(), _folder() as folder:
        made = _replies().process(sent, names, strength, saturation, decision, folder)
    rows = [_row(name, run, sent.warnings, file) for name, (run, file) in zip(names, made, strict=True)]
    return [str(file) for _, file in made], rows


def _replies() -> ModuleType:
    """The module that answers, which needs torch."""
    load()
    import replies

    return replies


def _row(name: str, run: "Run", warnings: Iterable[str], file: Path | None = None) -> dict[str, Any]:
    """What clients are told about a picture by a method."""
    written = {} if file is None else {"file": file.name}
    return {"method": name} | written | {"seconds": round(run.seconds, 3), "warnings": [*warnings, *run.warnings]}


@contextmanager
def _refusals() -> Iterator[None]:
    """What the library says about a wrong value is for the client, such as a number out of range."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for files, which goes if an error comes before all are written: nobody would fetch those that are."""
    folder = Path(tempfile.mkdtemp(dir=TEMP.name))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _received(photo: dict[str, Any] | None, leave_border: bool = True, task: Task | None = None) -> "Sent":
    """The photograph that a client sent.

    Args:
        photo: what Gradio makes of it.
        leave_border: whether its border is no part of it.
        task: what becomes of the border; None cuts it off.
    """
    source = uploaded(photo)
    if source is None:
        raise gr.Error("No photograph was received: send a picture file as photo", print_exception=False)
    if not isinstance(leave_border, bool):
        raise gr.Error(f"Expected true or false for leave_border, got {leave_border!r}", print_exception=False)
    replies = _replies()
    try:
        sent: Sent = replies.Sent.read(source, leave_border, task)
    except UnreadableError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except FileNotFoundError as error:
        raise gr.Error(words.EXPIRED, print_exception=False) from error
    return sent
