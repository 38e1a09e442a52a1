"""What the embedded server counts and times, for Prometheus. Labels never come from requests."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAITED = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
VERSION = ("model", "version")


class Metrics:
    """The server's metrics."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        """Make them; ``waiting`` gives how many requests wait now."""
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("colchis_requests", "Predictions asked for.", (*VERSION, "code"), registry=registry)
        self.named = Counter(
            "colchis_named_requests", "Those that named the version.", (*VERSION, "code"), registry=registry
        )
        self.seconds = _histogram(registry, "request_seconds", "Seconds from a request's head to its answer.", SECONDS)
        self._rows = _histogram(registry, "batch_rows", "Rows that were computed together.", ROWS)
        self._waited = _histogram(registry, "wait_seconds", "Seconds that a request waited for its batch.", WAITED)
        self._compute = _histogram(registry, "batch_seconds", "Seconds of a batch, its answers written.", SECONDS)
        Gauge("colchis_waiting_requests", "Requests that wait now.", registry=registry).set_function(waiting)
        self.logged = Counter("colchis_logged_requests", "Requests kept for the log.", VERSION, registry=registry)
        self.unlogged = Counter(
            "colchis_unlogged_requests", "Sampled requests that the log had no room or no store for.", registry=registry
        )

        self._known: dict[tuple[Any, ...], Any] = {}  # by metric and labels: to look them up there takes longer

    def request(self, labels: tuple[str, str], code: int, seconds: float, *, named: bool) -> None:
        """Note a request's end; ``named`` says that it named the version."""
        self._of(self.requests, *labels, str(code)).inc()
        if named:
            self._of(self.named, *labels, str(code)).inc()
        self._of(self.seconds, *labels).observe(seconds)

    def batch(self, labels: tuple[str, str], rows: int, waited: Sequence[float], seconds: float) -> None:
        """Note a batch."""
        self._of(self._rows, *labels).observe(rows)
        self._of(self._compute, *labels).observe(seconds)
        wait = self._of(self._waited, *labels)
        for each in waited:
            wait.observe(each)

    def _of(self, metric: Any, *labels: str) -> Any:
        if (found := self._known.get((metric, *labels))) is None:
            found = self._known[metric, *labels] = metric.labels(*labels)
        return found

    def text(self) -> bytes:
        """Return them in Prometheus' text format."""
        return generate_latest(self.registry)


def _histogram(registry: CollectorRegistry, name: str, about: str, buckets: Sequence[float]) -> Histogram:
    return Histogram(f"colchis_{name}", about, VERSION, buckets=buckets, registry=registry)
