"""The user's verb: a photograph of any size goes in, the same photograph in colour, or balanced, comes out.

The network sees the photograph at a bounded size. The chroma of a colourisation is upsampled to the photograph's own
lightness, which stays exactly as it was; of white balance, which changes lightness too, the gains are.

A photograph of any size is shrunk and painted by strips of rows, from its own 8 or 16 bits to those of the file. Only
who asks for it gets it whole in floats, which take four times as much memory.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, overload

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from colorlib import color, io, transfer
from colorlib._checks import check_photos
from colorlib._strips import resize, shrunk, upsampled
from colorlib.catalog import Task
from colorlib.gallery import Gallery, reduced_size
from colorlib.models import ColorModel, WeightsError, WhiteBalance, create_model, list_models, model_info
from colorlib.models._base import relit
from colorlib.models._layers import fold_batchnorm
from colorlib.models._weights import WeightsInfo, file_sha256, read_metadata
from colorlib.targets import Colors, Histogram, combine, resize_area, shrink_area, size_of
from colorlib.transfer import RatioHistogram

GAIN_SIZE = 64  # short side at which gains, so smooth, are kept
# Below this chroma of a reference, pictures in its colours look gray, as theirs is about as much. Of 16 old
# black-and-white prints, some toned, 10 lie below, of 1000 colour photographs of Mini Places none.
LEAST_CHROMA = 3.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's answer before a colour was decided on.

    Attributes:
        logits: (channels, h, w), on the network's device.
        lightness: L of CIE Lab in [0, 100] at that size, (1, h, w).
        target: what the channels mean, and how they are decoded.
    """

    logits: Tensor
    lightness: Tensor
    target: Histogram

    def ab(self) -> Tensor:
        """The (a, b) that is decided on, (2, h, w)."""
        return self.target.chroma(self.logits[None], self.lightness[None])[0]

    def biased(self, bias: Tensor) -> "Prediction":
        """With another preference among the colours: (channels,), see :mod:`colorlib.transfer`."""
        return replace(self, logits=transfer.biased(self.target, self.logits[None], bias)[0])


