"""The verb keys: from no key at all to a version that anybody can verify, and the change of keys."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.steps.registered import put_on_record

from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import signatures_prefix, statement_key
from colchis_steps._models.signing.trust import Trust, read_trust
from colchis_steps.explain import main as explain
from colchis_steps.keys import main
from colchis_steps.verify import main as verify

Said = pytest.LogCaptureFixture


def trust() -> Trust:
    found = read_trust()
    assert found
    return found


def on_record(published: Any, version: int = 1) -> None:
    manifest = published.publish(published.files, version=version, run=f"run-{version}")
    put_on_record(published.store, manifest, f"oci:{published.root}/images/digits@sha256:{'1' * 64}")


def sign(published: Any, version: int = 1) -> int:
    return main(["sign", f"digits:{version}", f"--store={published.store.url}"])


def test_a_key_is_made_that_only_its_user_reads_and_that_is_trusted(
    keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["make", "--name=first", "--days=10"]) == 0
    told = capsys.readouterr().out
    assert f"kubectl create secret generic colchis-signing --from-file={keys}/private.pem" in told
    assert f"kubectl create configmap colchis-trust --from-file={keys}/trust.json" in told
    assert f"colchis verify MODEL:N --key {keys}/public.pem" in told
    assert stat.S_IMODE((keys / "private.pem").stat().st_mode) == 0o600
    (key,) = trust().keys
    assert (key.name, trust().required) == ("first", True)
    assert now(-9.9 * 86400) < key.not_after < now(-10.1 * 86400)
    assert key.public.pem == (keys / "public.pem").read_text()


def test_a_key_is_not_lost_by_making_another(keys: Path, caplog: Said) -> None:
    assert main(["make"]) == 0
    before = (keys / "private.pem").read_bytes()
    assert main(["make"]) == 65
    assert "there is a key in" in caplog.text
    assert "give --rotate" in caplog.text
    assert (keys / "private.pem").read_bytes() == before


def test_keys_change_with_an_overlap(published: Any, caplog: Said, capsys: pytest.CaptureFixture[str]) -> None:
    on_record(published)
    assert main(["make", "--name=old"]) == 0
    assert sign(published) == 0
    assert main(["make", "--name=new", "--rotate", "--overlap-days=7"]) == 0
    assert [key.name for key in trust().keys] == ["old", "new"]
    assert trust().keys[0].not_after < now(-7.1 * 86400)
    assert verify(["digits:1", f"--store={published.store.url}"]) == 0
    assert sign(published) == 0
    assert len(list(published.store.keys(signatures_prefix("digits", 1)))) == 2
    capsys.readouterr()
    assert main(["show"]) == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == ["old", "new"]
    assert main(["make", "--name=new", "--rotate"]) == 65
    assert "has a key named new; give another --name" in caplog.text


def test_a_key_of_anothers_is_trusted_by_its_public_half(
    keys: Path, tmp_path: Path, caplog: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLCHIS_KEYS", str(tmp_path / "theirs"))
    assert main(["make"]) == 0
    monkeypatch.setenv("COLCHIS_KEYS", str(keys))
    assert main(["add", str(tmp_path / "theirs/public.pem"), "--name=theirs"]) == 0
    assert trust().keys[0].name == "theirs"
    assert main(["add", str(tmp_path / "theirs/public.pem"), "--name=again"]) == 65
    assert "trusts this key already, as theirs" in caplog.text
    assert main(["add", str(tmp_path / "none.pem")]) == 65
    assert "none.pem cannot be read" in caplog.text


def test_show_says_what_is_there(caplog: Said, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level("INFO")
    assert main(["show"]) == 0
    assert "no key signs, and none is trusted" in caplog.text
    assert main(["make", "--name=mine", "--required=false"]) == 0
    capsys.readouterr()
    assert main(["show"]) == 0
    assert "mine" in (line := capsys.readouterr().out)
    assert line.endswith(", signs here\n")
    assert "trust.json does not insist" in caplog.text


def test_anybody_with_the_public_key_verifies(
    published: Any, keys: Path, tmp_path: Path, caplog: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    on_record(published)
    assert main(["make"]) == 0
    assert sign(published) == 0
    public = keys.rename(tmp_path / "elsewhere") / "public.pem"
    flags = ["digits:1", f"--store={published.store.url}"]
    assert verify([*flags, f"--key={public}"]) == 0
    assert "1 versions in" in caplog.text
    assert "are whole, and signed by a key of --key" in caplog.text
    monkeypatch.setenv("COLCHIS_KEYS", str(tmp_path / "other"))
    assert main(["make"]) == 0
    other = tmp_path / "other/public.pem"
    assert verify([*flags, f"--key={other}"]) == 65
    assert "1 of 1 versions are not signed as they should be: digits:1 is refused: it is signed by key" in caplog.text
    assert verify([*flags, f"--key={other}", f"--key={public}"]) == 0
    assert verify([*flags, f"--key={tmp_path / 'elsewhere/private.pem'}"]) == 65
    assert "private.pem is not a public key in PEM" in caplog.text


def test_what_is_not_on_record_is_not_signed(published: Any, keys: Path, caplog: Said) -> None:
    assert main(["make"]) == 0
    assert verify(["digits:1", f"--store={published.store.url}", f"--key={keys}/public.pem"]) == 65
    assert "digits:1 is not on record, so it is not signed" in caplog.text
    assert sign(published) == 65
    assert "version 1 of digits is not on record" in caplog.text


def test_what_is_not_as_it_was_registered_is_not_signed(published: Any, caplog: Said) -> None:
    on_record(published)
    told = json.loads(published.store.read("models/digits/1/record.json"))
    published.store.write("models/digits/1/record.json", json.dumps({**told, "metrics": {"accuracy": 1.0}}).encode())
    assert main(["make"]) == 0
    assert sign(published) == 65
    assert "digits:1 is not as it was registered: its record.json is sha256:" in caplog.text
    assert "do not sign it" in caplog.text


def test_without_a_key_or_a_version_nothing_is_signed(published: Any, caplog: Said) -> None:
    on_record(published)
    assert sign(published) == 65
    assert "to sign with; make one: colchis keys make" in caplog.text
    assert main(["sign", "digits", f"--store={published.store.url}"]) == 65
    assert "name the one to sign: digits:N" in caplog.text


def explained(published: Any, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert explain(["digits/1", f"--store={published.store.url}"]) == 0
    told = (line.strip() for line in capsys.readouterr().out.splitlines())
    (line,) = (line for line in told if line.startswith("signature "))
    return line.removeprefix("signature").strip()


def test_explain_says_who_signed_what(published: Any, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_record(published)
    assert explained(published, capsys) == "not signed"
    assert main(["make", "--name=mine"]) == 0
    assert sign(published) == 0
    key = trust().keys[0].public.id[:16]
    assert explained(published, capsys).startswith(f"signed by mine (key {key}) over its statement sha256:")
    assert explained(published, capsys).endswith(", with image, tree, record and manifest")
    assert explain(["digits/1", f"--store={published.store.url}", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["fault"]) for one in told["signatures"]] == [("mine", "")]
    published.store.write(statement_key("digits", 1), published.store.read(statement_key("digits", 1)) + b" ")
    assert explained(published, capsys).startswith(
        "not signed by a trusted key: its statement is not the one that key mine"
    )
    (keys / "trust.json").unlink()
    assert f"it is signed by key {key}, and no trust.json here says whose that is" in explained(published, capsys)
