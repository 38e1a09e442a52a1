"""What serves a version on a plain cluster: a Deployment and a Service.

Pure: values in, manifests out. The model is mounted from its image (``volume: image``, Kubernetes 1.35, or 1.33 with
the feature gate) or copied out of it by an init container (``volume: copy``, any version). The server's configuration
is an annotation of the pod, which the kubelet hands to it as a file: there is no further object to keep and to remove.
"""

from collections.abc import Mapping

import msgspec

from colchis_steps._manifests.objects import (
    KEYS_FILE,
    KEYS_MOUNT,
    LABEL_MODEL,
    LABEL_VERSION,
    LOCKED_POD,
    MANAGED,
    PULL_SECRET,
    READ_ONLY,
    SCRATCH,
    SETTINGS,
    Object,
    annotation,
    keys_volume,
    literal,
    probe,
    run_label,
    version_name,
)
from colchis_steps._manifests.serve_options import ServeOptions

MODELS = "/models"
DOWNLOADED = "/mnt/models"  # where KServe's storage container leaves a model
CONFIG = "/etc/colchis"
LOGIN = "/var/run/colchis/registry"
TOKENS, TOKENS_AT = "colchis-tokens", "/var/run/colchis/tokens"  # the Secret whose tokens.json says who may ask
REQUESTS = "colchis-requests"  # a Secret of earlier releases, optional: keys that may only write kept requests


PORT, GRPC_PORT = 8501, 8500


IMAGE, RUNTIME, SERVING = "colchis.dev/image", "colchis.dev/runtime", "colchis.dev/serving"


class Deployed(msgspec.Struct, frozen=True):
    """One version of a model as it is served."""

    model: str
    version: int
    run: str  # that made the version
    image: str  # by digest
    serve_image: str
    replicas: int = 1
    volume: str = "image"  # or copy, or storage: KServe's own container fetches it
    insecure: bool = False  # copy over plain HTTP
    runtime: str = "embedded"  # or tensorflow-serving
    size: int = 0  # bytes of its files; 0 where nobody knows
    store: str = ""  # its URL, from which ``storage`` fetches
    tree: str = ""  # digest of the files that it fetches
    options: ServeOptions = ServeOptions()

    @property
    def name(self) -> str:
        """Return the name of its Deployment and of its Service."""
        return version_name(self.model, self.version)

    @property
    def path(self) -> str:
        """Return the directory of its files in the pod."""
        return f"{DOWNLOADED if self.volume == 'storage' else f'{MODELS}/{self.model}'}/{self.version}"

    @property
    def selector(self) -> dict[str, str]:
        """Return the labels that its pods, and only they, have."""
        return {LABEL_MODEL: self.model, LABEL_VERSION: str(self.version)}


def deployment(deployed: Deployed, serving_config: str) -> Object:
    """Describe the pods of a version; ``serving_config`` is the embedded server's configuration document."""
    return described(deployed, {"config.json": serving_config}, server(deployed))


def described(deployed: Deployed, files: Mapping[str, str], container: Object) -> Object:
    """Describe the pods of a version with this container, which finds the files in ``CONFIG`` and the model mounted."""
    labels = {**MANAGED, **deployed.selector, **run_label(deployed.run), "app.kubernetes.io/name": "colchis-model"}
    names = {name: SERVING if name == "config.json" else f"colchis.dev/{name}" for name in files}
    mounts = [{"name": "config", "mountPath": CONFIG, "readOnly": True}, {"name": "tmp", "mountPath": SCRATCH}]
    volumes, mount = model_volumes(deployed)
    keeps = deployed.options.log_requests
    mounts += [KEYS_MOUNT] if keeps else []
    tokens = [{"name": "tokens", "secret": {"secretName": TOKENS}}] if deployed.options.tokens else []
    mounts += [{"name": "tokens", "mountPath": TOKENS_AT, "readOnly": True}] if tokens else []
    pod: Object = {
        **LOCKED_POD,
        "volumes": [
            *volumes,
            {"name": "tmp", "emptyDir": {"sizeLimit": deployed.options.disk}},
            {"name": "config", "downwardAPI": {"items": [annotation(names[name], name) for name in files]}},
            *([keys_volume("serve", REQUESTS)] if keeps or deployed.volume == "storage" else []),
            *tokens,
        ],
        "initContainers": [copier(deployed)] if deployed.volume == "copy" else [],
        "containers": [{**container, "volumeMounts": [*mount, *mounts]}],
    }
    about = {IMAGE: deployed.image, **{names[name]: text for name, text in files.items()}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployed.name,
            "labels": labels,
            "annotations": {IMAGE: deployed.image, RUNTIME: deployed.runtime},
        },
        "spec": {
            "replicas": deployed.replicas,
            "selector": {"matchLabels": deployed.selector},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": about}, "spec": pod},
        },
    }


