"""Say what a model's owner demands of every version: thresholds, statistics, signatures, approval.

Reads   FILE                                 YAML or JSON
        models/<model>/policy.json           with show
Writes  models/<model>/policies/<digest>.json  with set: each policy that there ever was
        models/<model>/policy.json             last, over the one that was read and no other
        stdout                                 its digest, or the policy
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from colchis_steps._evaluation.policies import check_policy
from colchis_steps._formats.documents import Newer, Unreadable, content_digest, decode, encode
from colchis_steps._formats.handwritten import read_yaml
from colchis_steps._formats.numbers import written
from colchis_steps._formats.policy import Policy
from colchis_steps._models.policy import read_policy, write_policy
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import model_name, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import printable
from colchis_steps._store.opening import open_store

MOST = 1 << 20  # bytes
TAG = str(Policy.__struct_config__.tag)
log = logging.getLogger("colchis")


def parsed(content: bytes, source: str) -> Policy:
    """Read a policy as people write it; ``kind`` may be left out.

    Raises:
        InputError: it is neither YAML nor JSON, has a field that is not known, or demands what cannot be held.
    """
    if len(content) > MOST:
        raise InputError(f"{source} has {len(content)} bytes, more than any policy; give a file of demands")
    found = read_yaml(content, source)
    if not isinstance(found, dict):
        raise InputError(f"{source} holds no fields; give some, such as thresholds: {{accuracy: {{min: 0.9}}}}")
    try:
        text = written({"kind": TAG, **found})
        policy = decode(Policy, text, source)
    except Newer:
        raise
    except (Unreadable, TypeError, ValueError, msgspec.MsgspecError) as error:
        cause = str(error.__cause__ if isinstance(error, Unreadable) else error)
        raise InputError(f"{source} is no policy ({cause[:256]}); docs/steps/policy.md has its fields") from error
    check_policy(policy, source)
    return policy


def read(file: Path) -> Policy:
    """Read a file. Raises InputError, also where it cannot be read."""
    try:
        return parsed(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); name a file of YAML or JSON") from error


def show(model: str, url: str) -> None:
    """Print the model's policy, as ``set`` takes it."""
    found = read_policy(open_store(url), model)
    if not found.digest:
        return log.info("%s has no policy: each run says what it is held to; give it one: colchis policy set", model)
    log.info("%s of %s: %s", found.name, model, found.digest)
    fields = msgspec.to_builtins(found.policy)
    print(printable(yaml.safe_dump(fields, sort_keys=False, width=120, allow_unicode=True)), end="")
    return None


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.policy"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.policy set digits --from=policy.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = p.add_subparsers(dest="verb", required=True)
    setter = verbs.add_parser("set", help="make a file the model's policy")
    shower = verbs.add_parser("show", help="print the model's policy")
    for verb in (setter, shower):
        verb.add_argument("model", type=model_name, metavar="MODEL")
        verb.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    setter.add_argument("--from", dest="file", type=Path, required=True, metavar="FILE", help="YAML or JSON")
    checker = verbs.add_parser("check", help="say what is wrong with a file, and store nothing")
    checker.add_argument("file", type=Path, metavar="FILE")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Do what the verb says."""
    args = parser().parse_args(argv)
    if args.verb == "show":
        return show(args.model, args.store or default_store())
    policy = read(args.file)
    if args.verb == "check":
        log.info("%s is a policy", args.file)
        print(content_digest(encode(policy)))
        return None
    digest = write_policy(open_store(args.store or default_store()), args.model, policy)
    log.info("versions of %s are held to policy %s from now on", args.model, digest.removeprefix("sha256:")[:12])
    print(digest)
    return None


if __name__ == "__main__":
    raise SystemExit(main())
