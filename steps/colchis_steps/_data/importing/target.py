"""What the data are for: the task, found from the labels where that is safe, and the names of its classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.columns import leaf, names_of
from colchis_steps._data.importing.request import LABEL, Request
from colchis_steps._data.importing.tables import columns_found
from colchis_steps._data.targets import class_name
from colchis_steps._formats.data import RAGGED, TASKS, Task
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FEW = 20  # distinct whole numbers up to which they are taken for classes
MOST = 100_000  # classes
KINDS = ", ".join(TASKS)


def label_of(request: Request, schema: "pa.Schema") -> tuple[str, ...]:
    """Return the columns of the label: those that are named, else ``label``, or ``y`` where there is but ``x`` besides.

    Raises:
        InputError: none is named, and none has the usual name.
    """
    if request.label or request.task == "none":
        return request.label
    if LABEL in schema.names:
        return (LABEL,)
    if {*schema.names} == {"x", "y"}:  # as NumPy's files have them
        return ("y",)
    raise InputError(
        f"which column is the label? Name it with --label, or give --task none; there are {columns_found(schema)}"
    )


class Target:
    """Takes in the labels as rows go by; then tells the task, and how many rows of each split each class has."""

    def __init__(self, request: Request, label: Sequence[str], schema: "pa.Schema", splits: int) -> None:
        self.asked, self.classes, self.label, self.splits = request.task, request.classes, tuple(label), splits
        self.schema = schema
        self.fields = [schema.field(name) for name in label]
        self.counts: dict[Any, Any] = {}  # by value, or by column where several are labels: rows of each split
        self.whole = True  # as far as was seen, the numbers are whole
        self.kind = self._kind()

    def _kind(self) -> str:  # noqa: PLR0911 - a case a task
        """Return the task by the types alone; empty where it depends on the values.

        Raises:
            InputError: no task has such labels, or the one that was asked for has others.
        """
        import pyarrow as pa

        if not self.fields:
            return "none"
        kinds = [leaf(field.type) for field in self.fields]
        types, shapes = [kind for kind, _ in kinds], [shape for _, shape in kinds]
        if any(pa.types.is_temporal(kind) or pa.types.is_binary(kind) for kind in types):
            self._refuse("a label is a number, a boolean or text")
        if len(shapes) > 1 and any(shapes):
            self._refuse("several labels are a column each, or one column of lists")
        text, real = all(map(pa.types.is_string, types)), all(map(pa.types.is_floating, types))
        fits = {
            "classification": len(types) == 1 and not shapes[0],
            "regression": not any(map(pa.types.is_string, types)) and RAGGED not in shapes[0],
            "multilabel": len(types) > 1 or bool(shapes[0]),
            "sequence": shapes[0][:1] == (RAGGED,),
            "none": False,
        }
        if self.asked:
            if not fits[self.asked]:
                self._refuse(f"--task {self.asked} takes {_WANTS[self.asked]}")
            return self.asked
        if len(types) == 1 and not shapes[0]:
            return "classification" if text or pa.types.is_boolean(types[0]) else ""
        if text and len(types) == 1:
            return "multilabel"
        if all(map(pa.types.is_boolean, types)) and RAGGED not in shapes[0]:
            return "multilabel"
        if real and RAGGED not in shapes[0]:
            return "regression"
        if len(types) > 1 and not real and not text:
            return ""
        return self._ask("its labels may be of several tasks")

    def add(self, batch: "pa.RecordBatch", split: "np.ndarray[Any, Any]", where: str, start: int) -> None:
        """Take in the labels of some rows, of which ``split`` has the number of each one's split, or -1."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.fields or self.kind == "regression":
            return
        if len(self.fields) > 1 or (self.kind == "multilabel" and RAGGED not in leaf(self.fields[0].type)[1]):
            for field in self.fields:
                self._hot(field.name, batch.column(field.name), split, where, start)
            return
        values = batch.column(self.label[0])
        if RAGGED in leaf(self.fields[0].type)[1]:
            if self.kind == "sequence" and not pa.types.is_string(leaf(self.fields[0].type)[0]) and not self.classes:
                return
            split = split[pc.list_parent_indices(values).to_numpy()]
            values = values.flatten()
        if pa.types.is_floating(values.type) and self.whole:
            self.whole = bool(pc.all(pc.equal(pc.floor(values), values)).as_py())
            if not self.whole and self.kind == "":
                self.kind = "regression"
                return
        self._count(values, split, where, start)

    def _count(self, values: Any, split: "np.ndarray[Any, Any]", where: str, start: int) -> None:
        import numpy as np
        import pyarrow as pa

        coded = values.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        known = coded.dictionary.to_pylist()
        chosen = (codes >= 0) & (split >= 0)
        table = np.bincount(codes[chosen] * self.splits + split[chosen], minlength=len(known) * self.splits)
        for i, value in enumerate(known):
            name = class_name(value)
            if self.classes and name not in self.classes:
                row = int(np.flatnonzero(codes == i)[0])
                raise InputError(
                    f"{where}: the label {name[:64]!r} (value {row + start}) is none of --classes "
                    f"{', '.join(self.classes[:8])}; add it, or correct the rows"
                )
            if value not in self.counts:
                self.counts[value] = np.zeros(self.splits, np.int64)
            self.counts[value] += table[i * self.splits : (i + 1) * self.splits]
        if self.kind == "" and len(self.counts) > FEW:
            if not pa.types.is_floating(values.type):
                self._ask(f"the label {self.label[0]!r} has more than {FEW} whole numbers")
            self.kind = "regression"
        if len(self.counts) > MOST and self.kind != "regression":
            raise InputError(
                f"the label {self.label[0]!r} has more than {MOST} values, the last {name[:64]!r}; is it a key? "
                "Name another with --label"
            )

    def _hot(self, name: str, values: Any, split: "np.ndarray[Any, Any]", where: str, start: int) -> None:
        """Take in a column that is 1 where a row has a label, or a vector of such."""
        import numpy as np

        from colchis_steps._data.arrays import arrays
        from colchis_steps._formats.data import Column

        kind, shape = leaf(values.type)
        import pyarrow as pa

        rows = pa.record_batch([values.fill_null(0) if not shape and values.null_count else values], [name])
        found = arrays(rows, [Column(name, str(kind), shape, nullable=bool(values.null_count))], where)[name]
        hot = found.reshape(len(found), -1)
        odd = ((hot != 0) & (hot != 1)).any(1)
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            if self.kind != "multilabel":
                self._ask(f"the label {name!r} has other values than 0 and 1")
            raise InputError(f"{where}: {name!r} in row {start + row} is neither 0 nor 1; correct it")
        for i in range(hot.shape[1]):
            label = name if not shape else self.classes[i] if i < len(self.classes) else str(i)
            counts = self.counts.setdefault(label, np.zeros(self.splits, np.int64))
            counts += np.bincount(split[(hot[:, i] == 1) & (split >= 0)], minlength=self.splits)

    def task(self) -> Task:
        """Return the task.

        Raises:
            InputError: what was seen leaves more than one.
        """
        import pyarrow as pa

        if not self.kind:
            if len(self.fields) > 1:
                self.kind = "multilabel"
            elif pa.types.is_floating(self.fields[0].type):
                if len(self.counts) <= FEW:
                    self._ask(f"the label {self.label[0]!r} has {len(self.counts)} whole numbers, kept as fractions")
                self.kind = "regression"
            else:
                self.kind = "classification"
        return Task(self.kind, self.label, self._names())

    def _names(self) -> tuple[str, ...]:
        if self.kind in {"regression", "none"}:
            return ()
        if len(self.fields) > 1:
            return self.label
        if self.classes:
            return self.classes
        if self.kind == "multilabel" and RAGGED not in leaf(self.fields[0].type)[1]:
            return tuple(self.counts)
        return tuple(class_name(value) for value in sorted(self.counts))

    def rows(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Return how many rows of each split have each class, by its name."""
        if self.kind in {"regression", "none"}:
            return {}
        return {class_name(value): counts for value, counts in self.counts.items()}

    def _ask(self, why: str) -> str:
        raise InputError(
            f"{why}, so the task is open: give --task with one of {KINDS}; there are {columns_found(self.schema)}"
        )

    def _refuse(self, why: str) -> None:
        types = ", ".join(str(field.type) for field in self.fields)
        raise InputError(
            f"{names_of(self.label)} ({types}) cannot be the label: {why}; name another with --label. There are "
            f"{columns_found(self.schema)}"
        )


_WANTS = {
    "classification": "one column of text, booleans or whole numbers",
    "regression": "columns of numbers, or one of vectors",
    "multilabel": "one column of lists, or several of 0 and 1",
    "sequence": "one column of lists of any length",
    "none": "no --label",
}
