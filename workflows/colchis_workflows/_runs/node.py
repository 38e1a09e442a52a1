"""A node of a run, and its attempts."""

import time
from dataclasses import dataclass, field

BAD = {"Failed", "Error"}


@dataclass
class Attempt:
    """One start of a task's process."""

    phase: str
    message: str
    exit_code: int | None
    seconds: float


@dataclass
class Node:
    """A task of the run: ``path`` are the names of the DAG tasks down to it, with dots between; the whole has none."""

    path: str
    template: str
    kind: str  # Pod, DAG, Suspend, or Skipped
    phase: str = "Pending"
    message: str = ""
    progress: str = ""
    started: float | None = None  # seconds since the epoch
    finished: float | None = None
    inputs: str = ""  # a digest of what the task was started with
    exit_code: int | None = None
    reused: bool = False  # it had succeeded in an earlier start of this run
    outputs: dict[str, str] = field(default_factory=dict)
    result: str | None = None  # what it wrote to stdout, where a task reads that
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the task's own name."""
        return self.path.rpartition(".")[2]

    @property
    def seconds(self) -> float:
        """Return how long the task has taken, up to now where it goes on."""
        return (self.finished or time.time()) - self.started if self.started else 0.0
