"""Files, bytes, PIL images and arrays <-> float sRGB: the only room that knows file formats and uint8.

``read`` makes a ``Photo`` of anything that shows one: sRGB in [0, 1], upright, alpha apart. What cannot be
read raises ``ImageError``, whatever the decoder made of it: one bad file never stops a batch. ``write`` puts
a picture down in one piece or not at all.

Pillow reads every format, but cuts 16-bit colour to 8 bits. So PNG of 16 bits goes to imagecodecs, and gray
or RGB TIFF of more than 8 bits to tifffile. LittleCMS applies colour profiles, at the picture's own depth.
"""

import io
import os
import struct
import tarfile
import threading
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, TypeAlias, TypeVar

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from tifffile import PHOTOMETRIC
from torch import Tensor

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""What ``read`` takes: a path, a file's bytes, an open binary file, a PIL image, an array or a tensor."""

Pixels: TypeAlias = NDArray[Any]
"""(H, W, C), C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; uint8, uint16, or float in [0, 1]."""

Dpi: TypeAlias = tuple[float, float]
"""Pixels per inch, horizontal and vertical."""

_FORMATS = {f".{name.lower()}": name for name in ("BMP", "JPEG", "PNG", "TIFF", "WEBP")}
_FORMATS |= {".jpg": "JPEG", ".tif": "TIFF"}
WRITABLE = frozenset(_FORMATS)
"""The file suffixes that ``write`` knows."""

# Photographs only, each known by a signature: no vector formats (EPS would run Ghostscript), no TGA (a text
# may look like one). HEIF is there once pillow-heif has registered itself.
READABLE = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF

# What a photo says about itself. Other tags describe the file it came in: its strips, thumbnail, resolution.
_TAG = ExifTags.Base
_EXIF_KEPT = {_TAG.ImageDescription, _TAG.Make, _TAG.Model, _TAG.Software, _TAG.DateTime, _TAG.Artist}
_EXIF_KEPT |= {_TAG.HostComputer, _TAG.Rating, _TAG.Copyright}
# Addresses within the block, or full of such: they dangle when it is written anew.
_EXIF_ADDRESSES = {_TAG.MakerNote, ExifTags.IFD.Interop}
_NO_EXIF = Image.Exif().tobytes()

_MAX_PIXELS = 200_000_000
_OVERSHOOT = 1e-5  # of [0, 1], by rounding in float32
_pillow_limit_lock = threading.Lock()
_Named = TypeVar("_Named")


class ImageError(ValueError):
    """No readable picture, or one we cannot take: says what came, what was expected and what to do."""


class TooLargeError(ImageError):
    """More pixels than are allowed."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as the models see it, with what is needed to write it back.

    Attributes:
        rgb: sRGB, (3, H, W) float32 in [0, 1], upright; a gray picture has R = G = B.
        alpha: opacity, (1, H, W) float32 in [0, 1], if the source has it; not multiplied into ``rgb``.
        bit_depth: 8 or 16, of the source; a file of floats counts as 16, an array or tensor of floats as 8.
        exif: EXIF block for ``write``, with orientation 1, without thumbnail and maker note.
        dpi: pixels per inch, horizontal and vertical.
        name: the file's name, or a word such as "array".
    """

    rgb: Tensor
    alpha: Tensor | None = None
    bit_depth: int = 8
    exif: bytes | None = None
    dpi: Dpi | None = None
    name: str = "picture"


