"""What others wrote does not act where it is shown."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._step.text import one_line, printable

HOSTILE = "\x1b]0;title\x07\x1b[2J \x9b31m \u202egpj.exe\u2069 \u2028 \x00 end"


def test_what_acts_is_shown_by_its_number() -> None:
    shown = printable(f"a\tb\n{HOSTILE}")
    assert shown == ("a\tb\n\\u001b]0;title\\u0007\\u001b[2J \\u009b31m \\u202egpj.exe\\u2069 \\u2028 \\u0000 end")
    assert printable("Größe, العربية, 日本語, 👩‍🔬\n") == "Größe, العربية, 日本語, 👩‍🔬\n", "what is only read stays"


@given(st.text())
def test_nothing_but_tabs_and_ends_of_lines_stays_of_what_acts(text: str) -> None:
    shown = printable(text)
    assert all(letter in "\t\n" or ord(letter) >= 32 for letter in shown)
    assert not set(shown) & set("\x7f\x9b\u202e\u2066\u2028")
    shown.encode()


@given(st.text(), st.integers(1, 64))
def test_one_line_has_one_and_ends(text: str, most: int) -> None:
    assert len(one_line(text, most)) <= most
    assert "\n" not in one_line(text, most)


@pytest.mark.parametrize(("text", "most", "wanted"), [("a\n b", 9, "a b"), ("abc", 3, "abc"), ("abcd", 3, "ab…")])
def test_one_line(text: str, most: int, wanted: str) -> None:
    assert one_line(text, most) == wanted


FAILING = """
import logging, sys
from colchis_steps._step.errors import InputError
from colchis_steps._step.main import entrypoint
@entrypoint
def main(argv=None):
    logging.getLogger("colchis").warning("the model %s", sys.argv[1])
    raise InputError(f"{sys.argv[1]}\\nforged line; " + "x" * 100_000)
sys.exit(main())
"""


@pytest.mark.servers
def test_a_steps_log_and_sentence_do_not_act_and_end() -> None:
    hostile = HOSTILE.replace("\0", "")
    done = subprocess.run([sys.executable, "-c", FAILING, hostile], capture_output=True, text=True, check=False)
    assert done.returncode == 65
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "\\u001b[2J" in lines[0]
    assert not set(done.stderr) & set("\x1b\x07\x9b\u202e")
    assert len(lines[1]) < 2100
    assert "forged line" in lines[1]
