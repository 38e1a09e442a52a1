"""What ``make`` says of a Python that cannot be used, before anything is made."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLD = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, {minor}, 0); exec(sys.argv[1])' "$2"
"""


def environment(tmp_path: Path, python: str) -> "subprocess.CompletedProcess[str]":
    place = tmp_path / "venv"
    words = ["make", f"PYTHON={python}", f"VENV={place}", f"{place}/bin/uv"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert not place.exists()
    return done


@pytest.mark.servers
def test_a_python_that_is_not_installed_is_named_with_those_that_will_do(tmp_path: Path) -> None:
    done = environment(tmp_path, "python3.99")
    assert done.returncode == 2
    assert done.stderr.startswith("python3.99 is not installed here: install Python 3.11, 3.12 or 3.13, or")


@pytest.mark.servers
@pytest.mark.parametrize("minor", [10, 14])
def test_a_python_of_another_release_says_so(tmp_path: Path, minor: int) -> None:
    python = tmp_path / f"python3.{minor}"
    python.write_text(OLD.format(python=sys.executable, minor=minor))
    python.chmod(0o755)
    done = environment(tmp_path, str(python))
    assert done.returncode == 2
    assert f"Python 3.{minor} will not do: TensorFlow has wheels for 3.11 to 3.13" in done.stderr
