"""What a failing worker leaves: one sentence, and a cause that decides without anybody reading it."""

from pathlib import Path

import pytest

from colchis_steps._formats.training import Cause
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.opening import open_store
from colchis_steps._training.failures import CommandError, MeetingError, PeerError, find_failure, leave_failure


@pytest.mark.parametrize(
    ("error", "code", "cause"),
    [
        (InputError("lost its peers"), 65, Cause.HERE),
        (TransientError("a peer of it"), 75, Cause.HERE),
        (CommandError("no"), 65, Cause.COMMAND),
        (PeerError("no"), 75, Cause.PEER),
        (MeetingError("no"), 75, Cause.MEETING),
    ],
    ids=str,
)
def test_the_kind_of_the_error_is_the_cause(tmp_path: Path, error: StepError, code: int, cause: Cause) -> None:
    store = open_store(tmp_path.as_uri())
    assert find_failure(store, "r", 1) is None
    leave_failure(store, "r", 1, error)
    found = find_failure(store, "r", 1)
    assert found
    assert (error.exit_code, found.cause, found.sentence) == (code, cause, str(error))
    assert find_failure(store, "r", 0) is None
