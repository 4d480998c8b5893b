"""A visitor's photograph: each method predicts its colours once, and the prediction is painted at any size.

A prediction is small, so a session keeps it, and the photograph at the two sizes of the page. Moving a slider paints
these again; a download reads the upload again and paints it at full size. This module needs torch: see :mod:`loading`.
"""

import shutil
import tempfile
import time
import weakref
import zipfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path

import light
import uploads
from keys import (
    ALTERNATIVES,
    CARD,
    CASTS,
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
from measures import angle_between, error_map, errors_of, shrink, to_gray, under_cast
from methods import borrows_scene_type, takes_reference
from networks import ahead, colorizer, colourings, on_gpu, without_photo
from points import Points, rgb_of, said, shade_of
from torch import Tensor
from uploads import TEMP, UnreadableError, remove_later

from colorlib import Result, Scene, io
from colorlib.gallery import looks_coloured
from colorlib.steering import Hint, check_count
from colorlib.toning import toning
from colorlib.transfer import shrink as shrink_for_network
from colorlib.transfer import shrink_reference

TONED = "it is toned in one colour, as sepia prints are; the methods see its lightness only"
MAX_PIXELS = 64_000_000  # at 50 bytes a pixel for a download, 3 GB


@dataclass(frozen=True, eq=False)
class CastState:
    """The photograph under one cast of colour, for white balance.

    Attributes:
        cast: one of CASTS, or NO_CAST for the photograph as it was taken.
        photo: the photograph under the cast, its longest side at most CARD.
        truth: the same without the cast, sRGB (3, H, W): as it was taken, or as `first` has coloured it.
        first: the method that has coloured it first; None if that is the photograph's own colour.
        angle: between the colours of both, see :func:`angle_between`.
        results: the methods' results on ``photo``; predicted at this size, as each holds an array as large.
        angles: between the colours of each result and those of `truth`. Results count at full
            strength and unchanged saturation: this scores the method, not the visitor's settings.
    """

    cast: str
    photo: io.Photo
    truth: Tensor
    first: str | None = None
    angle: float = 0
    results: dict[str, Result] = field(default_factory=dict)
    angles: dict[str, float] = field(default_factory=dict)


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
        self.gray = self.before = self._shown(GRAY, gray, self.card)
        if self.large is not self.card:
            self.before = self._shown("before", to_gray(self.large.rgb), self.large)
        toned = toning(self.card.rgb) is not None
        coloured = not toned and looks_coloured(self.card.rgb)
        self.original = self._shown("original", self.card.rgb, self.card) if coloured else None
        if toned:
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
        return self._painted(name, self.result(name), self.card)

    def compare(self, name: str) -> tuple[Path, Path]:
        """What :attr:`against` says, and a method's result, large."""
        after = self._painted("after", self.result(name), self.large)
        if self.against in self.results:
            return self._painted("left", self.result(self.against), self.large), after
        if self.against == ORIGINAL and self.original:
            return self._shown("left", self.large.rgb, self.large), after
        return self.before, after

    def error_map(self, name: str) -> Path:
        """How far a method's picture is from the original, where: from black, alike, to white, `ERROR_SHOWN` apart."""
        painted = paint(self.results[name], self.card, 1, 1).rgb
        return self._shown(f"error-{name}", error_map(painted, self.card.rgb), self.card)

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
                found[key] = self._file(key)
                sample.save(found[key], fast=True)
            found[UNCERTAINTY] = self._shown(UNCERTAINTY, result.uncertainty_picture(), self.card)
        if (combined := self.combined(name)) is not None:
            picture = replace(combined, photo=self.card).disagreement_picture()
            found[DISAGREEMENT] = self._shown(DISAGREEMENT, picture, self.card)
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
            (path,) = self._save(islice(samples, ALTERNATIVES.index(key), ALTERNATIVES.index(key) + 1))
            return path.rename(path.with_stem(f"{path.stem}-{key}"))
        if key == DISAGREEMENT:
            combined = self.combined(self.chosen)
            if combined is None:
                raise ValueError("no methods were combined")
            result = combined
        photo = read(self.source)
        path = self._file("full").with_name(f"{self.source.stem}-{result.model}-{key}.png")
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
        preview = self._shown("reference", small.rgb, small)
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
        return None if result is None else self._painted(key, result, self.card)

    def save_borrowed(self, key: str) -> Path:
        """A result of :meth:`borrow` at full size."""
        result = self.borrowed.get(key)
        if result is None:
            raise ValueError("there is no photograph to borrow from")
        (path,) = self._save([result])
        return path.rename(path.with_stem(f"{path.stem}-{key}"))

    def simulate(self, cast: str, first: str | None = None) -> CastState:
        """Put the photograph under another cast, and forget the results under the one before.

        Args:
            cast: one of CASTS, or NO_CAST.
            first: a method that colours the photograph before; None keeps its own colours.
        """
        if (self.cast.cast, self.cast.first) != (cast, first):
            truth = self.card.rgb if first is None else paint(self._coloured(first), self.card, 1, 1).rgb
            rgb = under_cast(truth, cast) if cast in CASTS else truth
            photo = io.Photo(rgb, self.card.alpha, name=self.card.name)
            self.cast = CastState(cast, photo, truth, first, angle_between(rgb, truth))
        return self.cast

    def _coloured(self, name: str) -> Result:
        """A method's result, of which there may be none yet."""
        return self.result(name) if name in self.results else predict(self.large, name)

    def show_cast(self, state: CastState) -> Path:
        """The photograph under a cast, for the grid."""
        return self._shown("light", state.photo.rgb, state.photo)

    def show_truth(self, state: CastState) -> Path:
        """The same photograph without the cast, for the grid."""
        return self._shown("truth", state.truth, state.photo)

    def balance(self, state: CastState, name: str) -> None:
        """Run a method on the photograph under a cast, and measure the angle that is left."""
        result = predict(state.photo, name)
        state.angles[name] = angle_between(paint(result, state.photo, 1, 1).rgb, state.truth)
        state.results[name] = result  # last, as sliders repaint the results that exist

    def show_balanced(self, state: CastState, name: str) -> Path:
        """A method's result on the photograph under a cast, for the grid."""
        return self._painted(name, state.results[name], state.photo)

    def angle_map(self, state: CastState, name: str) -> tuple[Path, float]:
        """Where the light is off: a map of angles, and their mean in degrees.

        Under a simulated cast, between the colours of a method's picture and the true ones. Otherwise nobody knows the
        true ones: it is the angle from gray of the light that the method takes away.
        """
        result = state.results[name]
        if state.cast == NO_CAST:
            assert result.gains is not None, "every method for balance has gains"
            degrees = light.light_angles(result.gains, (state.photo.height, state.photo.width))
        else:
            degrees = light.error_angles(paint(result, state.photo, 1, 1).rgb, state.truth)
        return self._shown(f"angles-{name}", light.shown(degrees), state.photo), degrees.nanmean().item()

    def save_balanced(self, name: str) -> Path:
        """The photograph at full size, its white balanced, whatever cast is simulated; coloured before, if it was."""
        first = self.cast.first
        if first is None:
            (path,) = self._save([predict(self.large, name)])
            return path
        before = self._coloured(first)
        ((_, coloured),) = save_full_size(self.source, [before], 1, 1, self._file("coloured").parent)
        result = predict(shrink(read(coloured), LARGE), name)
        result = replace(result, provenance=f"{before.provenance}. Then: {result.provenance}")
        folder = self._file("full").parent
        ((_, path),) = save_full_size(coloured, [result], self.strength, self.saturation, folder)
        coloured.unlink()
        return path

    def save(self, names: Iterable[str]) -> Iterator[Path]:
        """Results at full size."""
        return self._save([self.result(name) for name in names])

    def save_zip(self, names: Iterable[str]) -> Path:
        """The files of :meth:`save` in one, which is not compressed, since PNG is."""
        path = self._file("zip").with_name(f"{self.source.stem}-in-colour.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in self.save(names):
                archive.write(file, file.name)
                file.unlink()
        return path

    def _save(self, results: Iterable[Result]) -> Iterator[Path]:
        folder = self._file("full").parent
        for _, path in save_full_size(self.source, results, self.strength, self.saturation, folder):
            yield path

    def _painted(self, kind: str, result: Result, photo: io.Photo) -> Path:
        """A prediction on a copy of the photograph, for the page."""
        path = self._file(kind)
        paint(result, photo, self.strength, self.saturation).save(path, fast=True)
        return path

    def _shown(self, kind: str, rgb: Tensor, photo: io.Photo) -> Path:
        """A picture (3, H, W), with the alpha of a copy of the photograph, for the page."""
        path = self._file(kind)
        io.write(path, rgb, alpha=photo.alpha, fast=True)
        return path

    def _file(self, kind: str) -> Path:
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


def read(source: Path) -> io.Photo:
    """Read a visitor's file.

    Raises:
        UnreadableError: the file is not a readable picture.
        FileNotFoundError: the file has been deleted.
    """
    try:
        return io.read(source, max_pixels=MAX_PIXELS)
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


def save_full_size(
    source: Path, results: Iterable[Result], strength: float, saturation: float, folder: Path
) -> Iterator[tuple[Result, Path]]:
    """Each with its PNG, of the upload's alpha, bit depth and metadata; the upload is read again, once."""
    photo = read(source)
    for result in results:
        path = folder / f"{source.stem}-{result.model}.png"
        paint(result, photo, strength, saturation).save(path)
        yield result, path


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
    folder: Path,
) -> tuple[Result, Path]:
    """An upload by a method with colours for some of its pixels, and its PNG at full size.

    Raises:
        ValueError: a pixel is outside, a colour is none, a number is out of range, or there are too many points.
    """
    check_count(len(chosen))  # first: a client may send a million
    hints = [Hint.of_rgb(x, y, rgb_of(colour)) for x, y, colour in chosen]
    result = paint(predict(large, name), read(source), strength, saturation).steer(hints)
    path = folder / f"{source.stem}-{name}.png"
    result.save(path)
    return result, path
