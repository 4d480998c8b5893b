"""Weights and results go to a Hub and come back, or it is said why not: a real server on loopback.

The stories of a user (push, pull, offline, resume, the dashboard's data) are told by real processes, in which nothing
is patched. The rest happens in this one, for which only the constants are changed that huggingface_hub reads from the
environment.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from autocolorize_files import layers, random_weights, write_hdf5
from huggingface_hub import ModelCard, constants, parse_eval_result_entries
from loopback_file import FETCH
from loopback_hub import OWNER_TOKEN, STRANGER_TOKEN, Fault, LoopbackHub
from safetensors.torch import load_file, save_file
from skimage import data
from typer.testing import CliRunner
from typer.testing import Result as Run

import colorlib
from colorlib import Colorizer, create_model
from colorlib.benchmarks.results import SHIPPED
from colorlib.cards import assemble
from colorlib.catalog import weights_index
from colorlib.cli import app
from colorlib.tensors import CONFIG, WEIGHTS, WeightsError, file_sha256
from colorlib.weights import configured, repository, write_in_one_piece

# Quick ones.
NAME, OTHER = "lin21_convnet_small", "color_by_colorization_small"
ROOT = Path(__file__).parent.parent
PAINT = """
import hashlib, sys
from skimage import data
from colorlib import Colorizer
from colorlib.tensors import WeightsError
for name in sys.argv[1:]:
    try:
        painted = Colorizer(name)(data.astronaut()).rgb
        print(hashlib.sha256(painted.numpy().tobytes()).hexdigest())
    except WeightsError as error:
        print("refused:", error)
