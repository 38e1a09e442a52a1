"""The form of any model in headless Chromium: what it sends and shows, its samples, on a phone and a desk."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.browser import launched, watched
from tests.steps._serving.server.form_site import HOSTILE, served, site

pytestmark = pytest.mark.browser
HANGING = """() => [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 60))"""
WIDTHS = (390, 1280)
MODELS = ("penguins", "houses", "photographs", "pixels", "vector", "words", "iris-onnx")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(site(tmp_path_factory.mktemp("models"))) as url:
        yield url


@pytest.fixture
def opened(browser: Browser, server: str) -> Iterator[Callable[[str], Page]]:
    """Opens a model's form; a script error, a refused resource or a load from elsewhere fails the test."""
    with watched(browser, server, width=1280, height=900, expected=["status of 400"]) as page:

        def open_page(model: str) -> Page:
            page.goto(f"{server}/board/{model}")
            expect(page.locator("#ask")).to_be_enabled()
            return page

        yield open_page


def ask(page: Page) -> None:
    page.click("#ask")
    expect(page.locator("#who")).to_contain_text("answered by version 3")


def filled(page: Page, model: str, pictures: Path) -> None:
    """Write in a model's form what a person may."""
    if model == "penguins":
        page.get_by_label("island", exact=True).fill("Biscoe")
        page.get_by_label("sex", exact=True).fill("female")
        page.get_by_label("bill_length_mm", exact=True).fill("38.8")
        page.get_by_label("tagged", exact=True).select_option("yes")
    if model in {"photographs", "pixels"}:
        page.set_input_files("input[type=file]", pictures / "a 'flower'.png")
        expect(page.locator("#fields canvas")).to_be_visible()
    if model == "words":
        page.get_by_label("sentence").fill("it's 100 % fine\nto ask twice")
    if model == "vector":
        page.get_by_label("x", exact=True).fill(", ".join("1" if number % 8 == 3 else "0" for number in range(64)))
    if model == "iris-onnx":
        page.get_by_label("sepal_length").fill("5.1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    picture = Image.linear_gradient("L").resize((80, 60)).convert("RGB")
    picture.paste((200, 40, 90), (20, 10, 60, 50))
    picture.save(folder / "a 'flower'.png")
    return folder


@pytest.mark.parametrize(("model", "scheme"), [*((model, "light") for model in MODELS), ("penguins", "dark")])
def test_it_fits_a_phone_and_a_desk(opened: Callable[[str], Page], pictures: Path, model: str, scheme: str) -> None:
    page = opened(model)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    filled(page, model, pictures)
    ask(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate(HANGING)
        assert page.evaluate(HANGING) == []
        picture = page.screenshot(full_page=True)
        assert len(picture) > 10_000
        if folder := os.environ.get("COLCHIS_SCREENSHOTS"):
            (Path(folder) / f"form-{model}-{scheme}-{width}.png").write_bytes(picture)


def test_what_may_be_empty_is_null_and_lists_are_as_long_as_they_are(opened: Callable[[str], Page]) -> None:
    page = opened("penguins")
    page.locator(".field", has_text="bill_length_mm").get_by_label("empty").check()
    ask(page)
    assert '"bill_length_mm": null' in page.locator("#code").inner_text()
    expect(page.locator(".best")).to_have_text("Gentoo")
    page = opened("lists")
    page.get_by_label("codes").fill("4 5, 6")
    page.get_by_label("flags").fill("true, false")
    ask(page)
    expect(page.locator("dd")).to_have_text(["3", "15", "yes"])
    page.get_by_label("codes").fill("1 2 3 4 5 6 7")
    page.click("#ask")
    expect(page.locator("#trouble")).to_contain_text("the model takes at most 6")
    page.get_by_label("flags").fill("true")
    page.click("#ask")
    expect(page.locator("#trouble")).to_have_text("flags has 1 truth value; the model takes 2")


def test_whole_numbers_are_sent_in_full(opened: Callable[[str], Page]) -> None:
    page = opened("penguins")
    page.get_by_label("body_mass_g").fill("9007199254740993")
    with page.expect_request("**/*:predict") as sent:
        ask(page)
    assert '"body_mass_g": 9007199254740993' in str(sent.value.post_data)


def test_an_answer_is_shown_as_what_it_is(opened: Callable[[str], Page], pictures: Path) -> None:
    page = opened("houses")
    ask(page)
    expect(page.locator("dt")).to_have_text(["price", "monthly rent"])
    page = opened("pixels")
    filled(page, "pixels", pictures)
    ask(page)
    expect(page.locator("dd").first).to_contain_text("128 numbers")
    page.click("summary")
    expect(page.locator("details pre")).to_be_visible()
    page = opened("scalar")  # no rows: it is asked by columns
    page.get_by_label("size").fill("2.5")
    ask(page)
    expect(page.locator("dd")).to_have_text(["5"])


def test_names_and_texts_of_a_model_are_never_markup(opened: Callable[[str], Page]) -> None:
    page = opened("odd")
    page.get_by_label(HOSTILE).fill(HOSTILE)
    ask(page)
    expect(page.locator(".best")).to_have_text(HOSTILE)
    expect(page.locator(".bars .name").first).to_have_text(HOSTILE)
    expect(page.locator("dt")).to_have_text([HOSTILE])
    expect(page.locator("dd")).to_have_text([HOSTILE])
    assert page.title() == "Ask odd"
    assert page.locator("img, section script").count() == 0


@pytest.mark.parametrize("model", ["penguins", "photographs", "words", "odd", "vector", "scalar", "iris-onnx"])
def test_the_samples_work_as_they_are_copied(opened: Callable[[str], Page], pictures: Path, model: str) -> None:
    page = opened(model)
    filled(page, model, pictures)
    if model == "odd":
        page.get_by_label(HOSTILE).fill(HOSTILE + "\\n\n%d")
    with page.expect_response("**/*:predict") as response:
        ask(page)
    wanted = response.value.json()
    command = page.locator("#code").inner_text()
    done = subprocess.run(["bash", "-c", command], cwd=pictures, capture_output=True, text=True, check=True)
    assert ast.literal_eval(re.sub(r"\bnull\b", "None", done.stdout)) == wanted
    page.get_by_role("button", name="Python").click()
    program = page.locator("#code").inner_text()
    done = subprocess.run([sys.executable, "-c", program], cwd=pictures, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == wanted
    if page.get_by_role("button", name="gRPC").count():
        page.get_by_role("button", name="gRPC").click()
        ast.parse(page.locator("#code").inner_text())
    assert page.get_by_role("button", name="gRPC").count() == (model not in {"penguins", "photographs"})


def test_it_can_be_used_without_a_mouse(opened: Callable[[str], Page]) -> None:
    page = opened("houses")
    page.keyboard.press("Tab")
    page.keyboard.type("100")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.locator("dd").first).to_have_text("329050")
    names = []
    for _ in range(5):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent"))
    assert names == ["Ask", "curl", "Python", "gRPC", "Copy"]


def test_the_overview_fits_names_the_newest_first_and_leads_to_the_forms(browser: Browser, server: str) -> None:
    page = browser.new_page()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(server)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate(HANGING)
        assert page.evaluate(HANGING) == []
        if folder := os.environ.get("COLCHIS_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/overview-{width}.png")
    assert page.locator("script, img").count() == 0
    page.locator("article", has_text="iris-onnx").get_by_role("link", name="try it").click()
    expect(page.locator("#name")).to_have_text("iris-onnx")
    expect(page.locator("#model")).to_have_text("version 3 · ONNX")
    page.close()


@pytest.mark.parametrize("path", ["/", "/board/odd", "/board/vector?form"])
def test_nothing_is_loaded_from_elsewhere_and_no_page_frames_it(server: str, path: str) -> None:
    told = httpx.get(f"{server}{path}", headers={"Accept": "text/html"})
    policy = told.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//", told.text)
    assert "<img" not in told.text
