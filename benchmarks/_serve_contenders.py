"""The servers of race `serve`: how each is started, asked and held to the model's answers, over HTTP and gRPC."""

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from benchmarks._rivals import HERE, environment, free_port

from colchis_steps._serving.server.rpc import inference_pb2

OURS, BARE = "colchis", "bare-grpc"
RIVALS = ("kserve", "mlserver", "bentoml", "litserve")
METHOD = "/inference.GRPCInferenceService/ModelInfer"
STARTING = 400.0  # seconds for a server to answer
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "BENTOML_DO_NOT_TRACK": "true"}


@dataclass(frozen=True)
class Server:
    """A contender that answers at a URL, and where it has gRPC at an address."""

    process: "subprocess.Popen[bytes]"
    url: str
    address: str
    body: Callable[[Any], Any]  # of a row
    read: Callable[[Any], Any]  # the row of probabilities in an answer
    message: Callable[[Any], bytes]  # of a row, over gRPC


def v1(row: Any) -> Any:
    return {"instances": [row.tolist()]}


def v2(row: Any, outputs: Sequence[str] = ()) -> Any:
    name, datatype = ("image", "UINT8") if row.dtype == np.uint8 else ("x", "FP32")
    tensor = {"name": name, "shape": [1, *row.shape], "datatype": datatype, "data": row.ravel().tolist()}
    return {"inputs": [tensor], **({"outputs": [{"name": name} for name in outputs]} if outputs else {})}


def message(row: Any, outputs: Sequence[str] = ()) -> bytes:
    """Return V2's message of a row, its bytes raw, as the clients of KServe and Triton send them."""
    request: Any = inference_pb2.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[1, *row.shape])
    for name in outputs:
        request.outputs.add(name=name)
    request.raw_input_contents.append(row.tobytes())
    return bytes(request.SerializeToString())


def told(content: bytes) -> Any:
    """Return the numbers in V2's answer over gRPC."""
    answer: Any = inference_pb2.ModelInferResponse.FromString(content)
    output = answer.outputs[0]
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], {"FP32": "<f4", "FP64": "<f8"}[output.datatype])
    return np.array(output.contents.fp64_contents or output.contents.fp32_contents)


def command(name: str, model: Path, port: int, rpc: int) -> tuple[list[str], str]:
    """Return the command that starts a contender, and the path that answers."""
    script, onnx = str(HERE / "rivals" / f"{name.partition('-')[0]}_server.py"), (model / "model.onnx").exists()
    if name == BARE:
        return [sys.executable, script, str(rpc)], ""
    if name == OURS:
        words = [sys.executable, "-m", "colchis_steps.serve", f"--model=m={model}", f"--port={port}"]
        return words + ([f"--grpc-port={rpc}"] if onnx else []), f"/{'v2' if onnx else 'v1'}/models/m" + (
            "/infer" if onnx else ":predict"
        )
    python = environment(name)
    if name == "bentoml":
        words = [str(python.with_name("bentoml")), "serve", "bentoml_server:Served", "--host=127.0.0.1"]
        return [*words, f"--port={port}", f"--working-dir={HERE / 'rivals'}"], "/predict"
    path = "/predict" if name == "litserve" else "/v2/models/m/infer"
    if name == "kserve" and not onnx:
        path = "/v1/models/m:predict"
    return [str(python), script, str(model), str(port), *([str(rpc)] if onnx or name == "mlserver" else [])], path


def spoken(name: str, path: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return how a row is sent to a contender, and how its answer is read."""
    if path.startswith("/v2"):
        names = ["predict_proba"] if name == "mlserver" else []

        def body(row: Any) -> Any:
            return v2(row, names if row.dtype != np.uint8 else [])

        return body, lambda answer: answer["outputs"][0]["data"]
    if name == "bentoml":
        return v1, lambda answer: answer[0]
    return v1, lambda answer: answer["predictions"][0]


@contextlib.contextmanager
def serving(names: Sequence[str], model: Path, top: Path) -> Iterator[dict[str, Server]]:
    """Start the contenders, each in a process group of its own, and end them afterwards."""
    started: dict[str, Server] = {}
    try:
        for name in names:
            port, rpc = free_port(), free_port()
            words, path = command(name, model, port, rpc)
            with (top / f"{name}.log").open("wb") as log:
                process = subprocess.Popen(
                    words,
                    env=os.environ | QUIET | {"MODEL": str(model), "PYTHONPATH": ""},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=top,
                )
            wanted = ["predict_proba"] if name == "mlserver" else []
            said = lambda row, wanted=wanted: message(row, wanted)  # noqa: E731
            url = f"http://127.0.0.1:{port}{path}"
            started[name] = Server(process, url, f"127.0.0.1:{rpc}", *spoken(name, path), said)
        yield started
    finally:
        for server in started.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGTERM)
        for server in started.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)


def asked(server: Server, row: Any) -> Any:
    """Ask once over HTTP; give the probabilities."""
    data = json.dumps(server.body(row)).encode()
    request = urllib.request.Request(server.url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return server.read(json.load(answer))


def asked_by_grpc(server: Server, rows: Any) -> tuple[Any, int]:
    """Ask for each row over gRPC; give the probabilities, and the bytes of an answer's frame."""
    with grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary(METHOD)
        answers = [call(server.message(row), timeout=30, wait_for_ready=True) for row in rows]
    return [told(answer) for answer in answers], len(answers[0]) + 5


def check(name: str, server: Server, rows: Any, wanted: Any) -> None:
    """Wait until the server answers; ask for all rows at once and compare."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            asked(server, rows[0])
            break
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise SystemExit(f"{name} does not answer at {server.url}: {error}") from error
            time.sleep(0.5)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda row: asked(server, row), rows))
    if not np.allclose(found, wanted, atol=1e-4):
        raise SystemExit(f"{name} answers other than the model does")