def model_volumes(deployed: Deployed) -> tuple[list[Object], list[Object]]:
    """Return the pod's volumes that hold the model, and how the server mounts it; KServe adds its own."""
    if deployed.volume == "storage":
        return [], []
    if deployed.volume == "copy":
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        login = {"secretName": PULL_SECRET, "optional": True, "items": items}
        mount: Object = {"name": "model", "mountPath": f"{MODELS}/{deployed.model}", "readOnly": True}
        return [
            {"name": "model", "emptyDir": {"sizeLimit": deployed.options.disk}},
            {"name": "registry", "secret": login},
        ], [mount]
    mount = {"name": "model", "mountPath": deployed.path, "subPath": "models/1", "readOnly": True}
    return [{"name": "model", "image": {"reference": deployed.image, "pullPolicy": "IfNotPresent"}}], [mount]


def server(deployed: Deployed) -> Object:
    """Describe the container that serves; before it ends it goes on for as long as gateways may still send to it.

    Only one that keeps requests gets keys of the store.
    """
    options, logging = deployed.options, []
    settings: Object = {}
    keys: list[Object] = []
    ports = [f"--port={PORT}", f"--grpc-port={GRPC_PORT}"]
    if options.log_requests:
        logging = [f"--log-requests={options.log_requests:g}", literal(f"--log-to={deployed.store}")]
        settings, keys = {"envFrom": [SETTINGS]}, [KEYS_FILE]
    tokens = [f"--tokens={TOKENS_AT}/tokens.json"] if options.tokens else []
    return {
        "name": "serve",
        "image": deployed.serve_image,
        "command": ["python", "-m", "colchis_steps.serve"],
        "args": [f"--config={CONFIG}/config.json", "--host=0.0.0.0", *ports, *logging, *tokens],
        **settings,
        "env": [{"name": "HOME", "value": SCRATCH}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}, *keys],
        "ports": [{"name": "http", "containerPort": PORT}, {"name": "grpc", "containerPort": GRPC_PORT}],
        "startupProbe": probe("/v2/health/ready", period=1, failures=options.startup_seconds),
        "readinessProbe": probe("/v2/health/ready", period=options.ready_seconds, failures=3),
        "livenessProbe": probe("/v2/health/live", period=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}},
        "resources": resources(options),
        "securityContext": READ_ONLY,
    }


def copier(deployed: Deployed) -> Object:
    """Describe the init container that copies the model out of its image, where image volumes are not to be had."""
    return {
        "name": "model",
        "image": deployed.serve_image,
        "command": ["python", "-m", "colchis_steps.unpack"],
        "args": [
            literal(f"--image={deployed.image}"),
            literal(f"--to={deployed.path}"),
            *([f"--most-bytes={deployed.size}"] if deployed.size else []),
            f"--insecure-registry={str(deployed.insecure).lower()}",
        ],
        "env": [{"name": "HOME", "value": SCRATCH}, {"name": "DOCKER_CONFIG", "value": LOGIN}],
        "resources": resources(deployed.options),
        "securityContext": READ_ONLY,
        "volumeMounts": [
            {"name": "model", "mountPath": f"{MODELS}/{deployed.model}"},
            {"name": "registry", "mountPath": LOGIN, "readOnly": True},
            {"name": "tmp", "mountPath": SCRATCH},
        ],
    }


def resources(options: ServeOptions) -> Object:
    """Describe what a container asks for, and the memory that it may not exceed."""
    return {"requests": {"cpu": options.cpu, "memory": options.memory}, "limits": {"memory": options.memory_limit}}


def service(deployed: Deployed) -> Object:
    """Describe the address of a version's pods."""
    ports: list[Object] = [
        {"name": "http", "port": PORT, "targetPort": "http"},
        {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": deployed.name, "labels": {**MANAGED, **deployed.selector}},
        "spec": {"selector": deployed.selector, "ports": ports},
    }
