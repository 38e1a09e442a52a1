"""CSV and its kin: the delimiter is found, the types are those of the first rows, and every row is held to them.

What pyarrow lets through is refused here: bytes that are not UTF-8 (it makes the column binary), two columns of one
name, and a header alone (it makes columns without a type).
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.tables import Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCKS = (1 << 20, 8 << 20, 32 << 20)  # bytes that are parsed at a time; more where a row has no room in fewer
MOST = 100  # times the size of a compressed file that it may have decompressed; real tables have 3 to 30
USUAL = 6  # times that a compressed table is smaller
LEAST = 256 << 20  # bytes that any may have
DELIMITERS = ",;\t|"
_VALUE = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (.+?): invalid value '(.*)", re.DOTALL)
_BYTES = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid UTF8")
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


class Unpacked(io.RawIOBase):
    """A compressed file's bytes, up to a bound."""

    def __init__(self, file: File, packed: str) -> None:
        import pyarrow as pa

        self._raw, self._where, self._done = file.open(), file.where, 0
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), packed)
        self._most = max(LEAST, MOST * file.size)

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes. Raises InputError where they are damaged or too many."""
        import pyarrow as pa

        try:
            found: bytes = self._stream.read(len(buffer))
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self._where} is damaged or truncated ({str(error)[:128]}); get it anew") from error
        self._done += len(found)
        if self._done > self._most:
            raise InputError(
                f"{self._where} becomes more than {self._most} bytes when it is decompressed; "
                "decompress it yourself if that is right"
            )
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
        super().close()


def table(file: File, packed: str, delimiter: str, encoding: str) -> Table:
    """Return a table of text: names from its first line, types from its first rows.

    Raises:
        InputError: it has no row, two columns of one name, or bytes that the encoding does not know.
    """
    reader = Reader(file, packed, delimiter, encoding or "utf8")
    expected = file.size * (USUAL if packed else 1)
    return Table(file.where, reader.schema(), file.size, reader.batches, file.split, "", expected)


class Reader:
    """Reads one file, from its beginning each time."""

    def __init__(self, file: File, packed: str, delimiter: str, encoding: str) -> None:
        self.file, self.packed, self.encoding = file, packed, encoding
        self.block, self.names = BLOCKS[0], []  # type: tuple[int, list[str]]
        with self._opened() as content:
            head = content.read(1 << 16)
        try:
            text = head[: head.rfind(b"\n") + 1 or None].decode(
                encoding if encoding != "utf8" else "utf-8-sig", "replace"
            )
        except LookupError as error:
            raise InputError(f"--encoding={encoding} is not known; give for example latin-1 or utf-16") from error
        self.delimiter = delimiter or _delimiter(text)

    def schema(self) -> "pa.Schema":
        """Return the names and the types of the first rows."""
        import pyarrow as pa

        while True:
            with self._opened() as content:
                try:
                    stream = self._stream(content, {})
                    schema, first = stream.schema, next(iter(stream), None)
                    break
                except (pa.ArrowException, UnicodeDecodeError) as error:
                    self._refuse(error)
        self.names = schema.names
        self._check(schema, first)
        return schema

    def batches(self, schema: "pa.Schema") -> Iterator["pa.RecordBatch"]:
        """Yield the rows. Raises InputError: a row has other columns or another type than the schema says."""
        import pyarrow as pa

        done = 0
        while True:
            skip = done
            with self._opened() as content:
                try:
                    for batch in self._stream(content, dict(zip(schema.names, schema.types, strict=True))):
                        rest = batch.slice(min(skip, len(batch)))
                        skip -= len(batch) - len(rest)
                        done += len(rest)
                        yield rest
                except (pa.ArrowException, UnicodeDecodeError) as error:
                    self._refuse(error)
                else:
                    return

    def _opened(self) -> IO[bytes]:
        return Unpacked(self.file, self.packed) if self.packed else self.file.open()  # type: ignore[return-value]

    def _stream(self, content: IO[bytes], types: "dict[str, pa.DataType]") -> Any:
        from pyarrow import csv as arrow

        return arrow.open_csv(
            content,
            arrow.ReadOptions(use_threads=False, block_size=self.block, encoding=self.encoding),
            arrow.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            arrow.ConvertOptions(column_types=types, include_columns=list(types) or None, strings_can_be_null=True),
        )

    def _refuse(self, error: Exception) -> None:
        """Raise the sentence of an error; return where larger blocks may mend it."""
        where, told = self.file.where, str(error)
        if "straddling" in told:
            if self.block < BLOCKS[-1]:
                self.block = next(block for block in BLOCKS if block > self.block)
                return
            raise InputError(f"{where} has a row of more than {self.block} bytes; is a quote not closed?") from error
        if found := _RAGGED.search(told):
            row, wanted, got = found.groups()
            raise InputError(
                f"{where}: row {row} (the header is row 1) has {got} columns instead of {wanted}; correct the row, or "
                f"name the delimiter with --delimiter ({self.delimiter!r} was taken)"
            ) from error
        if found := _BYTES.search(told):
            self._not_text(self.names[int(found[1])], f"row {found[2]}", error)
        if found := _VALUE.search(told):
            name, value = self.names[int(found[1])], found[4][:64].rstrip("'")
            raise InputError(
                f"{where}: column {name!r} is {found[3]} by the first rows, and row {found[2]} (the header is row 1) "
                f"has {value!r}; correct it, or give the column's type: --columns {name}:{_wider(value)}"
            ) from error
        if "Empty CSV file" in told:
            raise InputError(f"{where} has no line; get it anew, or leave it out") from error
        if isinstance(error, UnicodeDecodeError):
            self._not_text("", "a row", error)
        raise InputError(f"{where} cannot be read as CSV ({told[:256]}); correct it") from error

    def _not_text(self, column: str, row: str, error: Exception | None = None) -> None:
        named = "UTF-8" if self.encoding == "utf8" else self.encoding
        place = f"column {column!r} has" if column else "there are"
        raise InputError(
            f"{self.file.where}: {place} bytes in {row} that are not {named}; name the file's encoding, for example "
            "--encoding latin-1"
        ) from error

    def _check(self, schema: "pa.Schema", first: Any) -> None:
        import pyarrow as pa

        where, names = self.file.where, schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            named = f"named {twice[0]!r}" if twice[0] else "without a name"
            raise InputError(f"{where} has two columns {named}; rename one of them")
        numbers = all(re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", name) for name in names)
        if numbers and names != [str(i) for i in range(len(names))]:  # as pandas names columns without names
            raise InputError(
                f"{where} begins with the numbers {', '.join(names[:4])}, not with names of columns; add such a line"
            )
        if not first:
            raise InputError(f"{where} has a header and no row; get it anew, or leave it out")
        for field in schema:
            if pa.types.is_binary(field.type):
                values = first.column(field.name)
                rows = [i for i in range(len(values)) if not _is_text(values[i].as_py() or b"")]
                self._not_text(field.name, f"row {rows[0] + 2}" if rows else "a row")


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(text: str) -> str:
    """Return the delimiter by which the first lines have most columns, as many in each."""
    best, most = ",", 1
    for delimiter in DELIMITERS:
        rows = [row for row, _ in zip(csv.reader(io.StringIO(text), delimiter=delimiter), range(20), strict=False)]
        counts = {len(row) for row in rows if row}
        if len(counts) == 1 and (count := counts.pop()) > most:
            best, most = delimiter, count
    return best


def _wider(value: str) -> str:
    try:
        float(value)
    except ValueError:
        return "string"
    return "double"
