"""The folders that are pushed to Spaces: their cards are ones that the Hub takes, and they run as a Space runs them.

How a Gradio Space installs is told by its build log, which is Docker's:

    RUN --mount=target=/tmp/requirements.txt,source=requirements.txt pip install -r /tmp/requirements.txt
        gradio[oauth,mcp]==SDK_VERSION "uvicorn>=0.14.0" "websockets>=10.4" spaces
    COPY ./ /app
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import SpaceHardware
from loopback_hub import LoopbackHub
from packaging.requirements import Requirement
from playwright.sync_api import Browser, Page, expect
from serving import free_port, running, window

from colorlib.cards import assemble

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
PATIENCE = 240_000  # a training run may hold the processors
SPACES = ("demo", "dashboard")


# What a card may hold, by the Hub's page spaces-config-reference and, of the length of the description, by what it says
# to those who push more: "short_description" length must be less than or equal to 60 characters long.


def _one_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: value in allowed


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _strings(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and value != [] and all(map(_matches(pattern), value))


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


_NAME = r"[\w.-]+(/[\w.-]+)?"  # of a repository
_COLOUR = _one_of("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
FIELDS: dict[str, Callable[[Any], bool]] = {
    "title": _matches(".+"),
    "emoji": _matches(r"[^\x00-\x7f]{1,7}"),
    "colorFrom": _COLOUR,
    "colorTo": _COLOUR,
    "sdk": _one_of("gradio", "docker", "static"),
    "sdk_version": _matches(r"\d+\.\d+\.\d+"),
    "python_version": _matches(r"3\.\d+(\.\d+)?"),  # unquoted, 3.10 would be the number 3.1
    "suggested_hardware": _one_of(*(flavour.value for flavour in SpaceHardware)),
    "suggested_storage": _one_of("small", "medium", "large"),
    "app_file": _matches(".+"),
    "app_build_command": _matches(".+"),
    "app_port": lambda value: type(value) is int and 0 < value < 65536,
    "base_path": _matches("/.*"),
    "fullWidth": _is(bool),
    "header": _one_of("mini", "default"),
    "short_description": _matches(".{1,60}"),
    "models": _strings(_NAME),
    "datasets": _strings(_NAME),
    "tags": _strings(".+"),
    "license": _one_of("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "other"),  # of many more
    "thumbnail": _matches("https://.+"),
    "pinned": _is(bool),
    "hf_oauth": _is(bool),
    "hf_oauth_scopes": _strings(".+"),
    "hf_oauth_expiration_minutes": _is(int),
    "hf_oauth_authorized_org": _matches(_NAME),
    "disable_embedding": _is(bool),
    "startup_duration_timeout": _matches(r"\d+(s|m|h)"),
    "custom_headers": _is(dict),
    "preload_from_hub": _strings(rf"{_NAME}( [^ ]+)?( [0-9a-f]{{40}})?"),
}
OF_SDK = {"sdk_version": "gradio", "python_version": "gradio", "app_port": "docker", "app_build_command": "static"}


def front_matter(text: str) -> dict[str, Any]:
    """The block at the top of a card."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found, "a card begins with a block between two lines ---"
    card = yaml.safe_load(found[1])
    assert isinstance(card, dict)
    return card


def complaints(card: dict[str, Any], files: set[str]) -> list[str]:
    """What the Hub would not take, or not understand, in the card of a Space with these files."""
    found = [
        f"no {field}" for field in ("title", "emoji", "colorFrom", "colorTo", "sdk", "license") if field not in card
    ]
    for field, value in card.items():
        if field not in FIELDS:
            found.append(f"unknown field {field}")
        elif not FIELDS[field](value):
            found.append(f"{field}: {value!r}")
        elif OF_SDK.get(field, card.get("sdk")) != card.get("sdk"):
            found.append(f"{field} is of {OF_SDK[field]} only")
    needed = "Dockerfile" if card.get("sdk") == "docker" else card.get("app_file")
    if needed not in files:
        found.append(f"no file {needed}")
    if card.get("sdk") == "gradio" and "sdk_version" not in card:
        found.append("no sdk_version: the newest would be installed")
    return found


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", SPACES)
def test_the_hub_takes_the_card(name: str):
    text = (ROOT / name / "README.md").read_text(encoding="utf-8")
    assert complaints(front_matter(text), files_of(ROOT / name)) == []


