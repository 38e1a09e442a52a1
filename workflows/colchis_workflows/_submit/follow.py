"""Follow a run on a cluster to its end, over broken connections and restarts of the API server."""

import time
from collections.abc import Callable

from colchis_workflows._argo.errors import CommandError, TransientError
from colchis_workflows._runs.node import Node
from colchis_workflows._submit.cluster import Cluster, Json, Refused
from colchis_workflows._submit.workflow import Run, read

PATIENCE = 300.0  # seconds that the API server may be away
WATCH = 30.0  # seconds of one watch: what it might miss is read anew after it
WAITS = 0.5, 5.0  # seconds before the API server is asked again, doubled up to the most


class Gone(CommandError):  # noqa: N818 - reads as what it says
    """The run was deleted while it was followed."""

    exit_code = TransientError.exit_code


class Followed:
    """A run as ``Display`` draws it."""

    def __init__(self, run: Run) -> None:
        self.run = run.name
        self.directory = f"namespace {run.namespace}, id {run.uid}"
        self.nodes: dict[str, Node] = {}
        self.listener: Callable[[Node], None] = lambda _: None

    def update(self, run: Run) -> None:
        """Return the listener of each task that is new or has changed."""
        before, self.nodes = self.nodes, run.tasks
        for path, task in run.tasks.items():
            if shown(task) != shown(before.get(path)):
                self.listener(task)


def shown(task: Node | None) -> tuple[str, str, str] | None:
    """Return what a person sees of a task."""
    return (task.phase, task.progress, task.message) if task else None


def start(cluster: Cluster, workflow: Json, patience: float = 60.0) -> Json:
    """Create the Workflow; its name is ours, so a second attempt after a broken connection makes no second run."""
    end, again = time.monotonic() + patience, False
    while True:
        try:
            return cluster.create("workflows", workflow)
        except Refused as error:
            if not again or error.status != 409:
                raise
            return cluster.get("workflows", workflow["metadata"]["name"])
        except TransientError:
            if time.monotonic() > end:
                raise
            again = True
            time.sleep(1.0)


def follow(
    cluster: Cluster,
    name: str,
    changed: Callable[[Run], None],
    until: float | None,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Call ``changed`` at each change until the run has ended or ``until`` (of the monotonic clock) has come.

    Raises:
        Gone: the run was deleted.
        TransientError: the API server was away for longer than ``PATIENCE``.
    """
    away: float | None = None
    wait, seen = WAITS[0], False
    while True:
        try:
            workflow = cluster.get("workflows", name)
            away, wait, seen = None, WAITS[0], True
            if (run := _watched(cluster, workflow, changed, until)) is not None:
                return run
        except (Refused, TransientError) as error:
            if isinstance(error, Refused) and error.status == 404:
                raise Gone(f"{name} was deleted while it was followed; submit it again") from error
            if not seen:  # an API server that starts may refuse what it allows a second later
                raise
            away = away or time.monotonic()
            if time.monotonic() - away > PATIENCE:
                raise TransientError(f"{error}; {name} goes on in the cluster by itself") from error
            if wait == WAITS[0]:
                say(f"{str(error).removesuffix('; try again')}; the run goes on, asking again …")
            time.sleep(min(wait, left(until)))
            wait = min(wait * 2, WAITS[1])


def left(until: float | None) -> float:
    """Return the seconds that are left of a deadline."""
    return max(0.0, until - time.monotonic()) if until is not None else PATIENCE


def _watched(cluster: Cluster, workflow: Json, changed: Callable[[Run], None], until: float | None) -> Run | None:
    """Return the run when there is nothing to wait for any more, or None where the watch ended before it."""
    run = read(workflow)
    changed(run)
    if run.ended or not left(until):
        return run
    version, seconds = str(workflow["metadata"]["resourceVersion"]), min(WATCH, left(until))
    for event in cluster.watch("workflows", run.name, version, seconds):
        if not event:
            raise Gone(f"{run.name} was deleted while it was followed; submit it again")
        run = read(event)
        changed(run)
        if run.ended or not left(until):
            return run
    return None if left(until) else run
