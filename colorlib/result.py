"""What the user's verb returns: a photograph and the paint on it, to look at, to vary and to save."""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from colorlib import asking, color, io, transfer
from colorlib.asking import Answer
from colorlib.image import size_of
from colorlib.painting import Chroma, Gains, Paint, Prediction
from colorlib.targets import Colors, combine
from colorlib.transfer import RatioHistogram

if TYPE_CHECKING:
    from colorlib.steering import Hint, Steering

_APART = 15.0  # of a and b: such a disagreement is white; the mean over a photograph is about 2 to 4


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A photograph in colour, or balanced. It is painted when its pixels are asked for.

    Attributes:
        photo: the photograph as it came.
        paint: what the method puts on it, at the network's resolution.
        model: name of the method.
        provenance: the sentence that :meth:`save` writes into the file, saying how it was made.
        seconds: from the source to the prediction, without painting; of :meth:`Colorizer.pages`, without reading.
        strength: see :meth:`adjust`.
        saturation: see :meth:`adjust`.
        warnings: what was left out of the source, or assumed about it, each a sentence; of a reference that was read
            for this result too. What a file cannot hold, :meth:`save` returns.
    """

    photo: io.Photo
    paint: Paint
    model: str
    provenance: str
    seconds: float
    strength: float = 1.0
    saturation: float = 1.0
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        size = f"{self.photo.width} x {self.photo.height}"
        settings = f"strength={self.strength:g}, saturation={self.saturation:g}"
        return f"{type(self).__name__}({self.photo.name!r}, {size}, {self.model}, {settings})"

    @property
    def ab(self) -> Tensor:
        """Predicted (a, b) of CIE Lab, (2, h, w), on the network's device; of white balance, those of the result."""
        return self.paint.ab[0]

    @property
    def gains(self) -> Tensor | None:
        """Of white balance, the factors on R, G and B, (3, h, w); None if the method colours."""
        return self.paint.small[0] if isinstance(self.paint, Gains) else None

    @property
    def prediction(self) -> Prediction | None:
        """What the colours were decided from; None if the method predicts no distribution."""
        return self.paint.prediction if isinstance(self.paint, Chroma) else None

    @property
    def planes(self) -> io.Planes:
        """The coloured photograph, sRGB in [0, 1], (3, H, W), of the input's L*, or the balanced one; by strips.

        What is asked of it is painted anew every time, and never the whole of it at once: so :meth:`save` needs little
        memory beside the photograph's own pixels.
        """
        return self.paint.over(self.photo, self.strength, self.saturation)

    @cached_property
    def rgb(self) -> Tensor:
        """The same whole, (3, H, W) float32 on the CPU: painted when it is first asked for, and then kept."""
        return self.planes.whole()

    @property
    def lightness(self) -> Tensor:
        """L of CIE Lab of the input, and so of the output but for white balance, in [0, 100], (H, W)."""
        return color.rgb_to_lightness(self.photo.rgb)[0]

    @property
    def image(self) -> Image.Image:
        """The coloured photograph as an 8-bit PIL image, RGB or, where the input had alpha, RGBA."""
        return io.to_pil(self.planes, self.photo.opacity)

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

    @property
    def disagreement(self) -> Tensor | None:
        """How far apart the methods are that `consensus` combines, (H, W), at least 0; None of a single method.

        It is the mean distance of their (a, b) from its own, before saturation, each counting as much as it does in
        the result. 0 means that all say the same colour, and about 10 that it is a matter of taste; the methods may
        agree on what is wrong.
        """
        small = self.paint.disagreement if isinstance(self.paint, Chroma) else None
        return None if small is None else self._enlarged(small.cpu())

    def disagreement_picture(self) -> Tensor:
        """:attr:`disagreement` to look at: gray, from black at 0 to white at 15 and above, (3, H, W).

        The scale is the same for all photographs, so that their maps can be compared.

        Raises:
            ValueError: the method does not combine others.
        """
        disagreement = self.disagreement  # enlarged on each call
        if disagreement is None:
            raise ValueError(f"{self.model} is a single method; choose one that combines several, such as consensus")
        return (disagreement / _APART).clamp(max=1).expand(3, -1, -1)

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
        self._check_pixel(x, y)
        height, width = self.photo.height, self.photo.width
        rows, columns = size_of(prediction.logits)
        smoothed = prediction.target.smoothed(prediction.logits[None])[0]
        cell = smoothed[:, y * rows // height, x * columns // width].cpu()
        lightness = color.rgb_to_lightness(self.photo.planes.rows(y, y + 1)[:, :, x, None]).item()
        return prediction.target.colors(cell, lightness)

    def ask(self, x: int, y: int, count: int = 5) -> Answer:
        """Which colours the method holds possible at a pixel, and how probable they are; the network does not run.

        Bins of :meth:`distribution_at` that look alike are counted together, see :mod:`colorlib.asking`. A method
        without distributions answers with the one colour that it painted there.

        Args:
            x: column of the photograph.
            y: row of it.
            count: the most colours to name.

        Raises:
            ValueError: the pixel is outside, or a count below 1.

        Example:
            >>> from colorlib import Colorizer
            >>> from skimage import data
            >>> answer = Colorizer("larsson16_small")(data.camera()).ask(x=200, y=30)
            >>> answer.colors[0].probability > answer.colors[1].probability
            True
        """
        self._check_pixel(x, y)
        if self.prediction is None:
            return self.painted_at(x, y)
        return asking.of_distribution(self.distribution_at(x, y), count)

    def painted_at(self, x: int, y: int) -> Answer:
        """The colour of a pixel as it is painted, whatever the method held possible.

        Raises:
            ValueError: the pixel is outside.
        """
        self._check_pixel(x, y)
        return asking.of_colour(self.planes.rows(y, y + 1)[:, 0, x])

    def steer(self, hints: "Sequence[Hint]", steering: "Steering | None" = None) -> "Result":
        """The photograph with colours that a person chose for some points; the network does not run.

        A hint's colour spreads over what the method holds to be the same thing, as far as no edge stops it: see
        :mod:`colorlib.steering`. All else stays as it was.

        Args:
            hints: of two for one place the later counts; at most 100.
            steering: ``Steering.of(result)``, kept from call to call where hints change one by one: what it has found
                of one hint it need not find again.

        Raises:
            ValueError: a hint lies outside the photograph, its colour is no number, there are too many, or the result
                is of white balance.

        Example:
            >>> from colorlib import Colorizer
            >>> from colorlib.steering import Hint
            >>> from skimage import data
            >>> result = Colorizer("larsson16_small")(data.camera())
            >>> sunset = result.steer([Hint.of_rgb(x=400, y=50, rgb=(0.9, 0.6, 0.4))])
            >>> bool(sunset.rgb[0, 50, 400] > result.rgb[0, 50, 400])
            True
        """
        from colorlib.steering import Steering  # scipy's graphs take time to load

        steered = (steering or Steering.of(self)).paint(hints)
        count = "1 colour" if len(hints) == 1 else f"{len(hints)} colours"
        return self._with(steered, f"{count} chosen by hand", ()) if hints else self

    def decode(self, decoder: str | None = None, temperature: float | None = None) -> "Result":
        """The same predicted distributions, decided on otherwise; the network does not run again.

        As :class:`colorlib.Colorizer` with these settings: the saturation of its `vivid` goes with the method's own
        decoder only. Colours chosen by hand are lost: decode first, then :meth:`steer`.

        Args:
            decoder: how a distribution becomes a colour, such as ``"median"``, ``"mode"``, ``"expectation"`` or
                ``"sample"``: one of the `decoders` of the prediction's target. Default: that of the result.
            temperature: logits are divided by it before the softmax. Below 1 the probable colours count for more; an
                expectation at 0.38 is the annealed mean of Zhang et al. 2016. Default: that of the result.

        Raises:
            ValueError: the target has no such decoder, a temperature below 0.001, or the method predicts no
                distribution.

        Example:
            >>> from colorlib import Colorizer
            >>> from skimage import data
            >>> result = Colorizer("larsson16_small")(data.camera())
            >>> result.decode("mode", temperature=0.5).provenance.rpartition("), ")[2]
            'saturation x1.75, mode of its distribution, saturation x1, temperature 0.5'
        """
        prediction = self._distribution()
        target = copy(prediction.target)
        notes = []
        if decoder is not None and decoder != target.decoder:
            notes += [f"{decoder} of its distribution", *(["saturation x1"] if target.saturation != 1 else [])]
            target.decoder, target.saturation = decoder, 1.0
        if temperature is not None and temperature != target.temperature:
            target.temperature = temperature
            notes.append(f"temperature {temperature:g}")
        return self._decided(replace(prediction, target=target), ", ".join(notes)) if notes else self

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
        if isinstance(self.paint, Gains):
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
            photo, warnings = transfer.read_reference(reference)
            picture, name = transfer.shrink_reference(photo).rgb.to(self.ab.device), photo.name or "a reference"
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
        gray = io.shrunk(self.photo, size_of(self.ab)).to(self.ab.device)
        painted = combine(color.rgb_to_lightness(gray), self.ab[None])[0]
        assert isinstance(picture, Tensor | RatioHistogram)  # only those go with quantiles
        ab = color.rgb_to_lab(transfer.match_quantiles(painted, picture))[1:]
        return self._with(Chroma(ab[None]), note, warnings)

    def _uncertainty(self, prediction: Prediction) -> Tensor:
        return self._enlarged(prediction.target.uncertainty(prediction.logits[None]).cpu()).clamp(0, 1)

    def _enlarged(self, small: Tensor) -> Tensor:
        """A map (1, 1, h, w) at the photograph's size, (H, W)."""
        size = self.photo.height, self.photo.width
        return F.interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0]

    def _check_pixel(self, x: int, y: int) -> None:
        height, width = self.photo.height, self.photo.width
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"expected a pixel of a photograph of {width} x {height}, got x={x}, y={y}")

    def _distribution(self) -> Prediction:
        if self.prediction is None:
            advice = "choose a method that does, such as larsson16_small"
            raise ValueError(f"{self.model} predicts one colour a pixel, no distribution; {advice}")
        return self.prediction

    def _decided(self, prediction: Prediction, note: str, warnings: tuple[str, ...] = ()) -> "Result":
        ab = prediction.ab()
        if not ab.isfinite().all():  # they would be painted black
            raise ValueError(f"{self.model}: the colours decided on ({note}) are nan or infinite; use milder settings")
        return self._with(Chroma(ab[None], prediction), note, warnings)

    def _with(self, paint: Paint, note: str, warnings: tuple[str, ...]) -> "Result":
        return replace(self, paint=paint, provenance=f"{self.provenance}, {note}", warnings=self.warnings + warnings)

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
        self,
        destination: str | PathLike[str] | BinaryIO,
        *,
        format: str | None = None,
        quality: int = 95,
        fast: bool = False,
    ) -> tuple[str, ...]:
        """Write to a file, with the input's alpha, bit depth, metadata and resolution, and the provenance.

        Lossless but for JPEG, which moves L* a little, as it does in any photograph.

        Args:
            destination: a path, or a binary stream.
            format: such as ``"PNG"``; by default that of the path's suffix. A stream needs one.
            quality: of JPEG, 1 to 100.
            fast: of PNG, see :func:`colorlib.io.write`.

        Returns:
            What could not be kept in that format, each a sentence.

        Raises:
            colorlib.io.ImageError: a format that cannot be written.
        """
        return io.write(destination, **vars(self.page()), quality=quality, format=format, fast=fast)

    def page(self) -> io.Page:
        """What :meth:`save` writes, for :func:`colorlib.io.write_pages`, which writes many into one TIFF."""
        photo = self.photo
        return io.Page(self.planes, photo.opacity, photo.bit_depth, photo.metadata, photo.dpi, self.provenance)
