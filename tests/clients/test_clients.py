"""Clients of others, with their defaults, against the server in this process: of Triton, KServe, TensorFlow; curl."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest

from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._serving.server.access import Access
from colchis_steps._serving.server.app import Draining, app
from colchis_steps._serving.server.connections import guarded
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.rpc import server as rpc
from colchis_steps._tensors.tensor import Arrays, Tensor
from colchis_steps.serve import listen

ROOT = Path(__file__).parents[2]
PYTHON, STUBS = ROOT / ".clients/bin/python", ROOT / ".clients/serving"
TEXT = Tensor("t", "string", (None,))
SIGNATURE = {
    "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}, "name": "x:0"}},
    "method_name": "tensorflow/serving/predict",
}


class Adds:
    """Adds the two numbers of a row and repeats its text."""

    format = "savedmodel"
    rows_apart = steady = True
    classes = ()
    signature_def = MappingProxyType({"serving_default": SIGNATURE})

    def __init__(self, path: Path, allowed: object = ()) -> None:
        del path, allowed
        self.inputs = {"t": TEXT, "x": Tensor("x", "float32", (None, 2))}
        self.outputs = {"t": TEXT, "y": Tensor("y", "float32", (None,))}

    def warm_up(self, _: object = ()) -> None:
        """Be warm at once."""

    def predict(self, arrays: Arrays) -> Arrays:
        return {"y": arrays["x"].sum(axis=1, dtype=np.float32), "t": arrays["t"]}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str]]:
    """The URL and gRPC's address of a server with the model m."""
    import asyncio

    import uvicorn

    registry, draining, ports = Registry(load=cast(Any, Adds)), Draining(), list[int]()
    registry.apply(Config({"m": ServedModel({1: "/one"})}), "digest")

    async def watch() -> None:
        await asyncio.Event().wait()

    beside = functools.partial(
        rpc.serving, address="127.0.0.1:0", draining=draining, access=Access(), bound=ports.append
    )
    application = app(registry, watch, draining=draining, beside=beside)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", http=guarded(64), ws="none"))
    opened = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]))
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{opened.getsockname()[1]}", f"127.0.0.1:{ports[0]}"
    server.should_exit = True
    thread.join(30)


def installed(place: Path) -> Path:
    """Return the place back where the clients are installed; with CI=true one that is not there is a failure."""
    if not place.exists():
        fail = pytest.fail if os.environ.get("CI") else pytest.skip
        fail("the clients are not installed; install them with: make .clients/ready")
    return place


@pytest.mark.long
@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_a_client_of_others_is_answered(served: tuple[str, str], client: str) -> None:
    script = Path(__file__).with_name(f"ask_{client}.py")
    command = [str(installed(PYTHON)), str(script), *served]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr[-2000:]


@pytest.mark.long
def test_tensorflow_servings_own_stubs_are_answered(served: tuple[str, str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed(STUBS))}
    command = [sys.executable, str(Path(__file__).with_name("ask_serving.py")), *served]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr[-2000:]


def test_where_ci_has_no_clients_that_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"install them with: make \.clients/ready"):
        installed(tmp_path / "none")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        installed(tmp_path / "none")


@pytest.mark.servers
def test_curl_packs_and_asks(served: tuple[str, str]) -> None:
    if not (curl := shutil.which("curl")):
        pytest.skip("curl is not installed")
    url, rows = f"{served[0]}/v1/models/m:predict", [{"x": [1, 2], "t": "a" * 100}] * 50
    command = [curl, "--silent", "--compressed", "--write-out", "%{size_download}", "--data", "@-", url]
    told = subprocess.run(command, input=json.dumps({"instances": rows}), capture_output=True, text=True, check=True)
    found, size = told.stdout.rsplit("}", 1)
    assert json.loads(found + "}")["predictions"][0]["y"] == 3
    assert int(size) < 1000
