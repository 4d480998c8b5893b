"""A visitor's photograph: each method predicts its colours once, and they are painted at whatever size is asked for.

A prediction is small, so a visit keeps that, and the photograph at the two sizes of the page. Moving a slider paints
these anew; a download reads the upload again and paints it at full size.
"""

import shutil
import tempfile
import time
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from colorlib import Colorizer, Result, color, io

CARD, LARGE = 640, 1024  # longest side, in pixels, of the pictures side by side and of the before/after slider
ALTERNATIVES = 6
MAX_PIXELS = 64_000_000  # at 50 bytes a pixel for a download, 3 GB
TEMP = tempfile.TemporaryDirectory(prefix="colorlib-demo-")  # every file of every visitor; it goes with the server


class Visit:
    """A photograph and what the methods made of it.

    Args:
        source: the upload, as it came.

    Attributes:
        size: height and width of the upload.
        card: the photograph, its longest side at most CARD.
        large: the same, at most LARGE; this is what the methods are given.
        results: predictions by method.
        chosen: the method that the slider shows; None before the first.
        explored: whether the page shows its alternatives.
        transferred: its prediction with the colours of another photograph, if one was given.
        reference: that photograph, for the page.
        strength: how to paint them, see `colorlib.Result.adjust`.
        saturation: likewise.
        folder: for the pictures on the page; goes when nobody holds the visit any more.
        gray: file of the photograph as the methods see it, for the grid.
        before: the same, large.
        original: file of the photograph as it came, for the grid; None if it has no colour.

    Raises:
        colorlib.io.ImageError: it is no readable picture.
        FileNotFoundError: it has been deleted.
    """

    def __init__(self, source: Path):
        photo = io.read(source, max_pixels=MAX_PIXELS)
        height, width = photo.rgb.shape[-2:]
        self.source, self.size = source, (height, width)
        self.card, self.large = shrink(photo, CARD), shrink(photo, LARGE)
        self.results: dict[str, Result] = {}
        self.strength = self.saturation = 1.0
        self.choose(None)
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.gray, self.before = self._file("gray"), self._file("before")
        io.write(self.gray, to_gray(self.card.rgb), alpha=self.card.alpha)
        io.write(self.before, to_gray(self.large.rgb), alpha=self.large.alpha)
        self.original = self._file("original") if has_colour(self.card.rgb) else None
        if self.original:
            io.write(self.original, self.card.rgb, alpha=self.card.alpha)

    def choose(self, name: str | None) -> None:
        """Take another method for the slider; what was asked about the one before is forgotten."""
        self.chosen, self.explored = name, False
        self.transferred: Result | None = None
        self.reference: Path | None = None

    def show(self, name: str) -> Path:
        """A method's result for the grid, as PNG."""
        path = self._file(name)
        paint(self.results[name], self.card, self.strength, self.saturation).save(path)
        return path

    def compare(self, name: str) -> tuple[Path, Path]:
        """The photograph in gray and a method's result, large."""
        path = self._file("after")
        paint(self.results[name], self.large, self.strength, self.saturation).save(path)
        return self.before, path

    def alternatives(self, name: str) -> list[tuple[Path, str]]:
        """Other pictures that a method holds possible, and its uncertainty, for the grid; each with its caption.

        Raises:
            ValueError: the method predicts no distribution.
        """
        result = replace(self.results[name], photo=self.card, strength=self.strength, saturation=self.saturation)
        found = []
        for number, sample in enumerate(result.samples(ALTERNATIVES), 1):
            found.append((self._file(f"alternative-{number}"), f"Alternative {number}"))
            sample.save(found[-1][0])
        found.append((self._file("uncertainty"), "Uncertainty: black is sure, white the most undecided part"))
        io.write(found[-1][0], result.uncertainty_picture(), alpha=self.card.alpha)
        return found

    def transfer(self, reference: Path | None) -> None:
        """Give the chosen method's picture the colours of another photograph; None takes them away again.

        Raises:
            ValueError: the other one is no readable picture, or has no colour; nothing has changed then.
            FileNotFoundError: it has been deleted.
        """
        name = self.chosen
        if reference is None or name is None:
            self.transferred = self.reference = None
            return
        result, photo = self.results[name], io.read(reference, max_pixels=MAX_PIXELS)
        transferred = replace(result.transfer(photo), rgb=result.rgb)
        preview, small = self._file("reference"), shrink(photo, CARD)
        io.write(preview, small.rgb, alpha=small.alpha)
        if self.chosen == name:  # else another was chosen meanwhile
            self.transferred, self.reference = transferred, preview

    def show_transferred(self) -> Path | None:
        """What :meth:`transfer` gave, for the page; None if nothing."""
        if self.transferred is None:
            return None
        path = self._file("transferred")
        paint(self.transferred, self.card, self.strength, self.saturation).save(path)
        return path

    def save_transferred(self) -> Path:
        """The same at full size, under a name of its own."""
        if self.transferred is None:
            raise ValueError("no photograph was given to take colours from")
        folder = self._file("full").parent
        (path,) = save_full_size(self.source, [self.transferred], self.strength, self.saturation, folder)
        return path.rename(path.with_stem(f"{path.stem}-transferred"))

    def save(self, names: Iterable[str]) -> Iterator[Path]:
        """Results at full size."""
        results = [self.results[name] for name in names]
        return save_full_size(self.source, results, self.strength, self.saturation, self._file("full").parent)

    def save_zip(self, names: Iterable[str]) -> Path:
        """What :meth:`save` writes as one file; not compressed, since PNG is."""
        path = self._file("zip").with_name(f"{self.source.stem}-in-colour.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in self.save(names):
                archive.write(file, file.name)
                file.unlink()
        return path

    def _file(self, kind: str) -> Path:
        """A new path, as browsers cache by path; of the old ones of its kind the last stays, as it may be loading."""
        parent = self.folder / kind
        parent.mkdir(exist_ok=True)
        for old in sorted(parent.iterdir())[:-1]:
            shutil.rmtree(old)
        folder = parent / str(time.time_ns())
        folder.mkdir()
        return folder / f"{self.source.stem}-{kind}.png"


@cache
def colorizer(name: str) -> Colorizer:
    """A method, loaded when it is first asked for."""
    return Colorizer(name)


def predict(photo: io.Photo, name: str) -> Result:
    """Run a method's network; what it painted is dropped, as every size is painted when it is needed."""
    result = colorizer(name)(photo.rgb)
    return replace(result, photo=photo, rgb=photo.rgb)


def paint(result: Result, photo: io.Photo, strength: float, saturation: float) -> Result:
    """The prediction on a copy of the photograph, of any size; the network does not run."""
    return replace(result, photo=photo).adjust(strength, saturation)


def save_full_size(
    source: Path, results: Iterable[Result], strength: float, saturation: float, folder: Path
) -> Iterator[Path]:
    """PNGs with the alpha, bit depth and metadata of the upload, which is read again; one after the other."""
    photo = io.read(source, max_pixels=MAX_PIXELS)
    for result in results:
        path = folder / f"{source.stem}-{result.model}.png"
        paint(result, photo, strength, saturation).save(path)
        yield path


def shrink(photo: io.Photo, longest: int) -> io.Photo:
    """A copy for the page: 8 bits, without metadata, no side longer than ``longest``."""
    height, width = photo.rgb.shape[-2:]
    scale = min(1, longest / max(height, width))
    size = [max(1, round(side * scale)) for side in (height, width)]

    def resize(planes: Tensor) -> Tensor:
        return F.interpolate(planes[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)

    return io.Photo(resize(photo.rgb), None if photo.alpha is None else resize(photo.alpha), name=photo.name)


def to_gray(rgb: Tensor) -> Tensor:
    """The lightness alone, as the methods see it: sRGB (3, H, W) -> sRGB (3, H, W)."""
    return color.lightness_to_gray(color.rgb_to_lightness(rgb)).expand(3, -1, -1)


def has_colour(rgb: Tensor) -> bool:
    """Whether more than a pixel in a thousand has a colour that an eye would notice."""
    return bool((color.rgb_to_lab(rgb)[1:].norm(dim=0) > 8).float().mean() > 1e-3)


def sweep() -> None:
    """Remove the empty folders that deleted uploads leave, as they are named by a hash of the upload."""
    for folder in Path(TEMP.name).iterdir():
        with suppress(OSError):  # not empty, or gone already
            if time.time() - folder.stat().st_mtime > 60:  # Gradio may be about to write into a younger one
                folder.rmdir()
