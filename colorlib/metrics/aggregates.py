"""From the values of many images to one number: the papers' statistics, means and ranks."""

import math

import torch
from torch import Tensor

from colorlib._checks import check_image, check_tensor


def angular_statistics(values: Tensor) -> dict[str, Tensor]:
    """What Zhu and Funt 2018, table 2, print of per-image angular errors; any other values will do.

    Args:
        values: one per image, any shape. nan is left out.

    Returns:
        0-dimensional: ``mean``, ``median`` (of the two in the middle their mean), ``min``, ``max``, and ``best25`` and
        ``worst25``, the means of the lowest and the highest quarter, rounded up to whole images. All nan without a
        value.

    Example:
        >>> import torch
        >>> statistics = angular_statistics(torch.tensor([4.0, 1, 2, 9, torch.nan, 3, 5, 6, 7]))
        >>> {name: value.item() for name, value in statistics.items()}
        {'mean': 4.625, 'median': 4.5, 'min': 1.0, 'max': 9.0, 'best25': 1.5, 'worst25': 8.0}
    """
    check_image(values, "(*)", space="one value per image")
    # The nan put last keeps one element to read where there is no value. Nothing depends on how many are left out but
    # by arithmetic, so that no number has to leave the device.
    ordered = torch.cat([values.flatten(), values.new_full((1,), math.nan)]).sort().values
    count = (~ordered.isnan()).sum()
    rank = torch.arange(len(ordered), device=values.device)
    last = (count - 1).clamp(min=0)
    quarter = (count + 3) // 4
    low, high, least, most = ordered.gather(0, torch.stack([last // 2, count // 2, 0 * last, last]))

    def mean(chosen: Tensor) -> Tensor:
        return ordered.where(chosen, 0).sum() / chosen.sum()

    return {
        "mean": mean(rank < count),
        "median": (low + high) / 2,
        "min": least,
        "max": most,
        "best25": mean(rank < quarter),
        "worst25": mean((rank < count) & (rank >= count - quarter)),
    }


def geometric_mean(values: Tensor) -> Tensor:
    """The geometric mean, by which Cheng et al. 2015 average PSNR over images.

    Args:
        values: one per image, any shape, at least 0. nan is left out.

    Returns:
        0-dimensional; 0 if any value is 0, nan if there is none or any is negative.

    Example:
        >>> import torch
        >>> geometric_mean(torch.tensor([2.0, 8.0])).item()
        4.0
    """
    check_image(values, "(*)", space="one value per image")
    counted = ~values.isnan()
    zero = values == 0
    logarithms = values.where(counted & ~zero, 1).log()
    return (logarithms.sum() / counted.sum()).exp() * ~zero.any()


def topk_correct(scores: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Whether the label is among the k classes of highest score (Iizuka et al. 2016, table 2, with k of 1 and 5).

    A tie does not flatter: every class that scores as high as the label counts as ahead of it, so that equal scores of
    all classes are wrong.

    Args:
        scores: of each class, (N, classes), higher is likelier; nan counts as ahead of everything.
        labels: the true class, integers in [0, classes), (N,).
        k: how many guesses a model has.

    Returns:
        bool, (N,).

    Example:
        >>> import torch
        >>> topk_correct(torch.tensor([[0.2, 0.5, 0.3], [1.0, 1.0, 1.0]]), torch.tensor([2, 0]), k=2)
        tensor([ True, False])
    """
    check_image(scores, "(N, classes)", name="scores", space="higher is likelier", any_float=True)
    check_tensor(labels, "integers (N,)", name="labels")
    if labels.shape != scores.shape[:1]:
        raise ValueError(
            f"got scores of shape {tuple(scores.shape)} and labels of {tuple(labels.shape)}; "
            "expected (N, classes) and (N,)"
        )
    if k < 1:
        raise ValueError(f"expected k of at least 1, got {k}")
    below = scores < scores.gather(1, labels[:, None].long())
    return scores.shape[1] - below.sum(dim=1) <= k
