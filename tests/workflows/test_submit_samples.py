"""The CI samples of examples/20-ci call what is there, pin what they use, and take no right that they need not."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_workflows import submit

SAMPLES = Path(__file__).parents[2] / "examples" / "20-ci"
ROOT = SAMPLES.parents[1]


def load(name: str) -> Any:
    return yaml.safe_load((SAMPLES / name).read_text())


def commands(name: str) -> str:
    """Return the shell text of the sample's job."""
    if name == "github-actions.yaml":
        steps = load(name)["jobs"]["train-and-serve"]["steps"]
        return "\n".join(step.get("run", "") for step in steps)
    job = load(name)["train-and-serve"]
    return "\n".join([*job["before_script"], *job["script"]])


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitlab-ci.yaml"])
def test_a_sample_calls_submit_with_flags_that_it_has_and_installs_what_is_locked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = commands(name)
    call = re.search(r"colchis submit ([^|\n]*)", text)
    assert call is not None
    args = submit.parser().parse_args(shlex.split(call[1]))
    assert (args.timeout, args.on_interrupt) == (7200.0, "stop")
    assert args.junit.name == "colchis.xml"
    requirements = re.search(r"--require-hashes --requirement colchis/(\S+)", text)
    assert requirements is not None
    assert (ROOT / requirements[1]).is_file()
    assert "${{" not in text, "values reach the shell through the environment only"


def test_github_pins_actions_by_commit_and_may_only_read() -> None:
    workflow = load("github-actions.yaml")
    job = workflow["jobs"]["train-and-serve"]
    assert (workflow["permissions"], job["permissions"]) == ({}, {"contents": "read"})
    for step in job["steps"]:
        assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
    assert job["timeout-minutes"] > 120
    [secret] = set(re.findall(r"secrets\.(\w+)", (SAMPLES / "github-actions.yaml").read_text()))
    assert secret == "COLCHIS_KUBECONFIG"


def test_gitlab_pins_its_image_and_shows_the_gates_no_as_a_warning() -> None:
    job = load("gitlab-ci.yaml")["train-and-serve"]
    assert re.fullmatch(r"python:[\w.-]+@sha256:[0-9a-f]{64}", job["image"])
    assert job["allow_failure"] == {"exit_codes": [3]}
    assert (job["artifacts"]["when"], job["artifacts"]["reports"]) == ("always", {"junit": "colchis.xml"})
    assert job["interruptible"] is False
