"""A model that was judged is judged again, against another stable version: by what is kept of both, row by row.

No model is loaded. Data are read only where a column tells rows apart by group or slice.
"""

import argparse
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._evaluation.clients import keep_working
from colchis_steps._evaluation.costs import MEMORY, are_measured
from colchis_steps._evaluation.fetch import check_stable, stable_files
from colchis_steps._evaluation.known import SCORING, Wanted, fetch_results, known_figures
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.policies import thresholds_of
from colchis_steps._evaluation.scoring import Figures
from colchis_steps._evaluation.slicing import cuts
from colchis_steps._evaluation.statistics.bootstrap import seed
from colchis_steps._evaluation.units import Units
from colchis_steps._evaluation.weighing import CONSTANT, Task, weighed
from colchis_steps._formats.documents import converted
from colchis_steps._formats.evaluation import Known
from colchis_steps._formats.models import tree_digest
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.aliases import stable
from colchis_steps._models.policy import read_policy
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._step.errors import InputError
from colchis_steps._step.home import used_image
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_step

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

UNKNOWN = "unknown"  # the verdict where the models have to be asked
log = logging.getLogger("colchis")


class Baseline(NamedTuple):
    """The version that is stable now; ``known`` is None where none is."""

    version: int | None
    digest: str = ""
    tree: str = ""
    known: Known | None = None


def judged_again(args: argparse.Namespace, store: Objects) -> Evaluation | None:
    """Judge what evaluate found of the run's candidate by the stable version and the policy of now.

    None where that cannot be told by what is kept, so that both models are to be asked.

    Raises:
        InputError: the stable version is not signed where that is asked for, or the thresholds are looser than the
            policy.
    """
    try:
        return _judged(args, store)
    except _NotKept as why:
        log.info("%s, so both models are asked", why)
        return None


class _NotKept(Exception):  # noqa: N818 - it says why, and goes no further than here
    pass


def _judged(args: argparse.Namespace, store: Objects) -> Evaluation:
    data, demands = open_data(args.data), read_policy(store, args.model)
    earlier, digest = _before(args, store, data)
    if are_measured(thresholds_of(args, earlier.task, demands)) and MEMORY not in earlier.costs:
        raise _NotKept("time and memory were not measured")
    with tempfile.TemporaryDirectory() as directory:
        mine, other = Path(directory) / "candidate.npy", Path(directory) / "baseline.npy"
        wanted = Wanted(earlier.data, args.metrics, earlier.own.code if earlier.own else "")
        baseline = _baseline(store, args.model, demands.policy.signers, wanted, other)
        try:
            fetch_results(store, earlier, mine)
        except InputError as error:
            raise _NotKept(f"of the candidate {error}") from error
        results = _pairs(data, earlier.tree, baseline, mine, other)
    task = Task(earlier.task, earlier.classes, earlier.rows)
    known = baseline.known
    models = Figures(earlier.metrics, earlier.slices), Figures(known.metrics, known.slices) if known else None
    more = (
        *(check for check in earlier.checks if check.rule == CONSTANT),  # which only the answers tell
        *keep_working(earlier.signature, known.signature if known else {}, baseline.version, demands.policy.signature),
    )
    held = weighed(args, demands, task, models, results, costs=earlier.costs, more=more)
    image = used_image(os.environ.get("COLCHIS_JUDGE_IMAGE", ""))
    return replace(
        earlier,
        baseline_version=baseline.version,
        baseline_digest=baseline.digest,
        baseline_metrics=dict(known.metrics) if known else {},
        baseline_run=known.run if known else "",
        checks=held.checks,
        changes=held.changes,
        verdict=held.verdict,
        thresholds={metric: dict(bounds) for metric, bounds in held.thresholds.items()},
        first_model=held.first_model,
        images=earlier.images | ({"judge": image} if image else {}),
        policy=demands.digest,
        before=digest,
    )


def _before(args: argparse.Namespace, store: Objects, data: DataSet) -> tuple[Evaluation, str]:
    """Return what evaluate found before, and its digest. Raises _NotKept where it is another than handed on."""
    result = find_step(store, args.run, "evaluate")
    if result is None or not result.details:
        raise _NotKept("what evaluate found is not there")
    digest = evaluation_digest(result.details)
    earlier = converted(result.details, Evaluation)
    named = earlier.own.function if earlier.own else ""
    for what, there, wanted in (
        ("evaluation", digest, args.evaluation or digest),
        ("candidate", earlier.tree, args.tree or earlier.tree),
        ("data", earlier.data, data.manifest.digest),
        ("validated data", data.manifest.digest, args.data_digest or data.manifest.digest),
        ("metrics", named, args.metrics),
        ("release of the figures", str(earlier.scoring), str(SCORING)),
    ):
        if there != wanted:
            raise _NotKept(f"the {what} is {there[:128]}, not {wanted[:128]}")
    return earlier, digest


def _baseline(store: Objects, model: str, signers: tuple[str, ...], wanted: Wanted, path: Path) -> Baseline:
    """Return the version that is stable now, with its results by row at ``path``. Raises _NotKept."""
    alias = stable(store, model)
    if alias is None:
        return Baseline(None)
    digest, files = stable_files(store, model, alias.version)
    check_stable(store, model, alias.version, digest, signers)
    known = known_figures(store, (model, alias.version), digest, wanted, path)
    if known is None:
        raise _NotKept(f"of {model}:{alias.version} nothing is kept on these data")
    return Baseline(alias.version, digest, tree_digest(files), known)


def _pairs(data: DataSet, tree: str, baseline: Baseline, mine: Path, other: Path) -> tuple[Pair, Pair | None]:
    """Return the candidate in both places, and beside the baseline. Raises _NotKept where they do not go together."""
    import numpy as np

    parts = cuts(data)
    units = Units(data, parts)
    units.read(data)
    rows: Array = np.load(mine, allow_pickle=False)
    more = (seed(tree, baseline.tree), units.groups, units.parts)
    alone = Pair(data.task.kind, data.classes, rows, rows, *more)
    if baseline.known is None:
        return alone, None
    before: Array = np.load(other, allow_pickle=False)
    if (before.shape, before.dtype) != (rows.shape, rows.dtype):
        raise _NotKept("what is kept is of another form")
    return alone, Pair(data.task.kind, data.classes, rows, before, *more, tree == baseline.tree)
