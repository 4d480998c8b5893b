"""What protocols fix: digests, sizes, casts. Oracles: Pillow, numpy, the papers' formulas, the lists' sources."""

import hashlib
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from colorlib import metrics
from colorlib.benchmarks import DataError, Protocol, list_benchmarks, photos, protocol, protocols
from colorlib.benchmarks.photos import Photo, PhotoSet, read_list
from colorlib.benchmarks.protocols import first, of_path
from colorlib.casts import KINDS, Kind, ramp_cast

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the photographs are not at {DATA}")

DIGESTS = {
    "skimage@1": "cb87b6f09c499a55",
    "miniplaces@1": "9558c1d2530db0d7",
    "opencountry@1": "ac8aa394ea25efd1",
    "imagenet-nips@1": "1b913b9b59c98d0d",
    "coco@1": "7ed3da6a238625b3",
    "people@1": "13a25b69190eade4",
    "ctest10k-sample@1": "8d3256ae63579158",
    "ctest10k@1": "609f15256c4933d9",
    "cval1k@1": "59678f77456cc8d0",
    "sun6@1": "4333cd7b8b730823",
    "sun6-histogram@1": "d654762268e172b6",
    "sun-a@1": "264c054b5fb5590c",
    "opencountry-test@1": "2d5105b6388dbba9",
    "mcgill@1": "3ed5effb5f7fc0d2",
    "ilsvrc10@1": "8fe129b8d6f8e01b",
    "mirflickr@1": "4afb64e5ab07e131",
    "places205@1": "274a00d32355ecec",
    "places365@1": "0a90f026b9aaa640",
    "skimage-global@1": "8d7d03dbb7a221d3",
    "skimage-ramps@1": "2314f7d785bca8a4",
    "miniplaces-global@1": "33981810e823d1ca",
    "miniplaces-ramps@1": "a20078529d6731a6",
    "opencountry-global@1": "6df5f43e82422d27",
    "opencountry-ramps@1": "8b2d02693cadddff",
    "coco-global@1": "a62658c7f28e4bb6",
    "coco-ramps@1": "f5a54b8aaa3fc96b",
    "coco2014-global@1": "a3eb43ed2fc82f5c",
    "coco2014-ramps@1": "468ac1690c6e9a85",
    "nus-canon-eos-1ds-global@1": "5e39df43356792a9",
    "nus-canon-eos-1ds-ramps@1": "6e30493560450caf",
    "nus-fujifilm-x-m1-global@1": "12821dbe27b626c2",
    "nus-fujifilm-x-m1-ramps@1": "f9da51e2680ba412",
    "nus-nikon-d5200-global@1": "d6de1092dd480bfc",
    "nus-nikon-d5200-ramps@1": "860664002292e2f0",
    "nus-samsung-nx2000-global@1": "c9dca284420a2bd4",
    "nus-samsung-nx2000-ramps@1": "08117d50209c25f3",
    "nus-sony-slt-a57-global@1": "edefe184b51f3ff9",
    "nus-sony-slt-a57-ramps@1": "42917a0f957a9d61",
}
ANY = PhotoSet("any", "any photographs")
PLAIN = Protocol("plain", ANY, "")
ASTRONAUT, CAMERA = skimage.data.astronaut(), skimage.data.camera()


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Photo]:
    """Writes a picture as a photograph."""

    def save(image: np.ndarray | Image.Image, name: str = "photo.png", **options) -> Photo:
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return Photo(name, tmp_path / name)

    return save


