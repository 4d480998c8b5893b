"""The metrics of :mod:`colorlib.metrics.functional` over a data set, as ``torchmetrics.Metric``; see there for each.

All take sRGB (N, 3, H, W) in [0, 1], float32 or float64, of any size from batch to batch, and average over images,
unless they say otherwise. Images whose value is nan, since none of their pixels counts, are left out; nan is what comes
out when no image is left. Sums are kept in double precision and added across processes.

Scene classifiers (Iizuka et al. 2016, table 2) need no class here: torchmetrics has
``MulticlassAccuracy(num_classes, top_k=5, average="micro")``. It favours the first of tied classes;
:func:`colorlib.metrics.functional.topk_correct` does not.
"""

import math
from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from typing_extensions import override

from colorlib.metrics import functional


def _state_name(metric: Metric, settings: tuple[object, ...]) -> str:
    """A name for the state of a metric that no other metric has.

    MetricCollection takes metrics for one, and goes on with the first, if their states have the same names and values
    after the first batch: all distances between equal pictures, one angular error at two thresholds.
    """
    return "_".join(map(str, (type(metric).__name__, *settings)))


class _ImageMean(Metric):
    """Mean over images.

    Args:
        *settings: what distinguishes metrics of one class.
        shape: of an image's value.
        **kwargs: those of ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = True

    def __init__(self, *settings: object, shape: tuple[int, ...] = (), **kwargs: Any):
        super().__init__(**kwargs)
        self._state = _state_name(self, settings)
        sum_and_weight = torch.zeros(2, *shape, dtype=torch.float64, device="cpu")
        self.add_state(self._state, sum_and_weight, dist_reduce_fx="sum")

    @abstractmethod
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        """One per image: (N, *shape)."""

    def _weight(self, target: Tensor) -> float:
        """How much each image of a batch counts."""
        return 1

    @override
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count these images: sRGB (N, 3, H, W) in [0, 1], twice."""
        values = self._values(preds, target).double()
        counts = ~values.isnan()
        batch = torch.stack([values.where(counts, 0).sum(dim=0), counts.sum(dim=0)])
        total = getattr(self, self._state)
        setattr(self, self._state, total + self._weight(target) * batch.to(total.device))

    @override
    def compute(self) -> Tensor:
        """The mean, in double precision."""
        total, weight = getattr(self, self._state)
        mean: Tensor = total / weight
        return mean


class AlphaBetaRMSE(_ImageMean):
    """Mean over the pixels of all images, pooled, of the distance in alpha-beta (Larsson et al. 2016, eq. 10).

    Example:
        >>> import torch
        >>> metric, red = AlphaBetaRMSE(), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> metric.update(red.expand(-1, -1, 2, 2), torch.full((1, 3, 2, 2), 0.5))  # four pixels off by 3.3530
        >>> metric.update(red.expand(-1, -1, 2, 6), red.expand(-1, -1, 2, 6))  # twelve that are right
        >>> metric.compute().item()
        0.8382...
    """

    higher_is_better = False

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.rmse_alphabeta(preds, target)

    @override
    def _weight(self, target: Tensor) -> float:
        return math.prod(target.shape[-2:])


class PSNR(_ImageMean):
    """Mean over images of the peak signal-to-noise ratio in dB, infinite once an image is equal to its target.

    Args:
        mean: ``"arithmetic"`` (Larsson et al. 2016, eq. 11) or ``"geometric"`` (Cheng et al. 2015).
        **kwargs: those of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> black, far, near = (torch.full((1, 3, 4, 4), value) for value in (0.0, 0.1, 0.01))  # 20 and 40 dB
        >>> for mean in ("arithmetic", "geometric"):
        ...     metric = PSNR(mean)
        ...     metric.update(torch.cat([far, near]), torch.cat([black, black]))
        ...     print(f"{metric.compute().item():.2f}")
        30.00
        28.28
    """

    higher_is_better = True

    def __init__(self, mean: Literal["arithmetic", "geometric"] = "arithmetic", **kwargs: Any):
        if mean not in ("arithmetic", "geometric"):
            raise ValueError(f'expected mean to be "arithmetic" or "geometric", got {mean!r}')
        super().__init__(mean, **kwargs)
        self.mean = mean

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        values = functional.psnr(preds, target)
        return values.log() if self.mean == "geometric" else values

    @override
    def compute(self) -> Tensor:
        """The mean, in double precision."""
        mean = super().compute()
        return mean.exp() if self.mean == "geometric" else mean


class BinAccuracy(_ImageMean):
    """Mean over images of the share of pixels in the right bin of u, and of v: (2,) (Hwang and Zhou 2016, 5.1)."""

    higher_is_better = True
    is_differentiable = False

    def __init__(self, **kwargs: Any):
        super().__init__(shape=(2,), **kwargs)

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.bin_accuracy(preds, target)


class LuvSquaredError(_ImageMean):
    """Mean over images of the squared error in u and v, summed over an image's pixels (Hwang and Zhou 2016, 5.1)."""

    higher_is_better = False

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.luv_squared_error(preds, target)


