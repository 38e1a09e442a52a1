"""A training as a job on a cluster: made once or found again, followed to its end, explained, and removed.

The job's name comes from the run, so a ``train`` that died and is started again finds it and goes on following. It
belongs to the Workflow in whose pod ``train`` runs, so that nothing is left when that is deleted.
"""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.outcome import Outcome, outcome_of
from colchis_steps._kube.workflow import comes_again
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training import CONTAINERS, LABEL_JOB, Training
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Objects
from colchis_steps._training.backends.ends import AGAIN, explain
from colchis_steps._training.backends.making import StoppedError, in_workflow, make
from colchis_steps._training.backends.pods import Ended, Logs, failed, hindered, is_through
from colchis_steps._training.files import find_result

ROLE = "colchis-train"
OPERATORS = ("pytorchjob", "tfjob")
POLL = 1.0
AWAY = 120.0  # seconds for which the API server may be away
LAST = 60.0  # seconds that the others get to end after the chief has
PODLESS = 30.0  # seconds without a pod that are nothing to tell of


log = logging.getLogger("colchis")


@dataclass
class Watch:
    """Who wants to know, what says that the training is through, and what was reported already."""

    on_poll: Callable[[], object]
    on_line: Callable[[str], object]
    fingerprint: str
    reported: set[str] = field(default_factory=set)
    out_of_memory: bool = False  # a worker has been, once
    memory: list[Ended] = field(default_factory=list)


class LostError(TransientError):
    """The job failed, and may do better when it is made again."""


class AwayError(TransientError):
    """The API server has been away for too long; the job may be well."""


def run_job(cluster: Cluster, store: Objects, training: Training, watch: Watch) -> None:
    """Make the job, or find the one that is there, and follow it to its end; it is removed then.

    It stays where this process is killed, or its pod is deleted while the workflow goes on: the next try finds it. One
    that went well stays for as long as the option ``keep`` says.

    Raises:
        InputError: the workers say so, cannot start, or run out of memory; a right, a kind or a field is wrong.
        TransientError: a worker was lost too often, this process was asked to stop, or the cluster is away.
        StepError: a worker broke.
    """
    training = in_workflow(cluster, training)
    logs = Logs(cluster, store, training.run, CONTAINERS[training.backend], watch.on_line)
    # the training operator fails a job whose pod is deleted, by a drain for one, though it starts others again
    left = training.options.restarts if training.backend in OPERATORS else 0
    with _stop_signal() as stop:
        make(cluster, training, stop)
        try:
            while True:
                try:
                    _Following(cluster, store, training, watch, logs).until_ended(stop)
                    break
                except LostError as error:
                    if not left:
                        raise
                    left -= 1
                    log.warning("%s; making %s %s anew", error, training.kind, training.name)
                    _end(cluster, training, logs)
                    make(cluster, training, stop)
        except (StoppedError, KeyboardInterrupt) as error:
            if comes_again(cluster):
                log.info("this pod goes; %s %s stays for the next one", training.kind, training.name)
                raise
            _end(cluster, training, logs)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise StoppedError(f"asked to stop, so {training.kind} {training.name} was deleted; {AGAIN}") from error
        except AwayError:
            raise
        except StepError:
            _end(cluster, training, logs)
            raise
        _end(cluster, training, logs, keep=bool(training.options.keep))


