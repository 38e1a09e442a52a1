"""``colchis``: which verbs there are and where they go."""

import os
import subprocess
import sys
from pathlib import Path

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
    assert done.stdout.startswith(f"usage: colchis {verb} ")


@pytest.mark.servers
@pytest.mark.parametrize("word", ["import", "show", "infer"])
def test_what_is_done_with_data_shows_its_help(word: str) -> None:
    words = [sys.executable, "-m", "colchis_workflows.cli", "data", word, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: colchis data {word} ")


@pytest.mark.servers
def test_a_step_s_help_says_what_was_typed() -> None:
    words = [sys.executable, "-m", "colchis_steps.import_data", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: python -m colchis_steps.import_data ")


@pytest.mark.servers
@pytest.mark.parametrize("verb", ["run", "lint", "render"])
def test_a_verb_whose_extra_is_not_installed_names_it(verb: str, tmp_path: Path) -> None:
    (tmp_path / "hera").mkdir()
    (tmp_path / "hera/__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'hera'\", name='hera')\n")
    words = [sys.executable, "-m", "colchis_workflows.cli", verb]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)
    sentence = f"colchis {verb}: hera is not installed; install it with: pip install 'colchis[workflows]'\n"
    assert (done.returncode, done.stderr) == (65, sentence)


def test_a_module_of_ours_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colchis_workflows.lint", None)
    with pytest.raises(ModuleNotFoundError, match=r"colchis_workflows\.lint"):
        cli.main(["lint"])


@pytest.mark.servers
def test_a_steps_exit_code_is_the_commands() -> None:
    words = [sys.executable, "-m", "colchis_workflows.cli", "data", "no-such-set"]
    assert subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 2
