"""The mirror of a record in the cluster: what the CRD takes, and nothing from a machine that is not a pod."""

import math
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from colchis_steps._formats.models import Code, Record
from colchis_steps._manifests import model_version
from colchis_steps._manifests.objects import KINDS
from colchis_steps._models import mirror

CRD = Path(__file__).parents[3] / "workflows" / "manifests" / "crd" / "modelversions.yaml"
RECORD = Record(
    model="digits", version=3, run="r", image="host/digits@sha256:1", digest="sha256:1", tree="sha256:2", manifest="m",
    manifest_digest="sha256:3", data="s3://colchis/data/digits/0", data_digest="sha256:4", code=Code(entry="e:e"),
    hyperparameters={"epochs": 3}, metrics={"accuracy": 0.97}, verdict="pass", frameworks={}, step_images={},
    workflow="ml/run-1", created_by="medea", created_at="2026-01-01T00:00:00Z",
)  # fmt: skip


@pytest.fixture
def crd() -> Any:
    return yaml.safe_load(CRD.read_text())["spec"]


def test_it_is_what_the_crd_takes_and_no_field_would_be_dropped(crd: Any) -> None:
    made = model_version.model_version(RECORD, "s3://colchis/models/digits/3/record.json")
    (version,) = crd["versions"]
    assert KINDS["ModelVersion"] == (f"{crd['group']}/{version['name']}", crd["names"]["plural"])
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.validate(made["spec"], schema)
    assert made["spec"].keys() == schema["properties"].keys()
    assert made["metadata"]["name"] == "digits-3"
    assert made["metadata"]["labels"]["colchis.dev/version"] == "3"


def test_each_column_shows_a_field_that_there_is(crd: Any) -> None:
    (version,) = crd["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for column in version["additionalPrinterColumns"]:
        assert column["jsonPath"].removeprefix(".spec.") in spec


def test_a_machine_that_is_no_pod_mirrors_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mirror, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))  # would be an error
    mirror.mirror(RECORD, "file:///record.json")


def test_metrics_that_the_api_would_refuse_are_left_out() -> None:
    record = msgspec.structs.replace(RECORD, metrics={"accuracy": 0.9, "ece": math.nan, "loss": math.inf})
    assert model_version.model_version(record, "s3://colchis/record.json")["spec"]["metrics"] == {"accuracy": 0.9}
