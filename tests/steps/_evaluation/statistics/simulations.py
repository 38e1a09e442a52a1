"""Gates by the thousand on models of known worth: how often each rule is wrong.

Models are right or wrong on rows: ``differing`` is the share of rows that just one has right, ``change`` the true
change of the share of right rows. Everything is seeded, so a table is the same each time.
"""

from typing import Any

import numpy as np

from colchis_steps._evaluation.changes import worse_parts
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.results import KINDS
from colchis_steps._evaluation.statistics.bootstrap import DRAWS, bounds, mean
from colchis_steps._evaluation.statistics.multiple import holm
from colchis_steps._evaluation.statistics.power import ERROR
from colchis_steps._evaluation.statistics.proportions import binomial, not_worse, worse

MARGIN = 0.01
Array = np.ndarray[Any, np.dtype[Any]]


def random(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)


def outcomes(rows: int, differing: float, change: float) -> tuple[Array, Array, Array]:
    """Return all numbers of rows gained and lost that have a chance above 1e-8, and their chances."""
    chances = np.diff(binomial(rows, differing), prepend=0.0)
    counts = np.flatnonzero(chances > 1e-8)
    found = []
    for count in counts:
        lost = np.arange(count + 1)
        split = np.diff(binomial(int(count), min((differing - change) / 2 / differing, 1 - 1e-12)), prepend=0.0)
        there = split > 1e-8
        found.append(np.stack([(count - lost)[there], lost[there], chances[count] * split[there]]))
    gained, lost, chance = np.concatenate(found, axis=1)
    return gained.astype(int), lost.astype(int), chance


def passes(rows: int, differing: float, change: float, rule: str) -> float:
    """Return how often a rule passes such a candidate: exactly, as the sum over all outcomes.

    Rules are ``points`` (the difference found is no worse than the margin) and ``tango`` (the gate's).
    """
    gained, lost, chance = outcomes(rows, differing, change)
    if rule == "points":
        passed = (gained - lost) / rows >= -MARGIN - 1e-12
    else:
        passed = not_worse(gained, lost, rows, MARGIN) <= ERROR
    return float(chance[passed].sum())


def bootstrap_passes(rows: int, differing: float, change: float, gates: int) -> float:
    """Return how often a percentile bootstrap alone passes it; a sample's rows that differ are drawn at once."""
    generator = random(rows, round(1e4 * differing))
    shares = np.maximum([(differing + change) / 2, (differing - change) / 2, 1 - differing], 0)
    passed = 0
    for found in generator.multinomial(rows, shares, gates):
        drawn = generator.multinomial(rows, found / rows, DRAWS)
        passed += int(np.quantile((drawn[:, 0] - drawn[:, 1]) / rows, ERROR) > -MARGIN)
    return passed / gates


def losses(rows: int, worse: float, kind: str, generator: np.random.Generator) -> tuple[Array, Array]:
    """Return the losses of a baseline and of a candidate that is worse by the share, row by row.

    ``brier`` and ``log`` are of probabilities for two classes, ``absolute`` is an error with a long tail. Both models
    make most of their errors on the same rows.
    """
    common, own = generator.normal(size=rows), generator.normal(size=(2, rows))
    if kind == "absolute":
        found = np.exp(0.8 * common + 0.3 * own)
    else:
        right = 1 / (1 + np.exp(-(2 + 1.5 * common + 0.5 * own)))
        found = (1 - right) ** 2 if kind == "brier" else -np.log(right)
    return found[0], found[1] * (1 + worse)


def losses_pass(rows: int, worse: float, kind: str, gates: int) -> float:
    """Return how often the bootstrap passes a candidate, where the margin is 2 % of the loss."""
    passed = 0
    for gate in range(gates):
        baseline, candidate = losses(rows, worse, kind, random(rows, gate))
        passed += int(bounds(mean(candidate - 1.02 * baseline, gate), 1 - 2 * ERROR)[1] < 0)
    return passed / gates


def loss_alarms(parts: int, rows: int, gates: int) -> float:
    """Return how often any of so many parts of so many rows is told worse, where a regression is as good in all."""
    told = 0
    part = np.arange(parts * rows) % parts
    where = {f"region={number}": part == number for number in range(parts)}
    for gate in range(gates):
        found = np.zeros((2, parts * rows), KINDS["regression"])
        found["absolute"], found["weight"] = losses(parts * rows, 0.0, "absolute", random(gate, 3)), 1.0
        told += bool(worse_parts(Pair("regression", (), found[1], found[0], gate, parts=where), "mae", 0.02))
    return told / gates


def alarms(parts: int, rows: int, change: float, gates: int, differing: float = 0.1) -> tuple[float, float, float]:
    """Return how often the first part, any part, and any without Holm's correction is told worse by the margin.

    Only the first part has the change; each has so many rows.
    """
    generator = random(parts, rows, round(1e4 * (1 + change)))
    true = np.array([change, *[0.0] * (parts - 1)])
    share = np.maximum(differing, np.abs(true) + 0.02)
    shares = np.stack([(share + true) / 2, (share - true) / 2, 1 - share], axis=1)
    gained, lost, _ = np.moveaxis(generator.multinomial(rows, shares, (gates, parts)), -1, 0)
    values = worse(gained, lost, rows, MARGIN)
    told = np.array([holm(list(of_gate)) for of_gate in values]) <= ERROR
    return float(told[:, 0].mean()), float(told.any(axis=1).mean()), float((values <= ERROR).any(axis=1).mean())
