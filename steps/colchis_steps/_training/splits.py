"""How a model's loss and metrics of a batch are made of those of its parts, found by trying it on a few rows.

A worker computes its part of each global batch. Where the loss is a mean or a sum over rows, and the metrics are sums,
workers need to exchange nothing but sums. Where not (Dice, in-batch negatives, means over a mask, a metric that keeps a
maximum), each worker gets the predictions of all, and computes loss and metrics of the whole batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colchis_steps._savedmodel.outputs import forward_of
from colchis_steps._training.workers import Workers

ROWS = 12  # that are tried at most; parts of 5 and 7


@dataclass(frozen=True)
class Splits:
    """``whole``: loss and metrics need the whole batch. Else the data's loss is a mean over rows, or a sum.

    ``penalties`` says of each of the model's losses (regularizers, ``add_loss``) whether it is a sum over rows; the
    others are means, or do not depend on rows.
    """

    whole: bool = False
    mean: bool = True
    penalties: tuple[bool, ...] = ()
    inputs: bool = False  # a method of the model's own may read them, and so needs the whole batch's
    why: str = ""  # what needs the whole batch, for the log


@dataclass(frozen=True)
class Tried:
    """Loss of some rows, the penalties in it, and the metrics' state after them."""

    rows: int
    loss: float
    penalties: tuple[float, ...]
    state: tuple[np.ndarray[Any, Any], ...]


def overrides(model: Any, method: str) -> bool:
    """Return whether the model's class has a method of its own in place of ``keras.Model``'s."""
    import keras

    return getattr(type(model), method) is not getattr(keras.Model, method)


def find_splits(model: Any, attempt: Callable[[slice], Tried], rows: int, slack: float) -> Splits:
    """Find out by ``attempt``, which computes loss and metrics of some of the rows, as many as there are.

    ``slack`` is the relative difference that is rounding.
    """
    if rows < 2:
        return Splits(whole=True, penalties=(False,) * len(attempt(slice(rows)).penalties), why="a batch of one row")
    both, halves = attempt(slice(rows)), halved(attempt, rows)
    data = [[tried.loss - math.fsum(tried.penalties) for tried in half] for half in halves]
    whole = both.loss - math.fsum(both.penalties)
    is_mean, is_sum = are_means(halves, data, whole, slack), are_sums(data, whole, slack)
    penalties = []
    for i, value in enumerate(both.penalties):
        parts = [[tried.penalties[i] for tried in half] for half in halves]
        penalties.append(not are_means(halves, parts, value, slack) and are_sums(parts, value, slack))
    own = [method for method in ("compute_loss", "compute_metrics") if overrides(model, method)]
    why = f"the model's own {own[0]}" if own else ""
    if not (why or is_mean or is_sum):
        why = "the loss"
    if not why and getattr(model._compile_loss, "metrics", None):
        why = "the loss of each output"  # Keras takes their mean over batches, whatever rows those have
    if not why and (foreign := foreign_metric(model)):
        why = f"the metric {foreign}"
    if not why and not add_up(both, halves, slack):
        why = "a metric"
    return Splits(whole=bool(why), mean=is_mean, penalties=tuple(penalties), inputs=bool(own), why=why)


def halved(attempt: Callable[[slice], Tried], rows: int) -> list[tuple[Tried, Tried]]:
    """Try the rows in two parts, twice: the first and the others, every other one and the others."""
    cut = rows * 5 // ROWS or 1
    parts = ((slice(cut), slice(cut, rows)), (slice(0, rows, 2), slice(1, rows, 2)))
    return [(attempt(one), attempt(other)) for one, other in parts]


def are_means(
    halves: Sequence[tuple[Tried, Tried]], parts: Sequence[Sequence[float]], whole: float, slack: float
) -> bool:
    """Return whether a value of all rows is the mean of its parts', weighted by their rows."""
    rows = [[tried.rows for tried in half] for half in halves]
    means = [(a * m + b * n) / (m + n) for (a, b), (m, n) in zip(parts, rows, strict=True)]
    return all(alike(mean, whole, slack) for mean in means)


def are_sums(parts: Sequence[Sequence[float]], whole: float, slack: float) -> bool:
    """Return whether a value of all rows is the sum of its parts', and not only because one of them is nothing."""
    return all(alike(a + b, whole, slack) for a, b in parts) and any(a and b for a, b in parts)


def add_up(both: Tried, halves: Sequence[tuple[Tried, Tried]], slack: float) -> bool:
    """Return whether the metrics' states of two parts sum to those of both."""
    return all(
        alike(a + b, c, slack)
        for first, second in halves
        for a, b, c in zip(first.state, second.state, both.state, strict=True)
    )


def alike(a: Any, b: Any, slack: float) -> bool:
    """Return whether the values are equal but for rounding; NaN equals NaN."""
    return bool(np.allclose(a, b, rtol=slack, atol=slack * 1e-2, equal_nan=True))


def foreign_metric(model: Any) -> str:
    """Return the name of a metric that is not Keras's own, if there is one: its state may be of any kind."""
    found: list[Any] = list(model.metrics)
    while found:
        metric = found.pop()
        if inner := getattr(metric, "metrics", None):
            found += inner
        elif not type(metric).__module__.startswith("keras."):
            return str(metric.name)
    return ""


def agreed(found: Splits, workers: Workers) -> Splits:
    """Return what the chief has found: where rounding decides, another machine may see it otherwise."""
    import tensorflow as tf

    flags = [found.whole, found.mean, found.inputs, *found.penalties]
    (summed,) = workers.sum([tf.constant([float(flag and workers.here.chief) for flag in flags])])
    whole, mean, inputs, *penalties = (bool(flag) for flag in summed.numpy())
    return Splits(whole=whole, mean=mean, penalties=tuple(penalties), inputs=inputs, why=found.why)


def attempts(model: Any, loss: Callable[..., Any] | None, rows: Sequence[Any]) -> Callable[[slice], Tried]:
    """Return what computes loss and metrics of some of ``rows`` (inputs, labels, weights or None) without training.

    Without ``loss`` it is 0: the model's own step computes it.
    """
    import tensorflow as tf

    forward = forward_of(model)

    def attempt(part: slice) -> Tried:
        inputs, labels, weights = tf.nest.map_structure(lambda t: None if t is None else t[part], tuple(rows))
        model.reset_metrics()
        predictions = forward(inputs, training=False)
        shaped = labelled(inputs, labels, predictions)
        value = loss(*shaped, weights, training=False) if loss else 0.0
        penalties = tuple(float(np.sum(np.asarray(found, np.float64))) for found in model.losses)
        model.compute_metrics(*shaped, weights)
        state = tuple(np.asarray(variable.value, np.float64) for variable in model.metrics_variables)
        model.reset_metrics()
        return Tried(len(labels), float(value), penalties, state)

    return attempt


def labelled(inputs: Any, labels: Any, predictions: Any) -> tuple[Any, Any, Any]:
    """Return what Keras's methods take: where the model has several outputs, each has the label."""
    import tensorflow as tf

    nested = isinstance(predictions, dict | list | tuple)
    return inputs, tf.nest.map_structure(lambda _: labels, predictions) if nested else labels, predictions
