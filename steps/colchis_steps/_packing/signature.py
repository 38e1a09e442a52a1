"""A signature on an image: a sigstore bundle that refers to it, where ``cosign verify-attestation`` looks.

https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
"""

import json
import logging

from colchis_steps._formats.signatures import BUNDLE, Bundle, encode_bundle
from colchis_steps._models.provenance import PROVENANCE
from colchis_steps._oci.image import MANIFEST, Blob
from colchis_steps._oci.repository import open_repository, parse_reference
from colchis_steps._packing.lineage import attach
from colchis_steps._step.errors import InputError

NOTES = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": PROVENANCE}
log = logging.getLogger("colchis")


def _kind(content: bytes, image: str) -> str:
    """Return a manifest's media type. Raises InputError where it is none."""
    try:
        return str(json.loads(content).get("mediaType", MANIFEST))
    except (ValueError, AttributeError) as error:
        raise InputError(f"{image} has no manifest that can be read; build the image again") from error


def attach_signature(image: str, bundle: Bundle, *, insecure: bool = False) -> None:
    """Hang the bundle on the image, a reference by digest; a registry that refuses it is a warning.

    What rollouts hold a version against is the store's copy, so a registry that keeps none does not stop them.

    Raises:
        TransientError: the registry is away.
    """
    try:
        name, digest = parse_reference(image)
        repository = open_repository(name, insecure=insecure)
        content = repository.manifest(digest)
        subject = Blob(_kind(content, image), content)
        if subject.digest != digest:
            raise InputError(f"{name} has {subject.digest} in the place of {digest}; build the image again")  # noqa: TRY301
        attach(repository, subject, BUNDLE, Blob(BUNDLE, encode_bundle(bundle)), notes=NOTES)
    except InputError as error:
        log.warning("the signature is in the store, and not on the image: %s", error)
