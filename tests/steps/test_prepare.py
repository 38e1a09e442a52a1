"""Data made of data by a command: what it meets, what becomes of what it leaves, and when it need not run."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.steps.batch_site import write_people
from tests.steps.training_data import write_data

from colchis_steps import prepare
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._formats.documents import canonical_digest
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps.push_code import push

pytestmark = pytest.mark.servers  # it starts the command
DOUBLED = """
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

given, made = Path(os.environ["COLCHIS_INPUT"]), Path(os.environ["COLCHIS_OUTPUT"])
for folder in sorted(given.iterdir()):
    if folder.is_dir():
        rows = pq.read_table(folder)
        income = pa.array([float(text[1:]) for text in rows["id"].to_pylist()])
        rows = rows.set_column(rows.schema.get_field_index("income"), "income", income)
        pq.write_table(rows.append_column("twice", pa.compute.multiply(income, 2.0)), made / f"{folder.name}.parquet")
"""
LEAKS = "pq.write_table(pq.read_table(made / 'train.parquet').slice(0, 12), made / 'test.parquet')"
SIZES = {"train": [30, 20], "eval": [10], "test": [12]}


@dataclass
class Site:
    """A store with data, and a directory of code."""

    store: Objects
    root: Path
    log: pytest.LogCaptureFixture

    def code(self, text: str) -> str:
        """Store code; return its URI."""
        directory = self.root / "code"
        directory.mkdir(exist_ok=True)
        (directory / "features.py").write_text("import pyarrow.compute\n" + text)
        return push(self.store, directory)

    def run(self, data: str, code: str, *flags: str, command: str = "command:python features.py") -> int:
        paths = [f"--data-path={self.root / 'data-path'}", f"--digest-path={self.root / 'digest-path'}"]
        where = [f"--store={self.store.url}", "--run=once", f"--data={data}", f"--code={code}"]
        return prepare.main([*where, f"--prepare={command}", *paths, *flags])

    @property
    def made(self) -> DataSet:
        found = open_data((self.root / "data-path").read_text())
        assert found.manifest.digest == (self.root / "digest-path").read_text()
        return found


@pytest.fixture
def site(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Site:
    return Site(open_store((tmp_path / "store").as_uri()), tmp_path, caplog)


def test_a_command_makes_data_once_wherever_they_lie(site: Site, store: Objects) -> None:
    site.store = store
    data, code = write_people(store, SIZES), site.code(DOUBLED)
    assert site.run(data, code) == 0
    made, before = site.made.manifest, open_data(data).manifest
    assert made.name == "people-prepared"
    assert {name: split.rows for name, split in made.splits.items()} == {"train": 50, "eval": 10, "test": 12}
    assert (made.task.kind, made.task.target, made.task.classes) == ("classification", ("buys",), ("no", "yes"))
    assert {column.name: column.role for column in made.columns} == {
        "id": "key", "income": "feature", "job": "feature", "buys": "label", "twice": "feature",
    }  # fmt: skip
    assert made.parent is not None
    digest = f"sha256:{code.rpartition('/')[2].removesuffix('.zip')}"
    assert (made.parent.data, made.parent.code) == (before.digest, digest)
    kept = json.loads(store.read("runs/once/prepare.json"))
    assert (kept["status"], kept["outputs"]["digest"]) == ("succeeded", made.digest)
    assert site.run(data, code) == 0
    assert "made before" in json.loads(store.read("runs/once/prepare.json"))["message"]
    assert site.made.manifest == made


def test_what_differs_runs_anew(site: Site) -> None:
    data = write_people(site.store, SIZES)
    noisy = site.code(DOUBLED + "print('it runs')\n")
    assert site.run(data, noisy) == 0
    first = site.made.manifest
    assert site.run(data, noisy, command="command:python features.py again") == 0
    assert site.made.manifest.digest != first.digest  # by its parent: the same rows
    assert site.made.manifest.splits == first.splits
    site.log.clear()
    assert site.run(data, "", command="command:cp -R . /nowhere/at/all") == 65
    assert "ended with exit code 1: cp: " in site.log.text


def test_labels_of_an_older_set_go_by_their_names(site: Site) -> None:
    data = write_data(site.root / "thirds", {"train": [9], "eval": [3], "test": [6]})
    code = site.code(
        """
import os, pathlib, shutil
import pyarrow.parquet as pq
given = pathlib.Path(os.environ["COLCHIS_INPUT"])
assert set(pq.read_table(given / "train")["label"].to_pylist()) == {"a", "b", "c"}
for split in ("train", "eval", "test"):
    shutil.copytree(given / split, os.environ["COLCHIS_OUTPUT"] + "/" + split)
