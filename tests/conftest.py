import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from colorlib.benchmarks.results import SHIPPED

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from streamlit.testing.v1 import AppTest

# Several processes share the cores; torch's own threads would then wait for each other. And convolutions round by how
# many threads there are: files that a batch or a process of its own writes are compared with what is painted here.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

collect_ignore = ["trust"]  # scripts with tools and paths of their own, see the Makefile
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's tests put the page in the place of ``__main__``, which processes that are spawned later would run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def photos() -> list[Tensor]:
    """Real photographs of one size: sRGB in [0, 1], (3, 128, 160)."""
    crops = (data.astronaut()[:256, 100:420], data.chelsea()[20:276, 60:380], data.coffee()[100:356, 150:470])
    return [torch.from_numpy(np.ascontiguousarray(crop[::2, ::2])).permute(2, 0, 1) / 255 for crop in crops]


@pytest.fixture(scope="session")
def batch(photos: list[Tensor]) -> Tensor:
    """(3, 3, 128, 160)."""
    return torch.stack(photos)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of three crops of real photographs, one loose photograph without a class, one that is no picture."""
    root = tmp_path_factory.mktemp("photos")
    for label, photograph in (("cats", data.chelsea()), ("people", data.astronaut())):
        (root / label).mkdir()
        for i in range(3):
            crop = Image.fromarray(photograph[20 * i : 20 * i + 200, 50 : 50 + 220 + 10 * i])
            crop.save(root / label / f"{i}.jpg", quality=95)
    Image.fromarray(data.coffee()[:200, :200]).save(root / "loose.png", "JPEG", quality=95)
    (root / "cats" / "broken.jpg").write_bytes(b"no picture")
    return root


DASHBOARD = Path(__file__).parent.parent / "dashboard"
DEMO = DASHBOARD.with_name("demo")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Callable[..., AppTest]]":
    """Run a page of the dashboard on a folder of results, with an address, on a server of this machine or of others."""

    from streamlit import config
    from streamlit.components.v2 import manifest_scanner
    from streamlit.runtime.context import ContextProxy
    from streamlit.testing.v1 import AppTest

    # AppTest looks through all installed packages for components at each run, which takes half of its time.
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    monkeypatch.setattr(ContextProxy, "headers", {"Host": "localhost:8501"})

    def run(page: str, results: Path = SHIPPED, server_address: str = "127.0.0.1", **query: str) -> "AppTest":
        monkeypatch.syspath_prepend(DASHBOARD)  # as streamlit does; its modules are found by their own names
        monkeypatch.setattr(sys, "argv", ["app.py", str(results)])
        config.set_option("server.address", server_address)
        app = AppTest.from_file(str(DASHBOARD / "app.py"), default_timeout=300)
        for key, value in query.items():
            app.query_params[key.replace("_", "-")] = value
        if page != "overview":
            app.switch_page(f"views/{page}.py")
        return app.run()

    before = config.get_option("server.address")
    yield run
    config.set_option("server.address", before)


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    """The demo's `server.py` as `python app.py` imports it: with its own folder on the path."""
    before, temp = set(sys.modules), os.environ.get("GRADIO_TEMP_DIR")
    sys.path.insert(0, str(DEMO))
    try:
        import server

        yield server
    finally:
        if "decoding" in sys.modules:
            sys.modules["decoding"].stop()
        sys.path.remove(str(DEMO))
        own = {path.stem for path in DEMO.glob("*.py")}
        for name in own & (set(sys.modules) - before):
            sys.modules.pop(name)
        os.environ.pop("GRADIO_TEMP_DIR") if temp is None else os.environ.update(GRADIO_TEMP_DIR=temp)


@pytest.fixture(scope="module")
def page(app: ModuleType) -> Any:
    """The demo's page, that no server serves: its handlers are plain methods."""
    return importlib.import_module("page").Page()


@pytest.fixture
def session(app: ModuleType) -> ModuleType:
    """The demo's module of that name, with torch."""
    loaded: ModuleType = importlib.import_module("loading").load()
    return loaded


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        # None: the one that playwright has installed itself.
        path = next(filter(None, map(shutil.which, names)), None)
        with playwright.chromium.launch(executable_path=path, args=CHROMIUM) as chromium:
            yield chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "cuda" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