class _Difference(_ImageMean):
    """Mean over images of a difference that has a sign."""

    def __init__(self, absolute: bool = False, **kwargs: Any):
        super().__init__(absolute, **kwargs)
        self.absolute = absolute

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """False of sizes; signed, neither."""
        return False if self.absolute else None

    @abstractmethod
    def _signed(self, preds: Tensor, target: Tensor) -> Tensor:
        """One per image: (N,)."""

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        values = self._signed(preds, target)
        return values.abs() if self.absolute else values


class SaturationDifference(_Difference):
    """Mean over images of the relative deviation of saturation, a fraction (Hwang and Zhou 2016, 5.1).

    Gray targets are left out.

    Args:
        absolute: whether to average its size, so that a pale and a gaudy image do not make up for each other. Lower
            is better then; signed, 0 is best.
        **kwargs: those of ``torchmetrics.Metric``.
    """

    @override
    def _signed(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.saturation_difference(preds, target)


class LabMSE(_ImageMean):
    """Mean over images of the squared error of a and b of CIE Lab, over 128 each (Lin and Ferreira 2021, figure 6)."""

    higher_is_better = False

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.lab_mse(preds, target)


class AngularError(_ImageMean):
    """Mean over images of the angle in degrees between colours (Zhu and Funt 2018, table 2).

    Args:
        threshold: pixels count whose R + G + B, of values up to 255, is above this in the target. Images without any
            are left out.
        **kwargs: those of ``torchmetrics.Metric``.
    """

    higher_is_better = False

    def __init__(self, threshold: float = 150, **kwargs: Any):
        super().__init__(threshold, **kwargs)
        self.threshold = threshold

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.angular_error(preds, target, self.threshold)


class AngularStatistics(Metric):
    """Mean, median, least, greatest, best and worst quarter of the images' angular errors (Zhu and Funt 2018, table 2).

    It keeps one number per image, in float32 unless ``set_dtype`` says otherwise.

    Args:
        threshold: see :class:`AngularError`.
        **kwargs: those of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> metric = AngularStatistics()
        >>> targets = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 1]]).view(4, 3, 1, 1)
        >>> metric.update(targets[:1].expand(4, -1, -1, -1), targets)
        >>> {name: round(value.item(), 2) for name, value in metric.compute().items()}
        {'mean': 47.43, 'median': 49.87, 'min': 0.0, 'max': 90.0, 'best25': 0.0, 'worst25': 90.0}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    def __init__(self, threshold: float = 150, **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.set_dtype(torch.float32)  # torchmetrics takes torch's default
        self._state = _state_name(self, (threshold,))
        self.add_state(self._state, [], dist_reduce_fx="cat")

    @override
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count these images: sRGB (N, 3, H, W) in [0, 1], twice."""
        values = functional.angular_error(preds, target, self.threshold)
        # Of one type in all processes, those without an image included: torchmetrics gives them this.
        getattr(self, self._state).append(values.to(self.dtype))

    @override
    def compute(self) -> dict[str, Tensor]:
        """What :func:`colorlib.metrics.functional.angular_statistics` gives, in double precision."""
        values = getattr(self, self._state)
        joined = dim_zero_cat(values) if len(values) else torch.empty(0, device=self.device)
        return functional.angular_statistics(joined.double())


class Colorfulness(_ImageMean):
    """Mean over images of how colourful the predictions look (Hasler and Suesstrunk 2003)."""

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.colorfulness(preds)

    @override
    def update(self, preds: Tensor, target: Tensor | None = None) -> None:
        """Count these images, sRGB (N, 3, H, W) in [0, 1]; a target is accepted, as a MetricCollection passes it on."""
        super().update(preds, preds)


class ColorfulnessDifference(_Difference):
    """Mean over images of how much more colourful the prediction looks than the target.

    "Delta CF" is printed in two ways, an order of magnitude apart: the size of this mean, ``compute().abs()``, is the
    difference between the means of two sets of images; ``absolute=True`` is the mean difference between two images.

    Args:
        absolute: whether to average its size. Lower is better then; signed, 0 is best.
        **kwargs: those of ``torchmetrics.Metric``.
    """

    @override
    def _signed(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.colorfulness(preds) - functional.colorfulness(target)


class CIEDE2000(_ImageMean):
    """Mean over images of the colour difference Delta E 2000."""

    higher_is_better = False

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.ciede2000(preds, target)


class SSIM(_ImageMean):
    """Mean over images of structural similarity; those smaller than its window of 11 x 11 pixels are left out."""

    higher_is_better = True

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.ssim(preds, target)


class BlotchShare(_ImageMean):
    """Share of images with an isolated blotch of colour where the target is nearly gray."""

    higher_is_better = False
    is_differentiable = False

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.blotch(preds, target)


class SkinCIEDE2000(_ImageMean):
    """Mean over images of Delta E 2000 on dark, medium and light skin of the target: (3,)."""

    higher_is_better = False

    def __init__(self, **kwargs: Any):
        super().__init__(shape=(3,), **kwargs)

    @override
    def _values(self, preds: Tensor, target: Tensor) -> Tensor:
        return functional.skin_ciede2000(preds, target)
