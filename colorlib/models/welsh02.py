"""Welsh, Ashikhmin, Mueller: Transferring Color to Greyscale Images, SIGGRAPH 2002.

Nothing is learned: colours are those of another photograph. :meth:`Welsh02.predict_after` takes them from all of it
(section 3.1 of the paper), :meth:`Welsh02.predict_swatches` from rectangles of it (section 3.2). Without a reference,
it is the photograph of :func:`colorlib.gallery.default_gallery` that is most like the one to be coloured; the paper's
are chosen by hand.

Where it departs from the paper, or the text leaves room:
- The paper works in l alpha beta (Ruderman et al.); here it is CIE Lab, whose L is what results keep.
- Luminance and its standard deviation count half each; the distance is that of the plane they span.
- Swatches hand on their colours from at most about 256 pixels of each.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from colorlib import color
from colorlib._checks import check_photos
from colorlib.color import AB_BOUND
from colorlib.facts import Paper
from colorlib.gallery import default_gallery
from colorlib.image import local_deviation, reduced, size_of
from colorlib.models._base import ColorModel
from colorlib.models._registry import register_model
from colorlib.targets import Regression

PAPER = Paper(
    authors="Tomihisa Welsh, Michael Ashikhmin, Klaus Mueller",
    title="Transferring Color to Greyscale Images",
    venue="SIGGRAPH",
    year=2002,
    url="https://doi.org/10.1145/566570.566576",
)
SWATCH_SAMPLES = 50
SWATCH_PIXELS = 256
CHUNK = 1 << 19  # distances at a time, 4 MB

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of width and height."""


class Welsh02(ColorModel):
    """Each pixel takes the chroma of the sample of a reference that is most like it in luminance and its texture.

    Values are compared in double precision, so that the nearest sample is the same on every device.

    Args:
        samples: about how many pixels of the reference to choose from.
        neighbourhood: side in pixels of the square in which texture is measured.
        seed: of the jitter of the samples; each photograph's is the same.

    Raises:
        ValueError: no samples, or a neighbourhood that is not odd.
    """

    work_size = 256

    def __init__(self, *, samples: int = 200, neighbourhood: int = 5, seed: int = 0):
        super().__init__()
        if samples < 1:
            raise ValueError(f"expected at least 1 sample, got {samples}")
        if neighbourhood < 1 or neighbourhood % 2 == 0:
            raise ValueError(f"expected a neighbourhood of odd side, such as 5, got {neighbourhood}")
        self.samples, self.neighbourhood, self.seed = samples, neighbourhood, seed
        self.target = Regression("lab", low=-1, high=1)

    @property
    @override
    def takes_reference(self) -> bool:
        """Whether :meth:`forward` takes another photograph: it does."""
        return True

    @override
    def predict(self, lightness: Tensor) -> Tensor:
        """Each picture after its nearest of the default gallery: L (N, 1, H, W) -> (a, b) / 110, (N, 2, H, W)."""
        predictions = []
        for one in lightness.split(1):
            gray = color.lightness_to_gray(one.float())
            photo = default_gallery().nearest(gray[0].expand(3, -1, -1))
            predictions.append(self.predict_after(one, reduced(photo.rgb)[None].to(one.device)))
        return torch.cat(predictions)

    @override
    def predict_after(self, lightness: Tensor, reference: Tensor) -> Tensor:
        """In the colours of one reference (section 3.1).

        Args:
            lightness: L in [0, 100], (N, 1, H, W).
            reference: sRGB (1, 3, h, w) in [0, 1], best about as large, since textures are compared by the pixel.

        Returns:
            (a, b) / 110, (N, 2, H, W).
        """

        def transfer(target: Tensor, source: Tensor, generator: torch.Generator) -> Tensor:
            return transfer_colors(target, source, self.samples, generator)

        return self._predict(lightness, reference, transfer)

    def predict_swatches(self, lightness: Tensor, reference: Tensor, swatches: Sequence[tuple[Box, Box]]) -> Tensor:
        """In the colours of rectangles of a reference, each given to a rectangle of the target (section 3.2).

        Target rectangles are coloured from theirs alone. All other pixels take the chroma of that pixel in the target
        rectangles around which luminance is most like it.

        Args:
            lightness: L in [0, 100], (N, 1, H, W).
            reference: sRGB (1, 3, h, w) in [0, 1].
            swatches: pairs of rectangles, the target's and the reference's; where the target's overlap, the last one
                counts.

        Returns:
            (a, b) / 110, (N, 2, H, W).

        Raises:
            ValueError: no swatches, or a rectangle that is empty or not inside its picture.
        """
        if not swatches:
            raise ValueError("expected at least one pair of rectangles, (target's, reference's), got none")

        def transfer(target: Tensor, source: Tensor, generator: torch.Generator) -> Tensor:
            return transfer_swatches(target, source, swatches, self.neighbourhood, generator)

        return self._predict(lightness, reference, transfer)

    def _predict(
        self, lightness: Tensor, reference: Tensor, transfer: Callable[[Tensor, Tensor, torch.Generator], Tensor]
    ) -> Tensor:
        check_photos(reference, "(1, 3, h, w)", name="reference")
        source = _with_deviation(color.rgb_to_lab(reference.double()), self.neighbourhood)[0]
        targets = _with_deviation(lightness.double(), self.neighbourhood)
        # A generator of its own for each, so that a batch is what its pictures are alone.
        ab = [transfer(target, source, torch.Generator("cpu").manual_seed(self.seed)) for target in targets]
        return (torch.stack(ab) / AB_BOUND).to(lightness.dtype)


