"""Large pictures, whose pixels lie in a file and go through in bands: what is read and written is the same."""

import io
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from colorlib import Colorizer
from colorlib.io import ImageError, codecs, encoders, read, store, write


def noise(dtype: type, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def by_pillow(kind: str, pixels: np.ndarray, mode: str | None = None, **options) -> bytes:
    buffer, image = io.BytesIO(), Image.fromarray(pixels)
    image.convert(mode or image.mode).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "rgb", "rowsperstrip": 7} | options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def adobe() -> bytes:
    """Some profile that is not sRGB's."""
    return imagecodecs.cms_profile(
        "rgb", whitepoint=[0.3127, 0.329, 1], primaries=[0.64, 0.33, 1, 0.21, 0.71, 1, 0.15, 0.06, 1], gamma=2.2
    )


PHOTO = skimage.data.astronaut()[:150, :211]
RGB8, RGB16 = noise(np.uint8, 61, 47, 3), noise(np.uint16, 61, 47, 3)
FLOAT = (RGB16 / np.float32(65535)).astype(np.float32)
PICTURES = {
    "jpeg": by_pillow("JPEG", PHOTO),
    "jpeg, gray": by_pillow("JPEG", PHOTO[..., 0]),
    "jpeg, progressive": by_pillow("JPEG", PHOTO, progressive=True),
    "jpeg, cmyk": by_pillow("JPEG", PHOTO, "CMYK"),
    "jpeg with a profile": by_pillow("JPEG", PHOTO, icc_profile=adobe()),
    "png": by_pillow("PNG", RGB8),
    "png, gray": by_pillow("PNG", RGB8[..., 0]),
    "png with alpha": by_pillow("PNG", noise(np.uint8, 33, 21, 4)),
    "png, gray with alpha": by_pillow("PNG", noise(np.uint8, 33, 21, 2)),
    "png with a text": codecs.PNG_SIGNATURE
    + by_pillow("PNG", RGB8)[8:33]
    + codecs.png_chunk(b"tEXt", b"Title\0A chest")
    + by_pillow("PNG", RGB8)[33:],
    "png, 16 bits": imagecodecs.png_encode(RGB16),
    "png, 16 bits, smooth": imagecodecs.png_encode(PHOTO.astype(np.uint16) * 257 + 3),
    "png, 16 bits, gray": imagecodecs.png_encode(RGB16[..., 0].copy()),
    "png, 16 bits with alpha": imagecodecs.png_encode(noise(np.uint16, 61, 47, 4)),
    "png, 16 bits, gray with alpha": imagecodecs.png_encode(noise(np.uint16, 61, 47, 2)),
    "tiff": tiff(RGB16),
    "tiff, big endian": tiff(RGB16, byteorder=">"),
    "tiff, one strip": tiff(RGB16, rowsperstrip=61),
    "tiff, deflate": tiff(RGB16, compression="zlib", predictor=True),
    "tiff, lzw": tiff(RGB16, compression="lzw"),
    "tiff, tiles": tiff(RGB16, tile=(16, 32), rowsperstrip=None),
    "tiff, tiles, deflate": tiff(RGB16, tile=(16, 32), compression="zlib", rowsperstrip=None),
    "tiff, planes": tiff(RGB16.transpose(2, 0, 1).copy(), planarconfig="separate"),
    "tiff, planes, deflate": tiff(RGB16.transpose(2, 0, 1).copy(), planarconfig="separate", compression="zlib"),
    "tiff, gray": tiff(RGB16[..., 0], photometric="minisblack"),
    "tiff, white is 0": tiff(RGB16[..., 0], photometric="miniswhite", compression="zlib"),
    "tiff, 8 bits": tiff(RGB8, compression="zlib"),
    "tiff, 8 bits, gray": tiff(RGB8[..., 0], photometric="miniswhite"),
    "tiff with alpha": tiff(noise(np.uint16, 61, 47, 4), extrasamples=["unassalpha"], compression="zlib"),
    "tiff, alpha multiplied in": tiff(noise(np.uint8, 61, 47, 4), extrasamples=["assocalpha"], compression="zlib"),
    "tiff of floats": tiff(FLOAT),
    "tiff of floats, gray, deflate": tiff(FLOAT[..., 0], photometric="minisblack", compression="zlib"),
    "tiff with a profile": tiff(RGB16, iccprofile=adobe(), compression="zlib"),
    "bmp": by_pillow("BMP", RGB8),
    "webp": by_pillow("WEBP", RGB8, lossless=True),
    **{f"jpeg, orientation {k}": by_pillow("JPEG", PHOTO, exif=turned(k)) for k in range(1, 9)},
}

