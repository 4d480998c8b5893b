"""Files of many pages, frames and views; streams; pictures too large to be floats as a whole."""

import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import ExifTags, Image
from test_io import ALPHA, GRAY, PHOTO, PHOTO16, an_exif, encoded, exactly, planes, rgb_profile, summary, tiff

from colorlib.io import (
    ImageError,
    Metadata,
    Page,
    Photo,
    Planes,
    TooLargeError,
    pages,
    read,
    strips,
    to_pil,
    write,
    write_pages,
)
from colorlib.io import tiff_writer as tiff_writer_module

PAGES = [PHOTO, 255 - PHOTO, PHOTO[::-1].copy()]


def tiff_of(*directories: tuple[np.ndarray, int], **options) -> bytes:
    """Pixels and NewSubfileType of each directory."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for pixels, kind in directories:
            photometric = "rgb" if pixels.ndim == 3 else "minisblack"
            file.write(pixels, photometric=photometric, subfiletype=bool(kind), metadata=None)
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        for page, (_, kind) in zip(file.pages, directories, strict=True):
            page.tags[254].overwrite(kind)
    return buffer.getvalue()


# Pages


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_every_page_of_a_tiff_is_read(deep: bool, big: bool) -> None:
    stored = [page.astype(np.uint16) * 257 if deep else page for page in PAGES]
    data = tiff_of(*((page, 0) for page in stored), bigtiff=big)
    photos = list(pages(data))
    assert len(photos) == 3
    for photo, page in zip(photos, PAGES, strict=True):
        exactly(photo.rgb, planes(page))
        assert (photo.pages, photo.warnings, photo.bit_depth) == (3, (), 16 if deep else 8)
    first = read(data)
    exactly(first.rgb, planes(PAGES[0]))
    assert first.warnings == ("it has 3 pages; the first was read, the others were left",)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", [1, 4, 5], ids=["reduced", "mask", "reduced mask"])
def test_a_thumbnail_is_never_the_photograph(kind: int, deep: bool, big: bool) -> None:
    photo = PHOTO16 if deep else PHOTO
    small = np.ascontiguousarray(255 - photo[::4, ::4])
    for order in ([(small, kind), (photo, 0)], [(photo, 0), (small, kind)], [(small, kind), (photo, 0), (small, kind)]):
        data = tiff_of(*order, bigtiff=big)
        found = list(pages(data))
        assert [(one.width, one.height, one.pages) for one in found] == [(96, 64, 1)]
        exactly(found[0].rgb, planes(photo))
        single = read(data)
        exactly(single.rgb, planes(photo))
        assert single.warnings == ()


def test_old_subfile_type_marks_a_thumbnail_too() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(GRAY[::4, ::4].copy(), photometric="minisblack", metadata=None, extratags=[(255, "H", 1, 2, True)])
        file.write(GRAY, photometric="minisblack", metadata=None)
    exactly(read(buffer.getvalue()).rgb, planes(GRAY, 3))


def test_only_thumbnails_are_read_with_a_warning() -> None:
    photo = read(tiff_of((PHOTO, 1)))
    exactly(photo.rgb, planes(PHOTO))
    assert photo.warnings == (
        "its only directories call themselves reduced copies or masks; the first of them was read",
    )


@pytest.mark.parametrize("target", [0, 1])
def test_directories_that_go_in_a_circle(target: int, tmp_path: Path) -> None:
    """The last one says that an earlier one follows: its first page is read. In a process that can be ended."""
    data = bytearray(tiff_of((PHOTO, 0), (PHOTO[::-1].copy(), 0), (PHOTO, 0)))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets = [page.offset for page in file.pages]
    (entries,) = struct.unpack_from("<H", data, offsets[-1])
    struct.pack_into("<I", data, offsets[-1] + 2 + 12 * entries, offsets[target])
    (tmp_path / "circle.tif").write_bytes(data)
    code = "import sys; from colorlib.io import read, write; photo = read(sys.argv[1]); write(sys.argv[2], photo.rgb); "
    command = [sys.executable, "-c", code + "print(*photo.warnings, sep='\\n')", "circle.tif", "read.png"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    exactly(read(tmp_path / "read.png").rgb, planes(PHOTO))
    (warning,) = run.stdout.splitlines()
    assert warning.startswith("the directories behind its first page are broken (directory 4 is one of those before)")


@pytest.mark.parametrize(("count", "read_as"), [(4096, 4096), (4097, 1)])
def test_more_directories_than_are_read(count: int, read_as: int) -> None:
    """The first page alone of a file that has too many."""
    pixel = np.full((1, 1, 3), 7, np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for _ in range(count):
            file.write(pixel, photometric="rgb", metadata=None)
    photo = read(buffer.getvalue())
    exactly(photo.rgb, planes(pixel))
    assert photo.pages == read_as
    (warning,) = photo.warnings
    assert warning == (
        "it has 4096 pages; the first was read, the others were left"
        if count == read_as
        else "it has more than 4,096 directories, the most that are read; only its first page was read; "
        "split the file for the others"
    )


def test_pages_keep_what_is_their_own() -> None:
    """Size, depth, turn, resolution and title: by page."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(PHOTO, photometric="rgb", metadata=None, resolution=(300, 300), description="one")
        turned = [(274, "H", 1, 6, True), (269, "s", 0, "the second", True)]
        file.write(PHOTO16[:30, :40], photometric="rgb", metadata=None, extratags=turned)
        file.write(GRAY, photometric="minisblack", metadata=None, compression="zlib")
    one, two, three = pages(buffer.getvalue())
    assert (one.dpi, one.bit_depth) == ((300, 300), 8)
    assert summary(one.exif)[ExifTags.Base.ImageDescription] == "one"
    exactly(two.rgb, planes(np.rot90(PHOTO16[:30, :40], -1).copy()))  # 6: the top is on the right
    assert summary(two.exif)[ExifTags.Base.DocumentName] == "the second"
    exactly(three.rgb, planes(GRAY, 3))


