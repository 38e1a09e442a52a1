"""The public face of Colchis to the user's training code: what an entry gets, and what it may give.

An entry is ``function(context)``. It gives a compiled ``keras.Model``, or a ``Training`` that says more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from colchis_steps._formats.data import Column, Task

if TYPE_CHECKING:
    import numpy as np

    Rows = dict[str, np.ndarray[Any, np.dtype[Any]]]

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """Everything from which ``entry(context)`` builds a compiled ``keras.Model``.

    The model's inputs are the raw feature columns (``context.columns[name]`` says dtype, shape of one row, minimum and
    maximum), so preprocessing belongs into the model. Text and bytes come as ``tf.string``, dates and times as int64 in
    the column's unit; a null is NaN in a column of floats, else ``<name>__valid`` is false there; rows of a length of
    their own are padded, and ``<name>__mask`` says where a value is. The output is what ``task.kind`` asks for:

    classification  probabilities [rows, len(context.classes)], or [rows, 1] of the second of two classes
    multilabel      probabilities [rows, len(context.classes)], each of its own
    regression      numbers [rows, targets]
    sequence, none  anything; the model's outputs are served by their names

    In place of probabilities it may give logits, where its loss says ``from_logits=True``. ``label`` is the first of
    ``target``, the columns of the labels, and in ``blocks`` holds all labels as the trainer takes them. ``weight``
    names the column of the rows' weights, if there is one: the trainer uses it, and no model takes it.
    """

    hyperparameters: Mapping[str, Any]
    columns: Mapping[str, Column]
    label: str
    classes: tuple[str, ...]
    seed: int
    rank: int = 0
    workers: int = 1
    blocks: "Callable[[str, int], Iterable[Rows]]" = field(default=lambda _split, _epoch: ())
    """``blocks(split, epoch)``: the stored rows, shuffled for the split train, some shards' at a time."""
    task: Task = field(default_factory=lambda: Task("classification"))
    weight: str = ""
    export: str = ""
    """The directory of what a command's rank 0 leaves as the candidate, ``$COLCHIS_EXPORT``."""

    def rows(self, split: str) -> "Rows":
        """Return all rows of a split by column, in memory at once: ``pandas.DataFrame(context.rows("train"))``."""
        import numpy as np

        blocks = list(self.blocks(split, 0))
        return {name: np.concatenate([block[name] for block in blocks]) for name in (blocks[0] if blocks else ())}

    def matrix(self, rows: "Mapping[str, np.ndarray[Any, np.dtype[Any]]]") -> "np.ndarray[Any, np.dtype[Any]]":
        """Return the numbers of all features side by side, float32 [rows, numbers], for models without names.

        Raises:
            InputError: a feature is text or bytes.
        """
        import numpy as np

        from colchis_steps._step.errors import InputError

        for name, column in self.columns.items():
            if column.dtype in {"str", "bytes"}:
                raise InputError(f"the column {name!r} is {column.dtype}, which a matrix does not hold; leave it out")
        parts = [np.asarray(rows[name], np.float32) for name in self.columns]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    @property
    def target(self) -> tuple[str, ...]:
        """The columns of the labels."""
        return self.task.target

    def typed(self, kind: type[T]) -> T:
        """Return the hyper-parameters as a dataclass of the user's, whose fields name them, with types and defaults.

        Raises:
            InputError: one is missing or of another type, or is neither a field of the class nor the trainer's.
        """
        import msgspec

        from colchis_steps._formats.hyperparameters import TRAINERS
        from colchis_steps._step.errors import InputError

        fields = getattr(kind, "__dataclass_fields__", {})
        if unknown := sorted(self.hyperparameters.keys() - fields.keys() - TRAINERS):
            raise InputError(f"hyper-parameter {unknown[0]!r} is none of {', '.join(sorted({*fields, *TRAINERS}))}")
        try:
            return msgspec.convert(dict(self.hyperparameters), kind)
        except msgspec.ValidationError as error:
            raise InputError(
                f"the hyper-parameters are not as {kind.__name__} wants them: {error}; correct them"
            ) from error


