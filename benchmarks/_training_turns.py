"""Contenders that have started once and take turns: an epoch each, one after the other, in another order each round.

What comes and goes on a machine with other work then meets all contenders alike, and no turn pays for a start.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT = 300.0  # seconds that a contender may take to start, and for a turn


@dataclass(frozen=True)
class Contender:
    """A command whose rank 0 tells of its turns (`_training_model.Turns`); ``processes`` share its work alike."""

    command: Sequence[str]
    variables: Mapping[str, str]
    processes: int = 1


class Running:
    """A contender that has been started; ``start`` has wall and CPU seconds until its first turn could begin."""

    def __init__(self, name: str, contender: Contender, door: socket.socket, home: Path) -> None:
        self.name, self.log = name, home / f"{name}.log"
        told = {"RACE_TURNS": str(home / "turns"), "RACE_NAME": name, "RACE_BEGAN": str(time.time())}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                contender.command,
                env={**os.environ, **contender.variables, **told},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.turn, _ = door.accept()
        self.turn.settimeout(LIMIT)
        if self._line() != name:
            raise SystemExit(f"somebody else than {name} has come; run the race again")
        self.start = self._told()

    def take(self) -> tuple[float, float]:
        """Let it have a turn; give wall and CPU seconds that its chief tells."""
        self.turn.sendall(b"g")
        return self._told()

    def end(self) -> float:
        """Let it train its last epoch and end; give its peak memory in MiB."""
        with contextlib.suppress(OSError):
            self.turn.sendall(b"g")
        _, status, use = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
        return use.ru_maxrss / 1024

    def kill(self) -> None:
        """End it, and all that it has started."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.turn.close()

    def _told(self) -> tuple[float, float]:
        wall, cpu = self._line().split()
        return float(wall), float(cpu)

    def _line(self) -> str:
        found = b""
        while not found.endswith(b"\n"):
            try:
                more = self.turn.recv(1)
            except TimeoutError:
                more = b""
            if not more:
                said = self.log.read_text()[-2000:]
                raise SystemExit(f"{self.name} has ended, or took longer than {LIMIT:.0f} s:\n{said}")
            found += more
        return found.decode().strip()


@contextlib.contextmanager
def started(contenders: Mapping[str, Contender], home: Path) -> Iterator[dict[str, Running]]:
    """Start the contenders one after the other; none outlives the block."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        (home / "turns").unlink(missing_ok=True)
        door.bind(str(home / "turns"))
        door.listen()
        door.settimeout(LIMIT)
        found: dict[str, Running] = {}
        for name, contender in contenders.items():
            found[name] = Running(name, contender, door, home)
            stack.callback(found[name].kill)
        yield found


def take_turns(contenders: Mapping[str, Contender], rounds: int, home: Path) -> dict[str, list[dict[str, float]]]:
    """Run all contenders; give what each of the rounds but the first took: ``wall_s``, ``cpu_s`` of all its processes.

    Each contender trains ``rounds + 1`` epochs: the first builds its graphs, and the last has no end to be told.

    Raises:
        SystemExit: a contender failed; the end of its log is in the sentence.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    order = random.Random(0)  # noqa: S311 - for the order of turns
    with started(contenders, home) as running:
        for number in range(rounds):
            for name in order.sample(list(contenders), len(contenders)):
                wall, cpu = running[name].take()
                if number:
                    found[name].append({"wall_s": wall, "cpu_s": cpu * contenders[name].processes})
        for name, one in running.items():
            rss = one.end()
            found[name] = [taken | {"rss_mib": rss} for taken in found[name]]
    return found
