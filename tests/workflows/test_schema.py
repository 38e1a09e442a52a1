"""All rendered YAML is what Argo 3.7 and 4.0 take: by their JSON schemas, by ``argo lint``, and by kustomize."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from colchis_workflows import render
from colchis_workflows.settings import Settings

Object = dict[str, Any]
SCHEMAS = sorted((Path(__file__).parents[1] / "schemas").glob("argo-workflows-*.schema.json"))
OVERLAYS = ["namespaced", "quickstart"]


def _strict(value: Any) -> Any:
    """Close every object that lists its properties: Argo's own schema lets unknown fields pass, its CRDs do not."""
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if not isinstance(value, dict):
        return value
    closed = {key: _strict(item) for key, item in value.items()}
    if value.get("type") == "object" and "properties" in value:
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture(scope="module", params=SCHEMAS, ids=lambda path: path.name.removesuffix(".schema.json"))
def definitions(request: pytest.FixtureRequest) -> Object:
    found: Object = _strict(json.loads(request.param.read_text())["definitions"])
    return found


def test_there_is_a_schema_of_each_series() -> None:
    assert [path.name.removeprefix("argo-workflows-")[:3] for path in SCHEMAS] == ["3.7", "4.0"]


def _validate(document: Object, definitions: Object) -> None:
    reference = f"#/definitions/io.argoproj.workflow.v1alpha1.{document['kind']}"
    jsonschema.Draft202012Validator({"$ref": reference, "definitions": definitions}).validate(document)


@pytest.mark.parametrize("document", render.objects(Settings()), ids=lambda found: str(found["metadata"]["name"]))
def test_a_document_is_valid_by_argos_schema(document: Object, definitions: Object) -> None:
    _validate(document, definitions)


def test_the_schema_refuses_a_field_that_argo_does_not_know(definitions: Object) -> None:
    document = render.objects(Settings())[0]
    document["spec"]["templates"][-1]["container"]["imagePullPolice"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="imagePullPolice"):
        _validate(document, definitions)


def _program(name: str) -> str:
    if path := shutil.which(name):
        return path
    reason = f"{name} is not on PATH"
    if os.environ.get("CI") == "true" and name == "kubectl":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.servers
def test_argo_lints_all_of_it() -> None:
    files = sorted(str(path) for path in render.MANIFESTS.glob("*/colchis-*.yaml"))
    assert len(files) == len(render.TEMPLATES)
    command = [_program("argo"), "lint", "--offline", "--kinds=workflowtemplates,cronworkflows", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _built(directory: Path) -> list[Object]:
    command = [_program("kubectl"), "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _arguments(template: Object) -> dict[str, str | None]:
    return {a["name"]: a.get("value") for a in template["spec"]["arguments"].get("parameters", [])}


@pytest.mark.servers
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds(overlay: str, definitions: Object) -> None:
    documents = _built(render.MANIFESTS / "overlays" / overlay)
    templates = [found for found in documents if found["kind"] == "WorkflowTemplate"]
    assert len(templates) == len(list((render.MANIFESTS / "base").glob("colchis-*.yaml")))
    for document in templates:
        _validate(document, definitions)


@pytest.mark.servers
def test_the_nightly_jobs_are_applied_by_themselves_and_leave_their_suspension_alone(definitions: Object) -> None:
    jobs = _built(render.MANIFESTS / "nightly")
    assert {job["kind"] for job in jobs} == {"CronWorkflow"}
    assert [job["metadata"]["name"] for job in jobs] == ["colchis-prune-nightly", "colchis-retrain"]
    for job in jobs:
        assert "suspend" not in job["spec"]
        _validate(job, definitions)


@pytest.mark.servers
def test_the_quickstart_pushes_over_plain_http_to_the_registry_in_the_cluster() -> None:
    documents = {d["metadata"]["name"]: d for d in _built(render.MANIFESTS / "overlays/quickstart") if "spec" in d}
    build = documents["colchis-build-image"]["spec"]
    for submitted in ("colchis-pipeline", "colchis-adopt"):
        assert _arguments(documents[submitted])["repository"] == "registry.registry.svc:5000/models"
    assert _arguments(documents["colchis-build-image"])["insecure-registry"] == "true"
    inputs = build["templates"][0]["inputs"]["parameters"]
    assert {p["name"]: p.get("default") for p in inputs}["insecure-registry"] == "true"


@pytest.mark.servers
@pytest.mark.parametrize("overlay", ["quickstart", "hardened"])
def test_whatever_is_submitted_there_is_built_by_a_pod_that_is_not_root(overlay: str) -> None:
    documents = [d for d in _built(render.MANIFESTS / "overlays" / overlay) if d["kind"] == "WorkflowTemplate"]
    builders = {d["metadata"]["name"]: _arguments(d)["builder"] for d in documents if "builder" in _arguments(d)}
    assert builders == dict.fromkeys(("colchis-adopt", "colchis-build-image", "colchis-pipeline"), "direct")


@pytest.mark.servers
def test_images_of_a_kustomization_reach_into_workflow_templates(tmp_path: Path) -> None:
    shutil.copytree(render.MANIFESTS, tmp_path / "manifests")
    overlay = tmp_path / "manifests/overlays/namespaced/kustomization.yaml"
    kustomization = yaml.safe_load(overlay.read_text())
    for image in kustomization["images"]:
        image |= {"newName": f"mirror.example/{image['name'].rpartition('/')[2]}", "newTag": "1.2.3"}
    overlay.write_text(yaml.safe_dump(kustomization))
    text = yaml.safe_dump_all(_built(overlay.parent))
    assert Settings().registry not in text
    assert Settings().kaniko.rpartition(":")[0] not in text
    assert "image: mirror.example/steps:1.2.3" in text
    assert "image: mirror.example/data:1.2.3" in text
    assert "value: mirror.example/train:1.2.3" in text
    assert "image: mirror.example/kaniko:1.2.3" in text