def read(source: Source, *, max_pixels: int = _MAX_PIXELS) -> Photo:
    """Anything that shows a photo -> sRGB in [0, 1], (3, H, W).

    Files are turned upright by their EXIF orientation and brought to sRGB by their colour profile (perceptual
    intent); without one they are taken as sRGB. Of an animation, or a file of many pages, the first is read.

    Args:
        source: a path; a file's bytes or an open binary file; a PIL image of any mode (Pillow opens 16-bit
            colour as 8 bits: better pass the file); an array (H, W) or (H, W, C), C = 1 gray, 2 gray and
            alpha, 3 RGB, 4 RGB and alpha, of uint8, uint16, bool, or float in [0, 1]; a tensor of the same
            with channels first.
        max_pixels: the largest width x height to take; a file's header is asked before anything is decoded.

    Raises:
        ImageError: damaged, cut short, too large, no picture, or of a wrong shape, type or range.
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, Tensor | np.ndarray):
        name = "tensor" if isinstance(source, Tensor) else "array"
        raster = _Raster(_array_pixels(source, name))
    elif isinstance(source, Image.Image):
        name = Path(os.fsdecode(getattr(source, "filename", ""))).name or "PIL image"
        _check_size(source.size, max_pixels, name)
        with _decoding(name):
            raster = _pillow_raster(source, name)
    else:
        stream, name = _open(source)
        with stream, _decoding(name):
            raster = _file_raster(stream, max_pixels, name)
    height, width = raster.pixels.shape[:2]
    _check_size((width, height), max_pixels, name)
    return _photo(raster, name)


def write(
    path: str | os.PathLike[str],
    rgb: Tensor,
    *,
    alpha: Tensor | None = None,
    bit_depth: int = 8,
    exif: bytes | None = None,
    dpi: Dpi | None = None,
    provenance: str | None = None,
    quality: int = 95,
) -> None:
    """The picture (3, H, W), sRGB in [0, 1] -> a file, whole or not at all, in the format of its suffix.

    PNG, TIFF (deflate), WebP and BMP are lossless. PNG and TIFF hold 16 bits, the others 8. JPEG and BMP hold
    no alpha: such a picture is laid on white, with a warning. No colour profile is embedded, since readers
    then assume sRGB; PNG says so in its sRGB chunk.

    Args:
        path: where to; a file of that name is replaced, in one step, when the new one is complete.
        rgb: the picture, of any float type, on any device.
        alpha: opacity, (1, H, W) in [0, 1].
        bit_depth: 8 or 16.
        exif: EXIF block as in ``Photo.exif``; all formats but BMP keep it.
        dpi: pixels per inch, horizontal and vertical.
        provenance: who made this picture, for ``read_provenance``. It becomes the EXIF or TIFF tag
            "Software", in PNG the text chunk (iTXt) of that name too, in JPEG the comment too. BMP has no
            place for it.
        quality: of JPEG, 1 to 100; its colour is never subsampled.

    Raises:
        ImageError: an unknown suffix, a wrong shape, values outside [0, 1], or more than the format can hold.
        FileNotFoundError: there is no such folder.
    """
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        suffixes = ", ".join(sorted(WRITABLE))
        raise ImageError(f"{path.name}: got suffix {path.suffix!r}; expected one of {suffixes}; rename it")
    if bit_depth not in (8, 16):
        raise ImageError(f"{path.name}: got bit_depth={bit_depth}; expected 8 or 16")
    planes = _output_planes(rgb, alpha)
    if alpha is not None and kind in ("JPEG", "BMP"):
        warnings.warn(f"{path.name}: {kind} holds no alpha, laid on white; PNG would keep it", stacklevel=2)
        planes = planes[:3] * planes[3:] + (1 - planes[3:])
    pixels = _quantize(planes, bit_depth if kind in ("PNG", "TIFF") else 8)
    try:
        block = _new_exif(exif, dpi, provenance)
        if kind == "PNG":
            data = _encode_png(pixels, block, dpi, provenance)
        elif kind == "TIFF":
            data = _encode_tiff(pixels, block, dpi)
        else:
            data = _encode_by_pillow(pixels, kind, block, dpi, provenance, quality)
    except Exception as error:
        got = f"{pixels.shape[1]} x {pixels.shape[0]} pixels do not go into {kind} ({error})"
        raise ImageError(f"{path.name}: {got}; try PNG or TIFF, or without exif") from error
    write_whole(path, data)


def read_provenance(path: str | os.PathLike[str]) -> str | None:
    """The provenance that ``write`` put into a file, if any.

    It stands where other programs name themselves, so a file of theirs gives their name.

    Raises:
        ImageError: no readable picture.
        FileNotFoundError: there is no such file.
    """
    stream, name = _open(path)
    with stream, _decoding(name):
        image = _open_image(stream, _MAX_PIXELS, name)
        if image.format == "PNG":  # asked for its EXIF, Pillow would decode all pixels
            text = image.info.get("Software")
            return None if text is None else str(text)
        software = image.getexif().get(_TAG.Software)
        # Pillow takes the text for Latin-1.
        return None if software is None else str(software).encode("latin-1").decode("utf-8", "replace")


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes of all formats that ``read`` knows: of a folder, the files that have one are taken."""
    pillow = {suffix for suffix, kind in Image.registered_extensions().items() if kind in READABLE}
    return WRITABLE | pillow


