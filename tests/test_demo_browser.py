"""The demo as a visitor has it: a real browser, a real server, files that really arrive."""

import base64
import io
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Download, Locator, Page, expect
from serving import window
from test_demo import (
    BALANCERS,
    BORROWER,
    CAMERA,
    LEARNED,
    MANY_COLOURS,
    METHOD,
    PICTURES,
    SCENIC,
    broken_file,
    chroma,
    deep_file,
    few,
    gray_file,
    label,
    rgba_file,
    serve,
)

import colorlib

pytestmark = pytest.mark.browser
# A training run may hold the processors, and the first photograph waits for imports.
PATIENCE = 120_000
LOCAL = ("http://127.0.0.1:", "data:", "blob:")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("server")) as (address, _, _):
        yield address


@pytest.fixture
def page(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The demo with every learned method ticked; fails if the browser had anything to complain of.

    Parameters go to the context.
    """
    options = {"viewport": {"width": 1440, "height": 900}, **getattr(request, "param", {})}
    with window(browser, PATIENCE, **options) as page:
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.on("request", lambda sent: complaints.append(sent.url) if not sent.url.startswith(LOCAL) else None)
        page.goto(url)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        page.get_by_role("button", name="Choose methods").click()
        page.click("#all")
        expect(page.locator("#methods input:checked")).to_have_count(len(LEARNED))
        yield page
        assert not complaints


def upload(page: Page, file: Path) -> None:
    """Put a photograph in place of the one before, and wait until all is coloured."""
    remove = page.get_by_label("Remove Image")
    if remove.count():
        remove.click()
        expect(page.locator("#panels img")).to_have_count(0)
    page.set_input_files("#photo input[type=file]", file)
    settled(page, file.name)


def settled(page: Page, name: str) -> None:
    expect(page.locator("#status")).to_contain_text(f"{name}, ")
    expect(page.locator("#status")).to_contain_text("Downloads have full size")
    expect(page.locator("#slider img")).to_have_count(2)


def image_of(download: Download) -> Image.Image:
    image = Image.open(download.path())
    assert image.format == "PNG"
    return image


def pixels_on_page(page: Page, selector: str) -> np.ndarray:
    """(H, W, 3) of what the browser has decoded."""
    image = page.locator(selector)
    image.scroll_into_view_if_needed()
    data = image.evaluate("""async image => {
        if (!image.complete) await new Promise(done => image.addEventListener("load", done, {once: true}));
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        canvas.getContext("2d").drawImage(image, 0, 0);
        const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
        return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
    }""")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def same_picture(shown: np.ndarray, expected: np.ndarray) -> bool:
    """The page paints floats, and a file of 8 bits is painted from tables: a tie may be rounded otherwise."""
    apart = np.abs(shown.astype(int) - expected)
    return bool(apart.max() <= 1 and (apart > 0).mean() < 1e-4)


def test_from_photograph_to_download(page, tmp_path):
    source = gray_file(tmp_path, (1350, 900))
    about = page.locator("#about li").filter(has_text=label(METHOD)).first
    expect(about).to_be_hidden()
    page.get_by_role("button", name="About the methods").click()
    expect(about).to_be_visible()
    upload(page, source)
    panels = page.locator("#panels img")
    expect(panels).to_have_count(1 + len(LEARNED))
    assert len({(box["y"], box["width"], box["height"]) for box in (panels.nth(i).bounding_box() for i in (0, 1))}) == 1
    assert chroma(pixels_on_page(page, "#image-gray img")) == 0
    assert chroma(pixels_on_page(page, f"#image-{METHOD} img")) > 10
    assert re.search(r"\b\d+\.\d\d s$", page.inner_text(f"#panel-{METHOD} .caption"), re.MULTILINE)

    with page.expect_download() as arriving:
        page.click(f"#save-{METHOD}")
    assert arriving.value.suggested_filename == f"gray-{METHOD}.png"
    full = image_of(arriving.value)
    assert full.size == (1350, 900)
    assert METHOD in full.info["Software"]
    assert chroma(np.asarray(full)) > 10

    # Half the strength, then none: with the keyboard, whose keys give every value between.
    before = page.get_attribute(f"#image-{METHOD} img", "src")
    page.locator("#strength input[type=number]").fill("0.5")
    page.locator("#strength input[type=number]").press("Enter")
    expect(page.locator(f"#image-{METHOD} img")).not_to_have_attribute("src", before)
    page.locator("#slider").scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('#panels img, #slider img')].every(one => one.complete && one.naturalWidth)"
    )
    with page.expect_download() as arriving:
        page.click(f"#save-{METHOD}")
    half = np.asarray(image_of(arriving.value))
    assert 5 < chroma(half) < chroma(np.asarray(full))
    page.locator("#strength input[type=range]").press("Home")
    gray = pixels_on_page(page, "#image-gray img").astype(int)
    deadline = time.monotonic() + PATIENCE / 1000
    # One level apart where rounding turns: the copy on the page was resized, its values lie between the levels.
    while np.abs(pixels_on_page(page, f"#image-{METHOD} img") - gray).max() > 1:
        assert time.monotonic() < deadline, "strength 0 never became gray"
    with page.expect_download() as arriving:
        page.click(f"#save-{METHOD}")
    assert np.array_equal(np.asarray(image_of(arriving.value).convert("L")), np.asarray(Image.open(source)))


def test_first_screen_shows_an_example_and_what_the_visitor_gets(browser, url, tmp_path):
    with window(browser, PATIENCE, viewport={"width": 1440, "height": 900}) as page:
        page.goto(url)
        example = page.locator("#example")
        for picture, alt in enumerate(("Before, grayscale", "After, an example")):
            shown = example.locator("img").nth(picture)
            expect(shown).to_have_attribute("alt", alt)
            page.wait_for_function("image => image.naturalWidth == 512", arg=shown.element_handle())
        before, after = (pixels_on_page(page, f"#example img >> nth={number}") for number in (0, 1))
        assert chroma(before) == 0 < 50 < chroma(after)
        expect(example).to_contain_text(label(few()[0]))
        handle = page.get_by_role("slider", name="Before and after")
        handle.focus()
        page.keyboard.press("End")
        expect(handle).to_have_attribute("aria-valuenow", "100")
        for box in ("#photo", "#example", "#all"):
            expect(page.locator(box)).to_be_in_viewport()
        upload(page, gray_file(tmp_path))
        expect(example).to_be_hidden()
        expect(page.locator("#panels img")).to_have_count(1 + len(few()))
        expect(page.locator("#compared input")).to_have_value(label(few()[0]))
        expect(page.locator("#sides")).to_contain_text("Recommended")
        page.click("#all")
        expect(page.locator("#panels img")).to_have_count(1 + len(LEARNED))


def test_zip_holds_every_method_shown(page, tmp_path):
    upload(page, gray_file(tmp_path, (700, 500)))
    page.get_by_label(label("grayscale"), exact=True).check()
    expect(page.locator("#image-grayscale img")).to_have_count(1)
    settled(page, "gray.png")
    with page.expect_download() as arriving:
        page.click("#save-all")
    expect(page.locator("#save-all")).to_be_enabled()
    assert arriving.value.suggested_filename == "gray-in-colour.zip"
    with zipfile.ZipFile(arriving.value.path()) as archive:
        pictures = {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}
    assert set(pictures) == {f"gray-{name}.png" for name in [*LEARNED, "grayscale"]}
    assert {picture.size for picture in pictures.values()} == {(700, 500)}
    assert chroma(np.asarray(pictures["gray-grayscale.png"])) == 0
    assert chroma(np.asarray(pictures[f"gray-{METHOD}.png"])) > 10


def test_click_on_a_result_compares_it(page, tmp_path):
    upload(page, gray_file(tmp_path))
    page.get_by_label(label("grayscale"), exact=True).check()
    expect(page.locator("#image-grayscale img")).to_have_count(1)
    settled(page, "gray.png")
    expect(page.locator("#compared input")).not_to_have_value(label("grayscale"))
    page.click("#image-grayscale img")
    expect(page.locator("#compared input")).to_have_value(label("grayscale"))
    expect(page.locator("#slider")).to_be_in_viewport()
    page.get_by_label(label("grayscale"), exact=True).uncheck()
    expect(page.locator("#image-grayscale img")).to_have_count(0)
    expect(page.locator("#compared input")).not_to_have_value(label("grayscale"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in pytest's workers: with more threads the last bit of a picture can differ from the server's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_alternatives_and_colours_of_another_photograph(page, tmp_path):
    upload(page, gray_file(tmp_path, (900, 600)))
    choose(page, METHOD)
    expect(page.locator("#possible")).to_be_hidden()
    choose(page, MANY_COLOURS)
    page.click("#explore")
    alternatives = page.locator("#alternatives img")
    expect(alternatives).to_have_count(8)
    expect(page.locator("#explore")).to_be_hidden()
    labels = [alternatives.nth(number).get_attribute("alt") for number in range(8)]
    assert labels[:6] == [f"Alternative {number}" for number in range(1, 7)]
    pictures = [pixels_on_page(page, f"#alternatives img >> nth={number}") for number in range(8)]
    assert {picture.shape for picture in pictures} == {(427, 640, 3)}
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert chroma(pictures[6]) == 0 < min(map(chroma, pictures[:6]))
    assert pictures[6].max() == 255
    # At full size, what the library gives.
    expected = colorlib.Colorizer(MANY_COLOURS)(tmp_path / "gray.png")
    with page.expect_download() as arriving:
        page.click("#save-alternative-2")
    assert arriving.value.suggested_filename == f"gray-{MANY_COLOURS}-alternative-2.png"
    second = list(expected.samples(6))[1]
    assert np.array_equal(np.asarray(image_of(arriving.value)), np.asarray(second.image))
    with page.expect_download() as arriving:
        page.click("#save-uncertainty")
    uncertainty = np.asarray(image_of(arriving.value))
    assert np.array_equal(uncertainty, np.asarray(colorlib.io.to_pil(expected.uncertainty_picture())))

    seen = [pixels_on_page(page, f"#image-{MANY_COLOURS} img")]
    for reference in ("coffee.png", "astronaut.png"):
        if len(seen) > 1:
            page.locator("#reference").get_by_label("Remove Image").click()
            expect(page.locator("#panel-transferred")).to_be_hidden()
        page.set_input_files("#reference input[type=file]", PICTURES / reference)
        page.locator("#panel-transferred").scroll_into_view_if_needed()
        expect(page.locator("#image-transferred img")).to_be_visible()
        seen.append(pixels_on_page(page, "#image-transferred img"))
    assert len({picture.tobytes() for picture in seen}) == 3
    with page.expect_download() as arriving:
        page.click("#save-transferred")
    assert arriving.value.suggested_filename == f"gray-{MANY_COLOURS}-transferred.png"
    full = image_of(arriving.value)
    assert full.size == (900, 600)
    assert "colours after astronaut.png" in full.info["Software"]


def test_another_method_takes_the_colours_of_the_same_photograph(page, tmp_path):
    """It begins anew, but for the other photograph, which is asked for its colours again."""
    upload(page, gray_file(tmp_path))
    choose(page, MANY_COLOURS)
    alternatives = page.locator("#alternatives img")
    page.set_input_files("#reference input[type=file]", PICTURES / "astronaut.png")
    page.locator("#panel-transferred").scroll_into_view_if_needed()
    expect(page.locator("#image-transferred img")).to_be_visible()
    choose(page, METHOD)
    expect(page.locator("#possible")).to_be_hidden()
    expect(page.locator("#image-transferred img")).to_be_visible()
    expect(page.locator("#reference img")).to_have_count(1)
    choose(page, MANY_COLOURS)
    expect(page.locator("#explore")).to_be_visible()
    expect(alternatives).to_have_count(0)


def test_style_of_another_photograph(page, tmp_path):
    upload(page, gray_file(tmp_path))
    choose(page, METHOD)
    # A gray one has no colours. The page says so, keeps it, and names the method that can use it.
    page.set_input_files("#reference input[type=file]", CAMERA)
    expect(page.locator("#refusal")).to_contain_text("camera.png: it is gray and has no colour to take")
    expect(page.locator("#refusal")).to_contain_text(f"Or choose {label(SCENIC)} above")
    expect(page.locator("#reference img")).to_have_count(1)
    expect(page.locator("#panel-transferred")).to_be_hidden()
    choose(page, SCENIC)
    page.locator("#panel-styled").scroll_into_view_if_needed()  # a browser may load a picture only when it is near
    expect(page.locator("#image-styled img")).to_be_visible()
    styled = pixels_on_page(page, "#image-styled img")
    expected = colorlib.Colorizer(SCENIC)(tmp_path / "gray.png", reference=CAMERA).image
    assert np.abs(styled - np.asarray(expected).astype(int)).max() <= 2
    expect(page.locator("#panel-transferred")).to_be_hidden()
    with page.expect_download() as arriving:
        page.click("#save-styled")
    assert arriving.value.suggested_filename == f"gray-{SCENIC}-styled.png"
    assert "after camera.png" in image_of(arriving.value).info["Software"]

    # One in colour has both; side by side on a wide screen.
    page.locator("#reference").get_by_label("Remove Image").click()
    expect(page.locator("#refusal")).to_be_hidden()
    expect(page.locator("#panel-styled")).to_be_hidden()
    page.set_input_files("#reference input[type=file]", PICTURES / "coffee.png")
    page.locator("#panel-styled").scroll_into_view_if_needed()
    expect(page.locator("#image-styled img")).to_be_visible()
    expect(page.locator("#image-transferred img")).to_be_visible()
    both = [pixels_on_page(page, f"#image-{name} img") for name in ("styled", "transferred")]
    assert np.abs(both[0].astype(int) - both[1]).max() > 10
    boxes = [page.locator(f"#panel-{name}").bounding_box() for name in ("transferred", "styled")]
    assert boxes[0]["y"] == boxes[1]["y"]


def test_scenes_are_named(page, tmp_path):
    """Where the method is sure, as of a meadow."""
    with Image.open(PICTURES / "grass.png") as image:
        image.crop((0, 256, 512, 512)).save(tmp_path / "meadow.png")
    upload(page, tmp_path / "meadow.png")
    best = colorlib.Colorizer(SCENIC).scenes(tmp_path / "meadow.png")[0]
    likely = f"Looks like: {best.name.replace('_', ' ')} {100 * best.probability:.0f}\N{NO-BREAK SPACE}%"
    expect(page.locator("#status")).to_contain_text(likely)
    page.get_by_label(label(SCENIC), exact=True).uncheck()
    expect(page.locator("#status")).not_to_contain_text("Looks like")


def test_white_balance(page, tmp_path):
    upload(page, gray_file(tmp_path))
    page.get_by_role("tab", name="White balance").click()
    expect(page.locator("#balance-status")).to_contain_text("no colours of its own")
    expect(page.locator("#balance")).to_be_hidden()
    page.get_by_role("tab", name="One photo").click()
    upload(page, PICTURES / "coffee.png")
    page.get_by_role("tab", name="White balance").click()
    section, first = page.locator("#balanced"), page.locator("#panel-light .caption")
    expect(section.locator(".caption:visible")).to_have_count(1 + len(BALANCERS))
    expect(first).to_contain_text("The original")
    plain = pixels_on_page(page, "#image-gray_world img")
    expected = colorlib.Colorizer("gray_world")(PICTURES / "coffee.png").image
    assert np.array_equal(plain, np.asarray(expected))
    with page.expect_download() as arriving:
        page.click("#save-gray_world")
    assert arriving.value.suggested_filename == "coffee-gray_world.png"
    assert np.array_equal(np.asarray(image_of(arriving.value)), plain)

    page.click("#cast input")
    page.get_by_role("option", name="Bluish", exact=True).click()
    expect(first).to_contain_text("With the cast")
    expect(section.locator(".caption:visible")).to_have_count(2 + len(BALANCERS))
    expect(section.locator("[id^=save-]:visible")).to_have_count(0)
    cast, original = (pixels_on_page(page, f"#image-{name} img").mean(axis=(0, 1)) for name in ("light", "truth"))
    assert cast[0] < original[0]
    assert cast[2] > original[2]
    (off,) = re.findall(r"[\d.]+(?=°)", first.inner_text())
    for name in BALANCERS:
        angles = re.findall(r"[\d.]+(?=°)", page.inner_text(f"#panel-{name} .caption"))
        assert angles[0] == off
        assert len(angles) == 2
    # The gray world does not see a global cast. Highlights are lifted by as much as the cast has clipped of them.
    again, dark = pixels_on_page(page, "#image-gray_world img"), plain.max(axis=2) < 150
    assert np.abs(again[dark].mean(axis=0) - plain[dark].mean(axis=0)).max() < 6

    # A method of another kind, ticked meanwhile, leaves it as it is; a new photograph is shown in the same light.
    page.get_by_role("tab", name="One photo").click()
    page.get_by_label(label("grayscale"), exact=True).check()
    expect(page.locator("#image-grayscale img")).to_have_count(1)
    expect(first).to_contain_text("With the cast")
    upload(page, PICTURES / "chelsea.png")
    page.get_by_role("tab", name="White balance").click()
    expect(section.locator(".caption:visible")).to_have_count(2 + len(BALANCERS))
    expect(first).to_contain_text("With the cast")


def choose(page: Page, name: str) -> None:
    """In the list above the slider."""
    text = label(name)
    if page.locator("#compared input").input_value() == text:
        return
    after = page.locator("#slider img").last
    before = after.get_attribute("src") or ""
    page.click("#compared input")
    page.get_by_role("option", name=text, exact=True).click()
    expect(page.locator("#compared input")).to_have_value(text)
    expect(after).not_to_have_attribute("src", before)  # what hangs on the choice has come with the picture


def test_transparency_survives(page, tmp_path):
    source = rgba_file(tmp_path)
    upload(page, source)
    with page.expect_download() as arriving:
        page.click(f"#save-{METHOD}")
    image = image_of(arriving.value)
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image)[..., 3], np.asarray(Image.open(source))[..., 3])


def test_broken_file_is_explained_and_the_page_stays_usable(page, tmp_path):
    upload(page, gray_file(tmp_path, name="first.png"))
    page.get_by_label("Remove Image").click()
    expect(page.locator("#panels img")).to_have_count(0)
    page.set_input_files("#photo input[type=file]", broken_file(tmp_path))
    expect(page.get_by_role("alert")).to_contain_text("broken.png cannot be read as a photograph")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.locator("#panels img")).to_have_count(0)
    page.wait_for_timeout(1500)  # what follows an upload must not wipe the message away
    expect(page.get_by_role("alert")).to_be_visible()
    # It is said once, and the box is empty, ready for another one.
    assert page.inner_text("body").count("broken.png") == 1
    expect(page.locator("#photo img")).to_have_count(0)
    expect(page.get_by_role("button", name="Drop an image file here to upload: Your photograph")).to_be_visible()
    upload(page, gray_file(tmp_path, name="second.png"))
    expect(page.get_by_role("alert")).to_have_count(0)
    assert chroma(pixels_on_page(page, f"#image-{METHOD} img")) > 10


def test_sixteen_bit_tiff_is_shown_and_downloaded_with_its_depth(page, tmp_path):
    upload(page, deep_file(tmp_path))
    # The browser cannot show the upload itself: its preview takes its place.
    page.wait_for_function("document.querySelector('#photo img')?.naturalWidth == 120")
    with page.expect_download() as arriving:
        page.click(f"#save-{METHOD}")
    assert colorlib.io.read(arriving.value.path()).bit_depth == 16
    # Ticking a method later still means the upload, not the preview.
    page.get_by_label(label("grayscale"), exact=True).check()
    expect(page.locator("#image-grayscale img")).to_have_count(1)
    settled(page, "deep.tif")


def test_example_in_colour_is_shown_beside_its_results(page):
    page.get_by_role("button", name="Cat", exact=True).click()
    settled(page, "chelsea.png")
    with Image.open(PICTURES / "chelsea.png") as expected:
        assert np.array_equal(pixels_on_page(page, "#image-original img"), np.asarray(expected))
    assert chroma(pixels_on_page(page, "#image-gray img")) == 0


def test_keys_move_the_slider_between_before_and_after(page, tmp_path):
    upload(page, gray_file(tmp_path, (600, 400)))
    handle = page.get_by_role("slider", name="Before and after")
    image = page.get_by_role("img", name=f"Right: {page.input_value('#compared input')}")
    expect(image).to_be_visible()
    image.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('#slider img')].every(one => one.complete)")
    width = 1.5 * image.bounding_box()["height"]  # of the picture, in the middle of its box
    handle.focus()
    start = handle.bounding_box()["x"]
    for key, share in (
        ("ArrowLeft", 48),
        ("ArrowDown", 46),
        ("PageDown", 36),
        ("ArrowRight", 38),
        ("ArrowUp", 40),
        ("PageUp", 50),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 100),
    ):
        page.keyboard.press(key)
        expect(handle).to_have_attribute("aria-valuenow", str(share))
        expect(handle).to_have_attribute("aria-valuetext", f"{share} % before, {100 - share} % after")
        assert handle.bounding_box()["x"] - start == pytest.approx(width * (share - 50) / 100, abs=1.5), key
    # At its end nothing of the picture in colour is left to be seen.
    clip = image.evaluate("e => e.style.clipPath.match(/[\\d.]+%/)[0]")
    box = image.bounding_box()
    assert float(clip.rstrip("%")) / 100 * box["width"] >= (box["width"] + width) / 2 - 1.5
    expect(handle).to_be_focused()


def test_everything_has_a_name(page):
    upload(page, PICTURES / "coffee.png")
    for tab, methods in (("White balance", BALANCERS), ("One photo", LEARNED)):
        page.get_by_role("tab", name=tab).click()
        for text in map(label, methods):
            page.get_by_role("button", name=f"Download PNG: {text}", exact=True).scroll_into_view_if_needed()
            expect(page.get_by_role("img", name=text, exact=True)).to_be_visible()
    for example in ("Man with a camera", "Astronaut", "Cat", "Cup of coffee", "Motorcycle", "Rocket"):
        expect(page.get_by_role("button", name=example, exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Your photograph", exact=True)).to_be_visible()
    for dial in ("Strength", "Saturation"):
        expect(page.get_by_role("button", name=f"Reset to default value: {dial}", exact=True)).to_be_visible()
        expect(page.get_by_role("slider", name=dial)).to_be_visible()
    status = page.get_by_role("status").filter(has_text="coffee.png, 600 x 400")
    expect(status).to_have_attribute("aria-live", "polite")
    choose(page, MANY_COLOURS)
    page.click("#explore")
    many = label(MANY_COLOURS)
    for picture in ("alternative 1", "alternative 6", "uncertainty"):
        expect(page.get_by_role("button", name=f"Download PNG: {many}, {picture}", exact=True)).to_be_visible()
    page.set_input_files("#reference input[type=file]", PICTURES / "astronaut.png")
    expect(page.get_by_role("button", name=f"Download PNG: {many}, with its colours", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Another photograph", exact=True)).to_be_visible()
    # No name is there twice, and no control is without.
    controls = re.findall(
        r"- '?(button|slider|combobox|checkbox|spinbutton)(?: \"([^\"]*)\")?", page.locator("main").aria_snapshot()
    )
    assert all(name for _, name in controls), controls
    buttons = [name for role, name in controls if role == "button" and name not in ("The original", "Undo")]
    assert len(buttons) == len(set(buttons)), sorted(buttons)


def test_focus_is_seen(page, tmp_path):
    box = page.get_by_role("button", name="Drop an image file here to upload: Your photograph")
    expect(box).to_be_visible()
    for _ in range(12):  # back from the button that ticks all methods
        page.keyboard.press("Shift+Tab")
        outlined(page.locator(":focus"))
        if box.evaluate("e => e === document.activeElement"):
            break
    expect(box).to_be_focused()
    upload(page, gray_file(tmp_path))
    for selector in (
        "#strength input[type=number]",
        "#strength input[type=range]",
        "#saturation input[type=range]",
        f"#image-{METHOD} button",
        f"#save-{METHOD}",
        "#methods input >> nth=0",
        "#choices .gallery-item >> nth=0",
        "#compared input",
        "#slider [role=slider]",
    ):
        element = page.locator(selector)
        element.focus()
        outlined(element.locator(".icon-wrap") if "role=slider" in selector else element)


def outlined(element: Locator) -> None:
    style = element.evaluate("e => [getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]")
    assert style == ["solid", 3]


def test_pictures_that_wait_for_what_was_set_are_marked(page, tmp_path):
    upload(page, gray_file(tmp_path))
    expect(page.locator("[data-waiting]")).to_have_count(0)
    # In the next frame, long before the server has painted any.
    marked = page.evaluate("""async () => {
        const input = document.querySelector("#saturation input[type=range]");
        input.value = 0.3;
        input.dispatchEvent(new Event("input", {bubbles: true}));
        input.dispatchEvent(new Event("change", {bubbles: true}));
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
        return [...document.querySelectorAll("[data-waiting]")].map(one => [one.id, one.ariaBusy]);
    }""")
    assert dict(marked) == dict.fromkeys([*(f"panel-{name}" for name in LEARNED), "slider"], "true")
    image = page.locator(f"#image-{METHOD} img")
    expect(page.locator(f"#panel-{METHOD}[data-waiting]")).to_have_count(0)
    assert image.evaluate("e => getComputedStyle(e).opacity") == "1"
    expected = np.asarray(colorlib.Colorizer(METHOD)(tmp_path / "gray.png").adjust(1, 0.3).image)
    assert same_picture(pixels_on_page(page, f"#image-{METHOD} img"), expected)
    # Another one, compared while it may still wait, is compared as it will be.
    page.locator("#saturation input[type=number]").fill("0.6")
    page.locator("#saturation input[type=number]").press("Enter")
    choose(page, SCENIC)
    expected = np.asarray(colorlib.Colorizer(SCENIC)(tmp_path / "gray.png").adjust(1, 0.6).image)
    expect(page.locator("#sides")).to_contain_text(label(SCENIC))
    for _ in range(2):
        assert same_picture(pixels_on_page(page, "#slider img >> nth=1"), expected)
        # A painting that began before leaves the slider to what was chosen since.
        for name in LEARNED:  # a browser may load a picture only when it comes into view
            page.locator(f"#panel-{name}").scroll_into_view_if_needed()
        expect(page.locator("#panels [data-waiting]")).to_have_count(0)


def test_pictures_that_wait_for_another_light_are_marked(page):
    upload(page, PICTURES / "coffee.png")
    page.get_by_role("tab", name="White balance").click()
    expect(page.locator("#balanced .caption:visible")).to_have_count(1 + len(BALANCERS))
    # Looked at in every frame, as they are soon painted.
    page.evaluate("""() => {
        window.waited = new Set();
        const look = () => {
            for (const panel of document.querySelectorAll("#balanced [aria-busy=true]")) window.waited.add(panel.id);
            requestAnimationFrame(look);
        };
        look();
    }""")
    page.click("#cast input")
    page.get_by_role("option", name="Bluish", exact=True).click()
    expect(page.locator("#panel-light .caption")).to_contain_text("With the cast")
    waited = set(page.evaluate("[...window.waited]"))
    assert waited == {f"panel-{name}" for name in ("light", *BALANCERS)}
    for name in ("light", *BALANCERS):
        page.locator(f"#image-{name}").scroll_into_view_if_needed()
        expect(page.locator(f"#panel-{name}[data-waiting]")).to_have_count(0)


def test_leaving_a_photograph_asks_for_nothing_that_is_gone(page):
    """The page of the fixture fails at any answer of 400 or more."""
    examples = {"Cup of coffee": "coffee.png", "Astronaut": "astronaut.png", "Cat": "chelsea.png"}
    for name, file in examples.items():
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#status")).to_contain_text(f"{file}, ")
        page.wait_for_function("document.querySelectorAll('#panels img').length >= 5", polling="raf")
        page.locator("#panels").evaluate("panels => panels.scrollIntoView({block: 'end'})")
    settled(page, "chelsea.png")
    page.get_by_role("tab", name="White balance").click()
    expect(page.locator("#balanced .caption:visible")).to_have_count(1 + len(BALANCERS))
    page.locator("#balanced").scroll_into_view_if_needed()
    page.get_by_role("tab", name="One photo").click()
    page.get_by_role("button", name="Rocket", exact=True).click()
    settled(page, "rocket.jpg")
    pictures = page.locator("#panels img").evaluate_all("all => all.map(one => one.src)")
    assert all("/rocket-" in source for source in pictures)


@pytest.mark.parametrize("page", [{"viewport": {"width": 400, "height": 850}}], indirect=True, ids=["400"])
def test_on_a_phone_it_shows_that_it_works(page):
    status, progress = page.locator("#status"), page.locator("#status progress")
    page.get_by_role("button", name="Cup of coffee", exact=True).click()
    expect(progress).to_be_in_viewport()
    settled(page, "coffee.png")
    expect(status).to_be_in_viewport()
    expect(page.locator("#slider img").first).to_be_in_viewport()
    # A method that is ticked later, with the results out of sight: the visitor stays where the box is.
    box = page.get_by_label(label(BORROWER), exact=True)
    box.scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, scrollY - 400)")
    expect(status).not_to_be_in_viewport()
    before = page.evaluate("scrollY")
    box.check()
    page.wait_for_function(
        """() => {
            const box = document.querySelector("#status progress")?.getBoundingClientRect();
            return box && box.width > 300 && box.top > 0 && box.bottom <= innerHeight;
        }""",
        polling="raf",
    )
    expect(progress).to_have_count(0)
    assert page.evaluate("scrollY") == before


def test_paste(browser, url):
    with window(browser, PATIENCE, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(url)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        page.evaluate("""async () => {
            const canvas = new OffscreenCanvas(60, 40);
            canvas.getContext("2d").fillRect(10, 10, 20, 20);
            await navigator.clipboard.write([new ClipboardItem({"image/png": await canvas.convertToBlob()})]);
        }""")
        page.get_by_label("Paste from clipboard").click()
        expect(page.locator("#status")).to_contain_text("60 x 40", timeout=PATIENCE)


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
        for width in (390, 1440)
        for scheme in ("light", "dark")
    ],
    indirect=True,
    ids=lambda option: f"{option['viewport']['width']}-{option['color_scheme']}",
)
def test_looks(page, tmp_path):
    """Neutral ground, legible text, nothing cut off or wider than the screen."""
    upload(page, PICTURES / "chelsea.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = np.array(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")[:3])
    assert np.ptp(ground) == 0
    for selector in (
        "#header p",
        "#status p",
        ".caption b",
        ".caption span",
        "#methods label span",
        "#footer p",
    ):
        text = page.locator(selector).first.evaluate("e => getComputedStyle(e).color.match(/\\d+/g).map(Number)")[:3]
        high, low = sorted((luminance(ground), luminance(np.array(text))), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector  # WCAG 2.2, 1.4.3
    in_row = page.locator("#panels > .column:visible").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().top == all[0].getBoundingClientRect().top).length"
    )
    assert in_row == (2 if page.viewport_size["width"] < 640 else 4)
    for box in page.locator(".caption:visible").all():
        assert box.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight + 1")
    # On a phone, the page goes to the results by itself.
    page.wait_for_function("document.getElementById('status').getBoundingClientRect().top < innerHeight")
    page.get_by_role("tab", name="White balance").click()
    expect(page.locator("#balanced .caption:visible")).to_have_count(1 + len(BALANCERS))
    page.click("#cast input")
    page.get_by_role("option", name="Reddish", exact=True).click()
    expect(page.locator("#balanced .caption:visible")).to_have_count(2 + len(BALANCERS))
    for box in page.locator(".caption:visible").all():
        assert box.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight + 1")


def luminance(colour: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, 0 to 255."""
    linear = np.where(colour / 255 <= 0.04045, colour / 255 / 12.92, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_ask_a_pixel_and_steer_by_mouse_and_by_keys(browser, url, tmp_path):
    """A visitor clicks on the picture, chooses a colour, and downloads it; then the same with keys alone."""
    with window(browser, PATIENCE, viewport={"width": 1400, "height": 1000}) as page:
        page.goto(url)
        upload(page, gray_file(tmp_path, (900, 600)))
        pixel, after = page.locator("#pixel"), page.locator("#slider img").nth(1)
        expect(pixel).to_contain_text("Click on the picture")
        box = page.locator("#slider img").first.evaluate("""image => {
            const box = image.getBoundingClientRect(), height = Math.min(box.height, box.width / 1.5);
            return [(box.left + box.right) / 2, (box.top + box.bottom) / 2, 1.5 * height, height];
        }""")
        page.mouse.click(box[0] - 0.25 * box[2], box[1] + 0.25 * box[3])
        expect(pixel.get_by_role("status")).to_contain_text(
            re.compile("25\N{NO-BREAK SPACE}% across, 75\N{NO-BREAK SPACE}% down")
        )
        # There the large picture shows its colours, not the gray before.
        share = int(page.get_by_role("slider", name="Before and after").get_attribute("aria-valuenow"))
        assert share < 25
        before = after.get_attribute("src")
        pixel.locator("input[type=color]").fill("#d0401e")
        expect(after).not_to_have_attribute("src", before)
        expect(pixel).to_contain_text("Your colours")
        expect(page.locator("#slider .dot")).to_have_count(1)
        expect(page.locator("#sides")).to_contain_text("with your colours")
        with page.expect_download() as arriving:
            page.click(f"#save-{few()[0]}")
        full = image_of(arriving.value)
        assert full.info["Software"].endswith(", 1 colour chosen by hand")
        r, _, b = np.asarray(full)[450, 225].tolist()
        assert r - b > 15

        page.locator("#cross").focus()
        for _ in range(5):
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("Enter")
        expect(pixel.get_by_role("status")).to_contain_text(
            re.compile("75\N{NO-BREAK SPACE}% across, 65\N{NO-BREAK SPACE}% down")
        )
        bar = pixel.locator(".bars button").nth(1)
        bar.focus()
        before = after.get_attribute("src")
        page.keyboard.press("Enter")
        expect(after).not_to_have_attribute("src", before)
        expect(page.locator("#slider .dot")).to_have_count(2)
        expect(bar).to_be_focused()  # though it was replaced
        for left in (1, 0):
            pixel.get_by_role("button", name="Undo").click()
            expect(page.locator("#slider .dot")).to_have_count(left)
        expect(pixel).not_to_contain_text("Your colours")
