"""How a version is served on a cluster: the flags' choices, and what its pods are described by."""

from dataclasses import dataclass, field

import msgspec

from colchis_steps._formats.models import Manifest, Record
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.serve_options import ServeOptions, check_replicas
from colchis_steps._models.versions import check_image, published
from colchis_steps._rollout.checks import check_release
from colchis_steps._rollout.journal import described
from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

READY = 600.0  # seconds for the pods to be ready


@dataclass(frozen=True)
class Options:
    """How a version is served."""

    serve_image: str = ""
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
        InputError: it must not be served, the image is another one, no server is named, or the server is too old.
    """
    if not options.serve_image:
        raise InputError("no image of the model server is named; give --serve-image=REGISTRY/serve:TAG")
    manifest, record = published(store, model, version, registered=options.registered, run=options.run)
    check_image(record, image)
    if options.runtime == "tensorflow-serving":
        check_release(record, options.serve_image)
    return manifest, record


def deployed_as(
    store: Objects, documents: tuple[Manifest, Record], image: str, options: Options, replicas: int
) -> Deployed:
    """Return the version as the options have it served; ``replicas`` is for options that name no number.

    Raises:
        InputError: the options do not go with the number of pods.
    """
    manifest, record = documents
    deployed = Deployed(
        model=record.model,
        version=record.version,
        run=record.run,
        image=image,
        serve_image=options.serve_image,
        replicas=options.pods.replicas or replicas,
        volume=options.volume,
        insecure=options.insecure,
        runtime=options.runtime,
        size=sum(file.size for file in manifest.files),
        store=store.url,
        options=options.pods,
    )
    check_replicas(options.pods, deployed.replicas)
    return deployed


def server_config(deployed: Deployed, manifest: Manifest, record: Record) -> str:
    """Return the embedded server's configuration for the version, as JSON."""
    mine = described(deployed.path, manifest, record, deployed.options.allow_operations)
    served = ServedModel({deployed.version: mine}, deployed.version)
    return msgspec.json.encode(Config({deployed.model: served})).decode()
