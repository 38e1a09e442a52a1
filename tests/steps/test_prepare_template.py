"""Data that a WorkflowTemplate of the user's made: looked at before anything is trained on them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from colchis_steps import import_data, prepare, validate_data
from colchis_steps._data.dataset import open_data
from colchis_steps._prepare.checking import check
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store

SIZES = {"train": 50, "eval": 20, "test": 22}
NAMED = "template:mine"


def people(store: Objects, root: Path, first: int = 0) -> str:
    """Import rows, no two of which are alike; return the URI."""
    given: list[str] = []
    start = first
    for split, rows in SIZES.items():
        text = "".join(f"p{n},{n * 1.5},{'yes' if n % 2 else 'no'}\n" for n in range(start, start + rows))
        (root / f"{split}.csv").write_text(f"id,income,buys\n{text}")
        given, start = [*given, f"--from={split}={root / split}.csv"], start + rows
    out = f"--data-path={root / 'people'}"
    assert import_data.main(["people", *given, f"--to={store.url}", "--label=buys", "--key=id", out]) == 0
    return (root / "people").read_text()


def imported(store: Objects, root: Path, data: str, *flags: str, name: str = "people-mine", parent: str = "") -> str:
    """Import the parts of a data set anew, as a template does; return the URI."""
    given = [f"--from={split}={data}/{split}-*" for split in SIZES]
    out = [f"--data-path={root / 'made'}", f"--digest-path={root / 'made-digest'}"]
    given += [f"--to={store.url}", "--label=buys", "--key=id", f"--parent={parent or data}", *out, *flags]
    assert import_data.main([name, *given]) == 0
    return (root / "made").read_text()


@pytest.fixture
def site(tmp_path: Path) -> tuple[Objects, str]:
    store = open_store((tmp_path / "store").as_uri())
    return store, people(store, tmp_path)


@pytest.fixture
def checked(site: tuple[Objects, str], tmp_path: Path) -> Callable[..., int]:
    def run(uri: str, digest: str = "", *flags: str) -> int:
        store, data = site
        before = open_data(data).manifest.digest
        out = [f"--data-path={tmp_path / 'data'}", f"--digest-path={tmp_path / 'digest'}"]
        digest = digest or (tmp_path / "made-digest").read_text()
        where = [f"--store={store.url}", "--run=r", f"--data={data}", f"--data-digest={before}", f"--prepare={NAMED}"]
        return prepare.main([*where, f"--made-data={uri}", f"--made-digest={digest}", *out, *flags])

    return run


def test_what_a_template_made_is_handed_on(
    site: tuple[Objects, str], tmp_path: Path, checked: Callable[..., int]
) -> None:
    store, data = site
    uri = imported(store, tmp_path, data)
    assert checked(uri) == 0
    made = open_data(uri).manifest
    assert ((tmp_path / "data").read_text(), (tmp_path / "digest").read_text()) == (uri, made.digest)
    assert made.parent is not None
    assert made.parent.data == open_data(data).manifest.digest
    kept = json.loads(store.read("runs/r/prepare.json"))
    assert kept["outputs"] == {"data": uri, "digest": made.digest}
    assert kept["message"].startswith("people-mine: rows train 50, eval 20, test 22")


def test_what_a_template_made_is_refused_where_it_is_not_what_it_was_to_be(
    site: tuple[Objects, str], tmp_path: Path, checked: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    store, data = site
    good = imported(store, tmp_path, data)

    def refused(sentence: str, uri: str, *more: str) -> None:
        caplog.clear()
        assert checked(uri, *more) == 65
        assert sentence in caplog.text

    refused("is sha256:", good, "sha256:other")
    refused("was validated; run the pipeline again", good, "", "--data-digest=sha256:older")
    other = people(store, tmp_path, 1000)
    refused(", but was to be made of sha256:", imported(store, tmp_path, data, parent=other))
    refused("of the same name, people", imported(store, tmp_path, data, name="people"))
    same = people(store, tmp_path)
    shutil.copy(tmp_path / "train.csv", tmp_path / "again.csv")
    leaky = imported(store, tmp_path, same, f"--from=test={tmp_path / 'again.csv'}")
    refused("made spoils a model: ", leaky)
    refused("names no parent", data, open_data(data).manifest.digest)
    assert not (tmp_path / "data").exists()
    part = next((tmp_path / "store").glob(good.partition("/store/")[2] + "/train-*"))
    part.write_bytes(part.read_bytes()[:-40])
    assert checked(good, open_data(good).manifest.digest) == 65


def test_a_split_that_had_rows_has_some_afterwards(site: tuple[Objects, str], tmp_path: Path) -> None:
    store, data = site
    uri, before = imported(store, tmp_path, data), open_data(data).manifest
    before.splits["later"] = before.splits["test"]
    with pytest.raises(InputError, match="has no rows of later, and people has"):
        check(uri, open_data(uri).manifest.digest, before, NAMED)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("mine", "says neither command nor template"),
        ("template:", "names no WorkflowTemplate"),
        ("template:Mine_{{x}}", "names no WorkflowTemplate"),
        ("template:colchis-pipeline", "would start the pipeline in itself"),
    ],
)
def test_a_name_that_is_none_ends_a_run_at_its_first_step(
    given: str, sentence: str, site: tuple[Objects, str], caplog: pytest.LogCaptureFixture
) -> None:
    store, data = site
    assert validate_data.main([f"--store={store.url}", "--run=r", f"--data={data}", f"--prepare={given}"]) == 65
    assert sentence in caplog.text


def test_the_pipeline_is_told_that_a_template_prepares(site: tuple[Objects, str], tmp_path: Path) -> None:
    store, data = site
    out = [f"--prepares-path={tmp_path / 'prepares'}", f"--ready-path={tmp_path / 'ready'}"]
    assert validate_data.main([f"--store={store.url}", "--run=r", f"--data={data}", f"--prepare={NAMED}", *out]) == 0
    assert ((tmp_path / "prepares").read_text(), (tmp_path / "ready").read_text()) == ("template", "")
