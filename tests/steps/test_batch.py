"""Predictions for whole data sets: each row once, beside its keys, whatever ends it in between."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.batch_site import COLUMNS, Stand, people, publish, said, write_people
from tests.steps.training_data import write_data

from colchis_steps import batch
from colchis_steps._batch import working
from colchis_steps._formats.batch import Batch
from colchis_steps._formats.documents import decode
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._tensors.tensor import Tensor


@dataclass
class Site:
    """A store with a version of the model, which this process stands in for, and a place for predictions."""

    store: Objects
    root: Path
    model: type[Stand]
    log: pytest.LogCaptureFixture

    @property
    def to(self) -> Path:
        return self.root / "to"

    def predict(self, source: str | Path, *flags: str, to: str | Path = "") -> int:
        where = [f"--from={source}", f"--to={to or self.to}", f"--store={self.store.url}"]
        return batch.main(["buyers", *where, *flags])

    def people(self, **sizes: list[int]) -> str:
        """Write a data set and publish a version that was trained on it."""
        data = write_people(self.store, sizes)
        publish(self.store, self.root / "model", data)
        return data

    def rows(self, table: pa.Table | bytes, name: str = "a.parquet") -> Path:
        """Write a file into a directory of Parquet; return the directory."""
        path = self.root / "rows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(table) if isinstance(table, bytes) else pq.write_table(table, path, row_group_size=7)
        return self.root / "rows"

    def manifest(self) -> Batch:
        return decode(Batch, (self.to / "_manifest.json").read_bytes(), "_manifest.json")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Site:
    class Model(Stand):
        asked: list[int] = []  # noqa: RUF012 - of this test alone

    monkeypatch.setattr(working, "open_model", Model)
    return Site(open_store((tmp_path / "store").as_uri()), tmp_path, Model, caplog)


def check(to: Path, numbers: range) -> None:
    """Hold the predictions of these people against what the model says."""
    found = pq.read_table(to).to_pylist()
    assert {row["id"]: row["prediction"] for row in found} == {f"p{n}": said(n) for n in numbers}
    assert len(found) == len(numbers)
    assert {row["probability"] for row in found} == {0.75}


def test_a_data_set_is_predicted_wherever_it_lies(
    site: Site, store: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    site.store = store
    data = site.people(train=[40, 25], test=[60])
    command = ["buyers", f"--from={data}", f"--store={store.url}"]
    assert batch.main([*command, "--run=once"]) == 0
    to = capsys.readouterr().out.strip()
    assert to.startswith(f"{store.url.rstrip('/')}/batch/buyers/1/")
    there = open_store(to)
    found = decode(Batch, there.read("_manifest.json"), "")
    assert [(part.rows, part.split) for part in found.parts] == [(40, "train"), (25, "train"), (60, "test")]
    site.to.mkdir()
    for part in found.parts:
        (site.to / part.path).write_bytes(there.read(part.path))
    check(site.to, range(125))
    kept = json.loads(store.read("runs/once/batch.json"))
    assert (kept["status"], kept["outputs"]) == ("succeeded", {"predictions": to, "rows": "125"})
    asked = len(site.model.asked)
    assert batch.main(command) == 0  # all is there
    assert len(site.model.asked) == asked


def test_rows_of_an_npz_have_numbers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of v1, whose label counts the classes."""

    class Bright(Stand):
        inputs = {"image": Tensor("image", "uint8", (None, 4, 4))}  # noqa: RUF012

        def predict(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            sums = arrays["image"][:, :3].sum(axis=2).astype(np.float32)
            return {"probability": sums / sums.sum(axis=1, keepdims=True)}

    monkeypatch.setattr(working, "open_model", Bright)
    data = write_data(site.root / "thirds", {"train": [9], "test": [6, 5]})
    publish(site.store, site.root / "model", data)
    assert site.predict(data, "--split=test") == 0
    found = pq.read_table(site.to).to_pydict()
    assert found["row"] == list(range(11))
    assert set(found["prediction"]) == {"a", "b", "c"}
    assert site.predict(data, "--split=test", "--key=label", to=site.root / "labels") == 0
    assert pq.read_table(site.root / "labels")["label"].to_pylist() == [*range(3), *range(3), 0, 1, 2, 0, 1]


def test_a_directory_of_parquet_is_predicted(site: Site) -> None:
    """Whole numbers stand for floats, text may be a dictionary, and other columns do not matter."""
    site.people(train=[9])
    site.rows(people(0, 50))
    whole = people(50, 6).set_column(1, "income", pa.array(range(50, 56))).drop_columns(["buys"])
    whole = whole.set_column(2, "job", whole["job"].dictionary_encode()).append_column("more", pa.array([b"x"] * 6))
    site.rows(whole.slice(0, 0), "empty.parquet")
    site.rows(b"not rows", "_notes.parquet")
    rows = site.rows(whole, "later/b.parquet")
    assert site.predict(rows, "--key=id") == 0
    check(site.to, range(56))
    assert site.predict(rows / "a.parquet", to=site.root / "one") == 0
    assert pq.read_table(site.root / "one")["row"].to_pylist() == list(range(50))


def test_what_was_there_when_it_ended_stays(site: Site) -> None:
    data = site.people(train=[10, 10, 10], test=[10])

    def away(call: int) -> None:
        if call == 2:
            raise TransientError("the node is drained")

    site.model.on_call = staticmethod(away)
    assert site.predict(data) == 75
    assert not (site.to / "_manifest.json").exists()
    before = {path.name: path.stat().st_mtime_ns for path in site.to.glob("*.parquet")}
    assert sorted(before) == ["part-00000.parquet", "part-00001.parquet"]
    site.model.on_call = staticmethod(lambda call: None)
    (site.to / "part-00002.parquet").write_bytes(b"of an attempt that was killed")
    assert site.predict(data) == 0
    assert sum(site.model.asked) == 40
    assert all((site.to / name).stat().st_mtime_ns == at for name, at in before.items())
    check(site.to, range(40))


def test_a_damaged_part_is_predicted_anew(site: Site) -> None:
    data = site.people(train=[10, 10])
    assert site.predict(data) == 0
    whole = site.manifest()
    (site.to / "part-00001.parquet").write_bytes((site.to / "part-00000.parquet").read_bytes())
    assert site.predict(data) == 0
    assert sum(site.model.asked) == 30
    assert site.manifest().parts == whole.parts
    (site.to / "part-00009.parquet").write_bytes(b"stray")
    assert site.predict(data) == 65
    assert "part-00009.parquet is not of these predictions" in site.log.text


def test_workers_share_the_parts_and_the_last_step_does_what_is_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = site.people(train=[10, 11, 12, 13, 14])
    assert site.predict(data, "--part=plan", "--workers=2", f"--predictions-path={site.root / 'p'}") == 0
    assert (site.root / "p").read_text() == site.to.as_uri()
    assert site.predict(data, "--part=work", "--workers=2") == 65
    assert "$JOB_COMPLETION_INDEX is ''" in site.log.text
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert site.predict(data, "--part=work", "--workers=2") == 0
    assert sorted(path.name for path in site.to.glob("*.parquet")) == ["part-00001.parquet", "part-00003.parquet"]
    assert site.predict(data, "--part=finish") == 0
    assert sum(site.model.asked) == 60
    check(site.to, range(60))


def test_other_predictions_stay_as_they_are(site: Site) -> None:
    data = site.people(train=[10], test=[5])
    assert site.predict(data) == 0
    assert site.predict(data, "--split=test") == 65
    assert "with other rows; give --to another place" in site.log.text
    mine = site.root / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("dear")
    assert site.predict(data, to=mine) == 65
    assert "is not empty: it holds 'thesis.txt'" in site.log.text


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--version=canary", "buyers has no version 'canary'"),
        ("--version=7", "version 7 of buyers is not published"),
        ("--split=dev", "has no split 'dev', only train, test"),
        ("--key=ids", "has no column 'ids' of single values; the others are id, income, job, buys"),
    ],
)
def test_flags_that_name_nothing(site: Site, flag: str, sentence: str) -> None:
    data = site.people(train=[10], test=[5])
    assert site.predict(data, flag) == 65
    assert sentence in site.log.text
    assert not site.to.exists()


