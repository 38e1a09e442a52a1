"""What is asked of an import: the flags of ``colchis data import``, parsed."""

from dataclasses import dataclass, field

from colchis_steps._formats.data import Parent

LABEL = "label"  # the column that is the label where none is named
SHARES = {"train": 0.7, "eval": 0.15, "test": 0.15}


@dataclass(frozen=True)
class Given:
    """One ``--from``: where it leads, and the split that its rows go to where that was named (``test=PATH``)."""

    place: str
    split: str = ""


@dataclass(frozen=True)
class Request:
    """An import. Empty means not given: then it is found, or asked for where it cannot be found safely."""

    name: str
    given: tuple[Given, ...]
    label: tuple[str, ...] = ()
    task: str = ""
    keep: tuple[str, ...] = ()  # columns to import; all where empty
    types: dict[str, str] = field(default_factory=dict)  # Arrow's names of types, by column
    weight: str = ""
    group: tuple[str, ...] = ()
    time: str = ""
    key: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    split_by: str = ""  # one of WAYS
    split_column: str = ""
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    gap: float = 0.0  # of a split by time: seconds, or units of a column of numbers
    in_place: bool = False
    delimiter: str = ""
    encoding: str = ""
    shard_rows: int | None = None
    parent: Parent | None = None  # of data that a command made of others

    @property
    def roles(self) -> dict[str, str]:
        """The role of each column that has another than feature."""
        named = {"label": self.label, "group": self.group, "key": self.key, "slice": self.slices}
        found = {column: role for role, columns in named.items() for column in columns}
        return found | {column: role for role, column in (("weight", self.weight), ("time", self.time)) if column}
