"""The connection to a cluster, for all that asks it: the official client with the configuration that kubectl has.

Reads   $KUBECONFIG or ~/.kube/config, else the pod's service account
"""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from colchis_steps._step.errors import InputError, TransientError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT = (10, 30)  # seconds to connect and to answer
log = logging.getLogger("colchis")


class Connection(NamedTuple):
    """A client, the server's URL and the namespace that is meant where none is named."""

    client: Any  # kubernetes.dynamic.DynamicClient
    server: str
    namespace: str


def connect(namespace: str = "") -> Connection:
    """Read the configuration; nothing is sent yet. ``namespace`` goes before the configuration's.

    Raises:
        InputError: there is none.
    """
    import urllib3
    from kubernetes import client, config, dynamic

    settings = client.Configuration()
    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    try:
        if "KUBECONFIG" in os.environ or Path(file).exists():
            config.load_kube_config(file, client_configuration=settings)
            found = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
        else:
            config.load_incluster_config(client_configuration=settings)
            found = NAMESPACE_FILE.read_text().strip()
    except (config.ConfigException, OSError) as error:
        why = " ".join(str(error).split())[:256]
        raise InputError(f"no cluster is configured ({why}); set KUBECONFIG, or run in a pod") from error
    if not settings.verify_ssl:  # the user's choice: said once, not with each request
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        log.warning("the API server's certificate is not verified, as the kubeconfig says")
    made = dynamic.DynamicClient(client.ApiClient(settings), discoverer=lambda *_: None)
    return Connection(made, str(settings.host), namespace or found)


def unreachable(server: str, error: Exception) -> InputError | TransientError:
    """Return the error for an API server that did not answer at all."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):  # a connection that breaks is an SSLError too
        return InputError(f"{server} has no certificate that KUBECONFIG trusts; correct certificate-authority there")
    return TransientError(
        f"{server} does not answer ({type(error).__name__}); start the cluster, or correct KUBECONFIG"
    )
