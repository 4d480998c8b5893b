"""A visitor's photograph: each method predicts its colours once, and they are painted at whatever size is asked for.

A prediction is small, so a visit keeps that, and the photograph at the two sizes of the page. Moving a slider paints
these anew; a download reads the upload again and paints it at full size.
"""

import shutil
import tempfile
import threading
import time
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice, pairwise
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch.nn.functional as F
from torch import Tensor

from colorlib import Colorizer, Result, Scene, color, io, model_info
from colorlib.casts import global_cast, ramp_cast
from colorlib.colorizer import shrink as shrink_for_network
from colorlib.colorizer import shrink_reference
from colorlib.metrics.functional import angular_error

CARD, LARGE = 640, 1024  # longest side, in pixels, of the pictures side by side and of the before/after slider
ALTERNATIVES = tuple(f"alternative-{number}" for number in range(1, 7))
UNCERTAINTY = "uncertainty"
MAX_PIXELS = 64_000_000  # at 50 bytes a pixel for a download, 3 GB
LINGER = 10  # seconds that a file is kept after its successor has come: a browser may be about to ask for it
TEMP = tempfile.TemporaryDirectory(prefix="colorlib-demo-")  # every file of every visitor; it goes with the server
STYLED, TRANSFERRED = "styled", "transferred"  # what a method can take from another photograph
NO_CAST = "None"
CASTS: dict[str, Callable[[Tensor], Tensor]] = {  # named after what is seen: ramps scale red and blue, green stays
    "Reddish": partial(global_cast, red=1.3, blue=0.7),
    "Bluish": partial(global_cast, red=0.7, blue=1.3),
    "Purple on the left, green on the right": partial(ramp_cast, towards="left"),
    "Green on the left, purple on the right": partial(ramp_cast, towards="right"),
    "Purple above, green below": partial(ramp_cast, towards="up"),
    "Green above, purple below": partial(ramp_cast, towards="down"),
}
GPU_SECONDS = 20  # at most, for a network on ZeroGPU; the less, the sooner it is a visitor's turn
_loading = threading.Lock()
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def on_gpu(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """For what runs a network: ZeroGPU, where Spaces share GPUs, runs it in a process that has one; else no change.

    What comes and goes is pickled there, so tensors are on the CPU. All else runs where there is no GPU, though torch
    says that there is one, so it must not load a method.
    """
    try:
        import spaces  # every Gradio Space has it
    except ModuleNotFoundError:
        return function
    lent: Callable[_Given, _Made] = spaces.GPU(duration=GPU_SECONDS)(function)
    return lent


@dataclass(frozen=True, eq=False)
class Light:
    """The photograph in the light that white balance is shown with.

    Attributes:
        cast: one of CASTS, or NO_CAST for the light it was taken in.
        photo: it, its longest side at most CARD.
        angle: how far its colours are from the photograph's, see :func:`angle_between`.
        results: what the methods made of that; predicted at this size, as each holds an array as large.
        angles: how far that is from the photograph's colours, at full strength and without any other saturation: the
            method is scored, and not what the visitor sets.
    """

    cast: str
    photo: io.Photo
    angle: float = 0
    results: dict[str, Result] = field(default_factory=dict)
    angles: dict[str, float] = field(default_factory=dict)


class UnreadableError(Exception):
    """A file of the visitor's that is not taken; says why in words that need no knowledge of the library."""


class Visit:
    """A photograph and what the methods made of it.

    Args:
        source: the upload, as it came.

    Attributes:
        size: height and width of the upload.
        warnings: what was left out of the upload, or assumed about it, a sentence each.
        card: the photograph, its longest side at most CARD.
        large: the same, at most LARGE; this is what the methods are given.
        results: predictions by method.
        scenes: what it shows, by the methods that recognise scenes.
        compared: the method that the slider shows; None before the first.
        chosen: the method that the page below the slider is about, soon the same.
        explored: whether the page shows its alternatives.
        reference: another photograph to take after, small; None if none was given.
        preview: the same, for the page.
        reference_warnings: what was left out of that, or assumed about it.
        after: what the chosen method takes from it, STYLED and TRANSFERRED, as far as there is something to take.
        light: white balance, in the light that was asked for last.
        strength: how to paint them, see `colorlib.Result.adjust`.
        saturation: likewise.
        folder: for the pictures on the page; goes LINGER seconds after the last one who holds the visit.
        gray: file of the photograph as the methods see it, for the grid.
        before: the same, large.
        original: file of the photograph as it came, for the grid; None if it has no colour.

    Raises:
        UnreadableError: it is no readable picture.
        FileNotFoundError: it has been deleted.
    """

    def __init__(self, source: Path):
        photo = read(source)
        height, width = photo.rgb.shape[-2:]
        self.source, self.size, self.warnings = source, (height, width), photo.warnings
        self.card, self.large = shrink(photo, CARD), shrink(photo, LARGE)
        self.results: dict[str, Result] = {}
        self.scenes: dict[str, list[Scene]] = {}
        self.strength = self.saturation = 1.0
        self.compared: str | None = None
        self.choose(None)
        self.reference: io.Photo | None = None
        self.preview: Path | None = None
        self.reference_warnings: tuple[str, ...] = ()
        self.light = Light(NO_CAST, self.card)
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, remove_later, self.folder).atexit = False  # TEMP goes then
        self.gray, self.before = self._file("gray"), self._file("before")
        io.write(self.gray, to_gray(self.card.rgb), alpha=self.card.alpha)
        io.write(self.before, to_gray(self.large.rgb), alpha=self.large.alpha)
        self.original = self._file("original") if has_colour(self.card.rgb) else None
        if self.original:
            io.write(self.original, self.card.rgb, alpha=self.card.alpha)

    def choose(self, name: str | None) -> None:
        """Take another method for what is below the slider; what was made of the one before is forgotten."""
        self.chosen, self.explored = name, False
        self.after: dict[str, Result] = {}

    def colour(self, name: str) -> None:
        """Run a method on the photograph, and ask it what that shows, if it knows scenes."""
        self.results[name] = predict(self.large, name)
        if classes_of(name):
            self.scenes[name] = recognise(self.large, name)

    def show(self, name: str) -> Path:
        """A method's result for the grid, as PNG."""
        path = self._file(name)
        paint(self.results[name], self.card, self.strength, self.saturation).save(path)
        return path

    def compare(self, name: str) -> tuple[Path, Path]:
        """The photograph in gray and a method's result, large."""
        self.compared, path = name, self._file("after")
        paint(self.results[name], self.large, self.strength, self.saturation).save(path)
        return self.before, path

    def alternatives(self, name: str) -> dict[str, Path]:
        """Other pictures that a method holds possible, and its uncertainty, for the grid; by ALTERNATIVES, UNCERTAINTY.

        Raises:
            ValueError: the method predicts no distribution.
        """
        result = self._on_card(name)
        found = {}
        for key, sample in zip(ALTERNATIVES, result.samples(len(ALTERNATIVES)), strict=True):
            found[key] = self._file(key)
            sample.save(found[key])
        found[UNCERTAINTY] = self._file(UNCERTAINTY)
        io.write(found[UNCERTAINTY], result.uncertainty_picture(), alpha=self.card.alpha)
        return found

    def save_alternative(self, key: str) -> Path:
        """One of these at full size, of the chosen method.

        Raises:
            ValueError: no method is chosen, or it predicts no distribution.
        """
        if self.chosen is None:
            raise ValueError("no method was chosen")
        result = self._on_card(self.chosen)
        if key != UNCERTAINTY:
            samples = result.samples(len(ALTERNATIVES))
            (path,) = self._save(islice(samples, ALTERNATIVES.index(key), ALTERNATIVES.index(key) + 1))
            return path.rename(path.with_stem(f"{path.stem}-{key}"))
        photo = read(self.source)
        path = self._file("full").with_name(f"{self.source.stem}-{result.model}-{key}.png")
        io.write(
            path,
            replace(result, photo=photo).uncertainty_picture(),
            alpha=photo.alpha,
            bit_depth=photo.bit_depth,
            metadata=photo.metadata,
            dpi=photo.dpi,
            provenance=f"Uncertainty of colours,{result.provenance.removeprefix('Colorized')}",
        )
        return path

    def _on_card(self, name: str) -> Result:
        return replace(self.results[name], photo=self.card, strength=self.strength, saturation=self.saturation)

    def refer(self, source: Path | None) -> None:
        """Give another photograph to take after; None takes it away again.

        Raises:
            UnreadableError: it is no readable picture; the one before stays.
            FileNotFoundError: it has been deleted; likewise.
        """
        if source is None:
            self.reference = self.preview = None
            self.reference_warnings = ()
            return
        photo = read(source)
        preview, small = self._file("reference"), shrink(photo, CARD)
        io.write(preview, small.rgb, alpha=small.alpha)
        self.reference, self.preview = shrink_for_network(photo), preview
        self.reference_warnings = photo.warnings

    def take_after(self) -> str:
        """Let the chosen method take after the reference; what it cannot take, and why, or nothing."""
        name, reference, complaint = self.chosen, self.reference, ""
        after: dict[str, Result] = {}
        if name is not None and reference is not None:
            result, takes_style = self.results[name], takes_style_of(name)
            try:
                # Where nothing was learned, the reference is the only source of colour.
                own = takes_reference(name) and not takes_style
                after[TRANSFERRED] = with_colours(result, reference, by_method=own)
            except ValueError as error:
                complaint = str(error)
            if takes_style:
                after[STYLED] = predict(self.large, name, reference)
        if (self.chosen, self.reference) == (name, reference):  # else another was chosen meanwhile
            self.after = after
        return complaint

    def show_after(self, key: str) -> Path | None:
        """What :meth:`take_after` gave, for the page; None if nothing."""
        result = self.after.get(key)
        if result is None:
            return None
        path = self._file(key)
        paint(result, self.card, self.strength, self.saturation).save(path)
        return path

    def save_after(self, key: str) -> Path:
        """The same at full size, under a name of its own."""
        result = self.after.get(key)
        if result is None:
            raise ValueError("no photograph was given to take after")
        (path,) = self._save([result])
        return path.rename(path.with_stem(f"{path.stem}-{key}"))

    def illuminate(self, cast: str) -> Light:
        """The photograph in another light; what the methods made of it before is forgotten."""
        if self.light.cast != cast:
            rgb = CASTS[cast](self.card.rgb[None])[0] if cast in CASTS else self.card.rgb
            self.light = Light(
                cast, io.Photo(rgb, self.card.alpha, name=self.card.name), angle_between(rgb, self.card.rgb)
            )
        return self.light

    def show_light(self, light: Light) -> Path:
        """The photograph in a light, for the grid."""
        path = self._file("light")
        io.write(path, light.photo.rgb, alpha=light.photo.alpha)
        return path

    def balance(self, light: Light, name: str) -> None:
        """Run a method on the photograph in a light, and measure how far its colours then are from the photograph's."""
        result = predict(light.photo, name)
        light.angles[name] = angle_between(paint(result, light.photo, 1, 1).rgb, self.card.rgb)
        light.results[name] = result  # last, as sliders repaint what is there

    def show_balanced(self, light: Light, name: str) -> Path:
        """What a method made of that, for the grid."""
        path = self._file(name)
        paint(light.results[name], light.photo, self.strength, self.saturation).save(path)
        return path

    def save_balanced(self, name: str) -> Path:
        """The photograph itself at full size, its white balanced, whatever light it is shown in."""
        (path,) = self._save([predict(self.large, name)])
        return path

    def save(self, names: Iterable[str]) -> Iterator[Path]:
        """Results at full size."""
        return self._save([self.results[name] for name in names])

    def save_zip(self, names: Iterable[str]) -> Path:
        """What :meth:`save` writes as one file; not compressed, since PNG is."""
        path = self._file("zip").with_name(f"{self.source.stem}-in-colour.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in self.save(names):
                archive.write(file, file.name)
                file.unlink()
        return path

    def _save(self, results: Iterable[Result]) -> Iterator[Path]:
        return save_full_size(self.source, results, self.strength, self.saturation, self._file("full").parent)

    def _file(self, kind: str) -> Path:
        """A new path, as browsers cache by path; of the old ones of its kind go those replaced LINGER seconds ago."""
        parent = self.folder / kind
        parent.mkdir(exist_ok=True)
        now = time.time_ns()
        old = sorted(parent.iterdir())  # each was replaced when the next was made
        for folder, successor in pairwise(old):
            if now - int(successor.name) > LINGER * 1e9:
                shutil.rmtree(folder)
        folder = parent / str(now)
        folder.mkdir()
        return folder / f"{self.source.stem}-{kind}.png"


def remove_later(folder: Path) -> None:
    """Remove a folder after LINGER seconds."""
    timer = threading.Timer(LINGER, partial(shutil.rmtree, folder, ignore_errors=True))
    timer.daemon = True
    timer.start()


def read(source: Path) -> io.Photo:
    """A file of the visitor's.

    Raises:
        UnreadableError: it is no readable picture.
        FileNotFoundError: it has been deleted.
    """
    try:
        return io.read(source, max_pixels=MAX_PIXELS)
    except io.TooLargeError as error:
        size, limit = f"{error.width} x {error.height} pixels", f"{MAX_PIXELS / 1e6:.0f} million"
        advice = "Make a smaller copy and try again."
        raise UnreadableError(f"{source.name} has {size}. This page takes up to {limit}. {advice}") from error
    except io.ImageError as error:
        kinds = "It is damaged, no picture, or of a kind that is not known here, such as a camera's raw file."
        advice = "Save it as JPEG, PNG or TIFF and try again."
        raise UnreadableError(f"{source.name} cannot be read as a photograph. {kinds} {advice}") from error


@cache
def _load(name: str) -> Colorizer:
    return Colorizer(name)


def colorizer(name: str) -> Colorizer:
    """A method, loaded when it is first asked for, and once, whoever asks at the same time."""
    with _loading:
        return _load(name)


def classes_of(name: str) -> tuple[str, ...]:
    """The scenes that a method knows."""
    weights = model_info(name).weights
    return weights.classes if weights else ()


@cache
def takes_reference(name: str) -> bool:
    """Whether a method can take after another photograph while it colours."""
    return model_info(name).on_meta().takes_reference


def takes_style_of(name: str) -> bool:
    """Whether a method can take something else than colours from another photograph, even a gray one."""
    return takes_reference(name) and model_info(name).learned


def predict(photo: io.Photo, name: str, reference: io.Photo | None = None) -> Result:
    """Run a method's network; every size is painted when it is needed."""
    return replace(_predict(photo.rgb, name, reference), photo=photo)


@on_gpu
def _predict(rgb: Tensor, name: str, reference: io.Photo | None) -> Result:
    """A prediction on the CPU, where visits have room; without the photograph, which the caller has."""
    result = colorizer(name)(rgb, reference=reference)
    empty = rgb.new_empty(3, 0, 0)
    prediction = result.prediction
    if prediction is not None:
        logits, lightness = prediction.logits.cpu(), prediction.lightness.cpu()
        prediction = replace(prediction, logits=logits, lightness=lightness, target=deepcopy(prediction.target).cpu())
    return replace(
        result,
        photo=io.Photo(empty),
        ab=result.ab.cpu() if result.gains is None else empty[:2],  # white balance is painted from its gains alone
        prediction=prediction,
        gains=None if result.gains is None else result.gains.cpu(),
    )


@on_gpu
def recognise(photo: io.Photo, name: str) -> list[Scene]:
    """The likeliest scenes, by a method that knows some."""
    return colorizer(name).scenes(photo)


def with_colours(result: Result, reference: io.Photo, by_method: bool) -> Result:
    """A prediction in the colours of another photograph.

    Args:
        result: the prediction.
        reference: the other photograph.
        by_method: whether the method itself takes them; else they are transferred to what it predicted.

    Raises:
        ValueError: the other one has no colour.
    """
    if by_method:
        return predict(result.photo, result.model, shrink_reference(reference))
    return result.transfer(reference)


def paint(result: Result, photo: io.Photo, strength: float, saturation: float) -> Result:
    """The prediction on a copy of the photograph, of any size; the network does not run."""
    return replace(result, photo=photo).adjust(strength, saturation)


def save_full_size(
    source: Path, results: Iterable[Result], strength: float, saturation: float, folder: Path
) -> Iterator[Path]:
    """PNGs with the alpha, bit depth and metadata of the upload, which is read again; one after the other."""
    photo = read(source)
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


def angle_between(rgb: Tensor, truth: Tensor) -> float:
    """Mean angle in degrees between the colours of two pictures, (3, H, W); nan where all of the second is dark."""
    return angular_error(rgb[None], truth[None]).item()


def has_colour(rgb: Tensor) -> bool:
    """Whether more than a pixel in a thousand has a colour that an eye would notice."""
    return bool((color.rgb_to_lab(rgb)[1:].norm(dim=0) > 8).float().mean() > 1e-3)


def sweep() -> None:
    """Remove the empty folders that deleted uploads leave, as they are named by a hash of the upload."""
    for folder in Path(TEMP.name).iterdir():
        with suppress(OSError):  # not empty, or gone already
            if time.time() - folder.stat().st_mtime > 60:  # Gradio may be about to write into a younger one
                folder.rmdir()
