"""Which of several failing workers is to blame, hyper-parameters, and what train refuses before a worker starts."""

import signal
from pathlib import Path

import pytest
from tests.steps.training_data import write_data

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.hyperparameters import settings
from colchis_steps._formats.models import Code
from colchis_steps._formats.training import Cause
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._training.backends import workplace as _training_workplace
from colchis_steps._training.backends.ends import End, explain
from colchis_steps._training.backends.workplace import workplace
from colchis_steps._training.entry import load_entry
from colchis_steps.train import check_trainable, fingerprint, main

LOST = End(0, 75, sentence="worker 0 of 2 lost its peers (Socket closed); run it again", cause=Cause.PEER)


@pytest.mark.parametrize(
    ("ends", "kind", "says"),
    [
        (
            [LOST, End(1, 65, sentence="loss is nan at step 3 (epoch 1); lower it")],
            InputError,
            "^loss is nan at step 3",
        ),
        (
            [LOST, End(1, -signal.SIGKILL)],
            TransientError,
            r"^worker 1 of 2 was killed \(SIGKILL: by hand",
        ),
        (
            [LOST, End(1, -signal.SIGSEGV, last_line="x")],
            TransientError,
            r"^worker 1 of 2 was killed \(SIGSEGV\).*'x'",
        ),
        (
            [LOST, End(1, 1, last_line="ValueError: no")],
            StepError,
            "^worker 1 of 2 ended with exit code 1: ValueError: no",
        ),
        ([LOST, End(1, None, frozen=True)], TransientError, "^worker 1 of 2 stopped answering"),
        ([End(0, -signal.SIGABRT), End(1, None, frozen=True)], TransientError, "^worker 1 .* stopped"),
        ([LOST, End(1, 75, sentence="asked to stop")], TransientError, "^worker 1 of 2: asked to stop"),
        ([LOST], TransientError, "^worker 0 of 2 lost its peers"),
        (
            [
                End(0, 65, sentence="the command 'x' ended with 1", cause=Cause.COMMAND),
                End(1, -signal.SIGKILL),
            ],
            TransientError,
            r"^worker 1 of 2 was killed \(SIGKILL",
        ),
        (
            [
                End(0, 75, sentence="a peer of worker 0 was", cause=Cause.PEER),
                End(1, 75, sentence="the step was"),
            ],
            TransientError,
            "^worker 1 of 2: the step was",
        ),
        (
            [End(1, -signal.SIGABRT, last_line="heartbeat")],
            TransientError,
            "^worker 1 of 2 was killed .SIGABRT.*heartbeat",
        ),
        (
            [End(0, 65, sentence="the command 'x' ended with 1", cause=Cause.COMMAND)],
            InputError,
            "^the command 'x' ended with 1$",
        ),
        (
            [End(0, 75, sentence="worker 1 of 2, host b:1, not reachable", cause=Cause.MEETING)],
            TransientError,
            "^worker 1 of 2, host b:1, not",
        ),
        ([End(0, 75, sentence="lost its peers, says the user's own code")], TransientError, "^worker 0 of 2: lost its"),
        ([End(0, 75, last_line="Aborted")], TransientError, "^worker 0 of 2: lost its peers: Aborted; run it again"),
    ],
    ids=[
        "bad input",
        "killed",
        "crashed",
        "broke",
        "frozen",
        "frozen and aborted",
        "ended",
        "lost",
        "command",
        "stopped",
        "aborted",
        "command alone",
        "not met",
        "words alone decide nothing",
        "nothing left",
    ],
)
def test_the_cause_wins_over_what_it_caused(ends: list[End], kind: type[StepError], says: str) -> None:
    error = explain(ends, 2)
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error


