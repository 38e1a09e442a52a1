"""The step register, where there is a key to sign with or signatures are asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.steps.test_register import finish, register, run_steps

from colchis_steps._formats.keys import signatures_prefix, statement_key
from colchis_steps._formats.signatures import BUNDLE, decode_bundle
from colchis_steps._models.binding import read_version
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.dsse import made
from colchis_steps._models.versions import published as may_be_served
from colchis_steps._oci.layout import Layout
from colchis_steps._step.errors import InputError
from colchis_steps.keys import main as keys_verb

Said = pytest.LogCaptureFixture


@pytest.fixture
def key(keys: Path) -> Path:
    assert keys_verb(["make", "--name=mine"]) == 0
    return keys


def signatures(published: Any) -> list[str]:
    return list(published.store.keys(signatures_prefix("digits", 1)))


def names(published: Any) -> list[str]:
    return [name for name in published.store.keys("models/") if not name.endswith("manifest.json")]


def test_without_a_key_nothing_is_signed_and_nothing_is_asked_for(published: Any, tmp_path: Path) -> None:
    assert register(published, run_steps(published, tmp_path)) == 0
    assert not signatures(published)
    assert may_be_served(published.store, "digits", 1)


def test_the_statement_is_signed_whole(published: Any, tmp_path: Path, key: Path) -> None:
    assert register(published, run_steps(published, tmp_path)) == 0
    (name,) = signatures(published)
    bundle = decode_bundle(published.store.read(name), name)
    assert bundle.envelope.payload == published.store.read(statement_key("digits", 1))
    assert check_signed(published.store, read_version(published.store, "digits", 1)) == ("mine",)
    assert may_be_served(published.store, "digits", 1)


def test_the_image_gets_the_bundle_as_a_referrer(published: Any, tmp_path: Path, key: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    digest, layout = image.rpartition("@")[2], Layout(tmp_path / "images/digits")
    listed = json.loads(layout.manifest(str(layout.tagged(digest.replace(":", "-")))))["manifests"]
    (entry,) = [entry for entry in listed if entry["artifactType"] == BUNDLE]
    manifest = json.loads(layout.manifest(entry["digest"]))
    assert (manifest["artifactType"], manifest["subject"]["digest"]) == (BUNDLE, digest)
    content = b"".join(layout.blob(manifest["layers"][0]["digest"]))
    assert [content] == [published.store.read(name) for name in signatures(published)]


def test_an_image_that_takes_no_signature_is_a_warning(published: Any, tmp_path: Path, key: Path, caplog: Said) -> None:
    image = run_steps(published, tmp_path)
    (tmp_path / "images/digits/blobs/sha256" / image.rpartition(":")[2]).unlink()
    assert register(published, image) == 0
    assert "the signature is in the store, and not on the image: oci:" in caplog.text


def test_again_keeps_the_signature_and_makes_the_one_that_a_kill_left_out(
    published: Any, tmp_path: Path, key: Path
) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    (name,) = signatures(published)
    before = published.store.read(name)
    assert register(published, image) == 0
    assert published.store.read(name) == before
    published.store.delete(name)
    assert register(published, image) == 0
    assert signatures(published) == [name]


def test_where_signatures_are_asked_for_a_missing_key_leaves_no_record(
    published: Any, tmp_path: Path, key: Path, caplog: Said
) -> None:
    (key / "private.pem").unlink()
    assert register(published, run_steps(published, tmp_path)) == 65
    assert "asks for signatures, and there is no key in" in caplog.text
    assert not names(published)


def test_a_key_that_is_not_trusted_leaves_no_record(published: Any, tmp_path: Path, key: Path, caplog: Said) -> None:
    (key / "private.pem").write_bytes(made()[0])
    assert register(published, run_steps(published, tmp_path)) == 65
    assert "which " in caplog.text
    assert "trust.json does not have; add it" in caplog.text
    assert not names(published)


@pytest.mark.parametrize("content", [b"", b"no key"])
def test_a_key_that_cannot_be_read_leaves_no_record(
    published: Any, tmp_path: Path, key: Path, caplog: Said, content: bytes
) -> None:
    (key / "private.pem").write_bytes(content)
    assert register(published, run_steps(published, tmp_path)) == 65
    assert "private.pem is not a private key in PEM" in caplog.text
    assert not names(published)


def test_a_run_that_goes_on_after_its_version_was_signed_is_done(published: Any, tmp_path: Path, key: Path) -> None:
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    finish(published, "validate_data", started_at="2026-11-23T00:00:00Z")  # again, so the statement would be another
    assert register(published, image) == 0
    (name,) = signatures(published)
    published.store.delete(name)
    assert register(published, image) == 65, "not known to be this run's any more"


def test_a_statement_that_somebody_put_there_first_is_not_signed(
    published: Any, tmp_path: Path, key: Path, caplog: Said
) -> None:
    image = run_steps(published, tmp_path)
    published.store.write(statement_key("digits", 1), b'{"subject":[],"predicate":{}}')
    assert register(published, image) == 65
    assert "the statement of digits:1 is not what run run-1 states; somebody changed it" in caplog.text
    assert not signatures(published)


def test_the_record_of_another_run_is_not_signed_by_this_one(
    published: Any, tmp_path: Path, key: Path, caplog: Said
) -> None:
    """Else who may write to the store could have a story of his own signed."""
    image = run_steps(published, tmp_path)
    assert register(published, image) == 0
    (name,) = signatures(published)
    kept = published.store.read(name)
    published.store.delete(name)
    manifest = published.publish(published.files, version=9, run="run-2")
    run_steps(published, tmp_path, run="run-2")
    assert manifest.tree
    assert register(published, image, run="run-2") == 65
    assert "digits:1 is refused: it is not signed" in caplog.text
    assert not signatures(published)
    published.store.write(name, kept)
    assert register(published, image, run="run-2") == 0


def test_a_version_of_before_there_was_a_key_is_refused_until_it_is_signed(
    published: Any, tmp_path: Path, keys: Path
) -> None:
    assert register(published, run_steps(published, tmp_path)) == 0
    assert keys_verb(["make"]) == 0
    with pytest.raises(InputError, match=r"digits:1 is refused: it is not signed, .*: colchis keys sign digits:1"):
        may_be_served(published.store, "digits", 1, back=True)
    assert keys_verb(["sign", "digits:1", f"--store={published.store.url}"]) == 0
    assert may_be_served(published.store, "digits", 1, back=True)