def levels(rgb: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1], each value exactly that of an 8-bit level -> (H, W, 3) uint8."""
    whole = (rgb * 255).round()
    assert torch.equal(rgb, (whole / 255).float())
    return whole.byte().permute(1, 2, 0).numpy()


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


# Frozen


@pytest.mark.parametrize("name", list_benchmarks())
def test_protocols_are_frozen(name: str):
    tried = protocol(name)
    assert tried.digest[:16] == DIGESTS.get(tried.id), (
        f"{tried.id} measures something else than before: raise its version and freeze that digest here, so that no "
        "number under the old id is compared with a new one"
    )


def test_every_frozen_protocol_is_there():
    assert [protocol(name).id for name in list_benchmarks()] == list(DIGESTS)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": 2},
        {"side": 224},
        {"side": None},
        {"square": True},
        {"crop": 224},
        {"keep": "lightness"},
        {"casts": ("global",)},
        {"seed": 1},
        {"true_histogram": True},
        {"subsets": 5},
        {"subset_size": 7},
        {"photos": PhotoSet("coco", "", "opencountry")},
        {"photos": PhotoSet("coco", "", count=3)},
    ],
    ids=str,
)
def test_whatever_moves_a_number_moves_the_digest(change: dict):
    assert replace(protocol("coco"), **change).digest != protocol("coco").digest


def test_the_order_of_casts_is_frozen_too():
    assert replace(PLAIN, casts=("left", "right")).digest != replace(PLAIN, casts=("right", "left")).digest


def test_the_count_of_an_unlisted_set_is_frozen():
    digests = {replace(PLAIN, photos=replace(ANY, count=count)).digest for count in (None, 1, 2)}
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change",
    [{"about": "other words"}, {"photos": PhotoSet("elsewhere", "another source", "coco")}],
    ids=["about", "source"],
)
def test_words_do_not_move_the_digest(change: dict):
    assert replace(protocol("coco"), **change).digest == protocol("coco").digest


@pytest.mark.parametrize("what", ["a name", "a hash", "the order", "the length"])
def test_the_content_of_the_list_moves_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str):
    before = protocol("coco").digest
    file = Path(shutil.copytree(photos.LISTS, tmp_path / "lists")) / "coco.csv"
    monkeypatch.setattr(protocols, "LISTS", file.parent)
    assert protocol("coco").digest == before
    head, one, two, *rest = file.read_text().splitlines(keepends=True)
    name, sha256 = one.split(",")
    changed = {
        "a name": [head, f"_{name},{sha256}", two, *rest],
        "a hash": [head, f"{name},{sha256[::-1].strip()}\n", two, *rest],
        "the order": [head, two, one, *rest],
        "the length": [head, one, two, *rest[:-1]],
    }
    file.write_text("".join(changed[what]))
    assert protocol("coco").digest != before


def test_line_ends_of_a_checkout_do_not_move_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = protocol("coco").digest
    file = Path(shutil.copytree(photos.LISTS, tmp_path / "lists")) / "coco.csv"
    monkeypatch.setattr(protocols, "LISTS", file.parent)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert protocol("coco").digest == before


# Size


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (512, 512, (256, 256)),
        (300, 500, (256, 427)),
        (500, 300, (427, 256)),
        (257, 400, (256, 398)),
        (512, 257, (510, 256)),
        (256, 511, (256, 511)),
        (255, 511, (255, 511)),
        (100, 300, (100, 300)),
        (1, 400, (1, 400)),
        (400, 1, (400, 1)),
        (1, 1, (1, 1)),
    ],
)
def test_the_short_side_is_at_most_256_by_pillows_bicubic(save, height: int, width: int, expected: tuple[int, int]):
    pixels = ASTRONAUT[:height, :width]
    assert pixels.shape[:2] == (height, width)
    got = levels(PLAIN.load(save(pixels)))
    assert got.shape[:2] == expected
    np.testing.assert_array_equal(got, resized(pixels, *expected[::-1]))


def test_a_small_photograph_stays_bit_for_bit(save):
    pixels = ASTRONAUT[100:228, 100:228]
    np.testing.assert_array_equal(levels(PLAIN.load(save(pixels))), pixels)


def test_no_side_leaves_photographs_as_they_are(save):
    np.testing.assert_array_equal(levels(replace(PLAIN, side=None).load(save(ASTRONAUT))), ASTRONAUT)


@pytest.mark.parametrize("size", [(512, 300), (300, 512), (128, 128), (224, 224), (1, 90)], ids=str)
def test_a_square_is_squashed_or_stretched_to_224(save, size: tuple[int, int]):
    pixels = ASTRONAUT[: size[0], : size[1]]
    got = levels(replace(PLAIN, side=224, square=True).load(save(pixels)))
    np.testing.assert_array_equal(got, resized(pixels, 224, 224))


def test_a_crop_of_224_is_the_centre_of_the_square_of_256(save):
    pixels = ASTRONAUT[:400]
    got = levels(replace(PLAIN, square=True, crop=224).load(save(pixels)))
    np.testing.assert_array_equal(got, resized(pixels, 256, 256)[16:240, 16:240])


@pytest.mark.parametrize(("size", "rows", "columns"), [((30, 41), (5, 25), (10, 30)), ((31, 20), (5, 25), (0, 20))])
def test_an_odd_crop_leaves_the_larger_half_below_and_right(save, size, rows, columns):
    pixels = ASTRONAUT[: size[0], : size[1]]
    got = levels(replace(PLAIN, crop=20).load(save(pixels)))
    np.testing.assert_array_equal(got, pixels[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(("size", "expected"), [((30, 300), (30, 224)), ((300, 200), (224, 200)), ((223, 9), (223, 9))])
def test_what_is_smaller_than_the_crop_is_not_padded(save, size: tuple[int, int], expected: tuple[int, int]):
    pixels = ASTRONAUT[: size[0], : size[1]]
    top, left = ((a - b) // 2 for a, b in zip(size, expected, strict=True))
    got = levels(replace(PLAIN, side=None, crop=224).load(save(pixels)))
    np.testing.assert_array_equal(got, pixels[top : top + expected[0], left : left + expected[1]])


def test_no_registered_crop_meets_a_smaller_picture():
    cropped = [protocol(name) for name in list_benchmarks() if protocol(name).crop is not None]
    assert [tried.id for tried in cropped] == ["places205@1"]
    assert all(tried.square and tried.side > tried.crop for tried in cropped)


# Files of every kind load as sRGB


def test_gray_photographs_have_three_equal_channels(save):
    expected = np.repeat(resized(CAMERA, 256, 256)[..., None], 3, axis=2)
    np.testing.assert_array_equal(levels(PLAIN.load(save(CAMERA))), expected)


def test_16_bits_are_rounded_where_photographs_are_scaled(tmp_path: Path):
    deep = ASTRONAUT.astype(np.uint16) * 257 + np.random.default_rng(0).integers(-99, 100, ASTRONAUT.shape)
    deep = deep.clip(0, 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    got = levels(PLAIN.load(Photo("deep.tif", tmp_path / "deep.tif")))
    np.testing.assert_array_equal(got, resized(np.rint(deep / 257).astype(np.uint8), 256, 256))


def test_16_bits_are_kept_where_they_are_not(tmp_path: Path):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    got = PLAIN.load(Photo("deep.tif", tmp_path / "deep.tif"))
    np.testing.assert_array_equal(got.permute(1, 2, 0).numpy(), deep.astype(np.float32) / np.float32(65535))


def test_cmyk_loads_as_srgb(save):
    """Without a profile Pillow's own formula counts: what ink leaves of white."""
    image = Image.fromarray(ASTRONAUT).convert("CMYK")
    photo = save(image, "cmyk.tif")
    np.testing.assert_array_equal(levels(PLAIN.load(photo)), resized(np.asarray(image.convert("RGB")), 256, 256))