@pytest.mark.parametrize("extra", SPACES)
def test_what_a_space_requires_is_pinned_and_fits(extra: str):
    """Clean installs are the nightly job's; here, that the pins which the tests run with satisfy every requirement."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = (ROOT / extra / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra], *listed]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    versions = {
        pin.name: str(pin.specifier).removeprefix("==") for pin in pins if not pin.marker or pin.marker.evaluate()
    }
    for requirement in map(Requirement, wanted):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_the_demo_is_run_with_what_it_is_tested_with():
    card = front_matter((ROOT / "demo/README.md").read_text(encoding="utf-8"))
    assert f"\ngradio=={card['sdk_version']}\n" in (ROOT / "constraints.txt").read_text()
    assert f'requires-python = ">={card["python_version"]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colorFrom": "grey"}, "colorFrom: 'grey'"),
        ({"colourTo": "gray"}, "unknown field colourTo"),
        ({"sdk": "streamlit"}, "sdk: 'streamlit'"),
        ({"sdk": "docker"}, "sdk_version is of gradio only"),
        ({"sdk": "docker"}, "no file Dockerfile"),
        ({"sdk_version": 6.31}, "sdk_version: 6.31"),
        ({"sdk_version": None}, "sdk_version: None"),
        ({"python_version": 3.11}, "python_version: 3.11"),
        ({"app_file": "main.py"}, "no file main.py"),
        ({"app_port": 7860}, "app_port is of docker only"),
        ({"app_port": "7860"}, "app_port: '7860'"),
        ({"short_description": "x" * 61}, f"short_description: '{'x' * 61}'"),
        ({"emoji": ":art:"}, "emoji: ':art:'"),
        ({"license": "Apache 2.0"}, "license: 'Apache 2.0'"),
        ({"suggested_hardware": "cpu"}, "suggested_hardware: 'cpu'"),
        ({"tags": "colorization"}, "tags: 'colorization'"),
        ({"tags": ["colorization", 1]}, "tags: ['colorization', 1]"),
        ({"models": ["owner/name/file"]}, "models: ['owner/name/file']"),
        ({"preload_from_hub": "owner/name"}, "preload_from_hub: 'owner/name'"),
        ({"pinned": "yes"}, "pinned: 'yes'"),
        ({"title": ""}, "title: ''"),
    ],
)
def test_what_the_hub_does_not_take_is_found(changes: dict[str, Any], complaint: str):
    card = front_matter((ROOT / "demo/README.md").read_text(encoding="utf-8"))
    assert complaint in complaints(card | changes, {"app.py"})


def test_what_is_missing_is_found():
    assert {"no title", "no sdk", "no license", "no file None"} <= set(complaints({}, set()))
    assert complaints({"sdk": "gradio", "app_file": "app.py"}, {"app.py"})[-1].startswith("no sdk_version")


# A stand-in for the package of that name: CUDA seems to be there, and using it fails, as do the threads of a Gradio
# app on ZeroGPU; what is decorated runs in a fork, where there is a GPU or, here, the truth about it. What a generator
# yields comes as it is made.
ZERO_GPU = """
import inspect
import multiprocessing

import torch

context = multiprocessing.get_context("fork")
truth = torch.cuda.is_available, torch._C._cuda_init
calls = []


def fail():
    raise RuntimeError("used where no GPU is")


torch.cuda.is_available, torch._C._cuda_init = lambda: True, fail


def GPU(duration):
    def decorated(function):
        several = inspect.isgeneratorfunction(function)
        return lambda *given: lend(function, given) if several else [*lend(function, given)][0]

    return decorated


def lend(function, given):
    calls.append(function.__name__)
    here, there = context.Pipe()
    worker = context.Process(target=work, args=(function, there))
    worker.start()
    there.close()
    here.send(given)
    while (made := here.recv()) != "all":
        yield made
        here.send("received")  # tensors come in memory that is the worker's
    worker.join()


def work(function, pipe):
    torch.cuda.is_available, torch._C._cuda_init = truth
    torch.set_num_threads(1)  # those of the process before are not here
    made = function(*pipe.recv())
    for one in made if inspect.isgenerator(made) else [made]:
        pipe.send(one)
        pipe.recv()
    pipe.send("all")
