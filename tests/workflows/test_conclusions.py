"""What a terminal says at the end of a run: after a no only what is true, and of a task that was not needed that."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from colchis_workflows._runs.display import Display
from colchis_workflows._runs.node import Node
from colchis_workflows._submit.workflow import Run, conclusion


class Record:
    run = "r"
    directory = Path("r")

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.path: node for node in nodes}
        self.listener: Any = lambda _: None


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        (
            {"summary": "the gate said no: accuracy is 0.4; nothing is served"},
            "the gate said no: accuracy is 0.4; ",
        ),
        ({"summary": "the canary said no: errors; version 2 stays"}, "the canary said no: errors; version 2 stays"),
        ({}, "the gate or the canary said no; the report says why"),
    ],
)
@pytest.mark.parametrize("verdict", ["fail", "undecided"])
def test_a_no_is_the_run_s_own_sentence_and_promises_no_version(
    outputs: dict[str, str], sentence: str, verdict: str
) -> None:
    run = Run("r", phase="Succeeded", outputs={"verdict": verdict, **outputs})
    assert conclusion(run).startswith(sentence)
    assert "serves on" not in conclusion(run)


def drawn(*nodes: Node, terminal: bool) -> str:
    display = Display(Record(*nodes))
    display.console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    if terminal:
        display.console.print(display._tree())
    else:
        for node in nodes:
            display._changed(node)
    text = display.console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_task_says_does_not_act_on_the_terminal(terminal: bool) -> None:
    hostile = "\x1b]0;x\x07 \x9b2J \u202egpj"
    text = drawn(
        Node("train", "t", "Pod", "Failed", hostile), Node(f"a{hostile}", "t", "Pod", "Failed"), terminal=terminal
    )
    assert not set(text) & set("\x07\x9b\u202e")
    assert "\x1b]" not in text
    assert text.count("\\u202egpj") == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_a_task_that_was_skipped_was_not_needed_here(terminal: bool) -> None:
    text = drawn(Node("approve", "t", "Pod", "Skipped"), Node("publish", "t", "Pod", "Omitted"), terminal=terminal)
    first, second = [line for line in text.splitlines() if "approve" in line or "publish" in line]
    assert "not needed here" in first
    assert "not reached" in second
    assert "Skipped" not in text