"""


class Shell:
    """Processes of a user with a cache of their own, whose Hub is the one on loopback."""

    COLORLIB = (sys.executable, "-c", "from colorlib.cli import app; app()")

    def __init__(self, at: LoopbackHub, home: Path):
        self.hub, self.home = at, home

    def environment(self, token: str | None = None) -> dict[str, str]:
        """Of processes."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        environment = kept | {
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",  # of which the loopback Hub knows nothing
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        return environment | ({"HF_TOKEN": token} if token else {})

    def run(self, *command: str, token: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environment = self.environment(token) | extra
        return subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, timeout=300)

    def colorlib(self, *args: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command line."""
        return self.run(*self.COLORLIB, *args, token=token)

    def paint(self, *models: str, **extra: str) -> list[str]:
        """For each model the digest of a photograph that it paints, or why it cannot be had; all in a fresh process."""
        done = self.run(sys.executable, "-c", PAINT, *models, **extra)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


class Client:
    """The same user in this process."""

    def __init__(self, at: LoopbackHub, home: Path, patch: pytest.MonkeyPatch):
        self.hub, self.home, self.patch = at, home, patch
        patch.setattr(constants, "ENDPOINT", at.endpoint)
        template = f"{at.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        for name, part in (("HF_HUB_CACHE", "hub"), ("HF_TOKEN_PATH", "token"), ("HF_STORED_TOKENS_PATH", "tokens")):
            patch.setattr(constants, name, str(home / part))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.delenv("HF_TOKEN", raising=False)
        patch.chdir(home)

    def colorlib(self, *args: str, token: str | None = None) -> Run:
        """The command line."""
        with pytest.MonkeyPatch.context() as patch:
            if token:
                patch.setenv("HF_TOKEN", token)
            return CliRunner().invoke(app, args)

    def paint(self, *models: str, token: str | None = None) -> list[str]:
        """For each model the digest of a photograph that it paints, or why it cannot be had."""
        with pytest.MonkeyPatch.context() as patch:
            if token:
                patch.setenv("HF_TOKEN", token)
            return [_painted(name) for name in models]


def _painted(model: str) -> str:
    try:
        painted = Colorizer(model)(data.astronaut()).rgb
    except WeightsError as error:
        return f"refused: {error}"
    return hashlib.sha256(painted.numpy().tobytes()).hexdigest()


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


@pytest.fixture
def client(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The same in this process."""
    return Client(shell.hub, shell.home, monkeypatch)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that anybody wanted to wait; nobody does."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture(scope="module")
def expected() -> str:
    """What the embedded weights paint in this process."""
    return _painted(NAME)


@pytest.fixture
def folder(tmp_path: Path, pushed: dict[str, bytes]) -> Path:
    """The repository as a folder."""
    for name, content in pushed.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "repository"


def test_what_was_pushed_paints_bit_for_bit_alike(shell: Shell):
    pulled, ours = shell.paint("me/x", NAME)
    assert pulled == ours
    fetched = {r.path.rpartition("/")[2] for r in shell.hub.requests if r.method == "GET" and "/api/" not in r.path}
    assert fetched == {"config.json", "model.safetensors"}  # pictures and cards stay where they are
    before = len(shell.hub.requests)
    assert shell.paint("me/x") == [ours]
    after = [r for r in shell.hub.requests[before:] if "/api/" not in r.path]
    assert {r.method for r in after} <= {"HEAD"}  # from the cache


def test_downloads_that_break_off_are_completed(
    client: Client, expected: str, pushed: dict[str, bytes], waits: list[float]
):
    """By huggingface_hub where the connection ends in good order, by us where it is reset or the server fails."""
    half = len(pushed["model.safetensors"]) // 2
    for name, fault, fetched in (
        ("me/closed", Fault(r"GET /cdn/", cut=half), 2),
        ("me/reset", Fault(r"GET /cdn/", cut=half, reset=True), 2),
        ("me/failing", Fault(r"GET /cdn/", status=503, times=2), 3),
    ):
        client.hub.commit(name, pushed)
        client.hub.faults, client.hub.requests = [fault], []
        waits.clear()
        assert client.paint(name) == [expected]
        assert [r.path.startswith("/cdn/") for r in client.hub.requests if r.method == "GET"].count(True) == fetched
        assert sum(waits) == {2: 1, 3: 1 + 2}[fetched]  # seconds, more from one failure to the next


def test_a_download_goes_on_where_it_stopped(shell: Shell, tmp_path: Path):
    """By huggingface_hub, which keeps whole chunks of 10 MiB: of weights that are larger than that."""
    config, weights = configured("lin21_rebalanced_small")
    sha256 = write_in_one_piece(weights, tmp_path / "model.safetensors")
    replace(config, weights=replace(config.weights, sha256=sha256)).write(tmp_path / "config.json")
    files = {name: (tmp_path / name).read_bytes() for name in ("config.json", "model.safetensors")}
    shell.hub.commit("me/large", files)
    shell.hub.faults.append(Fault(r"GET /cdn/", cut=len(files["model.safetensors"]) - 10_000))
    painted, ours = shell.paint("me/large", "lin21_rebalanced_small")
    assert painted == ours
    ranges = [r.range for r in shell.hub.requests if r.method == "GET" and r.path.startswith("/cdn/")]
    assert ranges == [None, f"bytes={10 * 2**20}-"]


def test_a_flipped_byte_is_refused_and_forgotten(client: Client, expected: str, pushed: dict[str, bytes]):
    client.hub.faults.append(Fault(r"GET /cdn/", flip=len(pushed["model.safetensors"]) - 1000))
    said, again = client.paint("me/x", "me/x")
    assert said.startswith("refused:")
    assert weights_index()[NAME].sha256 in said
    assert "damaged or was replaced" in said
    assert "try again" in said
    assert again == expected  # what was damaged is fetched anew


def test_rate_limits_are_waited_out(client: Client, expected: str, waits: list[float]):
    for request in ("GET /me/x/resolve", "GET /cdn/"):
        client.hub.faults.append(Fault(request, status=429, retry_after=7))
    client.hub.faults.append(Fault("HEAD /me/x/resolve/main/config.json", status=429))
    assert client.paint("me/x") == [expected]
    assert [r.status for r in client.hub.requests].count(429) == 3
    assert len([wait for wait in waits if wait >= 7]) == 2


def test_private_repositories_need_a_token(client: Client, expected: str, pushed: dict[str, bytes]):
    client.hub.commit("me/secret", pushed, private=True)
    for token in (None, STRANGER_TOKEN):
        [said] = client.paint("me/secret", token=token)
        assert "no repository me/secret, or it is private" in said
        assert "HF_TOKEN" in said
    assert client.paint("me/secret", token=OWNER_TOKEN) == [expected]


def test_what_is_not_there_is_said(client: Client):
    client.hub.commit("me/other", {"pytorch_model.bin": b"a pickle", "README.md": b"hello"})
    repository, revision, file, name = client.paint("me/y", "me/x@v9", "me/other", "a/b/c")
    assert "no repository me/y" in repository
    assert "has no revision v9" in revision
    assert "has no config.json" in file
    assert not [r for r in client.hub.requests if r.path.endswith(".bin")]
    assert "neither a file or folder here nor the name of a repository" in name


def test_offline_with_a_cache_and_without(shell: Shell, client: Client, expected: str):
    [said] = shell.paint("me/x", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in said
    assert str(shell.home) in said
    assert not shell.hub.requests
    assert client.paint("me/x") == [expected]
    before = len(shell.hub.requests)
    pulled, ours = shell.paint("me/x", NAME, HF_HUB_OFFLINE="1")
    assert pulled == ours
    assert len(shell.hub.requests) == before


def test_a_hub_that_cannot_be_reached(client: Client, expected: str, waits: list[float]):
    """What is in the cache is taken from there."""
    assert client.paint("me/x") == [expected]
    nobody = "http://127.0.0.1:9"
    client.patch.setattr(constants, "ENDPOINT", nobody)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(client.hub.endpoint, nobody)
    client.patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    painted, said = client.paint("me/x", "me/z")
    assert painted == expected
    assert "cannot be reached" in said
    assert sum(waits) > 20  # for what is not in the cache, it is tried long enough


def test_a_pinned_revision_stays(client: Client, expected: str, tmp_path: Path):
    first = client.hub.history("me/x")[-1]
    assemble(OTHER, tmp_path / "other", "me/x", "me/results")
    other = {
        path.relative_to(tmp_path / "other").as_posix(): path.read_bytes()
        for path in (tmp_path / "other").rglob("*")
        if path.is_file()
    }
    client.hub.commit("me/x", other)
    pinned, latest = client.paint(f"me/x@{first}", "me/x")
    assert pinned == expected
    assert latest not in (expected, "")
    assert not latest.startswith("refused")


def test_the_command_line_takes_repositories(client: Client, tmp_path: Path):
    photo = Path(colorlib.__file__).parent.parent / ".github" / "images" / "demo.png"
    shutil.copyfile(photo, tmp_path / "photo.png")
    done = client.colorlib("colorize", "photo.png", "-o", "out", "--model", "me/x")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "photo.png").is_file()
    done = client.colorlib("evaluate", "-m", "me/x", "-b", "skimage", "-o", "results")
    assert done.exit_code == 0, done.stderr
    [ours] = (tmp_path / "results" / "skimage@1").glob("me+x-*.parquet")
    [theirs] = (SHIPPED / "skimage@1").glob(f"{NAME}-*.parquet")
    columns = ["photo", "weights", "rmse", "psnr"]
    pd.testing.assert_frame_equal(pd.read_parquet(ours)[columns], pd.read_parquet(theirs)[columns], rtol=1e-3)
    absent = client.colorlib("colorize", "photo.png", "-o", "out", "--model", "me/absent")
    assert absent.exit_code == 2
    assert "no repository me/absent" in absent.stderr


def test_weights_that_are_not_installed_come_from_the_index_repository(shell: Shell, tmp_path: Path):
    """A copy of the package without the files, whose index names repository and commit."""
    ignored = shutil.ignore_patterns("*.safetensors", "results", "__pycache__")
    shutil.copytree(Path(colorlib.__file__).parent, tmp_path / "bare" / "colorlib", ignore=ignored)
    index = tmp_path / "bare" / "colorlib" / "weights" / "index.json"
    rows = json.loads(index.read_text())
    for name in (NAME, OTHER):
        rows[name] |= {"repo": "me/x", "revision": shell.hub.history("me/x")[-1]}
    rows[OTHER]["sha256"] = "0" * 64
    index.write_text(json.dumps(rows))
    painted, same, refused = shell.paint(NAME, "me/x", OTHER, PYTHONPATH=str(tmp_path / "bare"))
    assert painted == same
    assert not painted.startswith("refused")
    assert f"expected {'0' * 64}" in refused


def _tensors(folder: Path, change: str) -> str:
    """Change the weights of a folder, and let its configuration agree with them."""
    path = folder / WEIGHTS
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
    config = repository.Config.read(folder / CONFIG)
    replace(config, weights=replace(config.weights, sha256=file_sha256(path))).write(folder / CONFIG)
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
    with pytest.raises(WeightsError, match="does not reproduce the self-test"):
        Colorizer(folder)


def test_a_changed_file_is_refused_where_it_lies(folder: Path):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="fetch it again"):
        Colorizer(folder)
    assert path.is_file()  # a folder of the user's own loses nothing


