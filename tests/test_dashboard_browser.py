"""The dashboard as a visitor has it: a real browser, from a row to its images and back, the address in another one."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect
from serving import free_port, running, window

from colorlib.benchmarks.results import SHIPPED

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parent.parent
PATIENCE = 120_000  # a training run may hold the processors
ROW = 35  # pixels, of a table


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the shipped results, in a process and a home of its own."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(free_port())]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--", str(SHIPPED)]
    with running(command, ROOT, {**os.environ, "HOME": str(home)}, home / "log.txt") as (address, _):
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window; fails if the page complained, asked another host for anything, or showed an error."""
    with window(browser, PATIENCE, viewport={"width": 1400, "height": 1000}) as page:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.on("request", lambda sent: complaints.append(sent.url) if "//127.0.0.1:" not in sent.url else None)
        yield page
        # Streamlit looks for its server below the page's address first.
        assert not [x for x in complaints if not x.startswith(("data:", "blob:")) and "/_stcore/" not in x]
        expect(page.get_by_test_id("stException")).to_have_count(0)


def settled(page: Page, title: str) -> None:
    """Wait until a page is there as a whole."""
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def cells(page: Page) -> list[list[str]]:
    """What the first table shows, as a screen reader has it: the rows and columns that are in sight."""
    grid = page.get_by_test_id("stDataFrame").first.locator("table")
    expect(grid.get_by_text("grayscale")).to_have_count(1)
    return grid.evaluate("t => [...t.rows].map(row => [...row.cells].map(cell => cell.textContent))")


def best_of(photo: str, count: int) -> list[str]:
    """The methods that are nearest to a photograph of skimage@1 by RMSE, without grayscale."""
    runs = [pd.read_parquet(file).set_index("photo") for file in (SHIPPED / "skimage@1").glob("*.parquet")]
    errors = {str(run["model"].iloc[0]): run.loc[photo, "rmse"] for run in runs}
    return sorted(errors.keys() - {"grayscale"}, key=errors.__getitem__)[:count]


def test_from_a_row_to_its_images_and_back(page: Page, browser: Browser, url: str):
    page.goto(f"{url}/leaderboard?benchmark-colorize=skimage%401")
    settled(page, "Leaderboard")
    methods = [row[1] for row in cells(page)[1:]]
    place = methods.index("larsson16_small")
    page.get_by_test_id("stDataFrame").first.locator(".dvn-scroller").click(
        position={"x": 15, "y": (1.5 + place) * ROW}
    )
    page.get_by_role("link", name="Images of larsson16_small").click()
    settled(page, "Images")
    expect(page.get_by_role("combobox", name="Method", exact=True)).to_have_value("larsson16_small")
    page.get_by_text("best", exact=True).click()
    rows = pd.read_parquet(next((SHIPPED / "skimage@1").glob("larsson16_small-*.parquet"))).nsmallest(5, "rmse")
    expect(page.get_by_test_id("stImageCaption").first).to_have_text(f"{rows['rmse'].iloc[0]:.4f}")
    settled(page, "Images")
    photo = rows["photo"].iloc[1]
    page.get_by_role("combobox", name="Photograph").click()
    page.get_by_role("option", name=photo).click()
    expect(page.get_by_role("heading", level=3).first).to_have_text(photo)
    # Five photographs, the one that is chosen, gray and six methods with their maps, and what is behind the curtain.
    pictures = 5 + 1 + 2 * len({"grayscale", "larsson16_small", *best_of(photo, 5)}) + 1
    expect(page.locator("[data-testid=stImage] img")).to_have_count(pictures)
    settled(page, "Images")
    address = page.url
    query = parse_qs(urlsplit(address).query)
    assert query["method"] == ["larsson16_small"]
    assert query["end"] == ["best"]
    assert query["photo"] == [photo]

    with browser.new_context() as elsewhere:
        second = elsewhere.new_page()
        second.goto(address)
        settled(second, "Images")
        expect(second.get_by_role("heading", level=3).first).to_have_text(photo)
        expect(second.locator("[data-testid=stImage] img")).to_have_count(pictures)
        same = [
            one.locator("[data-testid=stImage] img").last.evaluate(
                "async i => [...new Uint8Array(await (await fetch(i.src)).arrayBuffer())]"
            )
            for one in (page, second)
        ]
        assert same[0] == same[1]

    while "/images" in page.url:
        page.go_back()
    settled(page, "Leaderboard")
    page.wait_for_url("**benchmark-colorize=skimage**")
    assert [row[1] for row in cells(page)[1:]] == methods


