"""Uploads that are killed (SIGKILL) at random points: readers never see half, and the next one goes on."""

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
import pytest
from benchmarks._bucket import Counter

from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import Manifest
from colchis_steps._models.versions import newest
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.sums import PART
from colchis_steps.upload import main


@pytest.fixture(params=["file", "minio", pytest.param("s3", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind: a directory, a real server, and moto, which is slow."""
    if request.param == "file":
        return (tmp_path / "store").as_uri()
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('bucket')}/some/prefix"
    request.getfixturevalue("aws").setenv("AWS_ENDPOINT_URL", request.getfixturevalue("minio_url"))
    name = f"bucket-{uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/some/prefix"


def command(url: str, model: Path) -> list[str]:
    flags = [f"--store={url}", "--run=r1", "--model=digits", f"--from={model}", "--plain-prefix=true"]
    return [sys.executable, "-m", "colchis_steps.upload", *flags]


def write_model(model: Path, seed: int) -> None:
    numbers = random.Random(seed)
    model.mkdir(exist_ok=True)
    sizes = {"saved_model.pb": 100, "weights": 2 * PART + 7, "other": PART // 2} | {
        f"small {n}": 10 + n for n in range(30)
    }
    for name, size in sizes.items():
        (model / name).write_bytes(numbers.randbytes(size))


@contextlib.contextmanager
def reading(store: Objects) -> Iterator[list[int]]:
    """Read every version that there is, over and over, as a server would; count the rounds."""
    stop, rounds, faults, known = threading.Event(), [0], list[str](), set[str]()

    def read() -> None:
        while not stop.is_set():
            try:
                for key in [key for key in store.keys("models/") if key.endswith("/manifest.json")]:
                    manifest = read_document(store, key, Manifest)
                    for file in manifest.files:
                        plain = f"models/digits/{manifest.version}/files/{file.path}"
                        for name in {blob_key(file.sha256), plain} - known:
                            digest = hashlib.sha256()
                            for block in store.stream(name):
                                digest.update(block)
                            if digest.hexdigest() != file.sha256:
                                faults.append(f"{name} of {key} is not whole")
                            known.add(name)
            except InputError as error:
                faults.append(str(error))
            rounds[0] += 1
            stop.wait(0.01)  # the killed process needs its turn as well

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()
    assert faults == []


@pytest.mark.servers
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_readers_never_see_half(url: str, tmp_path: Path, kills: int) -> None:
    store, model, seed, before = open_store(url), tmp_path / "model", 0, 0
    write_model(model, seed)
    began = time.monotonic()
    subprocess.run(command(url, model), check=True, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - began
    with reading(store) as rounds:
        for _ in range(kills):
            if (last := newest(store, "digits")) and last.version > before:  # it came through: on with another model
                before, seed = last.version, seed + 1
                write_model(model, seed)
            with subprocess.Popen(command(url, model), stderr=subprocess.DEVNULL) as step:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    step.wait(random.uniform(0.3, 1) * whole)  # the interpreter's start is not a use to be killed in
                step.kill()
    assert rounds[0] > kills
    assert main(command(url, model)[3:]) == 0
    last = newest(store, "digits")
    assert last
    plain = {key.split("/", 4)[4] for key in store.keys(f"models/digits/{last.version}/files/")}
    assert plain == {file.path for file in last.files}


def test_the_next_upload_sends_what_the_killed_one_had_not(
    minio_url: str, aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws.setenv("AWS_ENDPOINT_URL", minio_url)
    boto3.client("s3").create_bucket(Bucket=(bucket := f"bucket-{uuid4().hex[:12]}"))
    model, url = tmp_path / "model", f"s3://{bucket}/x"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "weights").write_bytes(os.urandom(size := 16 * PART))
    through = Counter(urlsplit(minio_url).port or 0)
    aws.setenv("AWS_ENDPOINT_URL", through.url)
    with subprocess.Popen(command(url, model), stderr=subprocess.DEVNULL) as step:
        deadline = time.monotonic() + 120
        while through.sent < size / 2:
            assert step.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        step.kill()
    store = open_store(url)
    assert newest(store, "digits") is None
    assert all(entry.size < PART for entry in store.entries("blobs/"))
    before = through.sent
    assert main(command(url, model)[3:]) == 0
    assert through.sent - before <= size / 2 + 4 * PART + PART // 8  # half, the parts in flight, and what else is said
    assert newest(store, "digits")
    assert boto3.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    through.close()
