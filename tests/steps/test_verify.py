"""verify reads what is stored once more and names what is missing or altered."""

import json

import pytest
from msgspec.structs import replace
from tests.steps.conftest import MODEL_FILES, Published
from tests.steps.registered import put_on_record

from colchis_steps import verify
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Manifest
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._store.documents import read_document

DATA = MODEL_FILES["variables/variables.data-00000-of-00001"]


def check(published: Published, *more: str) -> int:
    return verify.main([f"--store={published.store.url}", *more])


def test_whole_models_are_said_to_be_whole(published: Published, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="colchis")
    published.publish(MODEL_FILES | {"saved_model.pb": b"other"}, version=2)
    for given, count in (((), 2), (("digits",), 2), (("digits:2",), 1)):
        caplog.clear()
        assert check(published, *given) == 0
        assert f"{count} versions in {published.store.url} are whole" in caplog.text


def test_missing_and_altered_files_are_named_in_each_version(
    published: Published, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    published.publish(MODEL_FILES | {"saved_model.pb": b"other"}, version=2)
    published.blob(b"words\n").unlink()
    published.blob(DATA).write_bytes(b"X" + DATA[1:])  # of the same size
    assert check(published) == 65
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(" (")[0] for line in lines) == [
        f"digits:{version} {path} {state}"
        for version in (1, 2)
        for path, state in (
            ("assets/a name with spaces, and ünïcode.txt", "missing"),
            ("variables/variables.data-00000-of-00001", "altered"),
        )
    ]
    assert "4 files in" in caplog.text
    assert "store those models again, or go back to a version that is whole" in caplog.text
    published.blob(b"other").unlink()
    assert check(published, "digits:1") == 65
    assert "saved_model.pb" not in capsys.readouterr().out


def test_a_manifest_whose_files_are_not_those_of_its_digest_is_named(
    published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    path = published.root / "store/models/digits/1/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = manifest["files"][1:]
    path.write_text(json.dumps(manifest))
    assert check(published, "digits") == 65
    assert "digits:1 manifest altered: its tree digest is not that of its files" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"{", b'{"kind": "colchis.dev/manifest/v2"}'])
def test_a_manifest_that_cannot_be_read_stops_no_other_and_is_never_said_to_be_whole(
    published: Published, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    published.store.write("models/digits/2/manifest.json", content)
    assert check(published) == 65
    assert "models/digits/2/manifest.json is not a colchis.dev/manifest/v1 document" in capsys.readouterr().out
    assert "1 of 2 versions could not be verified" in caplog.text
    published.blob(b"words\n").unlink()
    assert check(published) == 65
    odd, missing = capsys.readouterr().out.splitlines()
    assert "models/digits/2/manifest.json" in odd
    assert missing == "digits:1 assets/a name with spaces, and ünïcode.txt missing"
    assert check(published, "digits:2") == 65


@pytest.mark.parametrize("what", ["faces", "digits:9"])
def test_what_is_not_there_is_said(published: Published, caplog: pytest.LogCaptureFixture, what: str) -> None:
    assert check(published, what) == 65
    assert published.store.url in caplog.text


@pytest.mark.parametrize("what", ["digits:", "digits:0", "digits:x", "Digits", "../x:1"])
def test_a_name_that_is_none_is_a_usage_error(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        verify.main(["--store=file:///x", what])
    assert caught.value.code == 2
    assert "model" in capsys.readouterr().err.lower()


def test_aliases_and_rollouts_have_to_name_what_is_on_record(
    published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_document(published.store, "models/digits/1/manifest.json", Manifest)
    record = put_on_record(published.store, manifest, f"host/digits@sha256:{'1' * 64}")
    alias = Alias("digits", 1, now(), image=record.image)
    published.store.write("models/digits/aliases/stable.json", encode(alias))
    published.store.write("models/digits/rollouts/r.json", encode(Rollout("digits", 1, "r", None, now(), "pass")))
    assert check(published) == 0
    for wrong, said in (
        (replace(alias, version=9), "digits stable names digits:9, which is not on record"),
        (replace(alias, image=f"host/other@sha256:{'2' * 64}"), "digits stable names the image host/other@sha256:2"),
    ):
        published.store.write("models/digits/aliases/stable.json", encode(wrong))
        capsys.readouterr()
        assert check(published) == 65
        assert said in capsys.readouterr().out
    published.store.write("models/digits/aliases/stable.json", encode(alias))
    published.store.write("models/digits/rollouts/r.json", encode(Rollout("digits", 9, "r", None, now(), "pass")))
    assert check(published) == 65
    assert "models/digits/rollouts/r.json tells of digits:9, which there is not" in capsys.readouterr().out
    assert check(published, "digits:1") == 0, "the version itself is whole"


def test_a_record_that_says_fail_is_told_of(published: Published, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_document(published.store, "models/digits/1/manifest.json", Manifest)
    put_on_record(published.store, manifest, f"host/digits@sha256:{'1' * 64}", verdict="fail")
    assert check(published, "digits:1") == 65
    assert "digits:1 is on record with the verdict 'fail'" in capsys.readouterr().out
