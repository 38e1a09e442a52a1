"""Users of a MinIO, each with one policy of the same name, by its admin interface. The package is an extra."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.s3.making import Caller


class Users:
    """The users of the server at an endpoint, as the caller may see and make them.

    Raises:
        InputError: the package is not installed, or, from each method, the server refuses or is no MinIO.
        TransientError: from each method, it is away.
    """

    def __init__(self, caller: Caller) -> None:
        try:
            import urllib3
            from minio import MinioAdmin
            from minio.credentials.providers import StaticProvider
        except ImportError as error:
            raise InputError("MinIO's users are made by the package minio; pip install 'colchis[minio]'") from error
        self._endpoint = caller.endpoint
        place = urlsplit(caller.endpoint)
        self._admin = MinioAdmin(
            endpoint=place.netloc,
            secure=place.scheme == "https",
            region=caller.region,
            credentials=StaticProvider(caller.access_key, caller.secret_key, caller.token or None),
            http_client=urllib3.PoolManager(
                cert_reqs="CERT_REQUIRED",
                ca_certs=caller.authorities,
                timeout=30.0,
                retries=urllib3.Retry(2, backoff_factor=0.2),
            ),
        )

    def names(self) -> set[str]:
        """Return the users' names."""
        with self._explained("list users"):
            return set(json.loads(self._admin.user_list()))

    def let(self, name: str, policy: Mapping[str, Any]) -> None:
        """Make the policy of this name so."""
        with self._explained(f"make the policy {name}"):
            self._admin.policy_add(name, policy=dict(policy))

    def make(self, name: str, secret_key: str) -> tuple[str, str]:
        """Make the user, or give an old one this key; return its access key, which is the name, and the key."""
        with self._explained(f"make the user {name}"):
            self._admin.user_add(name, secret_key)
        return name, secret_key

    def bind(self, name: str) -> None:
        """Let the user do what the policy of its name says, and nothing else."""
        with self._explained(f"give the user {name} its policy"):
            self._admin.policy_set(name, user=name)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from minio.error import MinioAdminException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except MinioAdminException as error:
            raise self._refused(what, str(error._code), str(error._body)) from error
        except HTTPError as error:
            raise TransientError(f"no answer from {self._endpoint} to {what}; start it, or try again") from error
        except ValueError as error:  # an answer that is not encrypted as MinIO's are
            raise self._foreign(what) from error

    def _refused(self, what: str, status: str, body: str) -> InputError:
        try:
            told = json.loads(body)
            code, message = str(told["Code"]), str(told.get("Message", ""))[:200]
        except (ValueError, KeyError, TypeError):
            return self._foreign(what)
        fix = "give the keys of an administrator in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by AWS_PROFILE"
        return InputError(f"{self._endpoint} refuses to {what} ({status} {code}: {message}); {fix}")

    def _foreign(self, what: str) -> InputError:
        fix = "print the policies by --policies and make the users by its own means"
        return InputError(f"{self._endpoint} does not {what} as a MinIO does; {fix}")
