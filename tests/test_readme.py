"""The documents tell the truth: their Python runs, their commands parse, their links and tables are right."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from pkgutil import resolve_name
from textwrap import dedent
from types import CodeType, SimpleNamespace
from typing import Any

import pytest
import tifffile
import torch
import typer
import yaml
from click.testing import CliRunner as ClickRunner
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import colorlib
from colorlib import metrics
from colorlib.benchmarks import photos, protocols, read_results, report, scores
from colorlib.catalog import catalog, weights_index
from colorlib.cli import app
from colorlib.io import ImageError
from colorlib.io.formats import READABLE
from colorlib.metrics import modular
from colorlib.models import _registry

ROOT = Path(__file__).parent.parent
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True
)
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in sorted(LISTED.stdout.split())}
README = DOCUMENTS["README.md"]
CONTRIBUTING = ".github/CONTRIBUTING.md"
NEEDS_A_SERVER = "demo/README.md"  # its client is that of tests/test_demo.py
NOTEBOOK = ROOT / "demo/colorlib.ipynb"
PAPERS = ("iizuka16", "larsson16", "hwang16", "lin21", "color_by_colorization")


def _blocks(text: str, language: str) -> list[str]:
    found = re.finditer(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [dedent(block[2]) for block in found]


def _prose(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)


# Python


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documents speak of, to work in."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("scan.tif", data.camera())
    Image.fromarray(data.coffee()).save("reference.jpg")
    Image.fromarray(data.astronaut()).save("photo.jpg")
    for folder, pixels in (("photos", data.chelsea()), ("scans", data.camera()), ("holiday", data.coffee())):
        Path(folder).mkdir()
        Image.fromarray(pixels).save(f"{folder}/one.jpg")
    return tmp_path


@pytest.mark.parametrize(
    "name", [name for name, text in DOCUMENTS.items() if _blocks(text, "python") and name not in (CONTRIBUTING,)]
)
def test_python_runs(photographs: Path, name: str):
    blocks = _blocks(DOCUMENTS[name], "python")
    if name == NEEDS_A_SERVER:
        for block in blocks:
            ast.parse(block)
        return
    names = {"rgb": torch.rand(1, 3, 64, 64)}
    for block in blocks:
        exec(block, names)
    for saved in re.findall(r"save\(\"([\w.-]+)\"\)", "".join(blocks)):
        assert (photographs / saved).stat().st_size > 10_000, saved


def test_the_notebook_runs(photographs: Path):
    """Its code cells in their order, as a kernel does, and the numbers that they end with."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    names: dict[str, Any] = {}
    for cell in cells:
        assert set(cell) == {"id", "cell_type", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            exec("".join(cell["source"]), names)
    scores = names["scores"]
    shipped = read_results()
    shipped = shipped[shipped["benchmark"] == "skimage"].groupby("model")["psnr"].mean()
    assert list(scores.index) == ["grayscale", *names["methods"]]
    assert scores["psnr"].to_dict() == pytest.approx(shipped[list(scores.index)].to_dict(), abs=0.01)
    assert NOTEBOOK.stat().st_size < 20_000


# Links


@pytest.mark.parametrize("name", DOCUMENTS)
def test_pictures_and_links_are_there(name: str):
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(DOCUMENTS[name])):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


def test_the_readme_is_short_and_leads_to_every_document():
    assert len(README.splitlines()) <= 150
    for name in DOCUMENTS.keys() - {"README.md"}:
        assert f"]({name}" in README, name


# Commands


def _commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """Each command of a document as words, and whether it is whole: in running text it may lack what it needs."""
    for block in _blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:&&|\|)\s", line):
                words = shlex.split(re.sub(r"\s[<>] \S+", "", part), comments=True)
                if words := [*dropwhile(re.compile(r"[A-Z_]+=").match, words)]:  # what is set for one command
                    yield words, True
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", _prose(text)):
        for part in span.split(" && "):
            if (words := shlex.split(part) if part.count('"') % 2 == 0 else part.split())[1:] and words[0] in CHECKS:
                yield words, False