@dataclass
class _Following:
    cluster: Cluster
    store: Objects
    training: Training
    watch: Watch
    logs: Logs
    had_pods: float = field(default_factory=time.monotonic)  # when it last had any

    def until_ended(self, stop: threading.Event) -> None:
        """Follow the job to a good end; once the chief has stored the model, the others get a little time."""
        heard, through = time.monotonic(), 0.0
        while not stop.wait(POLL):
            try:
                found = self.cluster.get(self.training.kind, self.training.name)
                pods = self.cluster.list("Pod", {LABEL_JOB: self.training.name})
            except TransientError as error:
                if time.monotonic() - heard > AWAY:
                    raise AwayError(f"{error} (it has been so for {AWAY:.0f} s)") from error
                continue
            heard = time.monotonic()
            self._report(pods)
            outcome = self._outcome(found)
            if outcome and outcome.good:
                return
            if outcome or is_through(pods):
                if self._has_result():
                    through = through or heard
                    if outcome or heard - through > LAST:
                        return
                elif outcome:
                    self.logs.keep(pods, everything=True)
                    cause = _explained(self.training, self.logs, failed(pods) or self.watch.memory, outcome)
                    raise LostError(str(cause)) if isinstance(cause, TransientError) else cause
            if found is None:
                raise TransientError(f"{self.training.kind} {self.training.name} was deleted by someone else; {AGAIN}")
            self._tell(found, pods)
        raise StoppedError(f"asked to stop; {AGAIN}")

    def _outcome(self, found: Object | None) -> Outcome | None:
        outcome = outcome_of(found) if found else None
        if outcome and not outcome.good and self.training.kind == "JobSet":  # which does not say what its Job says
            with contextlib.suppress(TransientError):
                inner = self.cluster.get("Job", f"{self.training.name}-worker-0")
                return outcome_of(inner or {}) or outcome
        return outcome

    def _report(self, pods: Sequence[Object]) -> None:
        """Hand on logs and progress; they can wait where the store is away."""
        self.logs.follow(pods)
        with contextlib.suppress(TransientError):
            self.logs.keep(pods)
            self.watch.on_poll()

    def _has_result(self) -> bool:
        with contextlib.suppress(TransientError):
            return bool(find_result(self.store, self.training.run, self.watch.fingerprint))
        return False

    def _tell(self, found: Object, pods: Sequence[Object]) -> None:
        """Report workers that are started again or that do not start.

        Raises:
            InputError: starting again changes nothing.
        """
        reported = self.watch.reported
        for end in failed(pods):
            if (name := f"{end.pod} {end.at}") not in reported:
                reported.add(name)
                self.watch.memory = [*self.watch.memory, end][-self.training.workers :]
                log.warning("worker %d of %d ended: %s", end.rank, self.training.workers, end.description())
                if end.out_of_memory and self.watch.out_of_memory:
                    raise _explained(self.training, self.logs, [end])
                self.watch.out_of_memory |= end.out_of_memory
        waits, hopeless = hindered(pods)
        if pods:
            self.had_pods = time.monotonic()
        elif time.monotonic() - self.had_pods > PODLESS:  # its controller tells why in an event
            waits = f"no pod is made yet; see: kubectl describe {self.training.kind.lower()} {self.training.name}"
        if found["spec"].get("runPolicy", found["spec"]).get("suspend"):
            waits = f"the job is suspended until queue {self.training.options.queue} admits it"
        if hopeless:
            raise InputError(f"the workers cannot start: {waits}; put that right and run it again")
        if waits and waits not in reported:
            reported.add(waits)
            log.info("waiting for workers to start: %s", waits)


def _explained(training: Training, logs: Logs, ends: Sequence[Ended], outcome: Outcome | None = None) -> StepError:
    """Turn how the job failed into one sentence."""
    if memory := next((end for end in ends if end.out_of_memory), None):
        limit = training.options.memory_limit
        return InputError(
            f"worker {memory.rank} of {training.workers} took more memory than its limit of {limit}; "
            'raise it, as in --job-options \'{"memory_limit": "16Gi"}\', or lower global_batch'
        )
    what = f"{training.kind} {training.name}"
    if outcome and outcome.late:
        return InputError(f"{what} took longer than its {training.options.hours} hours; raise hours in --job-options")
    if ends:
        return explain([logs.end(end) for end in ends], training.workers)
    why = outcome.why if outcome else ""
    return TransientError(f"{what} failed ({why or 'it gives no reason'}); {AGAIN}")


def _end(cluster: Cluster, training: Training, logs: Logs, *, keep: bool = False) -> None:
    """Store the logs, then delete the job and what belongs to it; where that fails, the job's own clock does."""
    try:
        with contextlib.suppress(TransientError):
            logs.keep(cluster.list("Pod", {LABEL_JOB: training.name}), everything=True)
        if not keep:
            cluster.delete(training.kind, training.name)
        elif training.kind == "TrainJob" and cluster.get("JobSet", training.name):  # it has no time to live of its own
            cluster.patch("JobSet", training.name, {"spec": {"ttlSecondsAfterFinished": training.options.seconds_kept}})
    except StepError as error:
        log.warning("%s %s may be left: %s", training.kind, training.name, error)


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, so that no request is cut off."""
    stop = threading.Event()

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
