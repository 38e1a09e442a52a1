"""The workers' pods: how each ended, what hinders one from starting, and their logs.

Writes  runs/<run>/training/worker-<rank>.log  each worker's log, one part a pod where it was started again
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from colchis_steps._formats.keys import training_key
from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.pod_trouble import Trouble, trouble
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training import CONTAINERS, rank_of
from colchis_steps._manifests.training_jobs import AGAIN
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Objects
from colchis_steps._training.backends.ends import LAST_WORDS, End
from colchis_steps._training.failures import find_failure

LINES = 20_000  # of each pod's log that are kept
MARGIN = 5  # seconds that are asked for twice: a line's time is that of its node


@dataclass(frozen=True)
class Ended:
    """A worker's pod that ended with an error."""

    pod: str
    rank: int
    code: int  # below zero: the signal
    reason: str  # OOMKilled, Evicted, …
    message: str
    began: str
    at: str

    @property
    def out_of_memory(self) -> bool:
        """Return whether it was killed because it took more than its limit."""
        return self.reason == "OOMKilled"

    def description(self) -> str:
        """Say it in a few words."""
        if self.reason in {"", "Error", "Completed"}:
            return self.message or f"exit code {self.code}"
        return f"{self.reason}: {self.message}" if self.message else self.reason


def failed(pods: Sequence[Object]) -> list[Ended]:
    """Return the pods that ended with an error, in the order in which they did."""
    return sorted((end for pod in pods for end in _ended(pod)), key=lambda end: end.at)


def hindered(pods: Sequence[Object]) -> Trouble:
    """Return why pods do not start."""
    return trouble({"status": {}}, [pod for pod in pods if _phase(pod) == "Pending"])


def is_through(pods: Sequence[Object]) -> bool:
    """Return whether the chief has ended well."""
    return any(rank_of(pod) == 0 and _phase(pod) == "Succeeded" for pod in pods)


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _ended(pod: Object) -> Iterator[Ended]:
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or []:
        if container["name"] in CONTAINERS.values() and (end := container.get("state", {}).get("terminated")):
            if code := int(end.get("exitCode", 0)):
                yield Ended(
                    pod["metadata"]["name"],
                    rank_of(pod),
                    _signal(code),
                    str(status.get("reason") or end.get("reason") or ""),
                    str(end.get("message") or status.get("message") or "").strip(),
                    str(end.get("startedAt") or ""),
                    str(end.get("finishedAt") or ""),
                )
            return
    if _phase(pod) == "Failed":  # evicted, or refused by the node, before it had a container
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
        at = str(status.get("startTime", ""))
        yield Ended(pod["metadata"]["name"], rank_of(pod), -9, reason, message, at, at)


def _signal(code: int) -> int:
    """Turn the exit code by which a container tells a signal into the signal; back-ends' own codes stay."""
    if code in AGAIN:
        return 75
    return 128 - code if 128 < code < 160 else code


@dataclass
class Logs:
    """The workers' logs: the chief's lines as they come, those of all in the store when a worker has ended."""

    cluster: Cluster
    store: Objects
    run: str
    container: str
    on_line: Callable[[str], object]
    _last: dict[str, str] = field(default_factory=dict)  # by pod: the time of its last line, as its node wrote it
    _asked: float = 0.0
    _kept: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # by pod: rank, when it was made, its log

    def follow(self, pods: Sequence[Object]) -> None:
        """Hand on what the chief has said since the last call; what is lost on the way comes with the next one."""
        chiefs = [pod for pod in pods if rank_of(pod) == 0 and _phase(pod) not in {"", "Pending"}]
        for pod in sorted(chiefs, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if uid in self._kept:
                continue
            began = time.monotonic()
            seconds = int(began - self._asked) + MARGIN if uid in self._last else None
            with contextlib.suppress(TransientError):
                text = self.cluster.log(name, self.container, seconds=seconds, lines=LINES)
                self._asked = began
                self._hand_on(uid, text)

    def _hand_on(self, uid: str, text: str) -> None:
        for line in text.splitlines():
            when, _, said = line.partition(" ")
            if when > self._last.get(uid, ""):
                self._last[uid] = when
                if not LAST_WORDS.match(said):
                    self.on_line(said)

    def keep(self, pods: Sequence[Object], *, everything: bool = False) -> None:
        """Write the logs of the pods that have ended, or of all, to the store."""
        ranks = set()
        for pod in pods:
            uid = str(pod["metadata"]["uid"])
            if uid not in self._kept and (everything or _phase(pod) in {"Failed", "Succeeded"}):
                with contextlib.suppress(TransientError):
                    text = self.cluster.log(pod["metadata"]["name"], self.container, lines=LINES)
                    lines = "".join(f"{line.partition(' ')[2]}\n" for line in text.splitlines())
                    self._kept[uid] = rank_of(pod), str(pod["metadata"]["creationTimestamp"]), lines
                    ranks.add(rank_of(pod))
        for rank in ranks:
            parts = [text for of, _, text in sorted(self._kept.values(), key=lambda kept: kept[1]) if of == rank]
            whole = "── started again\n".join(parts)
            self.store.write(training_key(self.run, f"worker-{rank}.log"), whole.encode())

    def end(self, ended: Ended) -> End:
        """Return what ``explain`` wants to know of a worker that ended."""
        texts = [text for of, _, text in sorted(self._kept.values(), key=lambda kept: kept[1]) if of == ended.rank]
        lines = [line.strip() for line in (texts or [""])[-1].splitlines() if line.strip()]
        last = (lines or ["it wrote no log"])[-1][:256]
        found = find_failure(self.store, self.run, ended.rank)
        if found and ended.began <= found.at and (not ended.at or found.at <= ended.at):  # its own, by its node's clock
            return End(ended.rank, ended.code, False, found.sentence, last, found.cause)
        return End(ended.rank, ended.code, False, ended.message, last)
