"""A real server closes connections that were idle for a while: what comes after a pause works as what came before."""

import time
from pathlib import Path

import pytest
from tests.steps.conftest import REAL, real_store

from colchis_steps._content.storing import store_directory
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.long
PAUSE = 40  # seconds; MinIO ends a connection that was idle for 30


@pytest.mark.parametrize("server", REAL)
def test_documents_and_bytes_go_on_after_a_pause(
    request: pytest.FixtureRequest, server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(real_store(request, server))
    for turn in range(3):
        if turn:
            time.sleep(PAUSE)  # the pause itself is what is tried
        store.write("document.json", b"%d" % turn)
        directory = tmp_path / str(turn)
        directory.mkdir()
        for number in range(40):  # by the accelerator
            (directory / f"{number:02}").write_bytes(b"%d of %d" % (number, turn))
        (directory / "large").write_bytes(b"%d" % turn * (17 << 20))  # in parts
        found = store_directory(store, directory)
        assert len(found.files) == 41
        assert store.read("document.json") == b"%d" % turn
        assert store.size(f"blobs/sha256/{found.files[-1].sha256}") == 17 << 20
    assert caplog.messages == []
