"""The pages at the widths of a phone, a tablet and a desk, in headless Chromium: nothing hangs out at the side."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route
from tests.browser import launched
from tests.steps.report_runs import BAD_STEP, DETAILS, EVALUATION, ROLLOUT, record, reported

from colchis_steps._serving.server import pages

pytestmark = pytest.mark.browser
WIDTHS = (320, 390, 768, 1280)
HANGING = """() => [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll'))
    .map((one) => one.outerHTML.slice(0, 60))"""
OUTPUT = {"name": "probability", "shape": [-1, 10]}
MODEL = {
    "name": "digits",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
    "outputs": [OUTPUT],
    "parameters": {"version": "1", "classes": []},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def opened(browser: Browser, width: int) -> Page:
    return browser.new_page(viewport={"width": width, "height": 900})


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate(HANGING)
    assert page.evaluate(HANGING) == []


def report(store: Path, classes: int) -> Path:
    names = tuple(f"class {number}" for number in range(classes))
    counts = tuple(tuple(50 if i == j else (i + j) % 3 for j in range(classes)) for i in range(classes))
    evaluation = msgspec.structs.replace(EVALUATION, classes=names, confusion=counts)
    refused = msgspec.structs.replace(ROLLOUT, verdict="fail", reason="errors: 9 of 31", steps=(BAD_STEP,))
    for step in DETAILS:
        record(store, step)
    record(store, "evaluate", details=msgspec.to_builtins(evaluation))
    record(store, "rollout", details=msgspec.to_builtins(refused), verdict="fail")
    reported(store)
    return store / "page.html"


@pytest.mark.parametrize("classes", [2, 3, 10, 26])
def test_the_report_fits_and_its_matrix_is_drawn_as_large_whatever_the_number_of_classes(
    browser: Browser, tmp_path: Path, classes: int
) -> None:
    address = report(tmp_path, classes).as_uri()
    for width in WIDTHS:
        page = opened(browser, width)
        page.goto(address)
        fits(page)
        cell = page.locator(".confusion .empty").first.bounding_box()
        assert cell
        assert cell["width"] == pytest.approx(cell["height"], rel=0.01)
        assert cell["width"] <= 34
        assert classes > 3 or cell["width"] >= 24, "a small matrix can still be read on a phone"
        page.close()


@pytest.mark.parametrize("classes", [[], [f"number {number}" for number in range(10)]], ids=["digits", "names"])
def test_the_page_that_compares_two_versions_fits(browser: Browser, classes: list[str]) -> None:
    def answer(route: Route) -> None:
        url = route.request.url
        if "/board/" in url:
            route.fulfill(body=(Path(pages.__file__).parent / "board.html").read_text(), content_type="text/html")
        elif ":predict" in url:
            row = {"probability": [0.91] + [0.01] * 9}
            version = "2" if "/versions/2" in url else "1"
            route.fulfill(body=json.dumps({"predictions": [row]}), headers={"Colchis-Version": version})
        elif "/v2/" in url:
            route.fulfill(body=json.dumps({**MODEL, "parameters": {"version": "1", "classes": classes}}))
        else:
            states = [{"version": version, "state": "AVAILABLE"} for version in ("1", "2")]
            route.fulfill(body=json.dumps({"model_version_status": states}))

    for width in WIDTHS:
        page = opened(browser, width)
        page.route("**/*", answer)
        page.goto("http://colchis.test/board/digits?versions=1,2")
        page.check("#both")
        fits(page)
        pad = page.locator("#pad").bounding_box()
        assert pad
        page.mouse.click(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 2)
        page.wait_for_selector("#second .who select")
        fits(page)
        page.close()
