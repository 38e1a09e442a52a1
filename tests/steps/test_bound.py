"""Nothing between the gate and the servers can be swapped: each document and blob, at each point."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.steps.registered import judged, put_on_record

from colchis_steps import build_image, register, rollout, upload
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.documents import content_digest, encode, now
from colchis_steps._formats.keys import (
    alias_key,
    candidate_blob_key,
    candidate_key,
    golden_key,
    manifest_key,
    policy_key,
    record_key,
    result_key,
    statement_key,
)
from colchis_steps._formats.models import Alias, Candidate, Code, File, Golden, Manifest, Record, tree_digest
from colchis_steps._formats.policy import Policy
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.binding import golden_of, read_version
from colchis_steps._models.candidates import blobs_of
from colchis_steps._models.policy import write_policy
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.keys import main as keys_verb
from colchis_steps.verify import main as verify

RUN, MODEL = "r1", "digits"
EVALUATED = result_key(RUN, "evaluate")


@dataclass
class Chain:
    """The steps after the gate, each with what the workflow hands on by arguments."""

    store: Objects
    root: Path
    claims: list[str]

    def flags(self, *more: str) -> list[str]:
        return [f"--store={self.store.url}", f"--run={RUN}", f"--model={MODEL}", *more]

    def output(self, name: str) -> str:
        return (self.root / name).read_text()

    def upload(self, *more: str) -> int:
        outputs = [f"--{name}-path={self.root / name}" for name in ("version", "current")]
        return upload.main(self.flags(*self.claims, *outputs, *more))

    def build(self) -> int:
        to = [f"--repository=oci:{self.root}/images", f"--image-path={self.root / 'image'}"]
        return build_image.main(self.flags("--version=1", "--builder=direct", *to))

    def register(self) -> int:
        about = [f"--image={self.output('image')}", f"--record-path={self.root / 'record'}"]
        return register.main(self.flags("--version=1", *about, *self.claims))

    def rollout(self, *more: str, version: int = 1) -> int:
        about = [f"--version={version}", f"--image={self.output('image')}", "--target=seldon", "--serve-image=host/s:1"]
        return rollout.main(self.flags(*about, *more))

    def served(self) -> int:
        return self.rollout(f"--record={self.output('record')}")

    def until(self, last: str) -> None:
        for step in ("upload", "build", "register"):
            assert getattr(self, step)() == 0
            if step == last:
                return


def stored(store: Objects, directory: Path, content: bytes) -> tuple[File, ...]:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "saved_model.pb").write_bytes(content)
    return tuple(store_directory(store, directory).files)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """A run whose candidate passed its gate."""
    store = open_store((tmp_path / "store").as_uri())
    files = stored(blobs_of(store, RUN), tmp_path / "model", b"judged")
    candidate = Candidate(
        run=RUN, model=MODEL, files=files, tree=tree_digest(files), data="data/digits/0", data_digest="sha256:d",
        code=Code("digits:build"), hyperparameters={}, signature={}, frameworks={}, created_at=now(), beside=True,
    )  # fmt: skip
    store.write(candidate_key(RUN), encode(candidate))
    golden = encode(Golden(RUN, {"x": [1.0]}, {"probability": [[0.5, 0.5]]}))
    store.write(golden_key(RUN), golden)
    details = judged(candidate, golden=content_digest(golden))
    store.write(EVALUATED, encode(StepResult("evaluate", RUN, "succeeded", {}, now(), verdict="pass", details=details)))
    claims = {"tree": candidate.tree, "evaluation": evaluation_digest(details), "golden": content_digest(golden)}
    return Chain(store, tmp_path, [f"--{name}={value}" for name, value in claims.items()] + ["--baseline=none"])


def another_candidate(chain: Chain) -> None:
    """A model of somebody's own in the place of the one that was judged, whole in itself."""
    files = stored(blobs_of(chain.store, RUN), chain.root / "other", b"never judged")
    found = read_document(chain.store, candidate_key(RUN), Candidate)
    swapped = msgspec.structs.replace(found, files=files, tree=tree_digest(files))
    chain.store.write(candidate_key(RUN), encode(swapped))


def another_blob(chain: Chain) -> None:
    file = read_document(chain.store, candidate_key(RUN), Candidate).files[0]
    chain.store.write(candidate_blob_key(RUN, file.sha256), b"JUDGED")