def test_turned_photographs_are_scaled_upright(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right is due
    pixels = ASTRONAUT[:300]
    got = levels(PLAIN.load(save(pixels, exif=exif)))
    np.testing.assert_array_equal(got, resized(np.rot90(pixels, -1).copy(), 256, 437))


def test_alpha_is_left_out(save):
    rgba = np.dstack([ASTRONAUT, np.linspace(0, 255, 512).astype(np.uint8) * np.ones((512, 1), np.uint8)])
    np.testing.assert_array_equal(levels(PLAIN.load(save(rgba))), resized(ASTRONAUT, 256, 256))


# Casts


@pytest.fixture(scope="module")
def rgb() -> torch.Tensor:
    return torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))


def factors(cast: torch.Tensor, rgb: torch.Tensor) -> tuple[float, float]:
    """On red and on blue; green stays, and so does what lies between the pixels."""
    assert torch.equal(cast[1], rgb[1])
    dark = rgb <= 1 / 1.4  # nothing is clipped there
    red, blue = ((cast[k] / rgb[k])[dark[k]] for k in (0, 2))
    torch.testing.assert_close(red, red.mean().expand_as(red))
    torch.testing.assert_close(blue, blue.mean().expand_as(blue))
    return red.mean().item(), blue.mean().item()


