"""Layers that are known already save work; what cannot be read saves none, and stops nothing."""

import pytest
from tests.steps.conftest import MODEL_FILES, Published

from colchis_steps import build_image
from colchis_steps._packing.known import in_store


@pytest.mark.parametrize("key", ["models/digits/1/manifest.json", "runs/run-1/build_image.json"])
def test_layers_of_the_version_before_are_known_unless_it_cannot_be_read(
    published: Published, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    flags = [f"--store={published.store.url}", "--run=run-1", "--model=digits", "--version=1", "--builder=direct"]
    assert build_image.main([*flags, f"--repository=oci:{published.root}/images"]) == 0
    published.publish(MODEL_FILES, version=2, run="run-2")
    assert {path for path, _ in in_store(published.store, "digits", 2)} == set(MODEL_FILES)
    published.store.write(key, b"{")
    assert in_store(published.store, "digits", 2) == {}
    assert f"{key} is not a colchis.dev/" in caplog.text