@dataclass(frozen=True)
class Step:
    """One worker's part of a training step, for a ``train_step`` of the user's; it is traced into a TensorFlow graph.

    ``inputs`` is what the model takes (a tensor, or a dict by column), rows first; ``labels`` is int64 [rows] of class
    numbers, float32 [rows] or [rows, targets], or uint8 [rows, labels] of 0 and 1, by the task;
    ``weights`` is float32 [rows], 1 (or the row's own weight) for a row of the data and 0 for padding; ``total`` is a
    float32 scalar: the rows of the whole global batch.
    """

    model: Any
    inputs: Any
    labels: Any
    weights: Any
    total: Any
    sum: Callable[[Sequence[Any]], list[Any]]
    """Return each tensor's sum over the workers; all of them call it alike."""
    count: Callable[[Any], None]
    """Take predictions, rows first, into the compiled metrics."""

    def mean(self, values: Any) -> Any:
        """Return this worker's share of the mean of ``values`` [rows] over the global batch; the shares add up."""
        import tensorflow as tf

        return tf.reduce_sum(tf.cast(values, tf.float32) * self.weights) / self.total

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any], optimizer: Any = None) -> None:
        """Sum the gradients (None: the variable is not used) over the workers; let the optimizer apply them."""
        import tensorflow as tf

        used = [(tf.convert_to_tensor(g), v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        (optimizer or self.model.optimizer).apply(self.sum([g for g, _ in used]), [v for _, v in used])


@dataclass(frozen=True)
class Training:
    """A model, and what else belongs to its training: what ``fit`` takes beside data. All runs alike on each worker.

    ``callbacks`` are Keras's; their logs are the same on all workers. ``train_step(step)`` replaces the trainer's own
    step and gives this worker's share of the loss. ``dataset(context, split, epoch)`` replaces the stored rows: it
    yields or returns rows as dicts of the manifest's columns (label too), as pairs or triples of features, labels and
    weights, as a ``tf.data.Dataset`` or a pandas DataFrame, the same ones on every worker, which then takes its part of
    each global batch. ``transform(rows, random)`` changes this worker's rows of a training batch;
    ``random`` is a ``numpy.random.Generator``, seeded by seed, epoch, batch and rank. ``optimizers`` are further ones
    that ``train_step`` uses, built; checkpoints hold their variables.

    ``class_weight`` and ``validation_freq`` are ``fit``'s; classes may go by name too. ``weights`` names the column of
    sample weights where the data set has none of that role, or another: they act on loss and weighted metrics, in
    evaluation too, and are no input of the model.
    """

    model: Any
    callbacks: Sequence[Any] = ()
    train_step: Callable[[Step], Any] | None = None
    dataset: "Callable[[Context, str, int], Any] | None" = None
    transform: "Callable[[Rows, np.random.Generator], Rows] | None" = None
    optimizers: Sequence[Any] = ()
    class_weight: Mapping[int | str, float] | None = None
    weights: str = ""
    validation_freq: int | Sequence[int] = 1


def from_environment() -> Context:
    """Return the same to a program that an entry ``command:…`` runs.

    Raises:
        InputError: it runs elsewhere, or the data is damaged.
    """
    import json
    import os

    from colchis_steps._data.dataset import open_data
    from colchis_steps._step.errors import InputError

    if "COLCHIS_DATA" not in os.environ:
        raise InputError("$COLCHIS_DATA is not set; run this by train, with --entry 'command:python …'")
    data, given = open_data(os.environ["COLCHIS_DATA"]), json.loads(os.environ.get("COLCHIS_HYPERPARAMETERS") or "{}")
    seed = int(given.get("seed", 0))
    return Context(
        hyperparameters=given,
        columns=data.features,
        label=data.manifest.label,
        classes=data.classes,
        seed=seed,
        rank=int(os.environ.get("RANK", "0")),
        workers=int(os.environ.get("WORLD_SIZE", "1")),
        blocks=lambda split, epoch: data.blocks(split, seed=seed if split == "train" else None, epoch=epoch),
        task=data.task,
        weight=data.weight,
        export=os.environ.get("COLCHIS_EXPORT", ""),
    )
