"""Which keys are trusted, and until when: ``trust.json``, which an operator keeps.

Reads   $COLCHIS_KEYS/trust.json, or in a pod /var/run/colchis/trust/trust.json (ConfigMap ``colchis-trust``),
        or keys/trust.json in the home of local runs; where there is none, no signature is asked for

People write it, so it is held strictly. ``not_before`` and ``not_after`` bound when a key's signatures count, whenever
they were made: a signature has no time that anybody but its signer vouches for.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from colchis_steps._formats.documents import now
from colchis_steps._models.signing.dsse import PublicKey, public_key
from colchis_steps._step.errors import InputError
from colchis_steps._step.home import home

KEYS = "COLCHIS_KEYS"  # a directory with trust.json, and where versions are signed the key
TRUST = "trust.json"
MOUNTED = Path("/var/run/colchis/trust")
MOST = 1 << 20  # bytes


class TrustedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key in PEM, by a name of the operator's; times are RFC 3339, "" is no bound."""

    name: str
    public: str
    not_before: str = ""
    not_after: str = ""


class Document(msgspec.Struct, tag_field="kind", tag="colchis.dev/trust/v1", forbid_unknown_fields=True):
    """The file: ``required`` false only warns of what is not signed, while an installation begins."""

    keys: tuple[TrustedKey, ...]
    required: bool = True


@dataclass(frozen=True)
class Trusted:
    """A key that may sign, ready to verify with."""

    name: str
    public: PublicKey
    not_before: str
    not_after: str

    def fault(self, when: str) -> str:
        """Return in words why its signatures do not count at this time; "" where they do."""
        if self.not_after and when > self.not_after:
            return f"which is past its not_after {self.not_after}"
        if self.not_before and when < self.not_before:
            return f"which does not count before {self.not_before}"
        return ""


@dataclass(frozen=True)
class Trust:
    """The keys that are trusted; ``source`` is where it says so."""

    source: str
    keys: tuple[Trusted, ...]
    required: bool = True

    def by_id(self, identity: str) -> Trusted | None:
        """Return the key with this id."""
        return next((key for key in self.keys if key.public.id == identity), None)


def trust_file() -> Path:
    """Return where the trusted keys are written down here; the file need not be there."""
    if named := os.environ.get(KEYS):
        return Path(named) / TRUST
    return (MOUNTED if MOUNTED.is_dir() else home() / "keys") / TRUST


def read_trust() -> Trust | None:
    """Return the keys that are trusted here; None where nobody wrote any down, so that nothing is asked for.

    Raises:
        InputError: the file cannot be read, or is none.
    """
    file = trust_file()
    try:
        if file.stat().st_size > MOST:
            raise InputError(f"{file} is larger than {MOST} bytes; it lists keys, so write a smaller one")
        content = file.read_bytes()
    except FileNotFoundError:
        if others := sorted(path.name for path in file.parent.glob("*.json")) if file.parent == MOUNTED else []:
            raise InputError(
                f"the ConfigMap colchis-trust has {others[0]}, and no {TRUST}; name its key {TRUST}"
            ) from None
        return None
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give this user the right") from error
    return decode_trust(content, str(file))


def decode_trust(content: bytes, source: str) -> Trust:
    """Read a trust document; ``source`` names it, for the error.

    Raises:
        InputError: it is none, a key in it is none, or two have one name or are the same.
    """
    try:
        found = msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{source} lists no trusted keys ({str(error)[:256]}); see docs/trust.md for its form"
        ) from error
    keys = tuple(_checked(found.keys, source))
    for what, seen in (("name", [key.name for key in keys]), ("key", [key.public.id for key in keys])):
        if twice := next((one for one in seen if seen.count(one) > 1), None):
            raise InputError(f"{source} has the {what} {twice[:64]!r} twice; keep one of them")
    if found.required and not keys:
        raise InputError(f"{source} asks for signatures and trusts no key; add one: colchis keys add PUBLIC.pem")
    return Trust(source, keys, found.required)


def _checked(keys: tuple[TrustedKey, ...], source: str) -> Iterator[Trusted]:
    for key in keys:
        where = f"the key {key.name[:64]!r} in {source}"
        bounds = [_utc(text, where) for text in (key.not_before, key.not_after)]
        yield Trusted(key.name, public_key(key.public, where), *bounds)


def _utc(text: str, where: str) -> str:
    """Return a time in the form that documents have, which sorts as times do. Raises InputError."""
    if not text:
        return ""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(text)  # noqa: TRY301 - one sentence for both
    except ValueError as error:
        raise InputError(f"{where} has the time {text[:64]!r}; write it as {now()}") from error
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trust_of(files: Sequence[Path]) -> Trust:
    """Return a trust in the public keys in these files (PEM), whenever they signed. Raises InputError."""
    keys = []
    for file in files:
        try:
            pem = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the key {file} cannot be read ({str(error)[:128]}); give a public key in PEM") from error
        keys.append(Trusted(file.name, public_key(pem, str(file)), "", ""))
    return Trust("--key", tuple(keys))


def encode_trust(trust: Trust) -> bytes:
    """Return the document, as people read it."""
    keys = tuple(TrustedKey(key.name, key.public.pem, key.not_before, key.not_after) for key in trust.keys)
    return msgspec.json.format(msgspec.json.encode(Document(keys, trust.required)), indent=2) + b"\n"
