"""Documents of predictions for many rows: what is to be predicted, each part that is, and all of it."""

from colchis_steps._formats.data import Column, Shard, Task
from colchis_steps._formats.documents import Document, Part


class Input(Part):
    """A part of the input, whose predictions become one part of the output.

    ``shard.uri`` is where the file lies, relative to the store where it lies in there; ``first`` is the number of its
    first row among those of all parts.
    """

    shard: Shard
    first: int
    split: str = ""  # of a data set


class Plan(Document, tag="colchis.dev/batch-plan/v1"):
    """What is to be predicted by which version (``_plan.json``); written before anything else."""

    model: str
    version: int
    tree: str  # of the version's files
    data: str  # the URI of what is read
    data_digest: str  # of a data set; of files, over their digests in order
    task: Task
    columns: tuple[Column, ...]  # the features, as the version was trained with
    keys: tuple[str, ...]  # the columns that stand beside the predictions; none: the rows' numbers
    inputs: tuple[Input, ...]
    created_at: str


class Predicted(Part):
    """A part of the output: a Parquet file; ``source`` is the sha256 of the input part that it is of."""

    path: str
    rows: int
    size: int
    sha256: str
    source: str
    split: str = ""
    not_finite: int = 0  # rows to which the model gave a number that is not finite


class Written(Document, tag="colchis.dev/batch-part/v1"):
    """A part that is there, and what it was made by (``_parts/<n>.json``); written after the part."""

    plan: str  # digest of what the part depends on
    part: Predicted


class Batch(Document, tag="colchis.dev/batch/v1"):
    """All predictions (``_manifest.json``): each row of the input once; written last.

    The names of Colchis' own documents begin with ``_``: readers of a directory of Parquet pass over them.
    """

    model: str
    version: int
    tree: str
    data: str
    data_digest: str
    rows: int
    parts: tuple[Predicted, ...]
    created_at: str
