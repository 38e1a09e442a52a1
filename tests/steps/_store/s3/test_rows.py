"""Each row by boto3's own call, by a step's documents and blobs, and by ``doctor``: they come to the same end."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore import exceptions as sdk
from tests.steps._store.s3.rows import ALL, THEIRS_FAIL, World
from tests.steps._store.s3.server import BUCKET, Asked, closing_all, refusal

from colchis_steps._content.blobs import scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._doctor.places import try_store
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._store import sums
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.small import GIVE_UP
from colchis_steps._store.s3.store import SMALL_IN_FLIGHT

STORE = f"s3://{BUCKET}/x"
PART = 200_000


@pytest.fixture
def world(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """A world without proxies; parts and ranges are small, so that a row takes milliseconds."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        aws.delenv(name, raising=False)
        aws.delenv(name.lower(), raising=False)
    aws.delenv("REQUESTS_CA_BUNDLE", raising=False)
    for place in ("_store.sums", "_store.s3.store"):
        aws.setattr(f"colchis_steps.{place}.PART", PART)
    aws.setattr("colchis_steps._content.fetching.RANGE", PART // 2)
    with closing_all() as opened:
        yield World(aws, tmp_path, opened)


def by_a_step(directory: Path) -> None:
    """Write documents under conditions, store a small file and one in parts, ask for them, fetch them in ranges."""
    store = open_store(STORE)
    assert store.create("doc.json", b"first")
    assert not store.create("doc.json", b"other")
    content, tag = store.read_tagged("doc.json")
    store.replace("doc.json", b"second", tag)
    assert (content, store.read("doc.json")) == (b"first", b"second")
    there = directory / "model"
    there.mkdir()
    (there / "small").write_bytes(b"small")
    (there / "large").write_bytes(bytes(range(256)) * (2 * PART // 256) + b"end")
    files = store_directory(store, there).files
    assert [store.size(blob_key(file.sha256)) for file in files] == [file.size for file in files]
    fetch_files(store, files, directory / "back")
    assert scan(directory / "back") == files
    assert store.find("absent") is None
    assert len(list(store.keys(""))) == 3


def by_boto3() -> None:
    client = boto3.session.Session().client("s3")
    client.put_object(Bucket=BUCKET, Key="theirs", Body=b"first")
    assert client.get_object(Bucket=BUCKET, Key="theirs")["Body"].read() == b"first"
    client.head_object(Bucket=BUCKET, Key="theirs")
    client.list_objects_v2(Bucket=BUCKET)


@pytest.mark.servers
@pytest.mark.parametrize("name", ALL)
def test_a_step_works_or_says_why_not(world: World, name: str, tmp_path: Path) -> None:
    words = ALL[name](world)
    if words:
        with pytest.raises(StepError, match=words):
            by_a_step(tmp_path)
    else:
        by_a_step(tmp_path)


def test_a_region_by_the_other_name_is_gone_to_at_once(world: World, tmp_path: Path) -> None:
    ALL["region_by_the_other_name"](world)
    by_a_step(tmp_path)
    assert all(it.host.endswith("s3.eu-west-1.amazonaws.com") for it in world.server.asked)


def small_files(directory: Path) -> list[File]:
    directory.mkdir()
    for number in range(60):
        (directory / f"{number}").write_text(f"file {number}")
    return scan(directory)


def by_the_sdk(asked: Asked) -> bool:
    return "Boto3" in asked.headers["user-agent"]


@pytest.mark.parametrize("refused", [False, True], ids=["served", "refused"])
def test_many_small_files_go_by_obstore_or_else_by_boto3(world: World, tmp_path: Path, refused: bool) -> None:
    server, files = world.serve(), small_files(tmp_path / "model")
    server.before = lambda it: refusal(500, "InternalError") if refused and not by_the_sdk(it) else None
    store = open_store(STORE)
    assert store.create("doc.json", b"read back")
    assert store_directory(store, tmp_path / "model").files == files
    fetch_files(store, files, tmp_path / "back")
    assert scan(tmp_path / "back") == files
    quick = [it for it in server.asked if not by_the_sdk(it)]
    assert len(quick) < GIVE_UP + SMALL_IN_FLIGHT if refused else len(quick) == 2 * len(files)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL_S3", "{}"),
        ("AWS_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_BUCKET", "another"),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "false"),
        ("AWS_ALLOW_HTTP", "false"),
        ("AWS_SKIP_SIGNATURE", "true"),
        ("AWS_UNSIGNED_PAYLOAD", "true"),
        ("AWS_CONDITIONAL_PUT", "disabled"),
        ("AWS_S3_EXPRESS", "true"),
    ],
)
def test_obstore_goes_where_boto3_goes_whatever_it_reads_in_the_environment(
    world: World, tmp_path: Path, name: str, value: str
) -> None:
    server, files = world.serve(), small_files(tmp_path / "model")
    if name == "AWS_ENDPOINT_URL_S3":
        world.aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    world.aws.setenv(name, value.format(server.url))
    store = open_store(STORE)
    assert store.create("doc.json", b"read back")
    store_directory(store, tmp_path / "model")
    fetch_files(store, files, tmp_path / "back")
    assert scan(tmp_path / "back") == files
    quick = [it for it in server.asked if not by_the_sdk(it)]
    assert len(quick) == 2 * len(files)
    assert all("authorization" in it.headers for it in quick)
    assert all(it.headers.get("if-none-match") == "*" for it in quick if it.method == "PUT")