@pytest.mark.parametrize("content", ["", "[]", '{"model": "lin21_convnet_small"}', '{"architectures": ["Bert"]}'])
def test_a_configuration_of_another_kind_is_refused(folder: Path, content: str):
    (folder / CONFIG).write_text(content)
    with pytest.raises(WeightsError, match="expected what `colorlib push` writes"):
        Colorizer(folder)


def test_a_method_of_a_later_version_is_refused(folder: Path):
    said = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(said | {"model": "transformer30", "colorlib": "9.0"}))
    with pytest.raises(WeightsError, match=r"cannot build it .*written by 9\.0"):
        Colorizer(folder)


@pytest.mark.parametrize("name", ["larsson16_small", OTHER, "hwang16_classification_small"])
def test_the_test_picture_tells_methods_apart(name: str):
    """Cells of more than one colour, and a self-test that a saturation 5 % off would not pass."""
    model = create_model(name, pretrained=True)
    painted = torch.tensor(repository.self_test(model)).view(3, *repository._GRID)
    assert (painted.amax(dim=0) - painted.amin(dim=0)).max() > 0.05
    other = create_model(NAME, pretrained=True)
    assert (
        max(abs(a - b) for a, b in zip(repository.self_test(model), repository.self_test(other), strict=True))
        > 5 * repository._TOLERANCE
    )


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
    said = json.loads((tmp_path / "repository" / "config.json").read_text())
    # An earlier version reads these keys and refuses others.
    assert set(said["weights"]) == {
        "sha256", "license", "recipe", "data", "parameters", "metrics", "saturation", "classes",
    }  # fmt: skip
    assert Colorizer(tmp_path / "repository").name == NAME


