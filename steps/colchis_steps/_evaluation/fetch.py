"""The first part of an evaluation: what is to be judged, from the store to a directory. It alone needs a key of it.

Writes  <given>/candidate/, <given>/baseline/   the models' files, verified; no baseline whose figures are known
        <given>/data/                           the data set's manifest and its test split, verified
        <given>/code/                           the code that has the metrics of one's own, if there are any
        <given>/baseline.npy                    what a baseline whose figures are known did, row by row
        <given>/given.json                      last: which they are
"""

import argparse
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from msgspec.structs import replace

from colchis_steps._content.code import describe_code, unpack_code
from colchis_steps._content.confirmed import described
from colchis_steps._content.fetching import fetch_files
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._data.shards import shard_bytes
from colchis_steps._evaluation.costs import are_measured
from colchis_steps._evaluation.known import Wanted, known_figures
from colchis_steps._evaluation.policies import thresholds_of
from colchis_steps._evaluation.unjudged import check_adopted
from colchis_steps._formats.documents import content_digest, decode, encode
from colchis_steps._formats.evaluation import Given
from colchis_steps._formats.keys import DATA_MANIFEST, manifest_key
from colchis_steps._formats.models import File, Manifest, tree_digest
from colchis_steps._manifests.serve_options import serve_options
from colchis_steps._models.aliases import stable
from colchis_steps._models.binding import read_version
from colchis_steps._models.candidates import home_of_blobs, read_candidate
from colchis_steps._models.policy import check_operations_allowed, read_policy
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.trust import read_trust
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes
from colchis_steps._store.opening import open_store

CANDIDATE, BASELINE, DATA, CODE, GIVEN = "candidate", "baseline", "data", "code", "given.json"


def fetch(args: argparse.Namespace, store: Objects, given: Path) -> None:
    """Fetch the candidate, the stable version and the test split.

    Raises:
        InputError: one of them is missing, damaged, not what the run's earlier steps made, or not signed where that is
            asked for.
    """
    began = time.time()
    shutil.rmtree(given, ignore_errors=True)
    data = _data(args) if args.data else None
    demands = read_policy(store, args.model)
    # what is refused is so before anything is fetched
    thresholds = thresholds_of(args, data.task.kind, demands) if data else {}
    check_operations_allowed(demands, args.model, allowed_operations(args))
    candidate = read_candidate(store, args.run)
    if candidate.model != args.model:
        raise InputError(f"run {args.run} has trained {candidate.model!r}, not {args.model!r}; correct --model")
    actual = tree_digest(candidate.files)
    if actual != candidate.tree or args.tree not in {"", actual}:
        raise InputError(
            f"the candidate of run {args.run} is altered: its files are {actual}, "
            f"and training made {args.tree or candidate.tree}; train again"
        )
    if data is None:
        check_adopted(candidate, args.run, demands)
    home = home_of_blobs(store, candidate)
    blobs = described(home, candidate.files)
    fetch_files(home, candidate.files, given / CANDIDATE)
    code = _code(args, given)
    alias, digest, tree, known = stable(store, args.model), "", "", None
    if alias:
        digest, files = stable_files(store, args.model, alias.version)
        tree = tree_digest(files)
        check_stable(store, args.model, alias.version, digest, demands.policy.signers)
    if alias and data:
        wanted, rows = Wanted(data.manifest.digest, args.metrics, code), given / f"{BASELINE}.npy"
        known = known_figures(store, (args.model, alias.version), digest, wanted, rows)
        if known is None:
            fetch_files(store, files, given / BASELINE)
    if data:
        _copy(data, given / DATA)
    number, of_data = alias.version if alias else None, data.manifest.digest if data else ""
    policy = demands.policy if demands.digest else None
    found = Given(
        candidate.tree,
        of_data,
        number,
        digest,
        began,
        blobs,
        code,
        known,
        tree,
        policy,
        demands.digest,
        are_measured(thresholds),
    )
    open_store(given.as_uri()).write(GIVEN, encode(found))


def _data(args: argparse.Namespace) -> DataSet:
    """Open the data. Raises InputError where they have no test split, or are not those that were validated."""
    data = open_data(args.data)
    data.shards("test")
    if args.data_digest not in {"", data.manifest.digest}:
        raise InputError(
            f"{args.data} is {data.manifest.digest}, but {args.data_digest} was validated; run the pipeline again"
        )
    return data


def _code(args: argparse.Namespace, given: Path) -> str:
    """Fetch the code that has the metrics of one's own; return its digest, or "" where there is none to fetch."""
    if not (args.metrics and args.code):
        return ""
    unpack_code(args.code, given / CODE)
    return describe_code(args.code).digest


def allowed_operations(args: argparse.Namespace) -> tuple[str, ...]:
    """Return TensorFlow's operations that the run allows the models, though they may reach out."""
    return (*args.allow_operations, *serve_options(args.serve_options).allow_operations)


def stable_files(store: Objects, model: str, version: int) -> tuple[str, tuple[File, ...]]:
    """Return the digest of the stable version's manifest, and its files. Raises InputError where it is gone."""
    key = manifest_key(model, version)
    try:
        content = document_bytes(store, key)
    except NotFound as error:
        raise InputError(
            f"the stable version {version} of {model} is gone ({store.url} has no {key}); go back to one that is "
            f"there: colchis models rollback {model} --to N"
        ) from error
    return content_digest(content), decode(Manifest, content, f"{store.url}/{key}").files


def check_stable(store: Objects, model: str, version: int, digest: str, signers: Collection[str] = ()) -> None:
    """Hold the stable version against the keys that are trusted, where any are, and against who has to sign.

    Raises:
        InputError: it is not signed, or not as it was registered.
    """
    trust = read_trust()
    if trust is None and not signers:
        return
    try:
        found = read_version(store, model, version)
    except NotFound as error:
        raise InputError(
            f"the stable version {version} of {model} is not on record ({error}); go back to one that is"
        ) from error
    if found.record.manifest_digest != digest or found.faults:
        why = found.faults[0] if found.faults else "its manifest changed while it was read"
        raise InputError(
            f"the stable version {version} of {model} is not as it was registered: {why}; see: colchis verify {model}"
        )
    check_signed(store, found, trust, signers=signers)


def _copy(data: DataSet, directory: Path) -> None:
    """Copy manifest and test split to the directory; what is read back is verified again."""
    here = open_store(directory.as_uri())
    for shard in data.shards("test"):
        here.write(shard.path, shard_bytes(data.store, shard))
    here.write(DATA_MANIFEST, document_bytes(data.store, DATA_MANIFEST))


def fetched_data(given: Path, uri: str) -> DataSet:
    """Open the copy, which has the parts that were left in place, too; ``uri`` is what it is a copy of."""
    found = open_data((given / DATA).as_uri())
    test = found.manifest.splits["test"]
    parts = tuple(replace(shard, uri="") for shard in test.parts)
    splits = found.manifest.splits | {"test": replace(test, parts=parts)}
    return DataSet(uri, found.store, replace(found.manifest, splits=splits))
