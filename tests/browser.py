"""What tests of the pages share: headless Chromium, and a hand that draws digits."""

import math
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

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


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield a browser; where it is not installed the test is skipped, and fails in CI."""
    if not Path(CHROMIUM).exists():
        reason = "chromium is not installed; install it with: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def watched(
    browser: Browser, server: str, *, width: int, height: int, expected: Collection[str] = ()
) -> Iterator[Page]:
    """Yield a page; a script error, a failed request or a load from elsewhere than the server fails the test after it.

    ``expected`` are parts of messages that may come.
    """
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(server) else troubles.append(request.url))
    yield page
    page.close()
    assert [one for one in troubles if not any(part in one for part in ("favicon", *expected))] == []


def draw(page: Page, strokes: list[Stroke], *, size: float = 1.0, left: float = 0.0, top: float = 0.0) -> None:
    """Draw the strokes, whose points go from 0 to 1, into a part of the drawing area."""
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
