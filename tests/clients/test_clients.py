"""Clients of others, with their defaults, against the server in this process: tritonclient, KServe's, curl."""

import functools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from colchis_steps._savedmodel.loading import Arrays, Tensor
from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._serving.server.access import Access
from colchis_steps._serving.server.app import Draining, app
from colchis_steps._serving.server.connections import guarded
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.rpc import server as rpc
from colchis_steps.serve import listen

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".clients/bin/python"
TEXT = Tensor("t", "string", (None,))


class Adds:
    """Adds the two numbers of a row and repeats its text."""

    rows_apart = True

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


@pytest.mark.long
@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_a_client_of_others_is_answered(served: tuple[str, str], client: str) -> None:
    if not PYTHON.exists() and not os.environ.get("CI"):
        pytest.skip("the clients are not installed; install them with: make .clients/ready")
    script = Path(__file__).with_name(f"ask_{client}.py")
    done = subprocess.run([PYTHON, script, *served], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr[-2000:]


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