def better_figures(chain: Chain) -> None:
    result = read_document(chain.store, EVALUATED, StepResult)
    result.details["metrics"] = {"accuracy": 1.0}
    chain.store.write(EVALUATED, encode(result))


def judged_as_the_other(chain: Chain) -> None:
    """What was judged and the judgement, both swapped, and in agreement."""
    another_candidate(chain)
    details = judged(read_document(chain.store, candidate_key(RUN), Candidate))
    result = StepResult("evaluate", RUN, "succeeded", {}, now(), verdict="pass", details=details)
    chain.store.write(EVALUATED, encode(result))


def no_evaluation(chain: Chain) -> None:
    chain.store.delete(EVALUATED)


def no_verdict_in_it(chain: Chain) -> None:
    """As an older release wrote it, bound to nothing."""
    result = StepResult("evaluate", RUN, "succeeded", {}, now(), verdict="pass", details={"metrics": {"accuracy": 1.0}})
    chain.store.write(EVALUATED, encode(result))


def another_manifest(chain: Chain) -> None:
    files = stored(chain.store, chain.root / "other", b"never judged")
    found = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    swapped = msgspec.structs.replace(found, files=files, tree=tree_digest(files))
    chain.store.write(manifest_key(MODEL, 1), encode(swapped))


def another_blob_of_the_version(chain: Chain) -> None:
    file = read_document(chain.store, manifest_key(MODEL, 1), Manifest).files[0]
    chain.store.write(f"blobs/sha256/{file.sha256}", b"JUDGED")


def another_record(chain: Chain) -> None:
    found = read_document(chain.store, record_key(MODEL, 1), Record)
    chain.store.write(record_key(MODEL, 1), encode(msgspec.structs.replace(found, metrics={"accuracy": 1.0})))


def a_whole_version_of_their_own(chain: Chain) -> None:
    """Manifest, record and statement, all swapped, and in agreement."""
    another_manifest(chain)
    manifest = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    put_on_record(chain.store, manifest, chain.output("image"))


def no_statement(chain: Chain) -> None:
    chain.store.delete(statement_key(MODEL, 1))


def another_statement(chain: Chain) -> None:
    told = json.loads(chain.store.read(statement_key(MODEL, 1)))
    told["subject"][0]["digest"]["sha256"] = "0" * 64
    chain.store.write(statement_key(MODEL, 1), json.dumps(told).encode())


def no_json_for_a_statement(chain: Chain) -> None:
    chain.store.write(statement_key(MODEL, 1), b"{")


Swap = Callable[[Chain], None]


@pytest.mark.parametrize(
    "swap",
    [another_candidate, another_blob, better_figures, judged_as_the_other, no_evaluation, no_verdict_in_it],
)
def test_what_is_swapped_before_upload_makes_no_version(chain: Chain, swap: Swap) -> None:
    swap(chain)
    assert chain.upload() == 65
    assert not [key for key in chain.store.keys("models/") if key.startswith("models/")]


@pytest.mark.parametrize(
    "swap",
    [another_candidate, better_figures, judged_as_the_other, no_evaluation, no_verdict_in_it, another_manifest],
)
def test_what_is_swapped_before_register_earns_no_record(chain: Chain, swap: Swap) -> None:
    chain.until("build")
    swap(chain)
    assert chain.register() == 65
    assert chain.store.size(record_key(MODEL, 1)) is None


@pytest.mark.parametrize("swap", [another_manifest, another_blob_of_the_version])
def test_what_is_swapped_before_it_is_packed_is_not_served(chain: Chain, swap: Swap) -> None:
    chain.until("upload")
    swap(chain)
    assert chain.build() == 65 or chain.register() == 65
    assert chain.store.size(record_key(MODEL, 1)) is None


