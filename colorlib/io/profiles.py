"""Colour spaces, declared by an ICC profile or otherwise -> sRGB. LittleCMS computes, at the picture's own depth."""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from colorlib.io import store
from colorlib.io.photo import Pixels, looked_up, strips

Primaries: TypeAlias = tuple[float, ...]
"""CIE xy of white, red, green and blue: eight numbers."""

_D65 = (0.3127, 0.3290)
SRGB: Primaries = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE: Primaries = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 563 / 256
_PNG_SRGB_GAMMA = 0.45455  # what PNG asks writers of sRGB to put into gAMA, see its section on the chunk sRGB

# ITU-T H.273, tables 2 and 3: the code points that pictures use.
H273_PRIMARIES: dict[int, Primaries] = {
    1: SRGB,
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_H273_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_H273_CAMERA = (1, 6, 14, 15)  # the one curve of BT.709, BT.601 and BT.2020
_H273_SRGB = 13
_UNSPECIFIED = 2


# What is declared without a profile -> a profile


def of_numbers(primaries: Primaries, curve: float | str) -> bytes | None:
    """The ICC profile of such a space; None for sRGB.

    Args:
        primaries: of white, red, green and blue.
        curve: the exponent from stored to linear values, or "sRGB" or "BT.709".
    """
    if curve == "sRGB" and np.allclose(primaries, SRGB, rtol=0, atol=5e-4):
        return None
    return _profile(primaries, curve)


@lru_cache(maxsize=64)
def _profile(primaries: Primaries, curve: float | str) -> bytes:
    stored = np.linspace(0, 1, 4096)
    if curve == "sRGB":
        linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    else:  # BT.709-6, 1.2
        linear = np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))
    shape = {"gamma": curve} if isinstance(curve, float) else {"transferfunction": np.rint(linear * 65535).astype("u2")}
    points = [value for xy in zip(primaries[2::2], primaries[3::2], strict=True) for value in (*xy, 1.0)]
    profile: bytes = imagecodecs.cms_profile("rgb", whitepoint=[*primaries[:2], 1.0], primaries=points, **shape)
    return profile


def of_code_points(primaries: int, transfer: int, notes: list[str]) -> bytes | None:
    """The profile of a space as video names it (ITU-T H.273), in PNG's cICP and in the nclx box of AVIF and HEIF."""
    curve: float | str | None = "sRGB" if transfer in (_H273_SRGB, _UNSPECIFIED) else _H273_GAMMAS.get(transfer)
    curve = "BT.709" if transfer in _H273_CAMERA else curve
    points = SRGB if primaries == _UNSPECIFIED else H273_PRIMARIES.get(primaries)
    if curve is None or points is None:
        what = {16: "PQ, high dynamic range", 18: "HLG, high dynamic range"}.get(transfer, f"transfer {transfer}")
        notes.append(
            f"its colour space (H.273 primaries {primaries}, {what}) is not known here; the picture was taken as sRGB"
        )
        return None
    return of_numbers(points, curve)


def of_png(chunks: Mapping[bytes, bytes], profile: bytes | None, notes: list[str]) -> tuple[bytes | None, bool]:
    """The profile of a PNG, and whether it says at all which colours it means.

    The order of precedence is that of the specification (third edition, 4.3): cICP, iCCP, sRGB, gAMA and cHRM.

    Args:
        chunks: its chunks of these names.
        profile: the content of its iCCP.
        notes: for warnings.
    """
    if len(cicp := chunks.get(b"cICP", b"")) >= 4:
        if cicp[2:4] == b"\0\1":
            return of_code_points(cicp[0], cicp[1], notes), True
        notes.append("its colours are declared (cICP) in a way that PNG does not allow; that was passed over")
    if profile:
        return profile, True
    if b"sRGB" in chunks:
        return None, True
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 1e5 if len(chunks.get(b"gAMA", b"")) == 4 else 0.0
    given = _points(struct.unpack(">8I", chunks[b"cHRM"])) if len(chunks.get(b"cHRM", b"")) == 32 else None
    return of_gamma(gamma, given, notes)


def of_gamma(gamma: float, given: Primaries | None, notes: list[str]) -> tuple[bytes | None, bool]:
    """The profile of gAMA (0 if there is none) and cHRM, and whether they could be used."""
    if gamma and not 0.1 <= gamma <= 10:
        notes.append(f"its gamma (gAMA {gamma:g}) is none that a picture has; it was passed over")
        gamma = 0.0
    if given and not _are_colours(given):
        notes.append("its primaries (cHRM) are no colours; they were passed over")
        given = None
    # 0.45455 stands for the curve of sRGB itself: programs write it into every file of theirs.
    curve: float | str = "sRGB" if not gamma or abs(gamma - _PNG_SRGB_GAMMA) < 1e-4 else 1 / gamma
    return of_numbers(given or SRGB, curve), bool(gamma or given)


def _points(values: Sequence[int]) -> Primaries:
    return tuple(value / 1e5 for value in values)


def _are_colours(points: Primaries) -> bool:
    corners = np.array([*zip(points[2::2], points[3::2], [1.0] * 3, strict=True)])
    return all(0 < y <= 1 and 0 <= x <= 1 for x, y in zip(points[::2], points[1::2], strict=True)) and bool(
        abs(np.linalg.det(corners)) > 1e-3
    )


