"""A visitor's photograph: each method predicts its colours once, and the prediction is painted at any size.

A prediction is small, so a session keeps it, and the photograph at the two sizes of the page. Moving a slider paints
these again; a download reads the upload again and paints it at full size. This module needs torch: see :mod:`loading`.
"""

import shutil
import tempfile
import time
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import uploads
from casts import CastState
from keys import (
    ALTERNATIVES,
    CARD,
    DISAGREEMENT,
    GRAY,
    LARGE,
    NO_CAST,
    ORIGINAL,
    STYLED,
    TRANSFERRED,
    UNCERTAINTY,
    Said,
    Shade,
)
from measures import error_map, errors_of, kind_of, shrink, to_gray
from methods import borrows_scene_type, takes_reference
from networks import ahead, colourings
from painting import paint, predict, read, save_full_size, with_colours
from points import Points, said, shade_of
from torch import Tensor
from uploads import TEMP, remove_later

from colorlib import Result, Scene, io
from colorlib.transfer import shrink as shrink_for_network

TONED = "it is toned in one colour, as sepia prints are; the methods see its lightness only"


class Session:
    """A visitor's photograph and the methods' results on it.

    Handlers of one visitor may run at the same time. Each reads here what the others have changed.

    Args:
        source: the upload, as it came.

    Attributes:
        size: height and width of the upload.
        warnings: what was left out of the upload, or assumed about it, a sentence each.
        card: the photograph, its longest side at most CARD.
        large: the same, at most LARGE; this is what the methods are given.
        results: predictions by method.
        scenes: the likeliest scene types, by the methods that recognise scenes.
        compared: the method that the slider shows; None before the first.
        against: what it shows on the left: GRAY, ORIGINAL or another method.
        chosen: the method that the page below the slider is about, soon the same.
        explored: whether the page shows its alternatives.
        reference: another photograph, small, to borrow from; None if there is none.
        preview: file of the same, for the page.
        reference_warnings: what was left out of it, or assumed about it.
        borrowed: results of the chosen method with what it borrows from the reference, by STYLED and TRANSFERRED.
        points: by method, where the visitor has chosen colours.
        asked: column and row of the pixel, of `large`, that the visitor asked about; None before.
        cast: the photograph under the cast that is simulated now, for white balance.
        strength: of the paint, see `colorlib.Result.adjust`.
        saturation: likewise.
        folder: for the pictures on the page; removed LINGER seconds after the last holder of the session is gone.
        gray: file of the photograph as the methods see it, for the grid.
        before: the same, large.
        original: file of the photograph as it came, for the grid; None if it has no colour.
        errors: of a photograph with colour, how far each method's picture is from it, at full strength and unchanged
            saturation: this scores the method, not the visitor's settings. Under `GRAY` those of no colour at all.
        mapped: the methods whose errors the page shows as maps.

    Raises:
        UnreadableError: the file is not a readable picture.
        FileNotFoundError: the file has been deleted.
    """

    def __init__(self, source: Path):
        photo = read(source)
        height, width = photo.rgb.shape[-2:]
        self.source, self.size, self.warnings = source, (height, width), photo.warnings
        self.large = shrink(photo, LARGE)
        self.card = self.large if max(self.large.height, self.large.width) <= CARD else shrink(photo, CARD)
        self.results: dict[str, Result] = {}
        self.scenes: dict[str, list[Scene]] = {}
        self.strength = self.saturation = 1.0
        self.compared: str | None = None
        self.against = GRAY
        self.choose(None)
        self.reference: io.Photo | None = None
        self.preview: Path | None = None
        self.reference_warnings: tuple[str, ...] = ()
        self.cast = CastState(NO_CAST, self.card, self.card.rgb)
        self.points: dict[str, Points] = {}
        self.asked: tuple[int, int] | None = None
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, remove_later, self.folder).atexit = False  # TEMP goes then
        gray = to_gray(self.card.rgb)
        self.gray = self.before = self.shown(GRAY, gray, self.card)
        if self.large is not self.card:
            self.before = self.shown("before", to_gray(self.large.rgb), self.large)
        kind = kind_of(self.card.rgb)
        self.original = self.shown("original", self.card.rgb, self.card) if kind == "colour" else None
        if kind == "toned":
            self.warnings += (TONED,)
        self.mapped: set[str] = set()
        self.errors = {GRAY: errors_of(gray, self.card.rgb)} if self.original else {}

    def choose(self, name: str | None) -> None:
        """Make the page below the slider about another method, and forget the results of the one before."""
        self.chosen, self.explored = name, False
        self.borrowed: dict[str, Result] = {}

    def colour(self, names: list[str]) -> Iterator[tuple[str, Exception | None]]:
        """Run methods on the photograph, and let those that can recognise its scene type.

        While the caller paints what is there, the next method runs. Who closes this stops the methods that are left.

        Yields:
            Each method, as it is done, and why it failed if it did.
        """
        for name, made, scenes in ahead(colourings(self.large.rgb, names)):
            if isinstance(made, Exception):
                yield name, made
                continue
            self.results[name] = replace(made, photo=self.large)
            if scenes:
                self.scenes[name] = scenes
            if self.original:
                self.errors[name] = errors_of(paint(made, self.card, 1, 1).rgb, self.card.rgb)
            yield name, None

    def show(self, name: str) -> Path:
        """A method's result for the grid, as PNG."""
        return self.painted(name, self.result(name), self.card)

    def compare(self, name: str) -> tuple[Path, Path]:
        """What :attr:`against` says, and a method's result, large."""
        after = self.painted("after", self.result(name), self.large)
        if self.against in self.results:
            return self.painted("left", self.result(self.against), self.large), after
        if self.against == ORIGINAL and self.original:
            return self.shown("left", self.large.rgb, self.large), after
        return self.before, after

    def error_map(self, name: str) -> Path:
        """How far a method's picture is from the original, where: from black, alike, to white, `ERROR_SHOWN` apart."""
        painted = paint(self.results[name], self.card, 1, 1).rgb
        return self.shown(f"error-{name}", error_map(painted, self.card.rgb), self.card)

    def result(self, name: str) -> Result:
        """A method's result, with the colours that the visitor chose for it."""
        points = self.points.get(name)
        return self.results[name] if points is None else points.result

    def ask(self, name: str, across: float, down: float) -> None:
        """Ask about a place of a method's picture, in shares of its width and height."""
        pixel = int(across * self.large.width), int(down * self.large.height)
        self.asked = self.points[name].nearest(*pixel) if name in self.points else pixel

    def said(self, first: str) -> list[Said]:
        """What the methods say about the pixel that was asked about, one of them first.

        As they predicted it: a colour that is chosen is adjusted when it is painted, and must not be twice.
        """
        assert self.asked is not None
        ordered = sorted(self.results, key=lambda name: name != first)
        return [*said({name: self.results[name] for name in ordered}, *self.asked)]

    def choices(self, name: str) -> list[tuple[float, float, Shade]]:
        """The points of a method's picture: how far across and down they are, and their colours."""
        points = self.points.get(name)
        width, height = self.large.width, self.large.height
        hints = points.hints if points else ()
        return [(one.x / width, one.y / height, shade_of(self.result(name), one)) for one in hints]

    def pointed(self, name: str) -> Points:
        """The points of a method's picture, to change them."""
        return self.points.setdefault(name, Points(self.results[name]))

    def alternatives(self, name: str) -> dict[str, Path]:
        """What is there besides a method's picture, for the grid.

        By ALTERNATIVES and UNCERTAINTY, if it predicts a distribution, six colourings and where it is undecided; by
        DISAGREEMENT, if methods have been combined, where these contradict each other.
        """
        result, found = self._on_card(name), {}
        if result.prediction:
            for key, sample in zip(ALTERNATIVES, result.samples(len(ALTERNATIVES)), strict=True):
                found[key] = self.file(key)
                sample.save(found[key], fast=True)
            found[UNCERTAINTY] = self.shown(UNCERTAINTY, result.uncertainty_picture(), self.card)
        if (combined := self.combined(name)) is not None:
            picture = replace(combined, photo=self.card).disagreement_picture()
            found[DISAGREEMENT] = self.shown(DISAGREEMENT, picture, self.card)
        return found

    def combined(self, name: str) -> Result | None:
        """The result that says where methods disagree: the method's own, or beside a distribution another's."""
        others = self.results.values() if self.results[name].prediction else []
        return next((one for one in (self.results[name], *others) if one.disagreement is not None), None)

    def save_alternative(self, key: str) -> Path:
        """One of these at full size, by the chosen method.

        Raises:
            ValueError: no method is chosen, or it has none of the kind.
        """
        if self.chosen is None:
            raise ValueError("no method was chosen")
        result = self._on_card(self.chosen)
        if key in ALTERNATIVES:
            samples = result.samples(len(ALTERNATIVES))
            (path,) = self.written(islice(samples, ALTERNATIVES.index(key), ALTERNATIVES.index(key) + 1))
            return path.rename(path.with_stem(f"{path.stem}-{key}"))
        if key == DISAGREEMENT:
            combined = self.combined(self.chosen)
            if combined is None:
                raise ValueError("no methods were combined")
            result = combined
        photo = read(self.source)
        path = self.file("full").with_name(f"{self.source.stem}-{result.model}-{key}.png")
        whole = replace(result, photo=photo)
        what = "Disagreement of methods" if key == DISAGREEMENT else "Uncertainty of colours"
        io.write(
            path,
            whole.disagreement_picture() if key == DISAGREEMENT else whole.uncertainty_picture(),
            alpha=photo.alpha,
            bit_depth=photo.bit_depth,
            metadata=photo.metadata,
            dpi=photo.dpi,
            provenance=f"{what},{result.provenance.removeprefix('Colorized')}",
        )
        return path

    def _on_card(self, name: str) -> Result:
        return replace(self.results[name], photo=self.card, strength=self.strength, saturation=self.saturation)

    def set_reference(self, source: Path | None) -> None:
        """Borrow from another photograph; None removes it.

        Raises:
            UnreadableError: the file is not a readable picture; the reference before stays.
            FileNotFoundError: the file has been deleted; likewise.
        """
        if source is None:
            self.reference = self.preview = None
            self.reference_warnings = ()
            return
        photo = read(source)
        small = shrink(photo, CARD)
        preview = self.shown("reference", small.rgb, small)
        self.reference, self.preview = shrink_for_network(photo), preview
        self.reference_warnings = photo.warnings

    def borrow(self) -> str:
        """Let the chosen method borrow from the reference.

        Where another method or another reference was chosen meanwhile, :attr:`borrowed` is left to them.

        Returns:
            Why it cannot borrow colours; empty if it can.
        """
        name, reference, complaint = self.chosen, self.reference, ""
        borrowed: dict[str, Result] = {}
        if name is not None and reference is not None:
            result, borrows = self.results[name], borrows_scene_type(name)
            try:
                # Where nothing was learned, the reference is the only source of colour.
                own = takes_reference(name) and not borrows
                borrowed[TRANSFERRED] = with_colours(result, reference, by_method=own)
            except ValueError as error:
                complaint = str(error)
            if borrows:
                borrowed[STYLED] = predict(self.large, name, reference)
        if (self.chosen, self.reference) == (name, reference):
            self.borrowed = borrowed
        return complaint

    def show_borrowed(self, key: str) -> Path | None:
        """A result of :meth:`borrow`, for the page; None if there is none."""
        result = self.borrowed.get(key)
        return None if result is None else self.painted(key, result, self.card)

    def save_borrowed(self, key: str) -> Path:
        """A result of :meth:`borrow` at full size."""
        result = self.borrowed.get(key)
        if result is None:
            raise ValueError("there is no photograph to borrow from")
        (path,) = self.written([result])
        return path.rename(path.with_stem(f"{path.stem}-{key}"))

    def save(self, names: Iterable[str]) -> Iterator[Path]:
        """Results at full size."""
        return self.written([self.result(name) for name in names])

    def save_zip(self, names: Iterable[str]) -> Path:
        """The files of :meth:`save` in one, which is not compressed, since PNG is."""
        path = self.file("zip").with_name(f"{self.source.stem}-in-colour.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in self.save(names):
                archive.write(file, file.name)
                file.unlink()
        return path

    def written(self, results: Iterable[Result]) -> Iterator[Path]:
        """The files of results at full size."""
        folder = self.file("full").parent
        for _, path in save_full_size(self.source, results, self.strength, self.saturation, folder):
            yield path

    def painted(self, kind: str, result: Result, photo: io.Photo) -> Path:
        """A prediction on a copy of the photograph, for the page."""
        path = self.file(kind)
        paint(result, photo, self.strength, self.saturation).save(path, fast=True)
        return path

    def shown(self, kind: str, rgb: Tensor, photo: io.Photo) -> Path:
        """A picture (3, H, W), with the alpha of a copy of the photograph, for the page."""
        path = self.file(kind)
        io.write(path, rgb, alpha=photo.alpha, fast=True)
        return path

    def file(self, kind: str) -> Path:
        """A new path, as browsers cache by path. Paths of the same kind that were replaced LINGER seconds ago go."""
        parent = self.folder / kind
        parent.mkdir(exist_ok=True)
        now = time.time_ns()
        old = sorted(parent.iterdir())  # each was replaced when the next was made
        for folder, successor in pairwise(old):
            if now - int(successor.name) > uploads.LINGER * 1e9:
                shutil.rmtree(folder)
        folder = parent / str(now)
        folder.mkdir()
        return folder / f"{self.source.stem}-{kind}.png"
