"""What validate-data hands on where a command is to make the training's data of the validated ones."""

from pathlib import Path

from msgspec.structs import replace
from tests.steps.batch_site import publish, write_people
from tests.steps.training_data import write_data

from colchis_steps import validate_data
from colchis_steps._data.dataset import open_data
from colchis_steps._formats.data import Parent, data_digest
from colchis_steps._formats.documents import encode
from colchis_steps._store.opening import open_store


def handed_on(root: Path, data: str, *flags: str) -> dict[str, str]:
    names = ("digest", "data", "new-data", "prepares", "ready", "ready-digest")
    paths = [f"--{name}-path={root / name}" for name in names]
    where = [f"--store={(root / 'store').as_uri()}", "--run=r", f"--data={data}", "--model=buyers"]
    assert validate_data.main([*where, *paths, *flags]) == 0
    return {name: (root / name).read_text() for name in names if (root / name).exists()}


def test_data_are_ready_or_go_to_the_command(tmp_path: Path) -> None:
    data = write_data(tmp_path / "thirds", {"train": [30], "eval": [12], "test": [12]})
    digest = open_data(data).manifest.digest
    found = {"digest": digest, "data": data, "new-data": "true"}
    assert handed_on(tmp_path, data) == found | {"prepares": "false", "ready": data, "ready-digest": digest}
    assert handed_on(tmp_path, data, "--prepare=command:python it's 'quoted'.py") == found | {
        "prepares": "command", "ready": "", "ready-digest": "",
    }  # fmt: skip


def test_data_that_were_prepared_for_the_served_version_are_not_new(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    data = write_data(tmp_path / "thirds", {"train": [30], "eval": [12], "test": [12]})
    made = write_people(store, {"train": [10]})
    found = open_data(made).manifest
    found = replace(found, parent=Parent(open_data(data).manifest.digest, "sha256:c", "command:x"))
    found.digest = data_digest(found)
    store.write("data/people/1/manifest.json", encode(found))
    publish(store, tmp_path / "model", made)
    assert handed_on(tmp_path, data, "--only-new-data=true")["new-data"] == "false"
    other = write_data(tmp_path / "other", {"train": [33], "eval": [12], "test": [12]})
    assert handed_on(tmp_path, other, "--only-new-data=true")["new-data"] == "true"
