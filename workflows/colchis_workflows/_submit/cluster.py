"""The Kubernetes API as ``colchis submit`` uses it, through the official client: Argo's objects in one namespace.

Configuration, certificates, proxies, exec plugins and short-lived tokens are the client's business.

Reads   $KUBECONFIG or ~/.kube/config, as kubectl does; in a pod, its service account
"""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colchis_workflows._argo.errors import InputError, TransientError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT, READ = 5.0, 30.0  # seconds
ARGO = ("argoproj.io", "v1alpha1")
MERGE = "application/merge-patch+json"
Json = dict[str, Any]


class Refused(InputError):  # noqa: N818 - reads as what it says
    """The API server said no; ``status`` is HTTP's."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Cluster:
    """One namespace of one cluster; ``plural`` is a kind of Argo's as it stands in a path, such as ``workflows``.

    Raises, from each method: Refused where the API server says no, TransientError where it is away or busy.
    """

    def __init__(self, namespace: str = "") -> None:
        """Read the configuration; nothing is sent yet.

        Raises:
            InputError: there is none.
        """
        import urllib3
        from kubernetes import client, config, dynamic

        # whoever wrote insecure-skip-tls-verify into a kubeconfig said so by name
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        settings = client.Configuration()
        settings.retries = False  # whoever follows a run tries again by itself, and creates it once
        try:
            file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
            if "KUBECONFIG" in os.environ or Path(file).exists():
                config.load_kube_config(file, client_configuration=settings)
                found = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
            else:
                config.load_incluster_config(client_configuration=settings)
                found = (ACCOUNT / "namespace").read_text().strip()
        except (config.ConfigException, OSError) as error:
            why = " ".join(str(error).split())[:256]
            raise InputError(f"no cluster is configured ({why}); set KUBECONFIG, or run in a pod") from error
        self.namespace, self.server = namespace or found, str(settings.host)
        self._api = client.ApiClient(settings)
        self._client = dynamic.DynamicClient(self._api, discoverer=lambda *_: None)

    def get(self, plural: str, name: str) -> Json:
        """Return an object."""
        return self._answer("get", plural, name=name)

    def list(self, plural: str) -> list[Json]:
        """Return all objects of a kind."""
        return list(self._answer("get", plural).get("items") or [])

    def create(self, plural: str, body: Json) -> Json:
        """Make an object and return it as it stands in the cluster."""
        return self._answer("create", plural, body=body)

    def merge(self, plural: str, name: str, change: Json) -> None:
        """Change fields of an object."""
        self._answer("patch", plural, name=name, body=change, content_type=MERGE)

    def user(self) -> str:
        """Return who the cluster takes us for; "" where it is too old to say."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        resource = self._resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)
        try:
            with self._explained():
                found = resource.create(body=review, _request_timeout=(CONNECT, READ)).to_dict()
                return str(found["status"]["userInfo"]["username"])
        except (Refused, KeyError):
            return ""

    def watch(self, plural: str, name: str, version: str, seconds: float) -> Iterator[Json]:
        """Yield the object at each change after ``version``, {} when it is gone; ends after the seconds, or sooner.

        It ends sooner where the server ends it, breaks off in a line or no longer knows the version: read anew then.
        """
        from kubernetes import client, watch

        api = client.CustomObjectsApi(self._api)
        with self._explained(expires=True):
            events = watch.Watch().stream(
                api.list_namespaced_custom_object,
                *ARGO,
                self.namespace,
                plural,
                field_selector=f"metadata.name={name}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(CONNECT, seconds + CONNECT),
            )
            for event in events:
                if not event:  # broken off in a line
                    return
                yield event["object"] if event["type"] != "DELETED" else {}

    def _answer(self, verb: str, plural: str, **more: Any) -> Json:
        call = getattr(self._resource(*ARGO, plural), verb)
        with self._explained():
            found: Json = call(namespace=self.namespace, _request_timeout=(CONNECT, READ), **more).to_dict()
            return found

    def _resource(self, group: str, version: str, plural: str, *, namespaced: bool = True) -> Any:
        from kubernetes.dynamic.resource import Resource

        return Resource(
            prefix="apis",
            group=group,
            api_version=version,
            kind=plural,
            name=plural,
            namespaced=namespaced,
            verbs=["create", "get", "list", "patch"],
            client=self._client,
        )

    @contextlib.contextmanager
    def _explained(self, *, expires: bool = False) -> Iterator[None]:
        """Turn the client's errors into sentences; ``expires``: a version that is no longer known is not an error."""
        import urllib3
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import DynamicApiError

        try:
            yield
        except (ApiException, DynamicApiError) as error:
            if expires and error.status == 410:
                return
            raise self._refusal(int(error.status or 0), _message(error)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # a connection that breaks is an SSLError too
                raise InputError(
                    f"{self.server} has no certificate that KUBECONFIG trusts; correct certificate-authority there"
                ) from error
            raise TransientError(f"{self.server} does not answer ({type(error).__name__}); try again") from error

    def _refusal(self, status: int, message: str) -> Refused | TransientError:
        if status == 401:
            fix = "renew those in KUBECONFIG"
            return Refused(f"{self.server} does not know these credentials ({message}); {fix}", status)
        if status == 403:
            return Refused(
                f"{message}; ask for that right in namespace {self.namespace}, or choose --namespace", status
            )
        if status in {400, 404, 405, 409, 410, 422}:
            return Refused(f"the cluster refuses this: {message}; change what it names", status)
        return TransientError(f"{self.server} answers {status} ({message}); try again")


def _message(error: Any) -> str:
    """Return the API server's own sentence."""
    try:
        return str(json.loads(error.body)["message"])[:512]
    except (ValueError, KeyError, TypeError):
        return "without a reason"
