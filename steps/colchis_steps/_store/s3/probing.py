"""Ask a server what a key may do, by calls that find nothing and write nothing."""

import configparser
from typing import Any

import boto3
from botocore import exceptions as sdk
from botocore.config import Config

from colchis_steps._step.errors import InputError
from colchis_steps._store.s3.bucket import Bucket
from colchis_steps._store.s3.errors import DENIED, code_of, explained

ETAG = '"00000000000000000000000000000000"'  # that no object has


class Probe:
    """One key of a store.

    Raises:
        InputError: ``credentials`` is not a file in AWS's format; from ``may``, the server refuses the key.
        TransientError: from ``may``, the server is away.
    """

    def __init__(self, bucket: str, prefix: str, credentials: str) -> None:
        self._bucket = Bucket(bucket, prefix)
        parsed = configparser.RawConfigParser()
        try:
            parsed.read_string(credentials)
            keys = {name: parsed["default"][name] for name in ("aws_access_key_id", "aws_secret_access_key")}
            keys["aws_session_token"] = parsed["default"].get("aws_session_token", "")
        except (configparser.Error, KeyError) as error:
            raise InputError(
                "its entry 'credentials' is no file of AWS's format; make it by colchis bucket setup"
            ) from error
        known = self._bucket.client.meta
        self._client: Any = boto3.session.Session().client(
            "s3",
            region_name=known.region_name,
            endpoint_url=known.endpoint_url,
            verify=self._bucket.connection.authorities or True,
            config=Config(connect_timeout=5, read_timeout=20, s3={"addressing_style": _style(known.config)}),
            **{name: value for name, value in keys.items() if value},
        )

    def may(self, verb: str, key: str) -> bool:
        """Return whether the key may ``get``, ``put`` or ``delete`` an object that is not there, and must not be."""
        named = {"Bucket": self._bucket.place.bucket, "Key": self._bucket.prefix + key}
        with explained(self._bucket.place, key):
            try:
                if verb == "put":
                    self._client.put_object(Body=b"", IfMatch=ETAG, **named)
                else:
                    getattr(self._client, f"{verb}_object")(**named)
            except sdk.ClientError as error:
                if code_of(error) in DENIED:
                    return False
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") not in {404, 412}:
                    raise
        return True


def _style(config: Config) -> str:
    return str((config.s3 or {}).get("addressing_style") or "auto")
