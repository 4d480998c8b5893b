"""A hundred odd files through library, shell and training: each is right or clearly refused, and all three agree."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from colorlib import Colorizer
from colorlib.cli import app
from colorlib.io import MAX_PIXELS, ImageError, read, to_pil
from training.data import _image
from training.sources import Share, find

MODEL = "lin21_convnet_small"
PHOTO = np.ascontiguousarray(data.astronaut()[40:104:2, 180:260:2])  # (32, 40, 3)
HEIGHT, WIDTH = PHOTO.shape[:2]
GRAY = np.asarray(Image.fromarray(PHOTO).convert("L"))
DEEP = PHOTO.astype(np.uint16) * 257
ALPHA = np.linspace(0, 255, PHOTO[..., :1].size).astype(np.uint8).reshape(HEIGHT, WIDTH, 1)
RGBA = np.concatenate([PHOTO, ALPHA], axis=2)

Odd = tuple[str, bytes, Any]
"""A file's name, its bytes, and what it shows: 8-bit RGB (H, W, 3), a size (H, W) where that is lossy, or None."""


def _pil(pixels: np.ndarray | Image.Image, kind: str, mode: str | None = None, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    file_options = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, pixels, metadata=None, **file_options, **options)
    return buffer.getvalue()


def _pages(*pages: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for page in pages:
            tiff.write(page, photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


def _gray_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, axis=2)


def _pictures() -> Iterator[Odd]:
    """Files that any reader of photographs should take."""
    size = (HEIGHT, WIDTH)
    image = Image.fromarray(PHOTO)
    gray = _gray_rgb(GRAY)
    yield "rgb.png", _pil(PHOTO, "PNG"), PHOTO
    yield "gray.png", _pil(GRAY, "PNG"), gray
    yield "gray-alpha.png", _pil(RGBA, "PNG", "LA"), gray
    yield "rgba.png", _pil(RGBA, "PNG"), PHOTO
    yield "bilevel.png", _pil(image, "PNG", "1"), _gray_rgb(np.asarray(image.convert("1")).astype(np.uint8) * 255)
    palette = image.quantize(16)
    yield "palette.png", _pil(palette, "PNG"), np.asarray(palette.convert("RGB"))
    yield "transparent-palette.png", _pil(palette, "PNG", transparency=3), np.asarray(palette.convert("RGB"))
    yield "transparent-colour.png", _pil(PHOTO, "PNG", transparency=tuple(PHOTO[0, 0])), PHOTO
    yield "gray16.png", imagecodecs.png_encode(GRAY.astype(np.uint16) * 257), gray
    yield "rgb16.png", imagecodecs.png_encode(DEEP), PHOTO
    yield "rgba16.png", imagecodecs.png_encode(RGBA.astype(np.uint16) * 257), PHOTO
    yield "one-pixel.png", _pil(PHOTO[:1, :1], "PNG"), PHOTO[:1, :1]
    yield "row.png", _pil(PHOTO[:1], "PNG"), PHOTO[:1]
    yield "column.png", _pil(PHOTO[:, :1], "PNG"), PHOTO[:, :1]
    yield "png-called.jpg", _pil(PHOTO, "PNG"), PHOTO
    yield "jpeg-called.png", _pil(PHOTO, "JPEG"), size
    for quality in (1, 50, 100):
        yield f"quality{quality}.jpg", _pil(PHOTO, "JPEG", quality=quality), size
    yield "progressive.jpg", _pil(PHOTO, "JPEG", progressive=True), size
    yield "gray.jpg", _pil(GRAY, "JPEG"), size
    yield "cmyk.jpg", _pil(image, "JPEG", "CMYK"), size
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = (WIDTH, HEIGHT) if orientation >= 5 else size
        yield f"orientation{orientation}.jpg", _pil(PHOTO, "JPEG", exif=exif), turned
    yield "orientation9.jpg", _pil(PHOTO, "JPEG", exif=_orientation(9)), size
    yield "broken-exif.jpg", _pil(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*garbage"), size
    yield "broken-profile.jpg", _pil(PHOTO, "JPEG", icc_profile=b"no profile"), size
    yield "trailing.jpg", _pil(PHOTO, "JPEG") + b"more" * 100, size
    yield "upper case.JPG", _pil(PHOTO, "JPEG"), size
    yield "Ünïcödé ☃.jpg", _pil(PHOTO, "JPEG"), size
    yield "dots.in.its.name.jpg", _pil(PHOTO, "JPEG"), size
    yield "[brackets].jpg", _pil(PHOTO, "JPEG"), size
    yield "jpeg12.jpg", imagecodecs.jpeg8_encode(DEEP >> 4, bitspersample=12), size
    yield "lossless.jpg", imagecodecs.ljpeg_encode(GRAY), gray
    for compression in (None, "zlib", "lzw", "packbits", "zstd", "lzma"):
        yield f"{compression}.tif", _tiff(PHOTO, compression=compression), PHOTO
    yield "jpeg-inside.tif", _tiff(PHOTO, compression="jpeg"), size
    yield "webp-inside.tif", _tiff(PHOTO, compression="webp", compressionargs={"level": 100}), PHOTO
    yield "jpeg2000-inside.tif", _tiff(PHOTO, compression="jpeg2000"), PHOTO
    yield "jpegxl-inside.tif", _tiff(PHOTO, compression="jpegxl"), PHOTO
    yield "gray.tif", _tiff(GRAY), gray
    yield "gray16.tif", _tiff(GRAY.astype(np.uint16) * 257), gray
    yield "white-is-zero.tif", _tiff(255 - GRAY, photometric="miniswhite"), gray
    yield "white-is-zero16.tif", _tiff(65535 - GRAY.astype(np.uint16) * 257, photometric="miniswhite"), gray
    yield "rgb16.tif", _tiff(DEEP), PHOTO
    yield "float32.tif", _tiff(PHOTO.astype(np.float32) / 255), PHOTO
    yield "float64.tif", _tiff(PHOTO / 255), PHOTO
    yield "big-endian.tif", _tiff(DEEP, byteorder=">"), PHOTO
    yield "bigtiff.tif", _tiff(DEEP, bigtiff=True), PHOTO
    yield "bigtiff8.tif", _tiff(PHOTO, bigtiff=True), PHOTO
    yield "tiled.tif", _tiff(PHOTO, tile=(16, 16)), PHOTO
    yield "tiled16.tif", _tiff(DEEP, tile=(16, 16)), PHOTO
    yield "planar.tif", _tiff(np.moveaxis(PHOTO, 2, 0).copy(), photometric="rgb", planarconfig="separate"), PHOTO
    yield "planar16.tif", _tiff(np.moveaxis(DEEP, 2, 0).copy(), photometric="rgb", planarconfig="separate"), PHOTO
    yield "alpha.tif", _tiff(RGBA, extrasamples=["unassalpha"]), PHOTO
    yield "alpha16.tif", _tiff(RGBA.astype(np.uint16) * 257, extrasamples=["unassalpha"]), PHOTO
    yield "unspecified.tif", _tiff(RGBA.astype(np.uint16) * 257, extrasamples=["unspecified"]), PHOTO
    yield "palette.tif", _pil(palette, "TIFF"), np.asarray(palette.convert("RGB"))
    yield "cmyk.tif", _pil(image, "TIFF", "CMYK"), size
    yield "bilevel.tif", _pil(image, "TIFF", "1"), _gray_rgb(np.asarray(image.convert("1")).astype(np.uint8) * 255)
    yield "pages.tif", _pages(PHOTO, 255 - PHOTO, PHOTO), PHOTO
    yield "pages16.tif", _pages(DEEP, 65535 - DEEP), PHOTO
    yield "still.gif", _pil(palette, "GIF"), np.asarray(palette.convert("RGB"))
    yield "animated.gif", _pil(palette, "GIF", save_all=True, append_images=[palette] * 2), size
    yield "lossless.webp", _pil(PHOTO, "WEBP", lossless=True), PHOTO
    yield "lossy.webp", _pil(PHOTO, "WEBP"), size
    yield "alpha.webp", _pil(RGBA, "WEBP", lossless=True, exact=True), PHOTO
    frames = [Image.fromarray(PHOTO[::-1])]
    yield "animated.webp", _pil(PHOTO, "WEBP", save_all=True, append_images=frames, lossless=True), PHOTO
    yield "animated.png", _pil(PHOTO, "PNG", save_all=True, append_images=frames), PHOTO
    yield "rgb.bmp", _pil(PHOTO, "BMP"), PHOTO
    yield "gray.bmp", _pil(GRAY, "BMP"), gray
    yield "palette.bmp", _pil(palette, "BMP"), np.asarray(palette.convert("RGB"))
    yield "binary.ppm", _pil(PHOTO, "PPM"), PHOTO
    yield "binary.pgm", _pil(GRAY, "PPM"), gray
    plain = " ".join(map(str, PHOTO.flatten()))
    yield "plain.ppm", f"P3\n{WIDTH} {HEIGHT}\n255\n{plain}\n".encode(), PHOTO
    yield "deep.pgm", f"P5\n{WIDTH} {HEIGHT}\n65535\n".encode() + (GRAY.astype(">u2") * 257).tobytes(), gray
    yield "lossless.jp2", imagecodecs.jpeg2k_encode(PHOTO, level=0), PHOTO
    yield "deep.jp2", imagecodecs.jpeg2k_encode(DEEP, level=0), PHOTO
    yield "lossless.jxl", imagecodecs.jpegxl_encode(PHOTO, lossless=True), PHOTO
    # imagecodecs declares 16 bits as linear light; the curve is sRGB's (IEC 61966-2-1).
    light = DEEP / 65535
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    yield "linear.jxl", imagecodecs.jpegxl_encode(DEEP, lossless=True), np.rint(255 * curved).astype(np.uint8)
    yield "lossy.avif", _pil(PHOTO, "AVIF"), size
    yield "two-views.mpo", _pil(image, "MPO", save_all=True, append_images=frames), size


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def _others() -> Iterator[Odd]:
    """Files under a photograph's name that show nothing, or what cannot be taken."""
    jpeg, png, tiff = _pil(data.astronaut(), "JPEG"), _pil(data.astronaut(), "PNG"), _tiff(data.astronaut())
    yield "empty.jpg", b"", None
    yield "text.jpg", b"a caption and no picture\n", None
    yield "page.jpg", b"<!DOCTYPE html><html><body>404</body></html>", None
    yield "drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', None
    yield "document.jpg", b"%PDF-1.7\n%%EOF", None
    yield "postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", None
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.jpg", jpeg)
    yield "archive.jpg", archive.getvalue(), None
    yield "noise.png", np.random.default_rng(0).bytes(5000), None
    yield "signature.png", png[:8], None
    yield "header.png", png[:40], None
    yield "half.png", png[: len(png) // 2], None
    yield "half.jpg", jpeg[: len(jpeg) // 2], None
    yield "header.jpg", jpeg[:20], None
    yield "half.tif", tiff[: len(tiff) // 2], None
    yield "signature.tif", tiff[:4], None
    yield "half.webp", _pil(PHOTO, "WEBP")[:200], None
    yield "half.gif", _pil(Image.fromarray(data.astronaut()).quantize(16), "GIF")[:500], None
    yield "nan.tif", _tiff(np.full((8, 8, 3), np.nan, np.float32)), None
    yield "hdr.tif", _tiff(np.full((8, 8, 3), 40, np.float32)), None
    yield "integers.tif", _tiff(np.full((8, 8), 1 << 20, np.uint32)), None
    bomb = bytearray(_pil(PHOTO, "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    yield "bomb.png", bytes(bomb), None
    yield "icon.png", _pil(PHOTO, "ICO"), None
    yield "targa.bmp", _pil(PHOTO, "TGA"), None


ODD = [*_pictures(), *_others()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd")
    for name, content, _ in ODD:
        (root / name).write_bytes(content)
    return root


def test_there_are_a_hundred():
    assert len({name.lower() for name, *_ in ODD}) == len(ODD) >= 100


def test_the_library_reads_what_is_there_and_refuses_the_rest(folder: Path):
    wrong = {}
    for name, _, shown in ODD:
        try:
            photo = read(folder / name)
        except ImageError as error:
            if shown is not None or not str(error).startswith(f"{name}: "):
                wrong[name] = str(error)
            continue
        picture = np.asarray(to_pil(photo.rgb))
        if shown is None:
            wrong[name] = "was read"
        elif isinstance(shown, tuple):
            if picture.shape != (*shown, 3):
                wrong[name] = picture.shape
        elif picture.shape != shown.shape or np.abs(picture.astype(int) - shown).max() > 0:
            wrong[name] = (picture.shape, np.abs(picture.astype(int) - shown).max())
    assert not wrong


def test_the_shell_paints_what_the_library_paints(folder: Path, tmp_path: Path):
    run = CliRunner().invoke(app, ["colorize", str(folder), "-o", str(tmp_path), "--model", MODEL, "--json"])
    assert run.exit_code == 1  # some were refused
    rows = {Path(row["input"]).name: row for row in map(json.loads, run.stdout.splitlines())}
    assert rows.keys() == {name for name, *_ in ODD}
    refused = {name for name, row in rows.items() if row["status"] == "failed"}
    assert refused == {name for name, _, shown in ODD if shown is None}
    for name in refused:
        assert rows[name]["error"]
        assert name in run.stderr
    colorizer = Colorizer(MODEL)
    for name, row in rows.items():
        if name not in refused:
            result = colorizer(folder / name)
            assert (row["height"], row["width"]) == (result.photo.height, result.photo.width), name
            if Path(row["output"]).suffix.lower() not in (".jpg", ".jpeg", ".mpo"):  # which are lossy
                painted = np.asarray(to_pil(read(row["output"]).rgb))
                ours = np.asarray(result.image.convert("RGB"))
                assert np.abs(painted.astype(int) - ours).max() <= 1, name  # 16 bits are rounded a second time


def test_training_sees_what_the_library_reads(folder: Path):
    samples = {Path(sample.name).name: sample for sample in find([str(folder)], "train").samples(Share(0, 1))}
    assert samples.keys() == {name for name, *_ in ODD}
    refused = set()
    for name, sample in samples.items():
        try:
            image, _ = _image(sample, MAX_PIXELS)
        except ImageError:
            refused.add(name)
            continue
        assert np.array_equal(np.asarray(image), np.asarray(to_pil(read(folder / name).rgb))), name
    assert refused == {name for name, _, shown in ODD if shown is None}
