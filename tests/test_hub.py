"""Weights and results go to a Hub and come back, or it is said why not: a real server on loopback, nothing patched."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from loopback_hub import OWNER_TOKEN, STRANGER_TOKEN, Fault, LoopbackHub
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import colorlib
from colorlib import Colorizer, create_model, hub
from colorlib.benchmarks.results import SHIPPED
from colorlib.cards import assemble
from colorlib.cli import app
from colorlib.models import WeightsError
from colorlib.models._weights import file_sha256, weights_index

# Methods that need no timm, whose import takes longer than all else that these processes do.
NAME, OTHER = "lin21_convnet_small", "color_by_colorization_small"
ROOT = Path(__file__).parent.parent
PAINT = """
import hashlib, sys
from skimage import data
from colorlib import Colorizer
from colorlib.models import WeightsError
for name in sys.argv[1:]:
    try:
        painted = Colorizer(name)(data.astronaut()).rgb
        print(hashlib.sha256(painted.numpy().tobytes()).hexdigest())
    except WeightsError as error:
        print("refused:", error)
"""


class Shell:
    """Processes of a user with a cache of their own, whose Hub is the one on loopback."""

    def __init__(self, at: LoopbackHub, home: Path):
        self.hub, self.home = at, home

    def run(self, *command: str, token: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        environment = kept | {
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",  # of which the loopback Hub knows nothing
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        environment |= {"HF_TOKEN": token} if token else {}
        return subprocess.run(
            command, env=environment | extra, cwd=self.home, capture_output=True, text=True, timeout=300
        )

    def colorlib(self, *args: str, token: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """The command line."""
        return self.run(sys.executable, "-c", "from colorlib.cli import app; app()", *args, token=token, **extra)

    def paint(self, *models: str, token: str | None = None, **extra: str) -> list[str]:
        """For each model the digest of a photograph that it paints, or why it cannot be had; all in a fresh process."""
        done = self.run(sys.executable, "-c", PAINT, *models, token=token, **extra)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """What `colorlib push` makes of a repository."""
    with LoopbackHub() as server:
        shell = Shell(server, tmp_path_factory.mktemp("pusher"))
        done = shell.colorlib("push", NAME, "--repo", "me/x", token=OWNER_TOKEN)
        assert done.returncode == 0, done.stderr
        assert "pushed to me/x at " in done.stdout
        files = server.files("me/x")
        assert done.stdout.split()[-1] == server.history("me/x")[-1]
        yield files


@pytest.fixture
def shell(pushed: dict[str, bytes], tmp_path: Path) -> Iterator[Shell]:
    """An empty cache, and a Hub with that repository."""
    with LoopbackHub() as server:
        server.commit("me/x", pushed)
        yield Shell(server, tmp_path)


@pytest.fixture(scope="module")
def expected() -> str:
    """What the embedded weights paint, in a process like the others."""
    done = subprocess.run(
        [sys.executable, "-c", PAINT, NAME],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path, pushed: dict[str, bytes]) -> Path:
    """The repository as a folder."""
    for name, content in pushed.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "repository"


def test_what_was_pushed_paints_bit_for_bit_alike(shell: Shell, expected: str):
    assert shell.paint("me/x") == [expected]
    fetched = {r.path.rpartition("/")[2] for r in shell.hub.requests if r.method == "GET" and "/api/" not in r.path}
    assert fetched == {"config.json", "model.safetensors"}  # pictures and cards stay where they are
    before = len(shell.hub.requests)
    assert shell.paint("me/x") == [expected]
    after = [r for r in shell.hub.requests[before:] if "/api/" not in r.path]
    assert {r.method for r in after} <= {"HEAD"}  # from the cache


def test_downloads_that_break_off_are_completed(shell: Shell, expected: str, pushed: dict[str, bytes]):
    """By huggingface_hub where the connection ends in good order, by us where it is reset or the server fails."""
    half = len(pushed["model.safetensors"]) // 2
    faults = {
        "me/closed": Fault(r"GET /cdn/", cut=half),
        "me/reset": Fault(r"GET /cdn/", cut=half, reset=True),
        "me/failing": Fault(r"GET /cdn/", status=503, times=2),
    }
    for name, fault in faults.items():
        shell.hub.commit(name, pushed)
        shell.hub.faults.append(fault)
    # One after the other, as a fault is gone once it has happened so often.
    assert shell.paint(*faults) == [expected] * 3
    assert len([r for r in shell.hub.requests if r.method == "GET" and r.path.startswith("/cdn/")]) == 2 + 2 + 3


def test_a_download_goes_on_where_it_stopped(shell: Shell, tmp_path: Path):
    """By huggingface_hub, which keeps whole chunks of 10 MiB: of weights that are larger than that."""
    config, weights = hub.configured("lin21_rebalanced_small")
    config.write(tmp_path / "config.json")
    files = {"config.json": (tmp_path / "config.json").read_bytes(), "model.safetensors": weights.read_bytes()}
    shell.hub.commit("me/large", files)
    shell.hub.faults.append(Fault(r"GET /cdn/", cut=len(files["model.safetensors"]) - 10_000))
    painted, ours = shell.paint("me/large", "lin21_rebalanced_small")
    assert painted == ours
    ranges = [r.range for r in shell.hub.requests if r.method == "GET" and r.path.startswith("/cdn/")]
    assert ranges == [None, f"bytes={10 * 2**20}-"]


def test_a_flipped_byte_is_refused_and_forgotten(shell: Shell, expected: str, pushed: dict[str, bytes]):
    shell.hub.faults.append(Fault(r"GET /cdn/", flip=len(pushed["model.safetensors"]) - 1000))
    said, again = shell.paint("me/x", "me/x")
    assert said.startswith("refused:")
    assert weights_index()[NAME].sha256 in said
    assert "damaged or was replaced" in said
    assert "try again" in said
    assert again == expected  # what was damaged is fetched anew


def test_rate_limits_are_waited_out(shell: Shell, expected: str):
    for request in ("HEAD /me/x/resolve/main/config.json", "GET /me/x/resolve", "GET /cdn/"):
        shell.hub.faults.append(Fault(request, status=429, retry_after=1))
    assert shell.paint("me/x") == [expected]
    assert [r.status for r in shell.hub.requests].count(429) == 3


def test_private_repositories_need_a_token(shell: Shell, expected: str, pushed: dict[str, bytes]):
    shell.hub.commit("me/secret", pushed, private=True)
    for token in (None, STRANGER_TOKEN):
        [said] = shell.paint("me/secret", token=token)
        assert "no repository me/secret, or it is private" in said
        assert "HF_TOKEN" in said
    assert shell.paint("me/secret", token=OWNER_TOKEN) == [expected]


def test_what_is_not_there_is_said(shell: Shell):
    shell.hub.commit("me/other", {"pytorch_model.bin": b"a pickle", "README.md": b"hello"})
    repository, revision, file, name = shell.paint("me/y", "me/x@v9", "me/other", "a/b/c")
    assert "no repository me/y" in repository
    assert "has no revision v9" in revision
    assert "has no config.json" in file
    assert not [r for r in shell.hub.requests if r.path.endswith(".bin")]
    assert "neither a file or folder here nor the name of a repository" in name


def test_offline_with_a_cache_and_without(shell: Shell, expected: str):
    [said] = shell.paint("me/x", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in said
    assert str(shell.home) in said
    assert not shell.hub.requests
    assert shell.paint("me/x") == [expected]
    before = len(shell.hub.requests)
    assert shell.paint("me/x", HF_HUB_OFFLINE="1") == [expected]
    assert len(shell.hub.requests) == before
    painted, said = shell.paint("me/x", "me/z", HF_ENDPOINT="http://127.0.0.1:9")  # nobody is there
    assert painted == expected
    assert "cannot be reached" in said


def test_a_pinned_revision_stays(shell: Shell, expected: str, tmp_path: Path):
    first = shell.hub.history("me/x")[-1]
    assemble(OTHER, tmp_path / "other", "me/x", "me/results")
    other = {
        path.relative_to(tmp_path / "other").as_posix(): path.read_bytes()
        for path in (tmp_path / "other").rglob("*")
        if path.is_file()
    }
    shell.hub.commit("me/x", other)
    pinned, latest = shell.paint(f"me/x@{first}", "me/x")
    assert pinned == expected
    assert latest not in (expected, "")
    assert not latest.startswith("refused")


def test_the_command_line_takes_repositories(shell: Shell, tmp_path: Path):
    photo = Path(colorlib.__file__).parent.parent / ".github" / "images" / "demo.png"
    shutil.copyfile(photo, tmp_path / "photo.png")
    done = shell.colorlib("colorize", "photo.png", "-o", "out", "--model", "me/x")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "photo.png").is_file()
    done = shell.colorlib("evaluate", "-m", "me/x", "-b", "skimage", "-o", "results")
    assert done.returncode == 0, done.stderr
    [ours] = (tmp_path / "results" / "skimage@1").glob("me+x-*.parquet")
    [theirs] = (SHIPPED / "skimage@1").glob(f"{NAME}-*.parquet")
    columns = ["photo", "weights", "rmse", "psnr"]
    pd.testing.assert_frame_equal(pd.read_parquet(ours)[columns], pd.read_parquet(theirs)[columns], rtol=1e-3)
    absent = shell.colorlib("colorize", "photo.png", "-o", "out", "--model", "me/absent")
    assert absent.returncode == 2
    assert "no repository me/absent" in absent.stderr


def test_weights_that_are_not_installed_come_from_the_index_repository(shell: Shell, expected: str, tmp_path: Path):
    """A copy of the package without the file, whose index names repository and commit."""
    ignored = shutil.ignore_patterns("*.safetensors", "results", "__pycache__")
    shutil.copytree(Path(colorlib.__file__).parent, tmp_path / "bare" / "colorlib", ignore=ignored)
    index = tmp_path / "bare" / "colorlib" / "weights" / "index.json"
    rows = json.loads(index.read_text())
    rows[NAME] |= {"repo": "me/x", "revision": shell.hub.history("me/x")[-1]}
    index.write_text(json.dumps(rows))
    bare = {"PYTHONPATH": str(tmp_path / "bare")}
    assert shell.paint(NAME, **bare) == [expected]
    rows[NAME]["sha256"] = "0" * 64
    index.write_text(json.dumps(rows))
    assert f"expected {'0' * 64}" in shell.paint(NAME, **bare)[0]


def _tensors(folder: Path, change: str) -> str:
    """Change the weights of a folder, and let its configuration agree with them."""
    path = folder / hub.WEIGHTS
    tensors = load_file(path)
    name = sorted(tensors)[0]
    match change:
        case "missing":
            del tensors[name]
        case "extra":
            tensors[name := "stranger"] = torch.zeros(3)
        case "shape":
            tensors[name] = torch.zeros(2, 2, 2)
        case "values":
            name = sorted(tensors)[-1]
            tensors = {key: torch.zeros_like(value) if value.ndim > 1 else value for key, value in tensors.items()}
    save_file(tensors, path, {"model": NAME})
    config = hub.Config.read(folder / hub.CONFIG)
    replace(config, weights=replace(config.weights, sha256=file_sha256(path))).write(folder / hub.CONFIG)
    return name


@pytest.mark.parametrize(
    ("change", "said"),
    [("missing", "{} is missing"), ("extra", "{} is unknown to the model"), ("shape", r"{} has shape \(2, 2, 2\)")],
)
def test_tensors_that_do_not_fit_are_named(folder: Path, change: str, said: str):
    name = _tensors(folder, change)
    with pytest.raises(WeightsError, match=said.format(name.replace(".", r"\."))):
        Colorizer(folder)


def test_a_network_that_paints_otherwise_is_refused(folder: Path):
    _tensors(folder, "values")
    with pytest.raises(WeightsError, match="paints the test picture otherwise"):
        Colorizer(folder)


def test_a_changed_file_is_refused_where_it_lies(folder: Path):
    path = folder / hub.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="fetch it again"):
        Colorizer(folder)
    assert path.is_file()  # a folder of the user's own loses nothing


@pytest.mark.parametrize("content", ["", "[]", '{"model": "lin21_convnet_small"}', '{"architectures": ["Bert"]}'])
def test_a_configuration_of_another_kind_is_refused(folder: Path, content: str):
    (folder / hub.CONFIG).write_text(content)
    with pytest.raises(WeightsError, match="expected what `colorlib push` writes"):
        Colorizer(folder)


def test_a_method_of_a_later_version_is_refused(folder: Path):
    said = json.loads((folder / hub.CONFIG).read_text())
    (folder / hub.CONFIG).write_text(json.dumps(said | {"model": "transformer30", "colorlib": "9.0"}))
    with pytest.raises(WeightsError, match=r"cannot build it .*written by 9\.0"):
        Colorizer(folder)


@pytest.mark.parametrize("name", ["larsson16_small", OTHER, "hwang16_classification_small"])
def test_the_test_picture_tells_methods_apart(name: str):
    """Cells of more than one colour, and a self-test that a saturation 5 % off would not pass."""
    model = create_model(name, pretrained=True)
    painted = torch.tensor(hub.self_test(model)).view(3, *hub._GRID)
    assert (painted.amax(dim=0) - painted.amin(dim=0)).max() > 0.05
    other = create_model(NAME, pretrained=True)
    assert max(abs(a - b) for a, b in zip(hub.self_test(model), hub.self_test(other), strict=True)) > 5 * hub._TOLERANCE


def test_the_card_says_what_was_measured(folder: Path):
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "apache-2.0",
        "colorlib",
        "image-to-image",
    )
    measured = {(result.dataset_name, result.metric_type): result.metric_value for result in card.data.eval_results}
    for identity, metrics in weights_index()[NAME].metrics.items():
        for score in ("rmse", "psnr", "ciede2000"):
            assert measured[identity, score] == pytest.approx(metrics[score], abs=1e-4)
    for heading in ("Use", "Intended use and limits", "Training", "Measured", "Licence"):
        assert f"## {heading}\n" in card.text
    for picture in (folder / "samples").glob("*.png"):
        assert f"(samples/{picture.name})" in card.text
    entries = parse_eval_result_entries(yaml.safe_load((folder / ".eval_results" / "miniplaces.yaml").read_text()))
    assert {entry.task_id: entry.value for entry in entries}["miniplaces@1/psnr"] == measured["miniplaces@1", "psnr"]
    assert {entry.dataset_id for entry in entries} == {"me/colorlib-results"}


def test_weights_of_ones_own_are_pushed_too(tmp_path: Path):
    """Without our measurements, which are of other weights."""
    own = tmp_path / "own.safetensors"
    save_file(load_file(weights_index()[NAME].path), own, {"model": NAME, "model_args": "{}"})
    assemble(own, tmp_path / "repository", "me/own", "me/results")
    assert not (tmp_path / "repository" / ".eval_results").exists()
    assert "Nothing yet" in (tmp_path / "repository" / "README.md").read_text()
    assert Colorizer(tmp_path / "repository").name == NAME


def test_a_dry_run_pushes_nothing(shell: Shell, tmp_path: Path):
    done = shell.colorlib("push", NAME, "--repo", "me/dry", "--dry-run", "--folder", "kept")
    assert done.returncode == 0, done.stderr
    for name in ("config.json", "model.safetensors", "README.md", ".eval_results/miniplaces.yaml"):
        assert name in done.stdout
        assert (tmp_path / "kept" / name).is_file()
    assert not shell.hub.requests
    kept = str(tmp_path / "kept")
    again = CliRunner().invoke(app, ["push", NAME, "--repo", "me/dry", "--dry-run", "--folder", kept])
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_pushes_need_a_token(shell: Shell):
    done = shell.colorlib("push", OTHER, "--repo", "me/new")
    assert done.returncode == 2
    assert "HF_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "repo", "said"),
    [
        ("grayscale", "me/new", "nothing to learn"),
        ("iizuka17", "me/new", "did you mean"),
        (NAME, "new", "expected --repo OWNER/REPO"),
    ],
)
def test_what_cannot_be_pushed_is_explained(name: str, repo: str, said: str):
    """Before anything is asked of the Hub."""
    done = CliRunner().invoke(app, ["push", name, "--repo", repo])
    assert done.exit_code == 2
    assert said in done.stderr


def test_strangers_may_not_push(shell: Shell):
    before = shell.hub.files("me/x")
    done = shell.colorlib("push", OTHER, "--repo", "me/x", token=STRANGER_TOKEN)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr
    assert shell.hub.files("me/x") == before


STORE = """
import sys
sys.path.insert(0, sys.argv[2])
from store import Store
store = Store.open(sys.argv[1])
rows = store.rows("skimage@1", ["model", "photo", "psnr"])
seconds = store.seconds("skimage@1")
print(len(store.runs), len(rows), round(float(rows[rows["model"] == "grayscale"]["psnr"].mean()), 4), len(seconds))
"""


def test_results_are_read_by_the_dashboard_where_they_lie(shell: Shell, tmp_path: Path):
    for name in ("skimage@1", "skimage-global@1"):
        shutil.copytree(SHIPPED / name, tmp_path / "results" / name)
    done = shell.colorlib("push-results", "results", "--repo", "me/results", token=OWNER_TOKEN)
    assert done.returncode == 0, done.stderr
    files = shell.hub.files("me/results", repo_type="dataset")
    for path in (tmp_path / "results").rglob("*.parquet"):
        content = files[path.relative_to(tmp_path / "results").as_posix()]
        assert hashlib.sha256(content).hexdigest() == file_sha256(path)
    done = shell.run(sys.executable, "-c", STORE, "hf://datasets/me/results", str(ROOT / "dashboard"))
    assert done.returncode == 0, done.stderr
    runs = list((tmp_path / "results").glob("*/*.parquet"))
    rows = pd.concat([pd.read_parquet(path) for path in (tmp_path / "results" / "skimage@1").glob("*.parquet")])
    gray = rows[rows["model"] == "grayscale"]["psnr"].astype(float).mean()
    counted = [len(runs), len(rows), round(gray, 4), rows["model"].nunique()]
    assert [float(x) for x in done.stdout.split()] == pytest.approx(counted, abs=1e-3)


def test_results_that_are_not_there_are_not_pushed(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["push-results", str(tmp_path / "empty"), "--repo", "me/results"])
    assert done.exit_code == 2
    assert "no results in " in done.stderr
