"""Which keys are trusted: what the file may say, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.documents import now
from colchis_steps._models.signing import trust as module
from colchis_steps._models.signing.dsse import made
from colchis_steps._models.signing.trust import decode_trust, encode_trust, read_trust, trust_file
from colchis_steps._step.errors import InputError

PEM = made()[1].pem
KIND = "colchis.dev/trust/v1"


def document(*keys: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"kind": KIND, "keys": keys, **more}).encode()


def test_where_nobody_wrote_keys_down_none_are_asked_for() -> None:
    assert read_trust() is None


def test_a_trust_reads_as_it_was_written(keys: Path) -> None:
    keys.mkdir()
    (keys / "trust.json").write_bytes(document({"name": "a", "public": PEM, "not_after": "2030-01-01T01:00:00+01:00"}))
    found = read_trust()
    assert found is not None
    assert (found.source, found.required, found.keys[0].name) == (str(keys / "trust.json"), True, "a")
    assert found.keys[0].not_after == "2030-01-01T00:00:00Z"
    assert decode_trust(encode_trust(found), found.source) == found
    assert found.by_id(found.keys[0].public.id) == found.keys[0]
    assert found.by_id("0" * 64) is None


def test_a_keys_bounds_are_told() -> None:
    content = document({"name": "a", "public": PEM, "not_before": now(-60), "not_after": now(-120)})
    (key,) = decode_trust(content, "x").keys
    assert key.fault(now()) == f"which does not count before {key.not_before}"
    assert not key.fault(now(-90))
    assert key.fault(now(-180)) == f"which is past its not_after {key.not_after}"


KEY = {"name": "a", "public": PEM}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x lists no trusted keys"),
        (b"[]", "x lists no trusted keys"),
        (b"\xff", "x lists no trusted keys"),
        (b"[" * 100_000, "x lists no trusted keys"),
        (b'{"kind":"colchis.dev/trust/v2","keys":[]}', "x lists no trusted keys .*colchis.dev/trust/v2"),
        (document(KEY, requird=False), "x lists no trusted keys .*requird"),
        (document({**KEY, "notafter": "2027-01-01T00:00:00Z"}), "x lists no trusted keys .*notafter"),
        (document(), "x asks for signatures and trusts no key"),
        (document(KEY, {**KEY, "name": "b"}), "x has the key '[0-9a-f]{64}' twice"),
        (document(KEY, {**KEY, "public": made()[1].pem}), "x has the name 'a' twice"),
        (document({**KEY, "public": "PEM"}), "the key 'a' in x is not a public key in PEM"),
        (document({**KEY, "not_after": "next year"}), "the key 'a' in x has the time 'next year'; write it as 20"),
        (document({**KEY, "not_after": "2027-01-01T00:00:00"}), "the key 'a' in x has the time '2027-01-01T00:00:00'"),
    ],
)
def test_what_is_no_trust_is_named(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        decode_trust(content, "x")


def test_a_file_that_cannot_be_read_is_named_and_not_passed_over(keys: Path) -> None:
    (keys / "trust.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"trust.json cannot be read \(Is a directory\)"):
        read_trust()


def test_a_file_of_any_size_is_not_read(keys: Path) -> None:
    keys.mkdir()
    (keys / "trust.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(InputError, match=r"trust.json is larger than 1048576 bytes"):
        read_trust()


def test_in_a_pod_the_mounted_file_counts_and_one_of_another_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLCHIS_KEYS")
    monkeypatch.setattr(module, "MOUNTED", tmp_path / "trust")
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path / "home"))
    assert trust_file() == tmp_path / "home/keys/trust.json"
    (tmp_path / "trust").mkdir()
    assert trust_file() == tmp_path / "trust/trust.json"
    assert read_trust() is None, "the ConfigMap is optional"
    (tmp_path / "trust/trusted.json").touch()
    with pytest.raises(InputError, match=r"ConfigMap colchis-trust has trusted.json, and no trust.json"):
        read_trust()
