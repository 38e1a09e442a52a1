"""Rollout through KServe in mode Standard: an InferenceService a version, the same route, the same way back."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.cluster.conftest import Site
from tests.cluster.installed import NEEDS_CLUSTER, kubectl, until

from colchis_steps import _kube
from colchis_steps._kube import Cluster
from colchis_steps._step import InputError

KSERVE = (
    [
        pytest.mark.skipif(
            "inferenceservices.serving.kserve.io" not in kubectl("get", "crds", "--output=name"),
            reason="the cluster has no KServe",
        )
    ]
    if "KUBECONFIG" in os.environ
    else []
)
pytestmark = [*NEEDS_CLUSTER, *KSERVE]


@pytest.fixture(scope="module")
def model(site: Site) -> str:
    """A model of two versions."""
    name = f"kserve-{site.namespace.rpartition('-')[2]}"
    for version in (1, 2):
        site.publish(name, version, f"tiny/{version}")
    return name


def test_versions_come_go_and_come_back(site: Site, model: str) -> None:
    options = '--serve-options={"cpu": "50m", "min_available": 0}'
    said = site.roll(model, 1, "--target=kserve", "--preheat=true", options)
    assert "1 of 1 nodes have the image of version 1" in said
    assert site.names("daemonsets") == []
    assert site.ask(model) == 1
    site.roll(model, 2, "--target=kserve", options)
    assert (site.ask(model), site.stable(model)) == (2, (2, 1))
    assert site.names("deployments") == [f"colchis-{model}-2-predictor"]
    assert site.names("inferenceservices") == [f"colchis-{model}-1", f"colchis-{model}-2"]
    back = site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}")
    assert f"version 1 of {model} answers again after" in back.stderr
    assert (site.ask(model), site.stable(model)) == (1, (1, None))
