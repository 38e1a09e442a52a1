"""Make a store's bucket, and a key for each privilege: what it may do is one table, docs/security.md.

Makes   the bucket, its versions and lifecycle; a user and a policy of each identity, on MinIO or AWS
Prints  the Secrets with the users' new keys as YAML, the only place that has them, or with --apply puts them into the
        cluster; with --policies the policy documents, and makes nothing
"""

import argparse
import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from colchis_steps._formats.identities import IDENTITIES, credentials, policy, secret
from colchis_steps._kube.cluster import Cluster
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog
from colchis_steps._step.main import entrypoint
from colchis_steps._store.opening import canonical

if TYPE_CHECKING:
    from colchis_steps._store.s3.making import Making

PODS = [name for name, found in IDENTITIES.items() if found.pods]
LONGEST = 64  # characters of a user's name on AWS
log = logging.getLogger("colchis")


class Users(Protocol):
    """Who administers users: the server of the bucket, or the cloud."""

    def names(self) -> set[str]:
        """Return the users that are there."""

    def let(self, name: str, policy: Mapping[str, Any]) -> None:
        """Make the policy of this name so."""

    def make(self, name: str, secret_key: str) -> tuple[str, str]:
        """Make the user or give it another key; return its access key and secret key."""

    def bind(self, name: str) -> None:
        """Let the user do what the policy of its name says."""


def users_of(making: "Making", server: str) -> tuple[Users, str]:
    """Return who administers users, and AWS's partition."""
    if server == "aws":
        from colchis_steps._store.s3 import users as aws

        found = aws.Users(making.url)
        return found, found.partition
    from colchis_steps._store.minio import users as minio

    return minio.Users(making.caller()), "aws"


def prepare(making: "Making") -> None:
    """Make the bucket where it is not there, and give it versions and a lifecycle."""
    made = making.make()
    making.keep_versions()
    making.clean_up()
    log.info("bucket %s %s; it keeps versions and has a lifecycle", making.name, "is made" if made else "is there")
    if making.locks():
        log.info("it can lock records: set COLCHIS_S3_LOCK_DAYS in the ConfigMap colchis")
    else:
        log.warning(
            "bucket %s cannot lock records, as it was made without; versions alone keep what is overwritten",
            making.name,
        )


def enrol(users: Users, wanted: Mapping[str, Mapping[str, Any]], *, rotate: bool) -> dict[str, tuple[str, str]]:
    """Make users with these policies, by name; return the new keys: one that is there keeps its own unless rotated."""
    there, made = users.names(), dict[str, tuple[str, str]]()
    for name, document in wanted.items():
        users.let(name, document)
        if name not in there or rotate:
            made[name] = users.make(name, secrets.token_urlsafe(30))
        else:
            log.info("user %s is there and keeps its key; --rotate gives it another", name)
        users.bind(name)
    return made


def hand_out(found: Mapping[str, tuple[str, str]], *, namespace: str, apply: bool) -> None:
    """Put the keys, by identity, into the cluster's Secrets, or print them."""
    import yaml

    people = [name for name in found if not IDENTITIES[name].pods]
    for name in people:
        print(credentials(*found[name]).replace("[default]", f"[colchis-{name}]"))
    made = [secret(name, *keys) for name, keys in found.items() if name not in people]
    if not apply:
        if made:
            print(yaml.safe_dump_all(made, sort_keys=False), end="")
        return
    cluster = Cluster(namespace, role="an administrator's")
    for one in made:
        cluster.apply(one)
        log.info("Secret %s is in namespace %s", one["metadata"]["name"], cluster.namespace)


def identities(text: str) -> list[str]:
    """Parse names of identities with commas between them; all are pods' or all are people's."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if odd := [name for name in names if name not in IDENTITIES]:
        raise argparse.ArgumentTypeError(f"{odd[0][:64]!r} is not an identity; there are {', '.join(IDENTITIES)}")
    if not names or len({IDENTITIES[name].pods for name in names}) > 1:
        raise argparse.ArgumentTypeError(f"{text[:64]!r} mixes pods and people; ask for each apart: {', '.join(PODS)}")
    return names


def user_prefix(args: argparse.Namespace, bucket: str, prefix: str) -> str:
    """Return how the users' names begin.

    Raises:
        InputError: they would be too long, or hold what no name of a user does.
    """
    name = args.name or re.sub(r"[^a-z0-9.-]+", "-", f"colchis-{bucket}-{prefix}".lower()).strip("-")
    longest = max(map(len, args.identities))
    if not re.fullmatch(r"[A-Za-z0-9.-]+", name) or len(name) + 1 + longest > LONGEST:
        limit = LONGEST - 1 - longest
        raise InputError(
            f"users cannot be named {name[:80]!r}-…; give --name of at most {limit} letters, digits, '.' and '-'"
        )
    return name


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.bucket"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.bucket setup --store=s3://colchis/team --apply --namespace=ml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("what", choices=("setup",), help="what to do")
    p.add_argument("--store", required=True, metavar="URL", help="s3://bucket/prefix")
    p.add_argument("--server", choices=("minio", "aws"), help="whose users; default: by the endpoint's name")
    p.add_argument(
        "--identities",
        type=identities,
        default=",".join(PODS),
        metavar="NAMES",
        help="default: %(default)s; people's are data, code, operator",
    )
    p.add_argument(
        "--name", default="", metavar="NAME", help="how users and policies begin; default: colchis-BUCKET-PREFIX"
    )
    p.add_argument("--policies", action="store_true", help="print the policy documents as JSON, and make nothing")
    p.add_argument("--rotate", action="store_true", help="give users that are there new keys, too")
    p.add_argument("--apply", action="store_true", help="put the Secrets into the cluster; default: print them")
    p.add_argument(
        "--namespace", default="", metavar="N", help="with --apply; default: that of the kubeconfig's context"
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Make bucket and users, hand the keys out."""
    args = parser().parse_args(argv)
    parts = urlsplit(canonical(args.store))
    if parts.scheme != "s3":
        raise InputError(f"{args.store} is a directory, which has no keys; give s3://bucket/prefix")
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise InputError(
            f"{bucket[:80]!r} is not a bucket's name; give 3 to 63 lower-case letters, digits, '.' and '-'"
        )
    names = user_prefix(args, bucket, prefix)
    from colchis_steps._store.s3.making import Making

    making = Making(bucket, prefix)
    host = urlsplit(making.endpoint).hostname or ""
    server = args.server or ("aws" if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else "minio")
    if args.policies:
        print(
            json.dumps(
                {name: policy(name, bucket, prefix, minio=server == "minio") for name in args.identities}, indent=1
            )
        )
        return
    users, partition = users_of(making, server)
    prepare(making)
    wanted = {
        f"{names}-{name}": policy(name, bucket, prefix, partition=partition, minio=server == "minio")
        for name in args.identities
    }
    made = enrol(users, wanted, rotate=args.rotate)
    found = {name: made[f"{names}-{name}"] for name in args.identities if f"{names}-{name}" in made}
    hand_out(found, namespace=args.namespace, apply=args.apply)


if __name__ == "__main__":
    raise SystemExit(main())
