"""Photographs in folders and shards, and the nearest of them. Oracles: numpy, scipy, and cases known beforehand."""

import io as bytes_io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import generic_filter, uniform_filter
from skimage import data
from torch import Tensor

from colorlib import color, io
from colorlib.gallery import Gallery, default_gallery
from colorlib.image import local_deviation, reduced

PHOTOS = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
    "rocket": data.rocket,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "below").mkdir()
    for name, load in PHOTOS.items():
        Image.fromarray(load()).save(folder / ("below" if name == "rocket" else "") / f"{name}.png")
    Image.fromarray(data.camera()).save(folder / "camera.png")
    return folder


@pytest.fixture(scope="module")
def gallery(folder: Path) -> Gallery:
    return Gallery(folder)


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1) / 255


def _brighter(rgb: Tensor, by: float) -> Tensor:
    """Other L and thus other statistics, the same scene."""
    return (rgb + by).clamp(0, 1)


def test_the_nearest_is_the_nearest_by_numpy(gallery: Gallery, folder: Path):
    def statistics(rgb: Tensor) -> np.ndarray:
        lightness = color.rgb_to_lightness(reduced(rgb))[0].double().numpy()
        mean, square = (uniform_filter(x, 5, mode="nearest") for x in (lightness, lightness**2))
        texture = np.sqrt(np.clip(square - mean**2, 0, None))
        return np.array([lightness.mean(), lightness.std(), texture.mean()])

    names = list(PHOTOS)
    known = np.stack([statistics(_tensor(PHOTOS[name]())) for name in names])
    spread = known.std(axis=0)
    query = _tensor(data.immunohistochemistry()[:200, :260])  # of no photograph there
    distances = np.linalg.norm((known - statistics(query)) / spread, axis=1)
    assert gallery.nearest(query).name == f"{names[distances.argmin()]}.png"


@pytest.mark.parametrize("by", [-0.03, 0.03])
def test_another_part_of_a_photograph_finds_it(gallery: Gallery, by: float):
    cat = _tensor(data.chelsea())
    assert gallery.nearest(_brighter(cat[:, 30:, 40:-20], by)).name == "chelsea.png"


def test_the_picture_comes_back_whole_and_exact(gallery: Gallery):
    cat = _tensor(data.chelsea())
    assert torch.equal(gallery.nearest(cat[:, 30:, 40:-20]).rgb, cat)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "rocket"])
def test_no_photograph_finds_itself(gallery: Gallery, name: str):
    rgb = _tensor(PHOTOS[name]())
    gray = color.lightness_to_gray(color.rgb_to_lightness(rgb)).expand(3, -1, -1)
    smaller = torch.nn.functional.interpolate(gray[None], scale_factor=0.5, mode="bilinear", antialias=True)[0]
    for query in (rgb, gray, smaller):
        assert gallery.nearest(query).name != f"{name}.png"


def test_itself_is_better_than_none(folder: Path):
    alone = Gallery([folder / "chelsea.png"])
    assert alone.nearest(_tensor(data.chelsea())).name == "chelsea.png"
    assert alone.nearest(torch.zeros(3, 1, 1)).name == "chelsea.png"


def test_gray_photographs_are_left_out(gallery: Gallery, folder: Path):
    assert len(gallery) == len(PHOTOS)
    camera = _tensor(data.camera()[..., None].repeat(3, axis=2))
    assert gallery.nearest(camera[:, 10:, 10:]).name != "camera.png"


