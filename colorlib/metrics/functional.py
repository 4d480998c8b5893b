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
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import color
from colorlib._checks import check_image, check_photos, check_tensor
from colorlib._maths import angle, log10, root
from colorlib.targets import AB_GRID, UV_BOUND

LUV_BINS = 50  # of u and of v, over [-100, 100] (Hwang and Zhou 2016, 3.6)
_CACHED_PIXELS = 2**18  # of the images computed at a time: three float32 maps of them are 3 MB
_CUDA_PIXELS = 2**22

# SSIM's Gaussian window, 11 x 11 of sigma 1.5 (Wang et al. 2004): one half of it, from the middle outwards.
_RADIUS = 5
_TAPS = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(_RADIUS + 1)]
_WINDOW = [tap / (2 * sum(_TAPS) - _TAPS[0]) for tap in _TAPS]


class _Photos:
    """Photographs in the colour spaces that metrics ask for, each converted when first asked for.

    Attributes:
        rgb: sRGB in [0, 1], (N, 3, H, W).
    """

    def __init__(self, rgb: Tensor):
        self.rgb = rgb.contiguous()

    @cached_property
    def xyz(self) -> Tensor:
        return color.rgb_to_xyz(self.rgb)

    @cached_property
    def lab(self) -> Tensor:
        return color.xyz_to_lab(self.xyz)

    @cached_property
    def uv(self) -> Tensor:
        """(N, 2, H, W)."""
        return color.xyz_to_luv(self.xyz)[:, 1:]

    @cached_property
    def saturation(self) -> Tensor:
        """Mean over pixels, (N,)."""
        # Not by rgb_to_hsv, most of whose time goes into the hue.
        value, low = self.rgb.amax(dim=1), self.rgb.amin(dim=1)
        return ((value - low) / value.where(value > 0, 1)).mean(dim=(-2, -1))


_Metric = Callable[[_Photos, _Photos], Tensor]


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
    return _in_slices(_rmse_alphabeta, preds, target)


