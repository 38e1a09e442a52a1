"""Flags that several steps have."""

import argparse

import pytest

from colchis_steps._step.flags import run_id


def test_a_runs_id_is_one_part_of_a_key() -> None:
    assert run_id("7f3a-1") == "7f3a-1"


@pytest.mark.parametrize("text", ["", "a/b", "r/training", "/"])
def test_one_that_leads_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a run's id; give one without '/'"):
        run_id(text)
