"""Polling: the first answer, one more look at the end, and what is missing in words."""

import logging
import threading

import pytest

from colchis_steps._step import polling
from colchis_steps._step.errors import TransientError
from colchis_steps._step.polling import poll, repeating, wait_until


def test_the_first_answer_ends_it_even_where_it_is_false() -> None:
    answers = [None, None, False, True]
    assert poll(lambda: answers.pop(0), 60, interval=0) is False
    assert answers == [True]


def test_it_is_asked_at_least_once_and_once_more_when_the_time_is_over() -> None:
    asked: list[int] = []
    assert poll(lambda: asked.append(1), 0) is None
    assert len(asked) == 1
    assert poll(lambda: asked.append(1), 0.01, interval=3600) is None
    assert len(asked) == 3


def test_what_is_still_missing_is_logged_as_it_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(polling, "PATIENT", 0.0)
    caplog.set_level(logging.INFO)
    left = ["two pods", "two pods", "one pod", ""]
    wait_until(60, lambda: left.pop(0), "not all there", interval=0)
    said = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(": ")[2] for line in said] == ["two pods", "one pod"]


def test_the_last_thing_that_was_missing_is_in_the_sentence() -> None:
    left = ["two pods", "one pod"]
    with pytest.raises(TransientError, match=r"^not all there after 0 s: one pod$"):
        wait_until(0.001, lambda: left.pop(0) if len(left) > 1 else left[0], "not all there", interval=0.01)


@pytest.mark.servers
def test_what_is_repeated_is_done_again_and_not_any_more_at_the_end() -> None:
    done: list[int] = []
    with repeating(lambda: done.append(1), 0.001, "again"):
        assert poll(lambda: len(done) > 2 or None, 10)
        assert [thread for thread in threading.enumerate() if thread.name == "again"]
    assert not [thread for thread in threading.enumerate() if thread.name == "again"]