"""
    )
    assert site.run(data, code) == 0
    made = site.made
    assert made.manifest.task.classes == ("a", "b", "c")
    (image,) = made.manifest.of_role("feature")
    assert (image.shape, image.dtype) == ((4, 4), "uint8")
    assert made.read(made.shards("test")[0])["label"].tolist().count(0) == 2


def test_a_command_may_say_that_the_label_is_another_one(site: Site) -> None:
    code = site.code(
        DOUBLED
        + """
(made / "prepare.yaml").write_text("label: twice\\ntask: regression\\n")
for path in made.glob("*.parquet"):
    pq.write_table(pq.read_table(path).drop_columns(["buys", "id"]), path)
"""
    )
    assert site.run(write_people(site.store, SIZES), code) == 0
    made = site.made.manifest
    assert (made.task.kind, made.task.target) == ("regression", ("twice",))
    assert made.of_role("key") == ()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise SystemExit('no such column: incme')", "ended with exit code 1: no such column: incme; its log says"),
        ("import os; os.kill(os.getpid(), 9)", "was killed (SIGKILL)"),
        ("raise SystemExit(75)", "asks to be run again"),
        ("", "the command wrote nothing, and so no train"),
        (DOUBLED + "(made / 'eval.parquet').unlink()", "and so no eval; let it write $COLCHIS_OUTPUT/eval"),
        (DOUBLED + "(made / 'test.parquet').write_bytes(b'<html>')", "test.parquet"),
        (
            DOUBLED + "(made / 'test.parquet').unlink(); (made / 'test.parquet').symlink_to('/etc/passwd')",
            "test.parquet, a link",
        ),
        (DOUBLED + LEAKS, "what the command made spoils a model: "),
        (DOUBLED + "(made / 'prepare.yaml').write_text('lable: x')", "prepare.yaml of the command has 'lable'"),
        (DOUBLED + "(made / 'prepare.yaml').write_text('label: x')", "'x'"),
        (DOUBLED + "[pq.write_table(pq.read_table(p).drop_columns(['buys']), p) for p in made.iterdir()]", "'buys'"),
    ],
)
def test_commands_that_go_wrong(site: Site, code: str, sentence: str) -> None:
    found = site.run(write_people(site.store, SIZES), site.code(code))
    assert found == (75 if sentence.startswith(("was killed", "asks")) else 65)
    assert sentence in site.log.text
    assert not list(site.root.glob("store/data/people/prepared/*"))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--prepare=mine"], "says neither command nor template"),
        (["--prepare=template:mine"], "gave no data or no digest"),
        (["--prepare=command:"], "names no command"),
        (["--prepare=command:'python"], "is not a command"),
        (["--prepare=command:no-such-program"], "cannot be started"),
        (["--data-digest=sha256:other"], "but sha256:other was validated; run the pipeline again"),
        (["--code=file:///nowhere/code.zip"], "names no code"),
    ],
)  # fmt: skip
def test_flags_that_are_wrong(site: Site, flags: list[str], sentence: str) -> None:
    assert site.run(write_people(site.store, SIZES), "", *flags) == 65
    assert sentence in site.log.text


def test_the_parts_meet_over_two_directories(site: Site) -> None:
    """As in a pod: the middle one has no store, and what was fetched stays as it was."""
    data, code = write_people(site.store, SIZES), site.code(DOUBLED)
    where = [f"--given={site.root / 'given'}", f"--made={site.root / 'made'}"]
    assert site.run(data, code, "--part=fetch", *where) == 0
    seen = {str(path): path.read_bytes() for path in (site.root / "given").rglob("*") if path.is_file()}
    assert site.run(data, code, "--part=command", "--store=file:///nowhere", *where) == 0
    assert seen == {str(path): path.read_bytes() for path in (site.root / "given").rglob("*") if path.is_file()}
    assert site.run(data, code, "--part=take", *where) == 0
    assert site.made.rows("train") == 50
    assert pq.read_table(site.root / "given/input/train").num_rows == 50


def test_what_an_early_part_refuses_is_told_by_the_last(site: Site) -> None:
    data, code = write_people(site.store, SIZES), site.code("raise SystemExit('broken')")
    where = [f"--given={site.root / 'given'}", f"--made={site.root / 'made'}"]
    assert site.run(data, code, "--part=fetch", *where) == 0
    assert site.run(data, code, "--part=command", *where) == 0
    assert site.run(data, code, "--part=take", *where) == 65
    assert "ended with exit code 1: broken" in site.log.text


def test_an_index_that_somebody_changed_is_not_believed(site: Site) -> None:
    data, code = write_people(site.store, SIZES), site.code(DOUBLED)
    assert site.run(data, code) == 0
    (index,) = site.root.glob("store/data/people/prepared/*.json")
    found = json.loads(index.read_text())
    index.write_text(json.dumps(found | {"uri": "data/people/1"}))
    assert site.run(data, code) == 0
    assert "made before" not in json.loads(site.store.read("runs/once/prepare.json"))["message"]
    assert canonical_digest(json.loads(index.read_text())) == canonical_digest(found)