def test_a_damaged_page_is_named_after_the_good_ones() -> None:
    for deep in (False, True):
        stored = [PHOTO16, PHOTO16 // 2] if deep else PAGES[:2]
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            for page in stored:
                file.write(page, photometric="rgb", metadata=None, compression="zlib")
        buffer.seek(0)
        with tifffile.TiffFile(buffer) as file:
            start = file.pages[1].dataoffsets[0]
        data = bytearray(buffer.getvalue())
        data[start : start + 500] = bytes(500)
        check_second_page(bytes(data), stored[0])


def check_second_page(data: bytes, first: np.ndarray) -> None:
    found = pages(data)
    exactly(next(found).rgb, planes(first))
    with pytest.raises(ImageError, match=r"^bytes: page 2: "):
        next(found)


def test_pages_from_one_on() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for page in PAGES[:3]:
            file.write(page, photometric="rgb", metadata=None)
    for first in (1, 2, 3, 4):
        found = list(pages(buffer.getvalue(), first=first))
        assert [photo.pages for photo in found] == [3] * (4 - first)
        for photo, page in zip(found, PAGES[first - 1 : 3], strict=True):
            exactly(photo.rgb, planes(page))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        pages(buffer.getvalue(), first=0)


def test_pages_of_other_files_are_the_picture(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", PHOTO, planes(PHOTO), Image.fromarray(PHOTO)):
        (photo,) = pages(source)
        exactly(photo.rgb, planes(PHOTO))
        assert (photo.pages, photo.warnings) == (1, ())


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_frames_of_an_animation_are_named(kind: str) -> None:
    frames = [Image.fromarray(page) for page in PAGES]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    expected = ("it is an animation of 3 frames; the first was read, the others were left",)
    assert read(data).warnings == expected
    assert [photo.warnings for photo in pages(data)] == [expected]
    assert read(Image.open(io.BytesIO(data))).warnings == expected
    assert read(encoded(frames[0], kind)).warnings == ()


def test_a_stereo_photograph_names_its_other_view() -> None:
    views = [Image.fromarray(page) for page in PAGES[:2]]
    photo = read(encoded(views[0], "MPO", save_all=True, append_images=views[1:], quality=95, subsampling=0))
    assert (photo.rgb - planes(PHOTO)).abs().mean() < 3 / 255
    assert photo.warnings == ("it holds 2 pictures, such as the views of a stereo camera; the first was read",)


@pytest.mark.parametrize("deep", [False, True])
def test_a_pages_profile_and_resolution_are_its_own(deep: bool) -> None:
    """Pillow keeps the first page's for pages that have none."""
    first, second = [page.astype(np.uint16) * 257 if deep else page for page in PAGES[:2]]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        told = {"iccprofile": rgb_profile("adobe"), "resolution": (300, 300), "resolutionunit": "INCH"}
        file.write(first, photometric="rgb", metadata=None, **told)
        file.write(second, photometric="rgb", metadata=None)
    one, two = pages(buffer.getvalue())
    assert (one.rgb - planes(first)).abs().mean() > 0.01  # the profile is honoured where it is
    assert one.dpi == (300, 300)
    exactly(two.rgb, planes(second))
    assert two.dpi is None or two.dpi == (1, 1)  # tifffile writes one pixel a unit


# Writing pages


def test_write_pages_and_read_them_again(tmp_path: Path) -> None:
    path = tmp_path / "album.tif"
    opacity = planes(ALPHA)
    kept = Metadata(an_exif(), b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', b"\x1c\x02x\0\x04lake", (("Title", "Two"),))
    given = [
        Page(planes(PHOTO), dpi=(300, 240), provenance="first"),
        Page(planes(PHOTO16[:40]), opacity[:, :40], 16, kept, provenance="second"),
        Page(planes(GRAY, 3)),
    ]
    assert write_pages(path, iter(given)) == ()
    one, two, three = pages(path)
    exactly(one.rgb, planes(PHOTO))
    assert (one.dpi, one.bit_depth, one.alpha) == ((300, 240), 8, None)
    exactly(two.rgb, planes(PHOTO16[:40]))
    assert (two.alpha - opacity[:, :40]).abs().max() <= 0.5 / 65535
    assert two.bit_depth == 16
    found = summary(two.exif)
    assert found[ExifTags.Base.Make] == "Zeiss Ikon"
    assert found[ExifTags.Base.DocumentName] == "Two"
    assert found[ExifTags.IFD.Exif] == {ExifTags.Base.ExposureTime: 1 / 125}
    assert found[ExifTags.IFD.GPSInfo] == {ExifTags.GPS.GPSLatitude: (41, 23, 19.5)}
    assert (two.metadata.xmp, two.metadata.iptc) == (kept.xmp, kept.iptc)
    exactly(three.rgb, planes(GRAY, 3))
    assert three.exif is None
    with tifffile.TiffFile(path) as file:  # and for others
        assert [page.shape for page in file.pages] == [(64, 96, 3), (40, 96, 4), (64, 96, 3)]
        assert [page.software for page in file.pages] == ["first", "second", ""]
        assert (file.pages[1].asarray()[..., :3] == PHOTO16[:40]).all()
    with Image.open(path) as image:
        image.seek(1)
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 1 / 125


def test_one_page_is_what_write_writes(tmp_path: Path) -> None:
    kept = Metadata(an_exif())
    write(tmp_path / "a.tif", planes(PHOTO16), bit_depth=16, metadata=kept, dpi=(72, 72), provenance="p")
    write_pages(tmp_path / "b.tif", [Page(planes(PHOTO16), None, 16, kept, (72, 72), "p")])
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_more_than_four_gigabytes_become_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit of a classic TIFF lowered to what two pages need."""
    monkeypatch.setattr(tiff_writer_module, "_CLASSIC", 45_000)
    noise = [np.random.default_rng(k).integers(0, 256, PHOTO.shape, dtype=np.uint8) for k in range(5)]
    given = [Page(planes(page), metadata=Metadata(an_exif()), provenance=f"{k}") for k, page in enumerate(noise)]
    write_pages(tmp_path / "large.tif", given)
    assert (tmp_path / "large.tif").read_bytes()[:4] == b"II+\0"
    found = list(pages(tmp_path / "large.tif"))
    for k, (photo, page) in enumerate(zip(found, noise, strict=True)):
        exactly(photo.rgb, planes(page))
        assert summary(photo.exif)[ExifTags.IFD.Exif] == {ExifTags.Base.ExposureTime: 1 / 125}
        assert summary(photo.exif)[ExifTags.Base.Software] == f"{k}"
    write_pages(tmp_path / "small.tif", given[:2])
    assert (tmp_path / "small.tif").read_bytes()[:4] == b"II*\0"


def test_notes_of_pages_are_numbered(tmp_path: Path) -> None:
    broken = Metadata(xmp=b"<unclosed>")
    said = write_pages(tmp_path / "a.tif", [Page(planes(PHOTO)), Page(planes(PHOTO), metadata=broken)])
    assert len(said) == 1
    assert said[0].startswith("page 2: its XMP packet is broken")


def test_an_interrupted_album_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "album.tif"
    path.write_bytes(b"old")

    def interrupted() -> Iterator[Page]:
        yield Page(planes(PHOTO))
        assert len(list(tmp_path.iterdir())) == 2  # what is unfinished lies beside it
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pages(path, interrupted())
    with pytest.raises(ImageError, match="did you forget / 255"):
        write_pages(path, [Page(planes(PHOTO)), Page(planes(PHOTO) * 255)])
    with pytest.raises(ImageError, match=r"album\.tif: got no page; expected at least one"):
        write_pages(path, [])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# Streams


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_a_stream_gets_what_a_file_gets(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    options = {"dpi": (300, 300), "provenance": "p", "metadata": Metadata(an_exif())}
    for name in (kind, kind.lower()):
        stream = io.BytesIO()
        assert write(stream, planes(PHOTO), format=name, **options) == write(path, planes(PHOTO), **options)
        assert stream.getvalue() == path.read_bytes()


def test_a_stream_gets_nothing_of_a_picture_that_fails() -> None:
    stream = io.BytesIO()
    with pytest.raises(ImageError, match="NaN"):
        write(stream, planes(PHOTO) / 0, format="TIFF")
    with pytest.raises(ImageError, match='pass format="PNG"'):
        write(stream, planes(PHOTO))
    with pytest.raises(ImageError, match=r"got format 'GIF'; expected one of BMP, JPEG, PNG, TIFF, WEBP"):
        write(stream, planes(PHOTO), format="GIF")
    assert stream.getvalue() == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF"])
def test_pipes_are_read_and_written(kind: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = encoded(Image.fromarray(GRAY), kind)
    thread = threading.Thread(target=pipe.write_bytes, args=(data,))
    thread.start()
    photo = read(pipe)
    thread.join()
    exactly(photo.rgb, read(data).rgb)
    thread = threading.Thread(target=write, args=(pipe, planes(PHOTO)), kwargs={"format": "PNG"})
    thread.start()
    received = pipe.read_bytes()
    thread.join()
    exactly(read(received).rgb, planes(PHOTO))
    assert pipe.is_fifo()  # still


def test_standard_input_is_read(tmp_path: Path) -> None:
    code = "import sys; from colorlib.io import read; print(tuple(read(sys.argv[1]).rgb.shape))"
    data = encoded(Image.fromarray(PHOTO), "JPEG")
    run = subprocess.run([sys.executable, "-c", code, "/dev/stdin"], input=data, capture_output=True, check=True)
    assert run.stdout.decode().strip() == "(3, 64, 96)"


# Strips


def test_strips_cover_every_row_once() -> None:
    for height, width in ((1, 1), (7, 100_000), (4000, 6000), (3, 5_000_000)):
        found = list(strips(height, width))
        assert [row for top, end in found for row in range(top, end)] == list(range(height))
        assert all((end - top) * width <= 1 << 18 or end - top == 1 for top, end in found)


@pytest.mark.parametrize("turn", [1, 6])
def test_rows_are_those_of_the_whole(turn: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    image = Image.fromarray(np.dstack([PHOTO, ALPHA]))
    photo = read(encoded(image, "PNG", exif=exif))
    for top, end in ((0, 1), (3, 17), (0, photo.height)):
        assert torch.equal(photo.planes.rows(top, end), photo.rgb[:, top:end])
        assert torch.equal(photo.opacity.rows(top, end), photo.alpha[:, top:end])
    assert photo.rgb is photo.rgb  # made once
    expected = np.dstack([PHOTO, ALPHA]) if turn == 1 else np.rot90(np.dstack([PHOTO, ALPHA]), -1)
    assert (photo.pixels == expected).all()


def test_pixels_only_where_they_are_the_picture() -> None:
    assert (read(PHOTO16).pixels == PHOTO16).all()
    assert (read(encoded(Image.fromarray(GRAY), "PNG")).pixels == GRAY[..., None]).all()
    twelve = tiff(PHOTO16[..., 0] >> 4, photometric="minisblack", bitspersample=12)
    multiplied = tiff(np.dstack([PHOTO, ALPHA]).astype(np.uint16), photometric="rgb", extrasamples=["assocalpha"])
    for source in (planes(PHOTO), twelve, multiplied):
        assert read(source).pixels is None


def test_a_photo_does_not_follow_its_source() -> None:
    array = PHOTO.copy()
    photo = read(array)
    array[:] = 0
    exactly(photo.rgb, planes(PHOTO))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".jpg"])
def test_planes_are_written_as_tensors_are(suffix: str, tmp_path: Path) -> None:
    """A picture of several strips, made while it is written."""
    rgb = planes(np.tile(PHOTO16, (24, 5, 1)))  # 1536 x 480: two strips
    opacity = planes(np.tile(ALPHA, (24, 5)))
    assert len(list(strips(*rgb.shape[1:]))) == 3
    asked: list[tuple[int, int]] = []

    def rows(top: int, end: int) -> torch.Tensor:
        asked.append((top, end))
        return rgb[:, top:end]

    lazy = Planes((3, *rgb.shape[1:]), rows)
    write(tmp_path / f"a{suffix}", lazy, alpha=Planes.of(opacity), bit_depth=16)
    write(tmp_path / f"b{suffix}", rgb, alpha=opacity, bit_depth=16)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert asked == list(strips(*rgb.shape[1:]))
    if suffix in (".png", ".tif"):
        exactly(read(tmp_path / f"a{suffix}").rgb, rgb)
    assert (np.asarray(to_pil(lazy, opacity)) == np.asarray(to_pil(rgb, opacity))).all()


def test_photos_can_be_pickled() -> None:
    import pickle

    for source in (PHOTO, encoded(Image.fromarray(np.dstack([PHOTO, ALPHA])), "PNG"), planes(PHOTO)):
        photo = pickle.loads(pickle.dumps(read(source)))
        assert isinstance(photo, Photo)
        exactly(photo.rgb, planes(PHOTO))


# Size


def test_max_pixels_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "plate.png"
    wide = np.zeros((1, 30_000), np.uint8)
    Image.fromarray(wide).save(path)
    with pytest.raises(TooLargeError) as caught:
        read(path, max_pixels=20_000)
    assert caught.value.got == "got 30000 x 1 pixels, expected at most 20,000"
    assert "--max-pixels in the shell" in str(caught.value)
    assert read(path, max_pixels=30_000).width == 30_000


def test_each_page_is_measured() -> None:
    data = tiff_of((PHOTO[:8, :8].copy(), 0), (PHOTO, 0))
    found = pages(data, max_pixels=100)
    assert next(found).width == 8
    with pytest.raises(TooLargeError, match="page 2: got 96 x 64"):
        next(found)


LEAN = """
import re, sys
from colorlib import io
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
def now():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
io.read(sys.argv[2])  # what codecs need once
before = now()
open("/proc/self/clear_refs", "w").write("5")
photo = io.read(sys.argv[1])
print(peak() - before, now() - before)
open("/proc/self/clear_refs", "w").write("5")
io.write(sys.argv[3], photo.planes, alpha=photo.opacity, bit_depth=photo.bit_depth)
print(peak() - before, now() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_a_large_photograph_is_never_floats(suffix: str, tmp_path: Path) -> None:
    """24 megapixels of 8 bits are 72 MB of pixels, 96 MB in Pillow and 288 MB of floats."""
    photo = np.tile(skimage.data.astronaut(), (8, 12, 1))[:4000, :6000]
    path, small = tmp_path / f"scan.{suffix}", tmp_path / f"small.{suffix}"
    Image.fromarray(photo).save(path)
    Image.fromarray(photo[:64, :64]).save(small)
    run = [sys.executable, "-c", LEAN, str(path), str(small), str(tmp_path / f"out.{suffix}")]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    reading, held, writing, _ = (int(number) / photo.nbytes for number in lines)
    assert held < 1.3
    assert reading < 2.7  # Pillow's own copy has four bytes a pixel
    assert writing < 3.0
    if suffix != "jpg":
        again = read(tmp_path / f"out.{suffix}")
        assert (again.pixels == photo).all()
