"""The step register: a record once and for good, its statement, and latest."""

import argparse
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from tests.steps.registered import judged

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias, Candidate, Record
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.aliases import move_latest
from colchis_steps._models.binding import read_version
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._store.documents import read_document
from colchis_steps._store.uris import located
from colchis_steps.build_image import main as build_image
from colchis_steps.register import main, submitter


def finish(published: Any, step: str, run: str = "run-1", **more: Any) -> None:
    fields = {"status": "succeeded", "started_at": "2026-11-22T11:00:00Z", "finished_at": "2026-11-22T11:01:00Z"}
    told = StepResult(step=step, run=run, inputs={}, **{**fields, **more})
    published.store.write(f"runs/{run}/{step}.json", encode(told))


def judge(published: Any, run: str = "run-1", verdict: str = "pass", **more: Any) -> None:
    """Leave what evaluate leaves."""
    candidate = read_document(published.store, f"runs/{run}/candidate/model.json", Candidate)
    finish(published, "evaluate", run, verdict=verdict, details=judged(candidate, verdict, **more))


def claims(published: Any, run: str = "run-1") -> list[str]:
    """Return what a workflow hands on of the evaluation."""
    result = read_document(published.store, f"runs/{run}/evaluate.json", StepResult)
    tree = read_document(published.store, f"runs/{run}/candidate/model.json", Candidate).tree
    return [
        f"--tree={tree}",
        f"--evaluation={evaluation_digest(result.details)}",
        "--golden=sha256:g",
        "--baseline=none",
    ]


def run_steps(published: Any, tmp_path: Path, version: int = 1, run: str = "run-1") -> str:
    """Leave what the steps before register leave; give the image."""
    finish(published, "validate_data", run)
    finish(published, "train", run, details={"backend": "local", "workers": 2, "global_batch": 64})
    judge(published, run)
    flags = [f"--store={published.store.url}", f"--run={run}", "--model=digits", f"--version={version}"]
    assert build_image([*flags, f"--repository=oci:{tmp_path}/images", f"--image-path={tmp_path}/image"]) == 0
    return (tmp_path / "image").read_text()


def register(published: Any, image: str, *more: str, version: int = 1, run: str = "run-1") -> int:
    flags = [f"--store={published.store.url}", f"--run={run}", "--model=digits", f"--version={version}"]
    return main([*flags, f"--image={image}", "--workflow=colchis-pipeline-x", "--created-by=medea", *more])


def record(published: Any, version: int = 1) -> Record:
    return read_document(published.store, f"models/digits/{version}/record.json", Record)


def latest(published: Any) -> Alias:
    return read_document(published.store, "models/digits/aliases/latest.json", Alias)


def test_the_record_says_where_the_version_came_from(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image, "--train-image=host/train@sha256:" + "9" * 64) == 0
    told = record(published)
    candidate = read_document(published.store, "runs/run-1/candidate/model.json", Candidate)
    assert (told.image, told.digest) == (image, image.rpartition("@")[2])
    assert (told.tree, told.data_digest) == (candidate.tree, candidate.data_digest)
    there = located(published.store, told)
    assert (there.data, there.code) == (candidate.data, candidate.code)
    assert told.data.startswith("data/"), "so that the store can be copied as a whole"
    assert told.hyperparameters == {"epochs": 5, "global_batch": 64, "rate": 0.1, "seed": 7}
    assert (told.metrics, told.verdict) == ({"accuracy": 0.97, "loss": 0.1}, "pass")
    assert (told.workflow, told.created_by) == ("colchis-pipeline-x", "medea")
    assert (latest(published).version, latest(published).image, latest(published).previous) == (1, image, None)


def test_the_submitter_may_come_with_the_labels_of_the_workflow(published: Any, tmp_path: Path) -> None:
    labels = '{"colchis.dev/created-by": "jason", "workflows.argoproj.io/phase": "Running"}'
    assert register(published, run_steps(published, tmp_path), f"--created-by={labels}") == 0
    record = json.loads(published.store.read("models/digits/1/record.json"))
    assert record["created_by"] == "jason"


