"""What a person sees of a run: a live tree on a terminal, one line a change elsewhere, and how it ended."""

import contextlib
import math
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from colchis_workflows._runs.node import Node
from colchis_workflows._runs.printable import printable

SIGNS = {
    "Succeeded": ("✔", "green"),
    "Failed": ("✖", "bold red"),
    "Error": ("✖", "bold red"),
    "Running": ("●", "cyan"),
    "Pending": ("○", "dim"),
    "Skipped": ("-", "dim"),
    "Omitted": ("-", "dim"),
}
WORDS = {"Skipped": "not needed here", "Omitted": "not reached"}  # for a person, of the phases that say little
EVERY = 1.0  # seconds between two lines about a task's progress, where there is no terminal


def parts(progress: str) -> tuple[int, int] | None:
    """Read ``N/M``; none where it is not that."""
    match = re.fullmatch(r"(\d+)/([1-9]\d*)", progress)
    return (int(match[1]), int(match[2])) if match else None


def seconds(value: float) -> str:
    """Write a duration as a person would."""
    whole = math.floor(value)
    return f"{value:.1f} s" if value < 60 else f"{whole // 60} min {whole % 60:02d} s"


def in_tree_order(nodes: Sequence[Node]) -> Iterator[Node]:
    """Return the tasks each after the DAG that it is in; those of one DAG in the order of its tasks."""
    inside: dict[str, list[Node]] = {}
    for node in nodes:
        inside.setdefault(node.path.rpartition(".")[0], []).append(node)

    def below(path: str) -> Iterator[Node]:
        for node in inside.get(path, []):
            if node.path:
                yield node
                yield from below(node.path)
            elif node.kind != "DAG":  # the entry point is one process and no DAG
                yield node

    return below("")


class Shown(Protocol):
    """A run that can be drawn; it calls ``listener`` with each task that changed."""

    run: str
    nodes: dict[str, Node]
    listener: Callable[[Node], None]

    @property
    def directory(self) -> object:
        """Return where the run is."""


class Display:
    """Draws a run's record, on stderr: stdout is for the outputs."""

    def __init__(self, record: Shown) -> None:
        self.record = record
        self.console = Console(stderr=True, highlight=False)
        self.live = Live(console=self.console, get_renderable=self._tree, refresh_per_second=8, transient=True)
        self.interactive = self.console.is_terminal and sys.stdin.isatty()
        self.began = time.monotonic()
        self._said: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the run goes on, and the tree once more at its end."""
        self.record.listener = self._changed
        self.console.print(
            Text.assemble("run ", (self.record.run, "bold"), f"  {self.record.directory}"), soft_wrap=True
        )
        if not self.console.is_terminal:
            yield
            return
        with self.live:
            yield
        self.console.print(self._tree())

    def _changed(self, node: Node) -> None:
        if self.console.is_terminal or (node.kind == "DAG" and not node.path):
            return
        with self._lock:
            phase, at = self._said.get(node.path, ("", 0.0))
            now = time.monotonic()
            if node.phase == "Pending" and not node.message:
                return
            if node.phase == phase and now - at < EVERY:
                return
            self._said[node.path] = (node.phase, now)
            words = [WORDS.get(node.phase, node.phase), node.progress if node.phase == "Running" else "", node.message]
            line = (
                f"{now - self.began:7.1f} s  {node.path or node.template}  {' '.join(word for word in words if word)}"
            )
            self.console.print(printable(line), soft_wrap=True, markup=False)

    def _tree(self) -> Group:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        for node in in_tree_order(list(self.record.nodes.values())):
            sign, style = SIGNS[node.phase]
            name = Text("  " * node.path.count("."))
            running = node.phase == "Running" and node.kind == "Pod" and self.live.is_started
            mark = Spinner("dots", style=style).render(time.monotonic()) if running else Text(sign, style=style)
            name.append_text(mark if isinstance(mark, Text) else Text(sign))
            name.append(
                printable(f" {node.name}" + (f" ({node.template})" if node.path == "onExit" else "")),
                style="bold" if node.phase == "Running" else style if sign == "✖" else "",
            )
            taken = seconds(node.seconds) if node.started else ""
            table.add_row(name, Text(taken, style="dim"), self._state(node), Text(printable(node.message), style=style))
        return Group(table)

    def _state(self, node: Node) -> Table | Text:
        found = parts(node.progress)
        if node.phase != "Running" or found is None:
            return Text("kept from before" if node.reused else WORDS.get(node.phase, node.phase), style="dim")
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=found[1], completed=found[0], width=16), Text(printable(node.progress)))
        return bar

    def ask(self, question: str, default: str, stop: threading.Event, until: float | None) -> str | None:
        """Ask on the terminal; none where nobody answers in time or the run is stopped."""
        with self._lock:
            if drawn := self.live.is_started:
                self.live.stop()
                self.console.print(self._tree())
            try:
                self.console.print(Text(printable(f"{question} ")), end="")
                return _line(sys.stdin, default, stop, until)
            finally:
                if drawn:
                    self.live.start()

    def say(self, *lines: str) -> None:
        """Say something below the tree."""
        for line in lines:
            self.console.print(printable(line), soft_wrap=True, markup=False)


def _line(stream: TextIO, default: str, stop: threading.Event, until: float | None) -> str | None:
    while not stop.is_set() and (until is None or time.monotonic() < until):
        if select.select([stream], [], [], 0.1)[0]:
            line = stream.readline()
            return (line.strip() or default) if line else None
    return None
