"""Each example's README, followed to the letter on this machine: every command, and what it is said to answer."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.beside import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
LOCAL = {"01-digits", "02-command", "30-colour", "31-drawing-board", "32-iris"}
FOR_CLUSTERS = {"20-ci"}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A place like a checkout, whose model server is stopped in the end."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield tmp_path
    subprocess.run(["colchis", "models", "stop"], cwd=tmp_path, env=place(tmp_path), check=False)


def place(checkout: Path) -> dict[str, str]:
    own = {"PATH": f"{checkout}/.venv/bin:{os.environ['PATH']}", "COLCHIS_HOME": f"{checkout}/.colchis"}
    return os.environ | own


def commands(page: str) -> tuple[str, list[str]]:
    """Give the script of a page's consoles up to its part on clusters, and the lines that it is said to answer."""
    script, answers, goes_on = "", list[str](), False
    for console in re.findall(r"```console\n(.*?)```", page.partition("On a cluster")[0], flags=re.DOTALL):
        for line in console.splitlines():
            if line.startswith(("$ ", "> ")) or goes_on:
                script += line.removeprefix("$ ").removeprefix("> ") + "\n"
                goes_on = line.endswith("\\")
            else:
                answers.append(line)
    return script, answers


@pytest.mark.long
@pytest.mark.parametrize("example", sorted(LOCAL))
def test_each_command_of_the_page_does_what_it_says(checkout: Path, example: str) -> None:
    script, answers = commands((EXAMPLES / example / "README.md").read_text())
    assert script.count("\n") > 3
    port = free_port("127.0.0.1")
    script = script.replace("/tmp/colchis", f"{checkout}/store").replace(":8501", f":{port}")
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=checkout,
        env=place(checkout) | {"COLCHIS_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in answers if line not in done.stdout] == []


def test_every_page_with_a_console_is_followed() -> None:
    pages = {path.parent.name for path in EXAMPLES.glob("*/README.md") if "```console" in path.read_text()}
    assert pages == LOCAL | FOR_CLUSTERS
