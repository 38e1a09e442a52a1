"""The pages in headless Chromium: what a hand draws is what the served model says, and grey pictures get colours."""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.browser import DIGITS, draw, launched, watched

pytestmark = [pytest.mark.browser, pytest.mark.tensorflow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def board(browser: Browser, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that serves the digits model as a rollout configures it."""
    top = tmp_path_factory.mktemp("board")
    told = {"path": str(exported / "digits"), "inputs": {"image": {"minimum": 0, "maximum": 16}}}
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    models: dict[str, Any] = {
        "digits": {"versions": {"4": told}},
        "words": {"versions": {"1": {**told, "classes": names}}},
    }
    models["pair"] = {"default": 1, "versions": {"1": told, "2": {**told, "path": str(exported / "tiny/2")}}}
    paint = {str(n): {"path": str(exported / f"paint/{n}"), "classes": ["#c04040", "#4040c0"]} for n in (1, 2)}
    header = {"header": "style", "value": "transfer", "version": 2}
    models["paint"] = {"default": 1, "versions": paint, "headers": [header]}
    (top / "config.json").write_text(json.dumps({"models": models}))
    with (top / "log").open("wb") as log:
        command = [sys.executable, "-m", "colchis_steps.serve", "--port=0", f"--config={top / 'config.json'}"]
        process = subprocess.Popen(command, stderr=log)
    deadline = time.monotonic() + 240
    while "words: version 1 answers" not in (text := (top / "log").read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < deadline, text
        select.select([], [], [], 0.1)
    found = re.search(r"http://\S+", text)
    assert found
    yield found.group()
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def opened(browser: Browser, board: str) -> Iterator[Callable[[str], Page]]:
    """Opens a page of the server; a script error, a failed request or a load from elsewhere fails the test."""
    with watched(browser, board, width=980, height=680) as page:

        def open_page(path: str) -> Page:
            page.goto(f"{board}{path}")
            return page

        yield open_page


@pytest.fixture
def page(opened: Callable[[str], Page]) -> Page:
    """The first model's drawing board."""
    page = opened("/board")
    expect(page.locator("#bars li")).to_have_count(10)
    return page


@pytest.mark.parametrize("digit", DIGITS)
def test_a_drawn_digit_is_recognised(page: Page, digit: str) -> None:
    draw(page, DIGITS[digit])
    expect(page.locator("#class")).to_have_text(digit)
    expect(page.locator("#bars .top .name")).to_have_text(digit)
    expect(page.locator("#sure")).to_contain_text("with a probability of")


def test_size_and_place_do_not_matter(page: Page) -> None:
    draw(page, DIGITS["0"], size=0.3, left=0.65, top=0.05)
    expect(page.locator("#class")).to_have_text("0")
    small = page.locator("#bars .top .percent").inner_text()
    page.click("#clear")
    expect(page.locator("#class")).to_have_text("\N{EN DASH}")
    draw(page, DIGITS["0"])
    expect(page.locator("#class")).to_have_text("0")
    large = page.locator("#bars .top .percent").inner_text()
    assert abs(float(small.split()[0]) - float(large.split()[0])) < 10


def test_it_can_be_used_without_a_mouse(page: Page) -> None:
    page.locator("#pad").focus()
    for key in ["ArrowUp"] * 7 + ["Space"] + ["ArrowDown"] * 14 + ["Space"]:
        page.keyboard.press(key)
    expect(page.locator("#class")).to_have_text("1")
    page.keyboard.press("Backspace")
    expect(page.locator("#sure")).to_have_text("nothing drawn yet")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "clear"


def test_a_finger_draws_and_names_of_classes_are_shown(browser: Browser, board: str) -> None:
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{board}/board/words")
    expect(page.locator("#bars li")).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator("#pad").bounding_box()
    assert box
    touch = context.new_cdp_session(page)
    for number, (x, y) in enumerate(DIGITS["7"][0]):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if number else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#class")).to_have_text("seven")
    context.close()


def test_the_version_that_answered_is_shown_and_two_are_asked_side_by_side(opened: Callable[[str], Page]) -> None:
    page = opened("/board/pair")
    expect(page.locator("#bars li")).to_have_count(10)
    draw(page, DIGITS["0"])
    expect(page.locator("#first .who")).to_have_text("answered by version 1")
    expect(page.locator("#second")).to_be_hidden()
    page.check("#both")
    expect(page.locator("#first .class")).to_have_text("0")
    expect(page.locator("#second .class")).to_have_text("2")  # whatever is drawn
    expect(page.locator("#second select")).to_have_value("2")
    page.select_option("#second select", "1")
    expect(page.locator("#second .class")).to_have_text("0")
    if folder := os.environ.get("COLCHIS_SCREENSHOTS"):
        page.select_option("#second select", "2")
        expect(page.locator("#second .class")).to_have_text("2")
        page.screenshot(path=f"{folder}/board-two.png")
    page.uncheck("#both")
    expect(page.locator("#second")).to_be_hidden()
    expect(page.locator("#first .who")).to_have_text("answered by version 1")


def test_versions_that_the_server_does_not_know_of_can_be_named(opened: Callable[[str], Page]) -> None:
    page = opened("/board/digits")
    expect(page.locator("#bars li")).to_have_count(10)
    expect(page.locator("#compare")).to_be_hidden()
    page = opened("/board/digits?versions=4,5")
    expect(page.locator("#compare")).to_be_visible()


def test_a_grey_picture_is_coloured_and_a_header_chooses_the_style(
    opened: Callable[[str], Page], tmp_path: Path
) -> None:
    grey = Image.new("L", (120, 60), 40)
    grey.paste(200, (60, 0, 120, 60))
    grey.save(tmp_path / "halves.png")
    page = opened("/board/paint")

    def pixel(figure: int, share: float) -> list[int]:
        script = """([figure, share]) => {
          const canvas = document.querySelectorAll("#pictures canvas")[figure];
          return [...canvas.getContext("2d").getImageData(canvas.width * share, 30, 1, 1).data];
        }"""
        return list(page.evaluate(script, [figure, share]))

    expect(page.locator("#model")).to_have_text("paint: 2 colours")
    page.set_input_files("#file", tmp_path / "halves.png")
    captions = page.locator("figcaption strong")
    expect(captions).to_have_text(["grey", "version 1"])
    assert pixel(0, 0.1) == [40, 40, 40, 255]
    dark, bright = pixel(1, 0.1), pixel(1, 0.9)
    assert dark[2] > dark[0]
    assert bright[0] > bright[2]
    page.check("#styled")
    expect(captions).to_have_text(["grey", "version 2", "version 1"])
    dark, bright = pixel(1, 0.1), pixel(1, 0.9)
    assert dark[0] > dark[2]
    assert bright[2] > bright[0]
    (tmp_path / "words.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "words.png")
    expect(page.locator("#trouble")).to_contain_text("cannot be read as a picture")


def test_the_server_that_ends_is_told(browser: Browser, board: str) -> None:
    page = browser.new_page()
    page.goto(f"{board}/board/digits")
    expect(page.locator("#bars li")).to_have_count(10)
    page.route("**/*:predict", lambda route: route.abort())
    draw(page, DIGITS["1"])
    expect(page.locator("#trouble")).to_contain_text("colchis models start")
    page.unroute("**/*:predict")
    page.route("**/*:predict", lambda route: route.fulfill(status=503, body="no available server"))
    draw(page, DIGITS["1"])
    expect(page.locator("#trouble")).to_contain_text("try again in a moment")
    page.close()


def test_a_picture_for_the_docs(page: Page, tmp_path: Path) -> None:
    draw(page, DIGITS["2"])
    expect(page.locator("#class")).to_have_text("2")
    picture = page.screenshot(path=os.environ.get("COLCHIS_SCREENSHOT", tmp_path / "board.png"))
    assert len(picture) > 10_000
