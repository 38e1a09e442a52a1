"""The sample of requests that the server keeps: whole objects, bounded, and nothing that waits for the store."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colchis_steps import serve
from colchis_steps._serving.server.metrics import Metrics
from colchis_steps._serving.server.request_log import LARGEST, Sampler
from colchis_steps._store.opening import open_store


def begun(top: Path, fraction: float = 1.0) -> tuple[Sampler, Metrics]:
    top.mkdir(exist_ok=True)
    metrics = Metrics(lambda: 0)
    return Sampler(open_store(top.as_uri()), fraction, metrics), metrics


def written(top: Path) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted(top.glob("requests/*/*/*/*.json"))]


def count(metrics: Metrics, name: str) -> float:
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines)


def test_requests_are_written_by_model_and_version(tmp_path: Path) -> None:
    sampler, metrics = begun(tmp_path / "store")
    for number in range(300):  # more than one object takes
        x = np.array([[number, 1.5]], np.float32)
        sampler.offer("m", 1 + number % 2, {"x": x}, {"y": np.array([b"text"], dtype=object)})
    sampler.close()
    found = written(tmp_path / "store")
    assert {(document["model"], document["version"]) for document in found} == {("m", 1), ("m", 2)}
    requests = [request for document in found for request in document["requests"]]
    assert sorted(request["inputs"]["x"][0][0] for request in requests) == list(range(300))
    assert requests[0]["outputs"] == {"y": ["text"]}
    assert count(metrics, "colchis_logged_requests_total") == 300


def test_a_fraction_is_kept(tmp_path: Path) -> None:
    sampler, metrics = begun(tmp_path / "store", 0.25)
    for _ in range(1000):
        sampler.offer("m", 1, {"x": np.zeros(1)}, {})
    sampler.close()
    assert 170 <= count(metrics, "colchis_logged_requests_total") <= 330  # 1e-8 beyond these
    assert sum(len(document["requests"]) for document in written(tmp_path / "store")) == count(
        metrics, "colchis_logged_requests_total"
    )


def test_what_is_too_large_or_no_text_or_nan_does_no_harm(tmp_path: Path) -> None:
    sampler, metrics = begun(tmp_path / "store")
    sampler.offer("m", 1, {"x": np.zeros(LARGEST + 1)}, {})
    inputs = {"x": np.array([b"\xff"], dtype=object), "size": np.array([[np.nan, 1.5]], np.float32)}
    sampler.offer("m", 1, inputs, {"y": np.array([np.nan])})
    sampler.close()
    ((request,),) = [document["requests"] for document in written(tmp_path / "store")]
    assert (request["inputs"], request["outputs"]) == (
        {"x": [None], "size": [[None, 1.5]]},  # a null, as a client sent it
        {"y": ["NaN"]},
    )
    assert count(metrics, "colchis_unlogged_requests_total") == 1


def test_a_store_that_is_away_loses_samples_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sampler, metrics = begun(tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("no directory")
    sampler.offer("m", 1, {"x": np.zeros(1)}, {})
    sampler.close()
    assert "1 requests are not logged" in caplog.text
    assert count(metrics, "colchis_unlogged_requests_total") == 1


def test_it_needs_a_place_and_a_fraction(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert serve.main([f"--model=m={tmp_path}", "--log-requests=0.5"]) == 65
    assert "name the store that takes them with --log-to" in caplog.text
    with pytest.raises(SystemExit, match="2"):
        serve.main([f"--model=m={tmp_path}", "--log-requests=2"])
