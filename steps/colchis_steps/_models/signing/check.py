"""Whether a version is signed by a key that is trusted: looked at before anything of it is served or compared with.

A signature is over the statement, whose bytes name image, tree and files, and the digests of record and manifest; so
what ``read_version`` holds against the statement is signed with it.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from colchis_steps._formats.documents import Part, Unreadable, now
from colchis_steps._formats.keys import signatures_prefix, version_prefix
from colchis_steps._formats.signatures import Bundle, decode_bundle
from colchis_steps._models.binding import Version
from colchis_steps._models.signing.dsse import NAMED, key_named, verified
from colchis_steps._models.signing.trust import Trust, Trusted, read_trust
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import document_bytes

MOST = 64  # signatures of a version that are looked at
log = logging.getLogger("colchis")


class _Subject(Part):
    name: str = ""


class _Statement(Part):
    subject: tuple[_Subject, ...] = ()


@dataclass(frozen=True)
class Seal:
    """A signature of a version; ``fault`` says in words why it does not count, "" where it does."""

    key: str  # id; "" where it cannot be read
    name: str  # of the key, as the operator calls it; "" where it is not trusted
    fault: str

    def words(self) -> str:
        """Return who signed."""
        return f"{self.name} (key {self.key[:NAMED]})" if self.name else f"key {self.key[:NAMED]}"


def seals(store: Objects, found: Version, trust: Trust | None) -> Iterator[Seal]:
    """Yield the version's signatures, each held against the keys that are trusted now; without any, none counts."""
    place = version_prefix(found.record.model, found.record.version)
    keys = list(store.keys(signatures_prefix(found.record.model, found.record.version)))
    for key in keys[:MOST]:
        try:
            bundle = decode_bundle(document_bytes(store, key), f"{store.url}/{key}")
        except Unreadable as error:
            yield Seal("", "", str(error))
            continue
        identity = key_named(bundle)
        trusted = trust.by_id(identity) if trust else None
        if trusted:
            yield Seal(identity, trusted.name, _fault(bundle, trusted, found.statement, place))
            continue
        who = f"key {identity[:NAMED]}" if identity else "a key that it does not name"
        where = f"which {trust.source} does not have" if trust else "and no trust.json here says whose that is"
        yield Seal(identity, "", f"it is signed by {who}, {where}")


def _fault(bundle: Bundle, trusted: Trusted, statement: bytes, place: str) -> str:
    """Return why a signature does not count; "" where it does."""
    who = f"key {trusted.name} ({trusted.public.short})"
    if why := trusted.fault(now()):
        return f"it is signed by {who}, {why}"
    if not verified(bundle, trusted.public):
        return f"its signature is not by {who}, which it names: it was altered, or forged"
    if bundle.envelope.payload != statement:
        if place not in (names := _names(bundle.envelope.payload)):
            other = next((name for name in names if name.startswith("models/")), "nothing of this kind")
            return f"its signature by {who} is of another version: {other[:128]}"
        return f"its statement is not the one that {who} signed; somebody changed it"
    return ""


def _names(payload: bytes) -> list[str]:
    try:
        return [subject.name for subject in msgspec.json.decode(payload, type=_Statement).subject]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def check_signed(
    store: Objects, found: Version, trust: Trust | None = None, *, signers: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the names of the trusted keys that signed the version; none where nobody wrote down which are trusted.

    Args:
        store: where the version is.
        found: the version, whose documents agree.
        trust: which keys are trusted; the ones of this machine or pod where it is left out.
        signers: names of keys that have all to have signed, as a model's policy asks for.

    Raises:
        InputError: signatures are asked for, and none is by a key that is trusted now, or one of ``signers`` lacks.
    """
    trust = trust or read_trust()
    name = f"{found.record.model}:{found.record.version}"
    if trust is None:
        if signers:
            raise InputError(
                f"{name} has to be signed by {', '.join(sorted(signers))}, and no trust.json says who that is; see "
                "docs/trust.md"
            )
        return ()
    there = list(seals(store, found, trust))
    good = tuple(sorted(seal.name for seal in there if not seal.fault))
    if lacking := sorted(set(signers) - set(good)):
        why = f"it has to be signed by {lacking[0]} too"
    elif good:
        return good
    else:
        why = next((seal.fault for seal in there if seal.name), there[0].fault if there else "it is not signed")
    said = f"{name} is refused: {why}, and {trust.source} asks for a signature"
    if trust.required or lacking:
        raise InputError(f"{said}; if it is as it should be, sign it: colchis keys sign {name}")
    log.warning("%s is served all the same, as %s does not insist: %s", name, trust.source, why)
    return ()
