"""The report in its four forms, in headless Chromium: light, dark, 390 px wide, and printed."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page
from tests.browser import launched
from tests.steps.report_runs import BAD_STEP, ROLLOUT, record, record_all, reported
from tests.steps.report_tasks import classification, data, regression

from colchis_steps._formats import runs as r

pytestmark = pytest.mark.browser
A4 = 703  # CSS pixels between the margins of a page
FORMS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1120, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1120, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}
HANGING = """() => [...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
    .filter((one) => !one.closest('.stacked'))
    .map((one) => one.outerHTML.slice(0, 80))"""
SCROLLED = """() => [...document.querySelectorAll('.scroll')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && !one.querySelector('.confusion'))
    .map((one) => one.outerHTML.slice(0, 80))"""
FAINT = """() => {
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (one) => {
        for (; one; one = one.parentElement) {
            const found = parts(getComputedStyle(one).backgroundColor);
            if (found.length < 4 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const one of document.querySelectorAll('body *')) {
        const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        const told = !['title', 'desc'].includes(one.tagName) && !one.closest('.confusion');
        if (!own || !told || !one.checkVisibility()) continue;
        const style = getComputedStyle(one);
        const [a, b] = [light(parts(one.closest('svg') ? style.fill : style.color)), light(behind(one))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.outerHTML.slice(0, 80)}`);
    }
    return found;
}"""
CUT = """(width) => [...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > width + 1)
    .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module", params=["classes", "numbers", "failed"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    store = tmp_path_factory.mktemp(request.param)
    if request.param == "failed":
        record(store, "validate_data")
        lines = ["12:00:00 INFO it begins", "a line that is as long as lines are " * 8, "x" * 400]
        record(store, "train", status="failed", message="column 'x' is int8; write it anew", details={}, log=lines)
        reported(store, "Failed", '[{"displayName": "train", "message": "main: Error (exit code 65)"}]')
        return (store / "page.html").as_uri()
    record_all(store)
    evaluation = classification(3) if request.param == "classes" else regression(1)
    changes = (
        r.Change("accuracy", "not_worse", 0.01, 0.003, -0.004, 0.012, 360, "tango", "pass"),
        r.Change("loss", "not_worse", 0.02, 0.3, 0.2, 0.4, 360, "bootstrap", "fail", relative=True, smaller=True),
    )
    checks = (r.Check("accuracy ≥ 0.95", False, "0.93", "accuracy is 0.93, below 0.95"), *evaluation.checks)
    told = msgspec.structs.replace(evaluation, changes=changes, checks=checks, intervals={"accuracy": (0.9, 0.95)})
    record(store, "evaluate", details=msgspec.to_builtins(told))
    record(store, "validate_data", details=msgspec.to_builtins(data(12)))
    rollout = msgspec.structs.replace(ROLLOUT, steps=(BAD_STEP,))
    record(store, "rollout", details=msgspec.to_builtins(rollout))
    reported(store)
    return (store / "page.html").as_uri()


def opened(browser: Browser, address: str, form: str) -> Page:
    page = browser.new_page(**FORMS[form])
    page.goto(address)
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => one.open = true)")
    return page


@pytest.mark.parametrize("form", FORMS)
def test_nothing_hangs_out_and_all_text_can_be_read(browser: Browser, address: str, form: str) -> None:
    page = opened(browser, address, form)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(HANGING) == []
    assert page.evaluate(FAINT) == []
    assert page.locator("nav.contents a").count() == page.locator("nav.contents a:visible").count() > 2
    if form.startswith("phone"):
        assert page.evaluate(SCROLLED) == [], "nothing is to be scrolled sideways on a phone"
        assert page.locator("ol.steps").is_visible()
        assert not page.locator("svg.chain").is_visible()
    page.close()


def test_dark_is_dark_and_light_is_light(browser: Browser, address: str) -> None:
    sums = []
    for form in ("light", "dark"):
        page = opened(browser, address, form)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        sums.append(sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))))
        page.close()
    assert sums[0] > 700
    assert sums[1] < 100


def test_it_prints_whole(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": A4, "height": 1000}, color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print")
    assert page.evaluate(CUT, A4) == []
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 32, 42)", "ink is dark on paper"
    assert not page.locator("nav.contents").is_visible()
    for name in ("tr", ".tile", "svg"):
        if page.locator(name).count():
            rule = f"getComputedStyle(document.querySelector('{name}')).breakInside"
            assert page.evaluate(rule) == "avoid"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