# Of rare kinds, Pillow makes the whole, and hands it over in one piece.
IN_MEMORY = ("jpeg, cmyk", "png, gray with alpha", "tiff, alpha multiplied in", "bmp", "webp")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every picture counts as large, and has many bands."""
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    monkeypatch.setattr(codecs, "_BAND", 1 << 9)
    monkeypatch.setattr(encoders, "_AT_ONCE", 0)
    monkeypatch.setattr(encoders, "_BAND", 1 << 11)
    return


@pytest.mark.parametrize("kind", PICTURES)
def test_read_alike(kind: str, request: pytest.FixtureRequest) -> None:
    usual = read(PICTURES[kind])
    request.getfixturevalue("large")
    found = read(PICTURES[kind])
    assert torch.equal(found.rgb, usual.rgb)
    assert (found.alpha is None) == (usual.alpha is None)
    if found.alpha is not None:
        assert torch.equal(found.alpha, usual.alpha)
    assert (found.bit_depth, found.dpi, found.warnings) == (usual.bit_depth, usual.dpi, usual.warnings)
    assert found.metadata == usual.metadata
    assert (found.pixels is None) == (usual.pixels is None)
    if usual.pixels is not None:
        assert np.array_equal(found.pixels, usual.pixels)


def in_a_file(pixels: np.ndarray) -> bool:
    owner: object = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, store.Mapping)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("kind", [kind for kind in PICTURES if kind not in IN_MEMORY])
def test_pixels_lie_in_a_file(kind: str) -> None:
    photo = read(PICTURES[kind])
    assert photo.pixels is None or in_a_file(photo.pixels)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "kind", ["jpeg", "png", "png, 16 bits", "tiff", "tiff, deflate", "tiff, planes", "tiff, 8 bits"]
)
def test_cut_short(kind: str) -> None:
    data = PICTURES[kind]
    with pytest.raises(ImageError, match="cut short"):
        read(data[: len(data) // 2] if "tiff" not in kind else _without_its_end(data))


def _without_its_end(data: bytes) -> bytes:
    """A TIFF whose directory comes first, and whose last strip is cut."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        return data[: max(page.dataoffsets) + page.databytecounts[-1] // 2]


@pytest.mark.usefixtures("large")
def test_a_wrong_checksum_of_a_16_bit_png() -> None:
    data = bytearray(PICTURES["png, 16 bits"])
    data[data.index(b"IDAT") + 200] ^= 1
    with pytest.raises(ImageError, match="damaged or cut short"):
        read(bytes(data))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("shape", [(61, 47), (8, 64), (9, 1), (1, 999), (300, 211)])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_and_tiff_hold_every_level(shape: tuple[int, int], channels: int, bits: int) -> None:
    pixels = noise(np.uint8 if bits == 8 else np.uint16, *shape, channels)
    planes = torch.from_numpy(pixels.astype(np.float32) / (2**bits - 1)).permute(2, 0, 1)
    for kind, decode in (("PNG", imagecodecs.png_decode), ("TIFF", lambda data: tifffile.imread(io.BytesIO(data)))):
        buffer = io.BytesIO()
        write(buffer, planes[:3], alpha=planes[3:] if channels == 4 else None, bit_depth=bits, format=kind)
        assert np.array_equal(decode(buffer.getvalue()).reshape(pixels.shape), pixels)


@pytest.mark.usefixtures("large")
def test_other_programs_read_the_bands_of_a_png() -> None:
    """Pillow, which like libpng checks zlib's checksum over all of them."""
    buffer = io.BytesIO()
    write(buffer, torch.from_numpy(PHOTO / np.float32(255)).permute(2, 0, 1), format="PNG", provenance="A test")
    image = Image.open(buffer)
    assert np.array_equal(np.asarray(image), PHOTO)
    assert image.info["Software"] == "A test"
    packed = b"".join(codecs.inside_png(buffer.getvalue()))
    assert len(zlib.decompress(packed)) == 150 * (1 + 3 * 211)


@pytest.mark.parametrize(("height", "width"), [(61, 47), (64, 64), (1, 999), (999, 1), (300, 211)])
@pytest.mark.parametrize("quality", [10, 95])
def test_jpeg_in_bands_has_the_pixels_of_one_piece(
    height: int, width: int, quality: int, request: pytest.FixtureRequest
) -> None:
    picture, options = torch.from_numpy(noise(np.uint8, 3, height, width) / np.float32(255)), {"quality": quality}
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        write(buffer, picture, format="JPEG", provenance="A test", dpi=(300, 200), **options)
        files.append(buffer.getvalue())
        request.getfixturevalue("large")
    whole, banded = (Image.open(io.BytesIO(data)) for data in files)
    assert np.array_equal(np.asarray(banded), np.asarray(whole))
    assert np.array_equal(imagecodecs.jpeg8_decode(files[1]), imagecodecs.jpeg8_decode(files[0]))
    assert banded.info["comment"] == whole.info["comment"] == b"A test"
    assert banded.info["dpi"] == (300, 200)
    if height > 8 and height * width > 1 << 11:
        assert b"\xff\xd0" in files[1]  # a restart marker
        assert b"\xff\xd0" not in files[0]


def test_bands_do_not_stand_for_more_than_a_jpeg_holds() -> None:
    with pytest.raises(ImageError, match="70000 pixels do not go into JPEG"):
        write(io.BytesIO(), torch.zeros(3, 1, 1).expand(3, 70_000, 70), format="JPEG")


@pytest.mark.usefixtures("large")
def test_no_room_in_the_folder_of_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "posix_fallocate", full)
    with pytest.raises(store.NoRoomError, match=r"has no room for .* GB .*No space left.*TMPDIR"):
        read(PICTURES["tiff"])


@pytest.mark.usefixtures("large")
def test_photographs_in_files_go_to_other_processes() -> None:
    photo = read(PICTURES["tiff, deflate"])
    assert torch.equal(pickle.loads(pickle.dumps(photo)).rgb, photo.rgb)


@pytest.mark.parametrize("kind", ["jpeg, orientation 6", "png, 16 bits", "tiff, deflate", "png with alpha"])
def test_coloured_alike(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """From file to file, bit for bit."""
    colorizer = Colorizer("lin21_convnet_small")
    for suffix in (".jpg", ".png", ".tif"):
        colorizer(PICTURES[kind]).save(tmp_path / f"usual{suffix}")
    request.getfixturevalue("large")
    for suffix in (".jpg", ".png", ".tif"):
        colorizer(PICTURES[kind]).save(tmp_path / f"large{suffix}")
        usual, found = (read(tmp_path / f"{name}{suffix}") for name in ("usual", "large"))
        assert torch.equal(usual.rgb, found.rgb)
        assert usual.metadata == found.metadata