@dataclass(frozen=True, eq=False)
class Result:
    """A photograph in colour, or balanced. It is painted when its pixels are asked for.

    Attributes:
        photo: the photograph as it came.
        ab: predicted (a, b) of CIE Lab at the network's resolution, (2, h, w), on the network's device.
        model: name of the method.
        provenance: the sentence that :meth:`save` writes into the file, saying how it was made.
        seconds: from the source to the prediction, without painting; of :meth:`Colorizer.pages`, without reading.
        prediction: what ``ab`` was decoded from, if it was: where the method predicts distributions.
        gains: of white balance, the factors on R, G and B, (3, h, w): those of
            :meth:`colorlib.models.WhiteBalance.correction`, put on the photograph by
            :func:`colorlib.models._base.relit`. As they are smooth, they are kept small, and ``ab`` likewise. None of a
            colourisation.
        strength: see :meth:`adjust`.
        saturation: see :meth:`adjust`.
        warnings: what was left out of the source, or assumed about it, each a sentence; of a reference that was read
            for this result too. What a file cannot hold, :meth:`save` returns.
    """

    photo: io.Photo
    ab: Tensor
    model: str
    provenance: str
    seconds: float
    prediction: Prediction | None = None
    gains: Tensor | None = None
    strength: float = 1.0
    saturation: float = 1.0
    warnings: tuple[str, ...] = ()

    @property
    def planes(self) -> io.Planes:
        """The coloured photograph, sRGB in [0, 1], (3, H, W), of the input's L*, or the balanced one; by strips.

        What is asked of it is painted anew every time, and never the whole of it at once: so :meth:`save` needs little
        memory beside the photograph's own pixels.
        """
        return io.Planes((3, self.photo.height, self.photo.width), self._rows)

    @cached_property
    def rgb(self) -> Tensor:
        """The same whole, (3, H, W) float32 on the CPU: painted when it is first asked for, and then kept."""
        return self.planes.whole()

    @torch.no_grad()
    def _rows(self, start: int, stop: int) -> Tensor:
        small, put = (self.ab, _color) if self.gains is None else (self.gains, _balance)
        height, width = self.photo.height, self.photo.width
        painted = torch.empty(3, stop - start, width, dtype=torch.float32, device="cpu")
        for first, last in io.strips(stop - start, width):
            rgb = self.photo.planes.rows(start + first, start + last).to(small.device)
            local = upsampled(small[None], (height, width), start + first, start + last)
            painted[:, first:last] = put(rgb[None], local, self.strength, self.saturation)[0]
        return painted

    @property
    def lightness(self) -> Tensor:
        """L of CIE Lab of the input, and so of the output but for white balance, in [0, 100], (H, W)."""
        return color.rgb_to_lightness(self.photo.rgb)[0]

    @property
    def image(self) -> Image.Image:
        """The coloured photograph as an 8-bit PIL image, RGB or, where the input had alpha, RGBA."""
        return io.to_pil(self.rgb, self.photo.alpha)

    @property
    def uncertainty(self) -> Tensor | None:
        """How undecided the method is at each pixel, (H, W) in [0, 1]; None where it predicts no distribution.

        For hue and chroma it is the entropy of the hue times the chroma (Larsson et al. 2016, figure 10), else the
        entropy of (a, b); entropies are divided by their maximum.
        """
        return None if self.prediction is None else self._uncertainty(self.prediction)

    def uncertainty_picture(self) -> Tensor:
        """:attr:`uncertainty` to look at: gray, stretched until the greatest value is white, (3, H, W).

        Raises:
            ValueError: the method predicts no distribution.
        """
        uncertainty = self._uncertainty(self._distribution())
        return uncertainty.div_(uncertainty.max().clamp(min=1e-6)).expand(3, -1, -1)  # small nearly everywhere

    def distribution_at(self, x: int, y: int) -> Colors:
        """What the method holds possible at a pixel, column ``x`` and row ``y`` of the photograph.

        It is the prediction of the network's cell that the pixel lies in, with the pixel's own lightness.

        Raises:
            ValueError: the pixel is outside, or the method predicts no distribution.

        Example:
            >>> from colorlib import Colorizer
            >>> from skimage import data
            >>> result = Colorizer("larsson16_small")(data.camera())
            >>> [(probability, rgb)] = result.distribution_at(x=200, y=30).top(1)
            >>> 0 < probability <= 1
            True
        """
        prediction = self._distribution()
        height, width = self.photo.height, self.photo.width
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"expected a pixel of a photograph of {width} x {height}, got x={x}, y={y}")
        rows, columns = size_of(prediction.logits)
        smoothed = prediction.target.smoothed(prediction.logits[None])[0]
        cell = smoothed[:, y * rows // height, x * columns // width].cpu()
        lightness = color.rgb_to_lightness(self.photo.planes.rows(y, y + 1)[:, :, x, None]).item()
        return prediction.target.colors(cell, lightness)

    def samples(self, count: int, strength: float = 2.0) -> "Iterator[Result]":
        """Plausible alternatives, each favouring other colours where the method is undecided (Larsson 2016, fig. 10).

        Painted one by one as they are asked for, so that of a large photograph there is one in memory.

        Args:
            count: how many; their preferences turn once through colour space.
            strength: of the preference, as a logit; the more, the more they differ.

        Raises:
            ValueError: a count below 1, or the method predicts no distribution.
        """
        prediction = self._distribution()
        biases = transfer.palette(prediction.target, count, strength)
        return (self._decided(prediction.biased(b), f"sample {k} of {count}") for k, b in enumerate(biases, 1))

    @torch.no_grad()
    def transfer(
        self,
        reference: io.Source | io.Photo | RatioHistogram | tuple[Tensor, ...],
        method: Literal["energy", "quantile"] | None = None,
    ) -> "Result":
        """The photograph in the colours of another picture (Larsson et al. 2016, 3.4).

        Args:
            reference: a colour photograph, which need not show the same; anything that :func:`colorlib.io.read` takes,
                or what it returned. Or a histogram: of :func:`colorlib.transfer.ratio_histogram` for quantiles, as
                :func:`colorlib.transfer.histograms_of` gives them for energy.
            method: ``"energy"`` shifts the predicted distributions towards the reference's, and needs a method that
                has some; ``"quantile"`` matches the colours of the finished picture, which then has no distribution.
                Default: energy where possible.

        Raises:
            colorlib.io.ImageError: the reference is no readable picture.
            ValueError: it has no colour or does not fit, or energy is asked of a method without distributions, or
                either of white balance.
        """
        if self.gains is not None:
            raise ValueError(f"{self.model} balances a photograph's own colours; it takes none from another picture")
        picture: Tensor | RatioHistogram | tuple[Tensor, ...]
        warnings: tuple[str, ...] = ()
        if isinstance(reference, tuple):
            picture, name = reference, "a histogram"
            fitting: Literal["energy", "quantile"] = "quantile" if isinstance(reference, RatioHistogram) else "energy"
            if method not in (None, fitting):
                raise ValueError(f"expected method {fitting!r} with this kind of histogram, got {method!r}")
            method = fitting
        else:
            photo, warnings = _reference(reference, io.MAX_PIXELS)
            picture, name = shrink_reference(photo).rgb.to(self.ab.device), photo.name or "a reference"
            method = method or ("quantile" if self.prediction is None else "energy")
        note = f"colours after {name} by {method}"
        if method == "energy":
            prediction = self._distribution()
            wanted = picture if isinstance(picture, tuple) else transfer.histograms_of(prediction.target, picture)
            bias = transfer.transfer_bias(prediction.target, prediction.logits[None], wanted)
            # The reference says how saturated.
            unsaturated = copy(prediction.target)
            unsaturated.saturation = 1.0
            return self._decided(replace(prediction, target=unsaturated).biased(bias), note, warnings)
        if method != "quantile":
            raise ValueError(f'expected method to be "energy", "quantile" or None, got {method!r}')
        gray = shrunk(self.photo, size_of(self.ab)).to(self.ab.device)
        painted = combine(color.rgb_to_lightness(gray), self.ab[None])[0]
        assert isinstance(picture, Tensor | RatioHistogram)  # only those go with quantiles
        ab = color.rgb_to_lab(transfer.match_quantiles(painted, picture))[1:]
        return replace(self, prediction=None)._with(ab, note, warnings)

    def _uncertainty(self, prediction: Prediction) -> Tensor:
        small = prediction.target.uncertainty(prediction.logits[None]).cpu()
        size = self.photo.height, self.photo.width
        return F.interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0].clamp(0, 1)

    def _distribution(self) -> Prediction:
        if self.prediction is None:
            raise ValueError(f"{self.model} predicts one colour a pixel, no distribution; choose a method that does")
        return self.prediction

    def _decided(self, prediction: Prediction, note: str, warnings: tuple[str, ...] = ()) -> "Result":
        return replace(self, prediction=prediction)._with(prediction.ab(), note, warnings)

    def _with(self, ab: Tensor, note: str, warnings: tuple[str, ...]) -> "Result":
        return replace(self, ab=ab, provenance=f"{self.provenance}, {note}", warnings=self.warnings + warnings)

    def adjust(self, strength: float = 1.0, saturation: float = 1.0) -> "Result":
        """The same prediction painted otherwise; the network does not run again.

        Args:
            strength: 0 keeps the input's own colour (of a gray photograph, none), 1 is the predicted one; in [0, 1].
                In between, chroma is mixed, or of white balance the whole colour.
            saturation: factor on the chroma that results; at least 0.

        Raises:
            ValueError: a value outside its range.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"expected strength in [0, 1], got {strength}")
        if not 0 <= saturation < math.inf:
            raise ValueError(f"expected a saturation of at least 0, got {saturation}")
        return replace(self, strength=strength, saturation=saturation)

    def save(
        self, destination: str | PathLike[str] | BinaryIO, *, format: str | None = None, quality: int = 95
    ) -> tuple[str, ...]:
        """Write to a file, with the input's alpha, bit depth, metadata and resolution, and the provenance.

        Lossless but for JPEG, which moves L* a little, as it does in any photograph.

        Args:
            destination: a path, or a binary stream.
            format: such as ``"PNG"``; by default that of the path's suffix. A stream needs one.
            quality: of JPEG, 1 to 100.

        Returns:
            What could not be kept in that format, each a sentence.

        Raises:
            colorlib.io.ImageError: a format that cannot be written.
        """
        return io.write(destination, **vars(self.page()), quality=quality, format=format)

    def page(self) -> io.Page:
        """What :meth:`save` writes, for :func:`colorlib.io.write_pages`, which writes many into one TIFF."""
        photo = self.photo
        return io.Page(self.planes, photo.opacity, photo.bit_depth, photo.metadata, photo.dpi, self.provenance)


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

    Attributes:
        model: the module.
        name: of the method.
        target: the model's, copied: its settings, such as `decoder`, `temperature`, `fading` and `saturation`, are this
            colorizer's.
        device: where the model is.
        size: see above.
        max_pixels: see above; may be set.
        task: what the method does, ``"colorize"`` or ``"balance"``.
        weights: what is known of the weights; None if there are none, or for a module.
        classes: names of the scenes that it recognises; empty if it recognises none.
        provenance: what results say of themselves.

    Raises:
        ValueError: an unknown name or decoder, or a device that is not there.
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
    ):
        if size is not None and size < 1:
            raise ValueError(f"expected a size of at least 1 pixel, got {size}")
        if max_pixels < 1:
            raise ValueError(f"expected max_pixels of at least 1, got {max_pixels}")
        self.max_pixels = max_pixels
        self.model, self.name, self.weights = _load(model)
        weights = self.weights
        self.classes = tuple(weights.classes) if weights else ()
        self.task: Task = "balance" if isinstance(self.model, WhiteBalance) else "colorize"
        self.device = _device(device)
        self.model.eval().to(self.device)
        self.size = size or self.model.work_size
        self.target = copy(self.model.target)  # so that a decoder set here does not change the caller's model
        if decoder is not None:
            if not isinstance(self.target, Histogram):
                raise ValueError(f"{self.name} predicts one colour a pixel: no distribution is there to be decoded")
            self.target.decoder = decoder
        elif vivid and weights:
            self.target.saturation = weights.saturation
        details = f" (weights sha256 {weights.sha256[:16]})" if weights else ""
        details += f", {decoder} of its distribution" if decoder else ""
        details += f", saturation x{self.target.saturation:g}" if self.target.saturation != 1 else ""
        verb = "White-balanced" if self.task == "balance" else "Colorized"
        self.provenance = f"{verb} by colorlib {version('colorlib-torch')}, model {self.name}{details}"

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
        pages: :meth:`pages`.

        Args:
            source: path, bytes, PIL image, array or tensor, as :func:`colorlib.io.read` takes them. To colour it, only
                its lightness is used, so a colour photograph is coloured anew; white balance uses its colours.
            reference: another photograph, for methods that take after one: colours for `welsh02`, the scene for those
                with global features (Iizuka et al. 2016, 4.5). Or a :class:`colorlib.gallery.Gallery`, of which each
                photograph gets the nearest.

        Raises:
            colorlib.io.ImageError: what came is no readable picture.
            ValueError: a reference for a method that takes none, where :meth:`Result.transfer` works with any; or one
                without colour for a method that needs it.
        """
        shown, warnings = self._shown(reference)

        def colored(one: io.Source) -> Result:
            start = time.perf_counter()
            result = self._result(io.read(one, max_pixels=self.max_pixels), shown, warnings)
            return replace(result, seconds=time.perf_counter() - start)

        return [colored(one) for one in source] if isinstance(source, list) else colored(source)

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
        given, warnings = _reference(reference, self.max_pixels)
        # What was learned was learned from lightness; the others take colours.
        learned = any(True for _ in self.model.parameters())
        return shrink(given) if learned else shrink_reference(given), warnings

    def _result(self, photo: io.Photo, shown: io.Photo | Gallery | None, warnings: tuple[str, ...]) -> Result:
        start = time.perf_counter()
        other = shrink(shown.nearest(shrink(photo).rgb)) if isinstance(shown, Gallery) else shown
        note = "" if other is None else f", after {other.name or 'a reference'}"
        result = self._predict(photo, None if other is None else other.rgb)
        return replace(
            result,
            provenance=f"{self.provenance}{note}",
            warnings=photo.warnings + warnings,
            seconds=time.perf_counter() - start,
        )

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
        """
        check_photos(rgb, on_accelerators=True)
        rgb = rgb.to(self.device, torch.float32)
        if not len(rgb):
            return rgb
        small = self._view(rgb)
        if isinstance(self.model, WhiteBalance):
            return _whole(_balance, rgb, shrink_area(self.model.correction(small), GAIN_SIZE))
        return _whole(_color, rgb, self.target.chroma(self._raw(small), color.rgb_to_lightness(small)))

    @torch.no_grad()  # not inference mode: what a caller gets are ordinary tensors
    def scenes(self, source: io.Source | io.Photo, count: int = 5) -> list[Scene]:
        """What a photograph shows: the likeliest scene classes, most probable first.

        Args:
            source: as for a call.
            count: how many classes.

        Raises:
            colorlib.io.ImageError: what came is no readable picture.
            ValueError: the method recognises no scenes, or its weights do not name them.
        """
        if count < 1:
            raise ValueError(f"expected a count of at least 1, got {count}")
        if not self.classes:
            raise ValueError(f"{self.name} recognises no scenes; choose a method that does, such as iizuka16_small")
        photo = source if isinstance(source, io.Photo) else io.read(source, max_pixels=self.max_pixels)
        probabilities = self._probabilities(self._view(photo))[0]
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
        return self._probabilities(self._view(rgb))

    def _probabilities(self, small: Tensor) -> Tensor:
        return self.model.scene_scores(self.model.to_input(small)).softmax(dim=1)

    def _view(self, picture: Tensor | io.Photo) -> Tensor:
        """Photographs (N, 3, H, W), or one, as the network sees them: (N, 3, h, w) on its device."""
        if isinstance(picture, io.Photo):
            return shrunk(picture, self._work_size(picture.height, picture.width)).to(self.device)
        return resize(picture, self._work_size(*size_of(picture))).to(self.device)

    def _raw(self, small: Tensor, reference: Tensor | None = None) -> Tensor:
        """What the network says of photographs as it sees them."""
        raw: Tensor = self.model(self.model.to_input(small), reference)
        return raw

    @torch.no_grad()
    def _predict(self, photo: io.Photo, reference: Tensor | None) -> Result:
        """What the network says, not yet painted."""
        small = self._view(photo)
        if isinstance(self.model, WhiteBalance):
            gains, thumbnail = (shrink_area(x, GAIN_SIZE) for x in (self.model.correction(small), small))
            ab = color.rgb_to_lab(relit(thumbnail, gains))[0, 1:]
            return Result(photo, ab, self.name, self.provenance, 0.0, gains=gains[0])
        raw = self._raw(small, None if reference is None else reference[None].to(self.device))
        lightness = color.rgb_to_lightness(small)
        if not isinstance(self.target, Histogram):
            ab = self.target.chroma(raw, lightness)[0]
            return Result(photo, ab, self.name, self.provenance, 0.0)
        prediction = Prediction(raw[0], resize_area(lightness, size_of(raw))[0], copy(self.target))
        return Result(photo, prediction.ab(), self.name, self.provenance, 0.0, prediction)

    def _work_size(self, height: int, width: int) -> tuple[int, int]:
        """Size at which the network sees a photograph: short side ``size``, a panorama at most four such squares."""
        size = self.size or math.inf
        scale = min(size / min(height, width), 2 * size / math.sqrt(height * width))
        if scale >= 1:
            # As many pixels as cells of the prediction stand for, or these would lie beside what they describe.
            cell = self.model.output_stride
            return -(-height // cell) * cell, -(-width // cell) * cell
        # Multiples of the stride need no padding, and over a batch oneDNN has few shapes to keep kernels for.
        stride = self.model.stride
        return max(stride, round(height * scale / stride) * stride), max(stride, round(width * scale / stride) * stride)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch's words for a device that is not there
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {str(device)!r} cannot be used ({reason}); try auto or cpu") from error


def _load(model: str | PathLike[str] | ColorModel) -> tuple[ColorModel, str, WeightsInfo | None]:
    """A module, its name, and what is known of its weights if they came from a file."""
    if isinstance(model, ColorModel):
        return model, model.name, None
    path = Path(model)
    weights: WeightsInfo | None
    if str(model) not in list_models() and path.is_dir() and not (path / "config.json").is_file():
        path = path / "model.safetensors"
    elsewhere = "/" in str(model) and path.suffix != ".safetensors" and not path.exists()
    if str(model) not in list_models() and (path.is_dir() or elsewhere):
        from colorlib import hub  # here, since few need huggingface_hub

        module, name, weights = hub.load(path if path.is_dir() else hub.pull(str(model)))
    elif path.suffix == ".safetensors":
        metadata = read_metadata(path)
        if "model" not in metadata:
            raise WeightsError(f"{path} does not say which model it is for; write it with python -m training.export")
        name = metadata["model"]
        module = create_model(name, weights=path, **json.loads(metadata.get("model_args", "{}")))
        classes = tuple(json.loads(metadata.get("classes", "[]")))
        weights = WeightsInfo(path.name, file_sha256(path), metadata.get("license", ""), "", "", classes=classes)
    else:
        name = str(model)
        module = create_model(name, pretrained=True)
        weights = model_info(name).weights
    fold_batchnorm(module)
    return module.to(memory_format=torch.channels_last), name, weights


def _whole(put: Callable[[Tensor, Tensor, float, float], Tensor], rgb: Tensor, small: Tensor) -> Tensor:
    """Chroma or gains (N, 2 or 3, h, w) on ``rgb`` (N, 3, H, W) -> sRGB (N, 3, H, W), a strip of rows at a time."""
    painted = torch.empty_like(rgb)
    for start, stop in io.strips(*size_of(rgb), len(rgb)):
        local = upsampled(small, size_of(rgb), start, stop)
        painted[:, :, start:stop] = put(rgb[:, :, start:stop], local, 1, 1)
    return painted


def _color(rgb: Tensor, ab: Tensor, strength: float, saturation: float) -> Tensor:
    """Chroma (N, 2, H, W) on the lightness of ``rgb`` (N, 3, H, W) -> sRGB (N, 3, H, W)."""
    if strength == 1:  # the usual case, in which the photograph's own chroma need not be known
        return combine(color.rgb_to_lightness(rgb), saturation * ab)
    lab = color.rgb_to_lab(rgb)
    return combine(lab[:, :1], saturation * torch.lerp(lab[:, 1:], ab, strength))


def _balance(rgb: Tensor, gains: Tensor, strength: float, saturation: float) -> Tensor:
    """Gains (N, 3, H, W) or (N, 3, 1, 1) on ``rgb`` (N, 3, H, W) -> sRGB (N, 3, H, W)."""
    mixed = torch.lerp(rgb, relit(rgb, gains), strength)
    if saturation != 1:
        lab = color.rgb_to_lab(mixed)
        mixed = combine(lab[:, :1], saturation * lab[:, 1:])
    return mixed


def _reference(reference: io.Source | io.Photo, max_pixels: int) -> tuple[io.Photo, tuple[str, ...]]:
    """A picture to take after, and what reading it here left out."""
    if isinstance(reference, io.Photo):
        return reference, ()
    photo = io.read(reference, max_pixels=max_pixels)
    return photo, tuple(f"of the reference {photo.name}: {warning}" for warning in photo.warnings)


def shrink_reference(photo: io.Photo) -> io.Photo:
    """A picture to take colours from, small, as :func:`shrink` makes it.

    Raises:
        ValueError: it has no colour, or less than an eye would notice.
    """
    small = shrink(photo)
    # Of 32 x 32 averages, which have the scene's colour and neither the sensor's noise nor JPEG's.
    ab = color.rgb_to_lab(F.adaptive_avg_pool2d(small.rgb, 32))[1:]
    chroma = ab.square().sum(dim=0).mean().sqrt().item()
    if chroma < LEAST_CHROMA:
        found = "gray" if chroma < 0.05 else f"nearly gray (a chroma of {chroma:.1f})"
        advice = f"choose another picture, with a chroma of at least {LEAST_CHROMA:g}"
        raise ValueError(f"{photo.name or 'the reference'}: it is {found} and has no colour to take; {advice}")
    return small


def shrink(photo: io.Photo) -> io.Photo:
    """A reference, small: its histogram needs no more pixels than that of a prediction, its scene even fewer."""
    size = reduced_size(photo.height, photo.width)
    return io.Photo(shrunk(photo, size)[0], name=photo.name)
