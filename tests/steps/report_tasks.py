"""Evaluations and profiles of every task and size, as records have them, for the tests of the report's pages."""

import math
from typing import Any

import msgspec
import numpy as np

from colchis_steps._formats import profiles
from colchis_steps._formats import runs as r

RANDOM = np.random.default_rng(5)
PALETTE = ("#204080", "#f0c060", "#40a060", "#d04030")
PICTURE = r.Picture(PALETTE, tuple(tuple(int(v) for v in line) for line in RANDOM.integers(0, 4, (24, 32))))
RULE = r.Check("f1 ≥ 0.5", True, "0.981")


def curve(kind: str, name: str, bend: float) -> r.Curve:
    x = np.linspace(0, 1, 40)
    y = x ** (1 / bend) if kind == "roc" else 1 - x**bend * 0.6
    return r.Curve(kind, name, tuple((round(float(a), 5), round(float(b), 5)) for a, b in zip(x, y, strict=True)), 0.93)


def base(**more: Any) -> r.Evaluation:
    found = r.Evaluation({"accuracy": 0.98}, {}, 2, {"accuracy": 0.97}, (), (), (RULE,), (), verdict="pass", rows=400)
    return msgspec.structs.replace(found, **more)


def classification(classes: int) -> r.Evaluation:
    names = tuple(f"class {i}" for i in range(classes))
    counts = RANDOM.integers(0, 3, (classes, classes)) * (RANDOM.uniform(0, 1, (classes, classes)) < 4 / classes)
    np.fill_diagonal(counts, 40)
    counts[0, 0] = 0
    counts[0, 1] = 12
    drawn = [curve(kind, names[i], 3 + i) for i in range(min(4, classes - 1)) for kind in ("roc", "pr")]
    calibration = r.Curve("calibration", "", tuple((i / 10, min(1.0, i / 10 + 0.05)) for i in range(1, 11)))
    slices = {
        f"region={name}": {"accuracy": 0.9, "loss": 0.3, "auc": math.nan, "support": 120.0}
        for name in ("north", "south", "(other)", "(null)")
    }
    samples = tuple(
        r.Sample(
            names[i % classes], names[(i + (i < 12)) % classes], 0.91, None, f"age {i}, job cook", 2.3 - i / 10, PICTURE
        )
        for i in range(16)
    )
    return base(
        metrics={"accuracy": 0.93, "auc": 0.98, "cost": 3.5},
        baseline_metrics={"accuracy": 0.92, "auc": 0.97},
        classes=names,
        confusion=tuple(tuple(int(v) for v in line) for line in counts),
        curves=(*drawn, calibration),
        slices=slices,
        samples=samples,
        weight="w",
        own=r.OwnMetrics("mine:business", "sha256:c0de", "i", ("cost",)),
    )


def multilabel(labels: int) -> r.Evaluation:
    names = tuple(f"label {i}" for i in range(labels))
    slices = {
        f"label={name}": {
            "precision": 0.8,
            "recall": 0.0 if i == 1 else 0.7,
            "f1": 0.0 if i == 1 else 0.75,
            "auc": math.nan if i == 2 else 0.9,
            "support": 0.0 if i == 2 else 31.0,
        }
        for i, name in enumerate(names)
    }
    samples = (r.Sample("label 1, label 2", "none", 0.0, None, "a long text " * 9, 3.1),)
    drawn = tuple(curve(kind, names[0], 4) for kind in ("roc", "pr"))
    metrics = {"subset_accuracy": 0.61, "micro_f1": 0.8, "hamming": 0.07}
    return base(
        task="multilabel", metrics=metrics, baseline_metrics={}, baseline_version=None, classes=names, slices=slices,
        samples=samples, curves=drawn,
    )  # fmt: skip


