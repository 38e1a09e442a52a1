"""Make the key that signs versions, say which keys are trusted and until when, and sign what is on record already.

Reads   models/<model>/<n>/{manifest,record,statement}.json  with sign
Writes  <keys>/private.pem, public.pem, trust.json           with make; trust.json alone with add
        models/<model>/<n>/signatures/<key>.sigstore.json    with sign; the image gets it, too
        stdout                                               the trusted keys, what to do on a cluster
<keys> is $COLCHIS_KEYS, or keys/ in the home of local runs.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from colchis_steps._formats.documents import now
from colchis_steps._models.binding import read_version
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.dsse import PublicKey, made
from colchis_steps._models.signing.sealing import PRIVATE, PUBLIC, find_signer, key_directory, seal
from colchis_steps._models.signing.trust import Trust, Trusted, encode_trust, read_trust, trust_file, trust_of
from colchis_steps._packing.signature import attach_signature
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_version, positive, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_atomically
from colchis_steps._step.text import printable
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store

DAY = 24 * 3600
log = logging.getLogger("colchis")
CLUSTER = """\
on a cluster, in the namespace of Colchis:
  kubectl create secret generic colchis-signing --from-file={private}
  kubectl create configmap colchis-trust --from-file={trust}
whoever has {public} can verify:
  colchis verify MODEL:N --key {public}"""


def trusting(trust: Trust | None, public: PublicKey, name: str, *, days: int, required: bool | None = None) -> Trust:
    """Return the trust with another key, from now on for so many days.

    Raises:
        InputError: the name or the key is there already.
    """
    before = trust or Trust(str(trust_file()), ())
    if known := before.by_id(public.id):
        raise InputError(f"{before.source} trusts this key already, as {known.name}; write its bounds there")
    if any(key.name == name for key in before.keys):
        raise InputError(f"{before.source} has a key named {name}; give another --name")
    key = Trusted(name, public, "", now(-days * DAY))
    return Trust(before.source, (*before.keys, key), before.required if required is None else required)


def ended(trust: Trust, identity: str, days: int) -> Trust:
    """Return the trust with a key that counts for so many days more, at most."""
    end = now(-days * DAY)
    keys = tuple(
        Trusted(key.name, key.public, key.not_before, min(key.not_after or end, end))
        if key.public.id == identity
        else key
        for key in trust.keys
    )
    return Trust(trust.source, keys, trust.required)


def make(args: argparse.Namespace) -> None:
    """Make a key, or another in its place, and trust it.

    Raises:
        InputError: there is a key, and nobody said that it goes.
    """
    place, trust = key_directory(), read_trust()
    private = place / PRIVATE
    before = find_signer(None) if private.exists() else None
    if before and not args.rotate:
        raise InputError(
            f"there is a key in {place}; to put another in its place, which signs from then on, give --rotate"
        )
    pem, public = made()
    if before and trust:
        trust = ended(trust, before.public.id, args.overlap_days)
    name = args.name or f"{datetime.now(UTC):%Y-%m-%d}-{public.id[:6]}"
    trust = trusting(trust, public, name, days=args.days, required=args.required)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(trust_file(), encode_trust(trust))  # first: a key that signs is one that is trusted
    _write_private(private, pem)
    write_atomically(place / PUBLIC, public.pem)
    log.info("versions are signed by key %s (%s) from now on, which counts for %d days", name, public.short, args.days)
    if before:
        log.info(
            "what the key before it signed counts for %d days more; sign it again: colchis keys sign MODEL:N",
            args.overlap_days,
        )
    print(CLUSTER.format(private=private, public=place / PUBLIC, trust=trust_file()))


def _write_private(path: Path, pem: bytes) -> None:
    """Write the key such that nobody but this user ever reads it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    part.replace(path)


def add(args: argparse.Namespace) -> None:
    """Trust a public key."""
    (key,) = trust_of([args.key]).keys
    trust = trusting(read_trust(), key.public, args.name or args.key.stem, days=args.days)
    write_atomically(trust_file(), encode_trust(trust))
    log.info("%s trusts key %s now", trust.source, key.public.short)


def show() -> None:
    """Print the trusted keys, and which signs here."""
    trust, signer = read_trust(), find_signer(None)
    if trust is None and signer is None:
        return log.info("no key signs, and none is trusted in %s; make one: colchis keys make", trust_file().parent)
    for key in trust.keys if trust else ():
        state = key.fault(now()).removeprefix("which ") or f"counts until {key.not_after or 'it is removed'}"
        mine = ", signs here" if signer and signer.public.id == key.public.id else ""
        print(printable(f"{key.name}  {key.public.short}  {state}{mine}"))
    if trust and not trust.required:
        log.info("%s does not insist: what is not signed is served, with a warning", trust.source)
    if signer and not (trust and trust.by_id(signer.public.id)):
        public = key_directory() / PUBLIC
        log.info("key %s signs here, and is not trusted; trust it: colchis keys add %s", signer.public.short, public)
    return None


def sign_again(store: Objects, model: str, version: int | None, *, insecure: bool) -> None:
    """Sign a version that is on record, as it is: of before there was a key, or by a key that ends.

    Raises:
        InputError: there is no key, or no such version, or its documents do not agree.
    """
    if version is None:
        raise InputError(f"{model} has versions; name the one to sign: {model}:N")
    trust = read_trust()
    signer = find_signer(trust)
    if signer is None:
        raise InputError(f"there is no key in {key_directory()} to sign with; make one: colchis keys make")
    try:
        found = read_version(store, model, version)
    except NotFound as error:
        raise InputError(
            f"version {version} of {model} is not on record ({error}); see: colchis models list"
        ) from error
    if found.faults:
        raise InputError(f"{model}:{version} is not as it was registered: {found.faults[0]}; do not sign it")
    bundle = seal(store, found, signer=signer)
    check_signed(store, found, trust)
    attach_signature(found.record.image, bundle, insecure=insecure)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.keys"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.keys make",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = p.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make", help="make a key, trust it, and ask for signatures from now on")
    maker.add_argument("--rotate", action="store_true", help="put it in the place of the one that is there")
    maker.add_argument("--overlap-days", type=positive, default=30, metavar="N", help="how long that one counts (30)")
    maker.add_argument(
        "--required", type=boolean, metavar="BOOL", help="false: what is not signed is only warned of (default: true)"
    )
    adder = verbs.add_parser("add", help="trust a public key: of a KMS, or another team's")
    adder.add_argument("key", type=Path, metavar="FILE", help="the public key, PEM")
    for verb in (maker, adder):
        verb.add_argument("--name", default="", metavar="NAME", help="what it is called in sentences")
        verb.add_argument("--days", type=positive, default=365, metavar="N", help="how long it counts (365)")
    verbs.add_parser("show", help="the keys that are trusted, until when, and which signs here")
    signer = verbs.add_parser("sign", help="sign a version that is on record")
    signer.add_argument("model", type=model_version, metavar="MODEL:N")
    signer.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    signer.add_argument("--insecure-registry", type=boolean, default=False, metavar="BOOL", help="true: by plain HTTP")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Do what the verb says."""
    args = parser().parse_args(argv)
    if args.verb == "sign":
        return sign_again(open_store(args.store or default_store()), *args.model, insecure=args.insecure_registry)
    return {"make": lambda: make(args), "add": lambda: add(args), "show": show}[args.verb]()


if __name__ == "__main__":
    raise SystemExit(main())
