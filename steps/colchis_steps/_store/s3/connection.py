"""The SDK's client for a store, from the settings that its users know; ours only fill what they leave open.

Endpoint, region, addressing, proxies, authorities, retries and credentials are those of the environment and of the
profile, as boto3 reads them. Beside these:

AWS_SHARED_CREDENTIALS_FILE  in pods the mounted file with the keys; where it is not there, files beside it that are
                       named as variables (AWS_ACCESS_KEY_ID …), as the Secret of earlier releases has them
AWS_REGION             the region, as other SDKs read it, where AWS_DEFAULT_REGION is not set
COLCHIS_S3_ENCRYPTION  what is asked of the server for each object: AES256, aws:kms or aws:kms:dsse
COLCHIS_S3_KMS_KEY     the key of aws:kms; without one the bucket's or the account's own
COLCHIS_S3_LOCK_DAYS   for how long a version's manifest, record and statement are locked, in a bucket that can
"""

import functools
import logging
import os
import re
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as sdk
from botocore.config import Config

from colchis_steps._step.errors import InputError

FIRST = "AWS_ACCESS_KEY_ID"
KEYS = {  # of a session, by the variable's name
    FIRST: "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}
log = logging.getLogger("colchis")
ATTEMPTS = 4  # how often a request is sent at most, where neither environment nor profile says so
CONNECTIONS = 32


@functools.cache
def earlier_keys() -> dict[str, str]:
    """Return the Secret ``colchis-s3`` of earlier releases where it is mounted and no other key is there; warn once.

    Its keys were the names of variables; those that are no secrets are set as such, unless they are.

    Raises:
        InputError: a file of it cannot be read.
    """
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    place = Path(named).parent
    if not named or Path(named).exists() or "AWS_ACCESS_KEY_ID" in os.environ or not (place / FIRST).exists():
        return {}
    try:
        found = {path.name: path.read_text().strip() for path in place.glob("AWS_*")}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the keys in {place} cannot be read ({error}); give the pod's user the right") from error
    for name in found.keys() - KEYS:
        os.environ.setdefault(name, found[name])
    log.warning(
        "the Secret colchis-s3 gives each step every right; docs/upgrade.md, 'From one Secret to separate ones'"
    )
    return found


class Connection:
    """A session of the SDK for one store.

    Raises:
        InputError: profile, endpoint or authorities do not load.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        keys = {KEYS[name]: value for name, value in earlier_keys().items() if name in KEYS}
        region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        try:
            self.session = boto3.session.Session(region_name=region, **keys)
        except (sdk.BotoCoreError, ValueError) as error:
            raise self._wrong(error) from error

    def client(self, *, checksums: bool) -> Any:
        """Return a client whose bodies the server holds against a checksum of ours, or against their signed sha256."""
        retries = {} if self._set("max_attempts") else {"total_max_attempts": ATTEMPTS}
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries=retries,
            max_pool_connections=CONNECTIONS,
            request_checksum_calculation="when_required",  # nothing but ours, in a header: no trailers
            response_checksum_validation="when_required",  # blobs are held against their sha256
            s3={"payload_signing_enabled": not checksums},
        )
        try:
            client = self.session.client("s3", config=config)
        except (sdk.BotoCoreError, ValueError) as error:
            raise self._wrong(error) from error
        client.meta.events.register("before-call.s3.HeadBucket", _stay)
        if client.meta.endpoint_url.startswith("https:"):
            self._check_authorities()
        return client

    @property
    def authorities(self) -> str | None:
        """The file of authorities that the environment or the profile names."""
        path: str | None = self.session._session.get_config_variable("ca_bundle")
        return path

    def _set(self, name: str) -> bool:
        try:
            return self.session._session.get_config_variable(name) is not None
        except (sdk.BotoCoreError, ValueError) as error:
            raise self._wrong(error) from error

    def _check_authorities(self) -> None:
        """Load the file of authorities as the SDK will, which reports a bad one as a server that is away."""
        path = self.authorities
        if not path:
            return
        named = f"AWS_CA_BUNDLE (or the profile's ca_bundle, or REQUESTS_CA_BUNDLE) names {path}"
        if Path(path).is_dir():
            raise InputError(f"{named}, a directory; name a file of certificates in PEM form")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except ssl.SSLError as error:
            raise InputError(f"{named}, which holds no certificate; name a file of certificates in PEM form") from error
        except OSError as error:
            raise InputError(f"{named}, which cannot be read ({error.strerror}); correct it or unset it") from error

    def _wrong(self, error: Exception) -> InputError:
        return InputError(f"no client for {self._url} ({error}); correct the AWS_ settings or ~/.aws/config")


def retention(now: datetime) -> dict[str, Any]:
    """Return the arguments of a call that makes an object which is to stay: nobody removes that version before.

    Raises:
        InputError: the environment names no number of days.
    """
    days = os.environ.get("COLCHIS_S3_LOCK_DAYS", "")
    if not days:
        return {}
    if not re.fullmatch(r"[1-9][0-9]{0,4}", days):
        raise InputError(f"COLCHIS_S3_LOCK_DAYS={days[:32]!r} is no number of days; give 1 to 99999, or unset it")
    return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": now + timedelta(days=int(days))}


def _stay(params: dict[str, Any], **_: Any) -> None:
    """Follow no redirection of the call by which the SDK asks where a bucket is: answered by one, it asks for ever."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def encryption() -> dict[str, str]:
    """Return the arguments of a call that makes an object: how the server is to encrypt it.

    Raises:
        InputError: the environment asks for something that S3 does not know.
    """
    key = os.environ.get("COLCHIS_S3_KMS_KEY", "")
    kind = os.environ.get("COLCHIS_S3_ENCRYPTION", "") or ("aws:kms" if key else "")
    if kind not in {"", "AES256", "aws:kms", "aws:kms:dsse"} or (key and kind == "AES256"):
        raise InputError(
            f"COLCHIS_S3_ENCRYPTION={kind!r} does not go with COLCHIS_S3_KMS_KEY={key!r}; "
            "give AES256 without a key, or aws:kms or aws:kms:dsse with or without one"
        )
    given = {"ServerSideEncryption": kind} if kind else {}
    return given | ({"SSEKMSKeyId": key} if key else {})
