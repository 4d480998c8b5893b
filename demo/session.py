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
from typing import TYPE_CHECKING, NoReturn

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
from painting import decided, paint, predict, read, save, save_full_size, with_colours
from points import Points, said, shade_of
from torch import Tensor
from uploads import TEMP, remove_later
from visits import ExpiredError

from colorlib import Result, Scene, io
from colorlib.borders import LEFT, Border, cropped, padded
from colorlib.borders import border as find_border
from colorlib.transfer import shrink as shrink_for_network

TONED = "it is toned in one colour, as sepia prints are; the methods see its lightness only"


class Session:
    """A visitor's photograph and the methods' results on it.

    Handlers of one visitor may run at the same time. Each reads here what the others have changed.

    Args:
        source: the upload, as it came.
        colour_border: whether a border is part of the photograph.

    Attributes:
        size: height and width of the upload.
        warnings: what was left out of the upload, or assumed about it, a sentence each.
        border: of the upload, which stays uncoloured; None if it has none, or is not to be left out.
        bordered: whether the upload has a border, even where it is coloured.
        card: the photograph without its border, the longest side with it at most CARD.
        large: the same, at most LARGE; this is what the methods are given.
        wholes: both copies with their borders.
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
        taken: by method, the alternative that the visitor has taken for its picture, with its key.
        decoder: of methods that predict distributions, see :func:`painting.decided`.
        temperature: likewise.
        points: by method, where the visitor has chosen colours.
        asked: column and row of the pixel, of `large`, that the visitor asked about; None before.
        cast: the photograph under the cast that is simulated now, for white balance.
        visit: the token at which it is found again.
        ticked: the methods that the page shows, or is about to.
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

    def __init__(self, source: Path, colour_border: bool = False):
        photo = read(source)
        self.source, self.size, self.warnings = source, (photo.height, photo.width), photo.warnings
        found = find_border(photo)
        self.bordered, self.border = found is not None, None if colour_border else found
        if self.border:
            self.warnings += (LEFT,)
        large = shrink(photo, LARGE)
        card = large if max(large.height, large.width) <= CARD else shrink(photo, CARD)
        self.large = self._inside(large)
        self.card = self.large if card is large else self._inside(card)
        self.wholes = {self.large: large, self.card: card}
        self.results: dict[str, Result] = {}
        self.scenes: dict[str, list[Scene]] = {}
        self.visit, self.ticked = "", list[str]()
        self.strength = self.saturation = 1.0
        self.compared: str | None = None
        self.against = GRAY
        self.choose(None)
        self.reference: io.Photo | None = None
        self.preview: Path | None = None
        self.reference_warnings: tuple[str, ...] = ()
        self.cast = CastState(NO_CAST, self.card, self.card.rgb)
        self.taken: dict[str, tuple[str, Result]] = {}
        self.decoder: str | None = None
        self.temperature = 1.0
        self._decided: dict[str, tuple[object, Result]] = {}
        self.points: dict[str, Points] = {}
        self.asked: tuple[int, int] | None = None
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, remove_later, self.folder).atexit = False  # TEMP goes then
        self.gray = self.before = self.shown(GRAY, to_gray(card.rgb), card)
        if self.large is not self.card:
            self.before = self.shown("before", to_gray(large.rgb), large)
        kind = kind_of(self.card.rgb)
        self.original = self.shown("original", card.rgb, card) if kind == "colour" else None
        if kind == "toned":
            self.warnings += (TONED,)
        self.mapped: set[str] = set()
        self.errors = {GRAY: errors_of(to_gray(self.card.rgb), self.card.rgb)} if self.original else {}

    def end(self) -> None:
        """Delete the photograph and all that was made of it, on disk and in memory. Who uses it is told so."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in vars(self).keys() - {"source", "folder", "visit"}:  # these serve to go on to another photograph
            vars(self).pop(name, None)

    if not TYPE_CHECKING:  # names are still checked

        def __getattr__(self, name: str) -> NoReturn:
            """Of what :meth:`end` has deleted."""
            if name.startswith("__") or self.folder.exists():
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            raise ExpiredError

    def _inside(self, copy: io.Photo) -> io.Photo:
        """A copy without the border."""
        return cropped(copy, self._border_of(copy)) if self.border else copy

    def _border_of(self, copy: io.Photo) -> Border:
        """The border of a copy."""
        assert self.border
        down, across = copy.height / self.size[0], copy.width / self.size[1]
        return Border(*(round(side * by) for side, by in zip(self.border, (down, down, across, across), strict=True)))

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
            whole = self.wholes[self.large]
            return self.shown("left", whole.rgb, whole), after
        return self.before, after

    def error_map(self, name: str) -> Path:
        """How far a method's picture is from the original, where: from black, alike, to white, `ERROR_SHOWN` apart."""
        painted = paint(self.results[name], self.card, 1, 1).rgb
        return self.shown(f"error-{name}", error_map(painted, self.card.rgb), self.card)

    def result(self, name: str) -> Result:
        """A method's result, with the colours that the visitor chose for it."""
        points = self.points.get(name)
        if points is None:
            return self.base(name)
        points.rest_on(self.base(name))
        return points.result

    def base(self, name: str) -> Result:
        """A method's result, or the alternative that was taken for it, by the chosen decoder and temperature."""
        _, base = self.taken.get(name, ("", self.results[name]))
        made_of = base, self.decoder, self.temperature
        if name not in self._decided or self._decided[name][0] != made_of:
            self._decided[name] = made_of, self._as_chosen(base)
        return self._decided[name][1]

    def take(self, key: str | None) -> str | None:
        """Make an alternative of the chosen method, or what it borrowed, its picture; None takes its own again.

        Returns:
            The method; None if there is no such picture.
        """
        name = self.chosen
        if name is None or (key is not None and key not in ALTERNATIVES and key not in self.borrowed):
            return None
        if key is None:
            self.taken.pop(name, None)
        else:
            self.taken[name] = key, self.borrowed[key] if key in self.borrowed else self._sample(key, self.large)
        return name

    def ask(self, name: str, across: float, down: float) -> None:
        """Ask about a place of a method's picture, in shares of its width and height."""
        whole = self.wholes[self.large]
        left, top = self._corner()
        x, y = int(across * whole.width) - left, int(down * whole.height) - top
        # On the border, the nearest pixel of the photograph is meant.
        pixel = min(max(x, 0), self.large.width - 1), min(max(y, 0), self.large.height - 1)
        self.asked = self.points[name].nearest(*pixel) if name in self.points else pixel

    def said(self, first: str) -> list[Said]:
        """What the methods say about the pixel that was asked about, one of them first.

        Without strength and saturation: a colour that is chosen is adjusted when it is painted, and must not be twice.
        """
        assert self.asked is not None
        ordered = sorted(self.results, key=lambda name: name != first)
        return [*said({name: self.base(name) for name in ordered}, *self.asked)]

    def choices(self, name: str) -> list[tuple[float, float, Shade]]:
        """The points of a method's picture: how far across and down they are, and their colours."""
        points = self.points.get(name)
        hints = points.hints if points else ()
        return [(*self.place(one.x, one.y, 0), shade_of(self.result(name), one)) for one in hints]

    def place(self, x: int, y: int, within: float = 0.5) -> tuple[float, float]:
        """Where a pixel of `large` is, in shares of the picture with its border: across and down."""
        whole, (left, top) = self.wholes[self.large], self._corner()
        return (left + x + within) / whole.width, (top + y + within) / whole.height

    def _corner(self) -> tuple[int, int]:
        """Columns and rows of border left of and above `large`."""
        border = self._border_of(self.wholes[self.large]) if self.border else Border(0, 0, 0, 0)
        return border.left, border.top

    def pointed(self, name: str) -> Points:
        """The points of a method's picture, to change them."""
        return self.points.setdefault(name, Points(self.base(name)))

    def alternatives(self, name: str) -> dict[str, Path]:
        """What is there besides a method's picture, for the grid.

        By ALTERNATIVES and UNCERTAINTY, if it predicts a distribution, six colourings and where it is undecided; by
        DISAGREEMENT, if methods have been combined, where these contradict each other.
        """
        result, found = self._on_card(name), {}
        if result.prediction:
            for key, sample in zip(ALTERNATIVES, result.samples(len(ALTERNATIVES)), strict=True):
                found[key] = self.painted(key, sample, self.card)
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
            (path,) = self.written([self._as_chosen(self._sample(key, self.card))])
            return path.rename(path.with_stem(f"{path.stem}-{key}"))
        if key == DISAGREEMENT:
            combined = self.combined(self.chosen)
            if combined is None:
                raise ValueError("no methods were combined")
            result = combined
        photo = read(self.source)
        inside = cropped(photo, self.border)
        path = self.file("full").with_name(f"{self.source.stem}-{result.model}-{key}.png")
        whole = replace(result, photo=inside)
        shown = whole.disagreement_picture() if key == DISAGREEMENT else whole.uncertainty_picture()
        what = "Disagreement of methods" if key == DISAGREEMENT else "Uncertainty of colours"
        io.write(
            path,
            padded(shown, self.border),
            alpha=photo.alpha,
            bit_depth=photo.bit_depth,
            metadata=photo.metadata,
            dpi=photo.dpi,
            provenance=f"{what},{result.provenance.removeprefix('Colorized')}",
        )
        return path

    def _sample(self, key: str, photo: io.Photo) -> Result:
        """One of the chosen method's alternatives, by its own decoder at temperature 1."""
        assert self.chosen is not None
        samples = replace(self.results[self.chosen], photo=photo).samples(len(ALTERNATIVES))
        return next(islice(samples, ALTERNATIVES.index(key), None))

    def _on_card(self, name: str) -> Result:
        """The method's own result on the small copy, whatever was taken for it."""
        own = self._as_chosen(replace(self.results[name], photo=self.card))
        return own.adjust(self.strength, self.saturation)

    def _as_chosen(self, result: Result) -> Result:
        """By the chosen decoder and temperature."""
        return decided(result, self.decoder, self.temperature)

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
        return None if result is None else self.painted(key, self._as_chosen(result), self.card)

    def save_borrowed(self, key: str) -> Path:
        """A result of :meth:`borrow` at full size."""
        result = self.borrowed.get(key)
        if result is None:
            raise ValueError("there is no photograph to borrow from")
        (path,) = self.written([self._as_chosen(result)])
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
        written = save_full_size(self.source, results, self.strength, self.saturation, folder, self.border)
        for _, path in written:
            yield path

    def painted(self, kind: str, result: Result, photo: io.Photo) -> Path:
        """A prediction on a copy of the photograph, for the page, as it was decided on."""
        path = self.file(kind)
        painted = paint(result, photo, self.strength, self.saturation)
        whole = self.wholes.get(photo, photo)
        save(painted, whole, None if whole is photo else self._border_of(whole), path, fast=True)
        return path

    def shown(self, kind: str, rgb: Tensor, photo: io.Photo) -> Path:
        """A picture (3, H, W), with the alpha of a copy of the photograph, for the page.

        Of a map of the copy without its border, the border is black.
        """
        path = self.file(kind)
        whole = self.wholes.get(photo, photo)
        if whole is not photo:
            rgb = padded(rgb, self._border_of(whole))
        io.write(path, rgb, alpha=whole.alpha, fast=True)
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
