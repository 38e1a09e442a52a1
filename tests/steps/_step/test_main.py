"""How a step's process ends."""

import os
import subprocess
import sys

import pytest

STEP = """
from colchis_steps._step.main import entrypoint

@entrypoint
def main(argv=None):
    for _ in range(9999):
        print("x" * 99)

raise SystemExit(main([]))
"""


@pytest.mark.servers
def test_a_reader_that_has_enough_ends_a_step_without_a_word() -> None:
    """As `colchis models | head -1` does."""
    words = f'{sys.executable} -c "$STEP" | head -1; exit ${{PIPESTATUS[0]}}'
    command, environment = ["bash", "-c", words], os.environ | {"STEP": STEP}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 100)
