"""C2 on a cluster: user code that reaches for its test split, another model's record, a token and others' keys."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import SMALL_JOB
from tests.cluster.installed import NEEDS_CLUSTER, Installation

from colchis_steps._formats import keys

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]  # test_attacks tries a job's pod in every suite
EVIL = """
import glob, json, os, sys
import boto3
from colchis_steps.classifier import build as good

def build(context):
    client, told = boto3.client("s3"), {"written": [], "refused": []}
    for key in VICTIMS:
        for act, more in ((client.put_object, {"Body": b"evil"}), (client.delete_object, {})):
            try:
                act(Bucket=BUCKET, Key=f"{PREFIX}/{key}", **more)
                told["written"].append(key)
            except client.exceptions.ClientError as error:
                told["refused"].append(error.response["Error"]["Code"])
    told["keys"] = sorted(os.path.basename(path) for path in glob.glob("/var/run/colchis/s3/*"))
    told["token"] = os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
    told["environment"] = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        if os.access(path, os.R_OK):
            told["environment"] += [word.partition("=")[0] for word in open(path).read().split("\\0")]
    if context.rank == 0:
        where = f"{PREFIX}/runs/{RUN}/training/told.json"
        client.put_object(Bucket=BUCKET, Key=where, Body=json.dumps(told).encode())
    return good(context)
"""


@pytest.mark.parametrize("backend", ["local", "indexed-job"])
def test_user_code_changes_nothing_but_its_own(here: Installation, tmp_path: Path, backend: str) -> None:
    store, place = here.store, here.data.removeprefix(f"{here.url}/")
    (split,) = [key for key in store.keys(f"{place}/") if "/test" in key]
    record, alias = keys.record_key(f"faces-{backend}", 1), keys.alias_key(f"faces-{backend}", "stable")
    for key in (record, alias):
        store.write(key, b"right")
    before = {key: store.read(key) for key in (split, f"{place}/manifest.json", record, alias)}
    bucket, _, prefix = here.url.removeprefix("s3://").partition("/")
    head = f"BUCKET, PREFIX, RUN, VICTIMS = {bucket!r}, {prefix!r}, 'attack-{backend}', {sorted(before)!r}\n"
    (tmp_path / "evil.py").write_text(head + EVIL)
    command = ["colchis", "push-code", str(tmp_path), "--store", here.url]
    code = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()
    given = {"data": here.data, "code": code, "entry": "evil:build", "backend": backend, "workers": "1"}
    given |= {"hyperparameters": '{"epochs": 1, "global_batch": 64, "seed": 1}', "job-options": SMALL_JOB}
    run = here.ended(here.submit("colchis-train", store=here.url, run=f"attack-{backend}", model="attack", **given))
    assert run.phase == "Succeeded", run.told()
    told: dict[str, Any] = json.loads(store.read(keys.training_key(f"attack-{backend}", "told.json")))
    assert (told["written"], told["refused"]) == ([], ["AccessDenied"] * 2 * len(before))
    assert (told["keys"], told["token"]) == (["credentials"], False)
    assert not [name for name in told["environment"] if "SECRET" in name or "ACCESS_KEY" in name]
    assert {key: store.read(key) for key in before} == before
    for key in (record, alias):
        store.delete(key)
