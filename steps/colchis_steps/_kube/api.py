"""The Kubernetes API as ``doctor`` asks it: an answer of any status is a fact, only silence is an error."""

import json
from typing import Any, NamedTuple

from colchis_steps._kube.connection import TIMEOUT, connect, unreachable
from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import TransientError

NAMES_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # so that no value of a Secret is sent


class Answer(NamedTuple):
    """What the API server answers; the body of a refusal is empty, and ``message`` is its sentence."""

    status: int
    body: Object
    message: str = ""

    @property
    def found(self) -> bool:
        """Whether the request was answered with what it asked for."""
        return self.status < 300


class Api:
    """One cluster and a namespace of it.

    Raises, from each method: TransientError where the API server is away or busy.
    """

    def __init__(self, namespace: str = "") -> None:
        """Read the configuration; nothing is sent yet. Raises InputError where there is none."""
        self._client, self.server, self.namespace = connect(namespace)

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """Read what is at the path."""
        return self._ask("GET", path, None, accept)

    def post(self, path: str, body: Object) -> Answer:
        """Send an object: a review, or a dry run."""
        return self._ask("POST", path, body, "application/json")

    def _ask(self, method: str, path: str, body: Object | None, accept: str) -> Answer:
        from kubernetes.dynamic.exceptions import DynamicApiError
        from urllib3.exceptions import HTTPError

        try:
            reply = self._client.request(
                method,
                path,
                body=body,
                header_params={"Accept": accept},
                serialize=False,
                _request_timeout=TIMEOUT,
            )
        except DynamicApiError as error:
            status = int(error.status)
            if status >= 500 or status == 429:
                raise TransientError(f"{self.server} answers {status} to {method} {path}; try again") from error
            return Answer(status, {}, str(_json(error.body).get("message")))
        except (HTTPError, OSError) as error:
            raise unreachable(self.server, error) from error
        return Answer(reply.status, _json(reply.data))


def _json(content: Any) -> Object:
    try:
        found: Any = json.loads(content)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
