"""pandera on polars: rules for rows alone, a split in memory at a time. Arguments: case, source, directory."""

import sys
from pathlib import Path

import pandera.polars as pa
import polars as pl

source = Path(sys.argv[2])
for split in ("train", "eval", "test"):
    frame = pl.read_parquet(source / f"{split}-*.parquet")
    columns = {}
    for name, kind in frame.schema.items():
        checks = []
        if kind.is_numeric():
            checks = [pa.Check.in_range(frame[name].min(), frame[name].max())]
        elif name in {"region", "label"}:
            checks = [pa.Check.isin(frame[name].unique().to_list())]
        columns[name] = pa.Column(kind, checks, nullable=frame[name].null_count() > 0)
    pa.DataFrameSchema(columns).validate(frame)
