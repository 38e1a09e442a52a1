"""How often the gate is wrong: what docs/trust.md says, held against gates by the thousand."""

import math
from pathlib import Path

import pytest
from tests.steps._evaluation.statistics.simulations import (
    MARGIN,
    alarms,
    bootstrap_passes,
    loss_alarms,
    losses_pass,
    passes,
)

pytestmark = pytest.mark.long

ROWS, DIFFERING = (50, 100, 300, 1_000, 3_000, 10_000), (0.01, 0.03, 0.1, 0.2)
PAGE = Path(__file__).parents[4] / "docs/trust.md"


def error(share: float, gates: int) -> float:
    """Return three standard errors of a share that was simulated."""
    return 3 * math.sqrt(share * (1 - share) / gates)


@pytest.mark.parametrize("rows", ROWS)
def test_the_page_has_the_chances_of_each_rule_as_they_are(rows: int) -> None:
    cells = [" / ".join(f"{100 * passes(rows, d, change, rule):.0f}" for rule, change in RULES) for d in DIFFERING]
    assert f"| {rows:,} | {' | '.join(cells)} |" in PAGE.read_text()


RULES = (("points", -MARGIN), ("tango", -MARGIN), ("tango", 0.0))


@pytest.mark.parametrize("differing", [0.01, 0.011, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2])
def test_a_model_that_is_worse_by_the_margin_passes_in_5_per_cent(differing: float) -> None:
    """No simulation: each outcome, at every number of rows to 300 and at many beyond. Counts are whole, hence 5.9."""
    rows = [*range(50, 300), *range(300, 1_200, 23), 3_000, 10_000]
    found = [passes(n, differing, -MARGIN, "tango") for n in rows]
    assert max(found) <= 0.059
    assert sum(found) / len(found) <= 0.0505
    assert max(share for n, share in zip(rows, found, strict=True) if n >= 200) <= 0.053


@pytest.mark.parametrize("rows", [300, 500, 1_000, 3_000])
@pytest.mark.parametrize("differing", DIFFERING)
def test_a_bootstrap_of_shares_holds_from_its_least_rows_up(rows: int, differing: float) -> None:
    assert bootstrap_passes(rows, differing, -MARGIN, 1_000) <= 0.075 + error(0.075, 1_000)


@pytest.mark.parametrize("kind", ["brier", "log", "absolute"])
@pytest.mark.parametrize(("rows", "gates"), [(300, 1_000), (1_000, 500), (3_000, 200)])
def test_a_bootstrap_of_losses_holds_from_its_least_rows_up(kind: str, rows: int, gates: int) -> None:
    assert losses_pass(rows, 0.02, kind, gates) <= 0.075 + error(0.075, gates)


@pytest.mark.parametrize("rows", [50, 100])
def test_a_bootstrap_alone_is_wrong_on_few_rows(rows: int) -> None:
    """So this test would see a gate that had no least rows."""
    assert bootstrap_passes(rows, 0.01, -MARGIN, 1_000) > 0.3


@pytest.mark.parametrize("rows", [50, 100, 300])
@pytest.mark.parametrize("differing", [0.02, 0.1, 0.2])
def test_twenty_parts_that_are_as_good_give_no_alarm(rows: int, differing: float) -> None:
    assert alarms(20, rows, 0.0, 4_000, differing)[1] <= 0.05 + error(0.05, 4_000)


def test_without_a_correction_they_would() -> None:
    assert alarms(20, 300, 0.0, 1_000)[2] > 0.2


@pytest.mark.parametrize("differing", [0.1, 0.12, 0.14])
def test_ten_points_lost_in_a_part_of_300_rows_are_seen(differing: float) -> None:
    assert alarms(20, 300, -0.1, 4_000, differing)[0] >= 0.95 - error(0.95, 4_000)


def test_where_they_differ_more_they_are_seen_less() -> None:
    assert 0.75 < alarms(20, 300, -0.1, 4_000, 0.2)[0] < 0.82


def test_twenty_parts_of_a_regression_that_are_as_good_give_no_alarm() -> None:
    assert loss_alarms(20, 300, 60) <= 0.05 + error(0.05, 60)
