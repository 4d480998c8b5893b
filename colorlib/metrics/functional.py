"""Metrics of the papers as pure functions, one value per image: sRGB (N, 3, H, W) in [0, 1], twice -> (N,).

They take float32 or float64, stay on the device of the pictures, and compute a few images at a time, so that what lies
between picture and number stays small. :func:`image_metrics` gives every value of an image at once, with conversions
shared, and exactly those that the functions give one by one. Of no image, N = 0, there are no values: (0,).

Gradients are finite, also where a formula has a corner, such as at equal pictures, gray and black: there they are 0.
Bins and ranks have none.

On a CPU, nan and values outside [0, 1] are refused. They are not looked for in tensors that take part in autograd, as a
loss may be asked of what is not clipped yet, nor on a GPU, which would have to wait.

Raises:
    TypeError: no tensor, or one that is neither float32 nor float64, or one of each.
    ValueError: tensors of another shape, pictures without pixels, values that are nan or outside [0, 1].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import color
from colorlib._maths import angle, log10, root
from colorlib.color import AB_GRID, UV_BOUND
from colorlib.metrics._batches import Photos, each_in_slices, in_slices, pairs
from colorlib.metrics.aggregates import angular_statistics as angular_statistics
from colorlib.metrics.aggregates import geometric_mean as geometric_mean
from colorlib.metrics.aggregates import topk_correct as topk_correct
from colorlib.metrics.delta_e import delta_e_2000 as delta_e_2000
from colorlib.metrics.regions import blotch as blotch
from colorlib.metrics.regions import skin_ciede2000 as skin_ciede2000

LUV_BINS = 50  # of u and of v, over [-100, 100] (Hwang and Zhou 2016, 3.6)

# SSIM's Gaussian window, 11 x 11 of sigma 1.5 (Wang et al. 2004): one half of it, from the middle outwards.
_RADIUS = 5
_TAPS = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(_RADIUS + 1)]
_WINDOW = [tap / (2 * sum(_TAPS) - _TAPS[0]) for tap in _TAPS]


def rmse_alphabeta(preds: Tensor, target: Tensor) -> Tensor:
    r"""Mean over pixels of the Euclidean distance in alpha-beta (Larsson et al. 2016, eq. 10).

    Despite the name no square is averaged. The paper pools the pixels of all images, which for images of one size is
    the mean of these values; weigh them by pixel count otherwise.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, lower is better; in the units of :func:`colorlib.color.rgb_to_alphabeta`.

    Example:
        >>> import torch
        >>> red, gray = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> rmse_alphabeta(gray, red).item()  # alpha = -0.5, beta = 1, over L = 1/3 + 1e-4
        3.3530...
    """
    return in_slices(_rmse_alphabeta, preds, target)


def _rmse_alphabeta(preds: Photos, target: Photos) -> Tensor:
    difference = color.rgb_to_alphabeta(preds.rgb) - color.rgb_to_alphabeta(target.rgb)
    return _length(difference).mean(dim=(-2, -1))


def psnr(preds: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, over its pixels and channels (Larsson et al. 2016, eq. 11).

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), higher is better; infinite where the two are equal. A data set's PSNR is the mean of these, or for Cheng
        et al. 2015 their :func:`geometric_mean`.

    Example:
        >>> import torch
        >>> psnr(torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.6)).item()
        19.99...
    """
    return in_slices(_psnr, preds, target)


def _psnr(preds: Photos, target: Photos) -> Tensor:
    return -10 * log10((preds.rgb - target.rgb).square().mean(dim=(-3, -2, -1)))


def bin_accuracy(preds: Tensor, target: Tensor) -> Tensor:
    """Share of pixels whose u lies in the same of 50 bins over [-100, 100], and whose v (Hwang and Zhou 2016, 5.1).

    u and v are those of CIE Luv, the bins those of :class:`colorlib.targets.LuvBins`: values beyond the range, such as
    pure red's u of 175, count as the outermost bin. Gray, u = v = 0, lies on an edge: there rounding decides.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N, 2), u and v, in [0, 1], higher is better. The paper's table 2 prints such shares with a percent sign.

    Example:
        >>> import torch
        >>> red, orange = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.tensor([1.0, 0.5, 0]).view(1, 3, 1, 1)
        >>> bin_accuracy(orange, red)  # u = 108 and 175, both beyond 100; v = 59 and 38
        tensor([[1., 0.]])
    """
    return in_slices(_bin_accuracy, preds, target)


