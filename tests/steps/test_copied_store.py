"""A store that is copied elsewhere as a whole, its old place gone, holds all that it held."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.steps.registered import judged, put_on_record

from colchis_steps import (
    build_image,
    explain,
    gc,
    import_data,
    models,
    predict,
    register,
    report,
    rollout,
    upload,
    validate_data,
    verify,
)
from colchis_steps._content.storing import store_directory
from colchis_steps._data.dataset import open_data
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key, candidate_key, code_key, manifest_key, record_key, result_key
from colchis_steps._formats.models import Alias, Candidate, Code, Manifest, Record, tree_digest
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.versions import published
from colchis_steps._rollout.journal import described
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import portable

THEN = "2026-01-01T00:00:00Z"
CLASSES = tuple(str(digit) for digit in range(10))
CODE = code_key("c" * 64)


@dataclass
class Made:
    """A store as the steps of a run leave it, and what was told of its data; ``move`` puts it elsewhere."""

    store: Objects
    data: str
    image: str


Copy = Callable[[Made, Path, pytest.FixtureRequest], Objects]


def run_steps(root: Path, *, older: bool = False) -> Made:
    """Make a version of the model digits: what trains is left out, what it stores is not."""
    store = open_store((root / "old/store").as_uri())
    assert import_data.main(["digits", "--to", store.url, "--shard-rows=2000"]) == 0
    (name,) = (root / "old/store/data/digits").iterdir()
    data = f"{store.url}/data/digits/{name.name}"
    (root / "model").mkdir()
    (root / "model/saved_model.pb").write_bytes(b"graph")
    files = tuple(store_directory(store, root / "model").files)
    candidate = Candidate(
        run="r1",
        model="digits",
        files=files,
        tree=tree_digest(files),
        data=data,
        data_digest=open_data(data).manifest.digest,
        code=Code("digits:build", f"{store.url}/{CODE}", f"sha256:{'c' * 64}"),
        hyperparameters={},
        signature={},
        frameworks={},
        created_at=THEN,
    )
    store.write(candidate_key("r1"), encode(candidate if older else portable(store, candidate)))
    store.write(CODE, b"code")
    finish(store, "evaluate", verdict="pass", details=judged(candidate, golden=""))
    flags = [f"--store={store.url}", "--run=r1", "--model=digits"]
    assert validate_data.main([*flags, f"--data={data}"]) == 0
    assert upload.main(flags) == 0
    to = root / "image"
    packed = [f"--repository=oci:{root}/images", "--builder=direct", f"--image-path={to}"]
    assert build_image.main([*flags, "--version=1", *packed]) == 0
    assert register.main([*flags, "--version=1", f"--image={to.read_text()}"]) == 0
    store.write(
        alias_key("digits", "stable"), encode(Alias("digits", 1, THEN, endpoint="http://127.0.0.1:9/v1/models/digits"))
    )
    return Made(store, data, to.read_text())


def finish(store: Objects, step: str, **more: object) -> None:
    told = StepResult(step, "r1", "succeeded", {}, THEN)
    store.write(result_key("r1", step), encode(msgspec.structs.replace(told, **more)))


def into_directory(made: Made, root: Path, _: pytest.FixtureRequest) -> Objects:
    shutil.copytree(root / "old/store", root / "new/place")
    return open_store((root / "new/place").as_uri())


def into_bucket(made: Made, _: Path, request: pytest.FixtureRequest) -> Objects:
    there = open_store(f"s3://{request.getfixturevalue('bucket')}/some/prefix")
    for key in made.store.keys(""):
        there.write(key, made.store.read(key))
    return there


@pytest.fixture(params=[into_directory, into_bucket])
def moved(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Objects, Made]:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path / "home"))
    made = run_steps(tmp_path)
    copy: Copy = request.param
    there = copy(made, tmp_path, request)
    shutil.rmtree(tmp_path / "old")
    capsys.readouterr()
    return there, made


def test_it_answers_as_before(moved: tuple[Objects, Made], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    there, made = moved
    data, where = made.data.replace(made.store.url, there.url), f"--store={there.url}"
    for name in (candidate_key("r1"), record_key("digits", 1), manifest_key("digits", 1)):
        assert made.store.url not in there.read(name).decode(), name

    assert explain.main(["digits/1", "--json", where]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["data"], told["code"]["uri"]) == (data, f"{there.url}/{CODE}")
    assert explain.main([made.image, where]) == 0
    assert data in capsys.readouterr().out
    assert models.main(["show", "digits", where]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == data
    assert models.main(["list", where]) == 0
    assert models.main(["pull", "digits", f"--to={tmp_path}/pulled", where]) == 0
    assert verify.main([where]) == 0
    assert gc.main([where, "--dry-run"]) == 0
    capsys.readouterr()
    assert predict.main(["digits", "--row=3", "--show-instance", where]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 8

    flags = [where, "--run=r2", "--model=digits"]
    new = tmp_path / "new-data"
    assert validate_data.main([*flags, f"--data={data}", "--only-new-data=true", f"--new-data-path={new}"]) == 0
    assert new.read_text() == "false"
    packed = [f"--repository=oci:{tmp_path}/other", "--builder=direct", "--version=1"]
    assert build_image.main([where, "--run=r1", "--model=digits", *packed]) == 0
    page = tmp_path / "page.html"
    assert report.main([where, "--run=r1", "--status=Succeeded", f"--report-path={page}"]) == 0
    assert f"{there.url}/{CODE}" in page.read_text()


def test_a_rollout_needs_neither_the_old_place_nor_the_data(moved: tuple[Objects, Made]) -> None:
    there, made = moved
    for key in list(there.keys("data/")):
        there.delete(key)
    told = described("/models/1", *published(there, "digits", 1))
    assert told.classes == CLASSES
    assert {name: (found.minimum, found.maximum) for name, found in told.inputs.items()} == {"image": (0.0, 16.0)}
    flags = [f"--store={there.url}", "--run=r3", "--model=digits", "--version=1", f"--image={made.image}"]
    assert rollout.main([*flags, "--target=seldon", "--serve-image=host/serve:1"]) == 0


def test_a_store_of_an_older_release_is_read_where_it_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_steps(tmp_path, older=True)
    older = read_document(made.store, manifest_key("digits", 1), Manifest)
    older.inputs = older.classes = None
    code = Code("digits:build", f"{made.store.url}/{CODE}", f"sha256:{'c' * 64}")
    put_on_record(made.store, older, made.image, data=made.data, code=code, evaluation="")
    capsys.readouterr()
    assert explain.main(["digits", "--json", f"--store={made.store.url}"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["data"] == made.data
    assert described("/models/1", *published(made.store, "digits", 1)).classes == CLASSES
    shutil.rmtree(tmp_path / "old/store/data")
    assert described("/models/1", *published(made.store, "digits", 1)).classes == ()
    assert "the bounds of the inputs and the classes' names are not known" in caplog.text


def test_data_of_another_store_stay_absolute(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    elsewhere = f"{tmp_path.as_uri()}/elsewhere/data/digits/0"
    record = read_document(run_steps(tmp_path).store, record_key("digits", 1), Record)
    assert portable(store, msgspec.structs.replace(record, data=elsewhere)).data == elsewhere
