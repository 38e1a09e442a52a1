"""Envelopes: which keys are taken, what an altered one is worth, and what a KMS may do wrong."""

import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from moto.kms.utils import ECDSAPrivateKey
from msgspec.structs import replace

from colchis_steps._formats.documents import Unreadable
from colchis_steps._formats.signatures import BUNDLE, IN_TOTO, decode_bundle, encode_bundle
from colchis_steps._models.signing.dsse import (
    Signer,
    key_named,
    made,
    public_key,
    sign,
    signer_at,
    signer_in,
    verified,
)
from colchis_steps._step.errors import InputError, TransientError

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
EMPTY = (
    b'{"mediaType":"x","verificationMaterial":{"publicKey":{"hint":""}},'
    b'"dsseEnvelope":{"payload":"","payloadType":"t","signatures":[]}}'
)
KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
}
OTHERS = {"P-384": ec.generate_private_key(ec.SECP384R1()), "RSA of 1024 bits": rsa.generate_private_key(65537, 1024)}  # noqa: S505


def private(key: Any, password: bytes | None = None) -> bytes:
    form = BestAvailableEncryption(password) if password else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)
    return pem


def public(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    (tmp_path / "private.pem").write_bytes(made()[0])
    return signer_in(tmp_path / "private.pem")


@pytest.mark.parametrize("kind", KEYS)
def test_a_signature_is_its_keys_and_says_so(tmp_path: Path, kind: str) -> None:
    (tmp_path / "key").write_bytes(private(KEYS[kind]))
    bundle = decode_bundle(encode_bundle(sign(PAYLOAD, signer_in(tmp_path / "key"))), "here")
    key = public_key(public(KEYS[kind]), "the key")
    assert verified(bundle, key)
    assert key_named(bundle) == key.id
    assert not verified(bundle, made()[1])


def test_the_bundle_is_sigstores(signer: Signer) -> None:
    told = json.loads(encode_bundle(sign(PAYLOAD, signer)))
    assert told["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json" == BUNDLE
    assert base64.b64decode(told["verificationMaterial"]["publicKey"]["hint"]).hex() == signer.public.id
    assert base64.b64decode(told["dsseEnvelope"]["payload"]) == PAYLOAD
    assert told["dsseEnvelope"]["payloadType"] == IN_TOTO
    assert [sorted(one) for one in told["dsseEnvelope"]["signatures"]] == [["keyid", "sig"]]


def test_what_was_altered_is_not_verified(signer: Signer) -> None:
    bundle = sign(PAYLOAD, signer)
    envelope = bundle.envelope
    forged = replace(envelope.signatures[0], sig=envelope.signatures[0].sig[:-1] + b"\0")
    for other in (
        replace(envelope, payload=PAYLOAD + b" "),
        replace(envelope, payload_type="text/plain"),
        replace(envelope, signatures=(forged,)),
        replace(envelope, signatures=(replace(forged, sig=b""),)),
    ):
        assert not verified(replace(bundle, envelope=other), signer.public)
    named = replace(bundle, envelope=replace(envelope, signatures=(replace(envelope.signatures[0], keyid="x"),)))
    assert verified(named, signer.public), "an envelope's own id of a key is a hint"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"mediaType": "x"}',
        EMPTY,
        b"[" * 100_000,
    ],
)
def test_what_is_no_bundle_is_named(content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^here is (not a sigstore bundle|a bundle of 'x' with 0 signatures)"):
        decode_bundle(content, "here")


@pytest.mark.parametrize("kind", OTHERS)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "key").write_bytes(private(OTHERS[kind]))
    with pytest.raises(InputError, match=r"key is a key of another kind; give an ECDSA key over P-256"):
        signer_in(tmp_path / "key")
    with pytest.raises(InputError, match=r"team.pem is a key of another kind"):
        public_key(public(OTHERS[kind]), "team.pem")


def test_a_private_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key"
    for content, said in (
        (b"", "is not a private key in PEM"),
        (public(KEYS["P-256"]).encode(), "is not a private key in PEM"),
        (private(KEYS["P-256"], b"secret"), "has a passphrase"),
    ):
        key.write_bytes(content)
        with pytest.raises(InputError, match=said):
            signer_in(key)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        signer_in(tmp_path)


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_public_key_is_named(pem: str) -> None:
    with pytest.raises(InputError, match=r"team.pem is not a public key in PEM"):
        public_key(pem, "team.pem")


def test_a_private_key_is_no_public_one() -> None:
    with pytest.raises(InputError, match=r"team.pem is not a public key in PEM"):
        public_key(made()[0].decode(), "team.pem")


@pytest.mark.servers
def test_a_kms_signs(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_digest(self: Any, message: bytes, algorithm: str) -> bytes:
        """Sign as AWS does where the message is a digest already, which moto takes for the message."""
        signature: bytes = self.private_key.sign(message, ec.ECDSA(Prehashed(SHA256())))
        return signature

    monkeypatch.setattr(ECDSAPrivateKey, "sign", of_digest)
    client = boto3.client("kms")
    found = client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    der = client.get_public_key(KeyId=found)["PublicKey"]
    pem = load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = public_key(pem, "the key")
    assert verified(sign(PAYLOAD, signer_at(f"awskms:{found}", key)), key)
    with pytest.raises(InputError, match=r"what signs is not the private half of key"):
        sign(PAYLOAD, signer_at(f"awskms:{found}", made()[1]))
    with pytest.raises(TransientError, match=r"key .* does not sign .*NotFound"):
        sign(PAYLOAD, signer_at("awskms:00000000-0000-0000-0000-000000000000", key))


@pytest.mark.parametrize(
    ("uri", "said"), [("nokms:x", "Unsupported private key scheme nokms"), ("gcpkms:x", "google-cloud-kms"), ("", "")]
)
def test_a_uri_that_no_library_here_knows_is_named(uri: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"the signing key '{uri}' cannot be used \(.*{said}"):
        signer_at(uri, made()[1])