def sources(paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[str, Path | bytes]]:
    """Photographs one by one, each under a name and as ``read`` takes it; nothing is decoded.

    Args:
        paths: files, taken whatever they are called; folders, whose images are found by suffix, with those of the
            folders below them, sorted, but none that is hidden; and ``.tar`` shards as WebDataset has them, which are
            read as a stream, their images also found by suffix.

    Yields:
        A file's path, as text and as ``Path``; of a shard, ``shard.tar/key.jpg`` and the file's bytes.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ImageError: a folder or shard without photographs, or a damaged shard.
    """
    for path in map(Path, paths):
        if not path.exists():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            expected = "expected a photograph, a folder of them or a .tar shard"
            raise FileNotFoundError(f"{path}: there is no such file{where}; {expected}")
        if path.is_dir():
            yield from _some(_in_folder(path), f"{path}: no photograph is in this folder")
        elif path.suffix.lower() == ".tar":
            yield from _some(_in_shard(path), f"{path}: no photograph is in this shard")
        else:
            yield str(path), path


def to_pil(rgb: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """sRGB (3, H, W) and alpha (1, H, W) in [0, 1] -> 8-bit PIL image, RGB or RGBA, rounded to nearest."""
    return Image.fromarray(_quantize(_output_planes(rgb, alpha), 8))


def _in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        if _is_shown_image(file.relative_to(folder)) and file.is_file():
            yield str(file), file


def _in_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|*") as shard:
            for member in shard:
                content = shard.extractfile(member) if _is_shown_image(Path(member.name)) else None
                if content is not None:  # as of a folder
                    yield f"{path}/{member.name}", content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ImageError(f"{path}: cannot be read as a tar archive ({error}); copy or download it again") from error


def _some(found: Iterable[_Named], complaint: str) -> Iterator[_Named]:
    """What was found, provided that it is something."""
    empty = True
    for source in found:
        empty = False
        yield source
    if empty:
        raise ImageError(f"{complaint}; expected files such as .jpg or .png")


def _is_shown_image(path: Path) -> bool:
    """By its name."""
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in image_suffixes() and not hidden


class _Metadata(NamedTuple):
    orientation: int = 1
    exif: bytes | None = None
    dpi: Dpi | None = None


class _Raster(NamedTuple):
    """Pixels as decoded, and what is still to be done to them."""

    pixels: Pixels
    icc: bytes | None = None
    metadata: _Metadata = _Metadata()
    premultiplied: bool = False
    bit_depth: int = 8


def _photo(raster: _Raster, name: str) -> Photo:
    orientation, exif, dpi = raster.metadata
    pixels = raster.pixels.astype(raster.pixels.dtype.newbyteorder("="), copy=False)
    _check_values(pixels, name)
    if raster.icc:
        try:
            pixels = _to_srgb(pixels, raster.icc)
        except Exception as error:
            _pass_over(f"{name}: its colour profile", error)
    # EXIF's eight orientations (CIPA DC-008, tag 274) are undone on a view.
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    channels = pixels.shape[2]
    rgb = _planes(pixels[..., : 3 if channels >= 3 else 1], 3)
    alpha = _planes(pixels[..., -1:], 1) if channels in (2, 4) else None
    if raster.premultiplied and alpha is not None:
        rgb.div_(alpha.clamp(min=1e-6)).clamp_(max=1)
    return Photo(rgb, alpha, 16 if pixels.dtype == np.uint16 else raster.bit_depth, exif, dpi, name)


def _planes(pixels: Pixels, channels: int) -> Tensor:
    """(H, W, 1 or channels), integers or floats -> (channels, H, W) float32 in [0, 1], without copies between."""
    planes = torch.empty(channels, *pixels.shape[:2])
    peak = np.float32(1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    np.divide(pixels.transpose(2, 0, 1), peak, out=planes.numpy(), dtype=np.float32, casting="same_kind")
    return planes.clamp_(0, 1) if pixels.dtype.kind == "f" else planes


# Decoders


def _open(source: object) -> tuple[IO[bytes], str]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; pass the pictures in it one by one")
        try:
            return path.open("rb"), path.name
        except ValueError as error:  # a NUL in it
            raise ImageError(f"{str(path)!r:.99} is no path ({error}); pass a file's content as bytes") from None
        except FileNotFoundError:
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise FileNotFoundError(f"{path}: there is no such file{where}; check the path") from None
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "bytes"
    if not hasattr(source, "read"):
        kinds = "a path, bytes, an open binary file, a PIL image, an array or a tensor"
        raise ImageError(f"got an object of type {type(source).__name__}; expected {kinds}")
    name, content = getattr(source, "name", None), source.read()
    name = Path(name).name if isinstance(name, str) else "stream"
    if not isinstance(content, bytes):
        raise ImageError(f"{name}: got a file opened as text; expected a binary one: open(path, 'rb')")
    return io.BytesIO(content), name


def _file_raster(stream: IO[bytes], max_pixels: int, name: str) -> _Raster:
    head = stream.read(26)
    if not head:
        raise ImageError(f"{name}: the file is empty, 0 bytes; copy or download it again")
    if head.startswith(_TIFF_SIGNATURES) and (raster := _deep_tiff_raster(stream, max_pixels, name)):
        return raster
    image = _open_image(stream, max_pixels, name)
    if not head.startswith(_PNG_SIGNATURE) or head[24] != 16:  # the bit depth in IHDR
        return _pillow_raster(image, name)
    stream.seek(0)
    data = stream.read()
    pixels = _array_pixels(imagecodecs.png_decode(data), name)
    # Asked for EXIF, Pillow decodes all pixels in its turn, since it may stand behind them.
    exif = image.getexif if b"eXIf" in data else partial(Image.Image.getexif, image)
    return _Raster(pixels, image.info.get("icc_profile"), _metadata(exif, image.info, name))


def _open_image(stream: IO[bytes], max_pixels: int, name: str) -> Image.Image:
    """Header only. Pillow's own limit on pixels, a global, gives way to ours meanwhile."""
    Image.init()
    formats = [kind for kind in READABLE if kind in Image.OPEN]
    with _pillow_limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        pillow_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            image = Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            stream.seek(0)
            got = f"no picture that can be read, it begins with {stream.read(12)!r}"
            expected = ", ".join(formats)
            raise ImageError(f"{name}: {got}; expected one of {expected}; convert it to PNG") from None
        except Image.DecompressionBombError:
            raise _too_large("far more pixels", max_pixels, name) from None
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
    _check_size(image.size, max_pixels, name)
    return image


def _pillow_raster(image: Image.Image, name: str) -> _Raster:
    image.load()
    metadata = _metadata(image.getexif, image.info, name)  # after load, which turns a TIFF upright
    icc, mode = image.info.get("icc_profile"), image.mode
    if mode == "F":
        return _Raster(np.asarray(image)[..., None], icc, metadata)
    if mode.startswith("I"):  # "I" has 32 bits, but holds 16-bit pictures
        integers = np.asarray(image)
        if not 0 <= integers.min() <= integers.max() <= 65535:
            got = f"got 32-bit integers from {integers.min()} to {integers.max()}"
            raise ImageError(f"{name}: {got}; expected 0 to 65535; scale them to 16 bits")
        return _Raster(integers[..., None].astype(np.uint16, copy=False), icc, metadata)
    if mode == "CMYK" and icc:
        try:
            return _Raster(_transform(np.asarray(image), icc), None, metadata)
        except Exception as error:
            _pass_over(f"{name}: its colour profile", error)
    plain = "L" if mode in ("1", "L", "LA", "La") else "RGB"
    plain += "A" if image.has_transparency_data else ""
    pixels = np.asarray(image if mode == plain else image.convert(plain))
    return _Raster(pixels.reshape(*pixels.shape[:2], -1), None if mode in ("CMYK", "LAB") else icc, metadata)


def _deep_tiff_raster(stream: IO[bytes], max_pixels: int, name: str) -> _Raster | None:
    """The first page of a TIFF, if it is gray or RGB of more than 8 bits; None if it is for Pillow."""
    stream.seek(0)
    with tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        if page.is_reduced and page.subifds:
            raise ImageError(f"{name}: a camera's raw file, expected a picture; develop it to TIFF or JPEG")
        if page.bitspersample <= 8 or page.photometric > PHOTOMETRIC.RGB:  # 0 and 1 are gray, 2 is RGB
            return None
        colours = 3 if page.photometric == PHOTOMETRIC.RGB else 1
        _check_size((page.imagewidth, page.imagelength), max_pixels, name)
        if page.dtype is None or page.dtype.kind not in "uf" or page.dtype in (np.uint32, np.uint64):
            got = f"got samples of {page.bitspersample} bits, {page.dtype}"
            raise ImageError(f"{name}: {got}; expected 8 or 16 bits, or float in [0, 1]; save it with 16 bits")
        if page.axes not in ("YX", "YXS", "SYX") or not colours <= page.samplesperpixel <= 8:
            raise ImageError(f"{name}: got {page.samplesperpixel} samples a pixel; expected gray or RGB")
        if not all(page.databytecounts):  # tifffile would fill in black
            raise ImageError(f"{name}: parts of the picture are missing; the file is cut short, copy it again")
        pixels = page.asarray()
        pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
        pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
        if page.bitspersample < 16:
            pixels = pixels / np.float32(2**page.bitspersample - 1)
        if page.photometric == PHOTOMETRIC.MINISWHITE:
            pixels = pixels.copy()
            pixels[..., 0] = (65535 if pixels.dtype.kind == "u" else 1) - pixels[..., 0]
        # A further sample is alpha if it says so: 1 is multiplied into the colours, 2 is not (TIFF 6.0, 18).
        alpha = page.extrasamples[0] if page.extrasamples else 0

        def directory() -> Image.Exif:
            exif = Image.Exif()
            exif.bigtiff, exif.endian = tiff.is_bigtiff, tiff.byteorder
            exif.load_from_fp(stream, page.offset)
            return exif

        return _Raster(
            pixels=pixels[..., : colours + (alpha in (1, 2))],
            icc=page.iccprofile,
            metadata=_metadata(directory, {}, name),
            premultiplied=alpha == 1,
            bit_depth=16,
        )


def _array_pixels(source: NDArray[Any] | Tensor, name: str) -> Pixels:
    shape = tuple(source.shape)
    axis, layout = (0, "(C, H, W)") if isinstance(source, Tensor) else (2, "(H, W, C)")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[axis] not in (1, 2, 3, 4)):
        advice = "pass one picture at a time" if len(shape) > 3 else "move the axes, or choose channels"
        raise ImageError(f"{name}: got shape {shape}; expected (H, W) or {layout}, C = 1 to 4; {advice}")
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = source.float() if source.dtype == torch.bfloat16 else source  # which numpy has not
        source = (source.permute(1, 2, 0) if source.ndim == 3 else source).numpy()
    pixels = source if source.ndim == 3 else source[..., None]
    if pixels.dtype == np.bool_:
        return pixels * np.uint8(255)
    if pixels.dtype.kind != "f" and pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: got {pixels.dtype}; expected uint8, uint16, bool, or float in [0, 1]; "
            "if the values are 0 to 255, make them uint8"
        )
    return pixels


