"""What an earlier evaluation found of the stable version on the very same data, so that it is not asked again.

It is believed by a chain that no key of a training can write: the version's record names the digest of the evaluation
that passed it, and that names the digest of its results row by row.
"""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

from colchis_steps._formats.documents import converted
from colchis_steps._formats.evaluation import Known
from colchis_steps._formats.keys import results_key
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.binding import is_external, read_version
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_step

SCORING = 1  # goes up where a figure's definition changes, so that old figures are not compared with new ones
log = logging.getLogger("colchis")


class Wanted(NamedTuple):
    """What is to be known: figures on these data, and those of the user's function, with the code's digest."""

    data: str
    function: str = ""
    code: str = ""


def known_figures(store: Objects, version: tuple[str, int], manifest: str, wanted: Wanted, path: Path) -> Known | None:
    """Return a version's figures, and write its results by row to ``path``; None where it is to be asked.

    ``version`` is the model's name and the number, ``manifest`` the digest of the version's manifest.
    """
    try:
        run, earlier = _passed_by(store, version, manifest)
        if not _is_enough(earlier, wanted):
            return None
        fetch_results(store, earlier, path)
    except (InputError, msgspec.ValidationError) as error:
        log.info("%s:%s is asked again: %s", *version, error)
        return None
    return Known(run, earlier.metrics, earlier.slices, earlier.signature)


def fetch_results(store: Objects, earlier: Evaluation, path: Path) -> None:
    """Write the results by row to ``path``. Raises InputError where they are gone or altered."""
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for block in store.stream(results_key(earlier.tree, earlier.data, earlier.results)):
            digest.update(block)
            out.write(block)
    if f"sha256:{digest.hexdigest()}" != earlier.results:
        raise InputError("its results by row are altered")


def _passed_by(store: Objects, version: tuple[str, int], manifest: str) -> tuple[str, Evaluation]:
    """Return the run whose evaluation passed the version, and that evaluation.

    Raises:
        InputError: a link of the chain is missing, or not the one that is named.
    """
    found = read_version(store, *version)
    if found.faults or is_external(found.record) or found.record.manifest_digest != manifest:
        raise InputError("its verdict is bound to nothing")
    result = find_step(store, found.record.run, "evaluate")
    if result is None or evaluation_digest(result.details) != found.record.evaluation:
        raise InputError(f"the evaluation of run {found.record.run} is gone, or another")
    earlier = converted(result.details, Evaluation)
    if earlier.tree != found.record.tree:
        raise InputError(f"the evaluation of run {found.record.run} is of another model")
    return found.record.run, earlier


def _is_enough(earlier: Evaluation, wanted: Wanted) -> bool:
    if (earlier.data, earlier.scoring) != (wanted.data, SCORING) or not earlier.results:
        return False
    own = earlier.own
    return not wanted.function or (
        own is not None and bool(wanted.code) and (own.function, own.code) == (wanted.function, wanted.code)
    )
