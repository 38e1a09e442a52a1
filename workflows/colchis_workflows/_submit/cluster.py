"""The Kubernetes API as ``colchis submit`` uses it: plain JSON over the official client's connection and credentials.

Reads   $KUBECONFIG or ~/.kube/config, as kubectl does; in a pod, its service account
"""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from colchis_workflows._argo.errors import InputError, TransientError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


CONNECT, READ = 5.0, 30.0  # seconds


Json = dict[str, Any]


class Refused(InputError):  # noqa: N818 - reads as what it says
    """The API server said no; ``status`` is HTTP's."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Cluster:
    """One namespace of one cluster.

    Raises, from each method: Refused where the API server says no, TransientError where it is away or busy.
    """

    def __init__(self, namespace: str = "") -> None:
        """Read the credentials; nothing is sent yet.

        Raises:
            InputError: there are none.
        """
        import urllib3
        from kubernetes import client, config

        # whoever wrote insecure-skip-tls-verify into a kubeconfig said so by name
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        self._settings = client.Configuration()
        try:
            file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
            if "KUBECONFIG" in os.environ or Path(file).exists():
                config.load_kube_config(file, client_configuration=self._settings)
                found = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
            else:
                config.load_incluster_config(client_configuration=self._settings)
                found = (ACCOUNT / "namespace").read_text().strip()
        except (config.ConfigException, OSError) as error:
            told = " ".join(str(error).split())[:256]
            raise InputError(f"no cluster is configured ({told}); set KUBECONFIG, or run in a pod") from error
        self.namespace = namespace or found
        self.server = str(self._settings.host)
        self._pool = client.ApiClient(self._settings).rest_client.pool_manager

    def path(self, plural: str, name: str = "") -> str:
        """Give where Argo's objects of a kind are, or one of them."""
        return f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def get(self, path: str, **query: str | int) -> Json:
        """Read an object or a list."""
        return self._json("GET", path, query=query)

    def create(self, path: str, body: Json) -> Json:
        """Make an object."""
        return self._json("POST", path, body)

    def merge(self, path: str, body: Json) -> Json:
        """Change fields of an object."""
        return self._json("PATCH", path, body, kind="application/merge-patch+json")

    def watch(self, plural: str, name: str, version: str, seconds: float) -> Iterator[Json]:
        """Give the object at each change after ``version``; ends after the seconds or when the server ends it."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": max(1, round(seconds)),
        }
        with self._reached():
            reply = self._reply("GET", self.path(plural), query=query, read=seconds + CONNECT)
            try:
                for line in reply:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # the version is too old: read anew
                        return
                    yield event["object"] if event["type"] != "DELETED" else {}
            except ValueError:  # broken off in a line: read anew
                return
            finally:
                reply.close()

    def _json(self, method: str, path: str, body: Json | None = None, **more: Any) -> Json:
        with self._reached():
            reply = self._reply(method, path, body, **more)
            found: Json = json.loads(reply.read())
            return found

    def _reply(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Any = None,
        kind: str = "application/json",
        read: float = READ,
    ) -> Any:
        import urllib3

        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if body is not None else {})
        for way in self._settings.auth_settings().values():  # asks for the token anew, so that a short-lived one lasts
            if way["value"] is not None and way["in"] == "header":
                headers[way["key"]] = way["value"]
        reply = self._pool.request(
            method,
            f"{self.server}{path}" + (f"?{urlencode(query)}" if query else ""),
            headers=headers,
            body=json.dumps(body) if body is not None else None,
            timeout=urllib3.Timeout(connect=CONNECT, read=read),
            retries=False,
            preload_content=False,
        )
        if reply.status < 300:
            return reply
        told = _told(reply.read(1 << 16))
        if reply.status == 401:
            raise Refused(f"{self.server} does not know these credentials ({told}); renew those in KUBECONFIG", 401)
        if reply.status == 403:
            raise Refused(f"{told}; ask for that right in namespace {self.namespace}, or choose --namespace", 403)
        if reply.status in {400, 404, 405, 409, 410, 422}:
            raise Refused(f"the cluster refuses this: {told}; change what it names", reply.status)
        raise TransientError(f"{self.server} answers {reply.status} ({told}); try again")

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        import urllib3

        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # a connection that breaks is an SSLError too
                raise InputError(
                    f"{self.server} has no certificate that KUBECONFIG trusts; correct certificate-authority there"
                ) from error
            raise TransientError(f"{self.server} does not answer ({type(error).__name__}); try again") from error


def _told(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:512]
    except (ValueError, KeyError, TypeError):
        return "without a reason"
