"""The runtime ``tensorflow-serving``: its container and the files that it reads, as text-format protocol buffers.

Its sources: tensorflow_serving/config/model_server_config.proto, session_bundle/session_bundle_config.proto
(BatchingParameters) and config/monitoring_config.proto. A pod serves one version, so both labels name it: which of two
versions is asked is decided by the route.
"""

import logging
import posixpath
import re
from collections.abc import Mapping

from colchis_steps._manifests.deployment import CONFIG, GRPC_PORT, PORT, Deployed, resources
from colchis_steps._manifests.objects import READ_ONLY, SCRATCH, Object, probe
from colchis_steps._step.errors import InputError

IMAGE = "docker.io/tensorflow/serving:2.20.0"  # the release; the image is named with its digest
LABELS = ("stable", "canary")
PINNED = re.compile(r"[^@]+:v?(?P<version>\d+\.\d+[^@:/]*)@sha256:[0-9a-f]{64}")
METRICS = "/metrics"  # as our server has it, so that a rollout asks one place
log = logging.getLogger("colchis")


def release(image: str) -> str:
    """Return the release that an image's tag names.

    Raises:
        InputError: it has no such tag, or no digest beside it: a tag alone may be another image tomorrow.
    """
    if not (found := PINNED.fullmatch(image)):
        raise InputError(f"{image!r} does not name tensorflow/serving by release and digest; give {IMAGE}@sha256:…")
    return found["version"]


def files(deployed: Deployed) -> dict[str, str]:
    """Return the files that the server reads, by name."""
    return {
        "models.config": model_config(
            deployed.model, posixpath.dirname(deployed.path), dict.fromkeys(LABELS, deployed.version)
        ),
        "batching.config": batching_config(deployed.options.batch_size, deployed.options.batch_milliseconds),
        "monitoring.config": f'prometheus_config {{ enable: true path: "{METRICS}" }}\n',
    }


def model_config(model: str, directory: str, labels: Mapping[str, int]) -> str:
    """Describe the versions of a model, below a directory, and what they are called; the server holds no other ones."""
    versions = "".join(f"        versions: {version}\n" for version in sorted(set(labels.values())))
    named = "".join(f'    version_labels {{ key: "{k}" value: {v} }}\n' for k, v in sorted(labels.items()))
    return (
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{model}"\n'
        f'    base_path: "{directory}"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy {\n"
        "      specific {\n"
        f"{versions}"
        "      }\n"
        "    }\n"
        f"{named}"
        "  }\n"
        "}\n"
    )


def batching_config(size: int, milliseconds: float) -> str:
    """Describe how requests are put together: at most ``size`` rows, waiting ``milliseconds`` for the first one."""
    settings = {
        "max_batch_size": size,
        "batch_timeout_micros": round(milliseconds * 1000),
        "max_enqueued_batches": 100,  # what comes beyond them is refused at once
        "num_batch_threads": 2,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in settings.items())


def container(deployed: Deployed) -> Object:
    """Describe the container that serves; its port for REST opens when the version is loaded and warm."""
    loaded = f"/v1/models/{deployed.model}/versions/{deployed.version}/metadata"
    options = deployed.options
    return {
        "name": "serve",
        "image": deployed.serve_image,
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={PORT}",
            f"--model_config_file={CONFIG}/models.config",
            "--allow_version_labels_for_unavailable_models=true",  # the labels stand in the file before it is loaded
            "--enable_batching=true",
            f"--batching_parameters_file={CONFIG}/batching.config",
            f"--monitoring_config_file={CONFIG}/monitoring.config",
            "--enable_model_warmup=true",
        ],
        "env": [{"name": "HOME", "value": SCRATCH}],
        "ports": [{"name": "http", "containerPort": PORT}, {"name": "grpc", "containerPort": GRPC_PORT}],
        "startupProbe": probe(loaded, period=1, failures=options.startup_seconds),
        "readinessProbe": probe(loaded, period=options.ready_seconds, failures=3),
        "livenessProbe": probe(loaded, period=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}},
        "resources": resources(options),
        "securityContext": READ_ONLY,
    }
