"""The Kubernetes API as ``doctor`` asks it: an answer of any status is a fact, only silence is an error."""

import json
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from colchis_steps._step.errors import InputError, TransientError

NAMES_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # so that no value of a Secret is sent
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


Object = dict[str, Any]


class Answer(NamedTuple):
    """What the API server says; the body of a refusal is empty but for its sentence."""

    status: int
    body: Object
    told: str = ""

    @property
    def found(self) -> bool:
        """Say whether the request was answered with what it asked for."""
        return self.status < 300


class Api:
    """One cluster and a namespace of it.

    Raises, from each method: TransientError where the API server is away or busy.
    """

    def __init__(self, namespace: str = "") -> None:
        """Read the credentials of $KUBECONFIG, or of the pod; nothing is sent yet.

        Raises:
            InputError: there are none.
        """
        import urllib3
        from kubernetes import client, config

        # whoever wrote insecure-skip-tls-verify into a kubeconfig said so by name
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        self._settings = client.Configuration()
        file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        try:
            if "KUBECONFIG" in os.environ or Path(file).exists():
                config.load_kube_config(file, client_configuration=self._settings)
                found = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
            else:
                config.load_incluster_config(client_configuration=self._settings)
                found = (ACCOUNT / "namespace").read_text().strip()
        except (config.ConfigException, OSError) as error:
            told = " ".join(str(error).split())[:256]
            raise InputError(f"no cluster is configured ({told}); set KUBECONFIG, or run in a pod") from error
        self.namespace, self.server = namespace or found, str(self._settings.host)
        self._pool = client.ApiClient(self._settings).rest_client.pool_manager

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """Read what is at the path."""
        return self._ask("GET", path, None, accept)

    def post(self, path: str, body: Object) -> Answer:
        """Send an object: a review, or a dry run."""
        return self._ask("POST", path, body, "application/json")

    def _ask(self, method: str, path: str, body: Object | None, accept: str) -> Answer:
        import urllib3

        headers = {"Accept": accept, "Content-Type": "application/json"}
        for way in self._settings.auth_settings().values():
            if way["value"] is not None and way["in"] == "header":
                headers[way["key"]] = way["value"]
        try:
            reply = self._pool.request(
                method,
                self.server + path,
                headers=headers,
                body=json.dumps(body) if body is not None else None,
                timeout=urllib3.Timeout(connect=5, read=30),
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise InputError(
                    f"{self.server} has no certificate that KUBECONFIG trusts; correct certificate-authority there"
                ) from error
            raise TransientError(
                f"{self.server} does not answer ({type(error).__name__}); start the cluster, or correct KUBECONFIG"
            ) from error
        try:
            found: Object = json.loads(reply.data)
        except ValueError:
            found = {}
        if reply.status >= 500 or reply.status == 429:
            raise TransientError(f"{self.server} answers {reply.status} to {method} {path}; try again")
        return (
            Answer(reply.status, found) if reply.status < 300 else Answer(reply.status, {}, str(found.get("message")))
        )
