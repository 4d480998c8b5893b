"""What programs are told about a photograph beyond pictures of it. This module needs torch: see :mod:`loading`."""

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import torch
import torch.nn.functional as F
from keys import CARD, GRAY, LARGE, UNCERTAINTY, Errors, Said
from measures import errors_of, kind_of, shrink, to_gray
from painting import paint, predict, predictions, read, recognise, save, save_full_size
from points import rgb_of, said

from colorlib import Result, io
from colorlib.borders import KEPT, LEFT, OUT, Border, cropped, padded
from colorlib.borders import border as find_border
from colorlib.catalog import Task
from colorlib.metrics.functional import ciede2000
from colorlib.steering import Hint, check_count

__all__ = ["Run", "Sent", "alternatives", "ask", "compare", "process", "recognise", "score", "steer"]
Decision: TypeAlias = tuple[str | None, float]  # the decoder, None for each method's own, and the temperature
GAP = 8  # pixels of white between pictures


class Run(NamedTuple):
    """Of a method's network: how many seconds it took, and what there is to say, such as that memory was short."""

    seconds: float
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, result: Result) -> Self:
        """What a result says of the run that it came from."""
        return cls(result.seconds, result.warnings)


@dataclass(frozen=True)
class Sent:
    """A photograph that a client sent.

    Attributes:
        source: the file.
        border: of the photograph, which stays as it is; None if it has none, or is part of it.
        large: a copy without the border, of the size that methods are given.
        warnings: what reading left out, and whether there is a border.
    """

    source: Path
    border: Border | None
    large: io.Photo
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, source: Path, leave_border: bool, task: Task | None) -> Self:
        """Read a file.

        Args:
            source: the file.
            leave_border: whether its border is no part of the photograph.
            task: what becomes of the border; None cuts it off.

        Raises:
            UnreadableError: it is no readable photograph.
        """
        whole = read(source)
        border = find_border(whole) if leave_border else None
        inside = cropped(whole, border)
        remark = OUT if task is None else LEFT if task == "colorize" else KEPT
        return cls(source, border, shrink(inside, LARGE), whole.warnings + ((remark,) if border else ()))

    def photos(self) -> tuple[io.Photo, io.Photo]:
        """At full size, read again: the photograph, and what is inside of its border."""
        whole = read(self.source)
        return whole, cropped(whole, self.border)


def _inside(x: int, y: int, whole: io.Photo, border: Border | None) -> tuple[int, int]:
    """Where a pixel of a photograph is inside of its border, if it has one; on it, the nearest pixel is meant.

    Raises:
        ValueError: the pixel is outside of a photograph with a border.
    """
    if border is None:
        return x, y
    if not (0 <= x < whole.width and 0 <= y < whole.height):
        raise ValueError(f"expected a pixel of a photograph of {whole.width} x {whole.height}, got x={x}, y={y}")
    rows, columns = border.inside(whole.height, whole.width)
    column, row = (min(max(at, one.start), one.stop - 1) - one.start for at, one in ((x, columns), (y, rows)))
    return column, row


def score(large: io.Photo, names: list[str]) -> list[tuple[str, Errors]]:
    """How far the picture of each method is from a photograph in colour, the nearest first, and how far gray is.

    Measured as on the page: its longest side is at most CARD, at full strength and unchanged saturation.

    Raises:
        ValueError: the photograph has no colour.
    """
    card = shrink(large, CARD)
    if kind_of(card.rgb) != "colour":
        raise ValueError("expected a photograph in colour, to score against; this one is black-and-white or toned")
    found = {GRAY: errors_of(to_gray(card.rgb), card.rgb)}
    with closing(predictions(large, names)) as results:
        for result in results:
            found[result.model] = errors_of(paint(result, card, 1, 1).rgb, card.rgb)
    return sorted(found.items(), key=lambda pair: pair[1])


