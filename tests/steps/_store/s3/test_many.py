"""Many small objects at a time: the answers keep their order, and what fails on the way is had alone."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.steps.conftest import Environ, Front

from colchis_steps._content.blobs import check_files, scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.api import Blob, Objects, bulk
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.store import WINDOW, S3Store
from colchis_steps._store.sums import SMALL, Sums, read_small, read_sums

KINDS = ["whole", "last", "absent", "long"]


class Moody(BaseHTTPRequestHandler):
    """Answers each GET as the last part of its path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, _, number = self.path.rpartition("/")[2].partition("-")
        body = b"x" * (SMALL + 1) if kind == "long" else number.encode()
        self.send_response(404 if kind == "absent" else 200)
        self.send_header("Content-Length", str(len(body)))
        if kind == "last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """Does not tell of clients that hang up."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def moody() -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), Moody)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=3 * WINDOW))
def test_answers_come_in_order_whatever_happens(moody: str, aws: pytest.MonkeyPatch, kinds: list[str]) -> None:
    aws.setenv("AWS_ENDPOINT_URL", moody)
    found = bulk(open_store("s3://bucket/x")).read_all([f"{kind}-{number}" for number, kind in enumerate(kinds)])
    assert list(found) == [b"%d" % number if kind in {"whole", "last"} else None for number, kind in enumerate(kinds)]


def test_many_objects_go_there_and_come_back(store: Objects, tmp_path: Path) -> None:
    blobs = []
    for number in range(3):
        path = tmp_path / f"{number}"
        path.write_bytes(b"x" * number)
        blobs.append(Blob(f"k/{number}", path, read_sums(path)))
    keys = [blob.key for blob in blobs]
    assert list(bulk(store).upload_all(blobs[:2])) == blobs[:2]
    assert list(bulk(store).upload_all(iter(blobs))) == blobs[2:]
    assert [found.size if found else None for found in bulk(store).find_all([*keys, "absent"])] == [0, 1, 2, None]
    assert list(bulk(store).read_all([*keys, "absent"])) == [b"", b"x", b"xx", None]
    assert list(bulk(store).copy_all([("k/1", "copy é+ %"), ("absent", "b"), ("k/2", "k/2")])) == [True, False, True]
    assert (store.read("copy é+ %"), store.size("b"), store.read("k/2")) == (b"x", None, b"xx")
    assert [
        list(many([]))
        for many in (bulk(store).upload_all, bulk(store).find_all, bulk(store).read_all, bulk(store).copy_all)
    ] == [[]] * 4


def test_a_bad_key_among_many_is_refused(store: Objects) -> None:
    for many in (
        bulk(store).find_all,
        bulk(store).read_all,
        lambda keys: bulk(store).copy_all([("a", key) for key in keys]),
    ):
        with pytest.raises(InputError, match="is not a key of a store"):
            list(many(["a", "../b"]))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files for more than one batch, and one that is not small."""
    monkeypatch.setattr("colchis_steps._content.storing.BATCH", 16)
    directory = tmp_path / "model"
    directory.mkdir()
    for number in range(40):
        (directory / f"{number:03}").write_bytes(os.urandom(30))
    (directory / "large").write_bytes(os.urandom(SMALL + 1))
    return directory


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def stored(store: Objects, model: Path) -> list[File]:
    moved = list[int]()
    files = store_directory(store, model, moved.append).files
    assert sum(moved) == sum(file.size for file in files)
    check_files(store, files)
    return files


def at_first(method: str, answer: tuple[int, str]) -> Callable[[Environ], tuple[int, str] | None]:
    """Refuse the first request of this method for each blob."""
    seen = set[str]()

    def fault(environ: Environ) -> tuple[int, str] | None:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != method or "/blobs/" not in path or path in seen:
            return None
        seen.add(path)
        return answer

    return fault


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("PUT", (503, "SlowDown")),
        ("PUT", (409, "ConditionalRequestConflict")),
        ("GET", (503, "SlowDown")),
        ("HEAD", (503, "SlowDown")),
    ],
)
def test_what_is_refused_for_a_moment_is_sent_again(
    front: Front, bucket: str, model: Path, method: str, answer: tuple[int, str]
) -> None:
    front(at_first(method, answer))
    for _ in range(2):
        stored(open_store(f"s3://{bucket}/x"), model)


@pytest.mark.parametrize("size", [0, 29, 30, 31, 2 * SMALL])
def test_an_altered_blob_among_many_is_stored_again(store: Objects, model: Path, size: int) -> None:
    files = stored(store, model)
    for file in (files[3], files[-2]):
        store.write(blob_key(file.sha256), os.urandom(size))
    with pytest.raises(InputError, match=rf"blob [0-9a-f]+ of \d+ .* is altered \({size} bytes"):
        check_files(store, files)
    stored(store, model)


def test_a_missing_blob_among_many_is_named_and_stored_again(store: Objects, model: Path, tmp_path: Path) -> None:
    files = stored(store, model)
    store.delete(blob_key(files[7].sha256))
    with pytest.raises(InputError, match=f"{files[7].sha256} of 007 is missing"):
        check_files(store, files)
    with pytest.raises(InputError, match=f"{files[7].sha256} of 007 is missing"):
        fetch_files(store, files, tmp_path / "back")
    stored(store, model)
    fetch_files(store, files, tmp_path / "back")
    assert scan(tmp_path / "back") == scan(model)


def test_blobs_that_are_old_are_made_young_again(bucket: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colchis_steps._content.storing.YOUNG", -3600)  # everything is older than that
    store = open_store(f"s3://{bucket}/x")
    files = stored(store, model)
    before = {
        item["Key"]: item["LastModified"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    }
    copied = list[int]()
    whole = S3Store.copy_all

    def copy_all(self: S3Store, pairs: list[tuple[str, str]]) -> Iterator[bool]:
        copied.append(len(pairs))
        return whole(self, pairs)

    monkeypatch.setattr(S3Store, "copy_all", copy_all)
    stored(store, model)
    assert sum(copied) == len(files) - 1
    after = {
        item["Key"]: item["LastModified"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    }
    assert before.keys() == after.keys()
    assert all(after[key] >= before[key] for key in before)


def test_what_was_hashed_is_what_is_sent_of_a_small_file(
    store: Objects, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scan(model)

    def changing(path: Path) -> tuple[bytes, Sums]:
        read = read_small(path)
        path.write_bytes(b"other bytes")
        return read

    monkeypatch.setattr("colchis_steps._content.storing.read_small", changing)
    assert stored(store, model) == before


def test_a_bucket_that_goes_away_is_transient(
    front: Front, bucket: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    front(lambda environ: (503, "SlowDown") if environ["REQUEST_METHOD"] == "GET" else None)
    with pytest.raises(TransientError, match="cannot serve"):
        stored(open_store(f"s3://{bucket}/x"), model)
