"""What holds for the project as a whole: one stem everywhere, small modules, fast imports, true documents."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
STEMS = ["validate_data", "train", "evaluate", "upload", "build_image", "register", "rollout", "report"]
FOUND = [*ROOT.glob("steps/colchis_steps/**/*.py"), *ROOT.glob("workflows/colchis_workflows/**/*.py")]
SOURCES = sorted(path for path in FOUND if not path.name.endswith("_pb2.py"))  # those are made
HEAVY = {"awscrt", "botocore", "jinja2", "keras", "kubernetes", "sklearn", "starlette", "tensorflow", "uvicorn"}


@pytest.mark.parametrize("stem", STEMS)
def test_a_step_has_module_template_test_and_page_of_one_stem(stem: str) -> None:
    assert (ROOT / f"steps/colchis_steps/{stem}.py").is_file()
    assert (ROOT / f"workflows/colchis_workflows/{stem}.py").is_file()
    assert list((ROOT / "tests/steps").glob(f"test_{stem}*.py"))
    assert (ROOT / f"docs/steps/{stem}.md").is_file()
    assert list((ROOT / "workflows/manifests").rglob(f"colchis-{stem.replace('_', '-')}.yaml"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert lines[0].startswith('"""')


@pytest.mark.servers
@pytest.mark.parametrize("stem", STEMS)
def test_importing_a_step_loads_nothing_heavy(stem: str) -> None:
    code = f"import sys, colchis_steps.{stem}; print(*{HEAVY!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.servers
@pytest.mark.parametrize("stem", STEMS)
def test_a_step_describes_itself_with_an_example(stem: str) -> None:
    command = [sys.executable, "-m", f"colchis_steps.{stem}", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "example" in text.lower()
    assert f"colchis_steps.{stem}" in text


def test_the_readme_is_short_and_shows_both_commands_first() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    first_screen = "\n".join(lines[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_each_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE)
    assert targets == explained


def test_ci_tests_each_python_that_is_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yaml").read_text())
    supported = SpecifierSet(project["requires-python"])
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [
        f"3.{minor}" for minor in range(30) if f"3.{minor}" in supported
    ]


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yaml")), ids=lambda path: path.stem)
def test_a_workflow_pins_its_actions_and_takes_no_right_by_default(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["uses"] for step in steps if not re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{40 * '0'}"))] == []


def test_the_hooks_run_the_programs_of_the_lock() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        folder, program = hook["entry"].split()[0].rsplit("/", 1)
        assert folder == ".venv/bin"
        assert (Path(sys.prefix) / "bin" / program).exists()