def of_exif(exif: Image.Exif, notes: list[str]) -> bytes | None:
    """The profile of a picture that only its EXIF block or its TIFF tags speak for: Adobe RGB (DCF 2.0, 3.2.1) or sRGB.

    TIFF has tags for the primaries too (TIFF 6.0, section 20).
    """
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    space = inner.get(ExifTags.Base.ColorSpace)
    if space == 1:
        return None
    if space is None:
        return _of_tags(exif, inner.get(ExifTags.Base.Gamma), notes)
    try:
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1, "")
    except KeyError:  # there is no such directory
        index = ""
    if str(index).startswith("R03") or space == 2:  # 2 is in no standard; cameras and exiftool mean Adobe RGB by it
        return of_numbers(_ADOBE, _ADOBE_GAMMA)
    if ExifTags.Base.PrimaryChromaticities in exif:
        return _of_tags(exif, inner.get(ExifTags.Base.Gamma), notes)
    notes.append("its EXIF block calls the colours uncalibrated, and no profile is there; they were taken as sRGB")
    return None


def _of_tags(exif: Image.Exif, gamma: float | None, notes: list[str]) -> bytes | None:
    """WhitePoint and PrimaryChromaticities."""
    if ExifTags.Base.TransferFunction in exif:
        notes.append("its transfer function (TIFF tag 301) was passed over; the curve of sRGB was taken")
    if ExifTags.Base.PrimaryChromaticities not in exif:
        return None
    white = exif.get(ExifTags.Base.WhitePoint, _D65)
    points = tuple(float(value) for value in (*white, *exif[ExifTags.Base.PrimaryChromaticities]))
    if len(points) != 8 or not _are_colours(points):
        notes.append("its primaries (TIFF tag 319) are no colours; they were passed over")
        return None
    return of_numbers(points, float(gamma) if gamma and 0.1 <= gamma <= 10 else "sRGB")


def of_bmp(header: bytes, notes: list[str]) -> bytes | None:
    """The profile that a BMP carries behind its pixels: BITMAPV5HEADER. What else it may declare is named.

    Args:
        header: the file.
        notes: for warnings.
    """
    length, space = int.from_bytes(header[14:18], "little"), header[70:74]
    if length < 108 or space in (b"BGRs", b" niW"):  # sRGB, and what the host has for it
        return None
    if length >= 124 and space == b"DEBM":  # embedded
        start, count = struct.unpack_from("<II", header, 14 + 112)
        return header[14 + start : 14 + start + count]
    if any(header[74:110]):  # primaries; programs that know of none leave zeros
        notes.append("its colour space, declared in the header of the BMP, was passed over; it was taken as sRGB")
    return None


# A profile -> sRGB


def to_srgb(pixels: Pixels, icc: bytes) -> Pixels:
    """Gray or RGB in the space of a profile -> sRGB of the same depth; floats become uint16; alpha stays.

    A profile that moves no colour by more than 1/255 is sRGB, and its rounding would only tint grays: it is
    left out. Colours of an array that may be written to are converted in place.

    Raises:
        Exception: whatever LittleCMS makes of a broken profile; the pixels are then as before.
    """
    of_gray = icc[16:20] == b"GRAY"
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
    probe = ramp if of_gray else cube
    if np.abs(transform(probe, icc) - probe.astype(int)).max() <= 1:
        return pixels
    if pixels.shape[2] >= 3 and of_gray:
        raise ValueError("it is for b'GRAY', the picture is rgb")
    if pixels.dtype.kind == "f":
        pixels = _deep(pixels)
    if pixels.shape[2] >= 3:
        converted = pixels if pixels.flags.writeable else pixels.copy()
        for top, end in strips(*pixels.shape[:2]):
            converted[top:end, :, :3] = transform(np.ascontiguousarray(pixels[top:end, :, :3]), icc)
            store.let_go(converted)
        return converted
    levels = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=pixels.dtype)[None, :, None]
    # Green stands for all three channels, so that gray stays gray to the last bit.
    table = transform(levels if of_gray else levels.repeat(3, axis=2), icc)[0, :, 1]
    converted = looked_up(table, pixels)
    for top, end in strips(*pixels.shape[:2]) if pixels.shape[2] > 1 else ():
        converted[top:end, :, 1:] = pixels[top:end, :, 1:]
        store.let_go(pixels, converted)
    return converted


def _deep(pixels: Pixels) -> Pixels:
    """Floats -> uint16."""
    levels = store.empty(pixels.shape, np.uint16)
    for top, end in strips(*pixels.shape[:2]):
        levels[top:end] = np.rint(pixels[top:end] * 65535)
        store.let_go(pixels, levels)
    return levels


def cmyk_to_srgb(pixels: NDArray[np.uint8], icc: bytes) -> Pixels:
    """CMYK (H, W, 4) -> sRGB (H, W, 3)."""
    converted: Pixels = store.empty((*pixels.shape[:2], 3), np.uint8)
    for top, end in strips(*pixels.shape[:2]):
        converted[top:end] = transform(pixels[top:end], icc)
        store.let_go(converted)
    return converted


def transform(values: Pixels, icc: bytes) -> Pixels:
    """Gray, RGB or CMYK (H, W, 1, 3 or 4), uint8 or uint16, in the space of a profile -> sRGB (H, W, 3)."""
    space = {1: "gray", 3: "rgb", 4: "cmyk"}[values.shape[2]]
    if icc[16:20].strip() != space.upper().encode():
        raise ValueError(f"it is for {icc[16:20]!r}, the picture is {space}")
    cms = imagecodecs.CMS
    # At 16 bits LittleCMS would interpolate in a coarse table, 8 % off near black: make it compute, 0.2 s a megapixel.
    flags = cms.FLAGS.NOOPTIMIZE if values.dtype == np.uint16 else None
    converted: Pixels = imagecodecs.cms_transform(
        values[..., 0] if space == "gray" else values,
        icc,
        imagecodecs.cms_profile("srgb"),
        colorspace=space,
        outcolorspace="rgb",
        intent=cms.INTENT.PERCEPTUAL,
        flags=flags,
    )
    return converted
