"""A step of one's own in the pipeline, written by Hera: it lints, keeps the rest as it is, and runs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_workflows import prepare

ROOT = Path(__file__).parents[2]
EXAMPLE, BASE = ROOT / "examples" / "33-own-step", ROOT / "workflows" / "manifests" / "base"
pytestmark = pytest.mark.servers  # it starts processes


def run(*words: str, cwd: Path = ROOT, **more: str) -> str:
    command = [sys.executable, *words]
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": beside, "NO_COLOR": "1"} | more
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    path = tmp_path / "seeded.yaml"
    path.write_text(run(str(EXAMPLE / "pipeline.py"), str(BASE)))
    return path


def _tasks(document: Any) -> dict[str, Any]:
    return {task["name"]: task for task in document["spec"]["templates"][0]["dag"]["tasks"]}


def test_it_lints_and_all_else_is_as_it_was(seeded: Path) -> None:
    run("-m", "colchis_workflows.cli", "lint", str(seeded), str(BASE))
    ours, theirs = yaml.safe_load((BASE / "colchis-pipeline.yaml").read_text()), yaml.safe_load(seeded.read_text())
    before, after = _tasks(ours), _tasks(theirs)
    assert after.keys() - before.keys() == {"seed"}
    assert {name for name in before if before[name] != after[name]} == {"candidate"}
    (seed,) = [template for template in theirs["spec"]["templates"] if template["name"] == "seed"]
    assert seed["serviceAccountName"] == "colchis-step"
    assert seed["container"]["securityContext"]["readOnlyRootFilesystem"] is True
    theirs["spec"]["templates"].remove(seed)
    assert theirs["spec"]["templates"][1:] == ours["spec"]["templates"][1:]


def test_the_template_lints_and_takes_and_gives_what_the_pipeline_asks_of_it(tmp_path: Path) -> None:
    path = tmp_path / "own-data.yaml"
    path.write_text(run(str(EXAMPLE / "template.py"), str(BASE)))
    run("-m", "colchis_workflows.cli", "lint", str(path), str(BASE))
    (own,) = yaml.safe_load(path.read_text())["spec"]["templates"]
    assert own["name"] == "prepare"
    assert {p["name"] for p in own["inputs"]["parameters"]} <= {*prepare.INPUTS}
    assert [p["name"] for p in own["outputs"]["parameters"]] == ["data", "digest"]
    assert own["serviceAccountName"] == "colchis-prepare"
    where = [f"{BASE / 'colchis-pipeline.yaml'}", f"--home={tmp_path}", "--set=prepare=template:absent"]
    beside = subprocess.run(
        [sys.executable, "-m", "colchis_workflows.cli", "run", "--file", *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert beside.returncode == 65
    assert "uses template 'absent/prepare', which is not there; name one that is, with -f too" in beside.stderr


def test_the_seed_comes_from_the_data_unless_one_is_given(tmp_path: Path) -> None:
    for given, wanted in (("{}", 0x1234567), ('{"seed": 7, "epochs": 2}', 7)):
        out = tmp_path / "out" / "hyperparameters"
        run(str(EXAMPLE / "seed.py"), "sha256:1234567890", given, str(out))
        assert json.loads(out.read_text()) == {"seed": wanted} | json.loads(given)


@pytest.mark.long
@pytest.mark.tensorflow
def test_it_runs_on_this_machine(seeded: Path, tmp_path: Path) -> None:
    home = {"COLCHIS_HOME": str(tmp_path / "home"), "COLCHIS_PORT": "18539"}
    store = (tmp_path / "home" / "store").as_uri()
    data = run("-m", "colchis_steps.import_data", "digits", f"--to={store}").strip()
    own_data = tmp_path / "own-data.yaml"
    own_data.write_text(run(str(EXAMPLE / "template.py"), str(BASE)))
    values = {"workers": "1", "hyperparameters": '{"epochs": 2}', "thresholds": "{}", "data": data}
    values["prepare"] = "template:own-data"
    given = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    cli = ["-m", "colchis_workflows.cli"]
    try:
        run(
            *cli,
            "run",
            "colchis-seeded",
            "--file",
            str(seeded),
            "--file",
            str(own_data),
            "--run",
            "own",
            *given,
            cwd=tmp_path,
            **home,
        )
    finally:
        run(*cli, "models", "stop", cwd=tmp_path, **home)
    trained = json.loads((tmp_path / "home/store/runs/own/training/train.json").read_text())
    digest = json.loads((tmp_path / "home/store/runs/own/validate_data.json").read_text())["outputs"]["digest"]
    assert json.loads(trained["inputs"]["hyperparameters"])["seed"] == int(digest.removeprefix("sha256:")[:7], 16)
    record = json.loads((tmp_path / "home/store/models/digits/1/record.json").read_text())
    assert record["data"].startswith("data/digits-own/")