def test_what_cannot_be_read_is_named_and_left_out(folder: Path, tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    found = Gallery([tmp_path, folder / "chelsea.png"])
    assert len(found) == 1
    (warning,) = found.warnings
    assert warning.startswith(f"{broken} is left out of the gallery: broken.jpg: no picture that can be read")


def test_no_photograph_in_colour_is_an_error(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"no photograph in colour: .*and 1 without colour; give it files or folders"):
        Gallery([folder / "camera.png"])
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    reason = r"none that can be read \(.*broken\.jpg is left out of the gallery: .*\); give it files or folders"
    with pytest.raises(ValueError, match=reason):
        Gallery(str(tmp_path))
    with pytest.raises(ValueError, match="no photograph in colour"):
        Gallery([])


def test_extreme_queries_find_something(gallery: Gallery):
    for query in (torch.zeros(3, 1, 1), torch.ones(3, 4, 4), torch.rand(3, 3, 700), torch.zeros(3, 400, 400)):
        assert gallery.nearest(query).rgb.shape[0] == 3


def test_default_gallery_is_what_scikit_image_ships():
    assert len(default_gallery()) == 5
    assert default_gallery() is default_gallery()


@pytest.mark.parametrize("side", [3, 5])
def test_local_deviation_is_scipys(side: int):
    lightness = color.rgb_to_lightness(_tensor(data.chelsea())[None, :, :40, :55]).double()
    expected = generic_filter(lightness[0, 0].numpy(), np.std, size=side, mode="nearest")
    np.testing.assert_allclose(local_deviation(lightness, side)[0, 0], expected, atol=1e-10)


def test_local_deviation_of_a_flat_picture_is_nothing():
    assert local_deviation(torch.full((1, 1, 9, 9), 99.7)).max() < 1e-4


def test_sources_of_files_and_folders(folder: Path):
    (folder / ".hidden").mkdir(exist_ok=True)
    for name in (".hidden/a.png", ".b.jpg", "notes.txt"):
        (folder / name).write_bytes(b"")
    found = list(io.sources([folder, folder / "notes.txt"]))
    expected = sorted(str(folder / f"{'below/' * (name == 'rocket')}{name}.png") for name in (*PHOTOS, "camera"))
    assert [name for name, _ in found] == [*expected, str(folder / "notes.txt")]
    assert all(source == Path(name) for name, source in found)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_sources_of_a_shard(tmp_path: Path, mode: str):
    path = tmp_path / "shard.tar"
    files = {f"{k:03d}.{suffix}": f"{k} {suffix}".encode() for k in range(3) for suffix in ("jpg", "cls", "json")}
    files |= {"._000.jpg": b"of a Mac", "deeper/003.JPG": b"3 jpg"}
    with tarfile.open(path, mode) as shard:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, bytes_io.BytesIO(content))
    found = list(io.sources([str(path)]))
    expected = ["000.jpg", "001.jpg", "002.jpg", "deeper/003.JPG"]
    assert found == [(f"{path}/{name}", files[name]) for name in expected]
    with pytest.raises(ValueError, match=r"000\.jpg: a gallery is made of files and folders, got a shard; unpack it"):
        Gallery(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(io.ImageError, match=r"shard\.tar: cannot be read as a tar archive"):
        list(io.sources([path]))


def test_sources_that_are_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg: there is no such file; expected a photograph, a folder"):
        list(io.sources([tmp_path / "absent.jpg"]))
    with pytest.raises(io.ImageError, match=r"no photograph is in this folder; expected files such as \.jpg or \.png"):
        list(io.sources([tmp_path]))
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(io.ImageError, match=r"empty\.tar: no photograph is in this shard"):
        list(io.sources([tmp_path / "empty.tar"]))


def test_what_is_no_photograph_has_no_nearest():
    gallery = default_gallery()
    with pytest.raises(ValueError, match=r"got values from 0 to 255; .*: divide by 255"):
        gallery.nearest(torch.linspace(0, 255, 48).view(3, 4, 4))
    with pytest.raises(TypeError, match=r"got a numpy array of uint8, \(300, 451, 3\); .*movedim\(-1, -3\) / 255"):
        gallery.nearest(data.chelsea())


def test_the_deviation_of_a_flat_map_has_a_gradient():
    flat = torch.zeros(1, 1, 8, 8, requires_grad=True)
    local_deviation(flat).sum().backward()
    assert flat.grad.isfinite().all()
