"""What a visitor chose on a page of the dashboard: read from its address, carried to others, back where it was left."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.results import SHIPPED

sys.path.insert(0, str(Path(__file__).parent.parent / "dashboard"))

import sharing
import visit

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some runs of two benchmarks."""
    folder = tmp_path_factory.mktemp("few")
    for protocol in ("skimage@1", "coco@1"):
        (folder / protocol).mkdir()
        for method in ("grayscale", "dahl16_small-", "larsson16_small-", "welsh02"):
            [file] = (SHIPPED / protocol).glob(f"{method}*.parquet")
            shutil.copy(file, folder / protocol)
    return folder


def _go(app: AppTest, page: str) -> AppTest:
    """By the menu, whose links have no choices."""
    app.query_params.clear()
    app.switch_page(f"views/{page}.py").run()
    assert not app.exception
    return app


def test_benchmark_and_methods_go_along(open_page: Open, few: Path):
    app = open_page("head_to_head", few)
    app.selectbox(key="benchmark-colorize").set_value("coco@1").run()
    app.selectbox(key="one").set_value("welsh02").run()
    app.selectbox(key="other").set_value("grayscale").run()
    _go(app, "images")
    assert app.selectbox(key="benchmark-colorize").value == "coco@1"
    assert app.selectbox(key="method").value == "welsh02"
    app.selectbox(key="method").set_value("dahl16_small").run()
    _go(app, "leaderboard")
    assert app.selectbox(key="benchmark-colorize").value == "coco@1"
    assert app.selectbox(key="against").value == "grayscale"
    _go(app, "overview")
    _go(app, "head_to_head")
    chosen = [app.selectbox(key=key).value for key in ("benchmark-colorize", "one", "other")]
    assert chosen == ["coco@1", "dahl16_small", "grayscale"]


def test_what_nobody_chose_does_not_go_along(open_page: Open, few: Path):
    """The first method of one page is no choice: another page has its own."""
    app = open_page("images", few, benchmark_colorize="coco@1")
    assert app.selectbox(key="method").value == "dahl16_small"
    _go(app, "head_to_head")
    assert app.selectbox(key="one").value == "larsson16_small"  # the best by RMSE


def test_what_streamlit_falls_back_to_is_no_choice(open_page: Open, few: Path):
    """Whoever chooses the other method as this one leaves the other box without its choice."""
    app = open_page("head_to_head", few)
    app.selectbox(key="other").set_value("welsh02").run()
    app.selectbox(key="one").set_value("welsh02").run()
    assert app.selectbox(key="other").value == "larsson16_small"  # the best of those that are left
    [script] = [one.proto.body for one in app.get("html") if "replaceState" in one.proto.body]
    assert "one=welsh02" in script
    assert "other=" not in script
    _go(app, "leaderboard")
    assert app.selectbox(key="against").value == "the best"


def test_an_address_says_all(open_page: Open, few: Path):
    """What was chosen before does not add to it."""
    app = open_page("head_to_head", few, benchmark_colorize="coco@1", one="welsh02")
    app.query_params.clear()
    app.query_params["benchmark-colorize"] = "skimage@1"
    app.switch_page("views/images.py").run()
    assert app.selectbox(key="benchmark-colorize").value == "skimage@1"
    assert app.selectbox(key="method").value == "dahl16_small"


def test_an_address_that_asks_for_what_there_is_not_shows_the_page(open_page: Open, few: Path):
    app = open_page("images", few, benchmark_colorize="nowhere@1", method="nobody", end="sideways")
    assert not app.exception
    assert app.selectbox(key="method").value == "dahl16_small"


def test_only_choices_are_in_the_address(open_page: Open, few: Path):
    app = open_page("leaderboard", few)
    app.toggle(key="intervals").set_value(True).run()
    app.text_input(key="methods").set_value("</script>&").run()
    [script] = [one.proto.body for one in app.get("html") if "replaceState" in one.proto.body]
    query = script.split('URLSearchParams("')[1].split('"')[0]
    assert parse_qs(query) == {
        "benchmark-colorize": ["coco@1"],
        "intervals": ["true"],
        "methods": ["</script>&"],
    }
    assert script.count("</script>") == 1


@pytest.mark.parametrize("value", ["x y&=", ["a", "b"], True, 12])
def test_choices_come_back_from_their_address(value: object):
    read = {
        str: visit.text,
        list: visit.some_of(["a", "b", "c"]),
        bool: visit.flag,
        int: visit.whole(1, 12),
    }[type(value)]
    assert read(parse_qs(sharing.address({"key": value}))["key"]) == value


def test_what_is_not_offered_is_no_choice():
    assert visit.one_of(["a"])(["b"]) is None
    assert visit.some_of(["a"])(["b", "a"]) == ["a"]
    assert visit.some_of(["a"])(["b"]) is None
    assert [visit.whole(1, 3)([one]) for one in ("0", "4", "two", "-1", "3")] == [None] * 4 + [3]
    assert sharing.address({"off": False, "none": None, "empty": "", "nothing": [], "zero": 0}) == "zero=0"