NULL = pa.array([*["poet"] * 12, None, *["poet"] * 7])
MISSPELT = ["id", "incme", "job", "buys"]
WORDS = pa.array(["much"] * 20)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (people(0, 20).rename_columns(MISSPELT), "lacks the column 'income'; did you mean 'incme'"),
        (people(0, 20).set_column(2, "job", NULL), "has 1 null, the first in row 12"),
        (people(0, 20).set_column(1, "income", WORDS), "is string, and the model was trained on double"),
        (people(0, 0), "holds no rows to predict"),
        (b"<html>404</html>", "is no file of Parquet"),
        (b"", "is no file of Parquet"),
    ],
)  # fmt: skip
def test_files_that_the_model_cannot_read(site: Site, table: pa.Table | bytes, sentence: str) -> None:
    site.people(train=[9])
    assert site.predict(site.rows(table), "--key=id") == 65
    assert sentence in site.log.text
    assert not list(site.to.glob("*.parquet"))


def test_a_directory_without_rows_names_the_way(site: Site) -> None:
    site.people(train=[9])
    site.rows(b"id,income\n", "a.csv")
    assert site.predict(site.root / "rows") == 65
    assert "import other formats with `colchis data import`" in site.log.text


def test_a_source_that_changes_is_told(site: Site) -> None:
    site.people(train=[9])
    rows = site.rows(people(0, 20))
    assert site.predict(rows, "--part=plan") == 0
    site.rows(people(1, 20))
    assert site.predict(rows, "--part=finish") == 65
    assert "it is damaged or was changed" in site.log.text


def test_a_part_of_the_data_that_is_damaged_is_told(site: Site) -> None:
    data = site.people(train=[20])
    path = site.root / "store/data/people/1/train-00000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert site.predict(data) == 65
    assert "it is damaged or was changed" in site.log.text


def test_a_key_that_would_hide_a_prediction_is_refused(site: Site) -> None:
    site.people(train=[9])
    rows = site.rows(people(0, 5).rename_columns(["prediction", "income", "job", "buys"]))
    assert site.predict(rows, "--key=prediction") == 65
    assert "the key 'prediction' has the name of a column of predictions" in site.log.text


def test_a_model_of_other_columns_does_not_fit(site: Site) -> None:
    data = write_people(site.store, {"train": [9]}, tuple(c for c in COLUMNS if c.name != "income"))
    publish(site.store, site.root / "model", data)
    assert site.predict(data) == 65
    assert "the model takes income as float64[None], and its data have none" in site.log.text
