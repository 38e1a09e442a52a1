"""Many small objects at a time: the answers keep their order, and what fails on the way is had alone."""

import os
import socket
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
from colchis_steps._store.api import Blob, Store, bulk
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.send import SHORT, WINDOW
from colchis_steps._store.s3.store import S3Store
from colchis_steps._store.s3.wire import Wire, Wires
from colchis_steps._store.sums import SMALL, Sums, read_small, read_sums

KINDS = ["whole", "last", "drop", "half", "busy", "absent", "long"]


class Moody(BaseHTTPRequestHandler):
    """Answers each GET as the last part of its path says."""

    protocol_version = "HTTP/1.1"
    together: threading.Semaphore

    def do_GET(self) -> None:
        kind, _, number = self.path.rpartition("/")[2].partition("-")
        if not self.together.acquire(blocking=False):
            kind = "busy"  # more at a time than there should be
        try:
            self.answer(kind, number)
        finally:
            self.together.release()

    def answer(self, kind: str, number: str) -> None:
        body = {"long": b"x" * (SHORT + 1)}.get(kind, number.encode())
        self.close_connection = kind in {"last", "drop", "half"}
        if kind == "drop":
            return
        self.send_response({"busy": 503, "absent": 404}.get(kind, 200))
        self.send_header("Content-Length", str(len(body) + (kind == "half")))
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
    Moody.together = threading.Semaphore(WINDOW)
    server = Quiet(("127.0.0.1", 0), Moody)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=3 * WINDOW))
def test_answers_come_in_order_whatever_happens(moody: str, aws: pytest.MonkeyPatch, kinds: list[str]) -> None:
    aws.setenv("AWS_ENDPOINT_URL", moody)
    found = bulk(open_store("s3://bucket/x")).read_all([f"{kind}-{number}" for number, kind in enumerate(kinds)])
    assert list(found) == [b"%d" % number if kind in {"whole", "last"} else None for number, kind in enumerate(kinds)]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Count how often a connection is asked for."""
    take, count = Wires.take, list[None]()

    def counted(self: Wires) -> Wire:
        count.append(None)
        return take(self)

    monkeypatch.setattr(Wires, "take", counted)
    return count


def test_a_server_that_is_away_is_not_asked_again_and_again(aws: pytest.MonkeyPatch, taken: list[None]) -> None:
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert list(bulk(open_store("s3://bucket/x")).read_all([f"{number}" for number in range(100)])) == [None] * 100
    assert len(taken) == 1


def test_a_server_that_keeps_silent_is_waited_for_once(
    aws: pytest.MonkeyPatch, taken: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colchis_steps._store.s3.wire.WAIT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=2 * WINDOW) as silent:
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert list(bulk(open_store("s3://bucket/x")).read_all([f"{number}" for number in range(100)])) == [None] * 100
    assert len(taken) == WINDOW


def test_many_objects_go_there_and_come_back(store: Store, tmp_path: Path) -> None:
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


def test_a_bad_key_among_many_is_refused(store: Store) -> None:
    for many in (
        bulk(store).find_all,
        bulk(store).read_all,
        lambda keys: bulk(store).copy_all([("a", key) for key in keys]),
    ):
        with pytest.raises(InputError, match="is no key of a store"):
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
    monkeypatch.setattr("colchis_steps._store.s3.send.time.sleep", lambda _: None)


def stored(store: Store, model: Path) -> list[File]:
    moved = list[int]()
    files = store_directory(store, model, moved.append).files
    assert sum(moved) == sum(file.size for file in files)
    check_files(store, files)
    return files


def often(method: str, answer: tuple[int, str]) -> Callable[[Environ], tuple[int, str] | None]:
    """Refuse every third request of this method."""
    turns = iter(range(1 << 30))
    return lambda e: (
        answer if e["REQUEST_METHOD"] == method and "/blobs/" in e["PATH_INFO"] and not next(turns) % 3 else None
    )


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
    front(often(method, answer))
    for _ in range(2):
        stored(open_store(f"s3://{bucket}/x"), model)


@pytest.mark.parametrize("size", [0, 29, 30, 31, 2 * SHORT])
def test_an_altered_blob_among_many_is_stored_again(store: Store, model: Path, size: int) -> None:
    files = stored(store, model)
    for file in (files[3], files[-2]):
        store.write(blob_key(file.sha256), os.urandom(size))
    with pytest.raises(InputError, match=rf"blob [0-9a-f]+ of \d+ .* is altered \({size} bytes"):
        check_files(store, files)
    stored(store, model)


def test_a_missing_blob_among_many_is_named_and_stored_again(store: Store, model: Path, tmp_path: Path) -> None:
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
    store: Store, model: Path, monkeypatch: pytest.MonkeyPatch
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
    monkeypatch.setattr("colchis_steps._store.s3.bucket.ATTEMPTS", 2)
    front(lambda environ: (503, "SlowDown") if environ["REQUEST_METHOD"] == "GET" else None)
    with pytest.raises(TransientError, match="cannot serve"):
        stored(open_store(f"s3://{bucket}/x"), model)
