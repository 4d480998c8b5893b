"""The user's verb: a photograph of any size goes in, the same photograph in colour, or balanced, comes out.

The network sees the photograph at a bounded size. What it puts on the photograph, :mod:`colorlib.painting` paints at
full size.
"""

import math
import time
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import islice
from os import PathLike
from typing import NamedTuple, overload

import torch
from torch import Tensor

from colorlib import __version__, io
from colorlib._checks import check_photos
from colorlib._mirror import Mirrored
from colorlib.catalog import Task
from colorlib.gallery import Gallery
from colorlib.image import resize, size_of
from colorlib.memory import LITTLE, OutOfMemoryError, first_that_fits
from colorlib.models import ColorModel
from colorlib.models.consensus import Consensus
from colorlib.painting import Paint, paint
from colorlib.result import Result
from colorlib.targets import Histogram
from colorlib.transfer import read_reference, shrink, shrink_reference
from colorlib.weights import open_model

_SMALLEST = 32  # pixels of the short side of what a network is shown where there is too little memory
_NO_SIZE = "use a smaller method, or a machine with more memory"


class Scene(NamedTuple):
    """A class of scenes, and how probable it is in [0, 1]."""

    name: str
    probability: float


class Colorizer:
    """Colours photographs with one method, or balances their white, whichever the method does.

    Args:
        model: name of a method with embedded weights; ``OWNER/REPO`` or ``OWNER/REPO@REVISION`` on the Hugging Face
            Hub, see :mod:`colorlib.hub`; a safetensors file or a folder with a `model.safetensors`, as
            ``python -m training.export`` writes them; or a module, which is used as it is and set to eval mode.
        device: ``"auto"`` takes CUDA where there is one, else the CPU.
        size: short side in pixels at which the network sees a photograph; smaller ones stay as they are. Default: the
            model's `work_size`.
        decoder: how a predicted distribution becomes a colour, such as ``"median"`` or ``"mode"``: one of the
            `decoders` of the model's target, the default being its first. ``"sample"`` draws from torch's generator.
        vivid: with the saturation by which the method's pictures are about as colourful as photographs are. What is
            learned hedges between the colours that are possible, and is pale: nearer to the truth by the papers'
            measures, and what benchmarks measure. Of embedded weights only, and of the default decoder.
        max_pixels: the largest width x height of a photograph to take; a file's header is asked before it is decoded.
        mirror: also show the network the photograph's mirror image, and take the mean of both answers before colours
            are decided on. Errors that depend on the side cancel; the network runs twice. For methods that colour.

    Attributes:
        model: the module.
        name: of the method.
        target: the model's, copied: its settings, such as `decoder`, `temperature`, `fading` and `saturation`, are this
            colorizer's.
        device: where the model is.
        size: see above.
        max_pixels: see above; may be set.
        mirror: see above.
        task: what the method does, ``"colorize"`` or ``"balance"``.
        weights: what is known of the weights; None if there are none, or for a module.
        classes: names of the scenes that it recognises; empty if it recognises none.
        provenance: what results say of themselves.

    Raises:
        ValueError: an unknown name or decoder, a device that is not there, or a mirror for white balance.
        WeightsError: no weights, or weights that are damaged.

    Example:
        >>> from colorlib import Colorizer
        >>> from skimage import data
        >>> result = Colorizer("iizuka16_small")(data.camera())
        >>> result.rgb.shape
        torch.Size([3, 512, 512])
        >>> result.save("camera.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | PathLike[str] | ColorModel,
        *,
        device: str | torch.device = "auto",
        size: int | None = None,
        decoder: str | None = None,
        vivid: bool = True,
        max_pixels: int = io.MAX_PIXELS,
        mirror: bool = False,
    ):
        if size is not None and size < 1:
            raise ValueError(f"expected a size of at least 1 pixel, got {size}")
        if max_pixels < 1:
            raise ValueError(f"expected max_pixels of at least 1, got {max_pixels}")
        self.max_pixels = max_pixels
        opened = open_model(model)
        self.model, self.name, self.weights = opened.module, opened.name, opened.info
        weights = self.weights
        self.classes = tuple(weights.classes) if weights else ()
        self.task: Task = self.model.task
        if mirror and self.task == "balance":
            raise ValueError(f"{self.name} balances white; mirror=True is for methods that colour")
        self.mirror = mirror
        self.device = _device(device)
        self.model.to(self.device)
        self.size = size or self.model.work_size
        self.target = copy(self.model.target)  # so that a decoder set here does not change the caller's model
        if decoder is not None:
            if not isinstance(self.target, Histogram):
                raise ValueError(f"{self.name} predicts one colour a pixel: no distribution is there to be decoded")
            self.target.decoder = decoder
        elif vivid and weights:
            self.target.saturation = weights.saturation
        terms = f", {weights.terms}" if weights and weights.noncommercial else ""
        details = f" (weights sha256 {weights.sha256[:16]}{terms})" if weights else ""
        details += f", {decoder} of its distribution" if decoder else ""
        details += ", mean with the mirror image" if mirror else ""
        details += f", saturation x{self.target.saturation:g}" if self.target.saturation != 1 else ""
        verb = "White-balanced" if self.task == "balance" else "Colorized"
        self.provenance = f"{verb} by colorlib {__version__}, model {self.name}{details}"

    @overload
    def __call__(self, source: io.Source, *, reference: io.Source | io.Photo | Gallery | None = None) -> Result: ...
    @overload
    def __call__(
        self, source: list[io.Source], *, reference: io.Source | io.Photo | Gallery | None = None
    ) -> list[Result]: ...

    def __call__(
        self, source: io.Source | list[io.Source], *, reference: io.Source | io.Photo | Gallery | None = None
    ) -> Result | list[Result]:
        """Colour a photograph, or each of a list of them, all of which are then in memory.

        Of a file of many pages, or an animation, it is the first; :attr:`Result.warnings` says how many are left. All
        pages: :meth:`pages`. Where there is too little memory for the network, it sees a copy of half the sides, or
        half of these; the warnings say so.

        Args:
            source: path, bytes, PIL image, array or tensor, as :func:`colorlib.io.read` takes them. To colour it, only
                its lightness is used, so a colour photograph is coloured anew; white balance uses its colours.
            reference: another photograph, for methods that take after one: colours for `welsh02`, the scene for those
                with global features (Iizuka et al. 2016, 4.5). Or a :class:`colorlib.gallery.Gallery`, of which each
                photograph gets the nearest.

        Raises:
            colorlib.io.ImageError: the source is not a readable picture.
            ValueError: a reference for a method that takes none, where :meth:`Result.transfer` works with any; or one
                without colour for a method that needs it.
            OutOfMemoryError: there is too little memory even for a small copy.
        """
        shown, warnings = self._shown(reference)

        def colored(one: io.Source) -> Result:
            start = time.perf_counter()
            result = self._result(io.read(one, max_pixels=self.max_pixels), shown, warnings)
            return replace(result, seconds=time.perf_counter() - start)

        return [colored(one) for one in source] if isinstance(source, list) else colored(source)

    @property
    def _network(self) -> ColorModel:
        """What answers for the model."""
        return Mirrored(self.model) if self.mirror else self.model

    @property
    def distribution(self) -> bool:
        """Whether the method predicts a distribution of colours at every pixel."""
        return isinstance(self.target, Histogram)

    @property
    def members(self) -> tuple[str, ...]:
        """The methods that it combines, whose disagreement results have; empty for a single method."""
        return tuple(self.model.members) if isinstance(self.model, Consensus) else ()

    def pages(self, source: io.Source, *, reference: io.Source | io.Photo | Gallery | None = None) -> Iterator[Result]:
        """Colour each page of a TIFF, one after the other, so that one of them is in memory; of other files, the one.

        Args:
            source: as for a call.
            reference: as for a call.

        Raises:
            As for a call; the first error ends it.
        """
        shown, warnings = self._shown(reference)
        # Not a generator, which would hold one page while it reads the next.
        return map(partial(self._result, shown=shown, warnings=warnings), io.pages(source, max_pixels=self.max_pixels))

    def _shown(
        self, reference: io.Source | io.Photo | Gallery | None
    ) -> tuple[io.Photo | Gallery | None, tuple[str, ...]]:
        """What photographs are to take after, small, and what reading it left out."""
        if reference is None:
            return None, ()
        if not self.model.takes_reference:
            raise ValueError(f"{self.name} takes no reference while it colours; pass it to the result's transfer()")
        if isinstance(reference, Gallery):
            return reference, ()
        given, warnings = read_reference(reference, self.max_pixels)
        return self.shrunk_reference(given), warnings

    def shrunk_reference(self, photo: io.Photo) -> io.Photo:
        """A photograph to take after, as small as the method needs it.

        Raises:
            ValueError: it has no colour, and the method takes nothing else.
        """
        # What was learned was learned from lightness; the others take colours.
        return shrink(photo) if self.model.learned else shrink_reference(photo)

    def result(
        self,
        photo: io.Photo,
        seen: Tensor | None = None,
        *,
        reference: io.Source | io.Photo | Gallery | None = None,
        smaller: bool = True,
    ) -> Result:
        """Colour a photograph that has been read.

        Args:
            photo: what :func:`colorlib.io.read` gave.
            seen: what :meth:`seen` makes of it, if that is known: methods that work at one size see the same.
            reference: as for a call.
            smaller: where there is too little memory, show the network a smaller copy; else that is an error.

        Raises:
            colorlib.io.ImageError: the reference is not a readable picture.
            ValueError: as for a call.
            OutOfMemoryError: there is too little memory.
        """
        return self._result(photo, *self._shown(reference), seen, smaller)

    def _result(
        self,
        photo: io.Photo,
        shown: io.Photo | Gallery | None,
        warnings: tuple[str, ...],
        seen: Tensor | None = None,
        smaller: bool = True,
    ) -> Result:
        start = time.perf_counter()
        other = shrink(shown.nearest(shrink(photo).rgb)) if isinstance(shown, Gallery) else shown
        note = "" if other is None else f", after {other.name or 'a reference'}"
        reference = None if other is None else other.rgb[None].to(self.device)
        put, remarks = self._put(photo, seen, reference, smaller)
        return Result(
            photo,
            put,
            self.name,
            f"{self.provenance}{note}",
            time.perf_counter() - start,
            warnings=photo.warnings + warnings + remarks,
        )

    @torch.no_grad()  # not inference mode: what a caller gets are ordinary tensors
    def _put(
        self, photo: io.Photo, seen: Tensor | None, reference: Tensor | None, smaller: bool
    ) -> tuple[Paint, tuple[str, ...]]:
        """What the method puts on a photograph, and a remark if it saw a smaller copy than usual."""
        shown: list[tuple[int, int]] = []

        def show(size: tuple[int, int]) -> Paint:
            shown.append(size)
            known = seen if len(shown) == 1 else None
            small = io.shrunk(photo, size).to(self.device) if known is None else known
            return paint(self._network, self.target, small, reference)

        sizes = islice(self._sizes(photo.height, photo.width), None if smaller else 1)
        try:
            number, put = first_that_fits(partial(show, size) for _, size in sizes)
        except OutOfMemoryError as error:
            raise self._out_of_memory(1, shown[0], _NO_SIZE if smaller else "choose a smaller size") from error
        if number == 0:
            return put, ()
        return put, (f"{self._little(shown[0])}: it saw a copy of {_times(shown[-1])}",)

    def _little(self, size: tuple[int, int]) -> str:
        return f"{self.device} {LITTLE} {self.name} at {_times(size)} pixels"

    def _sizes(self, height: int, width: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Sizes at which the network can be shown a photograph, each with the `size` that leads to it.

        The usual one comes first. Each of the others is for half the `size` of the one before, and needs less memory.
        """
        bound, usual = self.size or min(height, width), self.seen_size(height, width)
        yield bound, usual
        area = self._area(usual)
        while (bound := bound // 2) >= _SMALLEST:
            size = self.model.seen_size(height, width, bound)
            if self._area(size) < area:
                area = self._area(size)
                yield bound, size

    def _area(self, size: tuple[int, int]) -> int:
        """Pixels of what the network gets of a photograph of this size: some put each on a canvas of their own."""
        return self.model.pad(torch.empty(1, 1, *size, device="meta")).numel()

    def _out_of_memory(self, count: int, size: tuple[int, int], advice: str) -> OutOfMemoryError:
        many = f"{count} photographs" if count > 1 else "a photograph"
        return OutOfMemoryError(f"{self.name}: {self.device} {LITTLE} {many} at {_times(size)} pixels; {advice}")

    @torch.no_grad()
    def batch(self, rgb: Tensor) -> Tensor:
        """Photographs of one size at once, as fast as the device allows: what a call makes of each of them.

        Args:
            rgb: sRGB in [0, 1], (N, 3, H, W).

        Returns:
            sRGB in [0, 1], (N, 3, H, W), on the colorizer's device.

        Raises:
            TypeError: no tensor of floats.
            ValueError: another shape, or values outside [0, 1].
            OutOfMemoryError: as :meth:`paint`.
        """
        check_photos(rgb, on_accelerators=True)
        rgb = rgb.to(self.device, torch.float32)
        return self.paint(rgb).batch(rgb) if len(rgb) else rgb

    @torch.no_grad()
    def paint(self, rgb: Tensor) -> Paint:
        """What the method puts on photographs of one size.

        Args:
            rgb: sRGB in [0, 1], (N, 3, H, W), N at least 1.

        Raises:
            TypeError: no tensor of floats.
            ValueError: another shape, or values outside [0, 1].
            OutOfMemoryError: there is too little memory for the network; says for how many photographs, or at which
                size, there is enough.
        """
        check_photos(rgb, on_accelerators=True)
        (_, usual), *smaller = self._sizes(*size_of(rgb))

        def show(count: int, size: tuple[int, int]) -> Paint:
            small = resize(rgb[:count].to(self.device, torch.float32), size)
            return paint(self._network, self.target, small)

        try:
            return first_that_fits([partial(show, len(rgb), usual)])[1]
        except OutOfMemoryError as error:
            fewer = [len(rgb) >> k for k in range(1, len(rgb).bit_length())]
            advice = [f"there is enough for {count} at once" for count in fewer]
            advice += [f"size={bound} fits" for bound, _ in smaller]
            attempts = [partial(show, count, usual) for count in fewer] + [
                partial(show, 1, size) for _, size in smaller
            ]
            try:
                number, _ = first_that_fits(attempts)
            except OutOfMemoryError:
                advice, number = [_NO_SIZE], 0
            raise self._out_of_memory(len(rgb), usual, advice[number]) from error

    @torch.no_grad()
    def scenes(self, source: io.Source | io.Photo, count: int = 5) -> list[Scene]:
        """What a photograph shows: the likeliest scene classes, most probable first.

        Args:
            source: as for a call.
            count: how many classes.

        Raises:
            colorlib.io.ImageError: the source is not a readable picture.
            ValueError: the method recognises no scenes, or its weights do not name them.
            OutOfMemoryError: there is too little memory even for a small copy.
        """
        if count < 1:
            raise ValueError(f"expected a count of at least 1, got {count}")
        if not self.classes:
            raise ValueError(f"{self.name} recognises no scenes; choose a method that does, such as iizuka16_small")
        photo = source if isinstance(source, io.Photo) else io.read(source, max_pixels=self.max_pixels)
        sizes = (size for _, size in self._sizes(photo.height, photo.width))
        usual = self.seen_size(photo.height, photo.width)
        try:
            number, (probabilities,) = first_that_fits(partial(self._probabilities, photo, size) for size in sizes)
        except OutOfMemoryError as error:
            raise self._out_of_memory(1, usual, _NO_SIZE) from error
        if number:
            warnings.warn(f"{self._little(usual)}: it saw a smaller copy", stacklevel=2)
        values, order = probabilities.topk(min(count, len(self.classes)))
        return [Scene(self.classes[k], p) for p, k in zip(values.tolist(), order.tolist(), strict=True)]

    @torch.no_grad()
    def scene_probabilities(self, rgb: Tensor) -> Tensor:
        """Of each of `classes`: sRGB (N, 3, H, W) in [0, 1] -> (N, classes), for methods that recognise scenes.

        Raises:
            TypeError: no tensor of floats.
            ValueError: another shape, or values outside [0, 1].
        """
        check_photos(rgb, on_accelerators=True)
        return self._scores(self.seen(rgb))

    def _probabilities(self, photo: io.Photo, size: tuple[int, int]) -> Tensor:
        return self._scores(io.shrunk(photo, size).to(self.device))

    def _scores(self, small: Tensor) -> Tensor:
        return self.model.scene_scores(self.model.to_input(small)).softmax(dim=1)

    def seen(self, picture: Tensor | io.Photo) -> Tensor:
        """Photographs as the network sees them, on its device.

        Args:
            picture: one photograph, or a batch, sRGB (N, 3, H, W) in [0, 1].

        Returns:
            sRGB (N, 3, h, w) in [0, 1], at the size at which the network works.
        """
        if isinstance(picture, io.Photo):
            return io.shrunk(picture, self.seen_size(picture.height, picture.width)).to(self.device)
        return resize(picture, self.seen_size(*size_of(picture))).to(self.device)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Size at which the network sees a photograph, see :meth:`colorlib.models.ColorModel.seen_size`."""
        return self.model.seen_size(height, width, self.size or math.inf)


def _times(size: tuple[int, int]) -> str:
    """Width and height, in words."""
    return f"{size[1]} x {size[0]}"


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch's words for a device that is not there
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {str(device)!r} cannot be used ({reason}); try auto or cpu") from error
