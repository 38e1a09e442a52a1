"""A model's policy: read strictly, kept for good, and replaced by nobody who has not seen it."""

import json
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.documents import content_digest
from colchis_steps._formats.keys import kept_policy_key, policy_key
from colchis_steps._formats.policy import Policy
from colchis_steps._models.policy import read_policy, write_policy
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps.policy import main

WHOLE = """
thresholds:
  accuracy: {min: 0.9, not_worse: 0.02}
  recall/*: {min: 0.5}
statistics: {rows: 300, confidence: 0.95, margin: 0.02}
first_model: reject
signature: error
signers: [first]
approval: manual
unjudged: true
operations: [ReadFile]
"""


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    (tmp_path / "store").mkdir()
    return open_store((tmp_path / "store").as_uri())


def put(store: Objects, tmp_path: Path, text: str) -> int:
    (tmp_path / "policy.yaml").write_text(text)
    return main(["set", "digits", f"--from={tmp_path / 'policy.yaml'}", f"--store={store.url}"])


def test_what_is_set_is_shown_and_what_it_replaced_is_kept(
    store: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = []
    for text in (WHOLE, "approval: manual", json.dumps({"unjudged": True})):
        assert put(store, tmp_path, text) == 0
        digests.append(capsys.readouterr().out.strip())
    found = read_policy(store, "digits")
    assert found == (Policy(unjudged=True), digests[-1])
    assert [content_digest(store.read(kept_policy_key("digits", digest))) for digest in digests] == digests
    assert put(store, tmp_path, WHOLE) == 0
    assert capsys.readouterr().out.strip() == digests[0]
    assert main(["show", "digits", f"--store={store.url}"]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    assert main(["check", str(tmp_path / "shown.yaml")]) == 0
    assert capsys.readouterr().out.strip() == digests[0], "what is shown can be set"


def test_a_model_without_a_policy_says_so(store: Objects, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert main(["show", "digits", f"--store={store.url}"]) == 0
    assert "digits has no policy" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thresholds: {", "is not YAML"),
        ("", "holds no fields"),
        ("[1]", "holds no fields"),
        ("aproval: manual", "unknown field `aproval`"),
        ("approval: maybe", "Invalid enum value 'maybe'"),
        ("statistics: {row: 3}", "unknown field `row`"),
        ("statistics: {rows: -1}", "rows is -1; give a number from 0"),
        ("statistics: {confidence: 0.3}", "confidence is 0.3; give a number from 0.5"),
        ("statistics: {margin: .nan}", "margin is nan; give a number from 0.0001 to 1"),
        ("thresholds: {accuracy: 0.9}", "Expected `object`, got `float`"),
        ("thresholds: {accuracy: {minimum: 0.9}}", "threshold of 'accuracy' is {'minimum': 0.9}; give an object of"),
        ("thresholds: {accuracy: {min: .inf}}", "threshold min of 'accuracy' is 'inf'; give a finite number"),
        (
            "{thresholds: {accuracy: {not_worse: 0.05}}, statistics: {margin: 0.02}}",
            "not_worse of 'accuracy' is 0.05, and its statistics asks for at most 0.02",
        ),
        ("approval: auto\napproval: manual", "it names approval twice"),
        ("a: &a {}\nb: *a", "it has an alias"),
        ("kind: colchis.dev/policy/v2", "of a newer release; upgrade Colchis here"),
        ("kind: colchis.dev/alias/v1", "is no policy"),
        ("signers: [!!python/object:os.system x]", "is not YAML"),
        ("approval: 2026-01-01", "is no policy"),
    ],
)
def test_what_is_no_policy_is_refused_in_one_sentence(
    store: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    assert put(store, tmp_path, text) == 65
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said in told
    assert "policy.yaml" in told
    assert "\n" not in told
    assert not list(store.keys(""))


def test_a_file_that_is_not_there_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 65
    assert "none.yaml cannot be read (No such file or directory)" in caplog.text


class Raced:
    """A store in which somebody else writes between reading and writing."""

    def __init__(self, store: Objects) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def create(self, key: str, content: bytes) -> bool:
        self.store.write(policy_key("digits"), b"another")
        return self.store.create(key, content)


@pytest.mark.parametrize("before", [None, Policy(approval="manual")])
def test_somebody_elses_policy_is_not_written_over(store: Objects, before: Policy | None) -> None:
    if before:
        write_policy(store, "digits", before)
    with pytest.raises(InputError, match="the policy of digits was changed by somebody else meanwhile"):
        write_policy(Raced(store), "digits", Policy())
    assert store.read(policy_key("digits")) == b"another"


@pytest.mark.parametrize("content", [b"{", b'{"kind": "colchis.dev/policy/v1", "later": 1}'])
def test_a_stored_policy_that_cannot_be_read_stops_everything(store: Objects, content: bytes) -> None:
    store.write(policy_key("digits"), content)
    with pytest.raises(InputError, match="nothing of digits is judged or served, as its policy cannot be read: "):
        read_policy(store, "digits")
