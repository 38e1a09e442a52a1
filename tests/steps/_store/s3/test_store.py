"""What can be wrong with a bucket, and what an S3 store does about it; faults are put in front of a real server."""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.steps.conftest import Environ, Front

from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store import sums
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store


def uses(store: Objects, file: Path) -> list[Callable[[], object]]:
    file.write_bytes(bytes(sums.PART + 1))
    return [
        lambda: store.read("k"),
        lambda: list(store.stream("k")),
        lambda: store.size("k"),
        lambda: list(store.keys("")),
        lambda: store.write("k", b""),
        lambda: store.create("k", b""),
        lambda: store.replace("k", b"", "tag"),
        lambda: store.upload("k", file),
        lambda: store.delete("k"),
    ]


def is_upload(environ: Environ) -> bool:
    return environ["REQUEST_METHOD"] == "PUT" and "partNumber" in environ["QUERY_STRING"]


def unfinished(bucket: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return found


def test_an_absent_bucket_is_named_by_each_use(bucket: str, moto_url: str, tmp_path: Path) -> None:
    for use in uses(open_store("s3://absent-bucket/x"), tmp_path / "f"):
        with pytest.raises(InputError, match=f"bucket 'absent-bucket' is absent at {moto_url}; create it or") as caught:
            use()
        assert caught.value.__cause__


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirections_that_lead_nowhere_end(bucket: str, front: Front, tmp_path: Path, status: int) -> None:
    asked: list[str] = []

    def away(environ: Environ) -> tuple[int, str]:
        asked.append(environ["REQUEST_METHOD"])
        return status, "PermanentRedirect"

    front(away, {"Location": "/again"})
    for use in uses(open_store(f"s3://{bucket}"), tmp_path / "f"):
        before = len(asked)
        with pytest.raises(InputError, match="refuses"):
            use()
        assert len(asked) - before <= 12


def test_wrong_credentials_are_named_by_each_use(bucket: str, auth: None, moto_url: str, tmp_path: Path) -> None:
    for use in uses(open_store(f"s3://{bucket}"), tmp_path / "f"):
        with pytest.raises(InputError, match=rf"{moto_url} (does not accept the cred|denies).*check AWS_ACCESS_KEY_ID"):
            use()


def test_no_credentials_are_named(bucket: str, aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InputError, match=rf"no credentials for s3://{bucket} at http://.*; check AWS_ACCESS_KEY_ID"):
        open_store(f"s3://{bucket}").read("k")


@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL", "no url")])
def test_wrong_settings_are_named(aws: pytest.MonkeyPatch, name: str, value: str) -> None:
    aws.setenv(name, value)
    with pytest.raises(InputError, match=rf"no client for s3://b1 \(.*{value}.*correct the AWS_ settings"):
        open_store("s3://b1")


def test_a_server_that_is_away_is_transient(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_MAX_ATTEMPTS", "2")
    with socket.socket() as taken:  # bound and not listening: refuses
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        aws.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(
            TransientError, match=f"no answer from {url}, the server of s3://b1/x; start it, or correct"
        ):
            open_store("s3://b1/x").read("k")


ANSWERS: list[tuple[int, str, type[StepError], str]] = [
    (507, "XMinioStorageFull", InputError, "is full; free space there, or give another store"),
    (500, "InternalError: cause(no space left on device)", InputError, "is full; free space there"),
    (403, "AccessDenied", InputError, "denies PutObject of k in s3://.*; grant s3:PutObject"),
    (403, "RequestTimeTooSkewed", InputError, "clock differs"),
    (400, "ExpiredToken", InputError, r"does not accept the credentials for .* \(ExpiredToken\)"),
    (400, "Curious", InputError, r"refuses PutObject of k in .* \(Curious: a fault\); change what it names"),
    (409, "ConditionalRequestConflict", TransientError, "others keep writing k in .*; try again"),
    (503, "SlowDown", TransientError, r"cannot serve .* just now \(SlowDown\); try again"),
    (400, "BadDigest", TransientError, "did not reach .* whole"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer[1] for answer in ANSWERS])
def test_an_answer_becomes_a_sentence(
    front: Front, bucket: str, answer: tuple[int, str, type[StepError], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("colchis_steps._store.s3.bucket.ATTEMPTS", 1)
    status, code, kind, words = answer
    front(lambda _: (status, code))
    with pytest.raises(kind, match=words):
        open_store(f"s3://{bucket}").create("k", b"x")


def test_a_short_fault_is_sat_out(front: Front, bucket: str) -> None:
    faults = [(409, "ConditionalRequestConflict"), (503, "SlowDown"), (500, "InternalError")]
    front(lambda _: faults.pop() if faults else None)
    store = open_store(f"s3://{bucket}")
    assert store.create("k", b"x")
    assert store.read("k") == b"x"


def test_a_server_without_the_sdks_checksums_is_used_without_and_said(
    front: Front, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(environ: Environ) -> tuple[int, str] | None:
        told = any(name.startswith(("HTTP_X_AMZ_CHECKSUM", "HTTP_X_AMZ_SDK_CHECKSUM")) for name in environ)
        return (400, "InvalidArgument") if told and environ["REQUEST_METHOD"] != "GET" else None

    front(fault)
    store, file = open_store(f"s3://{bucket}"), tmp_path / "file"
    file.write_bytes(content := os.urandom(sums.PART + 7))
    with caplog.at_level(logging.WARNING, "colchis"):
        assert store.upload("big", file)
        assert store.create("k", b"x")
    assert (b"".join(store.stream("big")), store.read("k")) == (content, b"x")
    assert [r.message.split(" (")[0].split("refuses ")[1] for r in caplog.records] == ["the SDK's checksums"]


def test_an_upload_that_is_refused_is_aborted(front: Front, bucket: str, tmp_path: Path) -> None:
    front(lambda environ: (507, "XMinioStorageFull") if is_upload(environ) else None)
    (tmp_path / "file").write_bytes(bytes(sums.PART * 3))
    store = open_store(f"s3://{bucket}")
    with pytest.raises(InputError, match="is full"):
        store.upload("k", tmp_path / "file")
    assert (store.size("k"), unfinished(bucket)) == (None, [])


def test_an_upload_that_was_cut_off_goes_on_where_it_was(
    front: Front, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    file, seen = tmp_path / "file", list[str]()

    def fault(environ: Environ) -> tuple[int, str] | None:
        if is_upload(environ):
            seen.append(environ["QUERY_STRING"])
            if "partNumber=4" in environ["QUERY_STRING"]:
                return 503, "SlowDown"
        return None

    front(fault)
    file.write_bytes(content := os.urandom(sums.PART * 3 + 99))
    with pytest.raises(TransientError, match="just now"):
        open_store(f"s3://{bucket}").upload("k", file)
    assert len(unfinished(bucket)) == 1
    assert open_store(f"s3://{bucket}").size("k") is None
    front(lambda environ: seen.append(environ["QUERY_STRING"]) if is_upload(environ) else None)
    seen.clear()
    sent = list[int]()
    store = open_store(f"s3://{bucket}")
    assert store.upload("k", file, sent.append)
    assert (len(seen), sent) == (1, [99])
    assert b"".join(store.stream("k")) == content
    assert unfinished(bucket) == []


def test_parts_of_other_bytes_are_not_taken_up(bucket: str, tmp_path: Path) -> None:
    client, file = boto3.client("s3"), tmp_path / "file"
    kind = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
    upload = client.create_multipart_upload(Bucket=bucket, Key="k", **kind)["UploadId"]
    for number in (1, 2):
        client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=bytes(sums.PART))
    file.write_bytes(content := bytes(sums.PART) + os.urandom(sums.PART))
    sent = list[int]()
    store = open_store(f"s3://{bucket}")
    assert store.upload("k", file, sent.append)
    assert sent == [sums.PART]
    assert b"".join(store.stream("k")) == content
