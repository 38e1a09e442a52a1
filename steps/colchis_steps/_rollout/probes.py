"""Questions that a rollout asks canary and stable through the gateway, the same row of both, and their own metrics."""

import logging
import random
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from colchis_steps._formats.keys import requests_prefix
from colchis_steps._formats.models import Golden
from colchis_steps._formats.requests import RequestLog
from colchis_steps._manifests.route import KEY
from colchis_steps._rollout.checks import least_row
from colchis_steps._rollout.golden import nulled
from colchis_steps._rollout.judge import Answer
from colchis_steps._rollout.labels import Labels, rows_of
from colchis_steps._serving.client import Away, call
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document

PATIENCE = 10.0  # seconds until an answer counts as none
OBJECTS, ROWS = 8, 512  # of requests that a server kept, the newest
FAILED = {"DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"}  # 5xx over HTTP
NAMED = "colchis_named_requests_total"
COUNTERS = f"colchis_requests_total|{NAMED}|:tensorflow:serving:request_count"
log = logging.getLogger("colchis")


class Prober:
    """Asks versions of a model golden and sampled rows at random; without any, the row of least values.

    Args:
        url: the gateway's, where each version has a path of its own.
        model: the model's name.
        golden: rows to ask, with what the canary answered to them before.
        version: who says what the least values are.
        sampled: rows that users asked, see ``sampled_rows``.
        key: that by which the gateway leads to each version.
    """

    def __init__(
        self, url: str, model: str, golden: Golden | None, version: int, sampled: Sequence[Any] = (), *, key: str = ""
    ) -> None:
        self.base, self.random = f"{url}/v1/models/{model}/versions", random.Random()  # noqa: S311 - no secret
        self.key = key
        rows = [nulled(row) for row in (*(rows_of(golden.inputs) if golden else ()), *sampled)]
        self.rows = [row for row in rows if whole(row)] or rows or [least_row(url, model, version, self.headers)]
        self.labels = Labels(golden)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that let a question through to any version."""
        return {KEY: self.key} if self.key else {}

    def pair(self, canary: int, stable: int) -> tuple[Answer, Answer]:
        """Ask both versions a row, in an order of chance."""
        row, both = self.random.choice(self.rows), [canary, stable]
        self.random.shuffle(both)
        answers = {version: self.ask(version, row) for version in both}
        return answers[canary], answers[stable]

    def ask(self, version: int, row: Any) -> Answer:
        """Ask a version one row."""
        began = time.perf_counter()
        place = f"{self.base}/{version}:predict"
        try:
            status, found = call(place, {"instances": [row]}, timeout=PATIENCE, headers=self.headers)
        except Away as away:
            return Answer(ok=False, error=str(away))
        seconds = time.perf_counter() - began
        if status != 200:
            error = found.get("error", found) if isinstance(found, dict) else "no JSON"
            return Answer(ok=False, error=f"status {status}: {str(error)[:256]}")
        try:
            answer = found["predictions"][0]
        except (KeyError, IndexError, TypeError):
            return Answer(ok=False, error="an answer without predictions")
        if not whole(answer):
            return Answer(ok=False, error="an answer with NaN or infinity")
        return Answer(ok=True, seconds=seconds, labels=self.labels.of(answer))


def sampled_rows(store: Objects, model: str, version: int) -> list[Any]:
    """Return the newest rows that users asked a version and that its server kept a sample of, at most ROWS.

    A sample is a help, not a condition: one that cannot be read is left out, with a warning.
    """
    rows: list[Any] = []
    try:
        keys = deque(store.keys(requests_prefix(model, version)), maxlen=OBJECTS)
    except InputError as error:  # a key of the store from before it could list them
        log.warning("the sample of requests is left out: %s", error)
        return rows
    for key in keys:
        try:
            kept = read_document(store, key, RequestLog)
        except InputError as error:
            log.warning("a sample of requests is left out: %s", error)
            continue
        rows += [row for request in kept.requests for row in rows_of(request.inputs)]
    return rows[-ROWS:]


def whole(answer: Any) -> bool:
    """Return whether nothing is missing: JSON has no NaN, so the server writes null."""
    if isinstance(answer, dict | list):
        return all(whole(one) for one in (answer.values() if isinstance(answer, dict) else answer))
    return answer is not None


def served(metrics: str, model: str, version: int) -> tuple[int, int]:
    """Return from a server's Prometheus metrics how many requests a version had, and how many ended with 5xx.

    Those that named the version themselves are left out: they are the prober's, or of one who aims at the canary.
    TensorFlow Serving does not tell them apart; it names the model and how a request ended, and the version is the one
    that its pod has.
    """
    requests = failed = 0
    for line in metrics.splitlines():
        found = re.match(rf"({COUNTERS})\{{(.*)\}} (\S+)$", line)
        labels = dict(re.findall(r'(\w+)="([^"]*)"', found[2])) if found else {}
        named = labels.get("model") or labels.get("model_name"), labels.get("version", str(version))
        if found and named == (model, str(version)):
            count = int(float(found[3])) * (-1 if found[1] == NAMED else 1)
            requests += count
            bad = labels.get("code", "").startswith("5") or labels.get("status") in FAILED
            failed += count if bad else 0
    return max(0, requests), max(0, failed)


def since(before: Sequence[int], after: Sequence[int]) -> tuple[int, int]:
    """Return how many requests, and failed ones, came between two counts; a server that began anew counts from 0."""
    requests, failed = ((b - a if b >= a else b) for a, b in zip(before, after, strict=True))
    return requests, min(requests, failed)
