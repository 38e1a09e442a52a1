"""Which server answers in a version's pods: ours, or TensorFlow Serving."""

from colchis_steps import _tensorflow_serving
from colchis_steps._deployment import Deployed, deployment, described
from colchis_steps._kube import Object


def pods(deployed: Deployed, config: str) -> Object:
    """Describe the version's Deployment; ``config`` is the embedded server's configuration document."""
    if deployed.runtime == "tensorflow-serving":
        return described(deployed, _tensorflow_serving.files(deployed), _tensorflow_serving.container(deployed))
    return deployment(deployed, config)
