"""Signing a version's statement, with the key that lies here.

Reads   $COLCHIS_KEYS, or in a pod /var/run/colchis/signing (Secret ``colchis-signing``), or keys/ in the home of local
        runs: ``private.pem``; or ``uri`` and ``public.pem``, of a key in a KMS
Writes  models/<model>/<n>/signatures/<key>.sigstore.json
"""

import logging
import os
from pathlib import Path

from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import signature_key
from colchis_steps._formats.signatures import Bundle, decode_bundle, encode_bundle
from colchis_steps._models.binding import Version
from colchis_steps._models.signing.dsse import Signer, public_key, sign, signer_at, signer_in, verified
from colchis_steps._models.signing.trust import KEYS, Trust
from colchis_steps._step.errors import InputError
from colchis_steps._step.home import home
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes

PRIVATE, PUBLIC, URI = "private.pem", "public.pem", "uri"
MOUNTED = Path("/var/run/colchis/signing")
log = logging.getLogger("colchis")


def key_directory() -> Path:
    """Return where the key that signs lies here; it need not be there."""
    if named := os.environ.get(KEYS):
        return Path(named)
    return MOUNTED if MOUNTED.is_dir() else home() / "keys"


def find_signer(trust: Trust | None) -> Signer | None:
    """Return what signs here, held against the keys that are trusted; None where there is no key, and none is needed.

    Raises:
        InputError: the key cannot be used, or its signatures would be refused, or there has to be one.
    """
    place = key_directory()
    try:
        signer = _signer(place)
    except OSError as error:
        raise InputError(
            f"the signing key in {place} cannot be read ({error.strerror}); give this user the right"
        ) from error
    if trust is None or (signer is None and not trust.required):
        return signer
    if signer is None:
        raise InputError(
            f"{trust.source} asks for signatures, and there is no key in {place}; make one: colchis keys make, or on a "
            "cluster the Secret colchis-signing"
        )
    known = trust.by_id(signer.public.id)
    why = known.fault(now()) if known else f"which {trust.source} does not have"
    if why and trust.required:
        name = known.name if known else signer.public.short
        raise InputError(f"versions would be signed by key {name}, {why}; add it, or a new one: colchis keys")
    return signer


def _signer(place: Path) -> Signer | None:
    if (place / PRIVATE).exists():
        return signer_in(place / PRIVATE)
    if not (place / URI).exists():
        return None
    public = place / PUBLIC
    if not public.exists():
        raise InputError(f"{place} has {URI}, and no {PUBLIC}; put the public half of that key beside it")
    return signer_at((place / URI).read_text().strip(), public_key(public.read_text(), str(public)))


def seal(store: Objects, found: Version, *, signer: Signer, stated: bytes | None = None) -> Bundle:
    """Sign a version's statement, and return the bundle; the one that stands where this key has signed it already.

    Args:
        store: where the version is.
        found: the version, whose documents agree.
        signer: the key.
        stated: what the statement has to be; None signs the one that is there.

    Raises:
        InputError: the statement is another, or what stands there is not this key's signature over it.
        TransientError: as ``sign``.
    """
    record = found.record
    key = signature_key(record.model, record.version, signer.public.id)
    try:
        there = decode_bundle(document_bytes(store, key), f"{store.url}/{key}")
    except NotFound:
        if stated not in {None, found.statement}:
            raise InputError(
                f"the statement of {record.model}:{record.version} is not what run {record.run} states; somebody "
                "changed it, or steps ran again since, so publish a new version"
            ) from None
        bundle = sign(found.statement, signer)
        if store.create(key, encode_bundle(bundle)):
            log.info("%s:%d is signed by key %s", record.model, record.version, signer.public.short)
            return bundle
        there = decode_bundle(document_bytes(store, key), f"{store.url}/{key}")  # another was faster
    if there.envelope.payload != found.statement or not verified(there, signer.public):
        raise InputError(
            f"{store.url}/{key} is not this key's signature over the version's statement; somebody put it there, "
            "so remove it, and sign again"
        )
    return there
