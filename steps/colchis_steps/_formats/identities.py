"""Who may do what in a store: one table, of which policies, Secrets, the docs page and the doctor's questions are made.

An identity is a key of the store. A pod's has the name of its service account without ``colchis-`` and lies in the
Secret ``colchis-s3-<name>``; people's have no Secret. Patterns are relative to the store's prefix; ``*`` matches any
characters, ``/`` too. What reads may also list what lies at the beginning of its patterns.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

SECRET = "colchis-s3"  # noqa: S105 - the names of Secrets begin so; alone it is that of earlier releases
KEY = "credentials"  # in a Secret: a file in the format of AWS's shared credentials
CANDIDATE = "runs/*/candidate/*"
TRAINS = ("runs/*/training/*", CANDIDATE)
EARLIER = ("runs/*/model.json", "runs/*/train.json")  # where earlier releases kept these
VERBS = {"get": ("s3:GetObject",), "put": ("s3:PutObject",), "delete": ("s3:DeleteObject",)}
PARTS = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")  # go with put


class Identity(NamedTuple):
    """What a key may do with which objects; ``who`` has it, ``pods`` whether these are pods."""

    who: str
    get: tuple[str, ...]
    put: tuple[str, ...]
    delete: tuple[str, ...] = ()
    pods: bool = True
    lock: tuple[str, ...] = ()  # of what it writes, what it may lock
    asks: bool = False  # whether the bucket is there, as KServe's downloader does before it lists

    @property
    def lists(self) -> tuple[str, ...]:
        """The prefixes that it may list: what its patterns begin with."""
        tops = {pattern.partition("/")[0] for pattern in (*self.get, *self.delete)}
        return ("*",) if "*" in tops else tuple(f"{top}/*" for top in sorted(tops))

    def patterns(self, verb: str) -> tuple[str, ...]:
        """Return what it may ``get``, ``put`` or ``delete``."""
        return {"get": self.get, "put": self.put, "delete": self.delete}[verb]


IDENTITIES = {
    "step": Identity(
        "`validate_data`, `report`",
        get=("data/*", "models/*", "runs/*"),
        put=("runs/*/validate_data.json", "runs/*/report.json", "runs/*/report.html"),
    ),
    "prepare": Identity(
        "`prepare`, but for the container that runs the user's command",
        get=("code/*", "data/*"),
        put=("data/*", "runs/*/prepare.json"),
    ),
    "worker": Identity(
        "`train`'s workers, which run the user's code",
        get=("code/*", "data/*", *TRAINS, *EARLIER),
        put=TRAINS,
        delete=TRAINS,
    ),
    "adopt": Identity(
        "`adopt`, which loads somebody's model",
        get=("data/*", "incoming/*", "models/*/manifest.json", CANDIDATE, "runs/*/training/adopt.json", EARLIER[0]),
        put=(CANDIDATE, "runs/*/training/adopt.json"),
        delete=(CANDIDATE,),
    ),
    "train": Identity(
        "`train` where it makes and follows a job",
        get=("code/*", "data/*", *TRAINS, *EARLIER),
        put=TRAINS,
        delete=("runs/*/training/*",),
    ),
    "evaluate": Identity(
        "`evaluate`, but for the containers that load the model or run the user's metrics",
        get=("blobs/*", "code/*", "data/*", "evaluations/*", "models/*", "runs/*"),
        put=("evaluations/*", "runs/*/evaluate.json", "runs/*/golden.json", "runs/*/confirmed.json"),
    ),
    "batch": Identity(
        "`batch`, and its job's pods",
        get=("batch/*", "blobs/*", "data/*", "models/*", "runs/*/candidate/model.json"),
        put=("batch/*", "runs/*/batch.json"),
        delete=("batch/*",),
    ),
    "publish": Identity(
        "`upload`, `register`",
        get=("blobs/*", "data/*", "models/*", "runs/*"),
        put=(
            "blobs/*",
            "models/*/manifest.json",
            "models/*/record.json",
            "models/*/statement.json",
            "models/*/signatures/*",
            "models/*/files/*",
            "models/*/aliases/latest.json",
            "runs/*/upload.json",
            "runs/*/register.json",
        ),
        delete=("models/*/files/*",),
        lock=(
            "models/*/manifest.json",
            "models/*/record.json",
            "models/*/statement.json",
            "models/*/signatures/*",
        ),
    ),
    "build": Identity(
        "`build_image`",
        get=("blobs/*", "code/*", "models/*", "runs/*"),
        put=("runs/*/build_image.json",),
    ),
    "rollout": Identity(
        "`rollout`, `prune`",
        get=("data/*", "models/*", "requests/*", "runs/*"),
        put=(
            "models/*/aliases/canary.json",
            "models/*/aliases/stable.json",
            "models/*/rollouts/*",
            "runs/*/rollout.json",
            "runs/*.yaml",
        ),
        delete=("models/*/aliases/canary.json",),
    ),
    "serve": Identity(
        "serving pods that keep requests, or whose model comes from the store",
        get=("models/*/manifest.json", "models/*/files/*"),
        put=("requests/*",),
        asks=True,
    ),
    "data": Identity("`colchis data`", get=("data/*",), put=("data/*",), pods=False),
    "code": Identity("`colchis push-code`", get=("code/*",), put=("code/*",), pods=False),
    "owner": Identity(
        "`colchis policy`: who says what a model has to be like",
        get=("models/*",),
        put=("models/*/policy.json", "models/*/policies/*"),
        pods=False,
    ),
    "operator": Identity(
        "`gc`, `rollback`, `share`, `verify`, `doctor`, `upload --from`: people",
        get=("*",),
        put=("*",),
        delete=("*",),
        pods=False,
    ),
}


def may(identity: str, verb: str, key: str) -> bool:
    """Return whether the identity may get, put or delete the object with this key."""
    return any(fnmatchcase(key, pattern) for pattern in IDENTITIES[identity].patterns(verb))


def policy(identity: str, bucket: str, prefix: str, *, partition: str = "aws", minio: bool = False) -> dict[str, Any]:
    """Return the identity's policy document, as AWS and MinIO read it.

    A key that is not there is told from one that is forbidden by the right to list. AWS asks for that right without
    naming a prefix, so the condition holds where none is named; MinIO does not ask, and has no such condition.
    """
    found, top = IDENTITIES[identity], f"{prefix}/" if prefix else ""
    where = f"arn:{partition}:s3:::{bucket}"

    def below(patterns: Sequence[str]) -> list[str]:
        return [f"{where}/{top}{pattern}" for pattern in patterns]

    def statements() -> Iterator[dict[str, Any]]:
        for verb, actions in VERBS.items():
            if patterns := found.patterns(verb):
                more = PARTS if verb == "put" else ()
                yield {"Effect": "Allow", "Action": [*actions, *more], "Resource": below(patterns)}
        if found.lock:
            yield {"Effect": "Allow", "Action": ["s3:PutObjectRetention"], "Resource": below(found.lock)}
        condition = "StringLike" if minio else "StringLikeIfExists"
        names = {condition: {"s3:prefix": [f"{top}{pattern}" for pattern in found.lists]}}
        yield {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [where], "Condition": names}
        if found.asks and minio:  # which takes the question for a list without a prefix: names can be listed, too
            unnamed = {"Null": {"s3:prefix": "true"}}
            yield {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [where], "Condition": unnamed}
        yield {"Effect": "Allow", "Action": ["s3:ListBucketMultipartUploads"], "Resource": [where]}

    return {"Version": "2012-10-17", "Statement": list(statements())}


def credentials(access_key: str, secret_key: str) -> str:
    """Return a file of keys in AWS's format."""
    return f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"


def secret(identity: str, access_key: str, secret_key: str) -> dict[str, Any]:
    """Return the Secret from which pods mount the identity's key."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{SECRET}-{identity}", "labels": {"app.kubernetes.io/managed-by": "colchis"}},
        "type": "Opaque",
        "stringData": {KEY: credentials(access_key, secret_key)},
    }


def table() -> str:
    """Return the table of the docs page."""

    def words(patterns: tuple[str, ...]) -> str:
        return ", ".join(f"`{pattern}`" for pattern in patterns) or "none"

    rows = ["| identity | who | reads | writes | deletes |", "| --- | --- | --- | --- | --- |"]
    for name, found in IDENTITIES.items():
        whose = f"{found.who} (account `colchis-{name}`)" if found.pods and name != "serve" else found.who
        rows.append(f"| `{name}` | {whose} | {words(found.get)} | {words(found.put)} | {words(found.delete)} |")
    return "\n".join(rows)
