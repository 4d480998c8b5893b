"""A visitor's file is read, and a method's network colours it; the prediction is painted at any size.

This module needs torch: see :mod:`loading`.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import decoding
from networks import ahead, colorizer, colourings, on_gpu, without_photo
from torch import Tensor
from uploads import UnreadableError

from colorlib import Result, Scene, io
from colorlib.borders import Border, cropped, framed_page
from colorlib.transfer import shrink_reference

MAX_PIXELS = 64_000_000  # at 50 bytes a pixel for a download, 3 GB


def read(source: Path, stopped: Event | None = None) -> io.Photo:
    """Read a visitor's file.

    Args:
        source: the file.
        stopped: see :func:`decoding.run`.

    Raises:
        UnreadableError: the file is not a readable picture.
        FileNotFoundError: the file has been deleted.
        StoppedError: see :func:`decoding.run`.
    """
    with _explained(source):
        return decoding.read(source, max_pixels=MAX_PIXELS, stopped=stopped)


def pages(source: Path, stopped: Event | None = None) -> Iterator[io.Photo]:
    """All pages of a visitor's file, likewise."""
    with _explained(source):
        yield from decoding.pages(source, max_pixels=MAX_PIXELS, stopped=stopped)


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    try:
        yield
    except decoding.LimitError as error:
        advice = "Save it as JPEG or PNG, or make a smaller copy, and try again."
        raise UnreadableError(f"{source.name} {error}. {advice}") from None
    except io.TooLargeError as error:
        size, limit = f"{error.width} x {error.height} pixels", f"{MAX_PIXELS / 1e6:.0f} million"
        advice = "Make a smaller copy and try again."
        raise UnreadableError(f"{source.name} has {size}. This page accepts up to {limit}. {advice}") from error
    except io.ImageError as error:
        kinds = "The file is damaged, not a picture, or of an unsupported kind such as a camera's raw file."
        advice = "Save it as JPEG, PNG or TIFF and try again."
        raise UnreadableError(f"{source.name} cannot be read as a photograph. {kinds} {advice}") from error


def predict(photo: io.Photo, name: str, reference: io.Photo | None = None) -> Result:
    """Run a method's network. Pictures are painted when they are needed."""
    return replace(_predict(photo.rgb, name, reference), photo=photo)


def predictions(photo: io.Photo, names: list[str]) -> Generator[Result, None, None]:
    """Run several networks, which share their work, in an order that suits them.

    While the caller uses one result, the next is made.
    """
    for _, made, _ in ahead(colourings(photo.rgb, names)):
        if isinstance(made, Exception):
            raise made
        yield replace(made, photo=photo)


@on_gpu
def _predict(rgb: Tensor, name: str, reference: io.Photo | None) -> Result:
    return without_photo(colorizer(name)(rgb, reference=reference))


@on_gpu
def recognise(photo: io.Photo, name: str) -> list[Scene]:
    """The likeliest scene types, by a method that recognises some."""
    return colorizer(name).scenes(photo)


def with_colours(result: Result, reference: io.Photo, by_method: bool) -> Result:
    """A prediction in the colours of another photograph.

    Args:
        result: the prediction.
        reference: the other photograph.
        by_method: whether the method itself uses the photograph; else its colours are transferred to the prediction.

    Raises:
        ValueError: the other photograph has no colour.
    """
    if by_method:
        return predict(result.photo, result.model, shrink_reference(reference))
    return result.transfer(reference)


def paint(result: Result, photo: io.Photo, strength: float, saturation: float) -> Result:
    """The prediction on a copy of the photograph, of any size; the network does not run."""
    return replace(result, photo=photo).adjust(strength, saturation)


def decided(result: Result, decoder: str | None, temperature: float) -> Result:
    """The same distribution decided on otherwise. A method without one, or without that decoder, keeps its own.

    Args:
        result: by the method's own decoder, at temperature 1.
        decoder: see `colorlib.Result.decode`; None is the method's own.
        temperature: likewise.
    """
    if result.prediction is None:
        return result
    return result.decode(decoder if decoder in result.prediction.target.decoders else None, temperature)


def save_full_size(
    source: Path,
    results: Iterable[Result],
    strength: float,
    saturation: float,
    folder: Path,
    border: Border | None = None,
) -> Iterator[tuple[Result, Path]]:
    """Each with its PNG, of the upload's alpha, bit depth and metadata; the upload is read again, once.

    A border stays as it is, or uncoloured: results are of what is inside.
    """
    photo = read(source)
    inside = cropped(photo, border)
    for result in results:
        path = folder / f"{source.stem}-{result.model}.png"
        save(paint(result, inside, strength, saturation), photo, border, path)
        yield result, path


def save(result: Result, photo: io.Photo, border: Border | None, path: Path, fast: bool = False) -> None:
    """Write a result, put back into the border of its photograph if that has one."""
    io.write(path, **vars(framed_page(result, photo, border)), fast=fast)
