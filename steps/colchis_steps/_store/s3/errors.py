"""What the SDK's errors mean to a person: one table from S3 codes and botocore's classes to our sentences."""

import contextlib
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore import exceptions as sdk

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.text import clip
from colchis_steps._store.api import Conflict, NotFound

CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role that stands for them"
WRONG_CREDENTIALS = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
DENIED = {"401", "403", "AccessDenied", "AllAccessDisabled", "Forbidden", "Unauthorized"}
FULL = {"507", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"}
NO_SPACE = "no space left on device"  # MinIO says so in an InternalError where the disk fills while it writes
AWAY = {
    "BandwidthLimitExceeded",
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
BAD_CHECKSUM = {"BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch"}
GONE = {"InvalidPart", "InvalidPartOrder", "NoSuchUpload"}
ENCRYPTION = " (a policy that demands encryption wants COLCHIS_S3_ENCRYPTION)"
RIGHTS = {  # what a bucket's policy calls an operation: "Actions, resources, and condition keys for Amazon S3"
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": f"s3:GetObject and s3:PutObject{ENCRYPTION}",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": f"s3:PutObject{ENCRYPTION}",
    "DeleteObject": "s3:DeleteObject",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetObject": "s3:GetObject, and s3:ListBucket for keys that are not there",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject, and s3:ListBucket for keys that are not there",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutObject": f"s3:PutObject{ENCRYPTION}",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:GetObject and s3:PutObject",
}
SKEW = 15 * 60  # seconds that a server lets a clock differ


class Taken(Conflict):
    """The condition of a write does not hold (412)."""


class Busy(Conflict):
    """Another conditional write of the same key runs just now (409): ask again."""


class Denied(InputError):  # noqa: N818 - reads as what it says
    """The credentials are good, and a right is missing."""


class UploadGone(Exception):  # noqa: N818 - reads as what it says
    """A multipart upload was completed or aborted by somebody else, or its parts are other ones."""


class Place(NamedTuple):
    """What a sentence names: the store, its bucket and the server."""

    url: str
    bucket: str
    endpoint: str


def code_of(error: sdk.ClientError) -> str:
    """Return the S3 code; answers without a body (HEAD) have the HTTP status in its place."""
    return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))


def status_of(error: sdk.ClientError) -> int:
    """Return the HTTP status, or 0."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextlib.contextmanager
def explained(place: Place, key: str) -> Iterator[None]:
    """Raise the SDK's errors as ours."""
    try:
        yield
    except sdk.ClientError as error:
        raise _of_answer(error, place, key) from error
    except (sdk.BotoCoreError, ValueError) as error:  # ValueError: a proxy or an address that cannot be read
        raise _of_way(error, place, key) from error


def _of_way(error: Exception, place: Place, key: str) -> Exception:
    """Return the error for a request that got no answer, or no whole one."""
    text, sentence = clip(error), None
    match error:
        case sdk.NoCredentialsError() | sdk.PartialCredentialsError():
            sentence = f"no credentials for {place.url} at {place.endpoint}; {CREDENTIALS}"
        case sdk.ProxyConnectionError():
            way = f"the proxy does not lead to {place.endpoint} ({text})"
            return TransientError(f"{way}; correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY")
        case sdk.SSLError() if "EOF" in text or "timed out" in text or "reset" in text:  # cut off, not untrusted
            return TransientError(f"{place.endpoint} broke the connection off; try again")
        case sdk.SSLError():
            fix = "name the authority's file in AWS_CA_BUNDLE"
            sentence = f"{place.endpoint} has no certificate that this machine trusts ({text}); {fix}"
        case sdk.FlexibleChecksumError() | sdk.IncompleteReadError() | sdk.ResponseStreamingError():
            return TransientError(f"{key} did not come whole from {place.url} at {place.endpoint}; try again")
        case sdk.ConnectionError() | sdk.HTTPClientError():  # among them: no name, refused, closed, time-out
            asked = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
            if asked.hostname and not asked.hostname.endswith(urlsplit(place.endpoint).hostname or ""):
                where = f"{asked.scheme}://{asked.netloc}, which gives the credentials for {place.url}"
                return TransientError(f"no answer from {where}; start it, or correct the AWS_ settings")
            fix = "start it, or correct AWS_ENDPOINT_URL"
            return TransientError(f"no answer from {place.endpoint}, the server of {place.url}; {fix}")
        case (
            sdk.ParamValidationError()
            | sdk.UnknownEndpointError()
            | sdk.EndpointProviderError()
            | sdk.InvalidProxiesConfigError()
            | ValueError()
        ):
            sentence = f"{place.url} is not a valid store address ({text}); correct it, or the AWS_ settings"
    return InputError(sentence or f"the credentials for {place.url} do not load ({text}); {CREDENTIALS}")


