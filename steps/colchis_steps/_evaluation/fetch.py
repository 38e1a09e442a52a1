"""The first part of an evaluation: what is to be judged, from the store to a directory. It alone needs a key of it.

Writes  <given>/candidate/, <given>/baseline/   the models' files, verified
        <given>/data/                           the data set's manifest and its test split, verified
        <given>/given.json                      last: which they are
"""

import argparse
import shutil
import time
from pathlib import Path

from colchis_steps._content.confirmed import described
from colchis_steps._content.fetching import fetch_files
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._data.shards import shard_bytes
from colchis_steps._formats.documents import content_digest, decode, encode
from colchis_steps._formats.evaluation import Given
from colchis_steps._formats.keys import DATA_MANIFEST, manifest_key
from colchis_steps._formats.models import Manifest, tree_digest
from colchis_steps._models.aliases import stable
from colchis_steps._models.candidates import home_of_blobs, read_candidate
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import document_bytes
from colchis_steps._store.opening import open_store

CANDIDATE, BASELINE, DATA, GIVEN = "candidate", "baseline", "data", "given.json"


def fetch(args: argparse.Namespace, store: Objects, given: Path) -> None:
    """Fetch the candidate, the stable version and the test split.

    Raises:
        InputError: one of them is missing, damaged, or not what the run's earlier steps made.
    """
    began = time.time()
    shutil.rmtree(given, ignore_errors=True)
    data = open_data(args.data)
    data.shards("test")
    if args.data_digest not in {"", data.manifest.digest}:
        raise InputError(
            f"{args.data} is {data.manifest.digest}, but {args.data_digest} was validated; run the pipeline again"
        )
    candidate = read_candidate(store, args.run)
    if candidate.model != args.model:
        raise InputError(f"run {args.run} has trained {candidate.model!r}, not {args.model!r}; correct --model")
    actual = tree_digest(candidate.files)
    if actual != candidate.tree or args.tree not in {"", actual}:
        raise InputError(
            f"the candidate of run {args.run} is altered: its files are {actual}, "
            f"and training made {args.tree or candidate.tree}; train again"
        )
    home = home_of_blobs(store, candidate)
    blobs = described(home, candidate.files)
    fetch_files(home, candidate.files, given / CANDIDATE)
    alias, digest = stable(store, args.model), ""
    if alias:
        key = manifest_key(args.model, alias.version)
        content = document_bytes(store, key)
        digest = content_digest(content)
        fetch_files(store, decode(Manifest, content, f"{store.url}/{key}").files, given / BASELINE)
    _copy(data, given / DATA)
    number = alias.version if alias else None
    found = Given(candidate.tree, data.manifest.digest, number, digest, began, blobs)
    open_store(given.as_uri()).write(GIVEN, encode(found))


def _copy(data: DataSet, directory: Path) -> None:
    """Copy manifest and test split to the directory; what is read back is verified again."""
    here = open_store(directory.as_uri())
    for shard in data.shards("test"):
        here.write(shard.path, shard_bytes(data.store, shard))
    here.write(DATA_MANIFEST, document_bytes(data.store, DATA_MANIFEST))


def fetched_data(given: Path, uri: str) -> DataSet:
    """Open the copy; ``uri`` is what it is a copy of, for what is said of it."""
    found = open_data((given / DATA).as_uri())
    return DataSet(uri, found.store, found.manifest)
