"""A bucket as the store's modules use it: the SDK's calls, with the checksums and conditions that its server knows.

Bodies are bytes with a CRC64NVME that the caller has, in a header. The server holds them against it, so neither the SDK
nor a signature hashes them once more.
"""

import hashlib
import logging
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from awscrt.checksums import crc64nvme
from botocore import exceptions as sdk

from colchis_steps._formats.keys import names_version
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import NotFound, check_key
from colchis_steps._store.s3.connection import ATTEMPTS, Connection, encryption, retention
from colchis_steps._store.s3.errors import BAD_CHECKSUM, Busy, Place, Taken, code_of, explained
from colchis_steps._store.sums import encoded

# What servers answer that do not know CRC64NVME.
CHECKSUM_REFUSALS = {
    "400",
    "InvalidArgument",
    "InvalidRequest",
    "MissingContentMD5",
    "NotImplemented",
    "SignatureDoesNotMatch",
    "XAmzContentSHA256Mismatch",
}
NOT_IMPLEMENTED = {"501", "NotImplemented"}
log = logging.getLogger("colchis")


class Bucket:
    """A prefix of a bucket, and what its server can do; threads may share it.

    ``checksums`` goes off where the server does not know them, ``conditions`` where it ignores or refuses
    If-None-Match (None: not known yet); either is said once. ``proven`` is whether an object that was written has been
    read back. ``encryption`` goes with each call that makes an object.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        if prefix:
            check_key(prefix)
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.encryption = encryption()
        self.connection = Connection(self.url)
        self.client = self.connection.client(checksums=True)
        self.checksums = True
        self.conditions: bool | None = None
        self.place = Place(self.url, bucket, self.client.meta.endpoint_url)
        self.proven = False
        self._lock = threading.Lock()

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """Make one of the SDK's calls on a key; its errors are raised as ours."""
        check_key(key)
        with explained(self.place, key):
            return getattr(self.client, operation)(Bucket=self.place.bucket, Key=self.prefix + key, **arguments)

    def begin(self, key: str) -> str:
        """Begin an upload in parts, whose checksum is of the whole object; return its id."""
        kind = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"} if self.checksums else {}
        try:
            answer = self.call("create_multipart_upload", key, **kind, **self.encryption)
        except InputError as error:
            why = code_of_answer(error)
            if not kind or why not in CHECKSUM_REFUSALS:
                raise
            answer = self.call("create_multipart_upload", key, **self.encryption)
            self._go_without(why)
        return str(answer["UploadId"])

    def head(self, key: str) -> dict[str, Any]:
        """Return what the server reports of an object, its checksum too. Raises NotFound."""
        if self.checksums:
            try:
                return dict(self.call("head_object", key, ChecksumMode="ENABLED"))
            except InputError as error:
                if code_of_answer(error) != "400":  # a refusal without a reason: an answer to HEAD has no body
                    raise
        return dict(self.call("head_object", key))

    def is_there(self, key: str) -> bool:
        """Return whether the key is taken."""
        try:
            self.head(key)
        except NotFound:
            return False
        return True

    def put_part(self, key: str, body: bytes, crc: int, upload: str, number: int) -> str:
        """Send a part; return its tag, which is empty where the server reports none."""
        answer = self._send("upload_part", key, body, crc, UploadId=upload, PartNumber=number)
        return str(answer.get("ETag", ""))

    def put(
        self,
        key: str,
        body: bytes,
        crc: int | None = None,
        *,
        if_none_match: str | None = None,
        if_match: str | None = None,
    ) -> None:
        """Write an object in one request, under a condition where one is given: "*", or a tag.

        Where the server knows no conditions, the key is looked at before. The first object is read back.

        Raises:
            Taken: the condition does not hold.
        """
        wanted = {"IfNoneMatch": if_none_match, "IfMatch": if_match}
        condition = {name: value for name, value in wanted.items() if value is not None}
        more = self.encryption | (retention(datetime.now(UTC)) if names_version(key) else {})
        for attempt in range(ATTEMPTS):
            given = condition
            if condition and self.conditions is False:
                self._look(key, condition)
                given = {}
            try:
                answer = self._send("put_object", key, body, crc, **given, **more)
            except Busy:
                time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads writers, keeps no secret
            except InputError as error:
                if not given or code_of_answer(error) not in NOT_IMPLEMENTED:
                    raise
                self.go_unconditional("does not implement conditional writes")
            else:
                if not self.proven:
                    self._prove(key, body, answer.get("ETag"))
                return
        raise TransientError(f"others keep writing {key} in {self.url}; try again")

    def _send(self, operation: str, key: str, body: bytes, crc: int | None, **arguments: Any) -> Any:
        """Send bytes in a way that lets the server find out whether they arrive as they are."""
        if not self.checksums:
            return self._sent(operation, key, Body=body, **arguments)
        checksum = encoded(crc64nvme(body) if crc is None else crc)
        try:
            answer = self._sent(operation, key, Body=body, ChecksumCRC64NVME=checksum, **arguments)
        except InputError as error:
            why = code_of_answer(error)
            if why not in CHECKSUM_REFUSALS:
                raise
            plain = self.connection.client(checksums=False)
            with explained(self.place, key):  # where this fails too, it was not the checksum
                named = {"Bucket": self.place.bucket, "Key": self.prefix + key}
                answer = getattr(plain, operation)(Body=body, **named, **arguments)
            self._go_without(why)
            self._hold(key, body, checksum)
            return answer
        if answer.get("ChecksumCRC64NVME") != checksum:
            self._go_without("it does not report what it got")
            self._hold(key, body, checksum)
            self.proven = False
            if operation == "upload_part" and _md5(body) != answer.get("ETag", "").strip('"'):
                return self._sent(operation, key, Body=body, **arguments)
        return answer

    def _sent(self, operation: str, key: str, **arguments: Any) -> Any:
        """Make a call again where bytes did not arrive as they left; the SDK takes that for an error of ours."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self.call(operation, key, **arguments)
            except TransientError as error:
                if code_of_answer(error) not in BAD_CHECKSUM:
                    raise
        return self.call(operation, key, **arguments)

    def _hold(self, key: str, body: bytes, checksum: str) -> None:
        """Hold bytes against their checksum in the place of a server that does not."""
        if encoded(crc64nvme(body)) != checksum:
            raise TransientError(f"{key} changed while it was sent to {self.url}; try again")

    def _prove(self, key: str, body: bytes, tag: str | None) -> None:
        """Read an object back that was just written: some servers store the framing of a body, or spoil it.

        Raises:
            InputError: it has other bytes.
        """
        try:
            answer = self.call("get_object", key)
            with explained(self.place, key):
                stored = answer["Body"].read()
        except StepError:  # this account may write and not read, or somebody has removed it
            return
        if answer.get("ETag") != tag:  # somebody has written there since
            return
        if stored != body:
            raise InputError(
                f"{self.place.endpoint} stored {len(stored)} other bytes at {key} in {self.url} than the {len(body)} "
                "that it was sent; repair the server or what is between, or give another store"
            )
        self.proven = True

    def _look(self, key: str, condition: Mapping[str, str]) -> None:
        try:
            tag = self.head(key).get("ETag")
        except NotFound:
            tag = None
        if tag != condition.get("IfMatch"):
            raise Taken(key)

    def go_unconditional(self, why: str) -> None:
        """From now on look at a key before it is written, instead of a condition; say so once."""
        with self._lock:
            if self.conditions is not False:
                self.conditions = False
                text = "%s %s: keys are looked at before they are written, so let no two runs write to %s at once"
                log.warning(text, self.place.endpoint, why, self.url)

    def _go_without(self, why: str) -> None:
        """From now on send no checksums but a signature of the bytes; say so once."""
        with self._lock:
            if self.checksums:
                self.client, self.checksums = self.connection.client(checksums=False), False
                text = "%s refuses the SDK's checksums (%s): going on without; digests are still verified"
                log.warning(text, self.place.endpoint, why)


def code_of_answer(error: StepError) -> str:
    """Return the S3 code of the answer that an error of ours stands for, or an empty text."""
    return code_of(error.__cause__) if isinstance(error.__cause__, sdk.ClientError) else ""


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
