"""The cluster as the steps use it: server-side apply with one field manager, reads, patches, deletes and waits.

Credentials come from the pod's service account or from ``$KUBECONFIG``, as for kubectl. The kinds and their paths are a
table, not discovered: that saves a score of requests, and no other group's ``Service`` can be taken for the core one.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from colchis_steps._kube.connection import TIMEOUT, connect, unreachable
from colchis_steps._manifests.objects import KINDS, MANAGED, Object
from colchis_steps._manifests.questions import own_rights
from colchis_steps._step.errors import InputError, TransientError

FIELD_MANAGER = "colchis"
OR_INDEXED = "or choose --backend=indexed-job"
INSTALL = {  # how a kind comes to a cluster
    "HTTPRoute": "install a Gateway API implementation: https://gateway-api.sigs.k8s.io/implementations/",
    "InferenceService": "install KServe (https://kserve.github.io/website), or choose --target=deployment",
    **dict.fromkeys(("TrainJob", "TrainingRuntime"), f"install Kubeflow Trainer 2.3, {OR_INDEXED}"),
    **dict.fromkeys(("PyTorchJob", "TFJob"), f"install the Kubeflow training operator, {OR_INDEXED}"),
    "JobSet": f"install JobSet (https://jobset.sigs.k8s.io), {OR_INDEXED}",
}
log = logging.getLogger("colchis")


class UnknownKind(InputError):  # noqa: N818 - it names what is wrong
    """The cluster has no such kind: its CRD is not installed."""


class Cluster:
    """One namespace of one cluster; ``role`` is the Role that gives the rights that are used.

    Raises, from each method: InputError where a right, a resource kind or a field is wrong; TransientError where the
    API server is away or busy.
    """

    def __init__(self, namespace: str = "", role: str = "colchis-rollout") -> None:
        self._client, self._server, self.namespace = connect(namespace)
        self.role = role

    def apply(self, manifest: Object) -> Object:
        """Make the object so, by server-side apply.

        Raises:
            InputError: an object of this name is there and is not ours, or is another model's.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self.own(kind, name, manifest["metadata"]["labels"])
        with self._explained("apply", kind, name):
            done = self._resource(kind).server_side_apply(
                body=manifest,
                namespace=self.namespace,
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
                _request_timeout=TIMEOUT,
            )
            return plain(done)

    def own(self, kind: str, name: str, labels: Mapping[str, str]) -> Object | None:
        """Read an object that must be ours, and of the same model as ``labels`` say; None where there is none.

        Raises:
            InputError: somebody else made it.
        """
        there = self.get(kind, name)
        if there and not is_ours(there, labels):
            where = f"{kind} {name} in namespace {self.namespace}"
            raise InputError(f"{where} was not made by colchis; rename it, or choose another name for the model")
        return there

    def get(self, kind: str, name: str) -> Object | None:
        """Read an object, or None where there is none."""
        from kubernetes.dynamic.exceptions import NotFoundError

        try:
            with self._explained("get", kind, name):
                found = self._resource(kind).get(name=name, namespace=self.namespace, _request_timeout=TIMEOUT)
                return plain(found)
        except NotFoundError:
            return None

    def list(self, kind: str, labels: Mapping[str, str]) -> "list[Object]":
        """List the objects that have the labels, by name."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        with self._explained("list", kind, ""):
            found = self._resource(kind).get(
                namespace=self.namespace, label_selector=selector, _request_timeout=TIMEOUT
            )
            return sorted(plain(found).get("items") or [], key=lambda item: str(item["metadata"]["name"]))

    def knows(self, kind: str) -> bool:
        """Return whether the cluster has such a kind at all."""
        try:
            self.get(kind, "colchis")
        except UnknownKind:
            return False
        return True

    def patch(self, kind: str, name: str, change: Object) -> None:
        """Change some fields of an object; None removes one (a JSON merge patch)."""
        with self._explained("patch", kind, name):
            self._resource(kind).patch(
                name=name,
                namespace=self.namespace,
                body=change,
                content_type="application/merge-patch+json",
                field_manager=FIELD_MANAGER,
                _request_timeout=TIMEOUT,
            )

    def annotate(self, kind: str, name: str, uid: str, annotations: Mapping[str, str]) -> bool:
        """Add annotations to the object of this uid; return False where there is none of the name.

        Raises:
            InputError: the object of the name is another one.
        """
        from kubernetes.dynamic.exceptions import NotFoundError

        try:
            self.patch(kind, name, {"metadata": {"uid": uid, "annotations": dict(annotations)}})
        except NotFoundError:
            return False
        return True

    def delete(self, kind: str, name: str) -> None:
        """Remove an object and what belongs to it; one that is not there is no error."""
        from kubernetes.dynamic.exceptions import NotFoundError

        with contextlib.suppress(NotFoundError), self._explained("delete", kind, name):
            policy = {"propagationPolicy": "Background"}
            self._resource(kind).delete(name=name, namespace=self.namespace, body=policy, _request_timeout=TIMEOUT)

    def discard(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        """Remove an object if it is ours, and of the model that ``labels`` name; another's stays."""
        found = self.get(kind, name)
        if found and is_ours(found, labels):
            self.delete(kind, name)

    def log(self, pod: str, container: str, *, seconds: int | None = None, lines: int | None = None) -> str:
        """Return a container's log, each line after its time: of the last seconds or lines; "" without one."""
        from kubernetes.client import CoreV1Api
        from kubernetes.client.exceptions import ApiException

        options = {"since_seconds": seconds, "tail_lines": lines}
        with self._explained("get the log of", "Pod", pod):
            try:
                answer = CoreV1Api(self._client.client).read_namespaced_pod_log(
                    pod,
                    self.namespace,
                    container=container,
                    timestamps=True,
                    _request_timeout=TIMEOUT,
                    _preload_content=False,
                    **{name: value for name, value in options.items() if value is not None},
                )
            except ApiException as error:
                if error.status in {400, 404}:  # it has not started, or is gone
                    return ""
                raise
            return str(answer.data.decode(errors="replace"))

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Ask the cluster whether this account may do that here."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        review = own_rights(attributes)
        with self._explained("create", review["kind"], ""):
            made = plain(self._resource(review["kind"]).create(body=review, _request_timeout=TIMEOUT))
            return bool(made["status"]["allowed"])

    def _resource(self, kind: str) -> Any:
        from kubernetes.dynamic.resource import Resource

        version, plural = KINDS[kind]
        group, _, number = version.rpartition("/")
        return Resource(
            prefix="apis" if group else "api",
            group=group,
            api_version=number,
            kind=kind,
            name=plural,
            namespaced=kind != "SelfSubjectAccessReview",
            verbs=["create", "delete", "get", "list", "patch"],
            client=self._client,
        )

    @contextlib.contextmanager
    def _explained(self, verb: str, kind: str, name: str) -> Iterator[None]:
        """Turn the client's errors into sentences, but for NotFoundError where it is the object that is not there."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError
        from urllib3.exceptions import HTTPError

        what = f"{kind} {name}".strip()
        try:
            yield
        except NotFoundError as error:
            missing = details(error).get("kind")
            if missing == "namespaces":
                raise InputError(
                    f"the cluster has no namespace {self.namespace}; create it, or name another"
                ) from error
            if missing is None:
                group = KINDS[kind][0]
                fix = INSTALL.get(kind, "install its CRDs, then run this again")
                sentence = f"the cluster has no {kind} of {group}; {fix}"
                raise UnknownKind(sentence) from error
            raise
        except (DynamicApiError, ApiException) as error:
            why = reason(error)
            if error.status == 401:
                raise InputError(f"the cluster does not know this account ({why}); log in again") from error
            if error.status == 403 and "cannot" in why:
                raise InputError(
                    f"this account may not {verb} {what} in namespace {self.namespace}; bind it to the Role "
                    f"{self.role} of workflows/manifests/base/accounts.yaml ({why})"
                ) from error
            if error.status in {400, 403, 409, 413, 422}:
                raise InputError(f"the cluster refuses {what}: {why}; change that and run this again") from error
            raise TransientError(f"the cluster answers {error.status} to {verb} {what}: {why}; try again") from error
        except HTTPError as error:
            raise unreachable(self._server, error) from error


def is_ours(thing: Object, labels: Mapping[str, str]) -> bool:
    """Return whether Colchis made the object, and for the model that ``labels`` name."""
    there, wanted = thing["metadata"].get("labels") or {}, {**MANAGED, **labels}
    return all(there.get(key) == wanted[key] for key in wanted if key in {*MANAGED, "colchis.dev/model"})


def plain(thing: Any) -> Object:
    """Turn the client's object into plain dictionaries."""
    found: Object = thing.to_dict()
    return found


def details(error: Any) -> Object:
    """Return what the API server says the error is about; nothing where it knows no such path."""
    try:
        return dict(json.loads(error.body).get("details") or {})
    except (AttributeError, TypeError, ValueError):
        return {}


def reason(error: Any) -> str:
    """Return the API server's own sentence, clipped."""
    try:
        return str(json.loads(error.body)["message"])[:256].rstrip(".")
    except (KeyError, TypeError, ValueError):
        return str(error.reason)[:256]
