"""A signature that hangs on an image: what a repository that is not as it should be is worth."""

from pathlib import Path

import pytest

from colchis_steps._formats.signatures import BUNDLE, IN_TOTO, Bundle, Envelope, Hint, Material, Signed
from colchis_steps._oci.image import INDEX, Blob
from colchis_steps._oci.layout import Layout
from colchis_steps._packing.signature import attach_signature

SIGNATURE = Bundle(BUNDLE, Material(Hint("")), Envelope(b"{}", IN_TOTO, (Signed(b"x"),)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", "has no manifest that can be read"),
        (b"[]", "has no manifest that can be read"),
        (b'{"mediaType":"other"}', "in the place of sha256:"),
        (None, "has no sha256:"),
    ],
)
def test_what_is_no_such_image_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None, said: str
) -> None:
    layout = Layout(tmp_path / "images")
    layout.put_manifest(image := Blob(INDEX, b"{}"))
    file = tmp_path / "images/blobs/sha256" / image.digest.removeprefix("sha256:")
    file.unlink() if content is None else file.write_bytes(content)
    before = {path.name for path in file.parent.iterdir()}
    attach_signature(f"oci:{tmp_path}/images@{image.digest}", SIGNATURE)
    assert "the signature is in the store, and not on the image: " in caplog.text
    assert said in caplog.text
    assert {path.name for path in file.parent.iterdir()} == before


def test_a_manifest_that_does_not_name_its_type_is_signed_all_the_same(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    layout.put_manifest(image := Blob(INDEX, b"{}"))
    attach_signature(f"oci:{tmp_path}/images@{image.digest}", SIGNATURE)
    assert layout.tagged(image.digest.replace(":", "-"))


def test_a_reference_by_tag_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    attach_signature("host/digits:1", SIGNATURE)
    assert "names no image by digest" in caplog.text
