"""A bucket as a store wants it: versions, a lifecycle, and locks where it is made anew."""

from typing import Any, NamedTuple

from botocore import exceptions as sdk

from colchis_steps._step.errors import InputError
from colchis_steps._store.s3.bucket import Bucket, code_of_answer
from colchis_steps._store.s3.errors import Denied, code_of, explained


class Caller(NamedTuple):
    """Who runs this, as the SDK has resolved it, and where."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str
    token: str
    authorities: str | None


def lifecycle(prefix: str = "") -> list[dict[str, Any]]:
    """Return the rules: runs and reports go after a year, what was replaced after a month, parts after two days."""
    top, named = (f"{prefix}/", f"-{prefix.replace('/', '-')}") if prefix else ("", "")
    year = {"Days": 365}
    return [
        {"ID": f"runs{named}", "Status": "Enabled", "Filter": {"Prefix": f"{top}runs/"}, "Expiration": year},
        {"ID": "reports", "Status": "Enabled", "Filter": {"Prefix": "colchis/"}, "Expiration": year},
        {
            "ID": f"uploads{named}",
            "Status": "Enabled",
            "Filter": {"Prefix": top},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    ]


class Making:
    """The bucket of a store, as an administrator sees it.

    Raises, from each method: InputError where the server refuses, TransientError where it is away.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self.prefix = Bucket(bucket, prefix), prefix
        self.name, self.url, self.endpoint = bucket, self._bucket.url, self._bucket.place.endpoint

    def caller(self) -> Caller:
        """Return whose keys these are.

        Raises:
            InputError: there are none, or they do not load.
        """
        client, connection = self._bucket.client, self._bucket.connection
        with explained(self._bucket.place, ""):
            found = connection.session.get_credentials()
            if found is None:
                raise sdk.NoCredentialsError
            keys = found.get_frozen_credentials()
        region, endpoint = client.meta.region_name or "us-east-1", client.meta.endpoint_url
        return Caller(endpoint, region, keys.access_key, keys.secret_key, keys.token or "", connection.authorities)

    def make(self) -> bool:
        """Make the bucket, with locks, unless it is there; return whether it was made."""
        client = self._bucket.client
        try:
            with explained(self._bucket.place, ""):
                client.head_bucket(Bucket=self.name)
        except InputError as error:
            if code_of_answer(error) != "404":
                raise
        else:
            return False
        region = client.meta.region_name or "us-east-1"
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._call("create_bucket", ObjectLockEnabledForBucket=True, **where)
        return True

    def keep_versions(self) -> None:
        """Let the bucket keep what is overwritten or deleted."""
        self._call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})

    def clean_up(self) -> None:
        """Put our rules into the bucket's lifecycle, beside those of others."""
        ours = lifecycle(self.prefix)
        try:
            found = self._bucket.client.get_bucket_lifecycle_configuration(Bucket=self.name)["Rules"]
        except sdk.ClientError as error:
            if code_of(error) != "NoSuchLifecycleConfiguration":
                with explained(self._bucket.place, ""):
                    raise
            found = []
        others = [rule for rule in found if rule.get("ID") not in {mine["ID"] for mine in ours}]
        self._call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [*others, *ours]})

    def locks(self) -> bool:
        """Return whether the bucket can lock objects."""
        try:
            answer = self._call("get_object_lock_configuration")
        except (InputError, Denied):
            return False
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def _call(self, operation: str, **arguments: Any) -> Any:
        with explained(self._bucket.place, ""):
            return getattr(self._bucket.client, operation)(Bucket=self.name, **arguments)