# Colour profiles


def _to_srgb(pixels: Pixels, icc: bytes) -> Pixels:
    """Gray or RGB in the space of a profile -> sRGB of the same depth; floats become uint16; alpha stays.

    A profile that moves no colour by more than 1/255 is sRGB, and its rounding would only tint grays: it is
    left out.
    """
    of_gray = icc[16:20] == b"GRAY"
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
    probe = ramp if of_gray else cube
    if np.abs(_transform(probe, icc) - probe.astype(int)).max() <= 1:
        return pixels
    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels * 65535).astype(np.uint16)
    if pixels.shape[2] >= 3:
        return np.concatenate([_transform(np.ascontiguousarray(pixels[..., :3]), icc), pixels[..., 3:]], axis=2)
    levels = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=pixels.dtype)[None, :, None]
    # Green stands for all three channels, so that gray stays gray to the last bit.
    table = _transform(levels if of_gray else levels.repeat(3, axis=2), icc)[0, :, 1]
    return np.concatenate([table[pixels[..., :1]], pixels[..., 1:]], axis=2)


def _transform(values: Pixels, icc: bytes) -> Pixels:
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


# Metadata


def _metadata(load: Callable[[], Image.Exif], info: Mapping[Any, Any], name: str) -> _Metadata:
    """Orientation, EXIF block and resolution; broken, they are no reason to refuse the picture."""
    try:
        exif, kept = load(), Image.Exif()
        _copy_exif(exif, kept)
        orientation, block = exif.get(_TAG.Orientation, 1), kept.tobytes()
        orientation = orientation if orientation in range(1, 9) else 1
        return _Metadata(orientation, None if block == _NO_EXIF else block, _dpi(info, exif))
    except Exception as error:
        _pass_over(f"{name}: its EXIF block", error)
        return _Metadata()