def test_global_casts_are_frozen(rgb: torch.Tensor):
    """Also torch's numbers behind them, which a release may change: then versions are due."""
    frozen = {key: factors(PLAIN.cast(rgb, key, "global"), rgb) for key in ("astronaut.png", "rocket.jpg")}
    assert frozen == {
        "astronaut.png": pytest.approx((1.198325, 0.719214)),
        "rocket.jpg": pytest.approx((1.129071, 0.740861)),
    }


def test_a_cast_depends_on_the_key_not_on_what_was_drawn_before(rgb: torch.Tensor):
    keys = [f"{k}.png" for k in range(5)]
    forth = {key: PLAIN.cast(rgb, key, "global") for key in keys}
    torch.manual_seed(7)
    torch.rand(3)
    back = {key: PLAIN.cast(rgb, key, "global") for key in reversed(keys)}
    for key in keys:
        assert torch.equal(forth[key], back[key])


def test_a_cast_draws_nothing_from_torchs_own_generator(rgb: torch.Tensor):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    PLAIN.cast(rgb, "a.png", "global")
    assert torch.equal(torch.rand(1), expected)


def test_a_cast_does_not_depend_on_the_size(rgb: torch.Tensor):
    whole = PLAIN.cast(rgb, "a.png", "global")
    assert torch.equal(PLAIN.cast(rgb[:, :7, :9], "a.png", "global"), whole[:, :7, :9])


def test_keys_and_seeds_give_different_casts_within_the_papers_range(rgb: torch.Tensor):
    drawn = [
        factor
        for seed in (0, 1)
        for k in range(100)
        for factor in factors(replace(PLAIN, seed=seed).cast(rgb, f"{k}.png", "global"), rgb)
    ]
    assert len({round(factor, 5) for factor in drawn}) > 390  # all, but for chance
    assert min(drawn) >= 0.6 - 1e-6
    assert max(drawn) <= 1.4 + 1e-6
    counts, _ = np.histogram(drawn, bins=4, range=(0.6, 1.4))
    assert (abs(counts - 100) < 40).all()  # uniform: 4.6 standard deviations


@pytest.mark.parametrize("kind", KINDS[1:])
def test_ramps_are_those_of_casts(rgb: torch.Tensor, kind: Kind):
    got = [PLAIN.cast(rgb, key, kind) for key in ("a.png", "b.png")]
    for one in got:
        assert torch.equal(one, ramp_cast(rgb[None], kind)[0])


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
def test_a_cast_is_the_same_on_cuda(rgb: torch.Tensor, kind: Kind):
    torch.testing.assert_close(PLAIN.cast(rgb.cuda(), "a.png", kind).cpu(), PLAIN.cast(rgb, "a.png", kind))


# Names


@pytest.mark.parametrize("name", list_benchmarks())
def test_a_benchmark_is_found_by_name_and_id(name: str):
    assert protocol(name) is protocol(protocol(name).id)
    assert protocol(name).name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("coc", "did you mean coco"),
        ("ctest10", "did you mean ctest10k"),
        ("coco@2", "unknown benchmark 'coco@2'; did you mean coco@1?"),
        ("coco@", "did you mean coco@1?"),
        ("coco@1@1", "did you mean coco@1?"),
        ("Coco@1", "did you mean coco"),
        ("zzz", "unknown benchmark 'zzz'; expected one of skimage, miniplaces,"),
        ("", "unknown benchmark ''; expected one of skimage, miniplaces,"),
    ],
)
def test_unknown_names_get_a_hint(name: str, hint: str):
    with pytest.raises(ValueError, match=re.escape(hint)):
        protocol(name)


def test_tasks_part_the_benchmarks():
    colorize, balance = list_benchmarks(task="colorize"), list_benchmarks(task="balance")
    assert [*colorize, *balance] == list_benchmarks()
    assert all(name.endswith(("-global", "-ramps")) for name in balance)
    assert {(protocol(name).task, bool(protocol(name).casts)) for name in colorize} == {("colorize", False)}
    assert {(protocol(name).task, bool(protocol(name).casts)) for name in balance} == {("balance", True)}


