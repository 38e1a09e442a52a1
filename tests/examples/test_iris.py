"""Iris: scikit-learn's coefficients as a SavedModel, judged by the gate and answering classes over protocol V1."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples.iris import PROGRAM, ROWS

ANSWER = """
import sys
from pathlib import Path
import msgspec
from colchis_steps._savedmodel.loading import SavedModel
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.protocol import read_v1
model = SavedModel(Path(sys.argv[1]))
question = read_v1(sys.argv[2].encode(), Columns(model.inputs))
print(msgspec.json.encode(question.write(model.predict(question.arrays))).decode())
"""


@pytest.mark.tensorflow
def test_it_trains_passes_the_gate_and_answers_the_two_well_known_rows(tmp_path: Path) -> None:
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    store = f"--store={(tmp_path / 'store').as_uri()}"

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, env=os.environ | {"PATH": beside}, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    data = run("-m", "colchis_steps.import_data", "iris", f"--to={store.partition('=')[2]}")
    code = run("-m", "colchis_steps.push_code", str(PROGRAM.parent), store)
    about = [store, "--run=iris-1", "--model=iris", f"--data={data}"]
    run("-m", "colchis_steps.train", *about, f"--code={code}", "--entry=command:python iris.py")
    verdict, export = tmp_path / "verdict", tmp_path / "export"
    thresholds = '--thresholds={"accuracy": {"min": 0.9}}'
    run("-m", "colchis_steps.evaluate", *about, thresholds, f"--verdict-path={verdict}")
    assert verdict.read_text() == "pass"
    candidate = json.loads((tmp_path / "store/runs/iris-1/candidate/model.json").read_text())
    for file in candidate["files"]:
        path = export / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "store/runs/iris-1/candidate/blobs/sha256" / file["sha256"]).read_bytes())
    assert not [file for file in candidate["files"] if file["path"].endswith((".pkl", ".joblib"))]
    assert json.loads(run("-c", ANSWER, str(export), json.dumps({"instances": ROWS}))) == {"predictions": [1, 1]}