def transfer_colors(target: Tensor, source: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Chroma from jittered samples of a source, nearest in luminance and deviation.

    Args:
        target: L and its local deviation, (2, H, W).
        source: L, a, b and L's local deviation, (4, h, w).
        count: about how many samples to take.
        generator: of the CPU, for the jitter.

    Returns:
        (a, b), (2, H, W).
    """
    factor, offset = luminance_remapping(source[0], target[0])
    rows, columns = (x.to(source.device) for x in jittered_grid(size_of(source), count, generator))
    luminance, a, b, deviation = source[:, rows, columns]
    # Remapping scales the deviations too.
    samples = torch.stack([factor * luminance + offset, factor * deviation], dim=1)
    pixels = target.flatten(1).T
    nearest = _nearest(lambda chunk: pixels[chunk], torch.arange(len(pixels), device=pixels.device), samples)
    return torch.stack([a, b])[:, nearest].view_as(target)


def transfer_swatches(
    target: Tensor,
    source: Tensor,
    swatches: Sequence[tuple[Box, Box]],
    neighbourhood: int,
    generator: torch.Generator,
) -> Tensor:
    """Chroma from pairs of rectangles; arguments and result as of :func:`transfer_colors`.

    Raises:
        ValueError: a rectangle that is empty or not inside its picture.
    """
    height, width = size_of(target)
    ab = target.new_zeros(2, height, width)
    painted = torch.zeros(height, width, dtype=torch.bool, device=target.device)
    examples = []
    for box, source_box in swatches:
        (rows, columns), inside = pixels_of(box, size_of(target)), pixels_of(source_box, size_of(source))
        patch = target[:, rows, columns]
        ab[:, rows, columns] = transfer_colors(patch, source[:, *inside], SWATCH_SAMPLES, generator)
        painted[rows, columns] = True
        down, across = jittered_grid(size_of(patch), SWATCH_PIXELS, generator)
        examples.append((down + rows.start) * width + across + columns.start)
    positions = torch.cat(examples).to(target.device)
    around = _neighbourhoods(target[0], neighbourhood)
    samples = around(positions)
    rest = (~painted).flatten().nonzero()[:, 0]
    ab.view(2, -1)[:, rest] = ab.view(2, -1)[:, positions[_nearest(around, rest, samples)]]
    return ab


def luminance_remapping(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and offset that give the luminance of a source the mean and standard deviation of a target's.

    Both of any shape; the results are scalars. A source without contrast is only shifted.
    """
    (low, low_mean), (high, high_mean) = (torch.std_mean(x, correction=0) for x in (source, target))
    factor = torch.where(low > 1e-6, high / low.clamp(min=1e-6), 1)
    return factor, high_mean - factor * low_mean


def jittered_grid(size: tuple[int, int], count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows and columns of about ``count`` pixels, one drawn from each cell of a grid over a picture of (H, W)."""
    height, width = size
    across = min(max(1, round(math.sqrt(count * width / height))), width, count)
    down = min(max(1, round(count / across)), height)
    shift = torch.rand(2, down, across, generator=generator, dtype=torch.float64, device="cpu")
    rows = (torch.arange(down, device="cpu")[:, None] + shift[0]) * height / down
    columns = (torch.arange(across, device="cpu") + shift[1]) * width / across
    return rows.long().clamp(max=height - 1).flatten(), columns.long().clamp(max=width - 1).flatten()


def pixels_of(box: Box, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels that a rectangle touches in a picture of (H, W).

    Raises:
        ValueError: it is empty or not inside the picture.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"expected (left, top, right, bottom) with 0 <= left < right <= 1, and so down, got {box}")
    height, width = size
    return (
        slice(math.floor(top * height), math.ceil(bottom * height)),
        slice(math.floor(left * width), math.ceil(right * width)),
    )


def _with_deviation(planes: Tensor, side: int) -> Tensor:
    """Append the local deviation of the first channel, L: (N, C, H, W) -> (N, C + 1, H, W)."""
    return torch.cat([planes, local_deviation(planes[:, :1], side)], dim=1)


def _neighbourhoods(luminance: Tensor, side: int) -> Callable[[Tensor], Tensor]:
    """The function from positions in (H, W), counted along the rows, (P,), to the squares around them, (P, side^2)."""
    width = luminance.shape[1]
    padded = F.pad(luminance[None], (side // 2,) * 4, mode="replicate")[0]
    steps = torch.arange(side, device=luminance.device)
    offsets = (steps[:, None] * padded.shape[1] + steps).flatten()

    def around(positions: Tensor) -> Tensor:
        corner = positions // width * padded.shape[1] + positions % width
        return padded.flatten()[corner[:, None] + offsets]

    return around


@torch.no_grad()  # a choice has no gradient
def _nearest(describe: Callable[[Tensor], Tensor], positions: Tensor, samples: Tensor) -> Tensor:
    """Which sample, (S, F), is nearest to what describes each position, (P,) -> (P, F): (P,)."""
    # Squared distances but for a number that is a row's own. Double precision bears the difference of squares.
    norms, factors = samples.square().sum(dim=1), samples.T.contiguous()
    size = max(1, CHUNK // len(samples))
    # Written in place: blocks of this size, freed and taken again with small ones between, fragment the heap.
    distances, nearest = samples.new_empty(size, len(samples)), torch.empty_like(positions)
    for chunk, found in zip(positions.split(size), nearest.split(size), strict=True):
        torch.argmin(torch.addmm(norms, describe(chunk), factors, alpha=-2, out=distances[: len(chunk)]), 1, out=found)
    return nearest


@register_model("Welsh 2002", PAPER, learned=False)
def welsh02(samples: int = 200, neighbourhood: int = 5, seed: int = 0) -> Welsh02:
    """Colours of another photograph, pixel by pixel from the most similar luminance and texture."""
    return Welsh02(samples=samples, neighbourhood=neighbourhood, seed=seed)
