"""A container or script template as processes, one a container: commands, environments, files, and what they leave.

Its init containers run before it, one after the other. A volume that is empty at first is a directory of the attempt.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.tags import fill
from colchis_workflows._engine.expansion import environment, expanded
from colchis_workflows._engine.process import execute
from colchis_workflows._engine.record import Record
from colchis_workflows._engine.subset import PYTHON
from colchis_workflows._runs.node import Attempt, Node

TAIL = 4096  # bytes of the log in which the last sentence is looked for
VOLUMES = "volumes"
LONGEST = 256 * 1024  # bytes of a result: Argo takes no more


@dataclass(frozen=True)
class Process:
    """What a container runs."""

    command: list[str]
    environment: dict[str, str]


@dataclass
class Pod:
    """One attempt at a task; ``before`` are its init containers."""

    template: Object
    record: Record
    node: Node
    place: Path
    before: list[Process]
    main: Process
    outputs: dict[str, Path]
    source: str | None = None  # of a script
    result: bool = False  # what it writes to stdout is its result, and not in the log until it has ended

    @property
    def digest(self) -> str:
        """Return what the attempt is started with, as a digest: equal ones need not run again."""
        processes = [part for one in (*self.before, self.main) for part in (one.command, one.environment)]
        started = [*processes, *([self.source] if self.source is not None else [])]
        return hashlib.sha256(json.dumps(started, sort_keys=True).encode()).hexdigest()

    def run(self, stop: threading.Event) -> tuple[str, str]:
        """Run the process; return the phase and the message that it ended with, which the node has too."""
        sentence, log, began = self._prepare_files(), self.place / "log", time.time()
        node, message = self.node, ""
        self.record.changed(node, phase="Running", message="", started=node.started or began, progress="", outputs={})
        end = began + float(self.template.get("activeDeadlineSeconds", "inf"))
        try:
            for process in (*self.before, self.main):
                node.exit_code, why = execute(
                    process.command,
                    self._whole_environment(process),
                    log,
                    stop=stop,
                    deadline=end - time.time(),
                    tick=self._tick,
                    result=self.place / "result" if self.result and process is self.main else None,
                )
                if node.exit_code or why:
                    break
        except OSError as error:
            phase, message, node.exit_code = "Error", f"the process cannot be started: {error}", None
        else:
            phase = "Failed" if node.exit_code or why else "Succeeded"
            if phase == "Failed":
                said = sentence.read_text().strip() or last_line(log)
                message = ": ".join(part for part in (why or f"exit code {node.exit_code}", said) if part)
        self._read_result(log)
        # neither has Argo outputs of a pod whose main container never ran
        missing = self._read_outputs() if process is self.main else ""
        if missing and phase == "Succeeded":
            phase, message = "Error", f"output {missing!r} was not written; see {log}"
        node.attempts.append(Attempt(phase, message, node.exit_code, round(time.time() - began, 3)))
        return phase, message

    def _prepare_files(self) -> Path:
        for path in self.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "progress").unlink(missing_ok=True)
        (self.place / "result").unlink(missing_ok=True)
        if self.source is not None:
            (self.place / "script").write_text(self.source, encoding="utf-8")
        (self.place / "message").write_text("")
        shutil.rmtree(self.place / VOLUMES, ignore_errors=True)
        for name in _empty(self.template):
            (self.place / VOLUMES / name).mkdir(parents=True)
        with (self.place / "log").open("a", encoding="utf-8") as log:
            log.write(f"── attempt {len(self.node.attempts)}\n")
        return self.place / "message"

    def _whole_environment(self, process: Process) -> dict[str, str]:
        own = {
            "ARGO_PROGRESS_FILE": str(self.place / "progress"),
            "COLCHIS_HERE": "true",
            "COLCHIS_HOME": str(self.record.directory.parents[1]),
            "COLCHIS_TERMINATION_LOG": str(self.place / "message"),
            "PYTHONUNBUFFERED": "1",
        }
        return {**os.environ, **process.environment, **own}

    def _tick(self) -> None:
        path = self.place / "progress"
        text = path.read_text().strip() if path.exists() else ""
        if text and text != self.node.progress:
            self.record.changed(self.node, progress=text)

    def _read_result(self, log: Path) -> None:
        """Take what was written to stdout, less one line end, for the result; the log has it too."""
        path = self.place / "result"
        if self.result and path.exists():
            written = path.read_bytes()
            self.node.result = written[:LONGEST].decode(errors="replace").removesuffix("\n")
            with log.open("ab") as file:
                file.write(written)

    def _read_outputs(self) -> str:
        """Read the output parameters; return the name of one that was not written and has no default."""
        missing = ""
        for parameter in self.template.part("outputs").parts("parameters"):
            name, source = str(parameter["name"]), parameter.part("valueFrom")
            path = self.outputs[f"outputs.parameters.{name}.path"]
            if path.exists():
                self.node.outputs[name] = path.read_text(encoding="utf-8").removesuffix("\n")
            elif "default" in source:
                self.node.outputs[name] = str(source["default"])
            else:
                missing = name
        return missing


def prepare(template: Object, record: Record, node: Node, scope: Mapping[str, str], *, result: bool) -> Pod:
    """Fill a container or script template in for one attempt; a script's file is its command's last word.

    Raises:
        InputError: a tag in it has no value.
    """
    place, container = record.place(node), template.part("script" if "script" in template else "container")
    outputs = _outputs(template, place)
    whole = {
        **scope,
        **{name: str(path) for name, path in outputs.items()},
        "pod.name": node.path,
        "node.name": node.path,
    }
    before = [_process(one, _places(template, one, place), whole) for one in template.parts("initContainers")]
    main = _process(container, _places(template, container, place), whole)
    source = None
    if "script" in template:
        source = fill(str(container.get("source", "")), whole)
        main.command.append(str(place / "script"))
    return Pod(template, record, node, place, before, main, outputs, source, result)


def _process(container: Object, places: Mapping[str, str], scope: Mapping[str, str]) -> Process:
    mounted = "|".join(map(re.escape, sorted(places, key=len, reverse=True))) or "(?!)"

    def there(word: str) -> str:
        return fill(re.sub(rf"(?<![\w./-])({mounted})(?=/|$)", lambda found: places[found[1]], word), scope)

    declared = {str(v["name"]): fill(str(v["value"]), scope) for v in container.parts("env") if "value" in v}
    inside = {name for name, value in declared.items() if value.startswith("/")}  # a place in the pod is none here
    own = environment(
        (name, os.environ.get(name, value) if name in inside else value) for name, value in declared.items()
    )
    words = [expanded(there(str(word)), own) for key in ("command", "args") for word in container.get(key) or []]
    if words[0] in PYTHON:
        words[0] = sys.executable
    return Process(words, {name: value for name, value in own.items() if name not in inside})


def _places(template: Object, container: Object, place: Path) -> dict[str, str]:
    """Return where a container's volumes that are empty at first lie, by the path at which it mounts them."""
    empty = _empty(template)
    mounts = ((str(mount["mountPath"]), str(mount["name"])) for mount in container.parts("volumeMounts"))
    return {path: str(place / VOLUMES / name) for path, name in mounts if name in empty}


def _empty(template: Object) -> set[str]:
    return {str(volume["name"]) for volume in template.parts("volumes") if "emptyDir" in volume}


def _outputs(template: Object, place: Path) -> dict[str, Path]:
    """Return where the outputs are written, by tag: below the task's directory, whatever path the template has."""
    outputs = template.part("outputs")
    found = {
        f"outputs.parameters.{p['name']}.path": place / "outputs" / "parameters" / str(p["name"])
        for p in outputs.parts("parameters")
    }
    return found | {
        f"outputs.artifacts.{a['name']}.path": place / "outputs" / Path(str(a.get("path", a["name"]))).name
        for a in outputs.parts("artifacts")
    }


def last_line(log: Path) -> str:
    """Return the last line of a log that says something: for a traceback, the error."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return "" if not lines or lines[-1].startswith("──") else lines[-1][:256]
