"""How a version is served on a cluster: the flags' choices, and what its pods are described by."""

import os
from dataclasses import dataclass, field

import msgspec

from colchis_steps._formats.models import Manifest, Record
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.serve_options import ServeOptions, check_replicas
from colchis_steps._manifests.tensorflow_serving import IMAGE
from colchis_steps._models.versions import check_image, published
from colchis_steps._rollout.checks import check_release
from colchis_steps._rollout.journal import described
from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._tensors.formats import ONNX, SAVED_MODEL

OWN = {  # in the template, by a version's format: the model server's image, which a submitter does not choose
    SAVED_MODEL: "COLCHIS_SERVER_IMAGE",
    ONNX: "COLCHIS_SERVER_IMAGE_ONNX",
}
SERVERS = "COLCHIS_SERVER_IMAGES"  # in the ConfigMap colchis: more of them, with spaces between
TOKENS = "COLCHIS_TOKENS"  # in the ConfigMap colchis: true where all models want tokens
READY = 600.0  # seconds for the pods to be ready


@dataclass(frozen=True)
class Options:
    """How a version is served."""

    serve_image: str = ""  # "": the installation's for the version's format
    volume: str = "image"
    gateway: str = ""  # namespace/name
    gateway_url: str = ""
    insecure: bool = False
    runtime: str = "embedded"
    preheat: bool = False
    pods: ServeOptions = field(default_factory=ServeOptions)
    deadline: float = READY
    run: str = ""  # who serves it
    registered: str = ""  # the digest of its record, as register gave it


def servable(store: Objects, model: str, version: int, image: str, options: Options) -> tuple[Manifest, Record]:
    """Return the documents of a published version that these options can serve.

    Raises:
        InputError: it must not be served, the image is another one, the server is too old, or as ``server_image``.
    """
    manifest, record = published(store, model, version, registered=options.registered, run=options.run)
    check_image(record, image)
    server = server_image(manifest, options)
    if options.runtime == "tensorflow-serving":
        check_release(record, server)
    return manifest, record


def server_image(manifest: Manifest, options: Options) -> str:
    """Return the image that serves a version: the one that is named, or the installation's for the version's format.

    Raises:
        InputError: none is named and none installed, it is not for models of this format, or as ``check_server``.
    """
    what = f"version {manifest.version} of {manifest.model} is of the format {manifest.format}"
    if options.runtime == "tensorflow-serving" and manifest.format != SAVED_MODEL:
        raise InputError(f"{what}, which tensorflow-serving does not run; choose --runtime=embedded")
    if image := options.serve_image:
        check_server(image)
        if manifest.format != ONNX and image == os.environ.get(OWN[ONNX]):
            raise InputError(f"{what}, and {image} runs ONNX models alone; leave serve-image out")
        return image
    if options.runtime == "tensorflow-serving":
        raise InputError(f"no image of tensorflow-serving is named; give --serve-image={IMAGE}@sha256:…")
    if image := os.environ.get(OWN.get(manifest.format, ""), ""):
        return image
    name = "serve-onnx" if manifest.format == ONNX else "serve"
    raise InputError(f"no image of the model server is named; give --serve-image=REGISTRY/{name}:TAG")


def check_server(image: str) -> None:
    """Hold the model server's image against the installation's; by hand, outside of its pods, any is served.

    Raises:
        InputError: it is another: a verdict on a model says nothing of a program that answers in its place.
    """
    installed = [os.environ[name] for name in OWN.values() if os.environ.get(name)]
    allowed = [*installed, *os.environ.get(SERVERS, "").split()]
    if installed and "KUBERNETES_SERVICE_HOST" in os.environ and image not in allowed:
        raise InputError(
            f"{image[:256]!r} is not a model server of this installation, which has {', '.join(allowed)}; leave "
            f"serve-image out, or ask its operator to add it to {SERVERS} in the ConfigMap colchis"
        )


def deployed_as(
    store: Objects, documents: tuple[Manifest, Record], image: str, options: Options, replicas: int
) -> Deployed:
    """Return the version as the options have it served; ``replicas`` is for options that name no number.

    Raises:
        InputError: the options do not go with the number of pods, or as ``server_image``.
    """
    manifest, record = documents
    pods = options.pods
    if os.environ.get(TOKENS) == "true" and options.runtime == "embedded":
        pods = msgspec.structs.replace(pods, tokens=True)
    deployed = Deployed(
        model=record.model,
        version=record.version,
        run=record.run,
        image=image,
        serve_image=server_image(manifest, options),
        replicas=options.pods.replicas or replicas,
        volume=options.volume,
        insecure=options.insecure,
        runtime=options.runtime,
        size=sum(file.size for file in manifest.files),
        store=store.url,
        tree=manifest.tree,
        options=pods,
    )
    check_replicas(options.pods, deployed.replicas)
    return deployed


def server_config(deployed: Deployed, manifest: Manifest, record: Record) -> str:
    """Return the embedded server's configuration for the version, as JSON."""
    mine = described(deployed.path, manifest, record, deployed.options.allow_operations)
    served = ServedModel({deployed.version: mine}, deployed.version)
    return msgspec.json.encode(Config({deployed.model: served})).decode()