def _bin_accuracy(preds: Photos, target: Photos) -> Tensor:
    same = _luv_bins(preds.uv) == _luv_bins(target.uv)
    return same.to(preds.rgb.dtype).mean(dim=(-2, -1))


def _luv_bins(uv: Tensor) -> Tensor:
    return ((uv + UV_BOUND) * (LUV_BINS / (2 * UV_BOUND))).floor().clamp(0, LUV_BINS - 1)


def luv_squared_error(preds: Tensor, target: Tensor) -> Tensor:
    """Sum over pixels of the squared distance in u and v of CIE Luv (Hwang and Zhou 2016, 5.1, L_reg).

    As printed, it is a sum and grows with the picture: theirs all have 224 x 224 pixels. Divided by H W it compares
    pictures of several sizes.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, lower is better; in squared units of Luv, not of the bins.

    Example:
        >>> import torch
        >>> red, gray = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> luv_squared_error(gray, red).item()  # 175.01^2 + 37.76^2
        32055...
    """
    return in_slices(_luv_squared_error, preds, target)


def _luv_squared_error(preds: Photos, target: Photos) -> Tensor:
    return (preds.uv - target.uv).square().sum(dim=(-3, -2, -1))


def saturation_difference(preds: Tensor, target: Tensor) -> Tensor:
    """Relative deviation of the summed saturation of HSV, (sum S(preds) - sum S(target)) / sum S(target).

    "Sat. diff." of Hwang and Zhou 2016, 5.1, whose formula has a sign where table 2 has none: that is ``.abs()``.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least -1, best 0, a fraction: 0.065 is 6.5 %; below 0 where ``preds`` is paler. nan where the target
        is all gray, for no saturation is relative to none.

    Example:
        >>> import torch
        >>> pink, red = torch.tensor([1.0, 0.75, 0.75]).view(1, 3, 1, 1), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> saturation_difference(pink, red).item()
        -0.75
    """
    return in_slices(_saturation_difference, preds, target)


def _saturation_difference(preds: Photos, target: Photos) -> Tensor:
    coloured = target.saturation > 0
    difference = (preds.saturation - target.saturation) / target.saturation.where(coloured, 1)
    return difference.where(coloured, math.nan)


