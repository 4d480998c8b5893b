"""LPIPS and FID, by networks of random weights that a server on loopback hands out as their authors' servers do."""

import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from numpy.typing import NDArray
from skimage import data
from torch.nn.functional import interpolate
from torch_fidelity import feature_extractor_inceptionv3
from torchvision.models import AlexNet_Weights, alexnet
from typer.testing import CliRunner

from colorlib.benchmarks import evaluate, protocol, score, write_inputs
from colorlib.benchmarks.perceptual import Inception, Lpips, fetch_networks, frechet_distance
from colorlib.benchmarks.results import read_header, read_run
from colorlib.benchmarks.runner import INCEPTION
from colorlib.benchmarks.tables import table
from colorlib.cli import app
from colorlib.tensors import WeightsError, file_sha256

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of both networks, whose names hold the beginning of their sha256 as those of the authors do."""
    folder = tmp_path_factory.mktemp("authors")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        extractor = feature_extractor_inceptionv3.FeatureExtractorInceptionV3
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(extractor, "load_state_dict", lambda *_: None)
        states = {
            "alexnet-owt": alexnet().state_dict(),
            "weights-inception": extractor("random", ["2048"]).state_dict(),
        }
    found = {}
    for name, state in states.items():
        plain = folder / name
        torch.save(state, plain)
        found[name] = plain.rename(folder / f"{name}-{file_sha256(plain)[:8]}.pth")
    return found


@pytest.fixture
def networks(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Both files where torch.hub finds them."""
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    for file in made.values():
        os.link(file, folder / file.name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1.value, "url", nowhere + made["alexnet-owt"].name)
    monkeypatch.setattr(feature_extractor_inceptionv3, "URL_INCEPTION_V3", nowhere + made["weights-inception"].name)
    return made


@pytest.fixture
def authors(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """A server that has the file of AlexNet, and an empty folder of torch.hub."""
    folder = made["alexnet-owt"].parent
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1.value, "url", f"{address}/{made['alexnet-owt'].name}")
    yield made
    server.shutdown()


