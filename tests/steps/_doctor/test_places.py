"""The bucket and the registry as ``doctor`` tries them: real calls to servers of this test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.steps._oci.registry_server import Reply, Server, running

from colchis_steps._doctor.places import try_registry, try_store
from colchis_steps._store.directory import FileStore


def test_a_good_store_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    found = try_store(f"file://{tmp_path}/store")
    assert [(f.name, f.state) for f in found] == [("bucket", "fine"), ("conditional writes", "fine")]
    assert list(FileStore(tmp_path / "store").keys("")) == []


@pytest.mark.parametrize(
    ("method", "what"),
    [("create", "If-None-Match: * overwrites"), ("replace", "If-Match with an old tag overwrites")],
)
def test_a_store_that_passes_over_conditions_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, what: str
) -> None:
    def careless(store: FileStore, key: str, content: bytes, *_: object) -> bool:
        store.write(key, content)
        return True

    monkeypatch.setattr(FileStore, method, careless)
    found = try_store(f"file://{tmp_path}/store")
    assert [(f.name, f.state) for f in found] == [("bucket", "fine"), ("conditional writes", "wrong")]
    assert what in found[1].text
    assert "MinIO" in found[1].fix


def test_a_store_that_is_none_or_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert [f.state for f in try_store("")] == ["skipped"]
    assert [f.state for f in try_store("gs://bucket")] == ["wrong"]
    [finding] = try_store("s3://bucket")
    assert (finding.state, "start it, or correct AWS_ENDPOINT_URL" in finding.fix) == ("away", True)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", ())
    with running() as server:
        yield server


def test_an_upload_is_opened_and_cancelled(registry: Server) -> None:
    assert try_registry(f"{registry.url}/models", insecure=False).state == "fine"
    assert [request.method for request in registry.seen] == ["GET", "HEAD", "POST", "PATCH", "DELETE"]
    assert (registry.uploads, registry.blobs) == ({}, {})


def test_a_registry_that_refuses_is_a_finding_and_one_that_is_away_is_away(registry: Server) -> None:
    registry.before.append(lambda request: Reply(403) if "/secret/" in request.path else None)
    refused = try_registry(f"{registry.url}/secret", insecure=False)
    assert (refused.state, "docker login" in refused.fix) == ("wrong", True)
    assert try_registry("127.0.0.1:9/models", insecure=False).state == "away"
    assert try_registry("", insecure=False).state == "skipped"
    assert try_registry("oci:/tmp/images", insecure=False).state == "wrong"