def _parse(program: Any, words: Sequence[str], whole: bool) -> None:
    """Parse words as a command line program of click or typer does, and run nothing."""
    command = typer.main.get_command(program) if isinstance(program, typer.Typer) else program
    if hasattr(command, "get_command"):
        found = command.get_command(command.context_class(command), words[0])
        assert found is not None, f"no command {words[0]}"
        _parse(found, words[1:], whole)
        return
    try:
        command.make_context(command.name, list(words))
    except Exception as error:
        # Of typer or click; typer brings its own click.
        if whole or type(error).__name__ != "MissingParameter":
            raise


def _of_typer(function: Callable[..., Any]) -> typer.Typer:
    one = typer.Typer()
    one.command()(function)
    return one


def _fit(words: Sequence[str]) -> None:
    """Parse the configuration of a training, with its recipe and the types of all options."""
    from training.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main([*words, "--print_config"])
    assert ended.value.code == 0, words


def _colorlib(words: Sequence[str], whole: bool) -> None:
    _parse(app, words, whole)


def _python(words: Sequence[str], whole: bool) -> None:
    if words[0] != "-m":
        assert any((ROOT / folder / words[0]).is_file() for folder in (".", "demo", "dashboard")), words
        return
    module, *rest = words[1:]
    match [module, *rest]:
        case ["training", "fit" | "validate", *_]:
            if whole:
                _fit(rest)
        case ["training", "shards" | "experiment" as command, *options]:
            _parse(import_module(f"training.{command}").app, options, whole)
        case ["training.trial" | "training.throughput", recipe, *options]:
            _fit(["fit", "--config", recipe, *options])
        case ["training.export", *options]:
            _parse(_of_typer(import_module(module).export), options, whole)
        case ["training.vivid" | "training.certainty", *options]:
            _parse(_of_typer(import_module(module).main), options, whole)
        case ["colorlib.benchmarks.report" | "colorlib.catalog"]:
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        case _:
            pytest.fail(f"no check knows python {' '.join(words)}")


def _torchrun(words: Sequence[str], whole: bool) -> None:
    from torch.distributed.run import get_args_parser

    found = get_args_parser().parse_args(list(words))
    assert found.module
    _python(["-m", found.training_script, *found.training_script_args], whole)


def _make(words: Sequence[str], whole: bool) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = [word.partition("=")[0] for word in words if "=" in word]
    for variable in variables:
        assert f"$({variable})" in makefile, variable
    run = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def _pip(words: Sequence[str], whole: bool) -> None:
    assert words[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for named in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(named.split(",")) <= extras.keys(), words


def _hf(words: Sequence[str], whole: bool) -> None:
    from huggingface_hub.cli.hf import app as hf

    # Its commands are loaded when they run, so that none can be asked to parse.
    told = ClickRunner().invoke(hf, [words[0], "--help"])
    assert told.exit_code == 0, words
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", told.output), words


def _streamlit(words: Sequence[str], whole: bool) -> None:
    from streamlit.web.cli import main as streamlit

    _parse(streamlit, words, whole)
    assert (ROOT / "dashboard" / words[1]).is_file()


def _foreign(words: Sequence[str], whole: bool) -> None:
    """Not ours, and not installed everywhere."""


CHECKS: dict[str, Callable[[Sequence[str], bool], None]] = {
    "colorlib": _colorlib,
    "python": _python,
    "torchrun": _torchrun,
    "make": _make,
    "pip": _pip,
    "hf": _hf,
    "streamlit": _streamlit,
    "git": _foreign,
    "cd": _foreign,
    "docker": _foreign,
}


@pytest.mark.parametrize("name", sorted(DOCUMENTS.keys() - {"CHANGELOG.md"}))  # which may name what is no more
def test_commands_are_those_of_the_programs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.chdir(ROOT)
    for words, whole in _commands(DOCUMENTS[name]):
        CHECKS[words[0]](words[1:], whole)


def test_an_option_that_does_not_exist_is_found():
    for command in ("colorlib colorize a -o b --colour", "colorlib paint a", "make castle", "pip install '.[castle]'"):
        [(words, whole)] = _commands(f"```sh\n{command}\n```\n")
        with pytest.raises((Exception, AssertionError), match=r"--colour|paint|castle"):
            CHECKS[words[0]](words[1:], whole)


def test_the_readmes_commands_run(photographs: Path):
    commands = [words for words, whole in _commands(README) if whole and words[0] == "colorlib"]
    assert {words[1] for words in commands} >= {"colorize", "balance", "models"}
    for words in commands:
        run = CliRunner().invoke(app, words[1:])
        assert run.exit_code == 0, run.output
    for made in ("coloured/one.jpg", "balanced/one.jpg"):
        assert Image.open(made).mode == "RGB"


# Facts


def test_tables_are_those_of_the_results():
    rows = read_results()
    for path, text in report.documents(rows).items():
        assert text == DOCUMENTS[str(path)], f"{path}: run python -m colorlib.benchmarks.report"
    for name, info in weights_index().items():
        assert info.metrics == report.metrics(rows, name)


def test_a_document_without_its_table_is_refused():
    with pytest.raises(ValueError, match=r"expected a table that begins with \| a \|"):
        report.filled("text", ["| a |\n| --- |"])
    assert report.filled("x\n\n| a |\nold\n\ny", ["| a |\n| --- |\n| 1 |"]) == "x\n\n| a |\n| --- |\n| 1 |\n\ny"


def test_the_report_needs_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="is no checkout of colorlib"):
        report.main()


