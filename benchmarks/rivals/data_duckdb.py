"""DuckDB: the same facts by SQL, several scans; or a CSV made Parquet. Arguments: case, source, directory."""

import sys
from pathlib import Path

import duckdb

case, source, place = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
con = duckdb.connect()
con.execute(f"SET memory_limit = '800MB'; SET temp_directory = '{place}'; SET preserve_insertion_order = false")
if case == "import":
    con.execute(f"COPY (FROM read_csv('{source}')) TO '{place}/rows.parquet' (COMPRESSION zstd)")
    sys.exit()
for split in ("train", "eval", "test"):
    con.execute(f"CREATE VIEW {split} AS FROM read_parquet('{source}/{split}-*.parquet')")
    columns = con.execute(f"DESCRIBE {split}").fetchall()
    asked = []
    for name, kind, *_ in columns:
        asked += [f"count({name})", f"min({name})", f"max({name})", f"approx_count_distinct({name})"]
        if kind in {"DOUBLE", "FLOAT", "INTEGER", "BIGINT"}:
            asked += [
                f"avg({name})",
                f"stddev_pop({name})",
                f"approx_quantile({name}, [.01, .05, .25, .5, .75, .95, .99])",
            ]
        if kind == "VARCHAR":
            asked += [f"approx_top_k({name}, 20)", f"avg(length({name}))"]
    con.execute(f"SELECT {', '.join(asked)} FROM {split}").fetchall()
    names = ", ".join(name for name, *_ in columns if name not in {"label", "seen"})
    con.execute(f"CREATE TABLE hashes_{split} AS SELECT hash({names}) AS h FROM {split}")
    con.execute(f"SELECT count(*) - count(DISTINCT h) FROM hashes_{split}").fetchall()
for first, second in (("train", "eval"), ("train", "test"), ("eval", "test")):
    con.execute(f"SELECT count(*) FROM hashes_{second} SEMI JOIN hashes_{first} USING (h)").fetchall()
