"""An import from its sources to its manifest, in one pass over the rows and bounded memory."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._data.importing import columns, reading, sources
from colchis_steps._data.importing.dividing import choose
from colchis_steps._data.importing.files import File, sha256_of
from colchis_steps._data.importing.making import Import
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.target import label_of
from colchis_steps._formats.data import Source
from colchis_steps._step.errors import InputError
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Conflict, Objects

log = logging.getLogger("colchis")


def run(store: Objects, request: Request) -> str:
    """Import into the store; return the data set's URI. Safe to run again.

    Raises:
        InputError: the sources, or what is asked of them, are wrong; no data set is in the store then.
        TransientError: a server is away.
    """
    with tempfile.TemporaryDirectory(prefix="colchis-") as temporary:
        try:
            return _run(store, request, Path(temporary))
        except Conflict as error:
            raise InputError(
                "a source was changed while it was read; import again when nothing writes to it"
            ) from error


def _run(store: Objects, request: Request, directory: Path) -> str:
    files = reading.readable(sources.find(request.given, directory))
    before = [file.state() for file in files]
    tables = reading.tables(request, files)
    schema = columns.chosen(request, tables)
    label = label_of(request, schema)
    roles = request.roles | dict.fromkeys(label, "label")
    if request.split_column:
        roles[request.split_column] = "ignored"
    features = [name for name in schema.names if name not in roles]
    if not features:
        raise InputError("no column is left for features beside those that were named; name fewer, or keep more")
    way = choose(request, tables, schema, features)
    made = Import(request, tables, schema, {name: roles.get(name, "feature") for name in schema.names}, way, directory)
    with Progress(request.name, 2 * sum(file.size for file in files)) as bar:
        digests = [sha256_of(file, bar.advance) for file in files]
        made.read(bar)
        _check_unchanged(files, before)
    given = {file.where: Source(file.name, file.size, digest) for file, digest in zip(files, digests, strict=True)}
    return made.write(store, given)


def _check_unchanged(files: Sequence[File], before: Sequence[object]) -> None:
    for file, state in zip(files, before, strict=True):
        if file.state() != state:
            raise InputError(f"{file.where} was changed while it was read; import again when nothing writes to it")
