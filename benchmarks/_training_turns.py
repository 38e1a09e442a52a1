"""Contenders that have started once and take turns: an epoch each, one after the other, the order changing each round.

What comes and goes on a machine with other work then meets all contenders alike, and no turn pays for a start.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT = 300.0  # seconds that a contender may take to start, and for a turn


@dataclass(frozen=True)
class Contender:
    """A command whose process of rank 0 trains with `_training_model.callback_of`; ``processes`` share its work alike."""

    command: Sequence[str]
    variables: Mapping[str, str]
    processes: int = 1


@dataclass
class _Running:
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    turn: socket.socket | None = None

    def take(self) -> tuple[float, float]:
        """Let it have a turn; give wall and CPU seconds that its chief tells."""
        assert self.turn
        self.turn.sendall(b"g")
        wall, cpu = _line(self.turn, self).split()
        return float(wall), float(cpu)

    def end(self) -> float:
        """Let it train its last epoch and end; give its peak memory in MiB."""
        assert self.turn
        with contextlib.suppress(OSError):
            self.turn.sendall(b"g")
        _, status, use = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
        return use.ru_maxrss / 1024


def take_turns(contenders: Mapping[str, Contender], rounds: int, home: Path) -> dict[str, list[dict[str, float]]]:
    """Run all contenders; give what each of the rounds but the first took: ``wall_s``, ``cpu_s`` of all its processes.

    Each contender trains ``rounds + 1`` epochs: the first builds its graphs, and the last has no end to be told.

    Raises:
        SystemExit: a contender failed; the end of its log is in the sentence.
    """
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        path = home / "turns"
        path.unlink(missing_ok=True)
        door.bind(str(path))
        door.listen()
        running = {name: _start(name, contender, path, home, stack) for name, contender in contenders.items()}
        for _ in running:
            door.settimeout(LIMIT)
            turn, _ = door.accept()
            turn.settimeout(LIMIT)
            running[_line(turn, None)].turn = turn
        found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for number in range(rounds):
            for name in sorted(contenders, reverse=number % 2 == 1):
                wall, cpu = running[name].take()
                if number:
                    found[name].append({"wall_s": wall, "cpu_s": cpu * contenders[name].processes})
        for name, one in running.items():
            rss = one.end()
            found[name] = [taken | {"rss_mib": rss} for taken in found[name]]
    return found


def _start(name: str, contender: Contender, path: Path, home: Path, stack: contextlib.ExitStack) -> _Running:
    log = home / f"{name}.log"
    variables = {**os.environ, **contender.variables, "RACE_TURNS": str(path), "RACE_NAME": name}
    with log.open("wb") as file:
        process = subprocess.Popen(contender.command, env=variables, stdout=file, stderr=file, start_new_session=True)

    def end() -> None:
        if process.returncode is None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    stack.callback(end)
    return _Running(name, process, log)


def _line(turn: socket.socket, of: _Running | None) -> str:
    found = b""
    while not found.endswith(b"\n"):
        try:
            more = turn.recv(1)
        except TimeoutError:
            more = b""
        if not more:
            log = of.log.read_text()[-2000:] if of else ""
            raise SystemExit(f"{of.name if of else 'a contender'} ended or took longer than {LIMIT:.0f} s:\n{log}")
        found += more
    return found.decode().strip()
