"""``colchis``: which verbs there are and where they go."""

import subprocess
import sys

import pytest

from colchis_workflows import cli


def test_help_lists_each_verb_with_a_line_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    for verbs in cli.GROUPS.values():
        for verb, line in verbs.items():
            assert f"  {verb:14} {line}\n" in said
    assert "colchis demo" in said.partition("examples:")[2]


def test_no_verb_is_a_usage_error_that_shows_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: colchis VERB" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "hint"), [("modles", "did you mean 'models'?"), ("xyzzy", "`colchis --help` lists")])
def test_an_unknown_verb_is_a_usage_error_with_the_nearest(
    verb: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.servers
@pytest.mark.parametrize("verb", [verb for verbs in cli.GROUPS.values() for verb in verbs])
def test_each_verb_shows_its_help(verb: str) -> None:
    words = [sys.executable, "-m", "colchis_workflows.cli", verb, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: colchis")


@pytest.mark.servers
def test_a_steps_exit_code_is_the_commands() -> None:
    words = [sys.executable, "-m", "colchis_workflows.cli", "data", "no-such-set"]
    assert subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 2
