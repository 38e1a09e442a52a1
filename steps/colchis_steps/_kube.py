"""The cluster as the steps use it: server-side apply with one field manager, reads, deletes and waits.

Credentials come from the pod's service account or from ``$KUBECONFIG``, as for kubectl.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from colchis_steps._step import InputError, TransientError

FIELD_MANAGER = "colchis"
MANAGED = {"app.kubernetes.io/managed-by": "colchis"}
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
API_VERSIONS = {
    "Deployment": "apps/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "Pod": "v1",
    "PodDisruptionBudget": "policy/v1",
    "SelfSubjectAccessReview": "authorization.k8s.io/v1",
    "Service": "v1",
}
Object = dict[str, Any]


class Cluster:
    """One namespace of one cluster.

    Raises, from each method: InputError where a right, a resource kind or a field is wrong; TransientError where the
    API server is away or busy.
    """

    def __init__(self, namespace: str = "") -> None:
        from kubernetes import client, config, dynamic

        try:
            if os.environ.get("KUBERNETES_SERVICE_HOST") and NAMESPACE_FILE.exists():
                config.load_incluster_config()
                found = NAMESPACE_FILE.read_text().strip()
            else:
                config.load_kube_config()
                found = config.list_kube_config_contexts()[1]["context"].get("namespace", "default")
        except config.ConfigException as error:
            raise InputError(f"no cluster is configured ({error}); set KUBECONFIG or run in a pod") from error
        self.namespace = namespace or found
        with self._explained("discover", "API groups", ""):
            self._client = dynamic.DynamicClient(client.ApiClient())

    def apply(self, manifest: Object) -> Object:
        """Make the object so, by server-side apply.

        Raises:
            InputError: an object of this name is there and is not ours.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        there = self.get(kind, name)
        if there and not is_ours(there):
            where = f"{kind} {name} in namespace {self.namespace}"
            raise InputError(f"{where} was not made by colchis; rename it or choose another model name")
        with self._explained("apply", kind, name):
            resource = self._resource(kind)
            done = resource.server_side_apply(
                body=manifest, namespace=self.namespace, field_manager=FIELD_MANAGER, force_conflicts=True
            )
            return plain(done)

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Read an object, or None where there is none."""
        from kubernetes.dynamic.exceptions import NotFoundError

        with self._explained("get", kind, name):
            try:
                return plain(self._resource(kind).get(name=name, namespace=namespace or self.namespace))
            except NotFoundError:
                return None

    def list(self, kind: str, labels: Mapping[str, str]) -> "list[Object]":
        """List the objects that have the labels, by name."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        with self._explained("list", kind, selector):
            found = self._resource(kind).get(namespace=self.namespace, label_selector=selector)
            return sorted((plain(item) for item in found.items), key=lambda item: str(item["metadata"]["name"]))

    def scale(self, name: str, replicas: int) -> None:
        """Set a Deployment's number of pods."""
        with self._explained("scale", "Deployment", name):
            self._resource("Deployment").patch(
                name=name,
                namespace=self.namespace,
                body={"spec": {"replicas": replicas}},
                content_type="application/merge-patch+json",
                field_manager=FIELD_MANAGER,
            )

    def delete(self, kind: str, name: str) -> None:
        """Remove an object and what belongs to it; one that is not there is no error."""
        from kubernetes.dynamic.exceptions import NotFoundError

        with self._explained("delete", kind, name), contextlib.suppress(NotFoundError):
            self._resource(kind).delete(name=name, namespace=self.namespace, body={"propagationPolicy": "Background"})

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Ask the cluster whether this account may do that here."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        review = {
            "apiVersion": API_VERSIONS["SelfSubjectAccessReview"],
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        with self._explained("create", "SelfSubjectAccessReview", ""):
            return bool(plain(self._resource("SelfSubjectAccessReview").create(body=review))["status"]["allowed"])

    def _resource(self, kind: str) -> Any:
        return self._client.resources.get(api_version=API_VERSIONS[kind], kind=kind)

    @contextlib.contextmanager
    def _explained(self, verb: str, kind: str, name: str) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError
        from urllib3.exceptions import HTTPError

        what = f"{kind} {name}".strip()
        try:
            yield
        except NotFoundError:
            raise
        except ResourceNotFoundError as error:
            group = API_VERSIONS[kind]
            raise InputError(f"the cluster has no {kind} of {group}; install its CRDs, then run this again") from error
        except (DynamicApiError, ApiException) as error:
            told = reason(error)
            if error.status in {401, 403}:
                raise InputError(
                    f"this service account may not {verb} {what} in namespace {self.namespace}; "
                    f"apply the Role of workflows/manifests/base ({told})"
                ) from error
            if error.status in {400, 409, 413, 422}:
                raise InputError(f"the cluster refuses {what}: {told}") from error
            raise TransientError(f"the cluster answers {error.status} to {verb} {what}: {told}") from error
        except HTTPError as error:
            raise TransientError("the cluster's API server is not reachable; try again when it is back") from error


def is_ours(thing: Object) -> bool:
    """Say whether Colchis made the object."""
    labels = thing["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in MANAGED.items())


def plain(thing: Any) -> Object:
    """Turn the client's object into plain dictionaries."""
    found: Object = thing.to_dict()
    return found


def reason(error: Any) -> str:
    """Give the API server's own sentence, clipped."""
    import json

    try:
        return str(json.loads(error.body)["message"])[:256]
    except (KeyError, TypeError, ValueError):
        return str(error.reason)[:256]


def wait_until(seconds: float, found: Callable[[], str], what: str, interval: float = 0.5) -> None:
    """Poll until ``found`` gives an empty string; it says else what is still missing.

    Raises:
        TransientError: the deadline is over; the sentence says what was missing last.
    """
    deadline = time.monotonic() + seconds
    while missing := found():
        if time.monotonic() > deadline:
            raise TransientError(f"{what} after {seconds:.0f} s: {missing}")
        time.sleep(interval)
