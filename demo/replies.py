"""What programs are told about a photograph beyond pictures of it. This module needs torch: see :mod:`loading`."""

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from keys import CARD, GRAY, UNCERTAINTY, Errors, Said
from measures import errors_of, kind_of, shrink, to_gray
from painting import paint, predict, predictions, read, recognise, save_full_size
from points import rgb_of, said

from colorlib import Result, io
from colorlib.metrics.functional import ciede2000
from colorlib.steering import Hint, check_count

__all__ = ["alternatives", "ask", "compare", "process", "read", "recognise", "score", "shrink", "steer"]
Decision: TypeAlias = tuple[str | None, float]  # the decoder, None for each method's own, and the temperature
GAP = 8  # pixels of white between pictures


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
) -> tuple[list[float], list[dict[str, Any]]]:
    """Write one picture of the photograph without colour and of each method's picture, row by row.

    Each is as large as on the page, its longest side at most CARD, with GAP between.

    Returns:
        The seconds of each method; and for each two methods their names and the mean CIEDE2000 between their pictures.

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
    return [result.seconds for result in results], pairs


def grid(pictures: list[torch.Tensor]) -> torch.Tensor:
    """Pictures (3, H, W) of one size in rows, about as many as columns, on white: (3, rows, columns)."""
    columns = math.ceil(math.sqrt(len(pictures)))
    blank = torch.ones_like(pictures[0])
    padded = [*pictures, *[blank] * (-len(pictures) % columns)]
    framed = [F.pad(one, (0, GAP, 0, GAP), value=1) for one in padded]
    rows = [torch.cat(framed[k : k + columns], 2) for k in range(0, len(framed), columns)]
    return torch.cat(rows, 1)[:, :-GAP, :-GAP]


def alternatives(
    source: Path,
    large: io.Photo,
    name: str,
    count: int,
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> tuple[float, list[Path]]:
    """Write other plausible colourings of an upload at full size, and a map of the method's uncertainty.

    Returns:
        The seconds that the network took; and the files, the map last.

    Raises:
        ValueError: the method predicts no distribution, or a number is out of range.
    """
    result = paint(_decided(predict(large, name), decision), read(source), strength, saturation)
    files = []
    for number, sample in enumerate(result.samples(count), 1):
        files.append(folder / f"{source.stem}-{name}-alternative-{number}.png")
        sample.save(files[-1])
    files.append(folder / f"{source.stem}-{name}-{UNCERTAINTY}.png")
    io.write(files[-1], result.uncertainty_picture())
    return result.seconds, files


def ask(source: Path, large: io.Photo, names: Iterable[str], x: int, y: int) -> list[Said]:
    """What methods say about a pixel of an upload, given a copy of the size that methods are given.

    Raises:
        ValueError: the pixel is outside.
    """
    whole = read(source)
    return [*said({name: replace(predict(large, name), photo=whole) for name in names}, x, y)]


def steer(
    source: Path,
    large: io.Photo,
    name: str,
    chosen: Sequence[tuple[int, int, str]],
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> tuple[float, Path]:
    """Write an upload by a method, with colours for some of its pixels: the method's seconds, and the file.

    Raises:
        ValueError: a pixel is outside, a colour is none, a number is out of range, or there are too many points.
    """
    check_count(len(chosen))  # first: a client may send a million
    hints = [Hint.of_rgb(x, y, rgb_of(colour)) for x, y, colour in chosen]
    result = _decided(predict(large, name), decision)
    result = paint(result, read(source), strength, saturation).steer(hints)
    path = folder / f"{source.stem}-{name}.png"
    result.save(path)
    return result.seconds, path


def process(
    source: Path,
    large: io.Photo,
    names: list[str],
    strength: float,
    saturation: float,
    decision: Decision,
    folder: Path,
) -> list[tuple[float, Path]]:
    """Write an upload by each method at full size: the seconds that the method took, and the file.

    Raises:
        ValueError: a number is out of range.
    """
    with closing(predictions(large, names)) as results:
        decided = (_decided(result, decision) for result in results)
        written = save_full_size(source, decided, strength, saturation, folder)
        made = {result.model: (result.seconds, file) for result, file in written}
    return [made[name] for name in names]


def _decided(result: Result, decision: Decision) -> Result:
    """As a client wants it.

    Raises:
        ValueError: the method has no such decoder, or a temperature below 0.001.
    """
    return result if decision == (None, 1) else result.decode(*decision)