def test_balance_is_measured_under_the_papers_five_transformations():
    for name in list_benchmarks(task="balance"):
        kinds = {"global": ("global",), "ramps": ("left", "right", "up", "down")}
        assert protocol(name).casts == kinds[name.rpartition("-")[2]]
        assert name.rpartition("-")[0] == protocol(name).photos.name


def test_what_the_papers_print_of_their_sets():
    """Larsson et al. 2016, section 5; Hwang and Zhou 2016, table 1; Iizuka et al. 2016, section 4; Lin, section 3."""
    counts = {name: protocol(name).photos.expected for name in list_benchmarks(task="colorize")}
    printed = {"ctest10k": 10_000, "cval1k": 1_000, "sun6": 240, "sun6-histogram": 240}
    printed |= {"opencountry-test": 50, "mcgill": 150, "ilsvrc10": 494, "mirflickr": 1_000}
    printed |= {"places205": 20_500, "places365": 36_500}
    assert {name: counts[name] for name in printed} == printed
    assert (protocol("sun-a").subsets, protocol("sun-a").subset_size) == (5, 1344)
    for name in ("opencountry-test", "mcgill", "ilsvrc10", "mirflickr", "places365"):
        assert (protocol(name).side, protocol(name).square, protocol(name).crop) == (224, True, None)
    assert protocol("sun6").digest != protocol("sun6-histogram").digest
    assert protocol("sun6").photos == protocol("sun6-histogram").photos


def test_first_is_the_same_under_another_id():
    whole = protocol("coco")
    few = first(whole, 5)
    assert (few.name, few.id) == ("coco[5]", "coco[5]@1")
    assert few.digest not in (whole.digest, first(whole, 6).digest)
    assert replace(few, name="coco") == whole


# Any folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k, name in enumerate(("b.png", "a.png", "c/a.png")):
        path = tmp_path / "holiday" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ASTRONAUT[: 20 + k, :30]).save(path)
    return tmp_path / "holiday"


def test_any_folder_has_a_protocol(folder: Path):
    given, found = of_path(folder)
    assert re.fullmatch("holiday-[0-9a-f]{8}@1", given.id)
    assert [photo.key for photo in found] == ["a.png", "b.png", "c/a.png"]
    assert given.photos.count == 3
    assert (given.task, given.side, given.keep) == ("colorize", 256, "mean")


def test_any_folder_for_balance(folder: Path):
    given, found = of_path(folder, "balance")
    plain, same = of_path(folder)
    assert given.id == f"{plain.name}-global@1"
    assert (given.task, given.casts) == ("balance", ("global",))
    assert found == same


def test_a_folder_elsewhere_written_in_another_order_is_the_same(folder: Path, tmp_path: Path):
    other = tmp_path / "elsewhere" / "holiday"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        (other / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, other / path.relative_to(folder))
    assert of_path(other)[0].digest == of_path(folder)[0].digest
    assert of_path(other)[0].id == of_path(folder)[0].id


@pytest.mark.parametrize("change", ["one more", "one less", "renamed", "moved", "another", "folder renamed"])
def test_another_folder_has_another_id(folder: Path, change: str):
    before = of_path(folder)[0]
    if change == "one more":
        Image.fromarray(ASTRONAUT).save(folder / "d.png")
    elif change == "one less":
        (folder / "b.png").unlink()
    elif change == "renamed":
        (folder / "b.png").rename(folder / "d.png")
    elif change == "moved":
        (folder / "b.png").rename(folder / "c" / "b.png")
    elif change == "another":
        Image.fromarray(ASTRONAUT[300:350, :70]).save(folder / "b.png")
    else:
        folder = folder.rename(folder.parent / "work")
    after = of_path(folder)[0]
    assert after.id != before.id
    assert after.digest != before.digest


def test_no_folder_and_an_empty_one(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            DataError, match=f"{re.escape(str(path))}: expected a folder of photographs or a .tar shard"
        ):
            of_path(path)


# With the photographs at hand


def _alphabeta(rgb: np.ndarray) -> np.ndarray:
    """Larsson et al. 2016, eq. 9: (H, W, 3) -> (H, W, 2)."""
    red, green, blue = np.moveaxis(rgb, 2, 0)
    lightness = (red + green + blue) / 3 + 0.0001
    return np.stack([(blue - (red + green) / 2) / lightness, (red - green) / lightness], axis=2)


