"""Envelopes that are signed and verified: the one place that knows securesystemslib and cryptography.

A key is known by the sha256 (hex) of its DER, the form that cosign's hints have, too. Three kinds are taken, those that
cosign verifies with the same parameters: ECDSA over P-256 with sha256, Ed25519, and RSA (PKCS#1 v1.5, sha256) from
2,048 bits on.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colchis_steps._formats.signatures import BUNDLE, IN_TOTO, Bundle, Envelope, Hint, Material, Signed
from colchis_steps._step.errors import InputError, TransientError

KINDS = "an ECDSA key over P-256, an Ed25519 key or an RSA key of at least 2048 bits"
LEAST = 2048  # bits of an RSA key
NAMED = 16  # characters of a key's id in names of files and in sentences


@dataclass(frozen=True)
class PublicKey:
    """A public key; ``key`` is the library's."""

    id: str
    pem: str
    key: Any

    @property
    def short(self) -> str:
        """The id as sentences have it."""
        return self.id[:NAMED]


@dataclass(frozen=True)
class Signer:
    """A private key, here or in a KMS; ``signer`` is the library's."""

    public: PublicKey
    signer: Any


def public_key(pem: str, where: str) -> PublicKey:
    """Read a public key in PEM; ``where`` names it, for the error.

    Raises:
        InputError: it is none, or of another kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{where} is not a public key in PEM; give the file that `colchis keys make` wrote") from error
    return _public(found, where)


def _public(key: Any, where: str) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.signer import ECDSA_SHA2_NISTP256, ED25519, RSA_PKCS1V15_SHA256, SSlibKey

    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        scheme = ECDSA_SHA2_NISTP256
    elif isinstance(key, Ed25519PublicKey):
        scheme = ED25519
    elif isinstance(key, RSAPublicKey) and key.key_size >= LEAST:
        scheme = RSA_PKCS1V15_SHA256
    else:
        raise InputError(f"{where} is a key of another kind; give {KINDS}")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    identity = hashlib.sha256(der).hexdigest()
    return PublicKey(identity, pem, SSlibKey.from_crypto(key, identity, scheme))


def signer_in(file: Path) -> Signer:
    """Read a private key: PEM (PKCS#8) without a passphrase.

    Raises:
        InputError: the file cannot be read, or holds no such key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise InputError(
            f"the signing key {file} cannot be read ({error.strerror}); give this user the right"
        ) from error
    except TypeError as error:  # it has a passphrase
        raise InputError(
            f"the signing key {file} has a passphrase; store it without one, where only its user reads"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"the signing key {file} is not a private key in PEM (PKCS#8); make one: colchis keys make"
        ) from error
    public = _public(key.public_key(), str(file))
    return Signer(public, CryptoSigner(key, public.key))


def signer_at(uri: str, public: PublicKey) -> Signer:
    """Reach a private key by a URI that securesystemslib knows: ``awskms:…``, ``gcpkms:…``, ``azurekms:…``, ``hv:…``.

    Raises:
        InputError: it knows no such URI, or lacks the provider's library.
    """
    from securesystemslib.signer import Signer as Library

    try:
        return Signer(public, Library.from_priv_key_uri(uri, public.key))
    except Exception as error:  # each provider raises its own
        raise InputError(
            f"the signing key {uri[:128]!r} cannot be used ({str(error)[:256]}); correct its URI, or add its library "
            "to the image"
        ) from error


def made() -> tuple[bytes, PublicKey]:
    """Make a key (ECDSA over P-256); return the private one in PEM, and the public one."""
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner.generate_ecdsa()
    return signer.private_bytes, public_key(signer.public_key.keyval["public"], "the key")


def sign(payload: bytes, signer: Signer) -> Bundle:
    """Sign an in-toto statement.

    Raises:
        TransientError: the KMS is away, or refuses.
        InputError: what it gave is no signature by the public key.
    """
    from securesystemslib.dsse import Envelope as Library

    try:
        signature = Library(payload, IN_TOTO, {}).sign(signer.signer)
    except Exception as error:  # each provider raises its own
        raise TransientError(
            f"key {signer.public.short} does not sign ({str(error)[:256]}); ask its KMS, and try again"
        ) from error
    hint = Hint(base64.b64encode(bytes.fromhex(signer.public.id)).decode())
    envelope = Envelope(payload, IN_TOTO, (Signed(bytes.fromhex(signature.signature)),))
    bundle = Bundle(BUNDLE, Material(hint), envelope)
    if not verified(bundle, signer.public):
        raise InputError(f"what signs is not the private half of key {signer.public.short}; give the two of one pair")
    return bundle


def verified(bundle: Bundle, key: PublicKey) -> bool:
    """Return whether the bundle's signature over its payload is this key's."""
    from securesystemslib.dsse import Envelope as Library
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import Signature

    envelope = bundle.envelope
    signatures = {key.id: Signature(key.id, envelope.signatures[0].sig.hex())}  # the envelope's own id is a hint
    try:
        Library(envelope.payload, envelope.payload_type, signatures).verify([key.key], 1)
    except VerificationError:
        return False
    return True


def key_named(bundle: Bundle) -> str:
    """Return the id of the key that the bundle says signed it; "" where it names none."""
    try:
        found = base64.b64decode(bundle.material.public_key.hint, validate=True)
    except ValueError:
        return ""
    return found.hex() if len(found) == hashlib.sha256().digest_size else ""
