"""The overview of the served models, which needs no browser: the newest comes first, and names are no markup."""

import html
import os
from pathlib import Path
from typing import Any

import pytest
from tests.steps._serving.server.form_site import HOSTILE, site

from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._serving.server import pages
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.refusals import Refused


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    models = site(tmp_path / "site")
    load: Any = lambda path, _: models[path.name][0]  # noqa: E731
    found = Registry(load=load)
    configured = {}
    for number, name in enumerate(["vector", "odd", "words"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 1000 * number))
        configured[name] = ServedModel({1: str(tmp_path / name)})
    found.apply(Config(configured), "x")
    return found


def test_the_newest_model_is_first_and_is_what_a_person_tries(registry: Registry, tmp_path: Path) -> None:
    page = pages.overview(registry)
    assert page.index(">words<") < page.index(">odd<") < page.index(">vector<")
    assert pages.board_of(registry) == "words"
    os.utime(tmp_path / "vector", (0, 9000))
    assert pages.board_of(registry) == "vector"
    assert html.escape(HOSTILE) in page
    assert HOSTILE not in page
    assert "<script" not in page


def test_without_a_model_there_is_nothing_to_try() -> None:
    with pytest.raises(Refused, match="nothing to try"):
        pages.board_of(Registry())
