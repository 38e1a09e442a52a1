"""The doors: `data import` in both forms, and `data show`."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colchis_steps import import_data, show_data
from colchis_steps._data.dataset import open_data


def test_a_set_with_a_name_by_both_forms(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    monkeypatch.setenv("COLCHIS_COMMAND", "colchis_steps.import_data=colchis data import")
    assert import_data.main(["digits"]) == 0
    new = capsys.readouterr().out
    assert new.startswith(f"file://{tmp_path}/store/data/digits/")
    assert "next release" not in caplog.text
    monkeypatch.setenv("COLCHIS_COMMAND", "colchis_steps.import_data=colchis data")
    assert import_data.main(["digits", f"--to=file://{tmp_path}/store"]) == 0
    assert capsys.readouterr().out == new
    assert "the next release knows this as `colchis data import digits …` alone" in caplog.text


def test_a_data_set_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    rows = range(200)
    table = pa.table(
        {
            "x": [None if i == 3 else i / 2 for i in rows],
            "day": pa.array(rows, pa.date32()),
            "v": pa.array([[1, 2]] * 200, pa.list_(pa.int8(), 2)),
            "b": [b"\x1b[31m" * 3] * 200,
            "n": pa.array([None, 5] * 100),
            "kind": ["dog", "cat"] * 100,
        }
    )
    pq.write_table(table, tmp_path / "pets.parquet")
    assert import_data.main(["pets", f"--from={tmp_path}/pets.parquet", "--label=kind"]) == 0
    uri = capsys.readouterr().out.strip()
    assert show_data.main(["pets", "--rows=2"]) == 0
    shown = capsys.readouterr().out
    assert show_data.main([uri, "--rows=2"]) == 0
    assert capsys.readouterr().out == shown
    lines = shown.splitlines()
    assert lines[0] == uri
    assert "task     classification of kind, 2 classes: cat, dog" in lines
    assert "divided  by hash, train 0.7 eval 0.15 test 0.15" in lines
    assert any(line.startswith("warning  rows are divided at random and have the time 'day'") for line in lines)
    assert any(line.split()[:5] == ["x", "double", "feature", "yes", "0"] for line in lines)
    train = open_data(uri).manifest.splits["train"]
    assert any(line.split()[:2] == ["train", str(train.rows)] for line in lines)
    assert lines[-3].split() == ["x", "day", "v", "b", "n", "kind"]
    assert "int8[2]" in lines[-1]
    assert "15 bytes" in lines[-1]
    assert {("null", "dog"), ("5", "cat")} >= {tuple(line.split()[-2:]) for line in lines[-2:]}


def test_what_is_not_there_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert show_data.main(["pets", f"--store=file://{tmp_path}"]) == 65
    assert "holds no data set; import one" in caplog.text


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--shares=0.7,0.3", "'0.7,0.3' are not shares of train, eval and test; write 0.7,0.15,0.15"),
        ("--shares=0,1,1", "are not shares"),
        ("--gap=-1", "'-1' is not a number of seconds"),
        ("--delimiter=;;", "';;' is not one character; write tab"),
        ("--label=a,,b", "'a,,b' are not names; write each once"),
        ("--task=guess", "invalid choice: 'guess'"),
    ],
)
def test_flags_that_are_wrong(flag: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        import_data.main(["pets", "--from=x.csv", flag])
    assert said in capsys.readouterr().err


def test_columns_keep_or_only_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "a,b,c,label\n" + "".join(f"{i},{i % 7},{i % 5},{'xy'[i % 2]}\n" for i in range(90))
    (tmp_path / "t.csv").write_text(text)

    def columns(*flags: str) -> list[tuple[str, str]]:
        words = ["own", f"--from={tmp_path}/t.csv", f"--to=file://{tmp_path}/store", *flags]
        assert import_data.main(words) == 0
        manifest = open_data(capsys.readouterr().out.strip()).manifest
        return [(column.name, column.type) for column in manifest.columns]

    assert columns("--columns=a:double") == [("a", "double"), ("b", "int64"), ("c", "int64"), ("label", "string")]
    assert columns("--columns=a,c:string") == [("a", "int64"), ("c", "string"), ("label", "string")]