def _pictures() -> torch.Tensor:
    """A photograph, and it in gray, at 96 x 80."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255
    small = interpolate(photo, (96, 80), mode="bilinear", antialias=True, align_corners=False)
    return torch.cat([small, small.mean(dim=1, keepdim=True).expand_as(small), small.flip(3)])


def _lpips(state: dict[str, torch.Tensor], pred: torch.Tensor, true: torch.Tensor) -> float:
    """Zhang et al. 2018, eq. 1, of AlexNet's five activations; the published weights come with torchmetrics."""
    network = alexnet()
    network.load_state_dict(state)
    heads = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/alex.pth"
    linear = list(torch.load(heads, map_location="cpu", weights_only=True).values())
    shift, scale = (torch.tensor(x).view(1, 3, 1, 1) for x in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    activations: list[list[torch.Tensor]] = []
    for picture in (pred, true):
        x, kept = ((2 * picture - 1) - shift) / scale, []
        for k, layer in enumerate(network.features):
            x = layer(x)
            if k in (1, 4, 7, 9, 11):  # after each ReLU
                kept.append(x / x.square().sum(dim=1, keepdim=True).sqrt())
        activations.append(kept)
    both = zip(*activations, linear, strict=True)
    return sum(float((w * (a - b).square()).sum(dim=1).mean()) for a, b, w in both)


@torch.no_grad()
def test_lpips_is_equation_1(networks: dict[str, Path]):
    fetch_networks(lpips=True, fid=False)
    photo, gray, mirrored = _pictures().split(1)
    measured = Lpips(CPU)(torch.cat([gray, mirrored, photo]), torch.cat([photo, photo, photo]))
    state = torch.load(networks["alexnet-owt"], weights_only=True)
    expected = [_lpips(state, pred, photo) for pred in (gray, mirrored)]
    np.testing.assert_allclose(measured[:2].numpy(), expected, rtol=1e-4)
    assert 0 < measured[0] != measured[1]
    assert measured[2] == 0


def _frechet(preds: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Of Gaussians. The trace of the root of a product of covariances is the sum of the singular values of the centred
    features' products, since both have the same eigenvalues: no matrix of 2048 x 2048 is made."""
    centred = [x - x.mean(axis=0) for x in (preds, target)]
    traces = sum(float((x**2).sum()) / (len(x) - 1) for x in centred)
    products = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False)
    shared = products.sum() / np.sqrt((len(preds) - 1) * (len(target) - 1))
    return float(((preds.mean(axis=0) - target.mean(axis=0)) ** 2).sum() + traces - 2 * shared)


def test_fid_is_frechets_distance():
    generator = np.random.default_rng(0)
    preds, target = generator.normal(0.3, 1.2, (7, 2048)), generator.normal(0, 1, (9, 2048))
    measured = frechet_distance(torch.from_numpy(preds).float(), torch.from_numpy(target).float())
    assert measured == pytest.approx(_frechet(preds, target), rel=1e-4)
    with pytest.raises(ValueError, match="two pictures or more, got 1"):
        frechet_distance(torch.zeros(1, 2048), torch.zeros(3, 2048))


def test_a_run_with_both(networks: dict[str, Path], tmp_path: Path):
    """Rows have LPIPS, the file has FID and the networks' hashes; the table prints both."""
    plain = evaluate("grayscale", "skimage", out=tmp_path)
    assert "lpips" not in plain
    assert "FID" not in table(plain)
    rows = evaluate("grayscale", "skimage", out=tmp_path, lpips=True, fid=True)
    run, read = read_run(next(tmp_path.glob("skimage@*/*.parquet")))
    assert run.lpips_network == file_sha256(networks["alexnet-owt"])
    assert run.fid_network == file_sha256(networks["weights-inception"])
    assert not set(INCEPTION) & set(read)
    assert rows["psnr"].tolist() == plain["psnr"].tolist()
    assert read["lpips"].tolist() == rows["lpips"].tolist()
    assert (read["fid"] == run.fid).all()
    titles, values = (re.split(r"\s{2,}", line.strip()) for line in table(rows).splitlines()[1:3])
    printed = dict(zip(titles, values, strict=True))
    assert printed["LPIPS"] == f"{rows['lpips'].mean():.3f}"
    assert printed["FID"] == f"{run.fid:.1f}"

    # Independently: gray pictures of the protocol's size.
    benchmark = protocol("skimage")
    true = [benchmark.load(photo)[None] for photo in benchmark.find([])]
    network = Inception(CPU)
    features = [torch.cat([network(x) for x in some]).double().numpy() for some in (_gray(true), true)]
    assert run.fid == pytest.approx(_frechet(*features), rel=1e-3)


def _gray(true: list[torch.Tensor]) -> list[torch.Tensor]:
    return [x.mean(dim=1, keepdim=True).expand_as(x) for x in true]


def test_pictures_of_another_program(networks: dict[str, Path], tmp_path: Path):
    """The gray inputs, handed in as pictures, score as grayscale does."""
    write_inputs("skimage", tmp_path / "gray")
    theirs = score(tmp_path / "gray", "skimage", "Gray", out=tmp_path, lpips=True)
    ours = evaluate("grayscale", "skimage", lpips=True)
    np.testing.assert_allclose(theirs["lpips"], ours["lpips"], atol=2e-3)
    assert read_header(next(tmp_path.glob("skimage@*/Gray*.parquet"))).lpips_network


def test_it_is_measured_once(networks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run with LPIPS answers a call without; a run without is measured again, with it."""
    evaluate("grayscale", "skimage", out=tmp_path)
    with_it = evaluate("grayscale", "skimage", out=tmp_path, lpips=True)
    monkeypatch.setattr("colorlib.benchmarks.runner.Job.measure", None)  # nothing is measured from here on
    assert evaluate("grayscale", "skimage", out=tmp_path)["lpips"].tolist() == with_it["lpips"].tolist()
    again = evaluate("grayscale", "skimage", out=tmp_path, lpips=True)
    assert again["lpips"].tolist() == with_it["lpips"].tolist()


def test_one_after_the_other_both_are_there(networks: dict[str, Path], tmp_path: Path):
    """FID that is asked for later does not take LPIPS away, nor does a run anew."""
    both = evaluate("grayscale", "skimage", lpips=True, fid=True)
    evaluate("grayscale", "skimage", out=tmp_path, lpips=True)
    for asked in ({"fid": True}, {"again": True}):
        evaluate("grayscale", "skimage", out=tmp_path, **asked)
        run, rows = read_run(next(tmp_path.glob("skimage@*/*.parquet")))
        assert run.lpips_network == file_sha256(networks["alexnet-owt"])
        assert rows["lpips"].tolist() == both["lpips"].tolist()
        assert rows["fid"].tolist() == both["fid"].tolist()


def test_networks_that_cannot_be_had(authors: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fetch_networks(lpips=True, fid=False)
    kept = next((tmp_path / "torch/hub/checkpoints").iterdir())
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"expected a file whose sha256 begins with .* delete it"):
        fetch_networks(lpips=True, fid=False)
    kept.unlink()
    authors["alexnet-owt"].with_name("alexnet-12345678.pth").write_bytes(b"another one")
    lying = AlexNet_Weights.IMAGENET1K_V1.url.rpartition("/")[0] + "/alexnet-12345678.pth"
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1.value, "url", lying)
    with pytest.raises(WeightsError, match=r"cannot be fetched from .*invalid hash value.*leave LPIPS out"):
        fetch_networks(lpips=True, fid=False)
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1.value, "url", "http://127.0.0.1:9/alexnet-owt-7be5be79.pth")
    found = CliRunner().invoke(
        app, ["evaluate", "-m", "grayscale", "-b", "skimage", "--lpips", "-o", str(tmp_path / "out")]
    )
    assert found.exit_code == 1
    assert "LPIPS needs the network alexnet-owt-7be5be79.pth" in found.output
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not list((tmp_path / "torch/hub/checkpoints").iterdir())
