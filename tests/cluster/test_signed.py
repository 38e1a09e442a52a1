"""Signatures on a cluster: register's pod signs, and what no trusted key signed is neither served nor compared with."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.installed import NEEDS_CLUSTER, Installation, Run
from tests.cluster.overlay import installed

from colchis_steps._formats import keys
from colchis_steps._formats.models import Record
from colchis_steps._formats.signatures import BUNDLE
from colchis_steps._oci.repository import open_repository, parse_reference
from colchis_steps._store.documents import read_document

pytestmark = NEEDS_CLUSTER
MODEL = "gamma"


def colchis(place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "colchis_workflows.cli", *words]
    environment = os.environ | {"COLCHIS_KEYS": str(place)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def trusted(here: Installation, place: Path) -> None:
    """Apply the key and the trust of this directory."""
    for kind, name, file in (
        (("secret", "generic"), "colchis-signing", "private.pem"),
        (("configmap",), "colchis-trust", "trust.json"),
    ):
        here.kubectl("delete", kind[0], name, "--ignore-not-found")
        here.kubectl("create", *kind, name, f"--from-file={place / file}")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ours")
    assert colchis(place, "keys", "make", "--name=ours").returncode == 0
    return place


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory, ours: Path) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("overlay"), "signed") as installation:
        trusted(installation, ours)
        yield installation


@pytest.fixture(scope="module")
def first(signing: Installation) -> Run:
    """A run with a key that goes all the way."""
    run = signing.ended(signing.submit(model=MODEL, builder="direct"), 400)
    assert run.phase == "Succeeded", run.told()
    return run


def record(here: Installation) -> Record:
    return read_document(here.store, keys.record_key(MODEL, 1), Record)


def signature(here: Installation) -> str:
    (key,) = here.keys(keys.signatures_prefix(MODEL, 1))
    return key


def rollout(here: Installation) -> Run:
    given = {"version": "1", "image": record(here).image, "action": "promote", "target": "deployment"}
    name = here.submit("colchis-rollout", store=here.url, run="again", model=MODEL, **given)
    return here.ended(name, 200)


def refused(run: Run) -> str:
    return run.failed(run.name, 65)


def test_register_signs_and_the_image_has_the_signature(signing: Installation, first: Run, ours: Path) -> None:
    done = colchis(ours, "verify", f"{MODEL}:1", f"--store={signing.url}", f"--key={ours / 'public.pem'}")
    assert done.returncode == 0, done.stderr
    name, digest = parse_reference(record(signing).image)
    repository = open_repository(name, insecure=True)
    listed = json.loads(repository.manifest(str(repository.tagged(digest.replace(":", "-")))))["manifests"]
    (entry,) = [entry for entry in listed if entry.get("artifactType") == BUNDLE]
    layer = json.loads(repository.manifest(entry["digest"]))["layers"][0]["digest"]
    assert b"".join(repository.blob(layer)) == signing.store.read(signature(signing))


def test_what_nobody_signed_is_neither_served_nor_compared_with(signing: Installation, first: Run) -> None:
    key = signature(signing)
    kept = signing.store.read(key)
    signing.store.delete(key)
    said = f"{MODEL}:1 is refused: it is not signed, and /var/run/colchis/trust/trust.json asks for a signature"
    evaluate = signing.submit(
        "colchis-evaluate", store=signing.url, run=record(signing).run, model=MODEL, data=signing.data
    )
    assert said in refused(rollout(signing))
    run = signing.ended(evaluate, 200)
    assert run.phase == "Failed", run.told()
    assert said in run.told()
    signing.store.write(key, kept)
    assert (again := rollout(signing)).phase == "Succeeded", again.told()


def test_another_key_is_refused_by_register_and_rollout(
    signing: Installation, first: Run, ours: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    assert colchis(theirs, "keys", "make", "--name=theirs").returncode == 0
    trusted(signing, theirs)
    try:
        assert f"{MODEL}:1 is refused: it is signed by key" in (said := refused(rollout(signing)))
        assert "trust.json does not have" in said
        signing.kubectl("delete", "secret", "colchis-signing")
        given = {"version": "1", "image": record(signing).image}
        name = signing.submit("colchis-register", store=signing.url, run=record(signing).run, model=MODEL, **given)
        assert "asks for signatures, and there is no key" in refused(signing.ended(name, 200))
    finally:
        trusted(signing, ours)
