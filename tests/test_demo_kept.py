"""In a browser: what a visit keeps through a refresh and Back, and what axe-core says of each tab."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect
from serving import window
from test_demo import CAMERA, PICTURES, few, gray_file, label, serve

pytestmark = pytest.mark.browser
PATIENCE = 120_000
AXE = next(Path(axe_playwright_python.__file__).parent.glob("axe.min.js")).read_text(encoding="utf-8")
# Inside Gradio's components, by rule, with what is wrong there. Nothing of ours can change it.
GRADIO = {("nested-interactive", "#many-files, #clip-file"): "the box for files is a button that has another inside"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("server")) as (address, _, _):
        yield address


def coloured(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    page.set_input_files("#photo input[type=file]", file)
    expect(page.locator("#status")).to_contain_text("Downloads have full size")


def test_refresh_and_back_keep_the_visit(browser, url, tmp_path):
    file = gray_file(tmp_path, (300, 200), "mine.png")
    with window(browser, PATIENCE, viewport={"width": 1400, "height": 900}) as page:
        coloured(page, url, file)
        expect(page).to_have_url(re.compile(r"\?visit=[\w-]{22}$"))
        address = page.url
        page.locator("#saturation input[type=number]").fill("0.5")
        page.locator("#slider .slider-wrap").click(position={"x": 200, "y": 100})
        page.locator("#pixel .bars button").nth(1).click()
        expect(page.locator("#sides")).to_contain_text("with your colours")
        for again in (page.reload, lambda: (page.goto("about:blank"), page.go_back())):
            again()
            expect(page.locator("#status")).to_contain_text("mine.png")
            expect(page.locator("#sides")).to_contain_text(f"{label(few()[0])}, with your colours")
            expect(page.locator("#panels img")).to_have_count(1 + len(few()))
            expect(page.locator("#saturation input[type=number]")).to_have_value("0.5")
            expect(page.locator("#pixel .points li")).to_have_count(1)
            expect(page.locator("#example")).to_be_hidden()
            assert page.url == address
        # Another visitor, at another address, sees nothing of it.
        with window(browser, PATIENCE) as other:
            other.goto(f"{url}/?visit={address[-22:][::-1]}")
            expect(other.locator("#remarks [role=alert]")).to_contain_text("a visit that is over")
            expect(other.locator("#example")).to_be_visible()
            assert "visit" not in other.url
        page.get_by_label("Remove Image").click()
        expect(page.locator("#status")).to_contain_text("Your photograph will appear here")
        assert "visit" not in page.url


def complaints(page: Page) -> list[Any]:
    """What axe-core holds serious or critical, but for what is Gradio's."""
    page.wait_for_timeout(500)  # colours fade in
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        (rule["id"], node["html"], node["failureSummary"])
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(
            rule["id"] == known and page.locator(node["target"][0]).first.evaluate("(e, box) => !!e.closest(box)", box)
            for known, box in GRADIO
        )
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_has_nothing_serious_to_say(browser, url, scheme, width):
    with window(browser, PATIENCE, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.goto(url)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        page.evaluate(AXE)
        assert complaints(page) == []
        page.set_input_files("#photo input[type=file]", PICTURES / "coffee.png")
        expect(page.locator("#status")).to_contain_text("Downloads have full size")
        for fold in ("Adjust how colours are decided", "Choose methods", "About the methods"):
            page.get_by_role("button", name=fold).click()
        page.locator("#slider .slider-wrap").click(position={"x": 150, "y": 60})
        page.click("#explore")
        page.click("#err")
        for shown in ("#pixel .bars", "#take-alternative-6", "#errors img"):
            page.wait_for_selector(shown)
        assert complaints(page) == []
        page.get_by_role("tab", name="White balance").click()
        page.click("#measure")
        page.wait_for_selector("#angles img")
        assert complaints(page) == []
        page.get_by_role("tab", name="Many").click()
        page.set_input_files("#many-files input[type=file]", CAMERA)
        page.click("#many-start")
        page.wait_for_selector("#many-pictures img")
        assert complaints(page) == []
        page.get_by_role("tab", name="Clip").click()
        assert complaints(page) == []


def test_what_is_new_is_reached_and_used_by_keys(browser, url, tmp_path):
    """Decoder, alternatives and the way back; and what happens is announced."""
    with window(browser, PATIENCE, viewport={"width": 1400, "height": 900}) as page:
        coloured(page, url, gray_file(tmp_path, (300, 200)))
        page.get_by_role("button", name="Adjust how colours are decided").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#decoder input")).to_be_visible()  # the fold opens
        page.keyboard.press("Tab")
        expect(page.locator("#decoder input")).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#slider[data-waiting]")).to_have_count(0)
        page.locator("#explore").focus()
        page.keyboard.press("Enter")
        take = page.get_by_role("button", name="Use this picture").nth(1)
        take.wait_for()
        expect(take).to_have_accessible_name(f"Use this picture: {label(few()[0])}, alternative 2")
        take.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#sides[role=status][aria-live=polite]")).to_contain_text("alternative 2")
        page.locator("#own").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#sides")).not_to_contain_text("alternative")
