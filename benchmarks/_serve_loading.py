"""The cases of race `serve` about loading: a model of 1 GiB, until a server, and the library itself, has answered.

The rivals are TensorFlow and onnxruntime themselves, in a process that loads the model and calls it once.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._rivals import cpu_of, free_port, in_turn
from benchmarks._serve_contenders import OURS, QUIET
from benchmarks._table import Row, with_ratio

SIDE = 1024  # of a matrix of float32, 4 MiB
LOADED = {"loading": "tensorflow", "loading-onnx": "onnxruntime"}  # by case: the rival
CALLS = {
    "tensorflow": """
import sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
call = loaded.signatures["serving_default"]
found = call(x=tf.constant(np.zeros((1, 1024), np.float32)))["y"].numpy()
""",
    "onnxruntime": """
import sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx", providers=["CPUExecutionProvider"])
found = session.run(None, {"x": np.zeros((1, 1024), np.float32)})[0]
""",
}
READY = """
print("answered", found.shape, file=sys.stderr, flush=True)
sys.stdin.read()
"""


def large_saved_model(directory: Path, mib: int) -> None:
    """Write as many matrices of 4 MiB as there are in ``mib``, each a variable, through which a row goes."""
    import tensorflow as tf

    module, random = tf.Module(), np.random.default_rng(7)
    module.layers = [tf.Variable(_matrix(random)) for _ in range(mib // 4)]

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def call(x: Any) -> Any:
        for layer in module.layers:
            x = tf.tanh(x @ layer)
        return {"y": x}

    module.call = call
    tf.saved_model.save(module, str(directory), signatures={"serving_default": call})


def large_onnx_model(directory: Path, mib: int) -> None:
    """Write the same in ONNX, the weights in a file beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random, nodes, weights, at = np.random.default_rng(7), [], [], "x"
    for number in range(mib // 4):
        weights.append(numpy_helper.from_array(_matrix(random), f"w{number}"))
        last = number == mib // 4 - 1
        nodes.append(helper.make_node("MatMul", [at, f"w{number}"], [f"m{number}"]))
        nodes.append(helper.make_node("Tanh", [f"m{number}"], [at := "y" if last else f"t{number}"]))
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", SIDE]) for name in "xy")
    graph = helper.make_graph(nodes, "large", [taken], [given], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    directory.mkdir()
    onnx.save(model, directory / "model.onnx", save_as_external_data=True, location="weights.bin")


def _matrix(random: np.random.Generator) -> Any:
    return random.standard_normal((SIDE, SIDE), np.float32) / SIDE**0.5


MODELS: Mapping[str, Callable[[Path, int], None]] = {"loading": large_saved_model, "loading-onnx": large_onnx_model}


def loading(case: str, runs: int, mib: int = 1024) -> list[Row]:
    """Time both in turn; ``ratio`` is to the library itself."""
    with tempfile.TemporaryDirectory(prefix="colchis-") as top:
        model = Path(top) / "model"
        MODELS[case](model, mib)
        rival = LOADED[case]
        contenders = {
            OURS: functools.partial(until_ready, model),
            rival: functools.partial(until_called, model, rival),
        }
        return with_ratio(in_turn(case, contenders, runs=runs), rival)


def until_ready(model: Path) -> dict[str, float]:
    """Start our server; give the time until it says that the model answers, which is after the warm-up."""
    words = [sys.executable, "-m", "colchis_steps.serve", f"--model=m={model}", f"--port={free_port()}"]
    return _timed(words, "m: version 1 answers")


def until_called(model: Path, rival: str) -> dict[str, float]:
    """Load the model and call it once, by the library itself."""
    return _timed([sys.executable, "-c", CALLS[rival] + READY, str(model)], "answered")


def _timed(words: Sequence[str], said: str) -> dict[str, float]:
    """Start a process; give the figures until it says this on stderr."""
    began = time.monotonic()
    with subprocess.Popen(
        words, env=os.environ | QUIET, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        try:
            if not any(said in line for line in process.stderr):
                raise SystemExit(f"{words[:3]} ended without {said!r}")
            wall = time.monotonic() - began
            peak = int(Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
            return {"wall_s": wall, "cpu_s": cpu_of(process.pid), "rss_mib": peak}
        finally:
            process.kill()
