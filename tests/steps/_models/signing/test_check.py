"""A version held against the keys that are trusted: each way in which it may not be signed is refused by name."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.steps.registered import put_on_record

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import record_key, signature_key, statement_key
from colchis_steps._formats.models import Record
from colchis_steps._formats.signatures import decode_bundle, encode_bundle
from colchis_steps._models.binding import read_version
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.dsse import Signer, made, signer_in
from colchis_steps._models.signing.sealing import find_signer, seal
from colchis_steps._models.signing.trust import Trust, Trusted
from colchis_steps._models.versions import published as may_be_served
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document

IMAGE = f"host/digits@sha256:{'1' * 64}"
Make = Callable[[str], Signer]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def signer(name: str) -> Signer:
        (tmp_path / f"{name}.pem").write_bytes(made()[0])
        return signer_in(tmp_path / f"{name}.pem")

    return signer


def trust_in(*signers: Signer, required: bool = True, not_before: str = "", not_after: str = "") -> Trust:
    keys = (Trusted(f"key-{number}", signer.public, not_before, not_after) for number, signer in enumerate(signers))
    return Trust("trust.json", tuple(keys), required)


def sealed(published: Any, signer: Signer, version: int = 1) -> str:
    """Put a version on record and sign it; return the key of the signature."""
    manifest = published.publish(published.files, version=version, run=f"run-{version}")
    put_on_record(published.store, manifest, IMAGE)
    seal(published.store, read_version(published.store, "digits", version), signer=signer)
    return signature_key("digits", version, signer.public.id)


def stated(published: Any, version: int = 1) -> bytes:
    content: bytes = published.store.read(statement_key("digits", version))
    return content


def check(published: Any, trust: Trust | None, version: int = 1, **more: Any) -> tuple[str, ...]:
    return check_signed(published.store, read_version(published.store, "digits", version), trust, **more)


def refused(published: Any, trust: Trust, said: str, version: int = 1) -> None:
    with pytest.raises(
        InputError, match=rf"^digits:{version} is refused: {said}.* colchis keys sign digits:{version}$"
    ):
        check(published, trust, version)


def test_a_version_that_a_trusted_key_signed_passes(published: Any, make: Make) -> None:
    sealed(published, signer := make("a"))
    assert check(published, trust_in(signer)) == ("key-0",)
    assert check(published, trust_in(make("b"), signer)) == ("key-1",)
    assert check(published, None) == (), "where nobody wrote keys down none are asked for"


def test_a_version_that_nobody_signed_is_refused(published: Any, make: Make) -> None:
    put_on_record(published.store, published.publish(published.files), IMAGE)
    refused(published, trust_in(make("a")), "it is not signed, and trust.json asks for a signature")


def test_a_key_that_is_not_trusted_is_refused(published: Any, make: Make) -> None:
    sealed(published, signer := make("a"))
    refused(
        published, trust_in(make("b")), f"it is signed by key {signer.public.id[:16]}, which trust.json does not have"
    )


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (("", "2026-01-01T00:00:00Z"), "which is past its not_after 2026-01-01T00:00:00Z"),
        ((now(-3600), ""), "which does not count before"),
    ],
)
def test_an_outdated_key_is_refused(published: Any, make: Make, bounds: tuple[str, str], said: str) -> None:
    sealed(published, signer := make("a"))
    trust = trust_in(signer, not_before=bounds[0], not_after=bounds[1])
    refused(published, trust, rf"it is signed by key key-0 \([0-9a-f]{{16}}\), {said}")


def test_an_altered_statement_is_refused(published: Any, make: Make) -> None:
    sealed(published, signer := make("a"))
    told = json.loads(stated(published))
    told["predicate"]["buildDefinition"]["externalParameters"]["data"] = "other"
    published.store.write(statement_key("digits", 1), json.dumps(told).encode())
    refused(published, trust_in(signer), r"its statement is not the one that key key-0 \([0-9a-f]{16}\) signed")


def test_a_statement_that_is_altered_within_the_signature_too_is_refused(published: Any, make: Make) -> None:
    key = sealed(published, signer := make("a"))
    bundle = decode_bundle(published.store.read(key), key)
    altered = stated(published).replace(b"run-1", b"run-7")
    published.store.write(statement_key("digits", 1), altered)
    forged = replace(bundle, envelope=replace(bundle.envelope, payload=altered))
    published.store.write(key, encode_bundle(forged))
    refused(published, trust_in(signer), r"its signature is not by key key-0 .*: it was altered, or forged")


def test_the_signature_of_another_version_is_refused(published: Any, make: Make) -> None:
    first, second = sealed(published, signer := make("a")), sealed(published, signer, version=2)
    published.store.write(second, published.store.read(first))
    refused(
        published, trust_in(signer), "its signature by key key-0 .* is of another version: models/digits/1", version=2
    )


def test_another_versions_documents_under_this_ones_name_are_refused(published: Any, make: Make) -> None:
    sealed(published, make("a"))
    top = published.root / "store/models/digits"
    shutil.copytree(top / "1", top / "2")
    with pytest.raises(InputError, match=r"version 2 of digits must not be served: the manifest's name is digits:1"):
        may_be_served(published.store, "digits", 2)


def test_a_record_that_is_altered_is_refused_even_where_it_says_that_it_is_of_an_older_release(
    published: Any, make: Make, keys: Path
) -> None:
    sealed(published, make("a"))
    record = read_document(published.store, record_key("digits", 1), Record)
    published.store.write(record_key("digits", 1), encode(replace(record, evaluation="", metrics={"accuracy": 1.0})))
    with pytest.raises(InputError, match=r"must not be served: its record.json is sha256:.*, and its statement says"):
        may_be_served(published.store, "digits", 1)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_signature_that_cannot_be_read_is_refused_and_another_beside_it_counts(
    published: Any, make: Make, content: bytes
) -> None:
    key = sealed(published, signer := make("a"))
    published.store.write(key, content)
    refused(published, trust_in(signer), f"{published.store.url}/{key} is not a sigstore bundle")
    seal(published.store, read_version(published.store, "digits", 1), signer=(other := make("b")))
    assert check(published, trust_in(signer, other)) == ("key-1",)


def test_a_key_rotates_while_the_old_one_counts(published: Any, make: Make) -> None:
    """Old versions by the old key, new ones by the new key; past its not_after, what is to serve is signed again."""
    old, new = make("old"), make("new")
    sealed(published, old, version=1)
    sealed(published, new, version=2)
    overlap = trust_in(old, new, not_after=now(-3600))
    assert [check(published, overlap, version) for version in (1, 2)] == [("key-0",), ("key-1",)]
    later = Trust("trust.json", (replace_bound(overlap.keys[0], now(1)), overlap.keys[1]))
    refused(published, later, "it is signed by key key-0 .* past its not_after", version=1)
    seal(published.store, read_version(published.store, "digits", 1), signer=new)
    assert check(published, later, 1) == ("key-1",)


def replace_bound(key: Trusted, until: str) -> Trusted:
    return Trusted(key.name, key.public, "", until)


def test_a_trust_that_does_not_insist_warns(published: Any, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    put_on_record(published.store, published.publish(published.files), IMAGE)
    assert check(published, trust_in(make("a"), required=False)) == ()
    assert "digits:1 is served all the same, as trust.json does not insist: it is not signed" in caplog.text


def test_who_has_to_sign_has_to(published: Any, make: Make) -> None:
    sealed(published, first := make("a"))
    trust = trust_in(first, second := make("b"), required=False)
    assert check(published, trust, signers=["key-0"]) == ("key-0",)
    with pytest.raises(InputError, match=r"digits:1 is refused: it has to be signed by key-1 too"):
        check(published, trust, signers=["key-0", "key-1"])
    seal(published.store, read_version(published.store, "digits", 1), signer=second)
    assert check(published, trust, signers=["key-0", "key-1"]) == ("key-0", "key-1")
    with pytest.raises(InputError, match=r"digits:1 has to be signed by key-0, and no trust.json says who that is"):
        check(published, None, signers=["key-0"])


def test_a_signature_stands_and_one_that_somebody_put_there_is_named(published: Any, make: Make) -> None:
    key = sealed(published, signer := make("a"))
    before = published.store.read(key)
    seal(published.store, read_version(published.store, "digits", 1), signer=signer)
    assert published.store.read(key) == before
    other = read_version(published.store, "digits", 1)
    other = dataclasses.replace(other, statement=b"other")
    with pytest.raises(InputError, match=r"is not this key's signature over the version's statement"):
        seal(published.store, other, signer=signer)


def test_the_key_that_signs_is_held_against_the_trust(keys: Path, make: Make) -> None:
    trusted = make("trusted")
    assert find_signer(None) is None
    assert find_signer(trust_in(trusted, required=False)) is None
    with pytest.raises(InputError, match=r"asks for signatures, and there is no key in .*; make one: colchis"):
        find_signer(trust_in(trusted))
    keys.mkdir()
    (keys / "private.pem").write_bytes(made()[0])
    with pytest.raises(InputError, match=r"signed by key [0-9a-f]{16}, which trust.json does not have"):
        find_signer(trust_in(trusted))
    assert find_signer(trust_in(trusted, required=False))
    found = find_signer(None)
    assert found
    with pytest.raises(InputError, match=r"signed by key key-0, which is past its not_after"):
        find_signer(trust_in(found, not_after="2026-01-01T00:00:00Z"))
    (keys / "private.pem").unlink()
    (keys / "uri").write_text("awskms:alias/x\n")
    with pytest.raises(InputError, match=r"has uri, and no public.pem"):
        find_signer(None)
