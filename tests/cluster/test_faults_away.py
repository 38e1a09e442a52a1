"""Stores and registries that refuse or are away for a while: a sentence, or another attempt, and nothing twice."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.beside import LOGIN, minio, registry
from tests.cluster.installed import AWS, BUCKET, NEEDS_CLUSTER, Installation, Run, until

from colchis_steps._formats.identities import KEY, credentials
from colchis_steps._formats.models import Manifest
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store

pytestmark = NEEDS_CLUSTER
PUBLISH = "colchis-s3-publish"  # the Secret of upload's key
AWS_OF_PODS = {"AWS_ENDPOINT_URL_S3": AWS["AWS_ENDPOINT_URL_S3"]}


@pytest.fixture(scope="module")
def made(first_runs: dict[str, Run]) -> Run:
    """Return a run whose model is there: what later faults begin with."""
    return first_runs["beta"]


def test_wrong_credentials_for_the_registry_end_with_65_and_a_retry_with_right_ones_goes_on(
    here: Installation, made: Run, tmp_path: Path, login: Any
) -> None:
    server = registry(tmp_path / "registry").up()
    try:
        login(server.place, (LOGIN[0], "wrong"))
        given = {"store": here.url, "run": made.uid, "model": "beta", "version": "1"}
        given |= {"repository": f"{server.place}/team"}
        names = {
            task: here.submit("colchis-build-image", builder=builder, **given)
            for builder, task in (("direct", "build-image"), ("kaniko", "kaniko"))
        }
        direct, kaniko = here.ended(names["build-image"]), here.ended(names["kaniko"])
        login(server.place, LOGIN)
        for by, run in (("server", direct), ("command", kaniko)):
            here.retry(run.name, by)
        until(
            60,
            "both retries",
            lambda: all(not here.run(name).workflow["status"].get("finishedAt") for name in names.values()),
        )
        again = [here.ended(name) for name in names.values()]
    finally:
        server.down()
    assert [run.phase for run in again] == ["Succeeded", "Succeeded"], again[0].told() + again[1].told()
    assert server.place in direct.failed("build-image", 65)
    (tried,) = kaniko.attempts("kaniko")
    assert "exit code 65" in tried["message"]
    assert "401" in tried["message"] or "login" in tried["message"]
    assert kaniko.phase == "Failed"


def test_a_registry_that_is_down_is_tried_again(here: Installation, made: Run, tmp_path: Path, login: Any) -> None:
    server = registry(tmp_path / "registry")
    login(server.place, LOGIN)
    given = {"store": here.url, "run": made.uid, "model": "beta", "version": "1", "builder": "direct"}
    name = here.submit("colchis-build-image", repository=f"{server.place}/team", **given)
    until(120, "a first attempt that failed", lambda: attempts_failed(here, name, "build-image") >= 1)
    server.up()
    try:
        run = here.ended(name)
    finally:
        server.down()
    assert run.phase == "Succeeded", run.told()
    first, *_, last = run.attempts("build-image")
    assert "exit code 75" in first["message"]
    assert last["phase"] == "Succeeded"
    known = json.loads(json.dumps(run.outputs))
    assert known["digest"] == made.outputs["digest"], "another registry, the same files, the same image"


def attempts_failed(here: Installation, name: str, task: str) -> int:
    return sum(node["phase"] == "Failed" for node in here.run(name).attempts(task))


@pytest.fixture
def login(here: Installation) -> Iterator[Any]:
    """Yield a function that sets the registry's login, as `kubectl create secret docker-registry` does."""

    def put(place: str, who: tuple[str, str]) -> None:
        given = base64.b64encode(":".join(who).encode()).decode()
        config = json.dumps({"auths": {place: {"auth": given}}})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "colchis-registry"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config},
        }
        here.kubectl("apply", "--filename=-", given=secret)

    yield put
    here.kubectl("delete", "secret", "colchis-registry", "--ignore-not-found")


def change(here: Installation, content: dict[str, dict[str, str]]) -> None:
    """Give upload other keys."""
    here.kubectl("patch", "secret", PUBLISH, "--type=merge", "--patch", json.dumps(content))


@pytest.mark.long
def test_a_store_that_is_down_at_submit_and_for_20_s_of_the_upload_is_waited_for(
    here: Installation, made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    server, kept = minio(tmp_path / "minio").up(), here.get("secret", PUBLISH)["data"]
    url = f"s3://{BUCKET}/other"
    try:
        with monkeypatch.context() as patch:
            contents = {key: here.store.read(key) for key in here.store.keys("") if not key.startswith("models/")}
            patch.setenv("AWS_ENDPOINT_URL_S3", f"http://{server.place}")
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            other = open_store(url)
            for key, content in contents.items():
                other.write(key, content)
            server.down()
            settings = {"AWS_ENDPOINT_URL_S3": f"http://{server.place}"}
            here.kubectl("patch", "configmap", "colchis", "--type=merge", "--patch", json.dumps({"data": settings}))
            root = credentials(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])  # the new server knows no other
            change(here, {"stringData": {KEY: root}})
            name = here.submit("colchis-upload", store=url, run=made.uid, model="beta")
            here.reached(name, "upload")
            began = time.monotonic()
            until(30, "20 s without a store", lambda: time.monotonic() - began > 20)
            assert not here.run(name).workflow["status"].get("finishedAt")
            server.up()
            run = here.ended(name)
            assert run.phase == "Succeeded", run.told()
            assert find_document(open_store(url), "models/beta/1/manifest.json", Manifest)
            assert find_document(open_store(url), "models/beta/2/manifest.json", Manifest) is None
    finally:
        server.down()
        change(here, {"data": kept})
        here.kubectl("patch", "configmap", "colchis", "--type=merge", "--patch", json.dumps({"data": AWS_OF_PODS}))
