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
ALTERNATIVES = 6
MAX_PIXELS = 64_000_000  # at 50 bytes a pixel for a download, 3 GB
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
    """

    cast: str
    photo: io.Photo
    angle: float = 0
    results: dict[str, Result] = field(default_factory=dict)


class Visit:
    """A photograph and what the methods made of it.

    Args:
        source: the upload, as it came.

    Attributes:
        size: height and width of the upload.
        card: the photograph, its longest side at most CARD.
        large: the same, at most LARGE; this is what the methods are given.
        results: predictions by method.
        scenes: what it shows, by the methods that recognise scenes.
        chosen: the method that the slider shows; None before the first.
        explored: whether the page shows its alternatives.
        reference: another photograph to take after, small; None if none was given.
        preview: the same, for the page.
        after: what the chosen method takes from it, STYLED and TRANSFERRED, as far as there is something to take.
        light: white balance, in the light that was asked for last.
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
        self.scenes: dict[str, list[Scene]] = {}
        self.strength = self.saturation = 1.0
        self.choose(None)
        self.reference: io.Photo | None = None
        self.preview: Path | None = None
        self.light = Light(NO_CAST, self.card)
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.gray, self.before = self._file("gray"), self._file("before")
        io.write(self.gray, to_gray(self.card.rgb), alpha=self.card.alpha)
        io.write(self.before, to_gray(self.large.rgb), alpha=self.large.alpha)
        self.original = self._file("original") if has_colour(self.card.rgb) else None
        if self.original:
            io.write(self.original, self.card.rgb, alpha=self.card.alpha)

    def choose(self, name: str | None) -> None:
        """Take another method for the slider; what was made of the one before is forgotten."""
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

    def refer(self, source: Path | None) -> None:
        """Give another photograph to take after; None takes it away again.

        Raises:
            colorlib.io.ImageError: it is no readable picture; the one before stays.
            FileNotFoundError: it has been deleted; likewise.
        """
        if source is None:
            self.reference = self.preview = None
            return
        photo = io.read(source, max_pixels=MAX_PIXELS)
        preview, small = self._file("reference"), shrink(photo, CARD)
        io.write(preview, small.rgb, alpha=small.alpha)
        self.reference, self.preview = shrink_for_network(photo), preview

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
            self.light = Light(cast, replace(self.card, rgb=rgb), angle_between(rgb, self.card.rgb))
        return self.light

    def show_light(self, light: Light) -> Path:
        """The photograph in a light, for the grid."""
        path = self._file("light")
        io.write(path, light.photo.rgb, alpha=light.photo.alpha)
        return path

    def show_balanced(self, light: Light, name: str) -> tuple[Path, float]:
        """What a method made of that, and how far its colours are from the photograph's."""
        path = self._file(name)
        painted = paint(light.results[name], light.photo, self.strength, self.saturation)
        painted.save(path)
        return path, angle_between(painted.rgb, self.card.rgb)

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
        """A new path, as browsers cache by path; of the old ones of its kind the last stays, as it may be loading."""
        parent = self.folder / kind
        parent.mkdir(exist_ok=True)
        for old in sorted(parent.iterdir())[:-1]:
            shutil.rmtree(old)
        folder = parent / str(time.time_ns())
        folder.mkdir()
        return folder / f"{self.source.stem}-{kind}.png"


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
    """Run a method's network; what it painted is dropped, as every size is painted when it is needed."""
    return replace(_predict(photo.rgb, name, reference), photo=photo, rgb=photo.rgb)


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
        rgb=empty,
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
    return replace(result.transfer(reference), rgb=result.rgb)


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
