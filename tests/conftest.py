"""What holds for every test: without a marker it starts neither process nor server, so `make unit` takes seconds."""

import subprocess
from collections.abc import Generator
from typing import NoReturn

import pytest
from hypothesis import settings

MARKERS = ("servers", "tensorflow", "browser", "cluster", "long")
STARTERS = {"docker_registry", "front", "minio", "minio_url", "moto_url", "versitygw_url"}  # fixtures that start one

settings.register_profile("any machine", deadline=None)  # how long an example takes is the machine's matter
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and STARTERS.intersection(item.fixturenames):
            item.add_marker(pytest.mark.servers)


def refuse(*_: object, **__: object) -> NoReturn:
    pytest.fail("it starts a process, so `make unit` is not for it: mark it `servers`, or with what it starts")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test, and what it makes ready, start processes only where a marker says so."""
    if any(map(item.get_closest_marker, MARKERS)):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        return (yield)