def _copy_exif(source: Image.Exif, target: Image.Exif) -> None:
    for tag in _EXIF_KEPT.intersection(source):
        value = source[tag]
        # Pillow reads text as Latin-1, but would write it as ASCII.
        target[tag] = value.encode("latin-1", "replace") if isinstance(value, str) else value
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = {tag: value for tag, value in source.get_ifd(directory).items() if tag not in _EXIF_ADDRESSES}
        if entries:
            target.get_ifd(directory).update(entries)
    if _TAG.Orientation in source:
        target[_TAG.Orientation] = 1


def _dpi(info: Mapping[Any, Any], exif: Image.Exif) -> Dpi | None:
    inches = {2: 1.0, 3: 2.54}.get(exif.get(_TAG.ResolutionUnit, 2), 0.0)
    tags = (_TAG.XResolution, _TAG.YResolution)
    # PNG counts pixels per metre: without rounding, 300 would come back as 299.9994.
    x, y = (round(float(value), 1) for value in info.get("dpi") or [inches * exif.get(tag, 0) for tag in tags])
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _new_exif(exif: bytes | None, dpi: Dpi | None, provenance: str | None) -> bytes:
    block = Image.Exif()
    if exif:
        source = Image.Exif()
        source.load(exif)
        _copy_exif(source, block)
    if provenance:
        block[_TAG.Software] = provenance.encode()
    if dpi:
        block[_TAG.XResolution], block[_TAG.YResolution] = dpi
        block[_TAG.ResolutionUnit] = 2
    return block.tobytes()