def compare(
    large: io.Photo, names: list[str], strength: float, saturation: float, path: Path
) -> tuple[list[Run], list[dict[str, Any]]]:
    """Write one picture of the photograph without colour and of each method's picture, row by row.

    Each is as large as on the page, its longest side at most CARD, with GAP between.

    Returns:
        The run of each method; and for each two methods their names and the mean CIEDE2000 between their pictures.

    Raises:
        ValueError: a number is out of range.
    """
    card = shrink(large, CARD)
    with closing(predictions(large, names)) as coming:
        made = {result.model: result for result in coming}
    results = [made[name] for name in names]
    pictures = [paint(result, card, strength, saturation).rgb for result in results]
    io.write(path, grid([to_gray(card.rgb), *pictures]))
    pairs = [
        {"first": first, "second": second, "ciede2000": ciede2000(one[None], other[None]).item()}
        for (first, one), (second, other) in combinations(zip(names, pictures, strict=True), 2)
    ]
    return [Run.of(result) for result in results], pairs


def grid(pictures: list[torch.Tensor]) -> torch.Tensor:
    """Pictures (3, H, W) of one size in rows, about as many as columns, on white: (3, rows, columns)."""
    columns = math.ceil(math.sqrt(len(pictures)))
    blank = torch.ones_like(pictures[0])
    padded = [*pictures, *[blank] * (-len(pictures) % columns)]
    framed = [F.pad(one, (0, GAP, 0, GAP), value=1) for one in padded]
    rows = [torch.cat(framed[k : k + columns], 2) for k in range(0, len(framed), columns)]
    return torch.cat(rows, 1)[:, :-GAP, :-GAP]


def alternatives(
    sent: Sent,
    name: str,
    count: int,
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> tuple[Run, list[Path]]:
    """Write other plausible colourings of an upload at full size, and a map of the method's uncertainty.

    Returns:
        The network's run; and the files, the map last.

    Raises:
        ValueError: the method predicts no distribution, or a number is out of range.
    """
    whole, inside = sent.photos()
    result = _decided(predict(sent.large, name), decision)
    run, result = Run.of(result), paint(result, inside, strength, saturation)
    files = []
    for number, sample in enumerate(result.samples(count), 1):
        files.append(folder / f"{sent.source.stem}-{name}-alternative-{number}.png")
        save(sample, whole, sent.border, files[-1])
    files.append(folder / f"{sent.source.stem}-{name}-{UNCERTAINTY}.png")
    io.write(files[-1], padded(result.uncertainty_picture(), sent.border))
    return run, files


def ask(sent: Sent, names: Iterable[str], x: int, y: int) -> list[Said]:
    """What methods say about a pixel of a photograph.

    Raises:
        ValueError: the pixel is outside.
    """
    whole, inside = sent.photos()
    column, row = _inside(x, y, whole, sent.border)
    return [*said({name: replace(predict(sent.large, name), photo=inside) for name in names}, column, row)]


def steer(
    sent: Sent,
    name: str,
    chosen: Sequence[tuple[int, int, str]],
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> tuple[Run, Path]:
    """Write an upload by a method, with colours for some of its pixels: the method's run, and the file.

    Raises:
        ValueError: a pixel is outside, a colour is none, a number is out of range, or there are too many points.
    """
    check_count(len(chosen))  # first: a client may send a million
    whole, inside = sent.photos()
    hints = [Hint.of_rgb(*_inside(x, y, whole, sent.border), rgb_of(colour)) for x, y, colour in chosen]
    result = _decided(predict(sent.large, name), decision)
    run, result = Run.of(result), paint(result, inside, strength, saturation).steer(hints)
    path = folder / f"{sent.source.stem}-{name}.png"
    save(result, whole, sent.border, path)
    return run, path


def process(
    sent: Sent,
    names: list[str],
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> list[tuple[Run, Path]]:
    """Write an upload by each method at full size: the method's run, and the file.

    Raises:
        ValueError: a number is out of range.
    """
    with closing(predictions(sent.large, names)) as results:
        decided = (_decided(result, decision) for result in results)
        written = save_full_size(sent.source, decided, strength, saturation, folder, sent.border)
        made = {result.model: (Run.of(result), file) for result, file in written}
    return [made[name] for name in names]


def _decided(result: Result, decision: Decision) -> Result:
    """As a client wants it.

    Raises:
        ValueError: the method has no such decoder, or a temperature below 0.001.
    """
    return result if decision == (None, 1) else result.decode(*decision)