@pytest.mark.parametrize(
    "swap",
    [
        another_manifest,
        another_record,
        a_whole_version_of_their_own,
        no_statement,
        another_statement,
        no_json_for_a_statement,
    ],
)
def test_what_is_swapped_before_the_rollout_is_not_served(
    chain: Chain, swap: Swap, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.until("register")
    capsys.readouterr()
    swap(chain)
    assert chain.served() == 65
    assert not capsys.readouterr().out, "no YAML"


@pytest.mark.parametrize("swap", [another_manifest, another_record, no_statement, another_statement])
def test_verify_tells_of_it_without_the_workflow(
    chain: Chain, swap: Swap, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    assert verify([f"--store={chain.store.url}"]) == 0
    swap(chain)
    assert chain.rollout() == 65, "by hand, without the record's digest"
    assert verify([f"--store={chain.store.url}"]) == 65
    assert "digits:1 " in capsys.readouterr().out
    assert "do not agree" in caplog.text or "missing or altered" in caplog.text


def test_what_agrees_is_served(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    chain.until("register")
    assert not read_version(chain.store, MODEL, 1).faults
    assert chain.served() == 0
    assert "SeldonDeployment" in capsys.readouterr().out


def test_golden_rows_that_were_swapped_are_not_asked(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    chain.until("register")
    record = read_document(chain.store, record_key(MODEL, 1), Record)
    assert golden_of(chain.store, record)
    chain.store.write(golden_key(RUN), encode(Golden(RUN, {"x": [2.0]}, {"probability": [[0.5, 0.5]]})))
    with pytest.raises(Exception, match="somebody changed it"):
        golden_of(chain.store, record)
    assert verify([f"--store={chain.store.url}"]) == 65
    assert "golden.json" in capsys.readouterr().out
    chain.store.delete(golden_key(RUN))  # with an old run
    assert golden_of(chain.store, record) is None
    assert verify([f"--store={chain.store.url}"]) == 0


@pytest.mark.parametrize("verdict", ["fail", "", "undecided", "PASS"])
def test_a_forged_record_without_a_pass_is_never_served(
    chain: Chain, verdict: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It agrees with all that lies around it."""
    chain.until("register")
    manifest = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    put_on_record(chain.store, manifest, chain.output("image"), verdict=verdict)
    assert chain.rollout() == 65
    assert f"the gate says {verdict!r}" in caplog.text


def stable_is(chain: Chain, version: int) -> None:
    manifest = Manifest(MODEL, version, "r0", (), tree_digest([]), now())
    put_on_record(chain.store, manifest, f"host/digits@sha256:{version:064}")
    chain.store.write(alias_key(MODEL, "stable"), encode(Alias(MODEL, version, now())))


def test_a_version_that_became_stable_meanwhile_sends_the_model_back_to_its_gate(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    stable_is(chain, 7)
    assert chain.upload() == 65
    assert "judged against none, and version 7 is stable now" in caplog.text
    assert chain.upload("--on-moved=tell") == 0
    assert chain.output("current") == "false"
    assert not (chain.root / "version").exists()
    assert chain.store.size(manifest_key(MODEL, 8)) is None


def test_a_run_whose_own_files_are_stable_already_finds_its_version(chain: Chain) -> None:
    chain.until("register")
    chain.store.write(alias_key(MODEL, "stable"), encode(Alias(MODEL, 1, now())))
    assert chain.upload() == 0
    assert (chain.output("version"), chain.output("current")) == ("1", "true")
    assert chain.register() == 0
    assert chain.served() == 0


def test_a_run_that_is_retried_after_another_was_promoted_is_not_served_on_the_old_comparison(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    stable_is(chain, 2)
    assert chain.served() == 65
    assert "digits:1 was judged against no version, and version 2 is stable now" in caplog.text
    assert chain.rollout("--run=by-hand") == 0, "somebody goes back to it"


def test_a_version_of_an_older_release_can_be_gone_back_to_and_not_rolled_out(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    manifest = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    put_on_record(chain.store, manifest, chain.output("image"), evaluation="")
    assert chain.rollout() == 65
    assert "bound its verdict to nothing" in caplog.text
    caplog.clear()
    stable_is(chain, 2)
    assert chain.rollout() == 0
    assert "digits was registered by an older release" in caplog.text


def test_an_alias_that_names_what_never_passed_leads_nowhere(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who moves aliases by hand still serves nothing that the gate did not pass."""
    monkeypatch.setenv("COLCHIS_HOME", str(chain.root / "home"))
    chain.until("register")
    manifest = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    put_on_record(chain.store, manifest, chain.output("image"), verdict="fail")
    chain.store.write(alias_key(MODEL, "stable"), encode(Alias(MODEL, 2, now(), previous=1)))
    assert rollout.main(chain.flags("--version=2", "--action=rollback", "--target=local")) == 65
    assert "the gate says 'fail' of version 1 of digits" in caplog.text
    another_manifest(chain)
    assert rollout.main(chain.flags("--version=2", "--action=rollback", "--target=local")) == 65
    assert "version 1 of digits must not be served: " in caplog.text


def test_a_policy_that_came_after_the_evaluation_sends_the_model_back_to_its_gate(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    digest = write_policy(chain.store, MODEL, Policy(first_model="reject"))
    assert chain.upload() == 65
    assert f"was judged by no policy, and it has policy {digest[7:19]} now; evaluate it again" in caplog.text
    assert chain.upload("--on-moved=tell") == 0
    assert chain.output("current") == "false"


def test_a_policy_that_was_altered_between_evaluate_and_rollout_serves_nothing(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    write_policy(chain.store, MODEL, Policy(first_model="reject"))
    assert chain.served() == 65
    assert "digits:1 was judged by no policy, and digits has policy " in caplog.text
    assert chain.rollout("--run=by-hand") == 65, "nor by hand, as it never served"
    stable_is(chain, 2)
    assert chain.rollout("--run=by-hand") == 0, "what is gone back to was judged by the policy of its day"
    chain.store.write(policy_key(MODEL), b'{"kind": "colchis.dev/policy/v2"}')
    assert chain.rollout("--run=by-hand") == 65
    assert "a colchis.dev/policy/v2 one, of a newer release; upgrade Colchis here" in caplog.text


def test_an_unjudged_version_is_served_only_where_no_policy_forbids_it(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    manifest = read_document(chain.store, manifest_key(MODEL, 1), Manifest)
    put_on_record(chain.store, manifest, chain.output("image"), verdict="unjudged", evaluation="")
    assert chain.rollout() == 0
    write_policy(chain.store, MODEL, Policy())
    assert chain.rollout() == 65
    assert "digits:1 was never judged, and policy " in caplog.text
    write_policy(chain.store, MODEL, Policy(unjudged=True))
    assert chain.rollout() == 0


def test_a_policy_says_who_must_sign(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    write_policy(chain.store, MODEL, Policy(signers=("second",)))
    stable_is(chain, 2)
    monkeypatch.setenv("COLCHIS_KEYS", str(chain.root / "keys"))
    assert chain.rollout() == 65
    assert "digits:1 has to be signed by second, and no trust.json says who that is" in caplog.text
    assert keys_verb(["make", "--name=first"]) == 0
    assert keys_verb(["sign", "digits:1", f"--store={chain.store.url}"]) == 0
    assert chain.rollout() == 65
    assert "it has to be signed by second too" in caplog.text
    monkeypatch.setenv("COLCHIS_HOME", str(chain.root / "home"))
    going_back = rollout.main(chain.flags("--version=2", "--action=rollback", "--target=local"))
    assert going_back == 65, "nothing was before"
    chain.store.write(alias_key(MODEL, "stable"), encode(Alias(MODEL, 2, now(), previous=1)))
    caplog.clear()
    assert rollout.main(chain.flags("--version=2", "--action=rollback", "--target=local")) == 65
    assert "it has to be signed by second too" in caplog.text, "nor is it gone back to"


def test_a_run_allows_no_operation_that_the_policy_does_not(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    chain.until("register")
    stable_is(chain, 2)
    write_policy(chain.store, MODEL, Policy(operations=("ReadFile",)))
    assert chain.rollout('--serve-options={"allow_operations": ["WriteFile"]}') == 65
    assert "the run allows the operation WriteFile, and policy " in caplog.text
    assert "of digits allows ReadFile; leave it out" in caplog.text
    assert chain.rollout("--run=by-hand", '--serve-options={"allow_operations": ["ReadFile"]}') == 0


def test_a_run_that_asks_for_no_approval_gets_one_where_the_policy_does(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.until("register")
    stable_is(chain, 2)
    write_policy(chain.store, MODEL, Policy(approval="manual"))
    caplog.set_level("INFO")
    given = rollout.parser().parse_args(chain.flags("--version=1", "--image=x", "--action=canary"))
    rollout.demanded(chain.store, given)
    assert rollout.plan_of(given).approval
    assert "asks for an approval: the version waits" in caplog.text
    assert chain.rollout("--action=canary", "--split=1=50,2=50") == 65
    assert "--split gives version 1 traffic without an approval" in caplog.text
