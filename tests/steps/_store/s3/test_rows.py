"""Each row by boto3's own call, by a step's documents and blobs, and by ``doctor``: they come to the same end."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore import exceptions as sdk
from tests.steps._store.s3.rows import ALL, THEIRS_FAIL, World
from tests.steps._store.s3.server import BUCKET, closing_all

from colchis_steps._content.blobs import scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._doctor.places import try_store
from colchis_steps._formats.keys import blob_key
from colchis_steps._step.errors import StepError
from colchis_steps._store.opening import open_store

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
    assert {it.host for it in world.server.asked} == {f"{BUCKET}.s3.eu-west-1.amazonaws.com"}


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


@pytest.mark.parametrize("name", ALL)
def test_boto3_works_where_a_step_does(world: World, name: str) -> None:
    words = ALL[name](world)
    if words or name in THEIRS_FAIL:
        with pytest.raises((sdk.BotoCoreError, sdk.ClientError, AssertionError)):
            by_boto3()
    else:
        by_boto3()


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
