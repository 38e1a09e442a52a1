"""From one Secret to separate ones: the page's commands, run on an installation of the earlier kind."""

import os
import re
import subprocess
import uuid
from pathlib import Path

import boto3
import pytest
from tests.cluster.installed import AWS, NEEDS_CLUSTER, PATIENCE, ROOT, ROUTES, kubectl
from tests.cluster.overlay import overlay, remove

pytestmark = NEEDS_CLUSTER


def commands() -> str:
    """Return the console lines of the page's section, without comments."""
    section = (ROOT / "docs/upgrade.md").read_text().partition("## From one Secret")[2]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block
    return "\n".join(line.removeprefix("$ ") for line in block[1].splitlines())


@pytest.mark.long
def test_the_pages_commands_lead_from_one_secret_to_separate_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = f"colchis-upgrade-{uuid.uuid4().hex[:6]}"
    url = f"s3://{namespace}/team"
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket=namespace)
    kubectl("create", "namespace", namespace)
    try:
        literals = [f"--from-literal={name}={value}" for name, value in AWS.items()]
        kubectl("--namespace", namespace, "create", "secret", "generic", "colchis-s3", *literals)
        kubectl("--namespace", namespace, "create", "serviceaccount", "colchis-register")
        overlay(tmp_path, namespace, AWS | ROUTES)
        given = os.environ | {"NAMESPACE": namespace, "STORE": url, "OVERLAY": str(tmp_path)}
        script = f'set -eu\ncolchis() {{ {ROOT}/.venv/bin/colchis "$@"; }}\n{commands()}'
        done = subprocess.run(
            ["bash", "-c", script], env=given, capture_output=True, text=True, timeout=300 * PATIENCE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("step", "prepare", "worker", "train", "evaluate", "publish", "build", "rollout", "serve"):
            assert re.search(rf"✓ key {name} +it can do what it must, and nothing else", done.stdout), done.stdout
        secrets = kubectl("--namespace", namespace, "get", "secrets", "--output=name").split()
        assert "secret/colchis-s3" not in secrets
        assert "secret/colchis-s3-worker" in secrets
        assert "colchis-register" not in kubectl("--namespace", namespace, "get", "serviceaccounts", "--output=name")
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        remove(url)
