"""What the doctor says of signatures: on a cluster, by its facts, and of the versions in a store."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.steps.registered import put_on_record
from tests.steps.test_doctor import FINE

from colchis_steps._doctor.signing import signing, unsigned_versions
from colchis_steps._formats.documents import now
from colchis_steps._models.signing.dsse import made
from colchis_steps._models.signing.trust import Trust, Trusted, encode_trust
from colchis_steps.keys import main as keys_verb

DAY = 24 * 3600
PUBLIC = made()[1]


def trust(until: str = "", *, required: bool = True) -> str:
    return encode_trust(Trust("x", (Trusted("mine", PUBLIC, "", until),), required)).decode()


@pytest.mark.parametrize(
    ("secret", "trusted", "state", "text"),
    [
        (None, "", "skipped", "you may not read"),
        (False, None, "skipped", "you may not read"),
        (False, "", "skipped", "versions are not signed, and nobody asks for it"),
        (True, "", "wrong", "no ConfigMap colchis-trust: nothing is held against signatures"),
        (False, trust(), "wrong", "asks for signatures, and there is no Secret colchis-signing: register fails"),
        (False, trust(required=False), "fine", "not insisted on; mine until it is removed"),
        (True, trust(), "fine", "asked for; mine until it is removed"),
        (True, trust(now(-60 * DAY)), "fine", "asked for; mine until 2"),
        (True, trust(now(-20 * DAY)), "fine", "so a new key is due"),
        (True, trust(now(DAY)), "wrong", "no key in the ConfigMap colchis-trust counts now"),
        (True, "{", "wrong", "the ConfigMap colchis-trust lists no trusted keys"),
    ],
)
def test_a_clusters_signatures(secret: bool | None, trusted: str | None, state: str, text: str) -> None:
    facts = dataclasses.replace(FINE, secrets={"colchis-signing": secret}, trust=trusted)
    found = signing(facts)
    assert (found.state, text in found.text) == (state, True), found
    assert bool(found.fix) == (state == "wrong" or "due" in text or "nobody asks" in text)


def test_a_stores_versions(published: Any, keys: Path) -> None:
    assert unsigned_versions("") == []
    assert unsigned_versions(published.store.url)[0].text == "no trust.json here says which keys are trusted"
    for version in (1, 2):
        manifest = published.publish(published.files, version=version, run=f"run-{version}")
        put_on_record(published.store, manifest, f"host/digits@sha256:{'1' * 64}")
    assert keys_verb(["make"]) == 0
    assert keys_verb(["sign", "digits:1", f"--store={published.store.url}"]) == 0
    (found,) = unsigned_versions(published.store.url)
    assert (found.state, found.text) == ("skipped", "digits:2: not signed by a key that is trusted here")
    assert keys_verb(["sign", "digits:2", f"--store={published.store.url}"]) == 0
    (found,) = unsigned_versions(published.store.url)
    assert (found.state, found.text) == ("fine", f"2 versions, each held against {keys / 'trust.json'}")
    (keys / "trust.json").write_text("{")
    assert unsigned_versions(published.store.url)[0].state == "wrong"
