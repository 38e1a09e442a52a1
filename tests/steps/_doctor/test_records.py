"""doctor lists the versions whose verdict is bound to nothing."""

from pathlib import Path

from tests.steps.registered import put_on_record

from colchis_steps._doctor.records import external_versions
from colchis_steps._formats.documents import now
from colchis_steps._formats.models import Manifest, tree_digest
from colchis_steps._store.opening import open_store


def test_versions_of_an_older_release_are_listed(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    assert external_versions("") == []
    assert [found.state for found in external_versions(store.url)] == ["fine"]
    for version in range(1, 8):
        manifest = Manifest("digits", version, "r", (), tree_digest([]), now())
        evaluation = "" if version != 4 else "sha256:judged"
        put_on_record(store, manifest, f"host/digits@sha256:{version:064}", evaluation=evaluation)
    (found,) = external_versions(store.url)
    assert found.state == "skipped"
    assert found.text.startswith("digits:1, digits:2, digits:3, digits:5, digits:6 and 1 more: of an older release")
    assert "gone back to" in found.fix
