"""What every method has in common."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_image, check_photos
from colorlib.facts import Task
from colorlib.image import size_of
from colorlib.targets import Picture, Target


class ColorModel(nn.Module, ABC):
    """An architecture together with the target that says what its output means.

    Attributes:
        target: encodes photographs into what the network should say and decodes what it says.
        stride: inputs are padded to a multiple of this.
        rounded: whether sides are brought to the nearest multiple by resizing instead.
        output_stride: the output is this much smaller than the input.
        input_channels: of what :meth:`to_input` gives.
        work_size: short side in pixels at which photographs are coloured by default; None is their own.
        task: ``"colorize"`` a grayscale photograph, or ``"balance"`` the white of one in colour.
        name: in the registry, where the model comes from there; else that of its class.
        settings: of the architecture, with which the registry built it.
    """

    target: Target
    stride: int = 1
    rounded: bool = False
    output_stride: int = 1
    input_channels: int = 1
    work_size: int | None = None
    task: Task = "colorize"

    def __init__(self) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.settings: dict[str, Any] = {}

    def to_input(self, rgb: Tensor) -> Tensor:
        """The part of a photograph the network sees: sRGB (N, 3, H, W) in [0, 1] -> L in [0, 100], (N, 1, H, W).

        A method whose paper takes another gray overrides this, with the L of that gray; of a photograph without
        colour, all of them are the same.
        """
        return color.rgb_to_lightness(rgb)

    def forward(self, lightness: Tensor, reference: Tensor | None = None) -> Tensor:
        """Raw prediction: (N, 1, H, W) -> (N, target.channels, ceil(H / output_stride), ceil(W / output_stride)).

        Any size: the input is padded by repeating its last row and column to a multiple of ``stride``.

        Args:
            lightness: what :meth:`to_input` gave.
            reference: another photograph to take after, sRGB (1, 3, h, w) in [0, 1] of any size; see
                :meth:`predict_after`.

        Raises:
            TypeError: no tensors of floating point.
            ValueError: tensors of other shapes, or a reference for a method that takes none.
        """
        check_image(lightness, f"(N, {self.input_channels}, H, W)", space="as to_input gives it", any_float=True)
        if reference is not None:
            check_image(reference, "(1, 3, h, w)", name="reference")
            reference = self._as_weights(reference)
        lightness = self._as_weights(lightness)
        height, width = lightness.shape[-2:]
        padded = self.pad(lightness)
        prediction = self.predict(padded) if reference is None else self.predict_after(padded, reference)
        return self.crop(prediction, (height, width))

    def _as_weights(self, x: Tensor) -> Tensor:
        """In the precision of the weights, if there are any."""
        weight = next(self.parameters(), None)
        return x if weight is None else x.to(weight.dtype)

    def pad(self, x: Tensor) -> Tensor:
        """Repeat the last row and column until ``stride`` divides the sides: (N, C, H, W) -> (N, C, H', W')."""
        height, width = x.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        # An exported graph is the same for every size.
        return F.pad(x, padding, mode="replicate") if torch.compiler.is_exporting() or any(padding) else x

    def crop(self, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        """Take :meth:`pad` back: of the prediction for a padded input, the part for the input of this size itself."""
        height, width = (-(-n // self.output_stride) for n in size)
        return prediction[..., :height, :width]

    def seen_size(self, height: int, width: int, size: float) -> tuple[int, int]:
        """Height and width at which the network is shown a photograph, so that the short side is ``size`` at most.

        A panorama has at most the pixels of four such squares.
        """
        scale = min(1.0, size / min(height, width), 2 * size / math.sqrt(height * width))
        if scale == 1 and not self.rounded:
            # As many pixels as cells of the prediction stand for, or these would lie beside what they describe.
            cell = self.output_stride
            return -(-height // cell) * cell, -(-width // cell) * cell
        # Multiples of the stride need no padding, and over a batch oneDNN has few shapes to keep kernels for.
        stride = self.stride
        return max(stride, round(height * scale / stride) * stride), max(stride, round(width * scale / stride) * stride)

    @abstractmethod
    def predict(self, lightness: Tensor) -> Tensor:
        """:meth:`forward` for sides that are multiples of ``stride``."""

    def predict_after(self, lightness: Tensor, reference: Tensor) -> Tensor:
        """:meth:`predict`, taking after another photograph in what the method takes from one, its colours or its scene.

        Raises:
            ValueError: this method takes nothing from another photograph.
        """
        raise ValueError(f"{type(self).__name__} takes no reference")

    def encoder_names(self) -> dict[str, str]:
        """The name of each encoder tensor in this model's state -> its name in the file of a shared encoder.

        Empty for methods whose encoder cannot be shared.
        """
        encoder = getattr(self, "encoder", None)
        names: dict[str, str] = getattr(encoder, "file_names", {})
        return {f"encoder.{ours}": theirs for ours, theirs in names.items()}

    @property
    def learned(self) -> bool:
        """Whether there is anything to train."""
        return next(self.parameters(), None) is not None

    @property
    def takes_reference(self) -> bool:
        """Whether :meth:`forward` takes another photograph."""
        return False

    def colorize(self, rgb: Tensor) -> Tensor:
        """What the method makes of photographs at their own size.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].

        Returns:
            sRGB (N, 3, H, W) in [0, 1] of the same type, with the same L*.

        Raises:
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape, or values that are nan or outside [0, 1].
        """
        check_photos(rgb, on_accelerators=True)
        return self._colorize(rgb) if rgb.shape[0] else rgb.clone()  # len() would fix the size of an exported batch

    def _colorize(self, rgb: Tensor) -> Tensor:
        return self.target.decode(self(self.to_input(rgb)), color.rgb_to_lightness(rgb))

    def scene_scores(self, lightness: Tensor) -> Tensor:
        """Scores of scene classes: (N, 1, H, W) -> (N, classes), to be turned into probabilities by a softmax.

        Raises:
            ValueError: this method recognises no scenes.
        """
        raise ValueError(f"{type(self).__name__} has no scene classifier")

    def calibrate(self, rgb: Tensor) -> None:
        """Set what a fresh model takes from data before training, such as bin means; most models do nothing here.

        Args:
            rgb: training photographs, sRGB (N, 3, H, W) in [0, 1].
        """

    def losses(self, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """The training loss of the paper.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].
            label: scene class (N,), -1 where unknown; used by methods that learn from it.
            shown: the same photographs as the network is to see them, such as aged ones; default: as they are.

        Returns:
            ``"loss"`` to minimise, and its parts under other names.
        """
        prediction = self(self.to_input(rgb if shown is None else shown))
        return {"loss": self.target.loss(prediction, self.target.encode(rgb, size_of(prediction)))}


class WhiteBalance(ColorModel):
    """A method whose input is a photograph in colour, and whose output is the same without its colour cast.

    Lightness may change. Its target is :class:`colorlib.targets.Picture`.
    """

    target: Picture
    input_channels = 3
    task = "balance"

    @override
    def to_input(self, rgb: Tensor) -> Tensor:
        """All of it: sRGB (N, 3, H, W) in [0, 1]."""
        return rgb

    @override
    def _colorize(self, rgb: Tensor) -> Tensor:
        return self.target.to_rgb(self(self.to_input(rgb)).to(rgb.dtype))

    def gains(self, rgb: Tensor) -> Tensor:
        """What balances photographs of any size, found on small copies: factors on R, G and B.

        Of a network, those that :func:`smooth_gains` reads off its answer.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].

        Returns:
            (N, 3, h, w), smooth; (N, 3, 1, 1) where they are the same everywhere.

        Raises:
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape, or values that are nan or outside [0, 1].
        """
        check_photos(rgb, on_accelerators=True)
        return self._gains(rgb)

    def _gains(self, rgb: Tensor) -> Tensor:
        return smooth_gains(rgb, self._colorize(rgb))

    def correction(self, rgb: Tensor) -> Tensor:
        """:meth:`gains`, but none where a photograph is gray: it has no cast that could be told from its colours.

        These are what a user's photograph gets, by :func:`colorlib.painting.relit`; benchmarks measure methods as
        published.

        Args:
            rgb: sRGB (N, 3, H, W) in [0, 1].

        Returns:
            As of :meth:`gains`.

        Raises:
            TypeError: no tensor, or one that is neither float32 nor float64.
            ValueError: a tensor of another shape, or values that are nan or outside [0, 1].
        """
        return faded(self.gains(rgb), rgb)


def faded(gains: Tensor, rgb: Tensor) -> Tensor:
    """Gains (N, 3, h, w) that fade to 1 where a photograph (N, 3, H, W) has nearly no colour, smoothly.

    Colour is what channels differ by above the rounding of 8 bits and of JPEG; a twentieth of the picture may have
    some, such as a stamp on a gray print. Black and white say nothing either way.
    """
    high, low = rgb.amax(dim=1), rgb.amin(dim=1)
    coloured = ((high - low) * (255 / 4) - 0.5).clamp(0, 1)  # from 2 to 6 steps of 8 bits
    middle = (high + low) / 2
    weight = middle * (1 - middle)
    share = (weight * coloured).mean(dim=(-2, -1)) / weight.mean(dim=(-2, -1)).clamp(min=1e-6)
    known = (10 * share - 0.5).clamp(0, 1)[:, None, None, None]  # from 5 to 15 % of the picture
    return 1 + known.to(gains.dtype) * (gains - 1)


def smooth_gains(before: Tensor, after: Tensor) -> Tensor:
    """The factors on R, G and B, smooth over the picture, that come nearest to turning one picture into another.

    Least squares among polynomials of second degree in x and y: what a network changes in a photograph's light is
    smooth, as Zhu and Funt's casts are; what it changes in its detail is error, and would not fit a larger copy's.

    Args:
        before: sRGB (N, 3, H, W) in [0, 1].
        after: the same, balanced.

    Returns:
        (N, 3, H, W); 1 where ``before`` is all black.
    """
    check_image(before, "(N, 3, H, W)", name="before")
    check_image(after, "(N, 3, H, W)", name="after")
    kind: dict[str, Any] = {"device": before.device, "dtype": torch.float64}
    y, x = torch.meshgrid(*(_from_centre(n, **kind) for n in size_of(before)), indexing="ij")
    terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
    energy = before.double().square()
    normal = torch.einsum("khw,lhw,nchw->nckl", terms, terms, energy) / x.numel()
    given = torch.einsum("khw,nchw->nck", terms, before.double() * after.double()) / x.numel()
    # Pulls towards a gain of 1, too weakly to be seen but where a picture says nothing.
    pull = 1e-4 * energy.mean(dim=(-2, -1)) + 1e-8
    identity = torch.eye(len(terms), **kind)
    normal = normal + pull[..., None, None] * identity
    given = given + pull[..., None] * identity[0]
    gains: Tensor = torch.einsum("nck,khw->nchw", _solve(normal, given), terms)
    return gains.clamp(min=0).to(before.dtype)


def _from_centre(n: int, **kind: Any) -> Tensor:
    """From -1 to 1, of a row of n pixels: (n,)."""
    index = torch.arange(n, **kind)
    return (2 * index - index[-1]) / index[-1].clamp(min=1)


def _solve(matrix: Tensor, given: Tensor) -> Tensor:
    """Solve for x in ``matrix @ x = given``: positive definite (..., k, k) and (..., k) -> (..., k).

    By Gauss and Jordan, as ONNX has no solver. Positive definite matrices need no pivots.
    """
    rows = torch.cat([matrix, given[..., None]], dim=-1)
    for k in range(given.shape[-1]):
        row = rows[..., k : k + 1, :] / rows[..., k : k + 1, k : k + 1]
        others = rows - rows[..., k : k + 1] * row
        rows = torch.cat([others[..., :k, :], row, others[..., k + 1 :, :]], dim=-2)
    return rows[..., -1]
