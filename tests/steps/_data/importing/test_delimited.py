"""CSV: what is found of it, and what is refused by its line."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.steps.imports import Importer, read

from colchis_steps._data.importing import delimited


def rows(count: int = 60, line: str = "{i},{x},word{w},{y}\n") -> str:
    head = line.replace("{i}", "id").replace("{x}", "x").replace("word{w}", "w").replace("{y}", "y")
    return head + "".join(line.format(i=i, x=i / 4, w=i % 3, y="ab"[i % 2]) for i in range(count))


def test_a_table_becomes_a_data_set(importer: Importer) -> None:
    data = importer.does(importer.write("t.csv", rows()), "--label=y", "--key=id")
    manifest = data.manifest
    assert [(c.name, c.type, c.role, c.nullable) for c in manifest.columns] == [
        ("id", "int64", "key", False),
        ("x", "double", "feature", False),
        ("w", "string", "feature", False),
        ("y", "string", "label", False),
    ]
    assert (manifest.task.kind, manifest.task.target, manifest.task.classes) == ("classification", ("y",), ("a", "b"))
    assert (manifest.by_name["x"].minimum, manifest.by_name["x"].maximum) == (0, 59 / 4)
    found = read(data)
    order = np.argsort(found["id"])
    assert found["x"][order].tolist() == [i / 4 for i in range(60)]
    assert found["y"][order].tolist() == [i % 2 for i in range(60)]
    assert found["w"][order].tolist() == [f"word{i % 3}" for i in range(60)]
    assert sum(split.rows for split in manifest.splits.values()) == 60
    (source,) = manifest.sources
    assert (source.name, source.size) == ("t.csv", len(rows()))


@pytest.mark.parametrize(("delimiter", "flags"), [(";", ()), ("\t", ()), ("|", ()), ("~", ("--delimiter=~",))])
def test_delimiters_are_found_or_named(importer: Importer, delimiter: str, flags: tuple[str, ...]) -> None:
    line = "{i},{x},word{w},{y}\n".replace(",", delimiter)
    data = importer.does(importer.write("t.csv", rows(line=line)), "--label=y", *flags)
    assert list(data.manifest.by_name) == ["id", "x", "w", "y"]


def test_nothing_and_na_are_nulls_and_quoted_lines_stay_whole(importer: Importer) -> None:
    text = 'x,s,y\n1,"two\nlines",a\n,NA,b\n' + "".join(f"{i},s{i},a\n" for i in range(9))
    data = importer.does(importer.write("t.csv", text), "--label=y")
    assert {c.name: c.nullable for c in data.manifest.columns} == {"x": True, "s": True, "y": False}
    found = read(data)
    (null,) = np.flatnonzero(np.isnan(found["x"].astype(float)) | ~found["x__valid"])
    assert not found["s__valid"][null]
    assert "two\nlines" in found["s"]


def test_columns_that_are_numbered_have_names(importer: Importer) -> None:
    text = "0,1,2\n" + "".join(f"{i},{i / 2},{'ab'[i % 2]}\n" for i in range(60))
    data = importer.does(importer.write("t.csv", text), "--label=2")
    assert list(data.manifest.by_name) == ["0", "1", "2"]


def test_compressed_text_is_read(importer: Importer) -> None:
    plain = importer.does(importer.write("t.csv", rows()), "--label=y")
    packed = importer.does(importer.write("t.csv.gz", gzip.compress(rows().encode())), "--label=y")
    zstd = importer.does(importer.write("t.csv.zst", pa.compress(rows().encode(), "zstd", asbytes=True)), "--label=y")
    assert plain.manifest.digest == packed.manifest.digest == zstd.manifest.digest


def test_what_decompresses_without_end_is_refused(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LEAST", 1 << 16)
    bomb = gzip.compress(b"x,label\n" + b"0,a\n" * 200_000)
    assert "becomes more than" in importer.refuses(importer.write("t.csv.gz", bomb))


def test_a_truncated_gzip_is_refused(importer: Importer) -> None:
    content = gzip.compress(rows(5000).encode())
    assert "t.csv.gz is damaged or truncated" in importer.refuses(
        importer.write("t.csv.gz", content[: len(content) // 2]), "--label=y"
    )


def test_an_encoding_is_named_where_it_is_another(importer: Importer) -> None:
    path = importer.write("t.csv", rows().replace("word1", "Bär").encode("latin-1"))
    sentence = importer.refuses(path, "--label=y")
    assert "column 'w' has bytes in row 3 that are not UTF-8; name the file's encoding" in sentence
    assert "Bär" in read(importer.does(path, "--label=y", "--encoding=latin-1"))["w"]


def test_bytes_that_are_no_text_after_the_first_rows_have_their_row(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (1 << 10,))
    path = importer.write("t.csv", rows(500).encode() + b"500,1,B\xe4r,a\n")
    assert "column 'w' has bytes in row 502 that are not UTF-8" in importer.refuses(path, "--label=y")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a\n1,2,3\n", "has two columns named 'a'; rename one"),
        (rows() + "60,1\n", "row 62 (the header is row 1) has 2 columns instead of 4"),
        ("id,x,w,y\n", "has a header and no row"),
        ("1,2\n3,4\n", "begins with the numbers 1, 2, not with names"),
    ],
    ids=["twice", "ragged", "header", "no-header"],
)
def test_text_that_is_no_table_is_refused(importer: Importer, text: str, said: str) -> None:
    assert said in importer.refuses(importer.write("t.csv", text), "--label=y")


def test_a_type_that_changes_has_column_row_value_and_remedy(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (1 << 10,))
    path = importer.write("t.csv", rows(1000) + "1000,1.0,w,a\nn/k,1.0,w,a\n1.5,1,w,b\n")
    sentence = importer.refuses(path, "--label=y")
    assert "column 'id' is int64 by the first rows, and row 1003 (the header is row 1) has 'n/k'" in sentence
    assert "--columns id:string" in sentence
    assert importer.does(path, "--label=y", "--columns=id:string").manifest.by_name["id"].type == "string"


def test_a_field_longer_than_a_block_is_read_where_it_has_room(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (1 << 10, 1 << 16))
    long = "z" * 20_000
    path = importer.write("t.csv", rows(300) + f"300,1,{long},a\n" + rows(300).partition("\n")[2])
    found = read(importer.does(path, "--label=y"))
    assert len(found["w"]) == 601
    assert long in found["w"]
    longer = importer.write("l.csv", rows(300) + f"300,1,{long * 8},a\n")
    assert f"{tmp_path}/l.csv has a row of more than 65536 bytes" in importer.refuses(longer, "--label=y")
