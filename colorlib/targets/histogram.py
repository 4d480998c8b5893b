"""What targets that predict distributions of colours have in common."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from colorlib import color
from colorlib.image import gaussian_blur, size_of
from colorlib.targets._base import Target
from colorlib.targets.decoders import entropy

LEAST_TEMPERATURE = 0.001


class Colors(NamedTuple):
    """What a distribution says about one pixel: a grid of colours, the axes being those of the target.

    Attributes:
        axes: what the rows and columns of the grid are, such as ``("hue", "chroma")``.
        probabilities: (rows, columns), of sum 1. Where the target predicts its axes apart, it is their product.
        rgb: sRGB in [0, 1] of each bin at the pixel's lightness, reduced to the gamut, (rows, columns, 3).
    """

    axes: tuple[str, str]
    probabilities: Tensor
    rgb: Tensor

    def top(self, n: int = 5) -> list[tuple[float, tuple[float, float, float]]]:
        """The n most probable bins: probability and sRGB in [0, 1], most probable first."""
        values, order = self.probabilities.flatten().topk(min(n, self.probabilities.numel()))
        colours = self.rgb.flatten(0, 1)[order].tolist()
        return [(value, (r, g, b)) for value, (r, g, b) in zip(values.tolist(), colours, strict=True)]


class Histogram(Target):
    """A target whose prediction is one histogram of colour bins at each pixel, or several (Larsson et al. 2016, 3.2).

    Channels are logits, histogram after histogram. Encoded photographs hold values, not bins: :meth:`digitize` turns
    one into the other.

    Args:
        sizes: bins of each histogram.
        decoder: how a histogram becomes a colour, one of :attr:`decoders`.
        temperature: logits are divided by it before the softmax when decoding, not in the loss; 1 is the paper's.
        smoothing: see below.

    Attributes:
        decoders: those that the target has, the paper's choice first.
    """

    decoders: ClassVar[tuple[str, ...]]
    axes: ClassVar[tuple[str, str]]

    def __init__(self, sizes: Sequence[int], decoder: str | None, temperature: float, smoothing: float = 0.0):
        super().__init__()
        self.sizes, self.channels, self.temperature = tuple(sizes), sum(sizes), temperature
        self.smoothing = smoothing
        self.decoder = self.decoders[0] if decoder is None else decoder

    @property
    def decoder(self) -> str:
        """How a histogram becomes a colour; may be set.

        Raises:
            ValueError: it is none of :attr:`decoders`.
        """
        return self._decoder

    @decoder.setter
    def decoder(self, name: str) -> None:
        if name not in self.decoders:
            raise ValueError(f"expected a decoder of {type(self).__name__}: {', '.join(self.decoders)}; got {name!r}")
        self._decoder = name

    @property
    def chooses(self) -> bool:
        """Whether colours jump from bin to bin: of two that are as likely, rounding chooses."""
        return self.decoder == "mode"

    @property
    def temperature(self) -> float:
        """What logits are divided by when decoding; may be set.

        Raises:
            ValueError: it is below 0.001, where logits would overflow.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not LEAST_TEMPERATURE <= value < math.inf:
            raise ValueError(f"expected a temperature of at least {LEAST_TEMPERATURE}, got {value}")
        self._temperature = value

    @property
    def smoothing(self) -> float:
        """Standard deviation in cells of a Gaussian over the logits when decoding, not in the loss; may be set.

        A cell is decided with its neighbours: pictures become smoother, and paler. They have fewer blotches for that,
        but at equal chroma as many. 0, the papers' choice, leaves logits as they are.

        Raises:
            ValueError: it is below 0.
        """
        return self._smoothing

    @smoothing.setter
    def smoothing(self, value: float) -> None:
        if not 0 <= value < math.inf:
            raise ValueError(f"expected a smoothing of at least 0 cells, got {value}")
        self._smoothing = value

    @override
    def extra_repr(self) -> str:
        settings = f"sizes={self.sizes}, decoder={self.decoder!r}, temperature={self.temperature}"
        return settings + (f", smoothing={self.smoothing}" if self.smoothing else "")

    @abstractmethod
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        """The bin of every pixel in each histogram: (N, C, h, w) from :meth:`encode` -> (N, h, w) integers each."""

    @abstractmethod
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """How undecided a prediction is: (N, channels, h, w) -> (N, 1, h, w) in [0, 1], whatever the decoder."""

    @abstractmethod
    def grid(self, lightness: float) -> Tensor:
        """The colour of each bin at L in [0, 100] of CIE Lab: sRGB (3, rows, columns), for :class:`Colors`."""

    @abstractmethod
    def palette(self, angle: float) -> Tensor:
        """A bias towards the colours that lie at an angle of colour space, in radians: (channels,) in [-1, 1]."""

    def true_weights(self, encoded: Tensor) -> tuple[Tensor | None, ...]:
        """How much each pixel counts in a picture's histograms, (N, h, w) each; None counts all alike."""
        return (None,) * len(self.sizes)

    def predicted_weights(self, prediction: Tensor) -> tuple[Tensor | None, ...]:
        """The same for a predicted picture."""
        return (None,) * len(self.sizes)

    def histograms(self, prediction: Tensor) -> tuple[Tensor, ...]:
        """The probabilities of each histogram, at the decoding temperature: (N, K, h, w) each, float32."""
        scaled = self.smoothed(prediction.float()) / self.temperature
        return tuple(logits.softmax(dim=1) for logits in scaled.split(self.sizes, dim=1))

    def smoothed(self, prediction: Tensor) -> Tensor:
        """Logits as they are decoded, under the Gaussian of :attr:`smoothing`: (N, channels, h, w), the same shape."""
        if not self.smoothing or size_of(prediction) == (1, 1):
            return prediction
        return gaussian_blur(prediction.float(), 2 * math.ceil(3 * self.smoothing) + 1, self.smoothing)

    def colors(self, prediction: Tensor, lightness: float) -> Colors:
        """What is predicted for one pixel: (channels,) and its L in [0, 100]."""
        histograms = [h.flatten() for h in self.histograms(prediction[None, :, None, None])]
        rgb = self.grid(lightness).to(prediction.device)
        probabilities = torch.outer(*histograms) if len(histograms) == 2 else histograms[0].view(rgb.shape[1:])
        return Colors(self.axes, probabilities, rgb.movedim(0, -1))

    def _log_loss(self, prediction: Tensor, encoded: Tensor) -> list[Tensor]:
        """Eq. 2 with a one-hot truth, the log loss of each histogram: (N, h, w) each."""
        logits = prediction.float().split(self.sizes, dim=1)
        return [
            F.cross_entropy(one, k, reduction="none") for one, k in zip(logits, self.digitize(encoded), strict=True)
        ]


class Marginal(Histogram):
    """Two histograms that are predicted apart."""

    @override
    def digitize(self, encoded: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._bins(encoded).unbind(dim=1))

    @abstractmethod
    def _bins(self, encoded: Tensor) -> Tensor:
        """(N, 2, h, w) -> integers (N, 2, h, w)."""

    @override
    def loss(self, prediction: Tensor, encoded: Tensor) -> Tensor:
        """The sum of both cross-entropies, averaged over pixels."""
        first, second = self._log_loss(prediction, encoded)
        return (first + second).mean()

    @override
    def uncertainty(self, prediction: Tensor) -> Tensor:
        """Entropy of the two, which are independent, of at most 1."""
        first, second = self.histograms(prediction)
        return (entropy(first) + entropy(second)) / 2


def in_gamut(lab: Tensor) -> Tensor:
    """Lab (1, 3, rows, columns) -> sRGB (3, rows, columns), its chroma reduced where it does not fit."""
    return color.lab_to_rgb(lab, gamut="reduce")[0]
