from pathlib import Path

import pytest
from tests.steps.imports import Importer


@pytest.fixture
def importer(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Importer:
    monkeypatch.delenv("COLCHIS_COMMAND", raising=False)
    return Importer(tmp_path, capsys, caplog)
