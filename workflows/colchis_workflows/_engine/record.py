"""A local run on disk: ``<home>/runs/<run>/run.json`` says what was asked, how far it is and how it ended.

It is replaced as a whole at each change, so a reader, or the same run started again after kill -9, sees a whole one.
"""

import contextlib
import dataclasses
import fcntl
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from colchis_workflows._argo.errors import InputError, UsageError
from colchis_workflows._argo.files import write_atomically
from colchis_workflows._runs.node import Attempt, Node

KIND = "colchis.dev/local-run/v1"
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


class Record:
    """What is known of a run; ``changed`` saves it and tells the display."""

    def __init__(self, home: Path, run: str) -> None:
        if NAME.fullmatch(run) is None:
            raise UsageError(f"run id {run!r} is not made of a-z, 0-9, - and . (at most 63); name it so")
        self.run = run
        self.directory = home / "runs" / run
        self.asked: dict[str, Any] = {}
        self.phase = "Pending"
        self.started = time.time()
        self.finished: float | None = None
        self.outputs: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.earlier: dict[str, Node] = {}  # what an earlier start of this run did
        self.listener: Callable[[Node], None] = lambda _: None
        self._lock = threading.RLock()
        self._load()

    def _load(self) -> None:
        path = self.directory / "run.json"
        if not path.exists():
            return
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["kind"] != KIND:
                raise InputError(f"{path} is of kind {document['kind']!r}, not {KIND}; take another --run")
            self.asked = document["asked"]
            for node in document["nodes"]:
                attempts = [Attempt(**attempt) for attempt in node.pop("attempts")]
                self.earlier[node["path"]] = Node(**node, attempts=attempts)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not the record of a run ({error}); take another --run") from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make sure that no other process runs this run; the lock goes when this process ends, however it ends."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            file = (self.directory / "lock").open("a")
        except OSError as error:
            message = f"{self.directory} cannot be written ({error.strerror}); name another place with --home"
            raise InputError(message) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"run {self.run!r} is running already; wait for it, or take another --run") from error
            yield

    def changed(self, node: Node, **fields: Any) -> Node:
        """Set fields of a node, save the record and tell the display."""
        with self._lock:
            for name, value in fields.items():
                setattr(node, name, value)
            self.nodes[node.path] = node
            self.save()
        self.listener(node)
        return node

    def save(self) -> None:
        """Write run.json."""
        with self._lock:
            document = {
                "kind": KIND,
                "run": self.run,
                "phase": self.phase,
                "asked": self.asked,
                "started": self.started,
                "finished": self.finished,
                "outputs": self.outputs,
                "nodes": [dataclasses.asdict(node) for node in self.nodes.values()],
            }
            write_atomically(self.directory / "run.json", json.dumps(document, indent=1))

    def place(self, node: Node) -> Path:
        """Return the directory of a task: its log, its outputs."""
        return self.directory.joinpath(*(node.path.split(".") if node.path else [node.template]))
