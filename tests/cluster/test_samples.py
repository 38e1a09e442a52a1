"""The samples are what a cluster and a bucket take, and they speak of labels and prefixes that there are."""

import json
import os
import uuid

import pytest
import yaml
from tests.cluster.installed import AWS, MANIFESTS, NEEDS_CLUSTER, kubectl

SAMPLES = MANIFESTS / "samples"
pytestmark = NEEDS_CLUSTER


def test_the_network_policies_are_valid_and_select_labels_that_pods_have() -> None:
    path = SAMPLES / "network-policies.yaml"
    kubectl("apply", "--dry-run=server", "--filename", str(path))
    policies = [document["spec"] for document in yaml.safe_load_all(path.read_text())]
    labels = {tuple(policy["podSelector"]["matchLabels"].items()) for policy in policies}
    rendered = "\n".join(path.read_text() for path in (MANIFESTS / "base").glob("colchis-*.yaml"))
    for ((key, value),) in labels:
        assert f"{key}: {value}" in rendered


def test_the_namespace_is_valid() -> None:
    kubectl("apply", "--dry-run=server", "--filename", str(SAMPLES / "namespace.yaml"))


def test_the_lifecycle_is_one_that_a_bucket_takes_and_spares_models(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    for name, value in AWS.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    client, bucket = boto3.client("s3"), f"colchis-lifecycle-{uuid.uuid4().hex[:6]}"
    rules = json.loads((SAMPLES / "bucket-lifecycle.json").read_text())
    expired = {rule["Filter"]["Prefix"] for rule in rules["Rules"] if "Expiration" in rule}
    assert expired == {"runs/", "colchis/"}
    client.create_bucket(Bucket=bucket)
    try:
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
        taken = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert {rule["ID"] for rule in taken} == {rule["ID"] for rule in rules["Rules"]}
    finally:
        client.delete_bucket(Bucket=bucket)