# Encoders


def _output_planes(rgb: Tensor, alpha: Tensor | None) -> Tensor:
    """sRGB (3, H, W) and alpha (1, H, W) of any float type -> both as (3 or 4, H, W) float32 on the CPU."""
    for planes, channels in ((rgb, 3), (alpha, 1)):
        if planes is not None and (planes.ndim != 3 or planes.shape[0] != channels or 0 in planes.shape):
            raise ImageError(f"got a tensor of shape {tuple(planes.shape)}; expected ({channels}, H, W)")
    if alpha is not None and alpha.shape[1:] != rgb.shape[1:]:
        raise ImageError(f"got alpha {tuple(alpha.shape)} for a picture {tuple(rgb.shape)}; sizes must agree")
    planes = (rgb if alpha is None else torch.cat([rgb, alpha])).detach().to("cpu", torch.float32)
    _check_values(planes.numpy(), "tensor")
    return planes


def _quantize(planes: Tensor, bit_depth: int) -> Pixels:
    """(C, H, W) in [0, 1] -> (H, W, C) uint8 or uint16, rounded to the nearest."""
    peak = 2**bit_depth - 1
    levels = planes.mul(peak).round_().clamp_(0, peak).permute(1, 2, 0)
    return levels.numpy().astype(np.uint8 if bit_depth == 8 else np.uint16, order="C")


