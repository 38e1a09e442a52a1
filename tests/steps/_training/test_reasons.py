"""Why the user's code failed: the cause rather than what is wrapped around it, and the user's lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._training.reasons import FRAMES, cause, raised, reason

WRAPPED = """Exception encountered when calling Outer.call().

\x1b[1mException encountered when calling Inner.call().

\x1b[1mindices must be integers, not 'x'\x1b[0m

Arguments received by Inner.call():
  • x=tf.Tensor(shape=(8,), dtype=float32)\x1b[0m

Arguments received by Outer.call():
  • inputs=…"""
TRACED = """in user code:

    File "/home/me/mine.py", line 5, in train_step  *
        return helper(step)
    File "/home/me/more.py", line 9, in helper  *
        step.modle
    File "{prefix}/lib/keras/src/x.py", line 122, in error_handler  **
        raise e

    AttributeError: 'Step' object has no attribute 'modle'
"""


def test_what_keras_wraps_layer_by_layer_is_taken_off() -> None:
    assert cause(WRAPPED) == "indices must be integers, not 'x' (in Inner.call())"
    assert reason(TypeError(WRAPPED)) == cause(WRAPPED)


def test_of_a_traced_error_its_end_and_the_users_frames_are_said() -> None:
    found = reason(ValueError(TRACED.format(prefix=sys.prefix)))
    assert found == "AttributeError: 'Step' object has no attribute 'modle' (mine.py, line 5; more.py, line 9)"


def test_all_lines_of_a_message_are_said() -> None:
    assert cause("first\n  second\n\nthird") == "first second third"


@given(st.text())
def test_a_cause_is_one_line_and_bounded(message: str) -> None:
    assert len(cause(message).splitlines()) <= 1
    assert len(cause(message)) < 1_000


@pytest.mark.servers
def test_the_last_frames_of_the_users_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(
        "def build(n):\n    return build(n - 1) if n else worse()\n\n\ndef worse():\n    raise KeyError('why')\n"
    )
    script = (
        "import deep\nfrom colchis_steps._training.reasons import raised\n"
        "try:\n    deep.build(9)\nexcept Exception as error:\n    print(raised(error, deep.build))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (
        done.stdout == "raised KeyError: 'why' (deep.py, line 2; deep.py, line 6); correct the code and push it again\n"
    )
    assert FRAMES == 3


def test_a_mistake_in_syntax_names_its_line() -> None:
    with pytest.raises(SyntaxError) as found:
        compile("a =\n", "mine.py", "exec")
    assert "(mine.py, line 1)" in raised(found.value, None)