"""
SESSION = """
import sys
from pathlib import Path

import skimage
import torch

import casts
import session

data, names = Path(skimage.__file__).parent / "data", ["iizuka16_small", "larsson16_small"]
one = session.Session(data / "rocket.jpg")
assert [*one.colour(names)] == [(name, None) for name in names]
one.choose(names[0])
one.set_reference(data / "coffee.png")
assert one.borrow() == ""
state = casts.simulate(one, "Reddish")
casts.balance(state, "shades_of_gray")
assert all(result.photo is one.large for result in one.results.values())
pictures = [*map(one.show, names), *map(one.show_borrowed, one.borrowed)]
pictures.append(casts.show_balanced(one, state, "shades_of_gray"))
pictures += [*one.alternatives(names[1]).values(), *one.save(names)]
torch.save([session.io.read(path).rgb for path in pictures], sys.argv[1])
print([(scene.name, round(scene.probability, 6)) for scene in one.scenes[names[0]]])
if spaces := sys.modules.get("spaces"):
    assert spaces.calls == ["colourings", "_predict", "_predict"], spaces.calls
"""


@pytest.mark.slow
def test_on_zerogpu_networks_run_where_the_gpu_is(tmp_path: Path):
    """And nothing else does, nor do the pictures change."""
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in/spaces.py").write_text(ZERO_GPU)
    said, pictures = [], []
    for path in ([ROOT / "demo"], [tmp_path / "stand-in", ROOT / "demo"]):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT])), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SESSION, str(tmp_path / "pictures.pt")]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stderr
        said.append(run.stdout)
        pictures.append(torch.load(tmp_path / "pictures.pt"))
    assert said[0] == said[1] != ""
    assert len(pictures[0]) == 14
    for ordinary, lent in zip(*pictures, strict=True):
        assert torch.equal(ordinary, lent)


def make(*targets: str, folder: Path) -> None:
    run = subprocess.run(["make", "-C", str(folder), *targets], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what Spaces are made of, with both assembled: nothing is left here, and no other test is in the way."""
    copy = tmp_path_factory.mktemp("spaces")
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("colorlib", *SPACES):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.parts"))
    # What is there after a run, and must not be pushed.
    (copy / "dashboard/views/__pycache__").mkdir()
    (copy / ".venv").symlink_to(ROOT / ".venv")
    make("space-demo", "space-dashboard", folder=copy)
    return copy


PAINT = """
import colorlib
from skimage import data
assert "space-demo" in colorlib.__file__
assert {"lin21_convnet_small", "iizuka16_small", "dahl16_small"} <= set(colorlib.list_models(ready=True))
assert colorlib.Colorizer("lin21_convnet_small")(data.camera()).rgb.std() > 0
"""


