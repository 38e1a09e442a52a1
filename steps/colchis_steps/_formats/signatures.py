"""A signature over a version's statement, as sigstore's tools read it: a bundle of release 0.3 with a key's hint.

Format: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto, an envelope by
https://github.com/secure-systems-lab/dsse in it. Bytes are base64 in JSON.
"""

import msgspec

from colchis_steps._formats.documents import Part, Unreadable

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"


class Hint(Part):
    """Which key signed: base64 of the sha256 of its DER, as cosign has it. It says so; it proves nothing."""

    hint: str


class Material(Part):
    """What a signature is verified by."""

    public_key: Hint = msgspec.field(name="publicKey")


class Signed(Part):
    """One signature of an envelope; the id of its key is a hint, too."""

    sig: bytes
    keyid: str = ""


class Envelope(Part):
    """What was signed, whole, and by whom."""

    payload: bytes
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[Signed, ...]


class Bundle(Part):
    """A signature (``models/<model>/<n>/signatures/<key>.sigstore.json``); never changes."""

    media_type: str = msgspec.field(name="mediaType")
    material: Material = msgspec.field(name="verificationMaterial")
    envelope: Envelope = msgspec.field(name="dsseEnvelope")


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the bundle's JSON."""
    return msgspec.json.encode(bundle)


def decode_bundle(content: bytes, source: str) -> Bundle:
    """Read a bundle; ``source`` names where it lies, for the error.

    Raises:
        Unreadable: the content is none of this release, or has not exactly one signature over an in-toto statement.
    """
    try:
        found = msgspec.json.decode(content, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{source} is not a sigstore bundle ({str(error)[:128]}); sign the version again") from error
    form = (found.media_type, found.envelope.payload_type, len(found.envelope.signatures))
    if form != (BUNDLE, IN_TOTO, 1):
        raise Unreadable(
            f"{source} is a bundle of {form[0][:64]!r} with {form[2]} signatures over {form[1][:64]!r}, not of one "
            f"over {IN_TOTO}; sign the version again"
        )
    return found