@needs_data
@pytest.mark.parametrize(
    ("name", "rmse", "psnr"),
    [("opencountry", 0.528, 20.69), ("imagenet-nips", 0.451, 22.57), ("coco", 0.427, 23.77)],
)
def test_grayscale_measures_what_the_data_set_says(name: str, rmse: float, psnr: float):
    """Eq. 10 and 11 in float64, and ours; each a mean over the first 200 photographs."""
    oracle, ours = [], []
    for photo in protocol(name).find([DATA / "benchmarks"])[:200]:
        true = protocol(name).load(photo)
        pixels = true.permute(1, 2, 0).double().numpy()
        gray = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
        distances = np.sqrt(((_alphabeta(pixels) - _alphabeta(gray)) ** 2).sum(axis=2))
        oracle.append((distances.mean(), -10 * np.log10(((pixels - gray) ** 2).mean())))
        preds = true.mean(dim=0).expand(1, 3, -1, -1)
        functions = (metrics.functional.rmse_alphabeta, metrics.functional.psnr)
        ours.append([function(preds, true[None]).item() for function in functions])
    assert len(oracle) == 200
    for values in (oracle, ours):
        means = np.mean(values, axis=0)
        assert (round(means[0], 3), round(means[1], 2)) == (rmse, psnr)
    np.testing.assert_allclose(ours, oracle, rtol=1e-4, atol=1e-5)


@needs_data
@pytest.mark.parametrize("name", ["opencountry", "opencountry-test", "imagenet-nips", "coco", "miniplaces"])
def test_listed_photographs_are_those_at_hand(name: str):
    """All of them, in the lists' order; of twenty the hashes."""
    tried = protocol(name)
    root = DATA / "val" if name == "miniplaces" else DATA / "benchmarks"
    found = tried.find([root])
    rows = read_list(tried.photos.listed)
    assert [photo.key for photo in found] == list(rows)
    for photo in found[:: max(1, len(found) // 20)]:
        assert hashlib.sha256(photo.content()).hexdigest() == rows[photo.key].sha256


@needs_data
def test_labels_of_mini_places_are_those_of_the_shard():
    found = protocol("miniplaces").find([DATA / "val"])
    classes = (DATA / "train" / "scenes-classes.txt").read_text().split()
    with tarfile.open(found[0].path) as shard:
        numbers = {
            member.name[:-4]: shard.extractfile(member).read() for member in shard if member.name.endswith("cls")
        }
    assert [photo.listed.label for photo in found] == [classes[int(numbers[photo.key[:-4]])] for photo in found]
    assert len({photo.listed.label for photo in found}) == 100


@needs_data
def test_the_test_set_of_open_country_is_that_of_the_data():
    named = {Path(line).name for line in (DATA / "benchmarks" / "opencountry" / "test.txt").read_text().split()}
    tested, whole = read_list("opencountry-test"), read_list("opencountry")
    assert set(tested) == named
    assert tested.items() <= whole.items()
    assert (len(tested), len(whole)) == (50, 410)


def test_larssons_lists_are_disjoint():
    test, validation = read_list("ctest10k"), read_list("cval1k")
    assert (len(test), len(validation)) == (10_000, 1_000)
    assert not test.keys() & validation.keys()
    assert all(re.fullmatch(r"ILSVRC2012_val_000[0-5]\d{4}\.JPEG", name) for name in [*test, *validation])


@needs_data
@pytest.mark.parametrize("name", ["ctest10k", "cval1k"])
def test_larssons_lists_are_those_that_circulate(name: str):
    lines = (DATA / "lists" / f"{name}.txt").read_text().splitlines()
    assert sorted(read_list(name)) == sorted(Path(line.split()[0]).name for line in lines)


@pytest.mark.parametrize("name", sorted(path.stem for path in photos.LISTS.glob("*.csv")))
def test_lists_are_well_formed(name: str):
    with (photos.LISTS / f"{name}.csv").open() as stream:
        head, *rows = stream.read().splitlines()
    assert head in ("photo", "photo,sha256", "photo,sha256,label")
    names = [row.split(",")[0] for row in rows]
    assert len(set(names)) == len(names)
    hashes = [row.split(",")[1] for row in rows if "sha256" in head]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)
    assert len(set(hashes)) == len(hashes)