def test_the_file_of_a_view_equals_the_view(page: Page, url: str):
    page.goto(f"{url}/leaderboard?benchmark-colorize=coco%401&methods=larsson16_small,%20welsh")
    settled(page, "Leaderboard")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download", exact=True).click()
    file = pd.read_csv(io.BytesIO(coming.value.path().read_bytes()), comment="#")
    [header, *rows] = cells(page)
    assert header[:6] == ["rank", "method", "RMSE ↓", "95 %", "behind the best", "95 %"]
    assert [row[1] for row in rows] == file["model"].tolist() == ["grayscale", "larsson16_small", "welsh02"]
    assert [float(row[2]) for row in rows] == pytest.approx(file["rmse"].tolist(), abs=5e-5)
    ends = [[float(end) for end in row[3].split(" to ")] for row in rows]
    assert ends == [pytest.approx(end, abs=5e-5) for end in file[["rmse_low", "rmse_high"]].to_numpy().tolist()]
    assert [float(row[0]) for row in rows[1:]] == file["rank"].tolist()[1:]


def test_numbers_are_on_the_first_screen(page: Page, url: str):
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(url)
    settled(page, "Overview")
    expect(page.get_by_test_id("stDataFrame").first.locator("table").get_by_text("coco", exact=True)).to_have_count(1)
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box
    assert box["y"] + ROW < 400


def test_a_phone_shows_everything_within_its_width(page: Page, url: str):
    page.set_viewport_size({"width": 390, "height": 800})
    for name, title in (
        ("", "Overview"),
        ("leaderboard", "Leaderboard"),
        ("images?benchmark-colorize=skimage%401", "Images"),
        ("papers", "Papers"),
    ):
        page.goto(f"{url}/{name}")
        settled(page, title)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def choose(page: Page, label: str, option: str) -> None:
    """In a list of options."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def shows(page: Page, title: str, path: str, **choices: str) -> None:
    """Wait until a page shows these choices, and its address has them too."""
    settled(page, title)
    for label, option in choices.items():
        name = label.replace("_", " ")
        expect(page.get_by_role("combobox", name=name, exact=True)).to_have_value(option)
    page.wait_for_function("path => location.pathname === path", arg=f"/{path}")
    page.wait_for_function(
        "wanted => wanted.every(x => [...new URLSearchParams(location.search).values()].includes(x))",
        arg=list(choices.values()),
    )


def test_choices_go_along_and_the_way_back_finds_them(page: Page, browser: Browser, url: str):
    """As on other sites: each page is one step, and back, forward and refresh show what was there."""
    page.goto(f"{url}/leaderboard")
    settled(page, "Leaderboard")
    choose(page, "Benchmark", "coco@1")
    shows(page, "Leaderboard", "leaderboard", Benchmark="coco@1")
    page.get_by_role("link", name="Head to head").click()
    shows(page, "Head to head", "head_to_head", Benchmark="coco@1")
    choose(page, "This method", "welsh02")
    duel = {"Benchmark": "coco@1", "This_method": "welsh02"}
    shows(page, "Head to head", "head_to_head", **duel)
    page.get_by_role("link", name="Images").click()
    shows(page, "Images", "images", Benchmark="coco@1", Method="welsh02")
    choose(page, "Benchmark", "skimage@1")
    shows(page, "Images", "images", Benchmark="skimage@1", Method="welsh02")

    page.go_back()
    shows(page, "Head to head", "head_to_head", **duel)
    page.go_back()
    shows(page, "Leaderboard", "leaderboard", Benchmark="coco@1")
    page.go_forward()
    shows(page, "Head to head", "head_to_head", **duel)
    page.go_forward()
    shows(page, "Images", "images", Benchmark="skimage@1", Method="welsh02")
    page.reload()
    shows(page, "Images", "images", Benchmark="skimage@1", Method="welsh02")
    page.go_back()
    shows(page, "Head to head", "head_to_head", **duel)
    page.reload()
    shows(page, "Head to head", "head_to_head", **duel)

    with browser.new_context() as elsewhere:
        second = elsewhere.new_page()
        second.goto(page.url)
        shows(second, "Head to head", "head_to_head", **duel)
