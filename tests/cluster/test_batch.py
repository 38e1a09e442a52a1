"""Predictions by the pods of a Job, one of which is killed: each row once, and what was there is not made again."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tests.cluster.conftest import SMALL_JOB
from tests.cluster.installed import NEEDS_CLUSTER, Installation, until
from tests.steps.batch_site import lengths, publish_lengths

from colchis_steps._formats.batch import Batch
from colchis_steps._manifests.training import JOB_INDEX
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

pytestmark = NEEDS_CLUSTER
PARTS, ROWS = 48, 50_000


def test_a_killed_pod_is_started_again_and_each_row_is_predicted_once(here: Installation, exported: Path) -> None:
    publish_lengths(here.store, exported / "two")
    for number in range(PARTS):
        out = io.BytesIO()
        pq.write_table(lengths(number * ROWS, ROWS), out)
        here.store.write(f"data/rows/{number:03}.parquet", out.getvalue())
    given = {"store": here.url, "model": "lengths", "from": f"{here.url}/data/rows", "key": "id", "spread": "pods"}
    name = here.submit("colchis-batch", **given, workers="2", job_options=SMALL_JOB)

    def written() -> dict[str, bytes]:
        keys = [key for key in here.keys("batch/lengths/1/") if "/_parts/" in key]
        return {key: here.store.read(key) for key in keys}

    def killed() -> dict[str, bytes] | None:
        assert not here.run(name).workflow.get("status", {}).get("finishedAt"), here.run(name).told()
        before = written()
        pods = here.get("pods", f"--selector=app.kubernetes.io/name=colchis-batch,{JOB_INDEX}=1")["items"]
        if len(before) < 3 or not pods:
            return None
        here.kubectl("delete", "pod", pods[0]["metadata"]["name"], "--wait=false", "--grace-period=0", "--force")
        return before

    before = until(240, "some parts of the batch", killed)
    assert len(before) < PARTS, "it was through before it could be killed"
    run = here.ended(name, 400)
    assert run.phase == "Succeeded", run.told()
    after = written()
    assert {key: after[key] for key in before} == before
    node = run.node("predict")
    outputs = {p["name"]: p["value"] for p in node["outputs"]["parameters"]}
    to = open_store(outputs["predictions"])
    found = read_document(to, "_manifest.json", Batch)
    assert (found.rows, outputs["rows"]) == (PARTS * ROWS, str(PARTS * ROWS))
    tables = [pq.read_table(io.BytesIO(to.read(part.path))) for part in found.parts]
    ids = np.concatenate([table["id"].to_numpy() for table in tables])
    told = np.concatenate([table["length"].to_numpy() for table in tables])
    assert np.array_equal(np.sort(ids), np.arange(PARTS * ROWS))
    assert np.array_equal(told, ids.astype(np.float32) * (ids % 5 * 2))
    assert not here.get("jobs", "--selector=app.kubernetes.io/name=colchis-batch")["items"]
    seen = run.node("job")
    assert seen["phase"] == "Succeeded"
