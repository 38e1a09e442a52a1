"""Each real job goes from its file to an answer of the served model, on this machine: import, run, predict."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.beside import free_port
from tests.jobs.jobs import JOBS, Job
from tests.jobs.sources import ROOT

FIRST = "penguins"  # goes through in `make test`
CASES = [pytest.param(job, id=job.name, marks=() if job.name == FIRST else pytest.mark.long) for job in JOBS]


class Here:
    """A home of its own, with a model server's port of its own."""

    def __init__(self, root: Path) -> None:
        own = {"COLCHIS_HOME": f"{root}/home", "COLCHIS_PORT": str(free_port("127.0.0.1")), "NO_COLOR": "1"}
        beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.environment = os.environ | own | {"PATH": beside}

    def colchis(self, *words: str) -> str:
        done = subprocess.run(
            ["colchis", *words], env=self.environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-8000:]}"
        return done.stdout.strip()


@pytest.mark.tensorflow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("job", CASES)
def test_a_job_goes_from_its_file_to_a_served_model(job: Job, tmp_path: Path) -> None:
    here = Here(tmp_path)
    source = job.make(tmp_path)
    store = f"file://{tmp_path}/home/store"
    uri = here.colchis("data", "import", job.data, f"--from={source}", f"--to={store}", *job.words)
    settings = {"model": job.name, "data": uri, "workers": "1", "thresholds": job.thresholds} | job.settings
    if job.code:
        settings["code"] = here.colchis("push-code", str(ROOT / job.code), f"--store={store}")
    try:
        outputs = here.colchis(
            "run", f"--run={job.name}", *(f"--set={name}={value}" for name, value in settings.items())
        )
        assert "verdict=pass" in outputs.splitlines()
        assert re.search(job.says, here.colchis("predict", job.name))
    finally:
        here.colchis("models", "stop")
    found = json.loads((tmp_path / f"home/store/runs/{job.name}/evaluate.json").read_text())
    assert found["verdict"] == "pass"
    assert (tmp_path / f"home/store/runs/{job.name}/report.html").stat().st_size > 10_000