@pytest.mark.slow
class TestAssembled:
    def test_what_is_pushed(self, checkout: Path):
        demo, dashboard = (checkout / f"build/space-{name}" for name in SPACES)
        library = checkout / "colorlib"
        patterns = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
        shipped = {path for pattern in ["**/*.py", *patterns["colorlib"]] for path in library.glob(pattern)}
        assert {".safetensors", ".parquet", ".json", ".csv", ".toml"} <= {path.suffix for path in shipped}
        shipped |= {folder for path in shipped for folder in path.parents if library in folder.parents}
        assert files_of(demo / "colorlib") == {path.relative_to(library).as_posix() for path in shipped}
        assert {path.name for path in demo.iterdir()} == {
            *("README.md", "requirements.txt", "style.css", "script.js", "pixel.js", "example.jpg"),
            *(path.name for path in (ROOT / "demo").glob("*.py")),
            *("colorlib", "colorlib_torch-0.1.0.dist-info"),
        }
        own = {path for path in files_of(checkout / "dashboard") if "__pycache__" not in path}
        assert files_of(dashboard) == own | {"constraints.txt", "colorlib_torch-0.1.0-py3-none-any.whl"}
        for name, folder in zip(SPACES, (demo, dashboard), strict=True):
            assert not [path for path in files_of(folder) if "__pycache__" in path]
            card = (folder / "README.md").read_text(encoding="utf-8")
            assert complaints(front_matter(card), files_of(folder)) == []
            assert card == (checkout / name / "README.md").read_text(encoding="utf-8")

    def test_the_demos_requirements_are_the_librarys_and_its_own(self, checkout: Path):
        lines = (checkout / "build/space-demo/requirements.txt").read_text().splitlines()
        asked = {Requirement(line).name for line in lines}
        needed = [Requirement(line) for line in requires("colorlib-torch") or ()]
        extras: tuple[str, ...] = ("", "demo")
        assert asked == {
            one.name for one in needed if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)
        }
        assert not [line for line in lines if "/" in line or "@" in line]  # no file is there to be installed from

    @pytest.mark.parametrize("name", SPACES)
    def test_pip_understands_the_requirements(self, checkout: Path, name: str):
        """Spaces install with it; all are there already, so that it downloads nothing."""
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "-r", "requirements.txt"]
        run = subprocess.run(command, cwd=checkout / f"build/space-{name}", capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr

    def test_weights_can_be_left_to_the_hub(self, checkout: Path):
        before = front_matter((checkout / "demo/README.md").read_text(encoding="utf-8"))
        assert not {"models", "preload_from_hub"} & set(before)
        folder, weights = checkout / "build/space-demo", "colorlib/weights/lin21_convnet_small.safetensors"
        names = ["someone/lin21-convnet-small", "someone/iizuka16_small"]
        # -o: with the wheel that is there.
        make("-o", "wheel", "space-demo", f"MODELS={' '.join(names)}", folder=checkout)
        try:
            text = (folder / "README.md").read_text(encoding="utf-8")
            rest = {path.name for path in (checkout / "colorlib/weights").glob("*.safetensors")}
            assert {path.name for path in (folder / "colorlib/weights").glob("*.safetensors")} == rest - {
                "lin21_convnet_small.safetensors",
                "iizuka16_small.safetensors",
            }
            with LoopbackHub() as server:
                assemble("lin21_convnet_small", checkout / "pushed", names[0], "someone/results")
                files = {
                    name: (checkout / "pushed" / name).read_bytes() for name in ("config.json", "model.safetensors")
                }
                server.commit(names[0], files)
                environment = os.environ | {"PYTHONPATH": str(folder), "HF_ENDPOINT": server.endpoint}
                environment |= {"HF_HOME": str(checkout / "cache"), "OMP_NUM_THREADS": "1"}
                run = subprocess.run(
                    [sys.executable, "-c", PAINT], env=environment, cwd=folder, capture_output=True, text=True
                )
            assert run.returncode == 0, run.stderr
            assert [r.path for r in server.requests if r.path.endswith(".safetensors")]
        finally:
            make("-o", "wheel", "space-demo", folder=checkout)
        assert (folder / weights).is_file()
        card = front_matter(text)
        assert card == before | {"models": names, "preload_from_hub": names}
        assert complaints(card, {"app.py"}) == []

    def test_weights_can_be_left_to_repositories_of_methods_only(self, checkout: Path):
        command = ["make", "-C", str(checkout), "-o", "wheel", "space-demo", "MODELS=someone/else"]
        run = subprocess.run(command, capture_output=True, text=True)
        make("-o", "wheel", "space-demo", folder=checkout)
        assert run.returncode != 0
        assert "someone/else: expected OWNER/METHOD, the method being one of" in run.stderr


def clean(folder: Path) -> tuple[Path, dict[str, str]]:
    """A virtual environment with nothing in it, and what its processes know of this machine."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    (folder / "home").mkdir()
    hidden = ("PYTHON", "VIRTUAL_ENV", "GRADIO", "STREAMLIT", "COLORLIB", "PYTEST", "COV")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    path = f"{folder}/venv/bin{os.pathsep}{environment['PATH']}"
    return folder / "venv/bin", environment | {"HOME": f"{folder}/home", "PATH": path, "OMP_NUM_THREADS": "1"}


def install(binaries: Path, folder: Path, *arguments: str) -> None:
    """As pip would, but with links into uv's cache, where all lies since this environment was made."""
    command = [UV, "pip", "install", "--quiet", "--python", binaries / "python", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr


def where_colorlib_is(binaries: Path, folder: Path, environment: dict[str, str]) -> Path:
    command = [binaries / "python", "-c", "import colorlib; print(colorlib.__file__)"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return Path(run.stdout.strip())


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with window(browser, PATIENCE, viewport={"width": 1400, "height": 1000}) as page:
        yield page


@pytest.mark.nightly
@pytest.mark.browser
def test_the_demo_runs_as_a_gradio_space(checkout: Path, tmp_path: Path, page: Page):
    folder = checkout / "build/space-demo"
    card = front_matter((folder / "README.md").read_text(encoding="utf-8"))
    binaries, environment = clean(tmp_path)
    # Nothing but this one file is there while it installs.
    (tmp_path / "tmp").mkdir()
    shutil.copy(folder / "requirements.txt", tmp_path / "tmp")
    sdk = [f"gradio[oauth,mcp]=={card['sdk_version']}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces"]
    install(binaries, tmp_path / "tmp", "-r", "requirements.txt", *sdk)
    app = tmp_path / "app"
    shutil.copytree(folder, app)
    assert where_colorlib_is(binaries, app, environment).is_relative_to(app)

    environment |= {"SYSTEM": "spaces", "SPACE_ID": "someone/colour", "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    environment |= {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(free_port())}
    with running([binaries / "python", card["app_file"]], app, environment, tmp_path / "log.txt"):
        page.goto(f"http://127.0.0.1:{environment['GRADIO_SERVER_PORT']}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Photographs in colour")
        expect(page.get_by_role("button", name="Duplicate Space")).to_be_visible()
        page.locator("#choices .gallery-item").first.click()
        expect(page.locator("#panel-larsson16_small img")).to_be_visible()
        expect(page.locator("#status")).to_contain_text("Downloads have full size")


@pytest.mark.nightly
@pytest.mark.browser
def test_the_dashboard_runs_as_a_docker_space(checkout: Path, tmp_path: Path, page: Page):
    """Its Dockerfile, line by line; only the image it starts from and the user are this test's own."""
    folder = checkout / "build/space-dashboard"
    card = front_matter((folder / "README.md").read_text(encoding="utf-8"))
    binaries, environment = clean(tmp_path)
    app, user, command = tmp_path / "app", "root", [""]
    app.mkdir()
    lines = (folder / "Dockerfile").read_text().splitlines()
    for line in filter(None, lines):
        instruction, _, rest = line.partition(" ")
        if instruction == "#":
            continue
        if instruction == "FROM":
            assert rest == "python:3.11-slim"
        elif line == "RUN useradd --create-home --uid 1000 user":
            assert user == "root"
        elif instruction == "USER":
            user = rest
        elif instruction == "ENV":
            assert rest == "HOME=/home/user PATH=/home/user/.local/bin:$PATH"  # where pip puts a user's commands
        elif instruction == "WORKDIR":
            assert rest.startswith("/home/user/")
        elif instruction == "COPY":
            owner, *sources, target = rest.split()
            assert (owner, target.rstrip("/")) == ("--chown=user", ".")
            for source in sources:
                found = [folder] if source == "." else list(folder.glob(source))
                assert found
                for path in found:
                    subprocess.run(["cp", "-R", f"{path}/." if path == folder else path, app], check=True)
        elif line.startswith("RUN pip install "):
            assert user == "user"
            assert not (app / "app.py").exists()
            install(binaries, app, *(word for word in shlex.split(rest)[2:] if word != "--no-cache-dir"))
        elif instruction == "EXPOSE":
            assert int(rest) == card["app_port"]
        elif instruction == "CMD":
            command = json.loads(rest)
        else:
            raise AssertionError(f"no such instruction is known here: {line}")
    assert user == "user"
    assert where_colorlib_is(binaries, app, environment).is_relative_to(tmp_path / "venv")

    place = command.index("--server.port") + 1
    assert command[place] == str(card["app_port"])
    command[place] = str(free_port())  # the Space's own may be taken here
    with running([binaries / command[0], *command[1:]], app, environment, tmp_path / "log.txt"):
        page.goto(f"http://127.0.0.1:{command[place]}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Leaderboard")
        expect(page.get_by_test_id("stDataFrame").first.locator("table")).to_contain_text("larsson16_small")
        expect(page.get_by_test_id("stException")).to_have_count(0)
