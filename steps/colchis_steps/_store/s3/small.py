"""Small objects by obstore, in a tenth of the SDK's time for each; the SDK does whatever this does not.

It goes by what the SDK has resolved, tries nothing again and explains nothing: None is what did not work at once, and
after GIVE_UP of these everything is the SDK's. A write whose answer was lost may be done: the SDK finds the key taken.
"""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import obstore
from awscrt.checksums import crc64nvme
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from colchis_steps._store.api import Entry, check_key
from colchis_steps._store.s3.bucket import Bucket
from colchis_steps._store.sums import SMALL, encoded

PLAIN = re.compile(r"[A-Za-z0-9._/-]+")  # keys that every client writes alike
GIVE_UP = 8
T = TypeVar("T")


class Found(NamedTuple):
    """An object, or that there is none: then both are None."""

    entry: Entry | None
    content: bytes | None


class Small:
    """Whole objects of at most SMALL bytes; threads may share it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket, self._failed, self._lock = bucket, 0, threading.Lock()
        self._opened: Any = None

    def put(self, key: str, content: bytes) -> bool | None:
        """Write an object unless the key is taken; return whether it was written. The server checks its sha256."""
        if self._bucket.conditions is False or self._bucket.encryption or not self._bucket.proven:
            return None
        try:
            return self._tried(key, lambda store: bool(obstore.put(store, self._path(key), content, mode="create")))
        except AlreadyExistsError:
            return False

    def get(self, key: str) -> Found | None:
        """Read an object; one that is longer is for the SDK."""

        def read(store: Any) -> Found | None:
            answer = obstore.get(store, self._path(key))
            if answer.meta["size"] > SMALL:
                return None
            content = bytes(answer.bytes())
            time, crc = answer.meta["last_modified"].timestamp(), encoded(crc64nvme(content))
            return Found(Entry(key, len(content), time, crc), content)

        try:
            return self._tried(key, read)
        except FileNotFoundError:
            return Found(None, None)

    def copy(self, source: str, target: str) -> bool | None:
        """Copy an object to another key, over what is there; return whether there is one to copy."""
        if self._bucket.encryption or source == target or not PLAIN.fullmatch(source):
            return None
        check_key(source)

        def copied(store: Any) -> bool:
            obstore.copy(store, self._path(source), self._path(target))
            return True

        try:
            return self._tried(target, copied)
        except FileNotFoundError:
            return False

    def _path(self, key: str) -> str:
        return self._bucket.prefix + key

    def _tried(self, key: str, work: Callable[[Any], T]) -> T | None:
        check_key(key)
        if self._failed >= GIVE_UP or not PLAIN.fullmatch(self._path(key)):
            return None
        try:
            with self._lock:
                self._opened = self._opened or _opened(self._bucket)
            return work(self._opened)
        except Exception as error:  # obstore's own, and those of its settings: the SDK says what is wrong
            absent = isinstance(error, FileNotFoundError) and "NoSuchKey" in str(error)
            if absent or isinstance(error, AlreadyExistsError):
                raise
            self._failed += 1
            return None


def _opened(bucket: Bucket) -> Any:
    authorities, name = bucket.connection.authorities, bucket.place.bucket
    address = f"{bucket.place.endpoint.rstrip('/')}/{name}"
    if (bucket.client.meta.config.s3 or {}).get("addressing_style") == "virtual":
        address = bucket.place.endpoint.replace("://", f"://{name}.", 1)
    trusted: Any = {"root_certificate": Path(authorities).read_bytes()} if authorities else {}
    return S3Store(  # what the environment could change is said here
        name,
        aws_endpoint_url_s3=address,
        virtual_hosted_style_request=True,  # whichever style it is: the bucket is in the address
        conditional_put="etag",
        s3_express=False,
        skip_signature=False,
        unsigned_payload=False,
        region=bucket.client.meta.region_name or "us-east-1",
        credential_provider=Boto3CredentialProvider(bucket.connection.session, ttl=timedelta(minutes=1)),
        client_options={"allow_http": True, "connect_timeout": "2s", "timeout": "20s"} | trusted,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=20)},
    )
