"""What ``validate_data`` tells of a data set: a profile of each split and column, the checks, and drift.

The report draws it, and a later run takes it as its reference.
"""

from colchis_steps._formats.documents import Part
from colchis_steps._formats.runs import Check, Picture

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


class Lengths(Part):
    """Lengths of texts in characters, of bytes in bytes or of ragged rows in values; counts between edges."""

    edges: tuple[float, ...]
    histogram: tuple[int, ...]
    mean: float = 0.0


class ColumnProfile(Part):
    """What a column of a split holds: its numbers, dates and times in the column's unit since 1970, or its texts.

    ``histogram`` counts the values between one edge and the next; the last edge belongs to the last bin. With a
    reference the edges are those of the reference, and values outside are in the first and the last bin.
    """

    name: str
    type: str = ""  # Arrow's name of one value's type
    role: str = "feature"
    shape: tuple[int, ...] = ()
    rows: int = 0
    nulls: int = 0  # values that are null or NaN, of ``nulls + values``
    values: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()  # at QUANTILES; within 0.5 % of the rank
    edges: tuple[float, ...] = ()
    histogram: tuple[int, ...] = ()
    distinct: int | None = None  # exact up to some thousands, within 2 % above
    top: tuple[tuple[str, int], ...] = ()  # the most frequent values and their counts, which are lower bounds
    lengths: Lengths | None = None
    classes: dict[str, int] | None = None  # of the label: rows a class
    pictures: tuple[Picture, ...] = ()  # a few, of a column of pictures


class SplitProfile(Part):
    """What a split holds: ``duplicates`` are rows whose features another one had before."""

    rows: int
    bytes: int
    duplicates: int
    columns: tuple[ColumnProfile, ...]
    contradictions: int = 0  # rows whose features stand with another label too


class Drift(Part):
    """How a column differs from the reference's; changes are its own value less the reference's."""

    column: str
    split: str
    test: str  # Kolmogorov-Smirnov, or chi-square
    p: float  # after Holm's correction for all columns
    psi: float  # population stability index, less what chance alone gives
    js: float  # Jensen-Shannon divergence in bits
    missing: float  # change of the share of nulls
    mean: float | None  # change, in the reference's standard deviations
    deviation: float | None  # ratio
    drifted: bool
    reason: str = ""


class DataReport(Part):
    """Details of ``validate_data``; ``reference`` is what drift was measured against."""

    name: str
    digest: str
    splits: dict[str, SplitProfile]
    checks: tuple[Check, ...]
    drift: tuple[Drift, ...] = ()
    reference: str = ""
    schema: str = ""  # digest of the schema.yaml that it was held against
    verdict: str = ""  # of drift: alike, drifted, unknown
