"""Real jobs on the cluster: a file of one's own, imported into the bucket, to an answer through the gateway."""

import subprocess
from pathlib import Path

import pytest
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, Installation
from tests.jobs.jobs import JOBS, Job
from tests.jobs.sources import ROOT

from colchis_steps._serving.client import call

pytestmark = NEEDS_CLUSTER
PENGUIN = {"island": "Biscoe", "bill_length_mm": 50.0, "bill_depth_mm": None, "flipper_length_mm": 220}
MEASURED = {"age": 59.0, "sex": 2, "bmi": 32.1, "bp": 101.0, "s1": 157.0, "s2": 93.2, "s3": 38.0, "s4": 4.0}
ASKED = {  # a row of each, as a client has it
    "penguins": {**PENGUIN, "body_mass_g": 5000, "sex": None, "year": 2008},
    "diabetes": {**MEASURED, "s5": 4.8598, "s6": 87.0},
    "sentences": {"message": "my parcel has not arrived"},
}
FIRST = "penguins"  # the others take the cluster's time in `make test-long`
CASES = [
    pytest.param(job, id=job.name, marks=() if job.name == FIRST else pytest.mark.long)
    for job in JOBS
    if job.name in {*ASKED, "tiles"}
]


def ran(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("job", CASES)
def test_a_job_goes_from_its_file_to_an_answer_through_the_gateway(
    here: Installation, job: Job, tmp_path: Path
) -> None:
    source = job.make(tmp_path)
    uri = ran("colchis", "data", "import", job.data, f"--from={source}", f"--to={here.url}", *job.words)
    given = {"data": uri, "thresholds": job.thresholds, "hyperparameters": "{}"} | job.settings
    if job.code:
        given["code"] = ran("colchis", "push-code", str(ROOT / job.code), f"--store={here.url}")
    run = here.ended(here.submit(model=job.name, **given), 400)
    assert run.phase == "Succeeded", run.told()
    assert run.outputs["verdict"] == "pass"
    if job.name in ASKED:
        status, found = call(f"{GATEWAY}/v1/models/{job.name}:predict", {"instances": [ASKED[job.name]]}, timeout=10)
        assert status == 200, found
        assert len(found["predictions"]) == 1
