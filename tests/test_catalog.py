"""What is known of methods without torch, and methods from outside the tree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

import colorlib
from colorlib.catalog import Paper, catalog
from colorlib.models._describe import describe_all, operations

ROOT = Path(__file__).parent.parent


def test_the_catalogue_is_what_the_registry_says():
    assert list(catalog().values()) == describe_all(), "run: python -m colorlib.catalog"
    assert [name for name, entry in catalog().items() if entry.ready] == colorlib.list_models(ready=True)


def test_surnames_are_those_of_citations():
    def surnames(authors: str) -> str:
        return Paper(authors, "", "", 2016, "").surnames

    assert surnames("Richard Zhang") == "Zhang"
    assert surnames("Jeff Hwang, You Zhou") == "Hwang and Zhou"
    assert surnames("Gustav Larsson, Michael Maire, Gregory Shakhnarovich") == "Larsson et al."


@pytest.mark.parametrize("name", ["dahl16_small", "iizuka16", "iizuka16_small", "color_by_colorization_small"])
def test_operations_are_those_of_the_layers(name: str):
    """Counted from the shapes of what comes out of each, or for deconvolutions of what goes in.

    Methods with convolutions that are no layers, such as larsson16, are left out.
    """
    with torch.device("meta"):
        model = colorlib.model_info(name).build().eval()
    total = 0

    def add(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, torch.nn.ConvTranspose2d | torch.nn.Conv2d):
            one = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else output
            total += one.numel() * layer.weight[0].numel()
        elif isinstance(layer, torch.nn.Linear):
            total += output.numel() * layer.in_features

    for layer in model.modules():
        layer.register_forward_hook(add)
    with torch.no_grad():
        model(torch.empty(1, 3 if colorlib.model_info(name).task == "balance" else 1, 256, 256, device="meta"))
    assert catalog()[name].operations == total > 0


def test_operations_that_depend_on_the_picture_are_unknown():
    class Varying(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[: int(x.sum())]

    assert operations(Varying(), "colorize") is None


@pytest.mark.parametrize("command", [["--help"], ["models"], ["models", "--json"], ["colorize", "--help"]])
def test_the_shell_answers_without_torch(command: list[str]):
    script = f"""
import sys
from colorlib.cli import app
app({command}, standalone_mode=False)
heavy = {{"torch", "pandas", "PIL", "skimage", "imagecodecs"}} & sys.modules.keys()
assert not heavy, heavy
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout


TINY = '''
"""Nobody, A Tiny Paper: chroma by one convolution."""

from torch import Tensor, nn

from colorlib.models import ColorModel, Paper, register_model
from colorlib.targets import Regression

PAPER = Paper(authors="No Body", title="A Tiny Paper", venue="Nowhere", year=2026, url="https://example.org")


class Tiny(ColorModel):
    """One convolution."""

    def __init__(self, brown: bool = False):
        super().__init__()
        self.target = Regression("lab", low=-1, high=1, bound=128)
        self.layer = nn.Conv2d(1, 2, 3, padding=1)
        if brown:
            nn.init.zeros_(self.layer.weight)
            self.layer.bias.data.copy_(self.layer.bias.new_tensor([10.0, 20.0]) / 128)

    def predict(self, lightness: Tensor) -> Tensor:
        return self.layer(lightness / 100).clamp(-1, 1)


@register_model("Tiny 2026", PAPER)
def tiny26() -> ColorModel:
    """A convolution to be trained."""
    return Tiny()


@register_model("Tiny 2026, brown", PAPER, learned=False)
def tiny26_brown() -> ColorModel:
    """Everything in brown."""
    return Tiny(brown=True)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which a package with a paper is installed."""
    (tmp_path / "tiny_paper.py").write_text(TINY)
    installed = tmp_path / "tiny_paper-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-paper\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text("[colorlib.models]\ntiny = tiny_paper\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}


def _run(env: dict[str, str], *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, cwd=cwd)


def test_a_paper_from_outside_the_tree_is_in_registry_shell_and_contract(plugin: dict[str, str], tmp_path: Path):
    run = _run(plugin, "-m", "colorlib", "models", "--json")
    rows = {row["name"]: row for row in map(json.loads, run.stdout.splitlines())}
    assert set(rows) - set(catalog()) == {"tiny26", "tiny26_brown"}
    assert (rows["tiny26"]["weights"], rows["tiny26_brown"]["ready"]) == ("missing", True)
    assert (rows["tiny26"]["parameters"], rows["tiny26"]["operations_256"]) == (20, 18 * 256 * 256)

    scan = np.array(Image.fromarray(data.camera()).resize((64, 64)))
    Image.fromarray(scan).save(tmp_path / "scan.png")
    run = _run(plugin, "-m", "colorlib", "colorize", "scan.png", "-o", "out", "--model", "tiny26_brown", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    ab = rgb2lab(np.array(Image.open(tmp_path / "out" / "scan.png")))[..., 1:]
    assert ab[(scan > 90) & (scan < 160)].mean(axis=0) == pytest.approx([10, 20], abs=0.5)  # inside sRGB's gamut

    contract = _run(plugin, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_models.py", "-k", "tiny26")
    assert contract.returncode == 0, contract.stdout[-3000:]


def test_a_broken_paper_from_outside_the_tree_names_itself(plugin: dict[str, str], tmp_path: Path):
    (tmp_path / "tiny_paper.py").write_text("import nothing_of_this_name\n")
    run = _run(plugin, "-c", "import colorlib.models")
    assert run.returncode == 1
    assert "ImportError: the entry point 'tiny' = 'tiny_paper' of the group 'colorlib.models' cannot be" in run.stderr
    assert "nothing_of_this_name" in run.stderr
