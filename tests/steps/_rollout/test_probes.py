"""What a rollout makes of answers and of a server's metrics."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats.models import Golden
from colchis_steps._rollout.probes import Prober, sampled_rows, served, since
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

METRICS = """\
# TYPE colchis_requests_total counter
colchis_requests_total{model="digits",version="2",code="200"} 90.0
colchis_requests_total{model="digits",version="2",code="400"} 5.0
colchis_requests_total{code="503",model="digits",version="2"} 4.0
colchis_requests_total{model="digits",version="1",code="500"} 7.0
colchis_requests_total{model="other",version="2",code="500"} 7.0
colchis_requests_created{model="digits",version="2",code="200"} 1.7e+09
"""
TENSORFLOW_SERVING = """\
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="digits",status="OK"} 7
:tensorflow:serving:request_count{model_name="digits",status="INVALID_ARGUMENT"} 2
:tensorflow:serving:request_count{model_name="digits",status="INTERNAL"} 3
:tensorflow:serving:request_count{model_name="other",status="INTERNAL"} 3
:tensorflow:serving:request_latency_count{model_name="digits",API="predict",entrypoint="REST"} 12
"""
CLASSES = Golden("r", {"x": [[0], [1]]}, {"class": [3, 4], "probability": [[0.1, 0.9], [0.8, 0.2]]})
NUMBERS = Golden("r", {"x": list(range(8))}, {"price": [float(n) for n in range(8)]})
ANSWERS: dict[str, tuple[int, Any]] = {
    "1": (200, {"predictions": [{"class": 3, "probability": [0.1, 0.9]}]}),
    "2": (500, {"error": "out of order"}),
    "3": (200, {"predictions": [{"class": 3, "probability": [None, 0.9]}]}),
    "4": (200, {"outputs": []}),
    "5": (200, {"predictions": [7.5]}),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server whose versions answer as ANSWERS says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, found = ANSWERS[self.path.partition("/versions/")[2].removesuffix(":predict")]
            body = msgspec.json.encode(found)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_answers_have_a_class_and_failures_say_why(url: str) -> None:
    prober = Prober(url, "m", CLASSES, 1)
    good, bad = prober.pair(1, 2)
    assert (good.ok, good.labels, good.seconds > 0) == (True, ((3,),), True)
    assert (bad.ok, bad.error) == (False, "status 500: out of order")
    assert prober.ask(3, {"x": [0]}).error == "an answer with NaN or infinity"
    assert prober.ask(4, {"x": [0]}).error == "an answer without predictions"
    assert "nothing answers" in Prober("http://127.0.0.1:9", "m", CLASSES, 1).ask(1, {"x": [0]}).error
    assert prober.labels.classes == [{(3,), (4,)}]


def test_answers_without_a_class_have_bins_of_their_numbers(url: str) -> None:
    assert Prober(url, "m", NUMBERS, 1).ask(5, {"x": 0}).labels == (3,)


def test_users_rows_that_the_server_kept_are_asked_again(url: str, store: Objects) -> None:
    assert sampled_rows(store, "m", 1) == []
    for number in range(12):
        requests = [{"at": "", "inputs": {"x": [[number], [-number]]}, "outputs": {}}]
        document = {
            "kind": "colchis.dev/request-log/v1",
            "model": "m",
            "version": 1,
            "fraction": 1,
            "requests": requests,
        }
        store.create(f"requests/m/1/2026-01-01/{number:02}.json", msgspec.json.encode(document))
    store.create("requests/m/1/2026-01-01/12.json", b"{}")  # one that cannot be read is left out
    rows = sampled_rows(store, "m", 1)
    assert rows == [{"x": [sign * number]} for number in range(5, 12) for sign in (1, -1)]  # of the newest objects
    assert Prober(url, "m", None, 1, rows).rows == rows
    assert Prober(url, "m", CLASSES, 1, rows).rows == [{"x": [0]}, {"x": [1]}, *rows]


def test_a_sample_that_the_store_does_not_list_is_left_out(
    store: Objects, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: str) -> Iterator[str]:
        raise InputError("the store denies it; grant s3:ListBucket")

    monkeypatch.setattr(store, "keys", denied)
    assert sampled_rows(store, "m", 1) == []
    assert "the sample of requests is left out: the store denies it" in caplog.text


def test_the_server_s_metrics_tell_requests_and_failures_of_a_version() -> None:
    assert served(METRICS, "digits", 2) == (99, 4)
    assert served(METRICS, "digits", 3) == (0, 0)
    aimed = 'colchis_named_requests_total{model="digits",version="2",code="503"} 3.0\n'
    assert served(METRICS + aimed, "digits", 2) == (96, 1)
    assert served(TENSORFLOW_SERVING, "digits", 2) == (12, 3)


@given(st.tuples(st.integers(0, 99), st.integers(0, 99)), st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_counts_never_fall_below_nothing(before: tuple[int, int], after: tuple[int, int]) -> None:
    requests, failed = since(before, after)
    assert 0 <= failed <= requests
    if after[0] >= before[0] and 0 <= after[1] - before[1] <= after[0] - before[0]:
        assert (requests, failed) == (after[0] - before[0], after[1] - before[1])


def test_rows_with_nulls_are_asked_only_where_there_are_no_others() -> None:
    nan = float("nan")
    assert Prober("http://127.0.0.1:9", "m", Golden("r", {"x": [nan, 1.0]}, {"y": [0.0, 1.0]}), 1).rows == [{"x": 1.0}]
    assert Prober("http://127.0.0.1:9", "m", Golden("r", {"x": [nan]}, {"y": [0.0]}), 1).rows == [{"x": None}]
