"""Sets of photographs found in small trees: folders and shards, what is missing, damaged, doubled or another's."""

import hashlib
import io
import pickle
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import colorlib
from colorlib.benchmarks import AbsentError, DataError, PhotoSet, list_benchmarks, photos, protocol
from colorlib.benchmarks.photos import Listed, Photo, find, of_folder, read_list
from colorlib.io import ImageError

NAMES = ("pear.png", "apple.JPEG", "quince.jpg")  # in no order


def pixels(k: int) -> np.ndarray:
    return np.random.default_rng(k).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def picture(k: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(k)).save(buffer, kind)
    return buffer.getvalue()


CONTENTS = {name: picture(k, "PNG" if name == "pear.png" else "JPEG") for k, name in enumerate(NAMES)}
LABELS = {"pear.png": "orchard", "apple.JPEG": "", "quince.jpg": "market"}
FRUIT = PhotoSet("fruit", "fruit of a market (example.org)", "fruit")
COUNTED = PhotoSet("counted", "any three photographs", count=3)
UNCOUNTED = PhotoSet("uncounted", "any photographs")


@pytest.fixture(autouse=True)
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more list, of three photographs."""
    folder = Path(shutil.copytree(photos.LISTS, tmp_path / "lists"))
    rows = [f"{name},{hashlib.sha256(CONTENTS[name]).hexdigest()},{LABELS[name]}" for name in NAMES]
    (folder / "fruit.csv").write_text("\n".join(["photo,sha256,label", *rows, ""]))
    monkeypatch.setattr(photos, "LISTS", folder)
    read_list.cache_clear()
    yield
    read_list.cache_clear()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def put(folder: Path, files: Mapping[str, bytes] = CONTENTS) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def shard(path: Path, files: Mapping[str, bytes] = CONTENTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def keys(found: list[Photo]) -> list[str]:
    return [photo.key for photo in found]


def contents(found: list[Photo]) -> dict[str, bytes]:
    return {photo.key: photo.content() for photo in found}


# Where a listed set may lie


@pytest.mark.parametrize(
    "where",
    ["fruit", "fruit/val", "fruit/a/b/c", ".", "other/deep"],
    ids=["own folder", "one below", "nested", "data itself", "elsewhere below data"],
)
def test_a_listed_set_is_found_anywhere_below(data: Path, where: str):
    put(data / where)
    found = find(FRUIT, [data])
    assert contents(found) == CONTENTS
    assert {photo.path.parent for photo in found} == {data / where}


def test_data_may_be_the_sets_own_folder(data: Path):
    put(data / "fruit")
    assert contents(find(FRUIT, [data / "fruit"])) == CONTENTS


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1], sorted(NAMES)], ids=["list", "reversed", "sorted"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_order_is_the_lists(data: Path, order: tuple[str, ...], packed: bool):
    files = {name: CONTENTS[name] for name in order}
    shard(data / "fruit" / "a.tar", files) if packed else put(data / "fruit", files)
    assert keys(find(FRUIT, [data])) == list(NAMES)


def test_what_the_list_says_comes_along(data: Path):
    put(data / "fruit" / "not-the-label")
    found = find(FRUIT, [data])
    assert {photo.key: photo.listed.label for photo in found} == LABELS
    assert [photo.listed.sha256 for photo in found] == [hashlib.sha256(CONTENTS[name]).hexdigest() for name in NAMES]


def test_other_files_are_passed_over(data: Path):
    put(data / "fruit", CONTENTS | {"banana.png": picture(9), "notes.txt": b"pear.png", "pear.csv": b"", "raw": b""})
    assert contents(find(FRUIT, [data])) == CONTENTS


def test_a_folder_called_like_a_photograph_is_none(data: Path):
    put(data / "fruit", {name: CONTENTS[name] for name in NAMES[1:]})
    (data / "fruit" / "pear.png").mkdir()
    (data / "fruit" / "all.tar").mkdir()
    assert keys(find(FRUIT, [data], allow_missing=True)) == ["apple.JPEG", "quince.jpg"]


@pytest.mark.parametrize("name", [".pear.png", ".hidden/pear.png", "a/.hidden/b/pear.png"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_hidden_is_passed_over(data: Path, name: str, packed: bool):
    files = {name: picture(5), "x.png": picture(6)}
    shard(data / "uncounted" / "a.tar", files) if packed else put(data / "uncounted", files)
    assert keys(find(UNCOUNTED, [data])) == ["x.png"]


def test_a_hidden_folder_above_the_set_does_not_hide_it(data: Path):
    put(data / ".cache" / "fruit")
    assert contents(find(FRUIT, [data / ".cache"])) == CONTENTS


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.JpEg", "a.tiff", "a.webp"])
def test_suffixes_are_known_in_any_case(data: Path, name: str):
    put(data / "uncounted", {name: b"", "a.txt": b"", "a.jpg.bak": b""})
    assert keys(find(UNCOUNTED, [data])) == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_the_set_and_to_its_files_are_followed(data: Path, tmp_path: Path):
    put(tmp_path / "far")
    (data / "fruit").symlink_to(tmp_path / "far", target_is_directory=True)
    (data / "linked").mkdir()
    for name in NAMES:
        (data / "linked" / name).symlink_to(tmp_path / "far" / name)
    assert contents(find(FRUIT, [data])) == CONTENTS
    assert contents(find(FRUIT, [data / "linked"])) == CONTENTS


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_nowhere_is_missing_and_one_in_a_circle_does_no_harm(data: Path):
    put(data / "fruit", {name: CONTENTS[name] for name in NAMES[1:]})
    (data / "fruit" / "pear.png").symlink_to(data / "nowhere.png")
    (data / "fruit" / "circle").symlink_to(data, target_is_directory=True)
    with pytest.raises(DataError, match=re.escape("2 of 3 photographs; not there: pear.png.")):
        find(FRUIT, [data])


def test_paths_hold_in_another_working_folder(data: Path, monkeypatch: pytest.MonkeyPatch):
    put(data / "fruit", {"pear.png": CONTENTS["pear.png"]})
    shard(data / "fruit" / "rest.tar", {name: CONTENTS[name] for name in NAMES[1:]})
    monkeypatch.chdir(data)
    found = find(FRUIT, [Path()]) + of_folder(Path("fruit")) + of_folder(Path("fruit/rest.tar"))
    monkeypatch.chdir("/")
    assert [photo.content() for photo in found] == [CONTENTS[photo.key] for photo in found]


# Shards


def test_shards_give_the_bytes_that_tarfile_gives(data: Path):
    """Long names, links, a folder and labels between the photographs: each moves offsets."""
    path = data / "fruit" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (CONTENTS | {"pear.cls": b"3", "ü/" + "x" * 150 + ".png": b"y" * 700}).items():
            member = tarfile.TarInfo(name if name in ("pear.cls",) else f"below/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"{kind.decode()}.png")
            link.type, link.linkname = kind, "below/pear.png"
            tar.addfile(link)
    with tarfile.open(path) as tar:
        expected = {m.name: tar.extractfile(m).read() for m in tar if m.isreg() and m.name != "pear.cls"}
    assert contents(of_folder(path)) == expected
    assert contents(find(FRUIT, [data])) == CONTENTS


def test_shards_and_files_make_up_a_set_together(data: Path):
    put(data / "fruit", {"pear.png": CONTENTS["pear.png"]})
    shard(data / "fruit" / "one.tar", {"./apple.JPEG": CONTENTS["apple.JPEG"]})
    shard(data / "fruit" / "deep" / "TWO.TAR", {"x/quince.jpg": CONTENTS["quince.jpg"]})
    assert contents(find(FRUIT, [data])) == CONTENTS


def test_a_shard_gives_the_pictures_of_the_files(data: Path):
    shard(data / "fruit" / "a.tar")
    put(data / "files")
    for packed, file in zip(find(FRUIT, [data]), find(FRUIT, [data / "files"]), strict=True):
        assert packed.offset is not None
        assert file.offset is None
        assert torch.equal(packed.read().rgb, file.read().rgb)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "empty"),
        (lambda content: b"no archive" * 100, ""),
        (lambda content: content[:700], "unexpected end of data"),
        (lambda content: content[:1100], "no header at byte 1,024"),
        (lambda content: content[:1024] + b"\x55" * 512 + content[1536:], "no header at byte 1,024"),
    ],
    ids=["empty", "another format", "cut in a photograph", "cut in a header", "a header overwritten"],
)
def test_a_damaged_shard_is_named(data: Path, damage, message: str):
    path = shard(data / "fruit" / "a.tar")
    path.write_bytes(damage(path.read_bytes()))
    complaint = f"(?s){re.escape(str(path))}: cannot be read as a tar archive.*{message}.*download it again"
    for load in (lambda: find(FRUIT, [data]), lambda: of_folder(path), lambda: of_folder(data)):
        with pytest.raises(DataError, match=complaint):
            load()


@pytest.mark.parametrize("blocks", [0, 1, 2, 20])
def test_a_shard_may_end_in_any_number_of_empty_blocks(data: Path, blocks: int):
    path = shard(data / "fruit" / "a.tar")
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole + b"\0" * (-len(whole) % 512 + 512 * blocks))
    assert contents(find(FRUIT, [data])) == CONTENTS


# Several roots


def test_the_root_that_has_the_set_is_found(data: Path):
    put(data / "one", {"x.png": b""})
    put(data / "two" / "fruit")
    assert contents(find(FRUIT, [data / "one", data / "two"])) == CONTENTS


def test_the_first_of_complete_roots_is_taken(data: Path):
    for root in ("one", "two"):
        put(data / root / "fruit")
    for roots in (["one", "two"], ["two", "one"]):
        found = find(FRUIT, [data / root for root in roots])
        assert {photo.path.parent for photo in found} == {data / roots[0] / "fruit"}


@pytest.mark.parametrize("allow_missing", [False, True])
def test_a_complete_root_goes_before_a_partial_one(data: Path, allow_missing: bool):
    put(data / "one" / "fruit", {"pear.png": CONTENTS["pear.png"]})
    put(data / "two" / "fruit")
    found = find(FRUIT, [data / "one", data / "two"], allow_missing=allow_missing)
    assert contents(found) == CONTENTS


def test_of_partial_roots_that_with_most_is_taken(data: Path):
    put(data / "one" / "fruit", {"pear.png": CONTENTS["pear.png"]})
    put(data / "two" / "fruit", {name: CONTENTS[name] for name in NAMES[1:]})
    roots = [data / "one", data / "two"]
    assert keys(find(FRUIT, roots, allow_missing=True)) == list(NAMES[1:])
    with pytest.raises(DataError, match=re.escape(f"{data / 'two' / 'fruit'} holds 2 of 3")):
        find(FRUIT, roots)


def test_a_root_that_is_not_there(data: Path):
    put(data / "fruit")
    with pytest.raises(DataError, match=re.escape(f"--data {data / 'no'}: expected a folder, there is none")):
        find(FRUIT, [data, data / "no"])


def test_a_root_that_is_a_file(data: Path):
    path = shard(data / "a.tar")
    with pytest.raises(DataError, match=re.escape(f"--data {path}: expected a folder, got a file")):
        find(FRUIT, [path])


# Absent, partial, too many


def test_an_absent_set_says_where_it_comes_from_and_where_to_put_it(data: Path):
    roots = [put(data / "one", {"x.png": b""}), put(data / "two", {"y.png": b""})]
    with pytest.raises(AbsentError) as raised:
        find(FRUIT, roots)
    assert str(raised.value) == (
        f"the photographs of fruit are not in {roots[0]} or {roots[1]}. Source: fruit of a market (example.org). Put "
        "the 3 photographs named in lists/fruit.csv of colorlib.benchmarks anywhere below a folder DATA/fruit, or into "
        "tar shards there, and pass --data DATA"
    )


def test_without_any_root_all_are_absent():
    with pytest.raises(AbsentError, match=re.escape("the photographs of fruit are not here. Source: fruit of")):
        find(FRUIT, [])


@pytest.mark.parametrize(("given", "which"), [(COUNTED, "the 3 photographs"), (UNCOUNTED, "the photographs")])
def test_an_absent_unlisted_set_says_how_many_it_has(data: Path, given: PhotoSet, which: str):
    place = f"Put {which} anywhere below a folder DATA/{given.name}, or into tar shards there, and pass --data DATA"
    with pytest.raises(AbsentError, match=re.escape(place)):
        find(given, [data])


def test_nothing_is_absent_even_if_some_may_be_missing(data: Path):
    (data / "fruit").mkdir()
    with pytest.raises(AbsentError):
        find(FRUIT, [data], allow_missing=True)


def test_a_partial_set_names_what_is_missing(data: Path):
    put(data / "fruit", {"apple.JPEG": CONTENTS["apple.JPEG"]})
    with pytest.raises(DataError) as raised:
        find(FRUIT, [data])
    assert not isinstance(raised.value, AbsentError)
    assert str(raised.value).startswith(
        f"fruit: {data / 'fruit'} holds 1 of 3 photographs; not there: pear.png, quince.jpg. Source: fruit of a market"
    )
    assert str(raised.value).endswith("Or go on without the others: --allow-missing")


def test_of_many_missing_ones_three_are_named(data: Path, tmp_path: Path):
    (tmp_path / "lists" / "fruit.csv").write_text("photo\n" + "".join(f"{k:04}.png\n" for k in range(2000)))
    put(data / "fruit", {"0001.png": b""})
    with pytest.raises(
        DataError, match=re.escape("1 of 2,000 photographs; not there: 0000.png, 0002.png, 0003.png, ..")
    ):
        find(FRUIT, [data])


def test_missing_ones_may_be_allowed(data: Path):
    put(data / "fruit", {name: CONTENTS[name] for name in ("quince.jpg", "pear.png")})
    assert keys(find(FRUIT, [data], allow_missing=True)) == ["pear.png", "quince.jpg"]


def test_fewer_than_counted(data: Path):
    put(data / "counted", {"a.png": b"", "b.png": b""})
    assert keys(find(COUNTED, [data], allow_missing=True)) == ["a.png", "b.png"]
    with pytest.raises(DataError, match=r"counted holds 2 of 3 photographs\. Source: any three.*--allow-missing$"):
        find(COUNTED, [data])


@pytest.mark.parametrize("allow_missing", [False, True])
def test_more_than_counted(data: Path, allow_missing: bool):
    put(data / "counted", {f"{k}.png": b"" for k in range(4)})
    with pytest.raises(DataError, match="counted holds 4 of 3 photographs; take out what does not belong"):
        find(COUNTED, [data], allow_missing=allow_missing)


# Unlisted sets


def test_an_unlisted_set_is_all_that_is_there_by_place(data: Path):
    put(data / "counted", {"b.png": picture(1), "c/a.png": picture(2)})
    shard(data / "counted" / "z.tar", {"a.png": picture(3)})
    found = find(COUNTED, [data])
    assert list(contents(found).items()) == [("a.png", picture(3)), ("b.png", picture(1)), ("c/a.png", picture(2))]


@pytest.mark.parametrize("packed", [False, True])
def test_the_folder_says_what_an_unlisted_photograph_shows(data: Path, packed: bool):
    files = {"bar/1.png": b"1", "deep/valley/1.png": b"2", "2.png": b"3"}
    shard(data / "uncounted" / "s.tar", files) if packed else put(data / "uncounted", files)
    labels = {photo.key: photo.listed for photo in find(UNCOUNTED, [data])}
    expected = {"bar/1.png": "bar", "deep/valley/1.png": "valley", "2.png": ""}
    assert labels == {key: Listed(label=label) for key, label in expected.items()}


def test_the_folder_itself_counts_only_by_its_name(data: Path):
    put(data, {"holiday.png": b""})
    with pytest.raises(AbsentError):
        find(UNCOUNTED, [data])
    put(data / "uncounted", {"a.png": b""})
    assert keys(find(UNCOUNTED, [data / "uncounted"])) == ["a.png"]


def test_one_place_in_two_shards_is_said(data: Path):
    one, two = (shard(data / "uncounted" / f"{k}.tar", {"x/a.png": picture(k)}) for k in range(2))
    with pytest.raises(DataError, match=re.escape(f"{one} and {two} both hold x/a.png; remove or rename one")):
        find(UNCOUNTED, [data])


# Several files of one name


@pytest.mark.parametrize("good", ["a/thumbs", "z/originals"])
def test_of_several_files_of_one_name_the_listed_one_is_taken(data: Path, good: str):
    bad = {"a/thumbs": "z/originals", "z/originals": "a/thumbs"}[good]
    put(data / "fruit" / good)
    put(data / "fruit" / bad, {name: picture(9) for name in NAMES})
    shard(data / "fruit" / "m.tar", {"pear.png": picture(8)})
    found = find(FRUIT, [data])
    assert {photo.path.parent for photo in found} == {data / "fruit" / good}
    assert contents(found) == CONTENTS


@pytest.mark.parametrize("hashed", [False, True])
def test_files_of_one_name_that_differ_are_said(data: Path, tmp_path: Path, hashed: bool):
    if not hashed:
        (tmp_path / "lists" / "fruit.csv").write_text("photo\npear.png\n")
    one, two = (put(data / "fruit" / folder, {"pear.png": picture(k)}) for k, folder in enumerate("ab", start=7))
    with pytest.raises(DataError, match="these have one name and differ") as raised:
        find(FRUIT, [data], allow_missing=True)
    assert str(one / "pear.png") in str(raised.value)
    assert str(two / "pear.png") in str(raised.value)


@pytest.mark.parametrize("hashed", [False, True])
def test_of_copies_the_first_is_taken(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: bool):
    """In whatever order the disk has them."""
    files_in = colorlib.io.files_in
    monkeypatch.setattr(colorlib.io, "files_in", lambda folder, **how: sorted(files_in(folder, **how), reverse=True))
    digest = hashlib.sha256(CONTENTS["pear.png"]).hexdigest() if hashed else ""
    (tmp_path / "lists" / "fruit.csv").write_text(f"photo,sha256\npear.png,{digest}\n")
    for folder in "bac":
        put(data / "fruit" / folder, {"pear.png": CONTENTS["pear.png"]})
    [photo] = find(FRUIT, [data])
    assert photo.path == data / "fruit" / "a" / "pear.png"


# Reading


def test_reading_gives_the_pixels(data: Path):
    put(data / "fruit")
    photo = find(FRUIT, [data])[0].read()
    assert torch.equal((photo.rgb * 255).round(), torch.from_numpy(pixels(0)).permute(2, 0, 1).float())


@pytest.mark.parametrize("packed", [False, True])
def test_another_photograph_than_the_listed_one_is_refused(data: Path, packed: bool):
    files = CONTENTS | {"pear.png": picture(9)}
    shard(data / "fruit" / "a.tar", files) if packed else put(data / "fruit", files)
    pear, *others = find(FRUIT, [data])
    found, expected = (hashlib.sha256(content).hexdigest()[:16] for content in (picture(9), CONTENTS["pear.png"]))
    with pytest.raises(ImageError, match=f"its sha256 is {found}.*expected {expected}.*take the set from its source"):
        pear.read()
    assert [other.read().rgb.shape for other in others] == [(3, 4, 6), (3, 4, 6)]


def test_a_damaged_photograph_is_refused(data: Path):
    put(data / "uncounted", {"a.png": picture(0)[:60]})
    with pytest.raises(ImageError):
        find(UNCOUNTED, [data])[0].read()


def test_a_photograph_that_went_away_is_an_os_error(data: Path):
    put(data / "uncounted", {"a.png": picture(0)})
    [photo] = find(UNCOUNTED, [data])
    photo.path.unlink()
    with pytest.raises(FileNotFoundError):
        photo.read()


def test_photographs_travel_to_other_processes(data: Path):
    put(data / "fruit", {"pear.png": CONTENTS["pear.png"]})
    shard(data / "fruit" / "a.tar", {name: CONTENTS[name] for name in NAMES[1:]})
    found = find(FRUIT, [data])
    there = pickle.loads(pickle.dumps(found))
    assert there == found
    assert contents(there) == CONTENTS


# Lists


def test_a_list_keeps_its_order_and_may_lack_columns(tmp_path: Path):
    (tmp_path / "lists" / "plain.csv").write_text("photo\nb.png\na.png\n")
    assert list(read_list("plain").items()) == [("b.png", Listed()), ("a.png", Listed())]


def test_expected_is_the_length_of_the_list_or_the_count():
    assert [given.expected for given in (FRUIT, COUNTED, UNCOUNTED)] == [3, 3, None]


# Any folder or shard


def test_of_folder(data: Path):
    put(data, {"b.png": b"1", "a/c.JPG": b"2", "notes.txt": b"3", ".d.png": b"4"})
    shard(data / "s.tar", {"e/f.png": b"5", "e/f.cls": b"6"})
    assert contents(of_folder(data)) == {"a/c.JPG": b"2", "b.png": b"1", "e/f.png": b"5"}


def test_of_folder_is_sorted_by_key(data: Path):
    shard(data / "s.tar", {f"{k}.png": b"" for k in "cab"})
    assert keys(of_folder(data)) == keys(of_folder(data / "s.tar")) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("kind", ["absent", "empty folder", "empty shard", "photograph", "compressed"])
def test_of_folder_says_what_it_expected(data: Path, kind: str):
    path = data / {"photograph": "a.png", "empty shard": "a.tar", "compressed": "a.tar.gz"}.get(kind, "a")
    if kind == "empty folder":
        path.mkdir()
    elif kind == "empty shard":
        shard(path, {"a.cls": b"1"})
    elif kind != "absent":
        path.write_bytes(picture(0))
    complaint = f"{path}: expected a folder of photographs or a .tar shard, found no photograph"
    with pytest.raises(DataError, match=re.escape(complaint)):
        of_folder(path)


def test_to_find_is_not_to_open(data: Path, monkeypatch: pytest.MonkeyPatch):
    """So 40,000 photographs take seconds."""
    put(data / "fruit")
    monkeypatch.setattr(Path, "open", lambda path, *args: pytest.fail(f"opened {path}"))
    monkeypatch.setattr(photos, "read_list", lambda name: dict.fromkeys(NAMES, Listed()))
    assert keys(find(FRUIT, [data])) == list(NAMES)
    assert keys(of_folder(data)) == sorted(f"fruit/{name}" for name in NAMES)


# The registered ones

REGISTERED = list_benchmarks()
LISTED = [name for name in REGISTERED if protocol(name).photos.listed and not protocol(name).photos.packaged]
UNLISTED = [name for name in REGISTERED if not protocol(name).photos.listed]
SKIMAGE = [name for name in REGISTERED if protocol(name).photos.packaged]


def test_every_benchmark_is_read_here():
    assert sorted(LISTED + UNLISTED + SKIMAGE) == sorted(REGISTERED)
    assert len(set(REGISTERED)) == len(REGISTERED)


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("packed", [False, True])
def test_listed_benchmarks_are_found_and_told_from_others(data: Path, name: str, packed: bool):
    """Three files of listed names, but of other content: found, and refused where the list has hashes."""
    tried = protocol(name)
    rows = read_list(tried.photos.listed)
    files = {photo: picture(k) for k, photo in enumerate(reversed(list(rows)[:3]))}
    folder = data / tried.photos.name
    shard(folder / "a.tar", files) if packed else put(folder / "below", files)
    found = tried.find([data], allow_missing=True)
    assert keys(found) == list(rows)[:3]
    assert contents(found) == files
    assert [photo.listed for photo in found] == list(rows.values())[:3]
    for photo in found:
        if photo.listed.sha256:
            with pytest.raises(ImageError, match="another photograph than the one listed"):
                tried.load(photo)
        else:
            torch.testing.assert_close(tried.load(photo), photo.read().rgb, rtol=0, atol=0)
    with pytest.raises(DataError, match=re.escape(f"3 of {len(rows):,} photographs; not there: {list(rows)[3]}, ")):
        tried.find([data])


@pytest.mark.parametrize("name", UNLISTED)
def test_unlisted_benchmarks_are_found(data: Path, name: str):
    tried = protocol(name)
    put(data / tried.photos.name, {"a/1.png": picture(1)})
    shard(data / tried.photos.name / "s.tar", {"b/2.png": picture(2)})
    found = tried.find([data], allow_missing=True)
    assert contents(found) == {"a/1.png": picture(1), "b/2.png": picture(2)}
    if tried.photos.count:
        with pytest.raises(DataError, match=f"holds 2 of {tried.photos.count:,} photographs"):
            tried.find([data])
    else:
        assert tried.find([data]) == found


@pytest.mark.parametrize("name", SKIMAGE)
def test_packaged_photographs_are_there_and_the_listed_ones(name: str):
    found = protocol(name).find([])
    assert keys(found) == ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
    sizes = {photo.key: photo.read().rgb.shape[1:] for photo in found}  # read, so of the listed content
    assert sizes == {
        "astronaut.png": (512, 512),
        "chelsea.png": (300, 451),
        "coffee.png": (400, 600),
        "motorcycle_left.png": (500, 741),
        "rocket.jpg": (427, 640),
    }


@pytest.mark.parametrize("name", [*LISTED, *UNLISTED])
def test_absent_benchmarks_say_where_they_come_from(data: Path, name: str):
    given = protocol(name).photos
    with pytest.raises(AbsentError) as raised:
        protocol(name).find([data])
    message = str(raised.value)
    assert str(data) in message
    assert given.source in message
    assert f"DATA/{given.name}" in message
    assert (given.expected is None) == ("the photographs anywhere" in message)
    assert given.expected is None or f"the {given.expected:,} photographs" in message
    assert given.listed is None or f"lists/{given.listed}.csv" in message