def regression(targets: int = 1) -> r.Evaluation:
    names = tuple(f"target {i}" for i in range(targets))
    true = RANDOM.normal(200, 60, 4000)
    said = 0.8 * true + 40 + RANDOM.normal(0, 12, 4000)
    plane, _, _ = np.histogram2d(said, true, bins=24, range=[[0, 400], [0, 400]])
    residual = [
        r.Residuals(
            name, tuple(float(v) for v in np.linspace(60, 340, 13)), (300,) * 12,
            tuple(float(v) for v in np.linspace(20, -20, 12)), (12.0,) * 12, 0.0, 400.0,
            tuple(tuple(int(v) for v in line) for line in plane),
        )
        for name in names
    ]  # fmt: skip
    slices = {f"age={10 * i}..{10 * i + 10}": {"r2": 0.8, "rmse": 15.0, "mae": 11.0, "support": 60.0} for i in range(5)}
    if targets > 1:
        slices |= {f"target={name}": {"r2": 0.8, "rmse": 15.0, "mae": 11.0} for name in names}
    samples = tuple(
        r.Sample("312.5", "201.25", 0.0, None, "bmi 0.06, s5 0.13, age 0.02", 12000.0 - i) for i in range(8)
    )
    metrics = {"r2": 0.81, "rmse": 15.1, "mae": 11.2, "mape": 0.07}
    return base(
        task="regression", metrics=metrics, baseline_metrics={"r2": 0.8, "rmse": 15.9, "mae": 12.0, "mape": 0.08},
        targets=names, residuals=tuple(residual), slices=slices, samples=samples,
    )  # fmt: skip


def column(i: int, split: str) -> profiles.ColumnProfile:
    shift = 0 if split == "train" else 1
    bell = tuple(int(1000 * math.exp(-((k - 10 - shift) ** 2) / 20)) for k in range(20))
    edges = tuple(float(k) for k in range(21))
    common: dict[str, Any] = {"rows": 4000, "values": 3990, "nulls": 10}
    match i % 5:
        case 0:
            return profiles.ColumnProfile(
                f"number_{i}", "double", minimum=0.0, maximum=20.0, mean=10.2, deviation=3.1, edges=edges,
                histogram=bell, distinct=3120, **common,
            )  # fmt: skip
        case 1:
            return profiles.ColumnProfile(
                f"word_{i}", "string", distinct=12,
                top=(("Adelie", 1500), ("a name that is longer than a phone is wide", 90)), **common,
            )  # fmt: skip
        case 2:
            lengths = profiles.Lengths(edges, bell, 42.0)
            return profiles.ColumnProfile(
                f"text_{i}", "string", distinct=3980, lengths=lengths, top=(("the same twice", 2),), **common
            )
        case 3:
            return profiles.ColumnProfile(
                f"when_{i}", "timestamp[us]", "time", minimum=1.6e15, maximum=1.7e15, mean=1.65e15,
                edges=tuple(1.6e15 + 5e12 * k for k in range(21)), histogram=bell, **common,
            )  # fmt: skip
        case _:
            return profiles.ColumnProfile(
                f"flag_{i}", "bool", distinct=2, top=(("true", 3000), ("false", 990)), **common
            )


def data(columns: int, classes: int = 3) -> profiles.DataReport:
    label = profiles.ColumnProfile(
        "label", "string", "label", rows=4000, classes={f"class {i}": 40 + i for i in range(classes)}
    )
    tile = profiles.ColumnProfile("tile", "binary", rows=4000, pictures=(PICTURE,) * 4)
    splits = {
        split: profiles.SplitProfile(4000, 80_000, 3, (tile, *(column(i, split) for i in range(columns)), label))
        for split in ("train", "eval", "test")
    }
    drift = tuple(
        profiles.Drift(f"number_{i}", "train", "Kolmogorov-Smirnov", 1e-9 if i else 0.4, 0.3 if i else 0.0,
                       0.1, 0.02, 0.4, 1.1, drifted=bool(i), reason="PSI 0.3 beyond its noise" if i else "")
        for i in range(0, columns, 5)
    )  # fmt: skip
    return profiles.DataReport(
        "penguins", "sha256:da7a", splits,
        (r.Check("rows ≥ 1", True), r.Check("bmi ≤ 1", False, "3", "3 rows are above")),
        drift, "sha256:0ld", verdict="drifted",
    )  # fmt: skip
