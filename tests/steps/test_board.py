"""The drawing board in headless Chromium: what a hand draws is what the served model says."""

import json
import math
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.tensorflow]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
Stroke = list[tuple[float, float]]

RING: list[Stroke] = [
    [(0.5 + 0.22 * math.sin(math.tau * step / 24), 0.5 - 0.34 * math.cos(math.tau * step / 24)) for step in range(25)]
]
DIGITS: dict[str, list[Stroke]] = {
    "0": RING,
    "1": [[(0.38, 0.28), (0.52, 0.12), (0.52, 0.88)]],
    "2": [[(0.3, 0.3), (0.35, 0.18), (0.5, 0.13), (0.65, 0.2), (0.68, 0.35), (0.55, 0.55), (0.3, 0.85), (0.72, 0.85)]],
    "4": [[(0.55, 0.12), (0.3, 0.6), (0.75, 0.6)], [(0.6, 0.4), (0.58, 0.9)]],
    "7": [[(0.28, 0.15), (0.72, 0.15), (0.45, 0.88)]],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        reason = "chromium is not installed; install it with: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def board(browser: Browser, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that serves the digits model as a rollout configures it."""
    top = tmp_path_factory.mktemp("board")
    told = {"path": str(exported / "digits"), "inputs": {"image": {"minimum": 0, "maximum": 16}}}
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    models = {"digits": {"versions": {"4": told}}, "words": {"versions": {"1": {**told, "classes": names}}}}
    (top / "config.json").write_text(json.dumps({"models": models}))
    with (top / "log").open("wb") as log:
        command = [sys.executable, "-m", "colchis_steps.serve", "--port=0", f"--config={top / 'config.json'}"]
        process = subprocess.Popen(command, stderr=log)
    deadline = time.monotonic() + 90
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
def page(browser: Browser, board: str) -> Iterator[Page]:
    """The board's page; a script error, a failed request or a load from elsewhere fails the test."""
    page = browser.new_page(viewport={"width": 980, "height": 680})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(board) else troubles.append(request.url))
    page.goto(f"{board}/board")
    expect(page.locator("#bars li")).to_have_count(10)
    yield page
    page.close()
    assert [trouble for trouble in troubles if "favicon" not in trouble] == []


def draw(page: Page, strokes: list[Stroke], *, size: float = 1.0, left: float = 0.0, top: float = 0.0) -> None:
    box = page.locator("#pad").bounding_box()
    assert box
    for stroke in strokes:
        at = [
            (box["x"] + box["width"] * (left + size * x), box["y"] + box["height"] * (top + size * y))
            for x, y in stroke
        ]
        page.mouse.move(*at[0])
        page.mouse.down()
        for point in at[1:]:
            page.mouse.move(*point, steps=3)
        page.mouse.up()


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


def test_the_server_that_ends_is_told(browser: Browser, board: str) -> None:
    page = browser.new_page()
    page.goto(f"{board}/board/digits")
    expect(page.locator("#bars li")).to_have_count(10)
    page.route("**/*:predict", lambda route: route.abort())
    draw(page, DIGITS["1"])
    expect(page.locator("#trouble")).to_contain_text("colchis models start")
    page.close()


def test_a_picture_for_the_docs(page: Page, tmp_path: Path) -> None:
    draw(page, DIGITS["2"])
    expect(page.locator("#class")).to_have_text("2")
    picture = page.screenshot(path=os.environ.get("COLCHIS_SCREENSHOT", tmp_path / "board.png"))
    assert len(picture) > 10_000