def test_a_bucket_that_went_away_has_boto3s_sentence(world: World, tmp_path: Path) -> None:
    server, files = world.serve(), small_files(tmp_path / "model")
    store = open_store(STORE)
    assert store.create("doc.json", b"read back")
    store_directory(store, tmp_path / "model")
    server.before = lambda it: refusal(404, "NoSuchBucket")
    with pytest.raises(InputError, match="bucket 'bucket' is absent"):
        store_directory(store, tmp_path / "model")
    with pytest.raises(InputError, match="bucket 'bucket' is absent"):
        fetch_files(open_store(STORE), files, tmp_path / "back")


@pytest.mark.parametrize("knows", ["refuses", "is silent about"])
@pytest.mark.parametrize("size", [PART // 2, 3 * PART])
def test_a_file_that_changes_is_not_stored_by_a_server_without_the_checksum(
    world: World, tmp_path: Path, knows: str, size: int
) -> None:
    """Its size and its time say nothing here, nor does the server."""
    server = world.serve()
    if knows == "refuses":
        server.before = lambda it: refusal(400, "InvalidRequest") if "x-amz-checksum-crc64nvme" in it.headers else None
    else:
        server.after = lambda it, answer: answer._replace(
            headers={name: value for name, value in answer.headers.items() if "checksum" not in name}
        )
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    found, times = sums.read_sums(file), file.stat()
    file.write_bytes(b"other" + bytes(size - 5))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StepError, match=r"changed while it was|did not reach"):
        open_store(STORE).upload("k", file, None, found._replace(stamp=sums.read_sums(file).stamp))
    assert "k" not in server.objects


def test_nothing_goes_by_obstore_before_the_first_object_was_read_back(world: World, tmp_path: Path) -> None:
    server, _ = world.serve(), small_files(tmp_path / "model")
    server.after = lambda it, answer: answer._replace(headers={}) if it.method == "GET" else answer  # no tag
    store_directory(open_store(STORE), tmp_path / "model")
    assert all(by_the_sdk(it) for it in server.asked)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_connections_that_the_server_closed_meanwhile_are_opened_anew(world: World, tmp_path: Path, tls: bool) -> None:
    """Without a second attempt: a training of minutes lies between two checkpoints."""
    world.aws.setenv("AWS_MAX_ATTEMPTS", "1")
    server = world.serve(tls=tls, idle=0.5)
    store, file = open_store(STORE), tmp_path / "file"
    for number in range(3):
        file.write_bytes(bytes([number]) * (3 * PART))
        assert store.upload(f"{number}", file)
        assert store.create(f"{number}.json", b"{}")
        assert b"".join(store.stream(f"{number}", 1000)) == file.read_bytes()
        deadline = time.monotonic() + 60
        while server.open:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.servers
@pytest.mark.parametrize("name", ALL)
def test_boto3_works_where_a_step_does(world: World, name: str) -> None:
    words = ALL[name](world)
    if words or name in THEIRS_FAIL:
        with pytest.raises((sdk.BotoCoreError, sdk.ClientError, AssertionError)):
            by_boto3()
    else:
        by_boto3()


@pytest.mark.servers
@pytest.mark.parametrize("name", ALL)
def test_doctor_comes_to_the_same_end(world: World, name: str) -> None:
    words = ALL[name](world)
    findings = try_store(STORE)
    if not words:
        assert [(found.state, found.text) for found in findings if found.state != "fine"] == []
        assert world.server.objects == {}
        return
    [finding] = findings
    assert finding.state in {"wrong", "away"}
    assert re.search(words, f"{finding.text}; {finding.fix}")
