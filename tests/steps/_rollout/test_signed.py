"""Rollout, rollback and sharing where signatures are asked for: nothing moves for a version that is not signed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.steps.registered import put_on_record

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias
from colchis_steps._rollout import local, rollback
from colchis_steps._rollout.local import serving
from colchis_steps._rollout.options import Options, servable
from colchis_steps._rollout.versions import Place
from colchis_steps._serving.config import Config, ServedModel, write_config
from colchis_steps._serving.daemon import CONFIG
from colchis_steps._step.errors import InputError
from colchis_steps.keys import main as keys_verb
from colchis_steps.rollout import main

IMAGE = f"host/digits@sha256:{'1' * 64}"
THEN = "2026-01-01T00:00:00Z"


@pytest.fixture
def store(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Version 2 is signed and stable; version 1, which was before, is on record and not signed."""
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path / "home"))
    for version in (1, 2):
        manifest = published.publish(published.files, version=version, run=f"run-{version}")
        put_on_record(published.store, manifest, IMAGE, baseline=version - 1 or None)
    assert keys_verb(["make"]) == 0
    assert keys_verb(["sign", "digits:2", f"--store={published.store.url}"]) == 0
    stable = Alias("digits", 2, THEN, 1, "run-2", IMAGE)
    published.store.write(alias_key("digits", "stable"), encode(stable))
    return published.store


def state(store: Any) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.keys("models/")}


def test_a_rollout_ends_before_anything_moves(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    before = state(store)
    flags = [f"--store={store.url}", "--run=run-7", "--model=digits", "--version=1", f"--image={IMAGE}"]
    assert main(flags) == 65
    assert "digits:1 is refused: it is not signed" in caplog.text
    assert state(store) == before
    assert not serving().exists()


def test_a_rollback_to_a_version_that_is_not_signed_is_refused(store: Any) -> None:
    before = state(store)
    with pytest.raises(InputError, match=r"digits:1 is refused: it is not signed"):
        local.roll_back(store, "run-7", "digits", withdrawn=None, to=None)
    cluster: Any = None  # is not asked for anything
    with pytest.raises(InputError, match=r"digits:1 is refused: it is not signed"):
        rollback.roll_back(Place(cluster, cluster, store, "digits"), "run-7", withdrawn=None, to=1)
    assert state(store) == before


def test_a_version_that_is_not_signed_is_not_shared(store: Any) -> None:
    serving().mkdir(parents=True)
    write_config(serving() / CONFIG, config := Config({"digits": ServedModel({2: "/nowhere"}, 2)}))
    before = (serving() / CONFIG).read_bytes()
    assert config.models
    with pytest.raises(InputError, match=r"digits:1 is refused: it is not signed"):
        local.share(store, "digits", {1: 50, 2: 50}, ())
    assert (serving() / CONFIG).read_bytes() == before


def test_a_rollout_on_a_cluster_asks_first(store: Any) -> None:
    options = Options(serve_image="host/serve:1")
    with pytest.raises(InputError, match=r"digits:1 is refused: it is not signed"):
        servable(store, "digits", 1, IMAGE, options)
    assert servable(store, "digits", 2, IMAGE, options)


QUIET = """
import sys
from colchis_steps._models.versions import published
from colchis_steps._store.opening import open_store
assert published(open_store(sys.argv[1]), "digits", 1, back=True)
print([name for name in ("cryptography", "securesystemslib") if name in sys.modules])
"""


@pytest.mark.servers
def test_where_nobody_asks_for_signatures_nothing_is_imported_for_them(published: Any) -> None:
    put_on_record(published.store, published.publish(published.files), IMAGE)
    done = subprocess.run(
        [sys.executable, "-c", QUIET, published.store.url], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
