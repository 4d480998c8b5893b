"""What the README says is true: its Python runs, its files and commands are there."""

import re
from pathlib import Path

import pytest
import tifffile
import torch
from PIL import Image
from skimage import data

from colorlib.benchmarks import read_results
from colorlib.models._weights import weights_index
from training import readme

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("scan.tif", data.camera())
    Image.fromarray(data.coffee()).save("reference.jpg")
    Image.fromarray(data.astronaut()).save("photo.jpg")
    Path("photos").mkdir()
    Image.fromarray(data.chelsea()).save("photos/cat.jpg")
    names = {"rgb": torch.rand(1, 3, 64, 64)}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "scan.png").is_file()
    assert (tmp_path / "photo-balanced.jpg").is_file()


def test_pictures_and_links_are_there():
    targets = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_commands_are_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make ([\w-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in set(re.findall(r"training/recipes/\w+\.yaml", README)):
        assert (ROOT / path).is_file(), path
    for module in set(re.findall(r"python -m (training[\w.]*)", README)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_tables_are_those_of_the_results():
    rows = read_results()
    assert readme.filled(README, rows) == README
    for name, info in weights_index().items():
        assert info.metrics == readme.metrics(rows, name)


def test_scene_classes_are_told_as_often_as_it_says():
    found = weights_index()["iizuka16_small"].metrics["miniplaces@1"]
    assert f"the scene of {100 * found['top1']:.1f} % of `miniplaces` (top 5: {100 * found['top5']:.1f} %)" in README