def _rmse_alphabeta(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(_psnr, preds, target)


def _psnr(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(_bin_accuracy, preds, target)


def _bin_accuracy(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(_luv_squared_error, preds, target)


def _luv_squared_error(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(_saturation_difference, preds, target)


def _saturation_difference(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(_lab_mse, preds, target)


def _lab_mse(preds: _Photos, target: _Photos) -> Tensor:
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
    return _in_slices(lambda p, t: _angular_error(p, t, threshold), preds, target)


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
    found = [_angles(x, y, threshold) for x, y in _pairs(preds, target)]
    return torch.cat([values.where(counts, math.nan) for values, counts in found])


def _angular_error(preds: _Photos, target: _Photos, threshold: float = 150) -> Tensor:
    angles, counts = _angles(preds, target, threshold)
    pixels = counts.sum(dim=(-2, -1))
    return ((angles * counts).sum(dim=(-2, -1)) / pixels.clamp(min=1)).where(pixels > 0, math.nan)


def _angles(preds: _Photos, target: _Photos, threshold: float) -> tuple[Tensor, Tensor]:
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
    return _in_slices(_ciede2000, preds, target)


def _ciede2000(preds: _Photos, target: _Photos) -> Tensor:
    return delta_e_2000(preds.lab, target.lab).mean(dim=(-2, -1))


def delta_e_2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Colour difference Delta E 2000 of each pixel (Sharma, Wu and Dalal 2005, with kL = kC = kH = 1).

    The formula itself jumps where hues are opposite: there rounding may move it by some hundredths.

    Args:
        lab1: CIE Lab, L in [0, 100], (*, 3, H, W).
        lab2: CIE Lab, L in [0, 100], (*, 3, H, W).

    Returns:
        (*, H, W), at least 0; float32 is good to 1e-4.

    Example:
        >>> import torch
        >>> first, second = torch.tensor([50.0, 2.6772, -79.7751]), torch.tensor([50.0, 0, -82.7485])
        >>> delta_e_2000(first.view(3, 1, 1), second.view(3, 1, 1)).item()
        2.0424...
    """
    _check_alike("(*, 3, H, W)", "CIE Lab, L in [0, 100]", lab1=lab1, lab2=lab2)
    (l1, a1, b1), (l2, a2, b2) = lab1.unbind(dim=-3), lab2.unbind(dim=-3)
    # Near gray, a is stretched by up to a half.
    stretch = 1.5 - 0.5 * _vividness((_hypotenuse(a1, b1) + _hypotenuse(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = _hypotenuse(a1, b1), _hypotenuse(a2, b2)
    # In [0, 2 pi), on which rests how the formula turns between opposite hues: half a turn either way stays as it is.
    hue1, hue2 = (angle(b, a) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    turn = hue2 - hue1
    turn = turn - 2 * math.pi * (turn / (2 * math.pi)).round()
    hue, chroma, lightness = (hue1 + turn / 2) % (2 * math.pi), (chroma1 + chroma2) / 2, (l1 + l2) / 2 - 50

    weight = (
        1
        - 0.17 * (hue - math.radians(30)).cos()
        + 0.24 * (2 * hue).cos()
        + 0.32 * (3 * hue + math.radians(6)).cos()
        - 0.20 * (4 * hue - math.radians(63)).cos()
    )
    squared = lightness.square()
    dl = (l2 - l1) / (1 + 0.015 * squared / (20 + squared).sqrt())
    dc = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    dh = 2 * root(chroma1 * chroma2) * (turn / 2).sin() / (1 + 0.015 * chroma * weight)
    # Only blue is rotated.
    rotation = math.radians(60) * (-((hue - math.radians(275)) / math.radians(25)).square()).exp()
    return root(dl.square() + dc.square() + dh.square() - 2 * rotation.sin() * _vividness(chroma) * dc * dh)


def _hypotenuse(x: Tensor, y: Tensor) -> Tensor:
    return root(x.square() + y.square())


def _vividness(chroma: Tensor) -> Tensor:
    """0 of gray, towards 1 well above a chroma of 25."""
    power = (chroma / 25) ** 7
    return root(power / (1 + power))


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
    return _in_slices(_ssim, preds, target)


def _ssim(preds: _Photos, target: _Photos) -> Tensor:
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
    return _each_in_slices(_colorfulness, x)


def _colorfulness(photos: _Photos) -> Tensor:
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
    return _each_in_slices(_mean_chroma, x)


def _mean_chroma(photos: _Photos) -> Tensor:
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
    parts = [_image_metrics(*pair) for pair in _pairs(preds, target)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _image_metrics(preds: _Photos, target: _Photos) -> dict[str, Tensor]:
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


def _length(x: Tensor) -> Tensor:
    """Euclidean norm over the channels: (N, C, H, W) -> (N, H, W)."""
    # torch.linalg.vector_norm takes ten times as long along this dimension.
    return root(x.square().sum(dim=1))


def _in_slices(metric: _Metric, preds: Tensor, target: Tensor) -> Tensor:
    return torch.cat([metric(*pair) for pair in _pairs(preds, target)])


def _each_in_slices(metric: Callable[[_Photos], Tensor], x: Tensor) -> Tensor:
    check_image(x, "(N, 3, H, W)")
    return torch.cat([metric(photos) for (photos,) in _slices(x=x)])


def _pairs(preds: Tensor, target: Tensor) -> Iterator[tuple[_Photos, ...]]:
    _check_alike(preds=preds, target=target)
    return _slices(preds=preds, target=target)


def _slices(**photos: Tensor) -> Iterator[tuple[_Photos, ...]]:
    first = next(iter(photos.values()))
    pixels = _CUDA_PIXELS if first.is_cuda else _CACHED_PIXELS
    height, width = first.shape[-2:]
    size = max(1, pixels // max(1, height * width))
    for parts in zip(*(x.split(size) for x in photos.values()), strict=True):
        for name, part in zip(photos, parts, strict=True):
            check_photos(part, name=name)  # here, where the values come into the cache anyway
        yield tuple(map(_Photos, parts))


def _check_alike(shape: str = "(N, 3, H, W)", space: str = "sRGB in [0, 1]", **pair: Tensor) -> None:
    for name, x in pair.items():
        check_image(x, shape, name=name, space=space)
    (first, x), (second, y) = pair.items()
    if x.dtype != y.dtype:
        raise TypeError(f"got {first} of {x.dtype} and {second} of {y.dtype}; expected the same: call .to({x.dtype})")
    if x.shape != y.shape:
        shapes = f"{first} of shape {tuple(x.shape)} and {second} of {tuple(y.shape)}"
        raise ValueError(f"got {shapes}; expected one shape {shape}: resize or crop one of them")