def _of_answer(error: sdk.ClientError, place: Place, key: str) -> Exception:  # noqa: PLR0911, PLR0912 - a table in code
    code, status = code_of(error), status_of(error)
    what = clip(error.response.get("Error", {}).get("Message", ""))
    if error.operation_name not in RIGHTS:  # a call for credentials: AssumeRole, GetRoleCredentials …
        return InputError(f"the credentials for {place.url} do not load ({clip(error)}); {CREDENTIALS}")
    if code == "NoSuchBucket":
        return InputError(
            f"bucket {place.bucket!r} is absent at {place.endpoint}; create it or correct the store's address"
        )
    if code in {"404", "NoSuchKey", "NotFound"}:
        return NotFound(f"the store {place.url} has no {key}; check the address, or make it first")
    if code in GONE:
        return UploadGone(key)
    if code == "ConditionalRequestConflict":
        return Busy(key)
    if status == 412:
        return Taken(key)
    if region := _elsewhere(error):
        return InputError(f"bucket {place.bucket!r} is in region {region}; set AWS_REGION={region}")
    if code == "RequestTimeTooSkewed" or (code in DENIED and _skewed(error)):
        return InputError(f"this machine's clock differs from that of {place.endpoint}; set it right")
    if code in WRONG_CREDENTIALS:
        return InputError(f"{place.endpoint} does not accept the credentials for {place.url} ({code}); {CREDENTIALS}")
    if code in DENIED:
        right, did = RIGHTS[error.operation_name], f"{error.operation_name} of {key or 'all keys'}"
        return Denied(f"{place.endpoint} denies {did} in {place.url}; grant {right}, or {CREDENTIALS}")
    if code in FULL or status == 507 or NO_SPACE in what:
        return InputError(f"the store {place.url} at {place.endpoint} is full; free space there, or give another store")
    if code in BAD_CHECKSUM:
        return TransientError(f"{key} did not reach {place.url} at {place.endpoint} whole ({code}); try again")
    if code in AWAY or status == 429 or (status >= 500 and status != 501):
        return TransientError(f"{place.endpoint} cannot serve {place.url} just now ({code}); try again")
    did = f"{error.operation_name} of {key} in {place.url}"
    return InputError(f"{place.endpoint} refuses {did} ({code}: {what}); change what it names")


def _headers(error: sdk.ClientError) -> dict[str, str]:
    return dict(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _elsewhere(error: sdk.ClientError) -> str:
    """Return the region of a bucket to which the SDK's own redirection did not lead, or an empty text."""
    region = _headers(error).get("x-amz-bucket-region", "") or error.response.get("Error", {}).get("Region", "")
    away = 300 <= status_of(error) < 400 or code_of(error) == "AuthorizationHeaderMalformed"
    return str(region) if away else ""


def _skewed(error: sdk.ClientError) -> bool:
    """Return whether the answer's date is too far from ours: a refusal of HEAD has no body that says so."""
    try:
        there = parsedate_to_datetime(_headers(error).get("date", "")).timestamp()
    except ValueError:
        return False
    return abs(there - time.time()) > SKEW
