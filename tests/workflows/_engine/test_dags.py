"""The seventeen small DAGs through the local engine; tests/cluster/test_engines.py runs them through Argo."""

import json
from pathlib import Path

import pytest
import yaml

from colchis_workflows import run as local

DAGS = sorted((Path(__file__).parents[1] / "dags").glob("*.yaml"))


def phases(record: Path) -> dict[str, str]:
    """Return the phases of a local run as Argo names its nodes: an attempt of a task with retries is one of its own."""
    run = json.loads(record.read_text())
    found = {"workflow": run["phase"]}
    for node in run["nodes"]:
        found[node["path"]] = node["phase"]
        if node["template"] in {"late", "never", "bad"} and node["attempts"]:
            found |= {f"{node['path']}({n})": attempt["phase"] for n, attempt in enumerate(node["attempts"])}
    return found


def test_there_are_seventeen() -> None:
    assert len(DAGS) == 17


@pytest.mark.servers
@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_phases_and_outputs_are_those_of_argo(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = next(yaml.safe_load_all(path.read_text()))["metadata"]["annotations"]
    code = local.main(["--file", str(path), "--home", str(tmp_path), "--run", "r"])
    want = json.loads(expected["colchis.dev/phases"])
    assert phases(tmp_path / "runs" / "r" / "run.json") == want
    outputs = json.loads(expected.get("colchis.dev/outputs", "{}"))
    assert dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines()) == outputs
    assert (code == 0) == (want["workflow"] == "Succeeded")