def test_hyperparameters_have_defaults_and_keep_the_rest() -> None:
    found = settings('{"epochs": 3, "rate": 0.1}')
    assert (found.epochs, found.global_batch, found.seed) == (3, 64, 0)
    assert found.all["rate"] == 0.1
    assert settings("").epochs == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "are not JSON"),
        ("[1]", "not a JSON object"),
        ('{"epochs": 0}', "epochs is 0; give a whole number of at least 1"),
        ('{"epochs": "3"}', "epochs is '3'"),
        ('{"global_batch": true}', "global_batch is True"),
        ('{"seed": -1}', "seed is -1"),
        ('{"accumulate": 0}', "accumulate is 0; give a whole number of at least 1"),
        ('{"precision": "float8"}', "precision is 'float8'; give one of float32, mixed_float16, mixed_bfloat16"),
        ('{"seed": 4294967296}', "seed is 4294967296; give one below"),
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        settings(text)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("build", "is not package.module:function"),
        ("a b:c", "is not package.module:function"),
        ("no_such_module:build", "there is no module 'no_such_module'"),
        ("colchis_steps.nothing:build", "there is no module 'colchis_steps.nothing'"),
        ("colchis_steps.classifier:biuld", "no function 'biuld', only build"),
        ("broken_entry:build", r"raised SyntaxError: .*\(broken_entry\.py, line 2\)"),
        ("raising_entry:build", r"raised ZeroDivisionError: division by zero \(raising_entry\.py, line 3\)"),
        (
            "needy_entry:build",
            r"raised ModuleNotFoundError: No module named 'absent_library' \(needy_entry\.py, line 1\)",
        ),
    ],
)
def test_entries_that_do_not_load_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, says: str
) -> None:
    (tmp_path / "broken_entry.py").write_text("x = 1\ndef build(:\n")
    (tmp_path / "raising_entry.py").write_text("def one():\n    return 1\nx = one() / 0\n")
    (tmp_path / "needy_entry.py").write_text("import absent_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=says):
        load_entry(entry)


def test_data_that_cannot_be_trained_on_is_refused_before_workers_start(tmp_path: Path) -> None:
    data = open_data(write_data(tmp_path / "set", {"train": [6], "eval": []}))
    with pytest.raises(InputError, match=r"split 'eval' .* has no rows"):
        check_trainable(settings("{}"), data, 1)
    whole = open_data(write_data(tmp_path / "whole", {"train": [6], "eval": [3]}))
    with pytest.raises(InputError, match="global_batch is 2, too few for 3 workers"):
        check_trainable(settings('{"global_batch": 2}'), whole, 3)


def test_a_fingerprint_changes_with_what_is_trained() -> None:
    base = fingerprint("sha256:d", Code("m:f", digest="c"), settings('{"epochs": 3}'))
    assert base == fingerprint("sha256:d", Code("m:f", digest="c", uri="elsewhere"), settings('{"epochs": 3}'))
    assert base != fingerprint("sha256:e", Code("m:f", digest="c"), settings('{"epochs": 3}'))
    assert base != fingerprint("sha256:d", Code("m:f", digest="x"), settings('{"epochs": 3}'))
    assert base != fingerprint("sha256:d", Code("m:f", digest="c"), settings('{"epochs": 3, "seed": 1}'))


def test_a_corrupt_manifest_ends_with_65_and_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = write_data(tmp_path / "set", {"train": [6], "eval": [3]})
    (tmp_path / "set" / "manifest.json").write_text("{}")
    store = f"--store={(tmp_path / 'store').as_uri()}"
    assert main([store, "--run=r", "--model=m", f"--data={uri}", f"--workdir={tmp_path / 'w'}"]) == 65
    assert "manifest.json is not a colchis.dev/data/v2 document" in caplog.text


def test_one_training_at_a_time_uses_a_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_training_workplace, "LOCKED_SECONDS", 0.2)
    busy = pytest.raises(TransientError, match="another training uses")
    with workplace(tmp_path / "w", "r"), busy, workplace(tmp_path / "w", "r"):
        pass
    with workplace(tmp_path / "w", "r"):
        pass
    assert (tmp_path / "w").exists()


def test_the_default_working_directory_goes_when_all_went_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    with pytest.raises(TransientError), workplace(None, "r"):
        raise TransientError("lost; again")
    assert (tmp_path / "runs/r/training/lock").exists()
    with workplace(None, "r") as (path, _):
        assert path == tmp_path / "runs/r/training"
        assert path.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.glob("runs/*"))


def test_two_homes_share_no_working_directory_and_a_pod_has_its_scratch_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for name in ("COLCHIS_HOME", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    places = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with workplace(None, "r") as (path, _):
            places.append(path)
    assert places == [tmp_path / name / ".colchis/runs/r/training" for name in ("one", "two")]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with workplace(None, "r") as (path, _):
        assert path == tmp_path / "tmp/colchis-r"


def test_a_working_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"), workplace(tmp_path / "file" / "w", "r"):
        pass
