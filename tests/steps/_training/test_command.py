"""What a user's command says goes on, TensorFlow's chatter in it does not, and how it ends is a cause."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from colchis_steps._savedmodel.library import CHOICE
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.opening import open_store
from colchis_steps._training.command import Command, environment
from colchis_steps._training.failures import CommandError
from colchis_steps._training.rendezvous import Place

CHATTER = "I0000 00:00:1795905317.603481    8180 port.cc:153] oneDNN custom operations are on."
BANNER = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"


def execute(tmp_path: Path, program: str, variables: Mapping[str, str]) -> None:
    """Run a Python program as the chief's command."""
    command = Command(open_store(tmp_path.as_uri()), "r", "key", tmp_path / "worker-0", chief=False)
    command.execute([sys.executable, "-c", program], tmp_path, variables, grace=1.0)


@pytest.mark.servers
@pytest.mark.parametrize(("level", "shown"), [(None, 2), ("0", 4)])
def test_its_own_lines_are_handed_on_and_chatter_only_where_it_is_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: str | None,
    shown: int,
) -> None:
    for name in CHOICE:
        monkeypatch.delenv(name, raising=False)
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    variables = environment(Place(), "1", {})
    assert variables["TF_ENABLE_ONEDNN_OPTS"] == "1"
    lines = ["loss 0.5", BANNER, CHATTER, "F0000 00:00:1.5  7 port.cc:1] aborts"]
    execute(tmp_path, f"print({chr(10).join(lines)!r})", variables)
    assert len(capsys.readouterr().err.splitlines()) == shown


@pytest.mark.servers
@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("raise SystemExit(3)", CommandError),
        ("raise SystemExit(75)", TransientError),
        ("import os; os.kill(os.getpid(), 9)", TransientError),
    ],
)
def test_how_it_ends_is_a_kind_of_error(tmp_path: Path, program: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        execute(tmp_path, program, environment(Place(), "1", {}))
    assert type(raised.value) is kind


@pytest.mark.servers
def test_one_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    command = Command(open_store(tmp_path.as_uri()), "r", "key", tmp_path / "worker-0", chief=False)
    with pytest.raises(InputError, match="cannot be started") as raised:
        command.execute(["/no/such/program"], tmp_path, {}, grace=1.0)
    assert type(raised.value) is InputError


def test_history_lines_may_have_numbers_that_json_lacks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = Command(open_store(tmp_path.as_uri()), "r", "key", tmp_path / "worker-0", chief=True)
    command.history.parent.mkdir(parents=True, exist_ok=True)
    lines = ['{"train": {"loss": NaN}}', '{"train": {"loss": "Infinity"}}', '{"train": {"loss": null}}']
    command.history.write_text("\n".join([*lines, '{"train": {"loss": "low"}}']))
    assert [str(epoch.train["loss"]) for epoch in command._epochs()] == ["nan", "inf", "nan"]
    assert "line 4 of $COLCHIS_HISTORY is not an epoch" in caplog.text
