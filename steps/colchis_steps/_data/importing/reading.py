"""Every source as tables, by the kind that its first bytes tell."""

import logging
from collections.abc import Sequence

from colchis_steps._data.importing import arrow_file, delimited, images, numpy_file, parquet, tfrecord
from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.kinds import kind_of, named
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.tables import Table
from colchis_steps._step.errors import InputError

log = logging.getLogger("colchis")


def readable(files: Sequence[File]) -> list[File]:
    """Return the files without those that lie beside data, such as README; they are told."""
    kept = [file for file in files if named(file.name)]
    if not kept:
        return list(files)
    if left := [file.where for file in files if not named(file.name)]:
        log.info("left out %s%s, of no kind that is read", left[0], f" and {len(left) - 1} more" if left[1:] else "")
    return kept


def tables(request: Request, files: Sequence[File]) -> list[Table]:
    """Return the tables of the files.

    Raises:
        InputError: one is damaged, empty, of no kind that is read, or of another one than its name says.
    """
    found: list[Table] = []
    pictures: list[File] = []
    for file in files:
        with file.open() as content:
            kind, packed = kind_of(content, file.name, file.where)
        if kind == "image":
            pictures.append(file)
        elif kind == "csv":
            found.append(delimited.table(file, packed, request.delimiter, request.encoding))
        elif kind == "parquet":
            found.append(parquet.table(file))
        elif kind == "npz":
            found += numpy_file.tables(file)
        elif kind == "arrow":
            found.append(arrow_file.table(file))
        else:
            found.append(tfrecord.table(file, packed))
    if found and pictures:
        raise InputError(
            f"there are images such as {pictures[0].where} and tables such as {found[0].where}; name one kind"
        )
    return found or images.tables(pictures)
