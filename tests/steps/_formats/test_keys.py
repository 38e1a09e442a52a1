"""Keys are built and taken apart in one module, and what is built is understood."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats import keys
from colchis_steps._store.api import check_key

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
STEPS = Path(keys.__file__).parents[1]


@given(NAMES, st.integers(min_value=1, max_value=10**9))
def test_a_versions_key_names_its_version(model: str, version: int) -> None:
    assert keys.version_of(keys.manifest_key(model, version)) == (model, version)
    assert keys.version_of(keys.record_key(model, version), "record") == (model, version)
    assert keys.version_of(keys.record_key(model, version)) is None
    assert keys.model_of(keys.alias_key(model, "stable")) == model
    check_key(keys.statement_key(model, version))


@pytest.mark.parametrize(
    "key",
    [
        "models/digits/1/files/manifest.json",
        "models/digits/aliases/manifest.json",
        "models/digits/1/manifest.json.gz",
        "old/models/digits/1/manifest.json",
    ],
)
def test_what_is_no_versions_document_names_none(key: str) -> None:
    assert keys.version_of(key) is None


def test_a_run_keeps_its_files_below_its_name() -> None:
    of_a_run = [keys.candidate_key("r"), keys.golden_key("r"), keys.history_key("r"), keys.failure_key("r", 3)]
    assert {keys.run_of(key) for key in [*of_a_run, keys.checkpoint_key("r", 7, "state.npz")]} == {"r"}
    assert keys.result_key("r", "train") == "runs/r/training/train.json"


def test_no_other_module_builds_a_key() -> None:
    built = re.compile(r'f"(models|runs|data|code|requests)/\{|f"blobs/sha256|/(manifest|record|statement)\.json"')
    paths = [path for path in STEPS.rglob("*.py") if path != Path(keys.__file__)]
    known = {"route.py": "its paths are a server's", "identities.py": "a test holds its patterns to the keys"}
    assert {p.name for p in paths if built.search(p.read_text())} == known.keys()
