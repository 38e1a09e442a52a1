"""The table of who may do what: what must hold of it whatever it says, and that pages and templates say the same."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats import keys
from colchis_steps._formats.identities import IDENTITIES, Identity, credentials, may, policy, secret, table
from colchis_workflows._templates.access import KEYS, RULES

DOCS = Path(__file__).parents[3] / "docs"
VERBS = ("get", "put", "delete")
HEX = "0" * 64
SAMPLES = (  # a key of each kind that there is
    keys.blob_key(HEX),
    keys.code_key(HEX),
    f"{keys.data_prefix('digits', HEX)}/{keys.DATA_MANIFEST}",
    f"{keys.data_prefix('digits', HEX)}/test-0000.npz",
    *(keys.result_key("r", step) for step in ("validate_data", "train", "evaluate", "upload", "build_image")),
    *(keys.result_key("r", step) for step in ("register", "rollout", "report")),
    keys.run_key("r", "report.html"),
    keys.run_key("r", "knative.yaml"),
    keys.candidate_key("r"),
    keys.candidate_blob_key("r", HEX),
    keys.golden_key("r"),
    keys.confirmed_key("r"),
    keys.history_key("r"),
    keys.training_result_key("r"),
    keys.failure_key("r", 1),
    keys.checkpoint_key("r", 7, "state.npz"),
    keys.manifest_key("digits", 1),
    keys.record_key("digits", 1),
    keys.statement_key("digits", 1),
    f"{keys.plain_prefix('digits', 1)}saved_model.pb",
    *(keys.alias_key("digits", alias) for alias in ("latest", "canary", "stable")),
    keys.rollout_key("digits", "r"),
    keys.policy_key("digits"),
    keys.kept_policy_key("digits", f"sha256:{HEX}"),
    keys.requests_key("digits", 1, "2026-11-29", "1-a"),
)
PODS = [name for name, found in IDENTITIES.items() if found.pods]


def writes(identity: str, key: str) -> bool:
    return may(identity, "put", key) or may(identity, "delete", key)


def test_the_users_code_writes_its_training_and_its_candidate_and_nothing_else() -> None:
    own = {key for key in SAMPLES if key.startswith(("runs/r/training/", "runs/r/candidate/"))}
    for name in ("worker", "train"):
        assert {key for key in SAMPLES if writes(name, key)} == own
        read = {key.partition("/")[0] for key in SAMPLES if may(name, "get", key)}
        assert read == {"code", "data", "runs"}


def test_what_adopts_a_model_writes_a_candidate_too_and_runs_no_code() -> None:
    assert {key for key in SAMPLES if writes("adopt", key)} == {k for k in SAMPLES if k.startswith("runs/r/candidate/")}
    assert {key.partition("/")[0] for key in SAMPLES if may("adopt", "get", key)} == {"data", "models", "runs"}


@pytest.mark.parametrize("key", SAMPLES)
def test_each_kind_of_key_is_written_by_one_kind_of_pod_or_by_people(key: str) -> None:
    who = {name for name in PODS if may(name, "put", key)}
    allowed = {"runs/r/training/": {"worker", "train"}, "runs/r/candidate/": {"worker", "train", "adopt"}}
    shared = [names for top, names in allowed.items() if key.startswith(top)]
    assert len(who) == 1 or who in shared or (not who and key.startswith(("data/", "code/", "models/digits/polic")))
    assert may("operator", "put", key)


def test_no_key_of_a_pod_writes_a_policy() -> None:
    """The policy is the owner's, not the submitter's."""
    owned = {keys.policy_key("digits"), keys.kept_policy_key("digits", f"sha256:{HEX}")}
    assert {key for key in SAMPLES if writes("owner", key)} == owned


def test_only_few_may_delete() -> None:
    found = {name: {key for key in SAMPLES if may(name, "delete", key)} for name in PODS}
    assert {name for name in found if found[name]} == {"worker", "train", "adopt", "publish", "rollout"}
    assert found["rollout"] == {keys.alias_key("digits", "canary")}
    assert found["publish"] == {f"{keys.plain_prefix('digits', 1)}saved_model.pb"}


def test_templates_and_table_name_the_same_identities() -> None:
    assert set(KEYS) == set(PODS)
    assert {f"colchis-{name}" for name in PODS} - {"colchis-serve"} == set(RULES)


def test_the_page_has_the_table() -> None:
    assert table() in (DOCS / "security.md").read_text()


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("minio", [True, False])
def test_a_policy_says_what_the_table_says(identity: str, *, minio: bool) -> None:
    made = policy(identity, "bucket", "some/team", partition="aws-cn", minio=minio)
    actions = {"get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}

    def allows(verb: str, key: str) -> bool:
        allowed = [one["Resource"] for one in made["Statement"] if actions[verb] in one["Action"]]
        return any(fnmatchcase(f"arn:aws-cn:s3:::bucket/{key}", pattern) for some in allowed for pattern in some)

    for key in SAMPLES:
        for verb in VERBS:
            assert allows(verb, f"some/team/{key}") is may(identity, verb, key), (verb, key)
            assert not allows(verb, key)
            assert not allows(verb, f"some/other/{key}")
    assert all(one["Effect"] == "Allow" and "*" not in one["Action"] for one in made["Statement"])
    assert len(json.dumps(made)) < 6144, "IAM takes no more"


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=8))
def test_patterns_match_as_in_policies(pattern: str, key: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key, re.DOTALL)
    with patch.dict(IDENTITIES, {"any": Identity("anybody", get=(pattern,), put=())}):
        assert may("any", "get", key) is bool(wanted)


def test_a_secret_has_one_key_in_awss_format() -> None:
    made: dict[str, Any] = secret("worker", "name", "s3cret")
    assert made["metadata"]["name"] == "colchis-s3-worker"
    assert made["stringData"] == {"credentials": credentials("name", "s3cret")}
    assert credentials("name", "s3cret").splitlines()[0] == "[default]"
