"""What a rollout asks the server before traffic moves: has it loaded the version, and does the version answer?"""

import contextlib
import math
from typing import Any

from colchis_steps._home import home
from colchis_steps._serving_client import Away, call
from colchis_steps._serving_daemon import LOG, Running, last_line, poll, running
from colchis_steps._step import InputError, TransientError

LOADING = 180.0  # seconds until the server has loaded a version


def wait(server: Running, digest: str, what: str) -> None:
    """Wait until the server has applied the configuration that has this digest.

    Raises:
        TransientError: the server ends, or ``what`` is not loaded in time; the last line of its log is in the sentence.
    """
    top = home() / "serving"

    def applied() -> bool | None:
        if running(top) is None:
            raise TransientError(f"the local server ended ({last_line(top)}); read {top / LOG}")
        with contextlib.suppress(Away):
            status, found = call(f"{server.url}/v2", timeout=5)
            return True if status == 200 and found.get("configuration") == digest else None
        return None

    if poll(applied, LOADING) is None:
        raise TransientError(f"{what} is not loaded after {LOADING:.0f} s ({last_line(top)}); read {top / LOG}")


def check(url: str, model: str, version: int) -> None:
    """Ask the version once over HTTP, with the least value that each input takes.

    Raises:
        InputError: the server could not load it, or it answers with an error, NaN or infinity.
    """
    v1, v2 = (f"{url}/{protocol}/models/{model}/versions/{version}" for protocol in ("v1", "v2"))
    status, found = call(v1)
    if status != 200:
        raise InputError(f"version {version} of {model} is not served: {found}")
    if (state := found["model_version_status"][0])["state"] != "AVAILABLE":
        raise InputError(f"version {version} of {model} is not served: {state['status']['error_message']}")
    inputs = {tensor["name"]: _least(tensor) for tensor in call(v2)[1]["inputs"]}
    status, found = call(f"{v1}:predict", {"inputs": inputs})
    if status != 200:
        raise InputError(f"{model} {version} does not answer a row of its least values ({found}); train it again")
    if not _finite(found["outputs"]):
        raise InputError(f"{model} {version} answers a row of its least values with NaN or infinity; train it again")


def least_row(url: str, model: str, version: int) -> dict[str, Any]:
    """Give a row of the least value that each input takes."""
    described = call(f"{url}/v2/models/{model}/versions/{version}")[1]
    return {tensor["name"]: _least({**tensor, "shape": tensor["shape"][1:]}) for tensor in described["inputs"]}


def _least(tensor: dict[str, Any]) -> Any:
    value: Any = tensor.get("parameters", {}).get("minimum", 0)
    if tensor["datatype"] in {"BOOL", "BYTES"}:
        value = False if tensor["datatype"] == "BOOL" else ""
    elif not tensor["datatype"].startswith("FP"):
        value = math.ceil(value)
    for length in reversed(tensor["shape"]):
        value = [value] * max(length, 1)
    return value


def _finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(_finite(item) for item in (value.values() if isinstance(value, dict) else value))
    return value is not None  # JSON has no NaN: the server writes null
