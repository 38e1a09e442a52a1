"""Signatures of requests to a bucket.

AWS Signature Version 4: "Authenticating Requests (Authorization Header)" in the S3 API reference.
"""

import functools
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def signed(
    headers: Mapping[str, str], what: str, payload: str, *, keys: Any, region: str, at: datetime
) -> dict[str, str]:
    """Give the headers with those of the signature; ``what`` is method, encoded path and query, a line each."""
    time_ = _told(at.replace(microsecond=0))
    told = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    told |= {"x-amz-content-sha256": payload, "x-amz-date": time_}
    if keys.token:
        told["x-amz-security-token"] = keys.token
    names = sorted(told)
    lines = "".join(f"{name}:{told[name]}\n" for name in names)
    canonical = f"{what}\n{lines}\n{';'.join(names)}\n{payload}"
    scope = f"{time_[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time_}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret_key, scope), text.encode(), "sha256").hex()
    told["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return told


@functools.lru_cache(4)
def _told(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")


@functools.lru_cache(4)
def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