def test_names_that_somebody_chose_are_bounded_and_do_not_act(published: Any, tmp_path: Path) -> None:
    hostile = "\x1b[2Jx\ny\u202e" + "z" * 10_000
    flags = [f"--created-by={json.dumps({'colchis.dev/created-by': hostile})}", f"--workflow={hostile}"]
    assert register(published, run_steps(published, tmp_path), *flags) == 0
    for name in (record(published).created_by, record(published).workflow):
        assert name.startswith("\\u001b[2Jx y\\u202ezzz")
        assert len(name) == 253


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "{{workflow.labels.json}}"])
def test_labels_that_are_none_are_a_usage_error(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither a name nor labels"):
        submitter(text)


def test_the_statement_keeps_to_in_toto_and_slsa(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image, "--train-image=host/train@sha256:" + "9" * 64) == 0
    told = json.loads(published.store.read("models/digits/1/statement.json"))
    Statement.copy_from_pb(json_format.ParseDict(told, statement_pb2.Statement())).validate()
    predicate = json_format.ParseDict(told["predicate"], provenance_pb2.Provenance())
    assert [d.name for d in predicate.build_definition.resolved_dependencies] == ["data", "code", "image of train"]
    digests = [subject["digest"]["sha256"] for subject in told["subject"]]
    assert digests[0] == image.rpartition(":")[2]
    assert record(published).tree.removeprefix("sha256:") in digests
    files = {subject["name"] for subject in told["subject"]}
    assert set(published.files) <= files
    assert told["predicate"]["buildDefinition"]["externalParameters"]["hyperparameters"]["epochs"] == 5
    assert told["predicate"]["buildDefinition"]["resolvedDependencies"][1]["digest"]["gitCommit"] == "a" * 40
    assert told["predicate"]["runDetails"]["metadata"]["invocationId"] == "run-1"


def test_a_run_without_pods_names_no_image_that_never_ran(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLCHIS_HERE", "true")
    assert register(published, run_steps(published, tmp_path), "--train-image=ghcr.io/colchis/train:1") == 0
    assert record(published).step_images == {"train": "run on this machine"}
    definition = json.loads(published.store.read("models/digits/1/statement.json"))["predicate"]["buildDefinition"]
    assert [one["name"] for one in definition["resolvedDependencies"]] == ["data", "code"]
    assert definition["internalParameters"]["imagesNotUsed"] == {"train": "run on this machine"}


def test_again_changes_nothing_and_repairs_what_a_kill_left_out(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    kept = [published.store.read(f"models/digits/1/{name}.json") for name in ("record", "statement")]
    published.store.delete("models/digits/1/statement.json")
    published.store.delete("models/digits/aliases/latest.json")
    assert register(published, image) == 0
    assert [published.store.read(f"models/digits/1/{name}.json") for name in ("record", "statement")] == kept
    assert latest(published).version == 1


def test_another_story_of_the_same_version_is_refused(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    before = published.store.read("models/digits/1/record.json")
    assert register(published, image, "--created-by=jason") == 65
    assert "on record with created_by 'medea', not 'jason'" in caplog.text
    assert published.store.read("models/digits/1/record.json") == before


def test_another_run_with_the_very_same_files_keeps_the_first_record(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    published.publish(published.files, version=9, run="run-2")  # for the candidate; upload gives the run version 1
    run_steps(published, tmp_path, run="run-2")
    assert register(published, image, run="run-2") == 0
    assert record(published).run == "run-1"


@pytest.mark.parametrize(
    "case",
    [
        ("evaluate", {"verdict": "pass", "status": "failed"}, "evaluate is failed"),
        ("train", {"status": "running"}, "train is running"),
        ("validate_data", {"status": "failed"}, "validate_data is failed"),
    ],
)
def test_a_failed_or_rejected_run_makes_no_record(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: tuple[str, Any, str]
) -> None:
    step, more, said = case
    image = run_steps(published, tmp_path)
    finish(published, step, **more)
    assert register(published, image) == 65
    assert said in caplog.text
    assert not [key for key in published.store.keys("models/") if "record" in key or "alias" in key]


@pytest.mark.parametrize("verdict", ["fail", "", "undecided"])
def test_what_the_gate_did_not_pass_makes_no_record(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, verdict: str
) -> None:
    image = run_steps(published, tmp_path)
    judge(published, verdict=verdict)
    assert register(published, image) == 65
    assert f"gate of run run-1 says {verdict!r}" in caplog.text
    assert not [key for key in published.store.keys("models/") if "record" in key or "alias" in key]


def test_the_record_is_bound_to_what_was_judged(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image, *claims(published), f"--record-path={tmp_path / 'record'}") == 0
    told, content = record(published), published.store.read("models/digits/1/record.json")
    assert claims(published)[1] == f"--evaluation={told.evaluation}"
    assert (told.golden, told.baseline, told.baseline_digest) == ("sha256:g", None, "")
    assert (tmp_path / "record").read_text() == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert not read_version(published.store, "digits", 1).faults


@pytest.mark.parametrize("claim", [0, 1, 2, 3])
def test_what_differs_from_what_the_workflow_hands_on_is_refused(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, claim: int
) -> None:
    image, told = run_steps(published, tmp_path), claims(published)
    told[claim] = f"{told[claim].partition('=')[0]}=7@sha256:other"
    assert register(published, image, *told) == 65
    assert "7@sha256:other" in caplog.text
    assert "models/digits/1/record.json" not in published.store.keys("models/")


def test_a_run_without_a_gate_makes_no_record(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = run_steps(published, tmp_path)
    published.store.delete("runs/run-1/evaluate.json")
    assert register(published, image) == 65
    assert "was not evaluated" in caplog.text


def test_a_tag_or_another_image_is_refused(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image.rpartition("@")[0] + ":1") == 65
    assert "names no image by digest" in caplog.text
    assert register(published, image[:-64] + "0" * 64) == 65
    assert "give the reference that build_image gave" in caplog.text


def test_a_version_of_another_run_is_refused(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = run_steps(published, tmp_path)
    published.publish({"saved_model.pb": b"other"}, version=2, run="run-2")
    assert register(published, image, version=2) == 65
    assert "name the version that upload gave this run" in caplog.text


def test_latest_never_goes_back_however_many_move_it(published: Any, tmp_path: Path) -> None:
    assert register(published, run_steps(published, tmp_path)) == 0
    first = record(published)
    versions = [7, 3, 12, 5, 9, 12, 2, 11]
    threads = [
        threading.Thread(target=move_latest, args=(published.store, msgspec.structs.replace(first, version=version)))
        for version in versions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latest(published).version == 12
    move_latest(published.store, first)
    assert latest(published).version == 12


def test_nothing_in_record_and_statement_says_where_the_store_is(published: Any, tmp_path: Path) -> None:
    assert register(published, run_steps(published, tmp_path)) == 0
    for name in ("record", "statement"):
        content = published.store.read(f"models/digits/1/{name}.json").decode()
        assert published.store.url not in content
    told = json.loads(content)["predicate"]
    uris = [found["uri"] for found in told["buildDefinition"]["resolvedDependencies"]]
    assert uris == ["data/digits/0123456789abcdef", "code/x.zip"]
    assert told["runDetails"]["byproducts"][0]["uri"] == "runs/run-1/build_image.json"


def test_a_record_of_an_older_release_stands(published: Any, tmp_path: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    older = located(published.store, record(published))
    published.store.write("models/digits/1/record.json", encode(older))
    assert register(published, image) == 0
    assert record(published) == older
