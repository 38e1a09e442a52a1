"""Which server answers in a version's pods: ours, or TensorFlow Serving."""

from colchis_steps._manifests import tensorflow_serving
from colchis_steps._manifests.deployment import RUNTIME, Deployed, deployment, described
from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import InputError


def pods(deployed: Deployed, config: str) -> Object:
    """Describe the version's Deployment; ``config`` is the embedded server's configuration document.

    Raises:
        InputError: requests are to be kept where the pods cannot write, or by a server that keeps none; or tokens are
            wanted of one that has none.
    """
    if deployed.options.log_requests and not deployed.store.startswith("s3://"):
        raise InputError(f"pods cannot keep requests in {deployed.store}; leave log_requests out, or use a bucket")
    if deployed.options.log_requests and deployed.runtime != "embedded":
        raise InputError(f"{deployed.runtime} keeps no requests; leave log_requests out, or choose --runtime=embedded")
    if deployed.options.tokens and deployed.runtime != "embedded":
        raise InputError(f"{deployed.runtime} takes no tokens; leave tokens out, or choose --runtime=embedded")
    if deployed.runtime == "tensorflow-serving":
        return described(deployed, tensorflow_serving.files(deployed), tensorflow_serving.container(deployed))
    return deployment(deployed, config)


def runtime_of(found: Object | None) -> str:
    """Return the runtime of a version's main object; before it was noted there was ours alone."""
    return str((found or {"metadata": {}})["metadata"].get("annotations", {}).get(RUNTIME, "embedded"))
