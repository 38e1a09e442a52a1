"""The whole story that explain tells: by digest, alias or endpoint, as text, JSON and a page."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.steps import origin_store
from tests.steps.report_runs import parsed, text

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key, data_prefix, result_key
from colchis_steps._formats.models import Alias
from colchis_steps._formats.runs import StepResult
from colchis_steps._origins.resolving import versions
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps.explain import main


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    return origin_store.filled(tmp_path / "store")


def told(store: Objects, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, f"--store={store.url}"]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "what",
    [
        "pets", "pets@2", "pets/2", "pets:2", "pets@stable", f"docker-pullable://r.example/pets@sha256:{2:064}",
        f"sha256:{2:064}", f"r.example/pets@sha256:{2:064}",
    ],
)  # fmt: skip
def test_whatever_names_the_version_leads_to_it(store: Objects, capsys: pytest.CaptureFixture[str], what: str) -> None:
    assert told(store, capsys, what).startswith("pets/2 (stable) Verdict gate pass against version 1 rows 400")


def test_the_story_has_all_its_parts(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(store, capsys, "pets@2")
    for part in (
        "accuracy 0.985 0.965 to 1.000 0.925 +0.0600 +0.0400 to +0.0900 better",
        "the same as those of pets/1",
        "rows train 1,000, test 400",
        "pets-1.csv aaaa",
        f"revision {'b' * 40} state dirty: files were not as committed",
        "epochs=9",
        "tensorflow 2.21.0 image of train run on this machine",
        "run second of ns/w by medea",
        "signature not signed",
        "run second pass, against version 1",
        "10 % errors 3 of 900 good",
        "it replaced pets/1",
    ):
        assert part in found
    assert "replaced by pets/2" in told(store, capsys, "pets@1")


def test_a_canary_is_named_with_its_share(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    store.write(alias_key("pets", "canary"), encode(Alias("pets", 2, "2026-01-03T00:00:00Z", weight=10)))
    assert told(store, capsys, "pets@canary").startswith("pets/2 (stable, canary, 10 % of the traffic)")


def test_an_image_with_a_server_leads_back_by_what_the_run_built(
    store: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    result = StepResult("build_image", "second", "succeeded", {}, "2026-01-01T00:00:00Z")
    result.outputs = {"based-image": f"r.example/pets@sha256:{7:064}"}
    store.write(result_key("second", "build_image"), encode(result))
    assert told(store, capsys, f"r.example/pets@sha256:{7:064}").startswith("pets/2")


def test_data_that_changed_are_told_against_the_parents_and_the_served_versions(
    store: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    first = origin_store.data(store)
    other = origin_store.data(store, version=2, parent=first.digest)
    made = origin_store.candidate(store, "fourth", other)
    judged = origin_store.evaluated(store, "fourth", made.tree, other.digest, [], baseline_version=2)
    origin_store.version(store, 3, made, judged)
    found = told(store, capsys, "pets@3")
    assert f"made by shrink 2 of {first.digest}" in found
    assert "Changed by that command what pets pets column age int64 float, nullable" in found
    assert "Changed since the data of pets/2 what then now column age int64 float, nullable" in found
    listed = json.loads(json_of(store, capsys, "pets@3"))
    assert listed[0]["data_changes"]["baseline"][0] == {
        "name": "column age", "before": "int64", "now": "float, nullable",
    }  # fmt: skip
    store.delete(f"{data_prefix('pets', first.digest)}/manifest.json")
    found = told(store, capsys, "pets@3")
    assert "What cannot be read" in found
    assert f"the data's parent {first.digest} is not in" in found


def json_of(store: Objects, capsys: pytest.CaptureFixture[str], what: str) -> str:
    assert main([what, f"--store={store.url}", "--json"]) == 0
    return capsys.readouterr().out


def test_json_has_what_was_judged_and_the_rollouts(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(json_of(store, capsys, "pets@2"))
    assert found["kind"] == "colchis.dev/record/v1"
    assert found["judged"]["intervals"]["accuracy"][0] == pytest.approx(0.965)
    assert found["rollouts"][0]["steps"][0]["findings"][0]["name"] == "errors"
    assert (found["data_set"]["rows"], found["signed"]) == ({"train": 1000, "test": 400}, "not signed")
    assert "samples" not in found["judged"]


def test_a_page_says_the_same_without_scripts(store: Objects, tmp_path: Path) -> None:
    path = tmp_path / "explain.html"
    assert main(["pets@2", f"--store={store.url}", f"--html={path}"]) == 0
    page = path.read_text()
    root = parsed(page)
    assert "✓ better" in text(root, "verdict")
    assert "Content-Security-Policy" in page
    assert "pass pets/2 (stable)" in text(root)


def test_an_evaluation_that_was_changed_is_not_shown(store: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(store.read("runs/second/evaluate.json"))
    result["details"]["intervals"]["accuracy"] = [0.1, 0.2]
    store.write("runs/second/evaluate.json", json.dumps(result).encode())
    found = told(store, capsys, "pets@2")
    assert "What cannot be read what evaluate found in run second is sha256:" in found
    assert "0.100 to 0.200" not in found


@pytest.mark.parametrize("key", ["runs/second/evaluate.json", "data", "models/pets/2/manifest.json"])
def test_what_is_damaged_is_named_and_the_rest_is_told(
    store: Objects, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    for one in [key for key in store.keys("data/") if key.endswith("manifest.json")] if key == "data" else [key]:
        store.write(one, b'{"kind": "colchis.dev/other/v1"}')
    found = told(store, capsys, "pets@2")
    assert "What cannot be read" in found
    assert "epochs=9" in found


class Answers(BaseHTTPRequestHandler):
    """Any server that knows V1 or V2."""

    def do_GET(self) -> None:
        """Answer what there is at the path."""
        found = self.server.answers.get(self.path)  # type: ignore[attr-defined]
        self.send_response(200 if found is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode() if found is not None else b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    there = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    answers: dict[str, Any] = {}
    there.answers = answers  # type: ignore[attr-defined]
    threading.Thread(target=there.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{there.server_port}", answers
    there.shutdown()
    there.server_close()


V2 = {"parameters": {"version": "1"}}
V1 = {"model_spec": {"name": "pets", "version": "1"}}


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/v1/models/pets", {"/v2/models/pets": V2}),
        ("/v1/models/pets:predict", {"/v2/models/pets": V2}),
        ("/v2/models/pets/infer", {"/v2/models/pets": V2}),
        ("/gate/v1/models/pets", {"/gate/v2/models/pets": V2}),
        ("/v1/models/pets/versions/1", {"/v2/models/pets/versions/1": V2}),
        ("/v1/models/pets", {"/v1/models/pets/metadata": V1}),
        ("", {"/v1/models": {"models": ["pets"]}, "/v2/models/pets": V2}),
        ("/", {"/v1/models": {"models": ["pets"]}, "/v1/models/pets/metadata": V1}),
    ],
    ids=["v1", "predict", "infer", "prefix", "version", "tensorflow", "bare", "bare-slash"],
)
def test_an_endpoint_is_asked_which_version_answers(
    store: Objects, server: tuple[str, dict[str, Any]], capsys: pytest.CaptureFixture[str], path: str, answers: Any
) -> None:
    server[1].update(answers)
    assert told(store, capsys, server[0] + path).startswith("pets/1")


@pytest.mark.parametrize(
    ("path", "answers", "said"),
    [
        ("/v1/models/pets", {}, "does not say which version of 'pets' answers"),
        ("/v1/models/pets", {"/v2/models/pets": {"parameters": {"version": "../1"}}}, "does not say which version"),
        ("/v1/models/pets", {"/v2/models/pets": [1]}, "does not say which version"),
        ("/v1/models/cats", {"/v2/models/cats": V2}, "cats/1 is not on record"),
        ("/v1/models/pets", {"/v2/models/pets": {"parameters": {"version": "9"}}}, "pets/9 is not on record"),
        ("", {}, "it does not say what it serves"),
        ("", {"/v1/models": {"models": ["pets", "cats"]}}, "it serves pets, cats; give"),
    ],
    ids=["silent", "path", "list", "unknown", "number", "nothing", "several"],
)
def test_an_endpoint_that_does_not_tell_is_refused(
    store: Objects, server: tuple[str, dict[str, Any]], path: str, answers: Any, said: str
) -> None:
    server[1].update(answers)
    with pytest.raises(InputError, match=re.escape(said)):
        versions(store, server[0] + path)


def test_where_nothing_answers_it_is_worth_another_try(store: Objects) -> None:
    assert main(["http://127.0.0.1:9/v1/models/pets", f"--store={store.url}"]) == 75
