"""Documents are read with a bound: what a run's own code wrote may be as large as it likes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from colchis_steps._formats.documents import Unreadable, encode
from colchis_steps._formats.models import Alias
from colchis_steps._store.api import NotFound, Objects, TooLarge
from colchis_steps._store.documents import DOCUMENT, find_document, legible_document, read_document

ALIAS = Alias("digits", 1, "2026-11-29T00:00:00Z")


@pytest.mark.servers
def test_what_is_larger_than_any_document_is_refused_by_its_size(
    store: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "big").write_bytes(encode(ALIAS) + b" " * DOCUMENT)
    store.upload("big", tmp_path / "big")
    for read in (read_document, find_document):
        with pytest.raises(
            Unreadable, match=rf"big in .* has \d+ bytes, and what belongs there has at most {DOCUMENT}"
        ):
            read(store, "big", Alias)
    assert legible_document(store, "big", Alias) is None
    assert "left out: big in" in caplog.text
    store.write("just", encode(ALIAS) + b" " * 100)
    assert read_document(store, "just", Alias) == ALIAS
    with pytest.raises(NotFound):
        read_document(store, "absent", Alias)
    size = len(encode(ALIAS)) + 100
    assert len(store.read("just", size)) == size
    with pytest.raises(TooLarge):
        store.read_tagged("just", size - 1)


@pytest.mark.servers
@pytest.mark.parametrize("name", ["evaluate", "training/history", "model", "golden", "train"])
def test_a_gigabyte_where_a_document_belongs_does_not_end_the_report(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs/r/training").mkdir(parents=True)
    with (tmp_path / f"runs/r/{name}.json").open("wb") as file:
        file.truncate(1 << 30)
    flags = [f"--store={tmp_path.as_uri()}", "--run=r", "--status=Failed", f"--report-path={tmp_path}/report.html"]
    done = subprocess.run(
        [sys.executable, "-m", "colchis_steps.report", *flags],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20)),
        env={"PATH": "", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size < 1 << 20
