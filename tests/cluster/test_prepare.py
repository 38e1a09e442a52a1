"""A command, or a template of one's own, makes the data of a training, and a step of one's own its seed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.installed import IMAGES, NEEDS_CLUSTER, QUICK, REPOSITORY, ROOT, TAG, Installation
from tests.cluster.test_chain import record

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.keys import result_key
from colchis_steps._formats.runs import StepResult
from colchis_steps._store.documents import read_document
from colchis_steps._store.uris import absolute
from colchis_steps.push_code import push

pytestmark = NEEDS_CLUSTER
FEATURES = """
import os, pathlib
import pyarrow.parquet as pq

assert not pathlib.Path("/var/run/colchis").exists(), "a key is mounted"
assert not any("SECRET" in name or "CREDENTIALS" in name for name in os.environ), sorted(os.environ)
given, made = pathlib.Path(os.environ["COLCHIS_INPUT"]), pathlib.Path(os.environ["COLCHIS_OUTPUT"])
try:
    (given / "mine").write_text("x")
except OSError:
    print("the input is read-only")
else:
    raise SystemExit("the input can be changed")
for split in ("train", "eval", "test"):
    rows = pq.read_table(given / split)
    pq.write_table(rows.slice(0, rows.num_rows * 9 // 10), made / f"{split}.parquet")
"""
COMMAND = "command:python features.py"


@pytest.mark.long
def test_own_steps_make_the_data_and_the_seed(here: Installation, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "features.py").write_text(FEATURES)
    code = push(here.store, tmp_path / "code")
    render = ["-m", "colchis_workflows.cli", "render", f"--to={tmp_path}", f"--registry={IMAGES}", f"--tag={TAG}"]
    subprocess.run([sys.executable, *render], check=True)
    example = [sys.executable, str(ROOT / "examples/33-own-step/pipeline.py"), str(tmp_path / "base")]
    here.kubectl(
        "apply", "--filename=-", given=subprocess.run(example, check=True, capture_output=True).stdout.decode()
    )
    hyperparameters = json.dumps({k: v for k, v in json.loads(QUICK["hyperparameters"]).items() if k != "seed"})
    given = QUICK | {"hyperparameters": hyperparameters, "store": here.url, "data": here.data, "code": code}
    given |= {"model": "seeded", "builder": "direct", "repository": f"{REPOSITORY}/{here.namespace}"}
    run = here.ended(here.submit("colchis-seeded", prepare=COMMAND, **given), 600)
    assert run.phase == "Succeeded", run.told()

    found = record(here, "seeded", 1)
    made, raw = open_data(absolute(here.store, found.data)), open_data(here.data)
    assert found.data_digest == made.manifest.digest
    assert made.manifest.parent is not None
    assert made.manifest.parent.data == raw.manifest.digest
    assert made.rows("train") == raw.rows("train") * 9 // 10
    digest = raw.manifest.digest.removeprefix("sha256:")
    assert found.hyperparameters["seed"] == int(digest[:7], 16)

    again = {"store": here.url, "run": "again", "data": here.data, "code": code, "prepare": COMMAND}
    ended = here.ended(here.submit("colchis-prepare", **again), 200)
    assert ended.phase == "Succeeded", ended.told()
    told = read_document(here.store, result_key("again", "prepare"), StepResult)
    assert told.message.startswith("made before by the same code and command")
    assert told.outputs["digest"] == made.manifest.digest


@pytest.mark.long
def test_a_template_of_ones_own_makes_the_data_by_its_name(here: Installation, tmp_path: Path) -> None:
    """The pipeline is the installed one: only the template is applied; one that is not there ends a run by its name."""
    render = ["-m", "colchis_workflows.cli", "render", f"--to={tmp_path}", f"--registry={IMAGES}", f"--tag={TAG}"]
    subprocess.run([sys.executable, *render], check=True)
    example = [sys.executable, str(ROOT / "examples/33-own-step/template.py"), str(tmp_path / "base")]
    here.kubectl(
        "apply", "--filename=-", given=subprocess.run(example, check=True, capture_output=True).stdout.decode()
    )
    given = QUICK | {"store": here.url, "data": here.data, "model": "own-data", "builder": "direct"}
    given |= {"repository": f"{REPOSITORY}/{here.namespace}"}
    run = here.ended(here.submit(prepare="template:own-data", **given), 600)
    assert run.phase == "Succeeded", run.told()
    found = record(here, "own-data", 1)
    made = open_data(absolute(here.store, found.data)).manifest
    assert (made.name, made.digest) == ("digits-own", found.data_digest)
    assert made.parent is not None
    assert made.parent.data == open_data(here.data).manifest.digest

    absent = here.ended(here.submit(prepare="template:absent", **given | {"model": "absent"}), 300)
    assert absent.phase in {"Error", "Failed"}
    assert any("absent" in str(node.get("message")) for node in absent.nodes), absent.told()
