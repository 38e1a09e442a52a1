"""What the tests of the back-ends share."""

from pathlib import Path

import pytest

from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._training.backends import job as _training_job


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(_training_job, "POLL", 0.001)
    monkeypatch.delenv("COLCHIS_POD", raising=False)
    return open_store(tmp_path.as_uri())
