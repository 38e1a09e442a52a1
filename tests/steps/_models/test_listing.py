"""The list of digests that may serve: what is written, and nothing from a machine that is no pod."""

import re
from pathlib import Path

import pytest
from tests.steps._models.test_mirror import RECORD

from colchis_steps._models import listing


def test_a_digest_is_a_key_that_a_config_map_takes() -> None:
    assert listing.digest_entry(RECORD) == {"data": {"sha256-1": "digits/3"}}
    assert re.fullmatch(r"[-._a-zA-Z0-9]+", next(iter(listing.digest_entry(RECORD)["data"])))


def test_a_machine_that_is_no_pod_lists_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listing, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))  # would be an error
    listing.list_digest(RECORD)
