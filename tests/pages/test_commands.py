"""Every command of the pages is run as it stands there, and prints what the page says that it prints.

A page starts in a copy of the examples and manifests, where the run ``try`` has made version 1 of the model digits in
the store file:///tmp/store. Its blocks run in order, in one shell. A block that begins with a file's name is that file.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.beside import free_port
from tests.pages.blocks import PAGES, ROOT, blocks, commands

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
RUNS = {page: [block.runs for block in blocks(page) if block.language == "console"] for page in PAGES}
TRIED = """
colchis data import digits --to file:///tmp/store
colchis push-code examples/01-digits --store file:///tmp/store
colchis run --run try --set model=digits --set store=file:///tmp/store --set repository=oci:/tmp/images \
  --set data=$(colchis data import digits --to file:///tmp/store) --set workers=1 --set entry=digits:build \
  --set code=$(colchis push-code examples/01-digits --store file:///tmp/store) \
  --set 'hyperparameters={"epochs": 2, "global_batch": 64, "seed": 1}' --set thresholds={}
colchis models stop
"""


def pages(where: str) -> pytest.MarkDecorator:
    found = [page for page in PAGES if where in RUNS[page] and page != CONTRIBUTING]
    return pytest.mark.parametrize("page", found, ids=lambda page: str(page.relative_to(ROOT)))


class Place:
    """A directory that stands for a checkout, whose /tmp and model server are its own."""

    def __init__(self, root: Path) -> None:
        """Make the directory."""
        self.root = root
        self.port = free_port("127.0.0.1")
        for name in ("examples", "workflows/manifests"):
            shutil.copytree(ROOT / name, root / name)
        for name in ("requirements", "pyproject.toml", "Makefile"):
            (root / name).symlink_to(ROOT / name)
        (root / ".venv").symlink_to(sys.prefix)
        (root / ".examples").symlink_to(ROOT / ".examples")  # with `make test-long`'s environments

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run commands of a page here."""
        own = {"PATH": f"{self.root}/.venv/bin:{os.environ['PATH']}", "COLCHIS_PORT": str(self.port), "NO_COLOR": "1"}
        own |= {"COLCHIS_HOME": f"{self.root}/.colchis", "TMPDIR": f"{self.root}/tmp"}
        (self.root / "tmp").mkdir(exist_ok=True)
        script = re.sub(r"(?<![\w$}])/tmp/", f"{self.root}/tmp/", script).replace(":8501", f":{self.port}")
        command = ["bash", "-euxo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=self.root, env=os.environ | own, capture_output=True, text=True, timeout=600, check=False
        )


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Path]:
    """A place in which the run ``try`` is done, and a copy of it: its records name the place, so pages run in it."""
    place, kept = Place(tmp_path_factory.mktemp("checkout")), tmp_path_factory.mktemp("kept") / "checkout"
    done = place.run(TRIED)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(place.root, kept, symlinks=True)
    return place, kept


@pytest.fixture
def place(tried: tuple[Place, Path]) -> Iterator[Place]:
    place, kept = tried
    yield place
    place.run("colchis models stop")
    shutil.rmtree(place.root)
    shutil.copytree(kept, place.root, symlinks=True)


def follow(page: Path, place: Place, where: set[str]) -> None:
    """Run the blocks of a page that run there, and look for what they are said to print; a block may be a file."""
    script, answers = "", list[str]()
    for block in blocks(page):
        if block.language == "console" and block.runs in where:
            more, said = commands(block.text)
            script += more
            answers += [line for line in said if line and "…" not in line]
        elif named := re.match(r"# (\S+\.py)\n", block.text):
            file = place.root / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    done = place.run(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in answers if line.strip() not in done.stdout + done.stderr] == []


@pytest.mark.tensorflow
@pages("test")
def test_each_command_of_the_page_does_what_it_says(page: Path, place: Place) -> None:
    follow(page, place, {"test"})


@pytest.mark.long
@pages("long")
def test_each_long_command_of_the_page_does_what_it_says(page: Path, place: Place) -> None:
    follow(page, place, {"test", "long"})


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone of the repository")
def test_contributing_leads_from_a_clone_to_passing_tests(tmp_path: Path) -> None:
    script = "".join(commands(block.text)[0] for block in blocks(CONTRIBUTING) if block.runs == "long")
    script = script.replace("https://github.com/colchis/colchis", f"{ROOT} colchis")
    assert script.startswith(f"git clone {ROOT}")
    command = ["bash", "-euxo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "colchis/.git/hooks/pre-commit").is_file()


def test_what_is_marked_for_the_cluster_is_run_there() -> None:
    assert [str(page.relative_to(ROOT)) for page in PAGES if "cluster" in RUNS[page]] == ["docs/quickstart-cluster.md"]
