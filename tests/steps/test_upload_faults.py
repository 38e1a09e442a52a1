"""An upload past what a bucket's server or the way to it does wrong: whole in the end, or refused with its reason."""

import contextlib
import io
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from tests.steps.conftest import Environ, Front

from colchis_steps._content.storing import BATCH, store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store import sums
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.store import SMALL_IN_FLIGHT


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in six parts and some small ones; parts are small, so that this takes milliseconds."""
    monkeypatch.setattr(sums, "PART", 5 << 20)
    monkeypatch.setattr("colchis_steps._store.s3.store.PART", 5 << 20)
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "weights").write_bytes(os.urandom(26 << 20))
    for number in range(8):
        (directory / f"small {number}").write_bytes(os.urandom(1000))
    return directory


@pytest.fixture
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setattr("colchis_steps._store.s3.upload.ATTEMPTS", 2)


def send(url: str, model: Path) -> None:
    """Store the model and hold what is in the bucket against it."""
    store = open_store(url)
    for file in store_directory(store, model).files:
        assert store.read(blob_key(file.sha256)) == (model / file.path).read_bytes()


def parts_of(environ: Environ) -> bool:
    return environ["REQUEST_METHOD"] == "PUT" and "partNumber" in environ["QUERY_STRING"]


@pytest.fixture
def cut(moto_url: str, bucket: str, aws: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Put a way to the server before it that breaks each connection off after the bytes at the head of this list."""
    port, budgets = urlsplit(moto_url).port, list[int]()
    door = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, budget: float) -> None:
        with contextlib.suppress(OSError):
            while budget > 0 and (block := source.recv(1 << 16)):
                target.sendall(block)
                budget -= len(block)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def carry(near: socket.socket, far: socket.socket, budget: float) -> None:
        with near, far:
            back = threading.Thread(target=pump, args=(far, near, float("inf")))
            back.start()
            pump(near, far, budget)
            back.join()

    def accept() -> None:
        while True:
            try:
                near, _ = door.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            budget = budgets.pop(0) if budgets else float("inf")
            threading.Thread(target=carry, args=(near, far, budget), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{door.getsockname()[1]}")
    yield budgets
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join()


def test_a_small_file_is_one_request_whether_its_blob_is_there_or_not(
    front: Front, bucket: str, tmp_path: Path
) -> None:
    asked = list[str]()

    def note(environ: Environ) -> None:
        if "/blobs/" in environ["PATH_INFO"]:
            asked.append(environ["REQUEST_METHOD"])

    front(note)
    model = tmp_path / "many"
    model.mkdir()
    for number in range(BATCH + 40):
        (model / f"{number}").write_text(f"file {number}")
    store_directory(open_store(f"s3://{bucket}/x"), model)
    assert asked.count("PUT") == BATCH + 40
    assert len(asked) <= BATCH + 40 + SMALL_IN_FLIGHT  # the first that were written are read back
    asked.clear()
    store_directory(open_store(f"s3://{bucket}/x"), model)
    assert asked[:BATCH] == ["PUT"] * BATCH
    assert asked[BATCH:] == ["GET"] * (BATCH + 40)  # after the first batch they are expected to be there
    send(f"s3://{bucket}/x", model)


def test_connections_that_break_off_are_sat_out(cut: list[int], bucket: str, model: Path) -> None:
    cut += [1, 200, 700, 1500, 1 << 20, 3 << 20]
    send(f"s3://{bucket}/x", model)
    assert cut == []


@pytest.mark.parametrize(
    ("status", "code"), [(429, "TooManyRequests"), (500, "InternalError"), (503, "SlowDown"), (400, "BadDigest")]
)
def test_a_passing_fault_is_sat_out(front: Front, bucket: str, model: Path, status: int, code: str) -> None:
    faults = [(status, code)] * 3
    front(lambda environ: faults.pop() if faults and environ["REQUEST_METHOD"] == "PUT" else None)
    send(f"s3://{bucket}/x", model)
    assert faults == []


REFUSALS: list[tuple[int, str, type[StepError], str]] = [
    (507, "InsufficientStorage", InputError, "is full; free space there, or give another store"),
    (400, "ExpiredToken", InputError, r"does not accept the credentials for .* \(ExpiredToken\); check AWS_ACCESS"),
    (503, "SlowDown", TransientError, r"cannot serve .* just now \(SlowDown\); try again"),
    (400, "BadDigest", TransientError, "did not reach .* whole"),
]


@pytest.mark.usefixtures("few_attempts")
@pytest.mark.parametrize("answer", REFUSALS, ids=[answer[1] for answer in REFUSALS])
@pytest.mark.parametrize("of", ["parts", "small files"])
def test_a_lasting_fault_has_its_sentence(
    front: Front,
    bucket: str,
    model: Path,
    answer: tuple[int, str, type[StepError], str],
    of: str,
) -> None:
    status, code, kind, words = answer
    puts = "partNumber" if of == "parts" else ""
    front(lambda e: (status, code) if e["REQUEST_METHOD"] == "PUT" and puts in e["QUERY_STRING"] else None)
    with pytest.raises(kind, match=words):
        send(f"s3://{bucket}/x", model)
    uploads = boto3.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert len(uploads) <= (kind is TransientError)  # what nobody can go on with is ended


def test_a_bucket_that_is_elsewhere_is_named_with_its_region(front: Front, bucket: str, model: Path) -> None:
    def elsewhere(environ: Environ) -> tuple[int, str] | None:
        return (301, "PermanentRedirect") if environ["REQUEST_METHOD"] == "PUT" else None

    front(elsewhere, {"x-amz-bucket-region": "eu-west-1"})
    with pytest.raises(InputError, match="is in region eu-west-1; set AWS_REGION=eu-west-1"):
        send(f"s3://{bucket}/x", model)


def test_a_server_that_tells_no_checksum_gets_signed_bodies(
    front: Front, bucket: str, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = list[str]()

    def look(environ: Environ) -> None:
        if parts_of(environ):
            bodies.append(environ["HTTP_X_AMZ_CONTENT_SHA256"])

    front(look, {"x-amz-checksum-crc64nvme": ""})
    with caplog.at_level(logging.WARNING, "colchis"):
        send(f"s3://{bucket}/x", model)
    assert [r.message.split(" (")[0].split("refuses ")[1] for r in caplog.records] == ["the SDK's checksums"]
    assert bodies
    assert bodies.count("UNSIGNED-PAYLOAD") <= 4  # those that were on their way
    assert all(len(body) == 64 for body in bodies if body != "UNSIGNED-PAYLOAD")


def test_a_part_that_arrives_altered_is_sent_again(front: Front, bucket: str, model: Path) -> None:
    """A server that checks nothing, behind a way that spoils the first part: its ETag tells."""
    spoiled = list[str]()

    def spoil(environ: Environ) -> None:
        if parts_of(environ) and not spoiled:
            spoiled.append(environ["QUERY_STRING"])
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(b"!" + body[1:])

    front(spoil, {"x-amz-checksum-crc64nvme": ""})
    store = open_store(f"s3://{bucket}/x")
    assert store.upload("k", model / "weights")
    assert store.read("k") == (model / "weights").read_bytes()
    assert spoiled


@pytest.mark.parametrize("how", ["ignored", "not implemented"])
def test_without_conditional_writes_keys_are_looked_at_first(
    front: Front, bucket: str, model: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(environ: Environ) -> tuple[int, str] | None:
        found = [environ.pop(name, "") for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")]
        return (501, "NotImplemented") if any(found) and how == "not implemented" else None

    front(fault)
    store = open_store(f"s3://{bucket}/x")
    with caplog.at_level(logging.WARNING, "colchis"):
        assert store.create("k", b"first")
        assert not store.create("k", b"second")
        assert store.atomic is False
        assert store_directory(store, model).sent
        assert store_directory(store, model).sent == 0
        send(f"s3://{bucket}/y", model)
    assert store.read("k") == b"first"
    told = [r.message for r in caplog.records if "keys are looked at before they are written" in r.message]
    assert len(told) == (1 if how == "ignored" else 2)  # a store object knows from its first condition on


def test_a_server_that_lies_about_its_parts_is_not_believed_for_ever(
    front: Front, bucket: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setattr("colchis_steps._store.s3.upload.ATTEMPTS", 2)

    def lie(environ: Environ) -> tuple[int, str] | None:
        return (
            (400, "InvalidPart")
            if environ["REQUEST_METHOD"] == "POST" and "uploadId" in environ["QUERY_STRING"]
            else None
        )

    front(lie)
    with pytest.raises(TransientError, match="others keep writing blobs/sha256/"):
        send(f"s3://{bucket}/x", model)
