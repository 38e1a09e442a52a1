"""The demos at the gateway, in headless Chromium: canary and stable side by side, and a style by header."""

from pathlib import Path

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.browser import DIGITS, draw, launched
from tests.cluster.conftest import Site
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER

from colchis_steps._formats.data_v1 import Column, DataManifest, data_digest
from colchis_steps._formats.documents import encode, now

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]
SHARED = ["--action=canary", "--split=1=50,2=50", "--headers=style: transfer=2", "--step-seconds=1"]
SECONDS = 60_000
TROUBLED = "!document.querySelector('#trouble').hidden"


def described(site: Site, model: str, version: int, image: Column, classes: tuple[str, ...]) -> None:
    """Name in the record a data set that says what the values are; the page needs to know."""
    key = f"data/{model}/{version}"
    label = Column("label", "int64", (), 0.0, float(len(classes) - 1), classes)
    digest = data_digest(model, "label", (image, label), {})
    made = DataManifest(model, digest, "label", (image, label), {}, "made", now())
    site.store.write(f"{key}/manifest.json", encode(made))
    record = msgspec.structs.replace(site.record(model, version), data=f"{site.store.url}/{key}")
    site.store.write(f"models/{model}/{version}/record.json", encode(record))


@pytest.fixture(scope="module")
def models(site: Site) -> tuple[str, str]:
    """Two models with two versions each, half of the traffic for each version, and a header that chooses."""
    suffix = site.namespace.rpartition("-")[2]
    digits, colour = f"digits-{suffix}", f"colour-{suffix}"
    pixel = Column("image", "uint8", (8, 8), 0.0, 16.0)
    around = Column("image", "uint8", (9, 9, 2), 0.0, 255.0)
    for version, directory in enumerate(("digits", "tiny/2"), 1):
        site.publish(digits, version, directory)
        described(site, digits, version, pixel, tuple("0123456789"))
        site.publish(colour, version, f"paint/{version}")
        described(site, colour, version, around, ("#c04040", "#4040c0"))
    for model in (digits, colour):
        site.roll(model, 1)
        site.roll(model, 2, *SHARED)
    return digits, colour


def test_the_demos_work_at_the_gateway(site: Site, models: tuple[str, str], tmp_path: Path) -> None:
    digits, colour = models
    grey = Image.new("L", (40, 20), 40)
    grey.save(tmp_path / "dark.png")
    with launched() as browser:
        page = browser.new_page()
        page.set_default_timeout(SECONDS)
        page.goto(f"{GATEWAY}/board/{digits}?versions=1,2")
        expect(page.locator("#compare")).to_be_visible(timeout=SECONDS)
        draw(page, DIGITS["0"])
        expect(page.locator("#first .who")).to_contain_text("answered by version", timeout=SECONDS)
        page.check("#both")
        page.wait_for_function(f"document.querySelector('#second .class').textContent !== '\N{EN DASH}' || {TROUBLED}")
        expect(page.locator("#trouble")).to_have_text("")
        expect(page.locator("#first .class")).to_have_text("0", timeout=SECONDS)
        expect(page.locator("#second .class")).to_have_text("2", timeout=SECONDS)

        page.goto(f"{GATEWAY}/board/{colour}")
        expect(page.locator("#model")).to_have_text(f"{colour}: 2 colours", timeout=SECONDS)
        page.check("#styled")
        page.set_input_files("#file", tmp_path / "dark.png")
        captions = page.locator("figcaption strong")
        expect(captions).to_have_text(["grey", "version 2"], timeout=SECONDS)
        page.uncheck("#styled")
        expect(captions).to_have_count(3, timeout=SECONDS)
        for _ in range(20):  # all by chance one version: 1 in 2 million
            if "version 1" in captions.all_inner_texts():
                break
            before = captions.count()
            page.click("#again")
            expect(captions).to_have_count(before + 1, timeout=SECONDS)
        assert "version 1" in captions.all_inner_texts()
