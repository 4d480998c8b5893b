"""Photographs for training: the same pixels as everywhere, the same rule for what is one, and none that ends a run."""

import io
import logging
import os
import re
import struct
import tarfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from skimage import data

import colorlib.io
from colorlib.benchmarks.photos import of_folder
from training import tally
from training.__main__ import main
from training.data import ENLARGED, NARROW, REMARKED, REPEATED, SMALL, UNLABELLED, UNREADABLE, PhotoData
from training.experiment import folders
from training.sources import find
from training.tally import Account, Tally

ROOT = Path(__file__).parent.parent
DEBUG = ROOT / "training" / "recipes" / "debug.yaml"
SIDE = 48  # of the photographs here, and of the crops: so nothing is scaled or cut
ADOBE = imagecodecs.cms_profile("adobergb")


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What training's log says of photographs."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    tally.log.addHandler(handler)
    yield messages
    tally.log.removeHandler(handler)


def _square(number: int) -> np.ndarray:
    """A photograph, (SIDE, SIDE, 3) uint8, another one for each number."""
    top, left = divmod(number, 8)
    return data.coffee()[40 * top : 40 * top + SIDE, 60 * left : 60 * left + SIDE]


def _file(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def _shard(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def _photos(source: Any, rank: int = 0, world: int = 1, **options: Any) -> PhotoData:
    chosen = {"size": SIDE, "resize": SIDE, "batch_size": 2, "workers": 0, "shuffle": 8, "min_color_std": 0, "flip": 0}
    photos = PhotoData(**{"train": source, "val": source, **chosen, **options})
    photos.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    return photos


def _seen(photos: PhotoData) -> dict[bytes, int]:
    """Pixels and labels of what is validated on."""
    batches = list(photos.val_dataloader())
    pairs = ((rgb, label) for batch in batches for rgb, label in zip(batch["rgb"], batch["label"], strict=True))
    return {rgb.permute(1, 2, 0).numpy().tobytes(): int(label) for rgb, label in pairs}


def _trained(photos: PhotoData, steps: int) -> list[int]:
    """So many steps, as a trainer takes them; the labels."""
    loader = iter(photos.train_dataloader())
    batches = [photos.on_before_batch_transfer(next(loader), 0) for _ in range(steps)]
    return [label for batch in batches for label in batch["label"].tolist()]


# One reader


def _odd_files() -> dict[str, tuple[bytes, np.ndarray | None]]:
    """Files that a reader of one's own would take for something else, and what is to be seen, if it is exact."""
    photo = _square(3)
    gray = photo[..., :1].repeat(3, axis=2)
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = io.BytesIO()
    tifffile.imwrite(deep, photo[..., 0].astype(np.uint16) * 257)
    deep_rgb = imagecodecs.png_encode(_square(5).astype(np.uint16) * 257)
    adobe = imagecodecs.cms_transform(
        _square(7), ADOBE, imagecodecs.cms_profile("srgb"), colorspace="rgb", outcolorspace="rgb",
        intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
    )  # fmt: skip
    return {
        "turned.png": (_file(_square(1), exif=turned.tobytes()), np.rot90(_square(1), -1)),
        "turned.jpg": (_file(_square(2), "JPEG", quality=95, exif=turned.tobytes()), None),
        "gray16.tif": (deep.getvalue(), gray),
        "rgb16.png": (deep_rgb, _square(5)),
        "adobe.png": (_file(_square(7), icc_profile=ADOBE), adobe),
        "alpha.png": (_file(np.dstack([_square(8), _square(8)[..., :1]])), _square(8)),
        "plain.JPEG": (_file(_square(9), "JPEG", quality=95), None),
        "a.webp": (_file(_square(10), "WEBP", lossless=True), _square(10)),
        "a.jp2": (_file(_square(11), "JPEG2000"), _square(11)),
    }


@pytest.mark.parametrize("packed", [False, True])
def test_training_sees_the_pixels_that_colorlib_reads(tmp_path: Path, packed: bool):
    """Turned, in another colour space, of 16 bits: as `io.read` gives them, and as another library does."""
    files = _odd_files()
    contents = {name: content for name, (content, _) in files.items()}
    source = _shard(tmp_path / "s.tar", contents.items()) if packed else _put(tmp_path / "photos", contents)
    seen = _seen(_photos([str(source)]))
    assert len(seen) == len(files)
    for name, (content, expected) in files.items():
        read = (colorlib.io.read(content).rgb * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert read.tobytes() in seen, name
        if expected is not None:
            assert np.abs(read.astype(int) - expected).max() <= 1, name
    naive = np.asarray(Image.open(io.BytesIO(contents["adobe.png"])))
    assert naive.tobytes() not in seen


def test_training_crops_the_pixels_that_colorlib_reads(tmp_path: Path):
    """So does the other loader, whose augmentation is switched off here."""
    content, expected = _odd_files()["gray16.tif"]
    photos = _photos([str(_put(tmp_path, {"gray16.tif": content}))], batch_size=1)
    rgb = next(iter(photos.train_dataloader()))["rgb"][0]
    np.testing.assert_array_equal(rgb.permute(1, 2, 0), expected)


# One rule for what is a photograph


def test_hidden_things_change_no_label(tmp_path: Path):
    """Nor do folders without photographs: classes are those that somebody sorted photographs into."""
    files = {
        f"{folder}/{i}.png": _file(_square(8 * i + j)) for j, folder in enumerate(("cats", "dogs")) for i in (0, 1)
    }
    plain = _put(tmp_path / "plain", files)
    hidden = {name: _file(_square(30)) for name in (".thumbs/0.png", "cats/.ipynb_checkpoints/0.png", "dogs/.0.png")}
    rest = {"a notes/readme.txt": b"", "cats/._0.png": b"\0\5\x16\7 left by macOS", "zzz/table.csv": b""}
    littered = _put(tmp_path / "littered", {**files, **hidden, **rest})
    (littered / "an empty one").mkdir()
    expected = {_square(8 * i + j).tobytes(): j for j in (0, 1) for i in (0, 1)}
    assert _seen(_photos([str(plain)])) == _seen(_photos([str(littered)])) == expected


def test_hidden_things_in_shards_are_none(tmp_path: Path):
    """Names that begin with two dots too: macOS packs such files beside others."""
    files = [("./._0.png", b"left by macOS"), ("./0.png", _file(_square(0))), ("./0.cls", b"4")]
    files += [("./.thumbs/0.png", _file(_square(1))), ("./.thumbs/0.cls", b"5")]
    shard = _shard(tmp_path / "photos.tar", files)
    (tmp_path / "._photos.tar").write_bytes(b"left by macOS")
    expected = {_square(0).tobytes(): 4}
    assert _seen(_photos([str(shard)])) == _seen(_photos([str(tmp_path)])) == expected


def test_training_and_benchmarks_take_the_same_files(tmp_path: Path):
    names = ("a.jpg", "b.PNG", "c.avif", "d.jp2", "e.jxl", "f.txt", ".g.jpg", "h/.i/j.jpg", "k.l.tiff")
    folder = _put(tmp_path / "photos", dict.fromkeys(names, b""))
    trained = [Path(photo.name).relative_to(folder).as_posix() for photo in find([str(folder)], "train").photos]
    assert trained == [photo.key for photo in of_folder(folder)]
    assert trained == [name for name in names if name not in ("f.txt", ".g.jpg", "h/.i/j.jpg")]


def test_experiments_look_into_no_hidden_folder(tmp_path: Path):
    for name in ("b", ".ipynb_checkpoints", "a"):
        (tmp_path / name).mkdir()
    assert folders([tmp_path]) == [tmp_path, tmp_path / "a", tmp_path / "b"]


def test_validation_has_the_classes_of_training(tmp_path: Path):
    """Though it lacks some and has others; and classes of several folders are counted together."""
    train = _put(tmp_path / "train", {f"{name}/0.png": _file(_square(i)) for i, name in enumerate("bcd")})
    more = _put(tmp_path / "more", {"a/0.png": _file(_square(8))})
    val = _put(tmp_path / "val", {f"{name}/0.png": _file(_square(16 + i)) for i, name in enumerate("dce")})
    labels = {_square(16).tobytes(): 2, _square(17).tobytes(): 1, _square(18).tobytes(): -1}
    assert _seen(_photos([str(train)], val=[str(val)])) == labels
    assert _seen(_photos(None, val=[str(val)])) == dict(zip(labels, (1, 0, 2), strict=True))
    both = _seen(_photos([str(train), str(more)], val=[str(train), str(more)]))
    assert both == {_square(i).tobytes(): label for i, label in ((0, 1), (1, 2), (2, 3), (8, 0))}


# Shards


def test_names_may_have_dots(tmp_path: Path):
    """The last suffix is the file's kind, what is before it the name that a class shares."""
    names = {"holiday.v2": 2, "holiday": 1, "1.5 m.of.it": 3}
    files = [(f"a.b/{name}{suffix}", content) for number, (name, label) in enumerate(names.items())
             for suffix, content in ((".png", _file(_square(number))), (".cls", str(label).encode()))]  # fmt: skip
    seen = _seen(_photos([str(_shard(tmp_path / "s.tar", files))]))
    assert seen == {_square(0).tobytes(): 2, _square(1).tobytes(): 1, _square(2).tobytes(): 3}


@pytest.mark.parametrize("files", [[], [("0.txt", b"1"), ("0.npy", b"2"), ("0.cls", b"3")]], ids=["empty", "others"])
def test_a_shard_without_photographs_is_named(tmp_path: Path, files: list[tuple[str, bytes]]):
    shard = _shard(tmp_path / "wrong.tar", files)
    good = _shard(tmp_path / "good.tar", [("0.png", _file(_square(0)))])
    got = r"got 2 other files, 0\.txt first" if files else "it is empty"
    expected = rf"wrong\.tar: no photograph is in this shard; {got}; expected files such as 000\.jpg"
    for read in (_seen, lambda photos: _trained(photos, 3)):
        with pytest.raises(colorlib.io.ImageError, match=expected):
            read(_photos([str(good), str(shard)]))  # type: ignore[operator]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_a_source_of_which_nothing_can_be_read_is_named(tmp_path: Path, packed: bool, workers: int):
    """But not one of which a loader's share cannot be read, where others read the rest of it."""
    bad = [(f"{i}.png", b"no picture") for i in range(3)]
    good = _put(tmp_path / "good", {"0.png": _file(_square(0)), "1.png": _file(_square(1))})
    if packed:
        wrong, right = _shard(tmp_path / "wrong.tar", bad), _shard(tmp_path / "r.tar", [("0.png", _file(_square(0)))])
    else:
        wrong, right = _put(tmp_path / "wrong", dict(bad)), good
    expected = re.escape(f"{wrong}: none of its 3 photographs can be read. The first, {wrong}/0.png: no picture that")
    for read in (_seen, lambda photos: _trained(photos, 9)):
        with pytest.raises(colorlib.io.ImageError, match=expected):
            read(_photos([str(right), str(wrong)], workers=workers, batch_size=1))  # type: ignore[operator]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_share_of_which_nothing_can_be_read_is_no_error(tmp_path: Path, rank: int, said: list[str]):
    shard = _shard(tmp_path / "s.tar", [("0.png", b"no picture"), ("1.png", _file(_square(0)))])
    with (
        pytest.raises(ValueError, match="no photograph can be validated on") if rank == 0 else warnings.catch_warnings()
    ):
        assert _seen(_photos([str(shard)], rank, 2)) == {_square(0).tobytes(): -1}


@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (1, 2)])
def test_a_name_that_a_shard_has_twice_ends_nothing(tmp_path: Path, workers: int, world: int, said: list[str]):
    """The first file of that name is taken; the others are counted once, however many loaders share the shard."""
    files = [("a.png", 0), ("a.png", 1), ("b.png", 2), ("c.png", 3), ("a.png", 4), ("d.png", 5)]
    shard = _shard(tmp_path / "twice.tar", [(name, _file(_square(number))) for name, number in files])
    seen: dict[bytes, int] = {}
    for rank in range(world):
        seen |= _seen(_photos([str(shard)], rank, world, workers=workers))
    assert seen == {_square(number).tobytes(): -1 for number in (0, 2, 3, 5)}
    told = [int(count) for text in said for count in re.findall(rf"(\d+) {REPEATED}: {shard}/a\.png", text)]
    assert sum(told) == 2
    _trained(_photos([str(shard)], workers=workers), 9)


def test_a_class_that_is_no_number_leaves_the_photograph(tmp_path: Path, said: list[str]):
    files = [("0.png", _file(_square(0))), ("0.cls", b"cat\xff"), ("1.png", _file(_square(1))), ("1.cls", b" 7\n")]
    seen = _seen(_photos([str(_shard(tmp_path / "s.tar", files))]))
    assert seen == {_square(0).tobytes(): -1, _square(1).tobytes(): 7}
    assert f"1 {UNLABELLED}: {tmp_path}/s.tar/0.png (b'cat\\xff')" in said[0]


# What is left out


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _bad_files() -> dict[str, dict[str, bytes]]:
    """Photographs that something is wrong with, by what becomes of them."""
    good = _file(data.coffee()[:100, :120], "JPEG", quality=95)
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    bomb += _chunk(b"IDAT", zlib.compress(bytes(99_999))) + _chunk(b"IEND", b"")
    nan = io.BytesIO()
    tifffile.imwrite(nan, np.full((60, 60, 3), np.nan, np.float32), photometric="rgb")
    pixels = data.coffee()
    frames = [Image.fromarray(pixels[i : i + 60, :60]) for i in (0, 60)]
    animated = io.BytesIO()
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return {
        UNREADABLE: {
            "cut.jpg": good[: len(good) // 2], "empty.jpg": b"", "text.png": b"no picture", "bomb.png": bomb,
            "nan.tif": nan.getvalue(), "noise.jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9,
        },
        SMALL: {
            "1x1.png": _file(pixels[:1, :1]), "1xN.png": _file(pixels[:1, :600]), "11.png": _file(pixels[:11, :20]),
        },
        NARROW: {"narrow.png": _file(pixels[:20, :161]), "tall.png": _file(pixels[:400, :12])},
        ENLARGED: {"47.png": _file(pixels[:47, :60]), "12x96.png": _file(pixels[:12, :96])},
        REMARKED: {"animated.webp": animated.getvalue()},
        "": {
            "good.jpg": good, "cmyk.jpg": _cmyk(pixels[:60, :60]), "a jpeg.png": good, "palette.gif": _palette(),
            "bilevel.png": _file(pixels[:60, :60, 0] > 90), "gray.png": _file(pixels[:60, :60, 0]),
        },
    }  # fmt: skip


def _cmyk(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


def _palette() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(data.coffee()[:60, :60]).convert("P").save(buffer, "GIF")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all of them."""
    files = {f"{kind.split()[-1] if kind else 'good'}/{name}": content
             for kind, group in _bad_files().items() for name, content in group.items()}  # fmt: skip
    return _put(tmp_path_factory.mktemp("bad") / "photos", files)


COUNTS = {kind: len(group) for kind, group in _bad_files().items() if kind}
ALL = sum(map(len, _bad_files().values()))
TAKEN = ALL - COUNTS[UNREADABLE] - COUNTS[SMALL] - COUNTS[NARROW]


def _told(said: list[str]) -> Counter[str]:
    """The counts in what the log says."""
    return Counter({kind: sum(int(n) for text in said for n in re.findall(rf"^  (\d+) {re.escape(kind)}: ", text, re.M))
                    for kind in COUNTS})  # fmt: skip


@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (1, 2)])
def test_what_is_left_out_of_validation_is_counted(bad: Path, workers: int, world: int, said: list[str]):
    """Once each, whoever's share it is in; and in every later round nothing is said again."""
    found = 0
    for rank in range(world):
        photos = _photos([str(bad)], rank, world, workers=workers)
        for _ in range(2):
            found += sum(len(batch["rgb"]) for batch in photos.val_dataloader())
    assert found == 2 * TAKEN
    assert len(said) == world
    assert _told(said) == Counter(COUNTS)
    met = sum(int(count) for text in said for count in re.findall(r"data\.val.*, (\d+) photographs in round 1:", text))
    assert met == ALL


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_left_out_of_training_is_counted(bad: Path, workers: int, said: list[str]):
    """When a round is over, and not again after the next ones, which have the same; not for each photograph."""
    photos = _photos([str(bad)], workers=workers, batch_size=1)
    _trained(photos, TAKEN)
    assert said == []
    _trained(photos, 3 * TAKEN)
    photos.teardown("fit")
    assert len(said) == 1
    assert said[0].startswith(f"data.train, {ALL} photographs in round 1:\n")
    assert _told(said) == Counter(COUNTS)


def test_a_run_that_ends_within_a_round_says_what_it_met(bad: Path, said: list[str]):
    photos = _photos([str(bad)], batch_size=TAKEN)
    _trained(photos, 1)
    photos.on_exception(KeyboardInterrupt())
    assert re.match(r"data\.train, \d+ photographs in round 1, which was not finished:\n", said[0])
    assert len(said) == 1


def test_reasons_are_said_without_names_twice(bad: Path, said: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tally, "NAMED", 99)
    _seen(_photos([str(bad)]))
    place = re.escape(str(bad))
    for name, reason in {
        "text.png": "no picture that can be read, it begins with b'no picture'",
        "bomb.png": "got 50000 x 50000 pixels, expected at most ",
        "empty.jpg": "the file is empty, 0 bytes",
        "1xN.png": "600 x 1",
        "47.png": "60 x 47",
    }.items():
        assert re.search(rf"{place}/[a-z]+/{re.escape(name)} \({re.escape(reason)}", said[0]), name


def test_nothing_is_said_of_photographs_that_are_all_right(tmp_path: Path, said: list[str]):
    photos = _photos([str(_put(tmp_path, {"0.png": _file(_square(0)), "1.png": _file(_square(1))}))])
    assert len(_seen(photos)) == 2
    _trained(photos, 5)
    photos.teardown("fit")
    assert said == []


def test_large_photographs_are_left_out_where_it_is_asked_for(tmp_path: Path, said: list[str]):
    source = _put(tmp_path, {"large.png": _file(data.coffee()), "small.png": _file(_square(0))})
    assert len(_seen(_photos([str(source)], max_pixels=SIDE**2))) == 1
    got = "got 600 x 400 pixels, expected at most 2,304; --data.max_pixels allows more"
    assert f"1 {UNREADABLE}: {source}/large.png ({got})" in said[0]
    assert len(_seen(_photos([str(source)]))) == 2


def test_names_that_are_no_text_are_said(tmp_path: Path, said: list[str]):
    _put(tmp_path, {"0.png": _file(_square(0))})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"no picture")
    _seen(_photos([str(tmp_path)]))
    assert f"{tmp_path}/caf\\udce9.png (no picture" in said[0]


def test_validation_on_nothing_is_an_error(tmp_path: Path):
    source = _put(tmp_path, {"0.png": _file(data.coffee()[:3, :3])})
    with pytest.raises(ValueError, match=rf"no photograph can be validated on.*\n1 {SMALL}: .*0\.png \(3 x 3\)"):
        _seen(_photos([str(source)]))


def test_a_round_without_a_photograph_says_why(tmp_path: Path):
    source = _put(tmp_path, {"0.png": _file(data.coffee()[:3, :3])})
    with pytest.raises(ValueError, match=rf"found no photograph in colour in a whole round(.|\n)*1 {SMALL}: .*0\.png"):
        _trained(_photos([str(source)]), 1)


def test_tallies_add_up():
    one, other = Tally(met=5), Tally(met=7)
    for number in range(2):
        one.note("left out", f"a{number}", "why")
    for number in range(4):
        other.note("left out", f"b{number}")
    other.note("enlarged", "c")
    one.add(other)
    assert one.met == 12
    assert str(one) == "6 left out: a0 (why); a1 (why); b0 and 3 more\n1 enlarged: c"


def test_accounts_are_closed_by_rounds(said: list[str]):
    account = Account("data.train")
    first, second = Tally(met=2), Tally(met=3)
    first.note("left out", "a")
    for name in "ab":
        second.note("left out", name)
    account.add({0: first, 1: second})
    account.close(before=1)
    assert said == ["data.train, 2 photographs in round 1:\n  1 left out: a"]
    account.close_all()
    assert said[1:] == ["data.train, 3 photographs in round 2, which was not finished:\n  2 left out: a; b"]
    account.add({2: first})
    account.close_all()
    assert len(said) == 2


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_a_run_over_bad_photographs_goes_to_its_end(
    bad: Path, tmp_path: Path, packed: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["training"])
    source = bad
    if packed:
        names = sorted(path for path in bad.rglob("*") if path.is_file())
        source = _shard(tmp_path / "bad.tar", [(path.relative_to(bad).as_posix(), path.read_bytes()) for path in names])
    fit: Callable[[list[str]], LightningCLI] = main
    done = fit([
        "fit", "--config", str(DEBUG), f"--data.train=[{source}]", f"--data.val=[{source}]",
        f"--trainer.default_root_dir={tmp_path}/run", "--trainer.enable_progress_bar=false", f"--data.size={SIDE}",
        f"--data.resize={SIDE}", "--data.min_color_std=0", "--trainer.max_steps=6", "--trainer.val_check_interval=6",
    ])  # fmt: skip
    assert done.trainer.global_step == 6
    for name in ("data.train", "data.val"):
        assert _told([text for text in said if text.startswith(name)]) == Counter(COUNTS)
