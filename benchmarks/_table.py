"""What the races share: medians of their runs, the table that they print and the file that they leave.

Writes  benchmarks/results/<race>.json  a list of rows; README.md says what the fields mean
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).with_name("results")
MEASURED = ("wall_s", "cpu_s", "rss_mib", "bytes")
Sample = Mapping[str, float | None]
Row = dict[str, str | float | int | None]


def row(case: str, contender: str, samples: Sequence[Sample]) -> Row:
    """Return the median of each figure over the runs that have it; None where no run has one."""
    if not samples:
        raise ValueError(f"{contender} has no run in the case {case}")
    made: Row = {"case": case, "contender": contender}
    for name in dict.fromkeys([*MEASURED, *(name for sample in samples for name in sample)]):
        found = [value for sample in samples if (value := sample.get(name)) is not None]
        made[name] = _short(median(found)) if found else None
    return made | {"runs": len(samples)}


def with_ratio(rows: Sequence[Row], rival: str) -> list[Row]:
    """Add to each row its wall time over the rival's in the same case."""
    walls = {made["case"]: made["wall_s"] for made in rows if made["contender"] == rival}

    def ratio(made: Row) -> float | None:
        wall, other = made["wall_s"], walls.get(made["case"])
        return _short(wall / other) if isinstance(wall, float) and isinstance(other, float) else None

    return [made | {"ratio": ratio(made)} for made in rows]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, with a column for each field that any row has a value of."""
    columns = [name for name in dict.fromkeys(name for made in rows for name in made) if any(r.get(name) for r in rows)]
    lines = [columns, ["---"] * len(columns), *([_cell(made.get(name)) for name in columns] for made in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(race: str, rows: Sequence[Row], directory: Path = RESULTS) -> Path:
    """Write the race's rows, one a line, in the place of those of the same case and contender; give the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{race}.json"
    raced = {(made["case"], made["contender"]) for made in rows}
    before: list[Row] = json.loads(path.read_text()) if path.exists() else []
    rows = sorted(
        [*rows, *(made for made in before if (made["case"], made["contender"]) not in raced)],
        key=lambda made: str(made["case"]),
    )
    path.write_text("[\n" + ",\n".join(json.dumps(made) for made in rows) + "\n]\n")
    return path


def _short(value: float) -> float:
    """Return a figure to the third decimal; of one below 1 three digits that count, so that none becomes zero."""
    return round(value, 3) if abs(value) >= 1 else float(f"{value:.3g}")


def _cell(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
