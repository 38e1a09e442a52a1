"""The upload step: one version a model's files, allotted once, visible whole."""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from colchis_steps import import_data
from colchis_steps._content.storing import store_directory
from colchis_steps._data.dataset import open_data
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import blob_key, manifest_key
from colchis_steps._formats.models import Bounds, Candidate, Code, Manifest, tree_digest
from colchis_steps._formats.runs import StepResult, UploadReport
from colchis_steps._models.versions import newest
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.upload import allot, main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "saved"
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables/variables.data-00000-of-00001").write_bytes(os.urandom(100_000))
    return directory


def trained(store: Objects, directory: Path, run: str, model: str = "digits") -> Candidate:
    """Store a candidate as train does."""
    files = store_directory(store, directory).files
    candidate = Candidate(
        run=run,
        model=model,
        files=tuple(files),
        tree=tree_digest(files),
        data="file:///data",
        data_digest="sha256:0",
        code=Code(entry="digits:build"),
        hyperparameters={"epochs": 1},
        signature={},
        frameworks={},
        created_at="2026-01-01T00:00:00Z",
    )
    store.write(f"runs/{run}/candidate/model.json", encode(candidate))
    return candidate


def upload(store: Objects, run: str, *more: str) -> int:
    return main([f"--store={store.url}", f"--run={run}", "--model=digits", *more])


def report(store: Objects, run: str) -> tuple[StepResult, UploadReport]:
    result = read_document(store, f"runs/{run}/upload.json", StepResult)
    return result, msgspec.convert(result.details, UploadReport)


def test_a_candidate_becomes_a_version_once(store: Objects, model: Path, tmp_path: Path) -> None:
    candidate, out = trained(store, model, "r1"), tmp_path / "out/version"
    for _ in range(2):
        assert upload(store, "r1", "--from=", f"--version-path={out}") == 0
        assert out.read_text() == "1"
    manifest = read_document(store, "models/digits/1/manifest.json", Manifest)
    assert (manifest.run, manifest.files, manifest.tree) == ("r1", candidate.files, candidate.tree)
    assert list(store.keys("models/")) == ["models/digits/1/manifest.json"]
    result, details = report(store, "r1")
    assert (result.status, result.outputs) == ("succeeded", {"version": "1"})
    assert details == UploadReport(files=2, bytes=100_005, bytes_sent=0, reused=True)


def test_other_files_are_another_version_equal_ones_are_not(store: Objects, model: Path) -> None:
    for run, content, version in (("r1", b"a", 1), ("r2", b"a", 1), ("r3", b"b", 2), ("r3", b"c", 3), ("r4", b"a", 4)):
        (model / "saved_model.pb").write_bytes(content)
        trained(store, model, run)
        assert upload(store, run) == 0
        assert report(store, run)[0].outputs == {"version": str(version)}


def test_versions_are_numbers_not_words(store: Objects, model: Path) -> None:
    candidate = trained(store, model, "r1")
    for version in (2, 9, 10):
        manifest = Manifest(model="digits", version=version, run="r0", files=(), tree="", created_at="")
        store.create(manifest_key("digits", version), encode(manifest))
    store.write("models/digits/aliases/manifest.json", b"{}")
    store.write("models/digits-large/77/manifest.json", b"{}")
    last = newest(store, "digits")
    assert last
    assert last.version == 10
    assert allot(store, candidate)[0].version == 11


def test_uploads_at_one_time_get_a_number_each(store: Objects, model: Path) -> None:
    candidates = []
    for i in range(6):
        (model / "saved_model.pb").write_bytes(b"%d" % i)
        candidates.append(trained(store, model, f"r{i}"))
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda c: allot(store, c), candidates))
    assert sorted(manifest.version for manifest, _ in made) == [1, 2, 3, 4, 5, 6]