def _encode_png(pixels: Pixels, exif: bytes, dpi: Dpi | None, provenance: str | None) -> bytes:
    # Level 2 takes 15 ms at 512 x 512; level 9 saves another 5 to 20 % of the file in 5 to 20 times as long.
    data = imagecodecs.png_encode(pixels, level=2)
    chunks = [(b"sRGB", b"\0")]
    if dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", round(dpi[0] / 0.0254), round(dpi[1] / 0.0254), 1)))
    if exif != _NO_EXIF:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if provenance:
        chunks.append((b"iTXt", b"Software\0\0\0\0\0" + provenance.encode()))
    packed = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"".join([data[:33], *packed, data[33:]])  # behind the signature, 8 bytes, and IHDR, 25


def _encode_tiff(pixels: Pixels, exif: bytes, dpi: Dpi | None) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        resolution=dpi,
        resolutionunit="INCH" if dpi else None,
        metadata=None,
        software=False,
    )
    # tifffile writes no EXIF directories. Pillow does: it packs the header and all directories anew, and
    # counts the offsets of the strips from where these end.
    directory, source = Image.Exif(), Image.Exif()
    buffer.seek(0)
    directory.load_from_fp(buffer)
    source.load(exif)
    _copy_exif(source, directory)
    strips = directory[_TAG.StripOffsets]
    strips = strips if isinstance(strips, tuple) else (strips,)
    directory[_TAG.StripOffsets] = tuple(strip - strips[0] for strip in strips)
    return directory.tobytes().removeprefix(b"Exif\0\0") + buffer.getbuffer()[strips[0] :]


def _encode_by_pillow(
    pixels: Pixels, kind: str, exif: bytes, dpi: Dpi | None, provenance: str | None, quality: int
) -> bytes:
    options: dict[str, Any] = {"exif": exif} if exif != _NO_EXIF else {}
    if dpi:
        options["dpi"] = dpi
    if kind == "JPEG":
        options |= {"quality": quality, "subsampling": 0, "comment": (provenance or "").encode()}
    if kind == "WEBP":  # exact keeps the colours where alpha is 0; more effort saves 5 % in 5 times as long
        options |= {"lossless": True, "exact": True, "method": 1, "quality": 20}
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder; create it first")
    # Beside it, since between file systems a rename is a copy.
    unfinished = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the name must not outlive a power cut that the content does not
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


# Checks


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Damaged files make decoders raise nearly anything; to the caller it is all one."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        got = f"cannot be decoded ({error or type(error).__name__})"
        raise ImageError(f"{name}: {got}; the file is damaged or cut short: copy or scan it again") from error


def _pass_over(what: str, error: Exception) -> None:
    warnings.warn(f"{what} is broken or does not fit, and is passed over ({error})", stacklevel=4)


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height == 0:
        raise ImageError(f"{name}: the picture is empty, {width} x {height}; expected at least one pixel")
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height} pixels", max_pixels, name)


def _too_large(got: str, max_pixels: int, name: str) -> TooLargeError:
    advice = "shrink the picture, or raise max_pixels if you trust the file"
    return TooLargeError(f"{name}: got {got}, expected at most max_pixels={max_pixels:,}; {advice}")


def _check_values(values: NDArray[Any], name: str) -> None:
    if values.dtype.kind != "f":
        return
    low, high = float(values.min()), float(values.max())  # NaN would be both
    if not np.isfinite([low, high]).all():
        raise ImageError(f"{name}: holds NaN or infinity; expected values in [0, 1]; find where they come from")
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        advice = "did you forget / 255? Else clamp them"
        raise ImageError(f"{name}: got values from {low:.6g} to {high:.6g}; expected [0, 1]; {advice}")