def test_every_threat_has_tests_that_exist():
    rows = re.findall(r"^\| .* \| ([^|]+) \|$", DOCUMENTS["SECURITY.md"], re.MULTILINE)
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert len(rows) > 15
    for row in rows[1:]:
        for name in re.findall(r"`([^`]+)`", row):
            if name.startswith("make "):
                assert f"\n{name.removeprefix('make ')}:" in makefile, name
            else:
                assert (ROOT / name).is_file() if "/" in name else f"def {name}(" in tests, name


def test_every_room_is_in_the_plan():
    plan = DOCUMENTS[CONTRIBUTING].partition("## Rooms")[2].partition("\n## ")[0]
    here = [path for path in (ROOT / "colorlib").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    rooms = {path.name for path in here if not path.name.startswith("_")}
    assert len(rooms) > 20
    assert {room for room in rooms if not re.search(rf"(?<!\w){re.escape(room)}", plan)} == set()


def test_the_days_of_a_training_follow_from_its_speed():
    text = DOCUMENTS["colorlib/models/README.md"].partition("## What training them takes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) million \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 3
    for name, speed, photographs, days in rows:
        recipe = yaml.safe_load((ROOT / f"training/recipes/{name}.yaml").read_text(encoding="utf-8"))
        seen = recipe["trainer"]["max_steps"] * recipe["data"]["batch_size"]
        assert float(photographs) * 1e6 == pytest.approx(seen)
        assert int(days) == round(seen / float(speed) / 86_400)


def test_scene_classes_are_told_as_often_as_it_says():
    found = weights_index()["iizuka16_small"].metrics["miniplaces@1"]
    says = f"the scene of {100 * found['top1']:.1f} % of `miniplaces` (top 5: {100 * found['top5']:.1f} %)"
    assert says in DOCUMENTS["colorlib/benchmarks/README.md"]


def test_papers_are_cited_as_the_registry_has_them():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entries = "".join(_blocks(DOCUMENTS["colorlib/models/README.md"], "bibtex"))
    assert re.findall(r"^@\w+\{(\w+),", entries, re.MULTILINE) == list(PAPERS)
    assert len(cff["references"]) == len(PAPERS)
    for name, reference in zip(PAPERS, cff["references"], strict=True):
        paper = import_module(f"colorlib.models.{name}").PAPER
        entry = re.split(r"^@", entries[entries.index(f"{{{name},") :], flags=re.MULTILINE)[0]
        fields = {key: " ".join(value.split()) for key, value in re.findall(r"(\w+) += \{(.+?)\}", entry, re.DOTALL)}
        assert fields["author"].split(" and ") == paper.authors.split(", ")
        assert (fields["title"], int(fields["year"])) == (paper.title, paper.year)
        assert fields.get("url", f"https://doi.org/{fields.get('doi')}") == paper.url
        people = [f"{author['given-names']} {author['family-names']}" for author in reference["authors"]]
        assert (people, reference["title"], reference["year"]) == (paper.authors.split(", "), paper.title, paper.year)
        assert reference.get("url", f"https://doi.org/{reference.get('doi')}") == paper.url


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["version"] == project["version"]
    assert cff["license"] == project["license"]
    assert f"version = {{{project['version']}}}" in README
    assert DOCUMENTS["CHANGELOG.md"].count("## [Unreleased]") == 1


# What CONTRIBUTING shows how to add


def _shown(file: str) -> str:
    """The code of a worked example, named by the file that it goes into."""
    [block] = [b for b in _blocks(DOCUMENTS[CONTRIBUTING], "python") if b.startswith(f"# {file}\n")]
    return block


def test_a_paper_is_added_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    registered = dict(_registry._REGISTRY)
    monkeypatch.setattr(_registry, "_REGISTRY", registered)
    names: dict[str, Any] = {"__name__": "colorlib.models.doe30"}
    exec(_shown("colorlib/models/doe30.py"), names)
    assert colorlib.list_models("doe*") == ["doe30"]
    info = colorlib.model_info("doe30")
    assert (info.summary, info.paper.surnames) == ("One convolution, then a and b of CIE Lab.", "Doe")
    torch.manual_seed(0)
    rgb = torch.rand(2, 3, 17, 31)
    painted = colorlib.create_model("doe30", width=4).colorize(rgb)
    kept = colorlib.color.rgb_to_lightness(painted) - colorlib.color.rgb_to_lightness(rgb)
    assert kept.abs().max() < 0.05
    assert (painted - rgb).abs().max() > 0.01

    [recipe] = [block for block in _blocks(DOCUMENTS[CONTRIBUTING], "yaml") if "doe30.yaml" in block]
    file = tmp_path / "doe30.yaml"
    file.write_text(recipe)
    monkeypatch.chdir(ROOT)
    _fit(["fit", "--config", str(file), "--data.train", "[a]", "--data.val", "[b]"])


def test_a_score_is_added_as_shown():
    names = dict(vars(metrics.functional))
    exec(_shown("colorlib/metrics/functional.py"), names)
    red, gray = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
    # skimage.color.rgb2lab([1.0, 0, 0]) -> [53.24, 80.09, 67.20]; their length is 104.55
    assert names["chroma_error"](gray, red).item() == pytest.approx(104.55, abs=0.01)
    monkeyed = dict(vars(modular)) | {"functional": SimpleNamespace(chroma_error=names["chroma_error"])}
    exec(_shown("colorlib/metrics/modular.py"), monkeyed)
    metric = monkeyed["ChromaError"]()
    metric.update(torch.cat([gray, red]), torch.cat([red, red]))
    assert metric.compute().item() == pytest.approx(104.55 / 2, abs=0.01)
    table = dict(vars(scores)) | {"SCORES": dict(scores.SCORES)}
    exec(_shown("colorlib/benchmarks/scores.py"), table)
    assert table["SCORES"]["chroma_error"].better == "lower"


def test_a_benchmark_is_added_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lists = Path("colorlib/benchmarks/lists")
    for folder in ("photos/kodak", lists):
        Path(folder).mkdir(parents=True)
    for name, pixels in (("kodim01.png", data.astronaut()), ("kodim02.png", data.coffee())):
        Image.fromarray(pixels).save(f"photos/kodak/{name}")
    exec(_shown("a script that you run once"), {})
    monkeypatch.setattr(photos, "LISTS", tmp_path / lists)
    photos.read_list.cache_clear()
    names = dict(vars(protocols)) | {"LISTS": tmp_path / lists}
    exec(_shown("colorlib/benchmarks/protocols.py"), names)
    added = names["_COLORIZATION"][-1]
    found = added.find([Path("photos")])
    assert (added.id, [photo.key for photo in found]) == ("kodak@1", ["kodim01.png", "kodim02.png"])
    assert added.load(found[1]).shape == (3, *data.coffee().shape[:2])
    Image.fromarray(data.coffee()[:50]).save("photos/kodak/kodim02.png")  # another photograph than the listed one
    with pytest.raises(ImageError, match="another photograph than the one listed"):
        added.load(found[1])
    photos.read_list.cache_clear()


def test_a_page_is_added_as_shown(monkeypatch: pytest.MonkeyPatch):
    from streamlit.testing.v1 import AppTest

    monkeypatch.syspath_prepend(ROOT / "dashboard")
    monkeypatch.setattr(sys, "argv", ["app.py"])
    page = AppTest.from_string(_shown("dashboard/views/hardest.py"), default_timeout=120)
    page.query_params["benchmark-colorize"] = "skimage@1"
    page.run()
    assert not page.exception
    assert page.title[0].value == "Hardest"
    rows = read_results()
    means = rows[rows["benchmark"] == "skimage"].groupby("photo")["rmse"].mean().sort_values(ascending=False)
    shown = page.dataframe[0].value
    assert shown["photo"].tolist() == means.index.tolist()
    assert shown["rmse"].tolist() == pytest.approx(means.tolist(), rel=1e-5)


JOURNEY = DOCUMENTS[CONTRIBUTING].partition("## A photograph's journey")[2].partition("\n## ")[0]


def test_the_journey_names_calls_that_exist():
    named = re.findall(r"`(colorlib[\w.]+)`", JOURNEY)
    assert len(named) > 10
    for name in named:
        resolve_name(name)


def _codes(name: str) -> set[CodeType]:
    """What runs when a function, a class, or a method of a class or of one derived from it is called."""
    called, owner = resolve_name(name), resolve_name(name.rpartition(".")[0])
    found = [called.__init__ if isinstance(called, type) else called]
    heirs = [owner] if isinstance(owner, type) else []
    for heir in heirs:
        heirs += heir.__subclasses__()
        found += [vars(heir)[method] for method in [name.rpartition(".")[2]] if method in vars(heir)]
    return {inspect.unwrap(one).__code__ for one in found}


def test_the_journey_is_the_one_that_is_made(photographs: Path):
    """Its calls, each for the first time in the order of the text; names of other devices come after them."""
    steps = re.findall(r"`(colorlib[\w.]+)`", JOURNEY.partition("Elsewhere")[0])
    assert len(steps) > 12
    calls: dict[CodeType, int] = {}
    colorizer = colorlib.Colorizer("larsson16_small", device="cpu")
    sys.setprofile(lambda frame, event, _: calls.setdefault(frame.f_code, len(calls)) if event == "call" else None)
    try:
        colorizer("scan.tif").save("scan.png")
    finally:
        sys.setprofile(None)
    places = [min((calls[code] for code in _codes(name) if code in calls), default=-1) for name in steps]
    assert [name for name, place in zip(steps, places, strict=True) if place < 0] == []
    assert [name for _, name in sorted(zip(places, steps, strict=True))] == steps


# Numbers


def test_as_many_methods_share_an_encoder_as_it_says():
    shared = [info.encoder for info in weights_index().values() if info.encoder]
    assert len(set(shared)) == 1
    word = {8: "Eight", 9: "Nine", 10: "Ten"}[len(shared)]
    assert f"{word} compact methods stand on one encoder." in DOCUMENTS["training/README.md"]


def test_methods_without_a_recipe_of_their_own_are_named():
    text = " ".join(DOCUMENTS["training/README.md"].split())
    before, _, _ = text.partition(" use the recipe of their paper's network")
    named = re.findall(r"`([\w*]+)`", before.rpartition(" - ")[2])
    recipes = {path.stem for path in (ROOT / "training/recipes").glob("*.yaml")}
    elsewhere = {"consensus", "iizuka16_imagenet"}  # of others' weights
    trained = {name for name, entry in catalog().items() if entry.learned} - elsewhere
    assert len(named) == 3
    without = {name for name in trained - recipes if not any(fnmatch(name, f"{one}*") for one in named)}
    assert not without
    assert [name for name in trained & recipes if any(fnmatch(name, f"{one}*") for one in named)] == [
        "larsson16_lab_l2_small"
    ]


def test_formats_are_those_that_are_read():
    [listed] = re.findall(r"Photographs can be ([^.]+)\.", " ".join(DOCUMENTS["colorlib/README.md"].split()))
    told = {name.replace(" ", "").replace("PNM", "PPM").upper() for name in re.split(", | or ", listed)}
    assert told == {*READABLE, "JPEGXL", "MPO"} - {"HEIF"}  # which needs an extra; Pillow reads MPO as JPEG


def test_variables_are_those_that_are_read():
    text = DOCUMENTS["colorlib/README.md"].partition("## Environment variables")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", text))
    files = [path for folder in ("colorlib", "demo", "dashboard") for path in (ROOT / folder).rglob("*.py")]
    read = set(re.findall(r"\"(COLORLIB_[A-Z_]+)\"", "".join(path.read_text(encoding="utf-8") for path in files)))
    made = set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert read | made <= told
    assert {name for name in told if name.startswith("COLORLIB_")} == read
