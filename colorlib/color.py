"""Colour spaces as differentiable tensor functions.

Every function takes and returns tensors of shape ``(*, 3, H, W)`` in float32 or float64, on any device, and
keeps dtype and device. sRGB lies in [0, 1]. White is D65 seen by the 2 degree observer, as in scikit-image,
whose constants are used so that the two agree to 1e-9 in float64.

Ranges that sRGB spans: L in [0, 100]; a in [-86.2, 98.2], b in [-107.9, 94.5]; u in [-83.1, 175.0],
v in [-134.1, 107.4]; U in [-0.436, 0.436], V in [-0.615, 0.615]; alpha and beta are unbounded near black.

Types and shapes are checked, values are not: colours outside sRGB are colours too, and training converts at every step.

Raises:
    TypeError: no tensor, or one that is neither float32 nor float64.
    ValueError: a tensor of another shape, or an unknown ``gamut``.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from colorlib._checks import check_image

# IEC 61966-2-1, linear sRGB -> XYZ (D65), to the digits scikit-image prints.
XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
# BT.601 luma with PAL's U and V, the matrix behind skimage.color.rgb2yuv.
YUV_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.14714119, -0.28886916, 0.43601035),
    (0.61497538, -0.51496512, -0.10001026),
)
WHITE_D65 = (0.95047, 1.0, 1.08883)  # CIE 15:2004, 2 degree observer

# sRGB spans a in [-86.2, 98.2] and b in [-107.9, 94.5]: this holds both and keeps gray in the middle.
AB_BOUND = 110.0
# Half the width of the bins' range in Hwang and Zhou 2016, whatever sRGB spans: u in [-83, 175], v in [-134, 107].
UV_BOUND = 100.0
AB_GRID = 256  # cells of 1 along a and b

LAB_EPSILON, LAB_SLOPE, _LAB_OFFSET = 0.008856, 7.787, 16 / 116  # CIE 1976, rounded as scikit-image does
LAB_EPSILON_ROOT = 0.2068966
_LUV_KAPPA = 903.3
# Linear values that count as inside sRGB. Below zero the tolerance weighs 903 units of L* per unit of Y, so it is
# tight; white itself overshoots by 2e-5.
DARKEST, BRIGHTEST = -1e-5, 1 + 1e-4

Gamut = Literal["clip", "reduce", "none"]
"""What to do with colours outside sRGB: clip each channel (as scikit-image), reduce chroma (keeps L*), or nothing."""


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1); any shape."""
    check_image(rgb, "(*)")
    return torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] -> sRGB in [0, 1] (IEC 61966-2-1); any shape; not clipped."""
    check_image(linear, "(*)", space="linear light in [0, 1]")
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)


def rgb_to_xyz(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> CIE XYZ with Y in [0, 1]: (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(rgb)
    return _mix(srgb_to_linear(rgb), XYZ_FROM_RGB)


def xyz_to_rgb(xyz: Tensor, gamut: Literal["clip", "none"] = "clip") -> Tensor:
    """CIE XYZ with Y in [0, 1] -> sRGB: (*, 3, H, W) -> (*, 3, H, W), clipped to [0, 1] unless ``gamut="none"``."""
    check_image(xyz, space="CIE XYZ, Y in [0, 1]")
    _check_gamut(gamut, ("clip", "none"))
    rgb = linear_to_srgb(_xyz_to_linear(xyz))
    return rgb.clamp(0, 1) if gamut == "clip" else rgb


def xyz_to_lab(xyz: Tensor) -> Tensor:
    """CIE XYZ -> CIE Lab, L in [0, 100]: (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(xyz, space="CIE XYZ, Y in [0, 1]")
    fx, fy, fz = (_lab_f(xyz[..., i : i + 1, :, :] / WHITE_D65[i]) for i in range(3))
    return torch.cat([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=-3)


def lab_to_xyz(lab: Tensor) -> Tensor:
    """CIE Lab, L in [0, 100] -> CIE XYZ: (*, 3, H, W) -> (*, 3, H, W). A negative f(Z) counts as 0."""
    check_image(lab, space="CIE Lab, L in [0, 100]")
    lightness, a, b = lab.split(1, dim=-3)
    fy = (lightness + 16) / 116
    f = torch.cat([fy + a / 500, fy, (fy - b / 200).clamp(min=0)], dim=-3)
    return _cubed(f) * _column(WHITE_D65, lab)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> CIE Lab (D65, 2 degrees), L in [0, 100]: (*, 3, H, W) -> (*, 3, H, W)."""
    return xyz_to_lab(rgb_to_xyz(rgb))


def lab_to_rgb(lab: Tensor, gamut: Gamut = "clip") -> Tensor:
    """CIE Lab, L in [0, 100] -> sRGB: (*, 3, H, W) -> (*, 3, H, W).

    Args:
        lab: colours to convert; L outside [0, 100] has no sRGB equal and is clipped.
        gamut: ``"clip"`` cuts each channel to [0, 1], which moves L* by up to several units; ``"reduce"`` first
            scales (a, b) of every colour outside sRGB down until it fits, which keeps L* and hue angle;
            ``"none"`` returns values outside [0, 1] as they come.
    """
    _check_gamut(gamut, ("clip", "reduce", "none"))
    linear = _xyz_to_linear(lab_to_xyz(lab))
    if gamut == "reduce":
        linear = _reduce_chroma(lab, linear)
    rgb = linear_to_srgb(linear)
    return rgb if gamut == "none" else rgb.clamp(0, 1)


def rgb_to_lightness(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> L of CIE Lab alone, in [0, 100]: (*, 3, H, W) -> (*, 1, H, W)."""
    check_image(rgb)
    return 116 * _lab_f(_mix(srgb_to_linear(rgb), XYZ_FROM_RGB[1:2])) - 16


def lightness_to_gray(lightness: Tensor) -> Tensor:
    """L of CIE Lab in [0, 100] -> the sRGB value v in [0, 1] whose gray (v, v, v) has that L; any shape."""
    check_image(lightness, "(*)", space="L of CIE Lab in [0, 100]")
    f = (lightness.clamp(0, 100) + 16) / 116
    luminance = torch.where(f > LAB_EPSILON_ROOT, f**3, (f - _LAB_OFFSET) / LAB_SLOPE)
    return linear_to_srgb(luminance).clamp(0, 1)


def xyz_to_luv(xyz: Tensor) -> Tensor:
    """CIE XYZ -> CIE Luv, L in [0, 100]: (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(xyz, space="CIE XYZ, Y in [0, 1]")
    x, y, z = xyz.split(1, dim=-3)
    lightness = torch.where(y > LAB_EPSILON, 116 * y.clamp(min=LAB_EPSILON) ** (1 / 3) - 16, _LUV_KAPPA * y)
    u0, v0 = luv_white()
    denominator = x + 15 * y + 3 * z + torch.finfo(xyz.dtype).eps
    u = 13 * lightness * (4 * x / denominator - u0)
    v = 13 * lightness * (9 * y / denominator - v0)
    return torch.cat([lightness, u, v], dim=-3)


def luv_to_xyz(luv: Tensor) -> Tensor:
    """CIE Luv, L in [0, 100] -> CIE XYZ: (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(luv, space="CIE Luv, L in [0, 100]")
    lightness, u, v = luv.split(1, dim=-3)
    y = torch.where(lightness > 7.999625, ((lightness + 16) / 116) ** 3, lightness / _LUV_KAPPA)
    u0, v0 = luv_white()
    scale = 13 * lightness + torch.finfo(luv.dtype).eps
    u, v = u0 + u / scale, v0 + v / scale
    c = 3 * y * (5 * v - 3)
    z = ((u - 4) * c - 15 * u * v * y) / (12 * v)
    x = -(c / v + 3 * z)
    return torch.cat([x, y, z], dim=-3)


def rgb_to_luv(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> CIE Luv (D65, 2 degrees), L in [0, 100]: (*, 3, H, W) -> (*, 3, H, W)."""
    return xyz_to_luv(rgb_to_xyz(rgb))


def luv_to_rgb(luv: Tensor, gamut: Literal["clip", "none"] = "clip") -> Tensor:
    """CIE Luv, L in [0, 100] -> sRGB: (*, 3, H, W) -> (*, 3, H, W), clipped to [0, 1] unless ``gamut="none"``."""
    return xyz_to_rgb(luv_to_xyz(luv), gamut)


def rgb_to_yuv(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> YUV, Y in [0, 1] (skimage.color.rgb2yuv): (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(rgb)
    return _mix(rgb, YUV_FROM_RGB)


def yuv_to_rgb(yuv: Tensor) -> Tensor:
    """YUV, Y in [0, 1] -> sRGB: (*, 3, H, W) -> (*, 3, H, W); not clipped."""
    check_image(yuv, space="YUV, Y in [0, 1]")
    return _mix(yuv, inverse(YUV_FROM_RGB))


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> HSV, each in [0, 1], hue 0 where undefined: (*, 3, H, W) -> (*, 3, H, W)."""
    hue, chroma, _ = rgb_to_huechroma(rgb)
    value = rgb.amax(dim=-3, keepdim=True)
    saturation = torch.where(value > 0, chroma / value.where(value > 0, 1), 0)
    return torch.cat([hue, saturation, value], dim=-3)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """HSV, each in [0, 1] (hue is periodic) -> sRGB: (*, 3, H, W) -> (*, 3, H, W)."""
    check_image(hsv, space="HSV in [0, 1]")
    hue, saturation, value = hsv.split(1, dim=-3)
    # Each channel is the value less chroma times a trapezoid over the hue circle, shifted by a third of a turn.
    k = (_column((5, 3, 1), hsv) + 6 * hue) % 6
    trapezoid = torch.minimum(k, 4 - k).clamp(0, 1)
    rgb: Tensor = value - value * saturation * trapezoid
    return rgb


def rgb_to_huechroma(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sRGB in [0, 1] -> hue, chroma and lightness of the colour bicone (Larsson et al. 2016, section 3.2).

    Hue is HSV's, in [0, 1], 0 where undefined; chroma = max - min and lightness = (max + min) / 2 lie in [0, 1].
    (*, 3, H, W) -> three times (*, 1, H, W).
    """
    check_image(rgb)
    high, low = rgb.amax(dim=-3, keepdim=True), rgb.amin(dim=-3, keepdim=True)
    chroma = high - low
    red, green, blue = rgb.split(1, dim=-3)
    safe = chroma.where(chroma > 0, 1)
    sextant = torch.where(
        red == high,
        (green - blue) / safe,
        torch.where(green == high, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = torch.where(chroma > 0, sextant / 6 % 1, 0)
    return hue, chroma, (high + low) / 2


def huechroma_to_rgb(hue: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
    """Hue, chroma and lightness of the colour bicone -> sRGB by V = L + C / 2, S = C / V (Larsson et al. 2016, 3.2).

    Three times (*, 1, H, W) in [0, 1] -> (*, 3, H, W); outside [0, 1] where the chroma does not fit the lightness.
    """
    for name, x in (("hue", hue), ("chroma", chroma), ("lightness", lightness)):
        check_image(x, "(*, 1, H, W)", name=name, space="in [0, 1]")  # integers would turn into float32 below
    value = lightness + chroma / 2
    saturation = torch.where(value > 0, chroma / value.where(value > 0, 1), 0)
    return hsv_to_rgb(torch.cat([hue, saturation, value], dim=-3))


def rgb_to_alphabeta(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> the alpha-beta of Deshpande et al., Larsson et al. 2016 eq. 9: (*, 3, H, W) -> (*, 2, H, W)."""
    check_image(rgb)
    red, green, blue = rgb.split(1, dim=-3)
    scale = (red + green + blue) / 3 + 1e-4
    return torch.cat([(blue - (red + green) / 2) / scale, (red - green) / scale], dim=-3)


def correct_lightness(rgb: Tensor, gray: Tensor) -> Tensor:
    """The lightness correction of Larsson et al. 2016, A.4: add the same to R, G and B, so that their mean is ``gray``.

    sRGB (N, 3, H, W) and (N, 1, H, W) -> (N, 3, H, W); outside [0, 1] where the colour does not fit.
    """
    check_image(rgb, "(N, 3, H, W)")
    check_image(gray, "(N, 1, H, W)", name="gray", space="in [0, 1]")
    return rgb + (gray - rgb.mean(dim=1, keepdim=True))


def bicone_to_lab(hue: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
    """The colour of a hue and a chroma that has the given L of CIE Lab: three times (N, 1, h, w) -> (N, 3, h, w).

    Adding the same to R, G and B changes neither hue nor chroma, so, as in A.4, that brings the colour to its
    lightness: here to L, which has no closed form. May lie outside sRGB.
    """
    pure = huechroma_to_rgb(hue.to(lightness.dtype), chroma.to(lightness.dtype), torch.full_like(lightness, 0.5))
    low, high = -pure.amax(dim=1, keepdim=True), 1 - pure.amin(dim=1, keepdim=True)  # L is 0 at most, 100 at least
    for _ in range(16):
        middle = (low + high) / 2
        darker = rgb_to_lightness(pure + middle) < lightness
        low, high = torch.where(darker, middle, low), torch.where(darker, high, middle)
    return rgb_to_lab(pure + (low + high) / 2)


# Chromaticities (u', v') of sRGB lie in this box, that of white too; beyond it XYZ may be negative or infinite.
_CHROMATICITY_LOW, _CHROMATICITY_HIGH = (0.12, 0.15), (0.46, 0.57)


def uv_to_ab(uv: Tensor, lightness: Tensor) -> Tensor:
    """(u, v) of CIE Luv at L: (N, 2, h, w) and (N, 1, h, w) -> (a, b) of CIE Lab, (N, 2, h, w); may lie outside sRGB.

    In the dark a small u or v is an impossible colour: it is brought back towards white, in its own direction.
    """
    check_image(uv, "(N, 2, h, w)", name="uv", space="u and v of CIE Luv")
    check_image(lightness, "(N, 1, h, w)", name="lightness", space="L of CIE Lab in [0, 100]")
    scale = 1 / (13 * lightness.clamp(min=1e-3))
    factor = torch.ones_like(lightness)
    for offset, middle, low, high in zip(
        (uv * scale).split(1, dim=1), luv_white(), _CHROMATICITY_LOW, _CHROMATICITY_HIGH, strict=True
    ):
        # Not torch.where(..., number, number), which is of torch's default type.
        room = torch.full_like(offset, high - middle).where(offset > 0, middle - low)
        factor = torch.minimum(factor, room / offset.abs().clamp(min=1e-9))
    luv = torch.cat([lightness, uv * factor], dim=1)
    return xyz_to_lab(luv_to_xyz(luv))[:, 1:]


def _reduce_chroma(lab: Tensor, linear: Tensor) -> Tensor:
    """Linear RGB of ``lab`` in which each colour outside sRGB goes to the edge of sRGB at its L and hue angle.

    That is the largest chroma that fits, but for some yellows (L 91.6 to 98.4, hue 97 to 107 degrees): there growing
    chroma leaves sRGB by up to 0.9 % of red and comes back, and the bisection may settle on the inner edge.
    """
    outside = ((linear < DARKEST) | (linear > BRIGHTEST)).any(dim=-3)
    if lab.device.type != "cpu" and not torch.compiler.is_exporting():
        # All colours take part, so that an accelerator need not tell the host how many are outside.
        reduced = torch.stack(bisected(*lab.unbind(dim=-3)), dim=-3)
        return torch.where(outside.unsqueeze(-3), reduced, linear)
    if not torch.compiler.is_exporting() and not outside.any():  # an exported graph cannot depend on values
        return linear
    channels_last = linear.movedim(-3, -1).clone()
    channels_last[outside] = torch.stack(bisected(*lab.movedim(-3, -1)[outside].T.contiguous()), dim=-1)
    return channels_last.movedim(-1, -3)


def bisected(lightness: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
    """Linear R, G and B of colours whose chroma is scaled until they fit into sRGB; any shape."""
    fy = (lightness + 16) / 116
    y = _cubed(fy) * WHITE_D65[1]

    def linear_at(factor: Tensor) -> list[Tensor]:
        """As by lab_to_xyz, whose Y does not depend on the factor."""
        x = _cubed(fy + a * factor / 500) * WHITE_D65[0]
        z = _cubed((fy - b * factor / 200).clamp(min=0)) * WHITE_D65[2]
        return [row[0] * x + row[1] * y + row[2] * z for row in inverse(XYZ_FROM_RGB)]

    smallest, largest = torch.zeros_like(a), torch.ones_like(a)
    with torch.no_grad():
        for _ in range(14):  # chroma to 1 / 16,384 of itself
            middle = (smallest + largest) / 2
            red, green, blue = linear_at(middle)
            least, greatest = torch.minimum(red, green).minimum(blue), torch.maximum(red, green).maximum(blue)
            fits = (least >= DARKEST) & (greatest <= BRIGHTEST)
            smallest, largest = torch.where(fits, middle, smallest), torch.where(fits, largest, middle)
    return linear_at(smallest)


def _cubed(f: Tensor) -> Tensor:
    """The inverse of :func:`_lab_f`."""
    return torch.where(f > LAB_EPSILON_ROOT, f**3, (f - _LAB_OFFSET) / LAB_SLOPE)


def _lab_f(t: Tensor) -> Tensor:
    return torch.where(t > LAB_EPSILON, t.clamp(min=LAB_EPSILON) ** (1 / 3), LAB_SLOPE * t + _LAB_OFFSET)


def luv_white() -> tuple[float, float]:
    """u' and v' of white, whose u and v of CIE Luv are 0."""
    x, y, z = WHITE_D65
    return 4 * x / (x + 15 * y + 3 * z), 9 * y / (x + 15 * y + 3 * z)


def _xyz_to_linear(xyz: Tensor) -> Tensor:
    return _mix(xyz, inverse(XYZ_FROM_RGB))


Matrix = tuple[tuple[float, ...], ...]


def _mix(image: Tensor, matrix: Matrix) -> Tensor:
    # Sums, not a matrix product: autocast would run that in bfloat16, and CUDA in TF32.
    first, second, third = image.split(1, dim=-3)
    return torch.cat([row[0] * first + row[1] * second + row[2] * third for row in matrix], dim=-3)


@cache
def inverse(matrix: Matrix) -> Matrix:
    """The inverse of a 3 x 3 matrix."""
    return tuple(map(tuple, torch.linalg.inv(torch.tensor(matrix, dtype=torch.float64, device="cpu")).tolist()))


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def _check_gamut(gamut: str, choices: tuple[str, ...]) -> None:
    if gamut not in choices:
        raise ValueError(f"expected gamut to be one of {', '.join(choices)}, got {gamut!r}")
