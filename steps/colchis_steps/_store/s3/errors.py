"""What the SDK's errors mean to a person: one table from S3 codes and botocore's classes to our sentences."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from botocore import exceptions as sdk

from colchis_steps._step.errors import InputError, TransientError
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


class Taken(Conflict):
    """The condition of a write does not hold (412)."""


class Busy(Conflict):
    """Another conditional write of the same key runs just now (409): ask again."""


class UploadGone(Exception):  # noqa: N818 - reads as what it says
    """A multipart upload was completed or aborted by somebody else, or its parts are other ones."""


class Place(NamedTuple):
    """What a sentence names: the store, its bucket and the server."""

    url: str
    bucket: str
    endpoint: str


def code_of(error: sdk.ClientError) -> str:
    """Give the S3 code; answers without a body (HEAD) have the HTTP status in its place."""
    return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))


def status_of(error: sdk.ClientError) -> int:
    """Give the HTTP status, or 0."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def passes(error: Exception) -> bool:
    """Tell whether sending the same once more may help."""
    if isinstance(error, sdk.ClientError):
        return isinstance(_of_answer(error, Place("", "", ""), ""), TransientError | Busy)
    return isinstance(error, sdk.ConnectionError | sdk.IncompleteReadError)


@contextlib.contextmanager
def explained(place: Place, key: str) -> Iterator[None]:
    """Raise the SDK's errors as ours."""
    try:
        yield
    except sdk.ClientError as error:
        raise _of_answer(error, place, key) from error
    except (sdk.NoCredentialsError, sdk.PartialCredentialsError) as error:
        raise InputError(f"no credentials for {place.url} at {place.endpoint}; {CREDENTIALS}") from error
    except (sdk.CredentialRetrievalError, sdk.TokenRetrievalError, sdk.UnauthorizedSSOTokenError) as error:
        raise InputError(f"the credentials for {place.url} do not load ({_clip(error)}); {CREDENTIALS}") from error
    except sdk.SSLError as error:
        if "EOF" in str(error):  # a connection that was cut off, not one that is not trusted
            raise TransientError(f"{place.endpoint} broke the connection off; try again") from error
        raise InputError(
            f"{place.endpoint} has no certificate that this machine trusts; name the authority's file in AWS_CA_BUNDLE"
        ) from error
    except (sdk.ParamValidationError, sdk.UnknownEndpointError, sdk.EndpointProviderError) as error:
        raise InputError(f"{place.url} is no valid store address ({_clip(error)}); correct it") from error
    except (sdk.FlexibleChecksumError, sdk.IncompleteReadError, sdk.ResponseStreamingError) as error:
        raise TransientError(f"{key} did not come whole from {place.url} at {place.endpoint}; try again") from error
    except (sdk.ConnectionError, sdk.HTTPClientError) as error:  # among them: no name, refused, closed, time-out
        raise TransientError(
            f"no answer from {place.endpoint}, the server of {place.url}; start it, or correct AWS_ENDPOINT_URL"
        ) from error


def _of_answer(error: sdk.ClientError, place: Place, key: str) -> Exception:  # noqa: PLR0911 - a table in code
    code, status = code_of(error), status_of(error)
    what = _clip(error.response.get("Error", {}).get("Message", ""))
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
    if code in WRONG_CREDENTIALS:
        return InputError(f"{place.endpoint} does not accept the credentials for {place.url} ({code}); {CREDENTIALS}")
    if code in DENIED:
        return InputError(f"{place.endpoint} denies the use of {key} in {place.url}; grant the right, or {CREDENTIALS}")
    if code in FULL or status == 507 or NO_SPACE in what:
        return InputError(f"the store {place.url} at {place.endpoint} is full; free space there, or give another store")
    if code == "RequestTimeTooSkewed":
        return InputError(f"this machine's clock differs from that of {place.endpoint}; set it right")
    if code in BAD_CHECKSUM:
        return TransientError(f"{key} did not reach {place.url} at {place.endpoint} whole ({code}); try again")
    if code in AWAY or status == 429 or (status >= 500 and status != 501):
        return TransientError(f"{place.endpoint} cannot serve {place.url} just now ({code}); try again")
    did = f"{error.operation_name} of {key} in {place.url}"
    return InputError(f"{place.endpoint} refuses {did} ({code}: {what}); change what it names")


def _clip(what: object) -> str:
    return " ".join(str(what).split())[:256]