def test_a_directory_becomes_candidate_and_version(store: Objects, model: Path, tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGO_PROGRESS_FILE", str(progress))
        assert upload(store, "r1", f"--from={model}") == 0
    assert progress.read_text() == "100005/100005\n"
    candidate = read_document(store, "runs/r1/candidate/model.json", Candidate)
    assert (candidate.run, candidate.model, candidate.signature) == ("r1", "digits", {})
    assert report(store, "r1")[1] == UploadReport(files=2, bytes=100_005, bytes_sent=100_005, reused=False)
    assert upload(store, "r1", f"--from={model}") == 0
    assert read_document(store, "runs/r1/candidate/model.json", Candidate) == candidate
    assert report(store, "r1")[1] == UploadReport(files=2, bytes=100_005, bytes_sent=0, reused=True)


def test_bad_input_has_its_sentence_and_makes_no_version(
    store: Objects, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(words: str, run: str, *more: str) -> None:
        caplog.clear()
        assert upload(store, run, *more) == 65
        assert words in caplog.text
        assert not list(store.keys("models/"))
        assert words in report_message(run)

    def report_message(run: str) -> str:
        result = read_document(store, f"runs/{run}/upload.json", StepResult)
        assert result.status == "failed"
        return result.message

    refuses("run r0 has no candidate in", "r0")
    trained(store, model, "r1", model="faces")
    refuses("run r1 trained model 'faces', not 'digits'", "r1")
    candidate = trained(store, model, "r2")
    store.write("runs/r2/candidate/model.json", encode(msgspec.structs.replace(candidate, tree="sha256:0")))
    refuses("its tree digest is not that of its files; train again", "r2")
    trained(store, model, "r3")
    store.write(blob_key(candidate.files[0].sha256), b"GRAPH")
    refuses("of saved_model.pb in", "r3")
    refuses("nowhere is not a directory", "r4", f"--from={tmp_path / 'nowhere'}")
    (model / "saved_model.pb").unlink()
    refuses("saved has neither saved_model.pb nor model.onnx; give a SavedModel", "r5", f"--from={model}")
    store.write("runs/r6/candidate/model.json", b'{"kind":"colchis.dev/record/v1"}')
    refuses("model.json is not a colchis.dev/candidate/v1 document", "r6")


@pytest.mark.parametrize("name", ["", "Digits", "-a", "a-", "a/b", "..", "a" * 41, "ä", "a_b"])
def test_a_name_that_is_no_label_is_a_usage_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--store=file:///x", "--run=r", f"--model={name}"])
    assert caught.value.code == 2
    assert "is not a model name; use 1 to 40 lower case letters, digits and '-'" in capsys.readouterr().err


@pytest.mark.servers
def test_a_killed_upload_is_invisible_and_the_next_one_finishes(store: Objects, tmp_path: Path) -> None:
    model = tmp_path / "saved"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    for i in range(3):
        (model / f"weights-{i}").write_bytes(os.urandom(24 << 20))
    command = [sys.executable, "-m", "colchis_steps.upload", f"--store={store.url}", "--run=r1", "--model=digits"]
    seen = set[str]()
    for delay in (0.0, 0.05, 0.15):
        step = subprocess.Popen([*command, f"--from={model}"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while set(store.keys("")) <= seen and step.poll() is None:  # its record, then blobs
            assert time.monotonic() < deadline
            time.sleep(0.02)  # the bucket's server is a thread of this process: leave it its turn
        time.sleep(delay)  # the random point
        step.kill()
        finished = step.wait() == 0
        seen = set(store.keys(""))
        for key in seen:
            if key.startswith("blobs/"):
                assert hashlib.sha256(store.read(key)).hexdigest() == key.rpartition("/")[2]
        manifest = newest(store, "digits")
        if not finished:
            status = read_document(store, "runs/r1/upload.json", StepResult).status
            assert status == "running" or (status == "succeeded" and manifest)  # or killed on its way out
        assert manifest is None or all(store.size(blob_key(f.sha256)) == f.size for f in manifest.files)
    assert upload(store, "r1", f"--from={model}") == 0
    assert list(store.keys("models/")) == ["models/digits/1/manifest.json"]
    assert len(list(store.keys("blobs/"))) == 4
    if store.url.startswith("file:"):
        assert [path.name for path in (tmp_path / "store/.incomplete").iterdir()] == ["lock"]


@pytest.mark.servers
def test_an_upload_that_is_asked_to_stop_does_so_at_once(tmp_path: Path) -> None:
    model, root = tmp_path / "saved", tmp_path / "store"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    with (model / "weights").open("wb") as file:
        file.truncate(512 << 20)
    command = [sys.executable, "-m", "colchis_steps.upload", f"--store={root.as_uri()}", "--run=r1", "--model=digits"]
    step = subprocess.Popen([*command, f"--from={model}"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    weighs = 0
    while weighs < 1 << 20:
        with contextlib.suppress(FileNotFoundError):  # what is small comes and goes
            weighs = sum(path.stat().st_size for path in (root / ".incomplete").iterdir())
        assert time.monotonic() < deadline
        assert step.poll() is None
    step.terminate()
    assert b"asked to stop (SIGTERM); run it again" in step.communicate(timeout=10)[1]
    assert step.returncode == 75
    assert [path.name for path in (root / ".incomplete").iterdir()] == ["lock"]
    assert read_document(open_store(root.as_uri()), "runs/r1/upload.json", StepResult).status == "failed"


def test_bounds_and_classes_come_from_the_data_set_into_the_manifest(tmp_path: Path, model: Path) -> None:
    local = open_store((tmp_path / "store").as_uri())
    assert import_data.main(["digits", "--to", local.url, "--shard-rows=2000"]) == 0
    (name,) = (tmp_path / "store/data/digits").iterdir()
    candidate = trained(local, model, "r1")
    data = open_data(name.as_uri()).manifest
    candidate.data, candidate.data_digest = f"data/digits/{name.name}", data.digest
    local.write("runs/r1/candidate/model.json", encode(candidate))
    assert upload(local, "r1") == 0
    made = newest(local, "digits")
    assert made
    assert (made.inputs, made.classes) == ({"image": Bounds(0.0, 16.0)}, tuple(str(digit) for digit in range(10)))


@pytest.mark.parametrize("data", ["data/gone/0", "file:///nowhere/at/all", ""])
def test_a_data_set_that_is_gone_costs_the_bounds_and_not_the_version(
    tmp_path: Path, model: Path, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    local = open_store((tmp_path / "store").as_uri())
    candidate = trained(local, model, "r1")
    candidate.data = data
    local.write("runs/r1/candidate/model.json", encode(candidate))
    assert upload(local, "r1") == 0
    made = newest(local, "digits")
    assert made
    assert (made.inputs, made.classes) == (None, None)
    assert ("no bounds of the inputs" in caplog.text) == bool(data)
