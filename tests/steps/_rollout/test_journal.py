"""What a rollout writes down, and what it says of a version to the server."""

import json

import pytest
from tests.steps.registered import put_on_record

from colchis_steps._formats.documents import Newer, now
from colchis_steps._formats.keys import rollout_key
from colchis_steps._formats.models import Manifest
from colchis_steps._formats.rollouts import JudgedStep
from colchis_steps._rollout.journal import begun, described, write
from colchis_steps._store.api import Objects

KEY = rollout_key("digits", "r1")


def test_a_rollout_that_goes_on_keeps_what_a_newer_release_wrote(store: Objects) -> None:
    told = begun(store, "digits", 2, "r1", 1)
    told.steps = (JudgedStep(10, 30.0, "pass"),)
    write(store, told)
    raw = json.loads(store.read(KEY)) | {"region": "eu"}
    raw["steps"][0]["watched_by"] = "medea"
    store.write(KEY, json.dumps(raw).encode())
    again = begun(store, "digits", 2, "r1", 1)
    again.steps = (*again.steps, JudgedStep(30, 30.0, "fail"))
    write(store, again, "fail", "errors")
    after = json.loads(store.read(KEY))
    assert (after["region"], after["verdict"]) == ("eu", "fail")
    assert [step.get("watched_by") for step in after["steps"]] == ["medea", None]


def test_a_rollout_of_another_version_begins_anew(store: Objects) -> None:
    write(store, begun(store, "digits", 2, "r1", 1), "pass")
    store.write(KEY, json.dumps(json.loads(store.read(KEY)) | {"region": "eu"}).encode())
    write(store, begun(store, "digits", 3, "r1", 2))
    after = json.loads(store.read(KEY))
    assert (after["version"], after["verdict"], "region" in after) == (3, "", False)


@pytest.mark.parametrize(("kind", "tensorflow"), [("savedmodel", "2.21.0"), ("onnx", "")])
def test_only_a_savedmodel_is_held_against_the_servers_tensorflow(store: Objects, kind: str, tensorflow: str) -> None:
    manifest = Manifest("m", 1, "r", (), "sha256:t", now(), {}, (), format=kind)
    record = put_on_record(store, manifest, "oci:/i@sha256:0", frameworks={"tensorflow": "2.21.0"}, format=kind)
    assert described("/models/m/1", manifest, record).tensorflow == tensorflow


def test_one_of_a_newer_kind_is_left_as_it_is(store: Objects) -> None:
    store.write(KEY, content := b'{"kind": "colchis.dev/rollout/v2"}')
    with pytest.raises(Newer):
        begun(store, "digits", 2, "r1", 1)
    assert store.read(KEY) == content
