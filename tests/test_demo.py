"""The whole way on this machine: `colchis demo`, the line that a person pastes, a rejected run, a killed run."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.beside import free_port

from colchis_workflows._runs.curl import curl_line

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
COLCHIS = [sys.executable, "-m", "colchis_workflows.cli"]
ROOT = Path(__file__).parents[1]
QUICK = {"epochs": 2, "global_batch": 64, "seed": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    yield home
    subprocess.run([*COLCHIS, "models", "stop"], env=environment(home), check=True)


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "COLCHIS_HOME": str(home), "COLCHIS_PORT": str(free_port("127.0.0.1")), "NO_COLOR": "1"}


def colchis(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COLCHIS, *words], check=False, env=environment(home), capture_output=True, text=True)


@pytest.fixture(scope="module")
def demo(home: Path) -> str:
    done = colchis(home, "demo", "--keep")
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def data(home: Path, demo: str) -> str:
    return colchis(home, "data", "import", "digits", "--to", (home / "store").as_uri()).stdout.strip()


def told(output: str, name: str) -> str:
    return next(line.split(name)[1].strip() for line in output.splitlines() if line.strip().startswith(name))


def test_the_demo_signs_with_a_key_that_it_makes_and_names(home: Path, demo: str) -> None:
    assert told(demo, "signed by").startswith("demo (key ")
    words = told(demo, "verify it").replace("colchis ", "").split()
    done = colchis(home, *words, f"--store={(home / 'store').as_uri()}")
    assert done.returncode == 0, done.stderr
    assert "are whole, and signed by a key of --key" in done.stderr
    assert "signed by demo (key " in colchis(home, "explain", "digits").stdout


def test_the_demo_serves_a_model_that_is_good_enough(home: Path, demo: str) -> None:
    evaluation = json.loads(next(home.glob("store/runs/demo-*/evaluate.json")).read_text())
    assert evaluation["verdict"] == "pass"
    assert evaluation["details"]["metrics"]["accuracy"] >= 0.95
    assert f"accuracy {evaluation['details']['metrics']['accuracy']:.3f}" in demo
    assert told(demo, "draw a digit").endswith("/board/digits")
    assert "<script" not in Path(told(demo, "the report")).read_text()
    with urllib.request.urlopen(told(demo, "draw a digit"), timeout=10) as page:
        assert page.status == 200


def test_the_printed_curl_line_answers(demo: str) -> None:
    done = subprocess.run(shlex.split(told(demo, "ask it")), capture_output=True, text=True, check=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert 0 <= prediction["class"] <= 9
    assert sum(prediction["probability"]) == pytest.approx(1, abs=1e-4)


def test_every_step_left_its_record(home: Path, demo: str) -> None:
    (run,) = home.glob("store/runs/demo-*")
    steps = ["validate_data", "train", "evaluate", "upload", "build_image", "register", "rollout"]
    found = {step: run / ("training/train.json" if step == "train" else f"{step}.json") for step in steps}
    results = [json.loads(path.read_text()) for path in found.values()]
    assert [result["status"] for result in results] == ["succeeded"] * len(steps)
    record = json.loads((home / "store/models/digits/1/record.json").read_text())
    assert record["digest"] in record["image"]
    assert record["code"]["entry"] == "digits:build"


def test_a_gate_that_says_no_publishes_nothing(home: Path, data: str) -> None:
    before = sorted(home.glob("store/models/digits/*"))
    arguments = {"model": "digits", "data": data, "hyperparameters": json.dumps({**QUICK, "epochs": 1})}
    arguments["thresholds"] = json.dumps({"accuracy": {"min": 1.01}})
    done = colchis(home, "run", "--run", "no", *sets(arguments))
    assert done.returncode == 3, done.stderr[-2000:]
    assert "accuracy" in told(done.stdout, "summary=")
    assert sorted(home.glob("store/models/digits/*")) == before
    assert (home / "store/runs/no/report.html").exists()


def test_a_killed_training_leaves_nothing_half_made_and_goes_on(home: Path, data: str) -> None:
    arguments = {"model": "killed", "data": data, "hyperparameters": json.dumps({**QUICK, "epochs": 8})}
    command = [*COLCHIS, "run", "--run", "killed", *sets({**arguments, "thresholds": "{}"})]
    first = subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: any(home.glob("runs/killed/candidate/train/**/progress")) and progressed(home), 240)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait(lambda: not workers("killed"), 60)
    assert not (home / "store/runs/killed/candidate/model.json").exists()
    assert not (home / "store/models/killed").exists()
    again = subprocess.run(command, check=False, env=environment(home), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-3000:]
    training = json.loads((home / "store/runs/killed/training/train.json").read_text())["details"]
    assert training["resumed_from_epoch"] >= 1
    assert [epoch["epoch"] for epoch in training["history"]] == list(range(1, 9))
    served = json.loads(colchis(home, "predict", "killed", "--json", request(home)).stdout)
    assert len(served["predictions"]) == 1


def sets(arguments: dict[str, str]) -> list[str]:
    return [part for name, value in arguments.items() for part in ("--set", f"{name}={value}")]


def request(home: Path) -> str:
    return json.dumps({"instances": [json.loads(colchis(home, "predict", "digits", "--show-instance").stdout)]})


def progressed(home: Path) -> bool:
    found = [path.read_text() for path in home.glob("runs/killed/candidate/train/**/progress")]
    return any(int(text.partition("/")[0] or 0) >= 2 for text in found)


def workers(run: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile
        if "colchis_steps." in line and f"--run={run} " in line:
            found.append(line)
    return found


def wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_curl_line_needs_no_quoting() -> None:
    words = shlex.split(curl_line("http://127.0.0.1:1/v1/models/m", [[1, 2]]))
    assert words == ["curl", "-s", "http://127.0.0.1:1/v1/models/m:predict", "-d", '{"instances":[[[1,2]]]}']
