"""Every source as tables, by the kind that its first bytes tell."""

from collections.abc import Sequence

from colchis_steps._data.importing import delimited, numpy_file, parquet
from colchis_steps._data.importing.kinds import kind_of
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.sources import File
from colchis_steps._data.importing.tables import Table
from colchis_steps._step.errors import InputError


def tables(request: Request, files: Sequence[File]) -> list[Table]:
    """Return the tables of the files.

    Raises:
        InputError: one is damaged, empty, of no kind that is read, or of another one than its name says.
    """
    found: list[Table] = []
    for file in files:
        with file.open() as content:
            kind, packed = kind_of(content, file.name, file.where)
        if kind == "csv":
            found.append(delimited.table(file, packed, request.delimiter, request.encoding))
        elif kind == "parquet":
            found.append(parquet.table(file))
        elif kind == "npz":
            found += numpy_file.tables(file)
        else:
            raise InputError(f"{file.where} is {kind}, which is not read yet; write it as CSV or Parquet")
    return found