def test_a_dry_run_pushes_nothing(client: Client, tmp_path: Path):
    done = client.colorlib("push", NAME, "--repo", "me/dry", "--dry-run", "--folder", "kept")
    assert done.exit_code == 0, done.stderr
    for name in ("config.json", "model.safetensors", "README.md", ".eval_results/miniplaces.yaml"):
        assert name in done.stdout
        assert (tmp_path / "kept" / name).is_file()
    assert not client.hub.requests
    kept = str(tmp_path / "kept")
    again = CliRunner().invoke(app, ["push", NAME, "--repo", "me/dry", "--dry-run", "--folder", kept])
    assert again.exit_code == 2
    assert "already exists" in again.stderr


def test_pushes_need_a_token(client: Client):
    done = client.colorlib("push", OTHER, "--repo", "me/new")
    assert done.exit_code == 2
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


def test_strangers_may_not_push(client: Client):
    before = client.hub.files("me/x")
    done = client.colorlib("push", OTHER, "--repo", "me/x", token=STRANGER_TOKEN)
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr
    assert client.hub.files("me/x") == before


STORE = """
import sys
sys.path.insert(0, sys.argv[2])
from store import Store
store = Store.open(sys.argv[1])
rows = store.rows("skimage@1", ["model", "photo", "psnr"])
seconds = store.seconds("skimage@1")
print(len(store.runs), len(rows), round(float(rows[rows["model"] == "grayscale"]["psnr"].mean()), 4), len(seconds))
"""


def test_results_are_read_by_the_dashboard_where_they_lie(shell: Shell, client: Client, tmp_path: Path):
    for name in ("skimage@1", "skimage-global@1"):
        shutil.copytree(SHIPPED / name, tmp_path / "results" / name)
    done = client.colorlib("push-results", "results", "--repo", "me/results", token=OWNER_TOKEN)
    assert done.exit_code == 0, done.stderr
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


@pytest.mark.parametrize(
    "source",
    [
        "hf://me/weights",
        pytest.param("hf://me/weights/of/2016/autocolorize.caffemodel.h5", marks=pytest.mark.nightly),
    ],
)
def test_a_repository_is_a_mirror_of_authors_files(source: str, shell: Shell, tmp_path: Path):
    """A process that is killed leaves what it has, and the next one goes on from there."""
    name, file, width = "larsson16", "autocolorize.caffemodel.h5", 3 / 16  # 20 MB, which the Hub keeps in LFS
    write_hdf5(tmp_path / file, random_weights(width), (one.name for one in layers(width)))
    content = (tmp_path / file).read_bytes()
    shell.hub.commit("me/weights", {file if source.count("/") == 3 else f"of/2016/{file}": content})
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    changes = {"size": len(content), "digest": digest, "settings": {"width": width}}
    command = (sys.executable, "-c", FETCH, name, json.dumps(changes), "fetch", name, "--yes", "--source", source)
    cache = tmp_path / "cache/authors"
    part = cache / f"downloads/{file}.part"

    # It is read in several requests: the first is answered, the second falls silent.
    shell.hub.faults = [Fault("GET /cdn/"), Fault("GET /cdn/", times=99, silent=0)]
    environment = shell.environment() | {"COLORLIB_HOME": str(tmp_path / "cache")}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while len(ranges := [request.range for request in shell.hub.requests if request.path.startswith("/cdn/")]) < 2:
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    first.kill()
    first.communicate()
    kept = part.stat().st_size
    assert 0 < kept < len(content)
    assert str(ranges[1]).startswith(f"bytes={kept}-")
    assert content.startswith(part.read_bytes())

    shell.hub.faults, before = [], len(shell.hub.requests)
    done = shell.run(*command, COLORLIB_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [request.range for request in shell.hub.requests[before:] if request.path.startswith("/cdn/")]
    assert str(asked[0]).startswith(f"bytes={kept}-")
    kept_files = {path.name for path in cache.rglob("*") if path.is_file()}
    assert kept_files == {"config.json", "model.safetensors", "larsson16.lock"}
    ready = shell.run(*shell.COLORLIB, "models", "--json", COLORLIB_HOME=str(tmp_path / "cache"))
    assert next(row["ready"] for row in map(json.loads, ready.stdout.splitlines()) if row["name"] == name)
