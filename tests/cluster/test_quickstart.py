"""docs/quickstart-cluster.md, followed to the letter: each command of its consoles that run on the cluster."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from tests.cluster.installed import AWS, BUCKET, IMAGES, NEEDS_CLUSTER, ROOT, TAG, kubectl
from tests.pages.blocks import blocks, commands

from colchis_steps._store.opening import open_store

NAMESPACE = "colchis"
pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]


@pytest.fixture
def fresh() -> Iterator[None]:
    """Hold the page's namespace for this test; one that is there is somebody's."""
    if NAMESPACE in kubectl("get", "namespaces", "--output=jsonpath={.items[*].metadata.name}").split():
        pytest.skip(f"there is a namespace {NAMESPACE} already")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    os.environ.update(AWS)
    store = open_store(f"s3://{BUCKET}")
    for key in list(store.keys("models/quickstart/")):
        store.delete(key)


@pytest.mark.usefixtures("fresh")
def test_each_command_of_the_page_does_what_it_says() -> None:
    page = ROOT / "docs" / "quickstart-cluster.md"
    script = "".join(commands(block.text)[0] for block in blocks(page) if block.runs == "cluster")
    assert script.count("\n") > 8
    environment = os.environ | {"IMAGES": IMAGES, "TAG": TAG}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quickstart" in done.stdout
