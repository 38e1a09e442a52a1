"""Where files come from, and what they are."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.imports import Importer, read

from colchis_steps._data.dataset import open_data
from colchis_steps._data.importing import files, making
from colchis_steps._step.errors import InputError

ROWS = "x,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(50))


def table() -> pa.Table:
    return pa.table({"x": range(50), "label": ["a", "b"] * 25})


def test_folders_and_patterns_give_the_same_as_one_file(importer: Importer) -> None:
    lines = ROWS.splitlines(keepends=True)
    importer.write("d/a.csv", "".join(lines[:20]))
    importer.write("d/deep/b.csv", lines[0] + "".join(lines[20:]))
    importer.write("d/README.md", "what it is")
    importer.write("d/.hidden.csv", "nothing")
    importer.write("d/_SUCCESS", "")
    folder = importer.does(importer.directory / "d")
    whole = importer.does(importer.write("t.csv", ROWS))
    assert folder.manifest.digest == whole.manifest.digest
    assert [source.name for source in folder.manifest.sources] == ["a.csv", "deep/b.csv"]
    assert "left out" in importer.caplog.text
    assert importer.does(f"{importer.directory}/d/**/*.csv").manifest.digest == whole.manifest.digest
    both = importer.does(importer.directory / "d/a.csv", importer.directory / "d/deep/b.csv")
    assert both.manifest.digest == whole.manifest.digest
    assert importer.does((importer.directory / "t.csv").as_uri()).manifest.digest == whole.manifest.digest


def test_the_same_again_writes_nothing(importer: Importer) -> None:
    path = importer.write("t.csv", ROWS)
    first = importer.does(path)
    before = {p: p.stat().st_mtime_ns for p in importer.store.rglob("*") if p.is_file()}
    assert importer.does(path).uri == first.uri
    assert {p: p.stat().st_mtime_ns for p in importer.store.rglob("*") if p.is_file()} == before


def test_a_part_that_was_altered_is_written_anew(importer: Importer) -> None:
    path = importer.write("t.csv", ROWS)
    data = importer.does(path)
    part = Path(data.uri.removeprefix("file://")) / data.shards("train")[0].path
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert len(read(importer.does(path))["x"]) == 50
    assert "was altered; it is written anew" in importer.caplog.text


def test_places_that_are_not_there_are_told(importer: Importer) -> None:
    importer.write("houses.csv", ROWS)
    assert "did you mean 'houses.csv'?" in importer.refuses(importer.directory / "house.csv")
    assert "matches no file" in importer.refuses(f"{importer.directory}/*.parquet")
    (importer.directory / "void").mkdir()
    assert "has no files" in importer.refuses(importer.directory / "void")
    assert "is of no kind that is read" in importer.refuses("ftp://host/x.csv")
    assert "is of no kind that is read" in importer.refuses("http://example.com/x.csv")
    path = importer.directory / "houses.csv"
    assert "twice; name it once" in importer.refuses(path, path)


def test_a_link_out_of_the_folder_is_refused(importer: Importer) -> None:
    importer.write("d/a.csv", ROWS)
    outside = importer.write("secret.csv", ROWS)
    (importer.directory / "d/b.csv").symlink_to(outside)
    assert "b.csv is a link that leads out of" in importer.refuses(importer.directory / "d")
    (importer.directory / "d/b.csv").unlink()
    importer.write("more/c.csv", ROWS)
    (importer.directory / "d/more").symlink_to(importer.directory / "more")
    assert "more is a link that leads out of" in importer.refuses(importer.directory / "d")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"PAR1" + bytes(100), "t.csv is named as text such as CSV and is Parquet"),
        ("t.parquet", ROWS.encode(), "t.parquet is named as Parquet and is text such as CSV"),
        ("t.csv", b"<!DOCTYPE html><html>404</html>", "is a page of HTML or XML, likely the error of a server"),
        ("t.csv", b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "likely the error of a server"),
        ("t.csv", b"", "t.csv is empty, 0 bytes"),
        ("t.jsonl", b'{"x": 1}\n[{"a": 2}]', "is JSON; write it as CSV or Parquet"),
        ("t.npy", b"\x93NUMPY\x01\0" + bytes(90), "is a single array of NumPy; write it with numpy.savez"),
        ("t.bin", b"\x7fELF" + bytes(90), "is of no kind that is known here; give CSV, Parquet"),
        ("t.parquet.gz", gzip.compress(b"PAR1" + bytes(90)), "is Parquet inside gzip; decompress it"),
        ("t.csv.gz", b"\x1f\x8bno", "begins as gzip and is none"),
    ],
    ids=["parquet", "text", "html", "xml", "empty", "json", "npy", "elf", "packed", "no-gzip"],
)
def test_a_file_that_is_not_what_it_says_is_refused(importer: Importer, name: str, content: bytes, said: str) -> None:
    assert said in importer.refuses(importer.write(name, content))


def test_files_of_other_columns_or_types_are_refused(importer: Importer) -> None:
    one = importer.write("a.csv", ROWS)
    two = importer.write("b.csv", ROWS.replace("x,", "z,", 1))
    assert "b.csv lacks 'x' and has 'z' besides, against" in importer.refuses(one, two)
    three = importer.write("c.csv", "x,label\n1,2\n2,3\n")
    sentence = importer.refuses(one, three)
    assert "column 'label' is string in" in sentence
    assert "and int64 in" in sentence
    assert "--columns label:string" in sentence
    assert importer.does(one, three, "--columns=label:string").classes == ("2", "3", "a", "b")
    four = importer.write("d.csv", "x,label\n1.5,a\n2,b\n")
    assert importer.does(one, four).manifest.by_name["x"].type == "double"


def test_a_column_that_is_missing_is_told_with_the_nearest(importer: Importer) -> None:
    path = importer.write("t.csv", ROWS)
    assert "has no column 'lable'; did you mean 'label'? It has x int64, label string" in importer.refuses(
        path, "--label=lable"
    )
    assert "has no column 'w'" in importer.refuses(path, "--weight=w")
    assert "--columns: x is to be 'number', which is no type of Arrow" in importer.refuses(path, "--columns=x:number")


def test_a_label_that_is_not_named_is_asked_for(importer: Importer) -> None:
    path = importer.write("t.csv", ROWS.replace("label", "kind"))
    sentence = importer.refuses(path)
    assert "which column is the label? Name it with --label, or give --task none; there are x int64, kind" in sentence
    data = importer.does(path, "--task=none")
    assert (data.task.kind, data.task.target, list(data.features)) == ("none", (), ["x", "kind"])


def test_a_source_that_changes_while_it_is_read_is_refused(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = importer.write("t.csv", ROWS)
    taken = making.Import.read

    def read_and_write(self: making.Import, bar: Any) -> None:
        taken(self, bar)
        path.write_text(ROWS + "99,a\n")

    monkeypatch.setattr(making.Import, "read", read_and_write)
    assert "t.csv was changed while it was read" in importer.refuses(path)


def test_a_disk_that_is_full_leaves_nothing(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = importer.write("t.csv", ROWS)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("colchis_steps._data.importing.spill.Bucket.append", full)
        assert "is full; an import needs twice as much room there" in importer.refuses(path)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert main_code(importer, str(path)) == 65
        assert "is full; free space there, or give another store" in importer.caplog.text
    assert not list(importer.store.rglob("*.*on")) + list(importer.store.rglob("*.arrow"))


def test_names_tell_splits() -> None:
    told = {name: files.split_named(name) for name in ("train/a.csv", "x/Val/b.png", "test-00000-of-00002.parquet")}
    assert list(told.values()) == ["train", "eval", "test"]
    assert files.split_named("training_set.csv") == files.split_named("houses.csv") == ""


@pytest.mark.servers
def test_a_bucket_is_read_by_ranges(importer: Importer, bucket: str) -> None:
    client = boto3.client("s3")
    path = importer.directory / "t.parquet"
    pq.write_table(table(), path)
    client.upload_file(str(path), bucket, "in/d/t.parquet")
    client.put_object(Bucket=bucket, Key="in/one.csv", Body=ROWS.encode())
    client.put_object(Bucket=bucket, Key="in/_SUCCESS", Body=b"")
    parquet, csv = importer.does(f"s3://{bucket}/in/d"), importer.does(f"s3://{bucket}/in/one.csv")
    assert sorted(read(csv)["x"].tolist()) == sorted(read(parquet)["x"].tolist()) == list(range(50))
    assert csv.manifest.digest == parquet.manifest.digest
    assert importer.does(f"s3://{bucket}/in/*.csv").manifest.digest == csv.manifest.digest
    assert [source.name for source in parquet.manifest.sources] == ["t.parquet"]
    assert "names no object" in importer.refuses(f"s3://{bucket}/out")


@pytest.mark.servers
def test_parquet_stays_in_a_bucket_and_an_object_that_changes_is_refused(
    importer: Importer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3")
    pq.write_table(table(), importer.directory / "t.parquet")
    for name in ("train", "eval", "test"):
        client.upload_file(str(importer.directory / "t.parquet"), bucket, f"in/{name}.parquet")
    data = importer.does(f"s3://{bucket}/in", "--in-place", "--columns=x")
    assert data.manifest.by_name["label"].role == "label"
    assert data.shards("test")[0].uri == f"s3://{bucket}/in/test.parquet"
    assert sorted(read(data)["x"].tolist()) == sorted([*range(50)] * 3)
    again = open_data(data.uri).batches("train", 10)
    client.put_object(Bucket=bucket, Key="in/train.parquet", Body=b"PAR1")
    with pytest.raises(InputError, match="is damaged: 4 bytes instead of"):
        next(again)
    taken = making.Import.read

    def read_and_write(self: making.Import, bar: Any) -> None:
        taken(self, bar)
        client.put_object(Bucket=bucket, Key="in/one.csv", Body=(ROWS + "99,a\n").encode())

    client.put_object(Bucket=bucket, Key="in/one.csv", Body=ROWS.encode())
    monkeypatch.setattr(making.Import, "read", read_and_write)
    assert "in/one.csv was changed while it was read" in importer.refuses(f"s3://{bucket}/in/one.csv")


def test_row_numbers_of_pandas_are_left_out(importer: Importer) -> None:
    lines = ROWS.splitlines()
    numbered = f",{lines[0]}\n" + "".join(f"{i},{line}\n" for i, line in enumerate(lines[1:]))
    data = importer.does(importer.write("t.csv", numbered))
    assert list(data.manifest.by_name) == ["x", "label"]
    assert any("the column '' has the row numbers of pandas" in warning for warning in data.manifest.warnings)
    named = importer.does(importer.write("n.csv", numbered.replace(",x", "Unnamed: 0,x", 1)), "--key=Unnamed: 0")
    assert named.manifest.by_name["Unnamed: 0"].role == "key"


class Pages(http.server.BaseHTTPRequestHandler):
    """A server of one file, and of what leads to it."""

    def do_GET(self) -> None:
        self.send_response({"/t.csv": 200, "/old.csv": 302, "/busy.csv": 503}.get(self.path, 404))
        self.send_header("Content-Length", str(len(ROWS)))
        self.send_header("Location", "/t.csv")
        self.end_headers()
        self.wfile.write(ROWS.encode())

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.servers
def test_a_file_of_a_web_server_is_fetched(importer: Importer, web: str) -> None:
    local = importer.does(importer.write("t.csv", ROWS))
    assert importer.does(f"{web}/old.csv").manifest.digest == local.manifest.digest
    assert f"{web}/gone.csv answers 404" in importer.refuses(f"{web}/gone.csv")
    assert main_code(importer, f"{web}/busy.csv") == 75


def main_code(importer: Importer, place: str) -> int:
    from colchis_steps.import_data import main

    return main(["own", f"--to={importer.store.as_uri()}", f"--from={place}"])
