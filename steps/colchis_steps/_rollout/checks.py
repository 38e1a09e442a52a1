"""What a rollout asks the server before traffic moves: has it loaded the version, and does the version answer?"""

import contextlib
import logging
import math
from collections.abc import Mapping
from typing import Any

from colchis_steps._formats.models import Record
from colchis_steps._manifests.tensorflow_serving import release
from colchis_steps._savedmodel.versions import judge_versions
from colchis_steps._serving.client import Away, call
from colchis_steps._serving.daemon import LOG, Running, last_line, running
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.home import home
from colchis_steps._step.polling import poll

LOADING = 180.0  # seconds until the server has loaded a version
DATATYPES = {  # of V2, by TensorFlow's name
    "DT_BOOL": "BOOL",
    "DT_DOUBLE": "FP64",
    "DT_FLOAT": "FP32",
    "DT_HALF": "FP16",
    "DT_STRING": "BYTES",
}


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


def check_answers(url: str, model: str, version: int, headers: Mapping[str, str] | None = None) -> None:
    """Ask the version once over HTTP, with the least value that each input takes.

    A model may refuse such a row, as one does whose words or codes are all known; its golden rows say more. ``headers``
    are those that let a question through to the version.

    Raises:
        InputError: the server could not load it, or it answers with an error, NaN or infinity.
    """
    v1 = f"{url}/v1/models/{model}/versions/{version}"
    status, found = call(v1, headers=headers)
    if status in {401, 403}:
        raise InputError(
            f"version {version} of {model} does not take the rollout's token ({error_of(found)}); put one that is in "
            "its tokens into the Secret colchis-token, or name a file with it in COLCHIS_TOKEN_FILE"
        )
    if status != 200:
        raise InputError(f"version {version} of {model} is not served: {found}")
    if (state := found["model_version_status"][0])["state"] != "AVAILABLE":
        raise InputError(f"version {version} of {model} is not served: {state['status']['error_message']}")
    inputs = {tensor["name"]: _least(tensor) for tensor in inputs_of(url, model, version, headers)}
    status, found = call(f"{v1}:predict", {"inputs": inputs}, headers=headers)
    if status == 400:
        log.info("%s %d refuses a row of its least values, so that says nothing of it (%.256s)", model, version, found)
        return
    if status != 200:
        raise InputError(f"{model} {version} does not answer a row of its least values ({found}); train it again")
    if not _finite(found["outputs"]):
        raise InputError(f"{model} {version} answers a row of its least values with NaN or infinity; train it again")


def least_row(url: str, model: str, version: int, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a row of the least value that each input takes."""
    tensors = inputs_of(url, model, version, headers)
    return {tensor["name"]: _least({**tensor, "shape": tensor["shape"][1:]}) for tensor in tensors}


def inputs_of(url: str, model: str, version: int, headers: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Describe a version's inputs as protocol V2 does; TensorFlow Serving, which has V1 alone, knows no ranges."""
    status, found = call(f"{url}/v2/models/{model}/versions/{version}", headers=headers)
    if status == 200:
        return list(found["inputs"])
    return inputs_of_v1(call(f"{url}/v1/models/{model}/versions/{version}/metadata", headers=headers)[1])


def inputs_of_v1(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of ``serving_default`` from the metadata of protocol V1; whole numbers are all INT64 here."""
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    return [
        {
            "name": name,
            "datatype": DATATYPES.get(tensor["dtype"], "INT64"),
            "shape": [int(length["size"]) for length in tensor["tensor_shape"].get("dim", [])],
        }
        for name, tensor in sorted(signature["inputs"].items())
    ]


def _least(tensor: dict[str, Any]) -> Any:
    value: Any = tensor.get("parameters", {}).get("minimum", 0)
    if tensor["datatype"] in {"BOOL", "BYTES"}:
        value = False if tensor["datatype"] == "BOOL" else ""
    elif not tensor["datatype"].startswith("FP"):
        value = math.ceil(value)
    for length in reversed(tensor["shape"]):
        value = [value] * max(length, 1)
    return value


def error_of(found: Any) -> str:
    """Return what a server says is wrong, or all that it answers."""
    return str(found.get("error", found) if isinstance(found, dict) else found)[:256]


def _finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(_finite(item) for item in (value.values() if isinstance(value, dict) else value))
    # JSON has no NaN: our server writes null, TensorFlow Serving NaN all the same
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


log = logging.getLogger("colchis")


def check_release(record: Record, image: str) -> None:
    """Hold the release against the TensorFlow that exported the version; one that is a little behind is warned of.

    Raises:
        InputError: as ``release`` and ``judge_versions``.
    """
    serves = release(image)
    if not (exporter := record.frameworks.get("tensorflow", "")):
        log.warning("the record of %s %d does not say which TensorFlow exported it", record.model, record.version)
    elif warning := judge_versions(exporter, serves):
        log.warning("%s", warning)