def lab_mse(preds: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of a and b of CIE Lab, over pixels and both channels (Lin and Ferreira 2021, eq. 1, figure 6).

    The paper normalises a and b to [-1, 1] without printing by what: here by 128, half the grid of its colour table.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, lower is better; times 128^2 in squared units of Lab.

    Example:
        >>> import torch
        >>> red, gray = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> lab_mse(gray, red).item()  # (80.09^2 + 67.20^2) / (2 * 128^2)
        0.333...
    """
    return in_slices(_lab_mse, preds, target)


def _lab_mse(preds: Photos, target: Photos) -> Tensor:
    return (preds.lab[:, 1:] - target.lab[:, 1:]).square().mean(dim=(-3, -2, -1)) / (AB_GRID / 2) ** 2


def angular_error(preds: Tensor, target: Tensor, threshold: float = 150) -> Tensor:
    """Mean angle in degrees between colours as vectors (R, G, B) (Zhu and Funt 2018, table 2).

    Only pixels count that are not dark in the target, since the hue of a dark one may be anything. Black in ``preds``
    has no direction and counts as 0.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).
        threshold: pixels count whose R + G + B, of values up to 255, is above this in the target.

    Returns:
        (N,), at least 0, lower is better; nan where no pixel counts.

    Example:
        >>> import torch
        >>> preds, target = torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> angular_error(preds, target).item()
        45.0
    """
    return in_slices(lambda p, t: _angular_error(p, t, threshold), preds, target)


def angles(preds: Tensor, target: Tensor, threshold: float = 150) -> Tensor:
    """The angle in degrees between the colours of each pixel, whose mean is :func:`angular_error`.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).
        threshold: see there.

    Returns:
        (N, H, W), at least 0; nan where a pixel does not count.

    Example:
        >>> import torch
        >>> preds, target = torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> angles(preds, target).item()
        45.0
    """
    found = [_angles(x, y, threshold) for x, y in pairs(preds, target)]
    return torch.cat([values.where(counts, math.nan) for values, counts in found])


def _angular_error(preds: Photos, target: Photos, threshold: float = 150) -> Tensor:
    angles, counts = _angles(preds, target, threshold)
    pixels = counts.sum(dim=(-2, -1))
    return ((angles * counts).sum(dim=(-2, -1)) / pixels.clamp(min=1)).where(pixels > 0, math.nan)


def _angles(preds: Photos, target: Photos, threshold: float) -> tuple[Tensor, Tensor]:
    """Of each pixel, and whether it counts: (N, H, W) both."""
    # Not the arc cosine, whose slope at 1 turns float32's rounding into hundredths of a degree.
    sine = _length(_cross(preds.rgb, target.rgb))
    angles = angle(sine, (preds.rgb * target.rgb).sum(dim=1)).rad2deg()
    # Sums of 8-bit values that equal the threshold must not count by rounding.
    return angles, 255 * target.rgb.sum(dim=1) > threshold + 1e-3


def _cross(x: Tensor, y: Tensor) -> Tensor:
    """torch.linalg.cross along the channels, which is slow at it."""
    (x1, x2, x3), (y1, y2, y3) = x.unbind(dim=1), y.unbind(dim=1)
    return torch.stack([x2 * y3 - x3 * y2, x3 * y1 - x1 * y3, x1 * y2 - x2 * y1], dim=1)


def ciede2000(preds: Tensor, target: Tensor) -> Tensor:
    """Mean over pixels of the colour difference Delta E 2000 (:func:`delta_e_2000`).

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, lower is better; about 1 is just noticeable, black and white are 100 apart.

    Example:
        >>> import torch
        >>> ciede2000(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item()
        100.0...
    """
    return in_slices(_ciede2000, preds, target)


def _ciede2000(preds: Photos, target: Photos) -> Tensor:
    return delta_e_2000(preds.lab, target.lab).mean(dim=(-2, -1))


def ssim(preds: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each image, mean over pixels and the channels of sRGB (Wang et al. 2004).

    The window is a Gaussian of 11 x 11 pixels and sigma 1.5, K1 = 0.01 and K2 = 0.03, variances are the population's,
    and borders count, by reflection: what torchmetrics' ``structural_similarity_index_measure`` does by default.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), in [-1, 1], higher is better, 1 where the two are equal; nan of pictures smaller than the window, with
        less than 11 pixels in height or width.

    Example:
        >>> import torch
        >>> ssim(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.6)).item()
        0.983...
    """
    return in_slices(_ssim, preds, target)


def _ssim(preds: Photos, target: Photos) -> Tensor:
    if min(preds.rgb.shape[-2:]) < 2 * _RADIUS + 1:
        return preds.rgb.new_full((len(preds.rgb),), math.nan)
    x, y = (F.pad(photos.rgb, (_RADIUS,) * 4, mode="reflect") for photos in (preds, target))
    # 2 x y and x^2 + y^2 from squares of sum and difference: four maps to blur instead of five.
    plus, minus = x + y, x - y
    mean_plus, mean_minus = _blur(plus).square(), _blur(minus).square()
    variance_plus, variance_minus = _blur(plus.square()) - mean_plus, _blur(minus.square()) - mean_minus
    c1, c2 = 2 * 0.01**2, 2 * 0.03**2
    luminance = (mean_plus - mean_minus + c1) / (mean_plus + mean_minus + c1)
    structure = (variance_plus - variance_minus + c2) / (variance_plus + variance_minus + c2)
    return (luminance * structure).mean(dim=(-3, -2, -1))


def _blur(x: Tensor) -> Tensor:
    """(N, C, H + 10, W + 10) -> (N, C, H, W)."""
    # Not a convolution: it takes several times as long on a CPU, and CUDA would run it in TF32, autocast in bfloat16.
    for dim in (-2, -1):
        size = x.shape[dim] - 2 * _RADIUS
        blurred = x.narrow(dim, _RADIUS, size) * _WINDOW[0]
        for k in range(1, _RADIUS + 1):
            for start in (_RADIUS - k, _RADIUS + k):
                blurred.add_(x.narrow(dim, start, size), alpha=_WINDOW[k])
        x = blurred
    return x


def colorfulness(x: Tensor) -> Tensor:
    """How colourful an image looks, M^(3) (Hasler and Suesstrunk 2003): of R - G and (R + G) / 2 - B, both signed.

    Args:
        x: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0, in units of values up to 255: 0 of gray, 15 "slightly", 59 "quite", 109 "extremely" colourful.

    Example:
        >>> import torch
        >>> colorfulness(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)).item()  # 0.3 * sqrt(255^2 + 127.5^2)
        85.529...
    """
    return each_in_slices(_colorfulness, x)


def _colorfulness(photos: Photos) -> Tensor:
    red, green, blue = (255 * photos.rgb).unbind(dim=1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    mean = opponents.mean(dim=(-2, -1))
    variance = (opponents - mean[..., None, None]).square().mean(dim=(-2, -1))
    return root(variance.sum(dim=0)) + 0.3 * root(mean.square().sum(dim=0))


def chroma(x: Tensor) -> Tensor:
    """Mean over pixels of the chroma of CIE Lab, the distance of (a, b) from gray.

    Args:
        x: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,), at least 0; sRGB reaches 134.

    Example:
        >>> import torch
        >>> chroma(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)).item()
        104.55...
    """
    return each_in_slices(_mean_chroma, x)


def _mean_chroma(photos: Photos) -> Tensor:
    return _length(photos.lab[:, 1:]).mean(dim=(-2, -1))


def image_metrics(preds: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every value of each image, exactly as the functions here give them, in about half their time.

    Args:
        preds: sRGB in [0, 1], (N, 3, H, W).
        target: sRGB in [0, 1], (N, 3, H, W).

    Returns:
        (N,) each: ``rmse`` (:func:`rmse_alphabeta`), ``psnr``, ``bin_accuracy_u``, ``bin_accuracy_v``,
        ``luv_squared_error``, ``saturation_difference``, ``lab_mse``, ``angular_error``, ``ciede2000``, ``ssim``; of
        ``preds`` ``colorfulness``, ``chroma`` and ``saturation`` (mean S of HSV), and the same of ``target`` with
        ``_true`` behind the name.

    Example:
        >>> import torch
        >>> values = image_metrics(torch.full((2, 3, 16, 16), 0.5), torch.full((2, 3, 16, 16), 0.6))
        >>> values["psnr"]
        tensor([20.0000, 20.0000])
    """
    parts = [_image_metrics(*pair) for pair in pairs(preds, target)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _image_metrics(preds: Photos, target: Photos) -> dict[str, Tensor]:
    same_u, same_v = _bin_accuracy(preds, target).unbind(dim=1)
    return {
        "rmse": _rmse_alphabeta(preds, target),
        "psnr": _psnr(preds, target),
        "bin_accuracy_u": same_u,
        "bin_accuracy_v": same_v,
        "luv_squared_error": _luv_squared_error(preds, target),
        "saturation_difference": _saturation_difference(preds, target),
        "lab_mse": _lab_mse(preds, target),
        "angular_error": _angular_error(preds, target),
        "ciede2000": _ciede2000(preds, target),
        "ssim": _ssim(preds, target),
        "colorfulness": _colorfulness(preds),
        "colorfulness_true": _colorfulness(target),
        "chroma": _mean_chroma(preds),
        "chroma_true": _mean_chroma(target),
        "saturation": preds.saturation,
        "saturation_true": target.saturation,
    }


def _length(x: Tensor) -> Tensor:
    """Euclidean norm over the channels: (N, C, H, W) -> (N, H, W)."""
    # torch.linalg.vector_norm takes ten times as long along this dimension.
    return root(x.square().sum(dim=1))
