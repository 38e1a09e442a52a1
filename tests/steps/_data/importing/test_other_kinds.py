"""Images, Arrow IPC, TFRecord, and Parquet that stays where it lies."""

import io
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from awscrt.checksums import crc32c
from PIL import Image
from tests.steps.imports import Importer, read

from colchis_steps._data.dataset import open_data
from colchis_steps._data.importing import images
from colchis_steps._data.importing.kinds import masked


def picture(kind: str, seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def folder(importer: Importer, count: int = 20) -> dict[bytes, str]:
    told = {}
    for i in range(count):
        name, kind = ("cat", "jpeg") if i % 2 else ("dog", "png" if i % 4 else "webp")
        content = picture(kind, i)
        importer.write(f"pets/{name}/{i}.{kind}", content)
        told[content] = name
    return told


def test_a_folder_of_images_keeps_their_bytes(importer: Importer) -> None:
    told = folder(importer)
    data = importer.does(importer.directory / "pets")
    image, label = data.manifest.columns
    assert (image.name, image.type, image.media, image.role) == ("image", "binary", "image/*", "feature")
    assert (label.role, data.classes) == ("label", ("cat", "dog"))
    found = read(data)
    assert {x: data.classes[y] for x, y in zip(found["image"], found["label"], strict=True)} == told
    assert len(data.manifest.sources) == 20


def test_images_of_given_splits(importer: Importer) -> None:
    for i in range(12):
        importer.write(f"pets/{('train', 'val', 'test')[i % 3]}/{'ab'[i // 3 % 2]}/{i}.png", picture("png", i))
    data = importer.does(importer.directory / "pets")
    assert {name: split.rows for name, split in data.manifest.splits.items()} == dict.fromkeys(data.manifest.splits, 4)
    assert data.manifest.by_name["image"].media == "image/png"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (picture("png", 1)[:-30], "cannot be decoded as PNG, JPEG or WebP"),
        (picture("jpeg", 1, (64, 64))[:200], "cannot be decoded"),
        (b"GIF89a" + bytes(40), "odd.png is"),
        (picture("png", 1, (40, 40)), "has 40 x 40 pixels, and an image at most 400"),
    ],
    ids=["cut-png", "cut-jpeg", "gif", "large"],
)
def test_an_image_that_cannot_be_used_is_named(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(images, "PIXELS", 400)
    folder(importer, 4)
    importer.write("pets/cat/odd.png", content)
    sentence = importer.refuses(importer.directory / "pets")
    assert "pets/cat/odd.png" in sentence
    assert said in sentence


def test_images_without_a_folder_or_beside_tables_are_refused(importer: Importer) -> None:
    folder(importer, 4)
    importer.write("pets/lost.png", picture("png", 99))
    assert "lost.png lies in no folder that names its class" in importer.refuses(importer.directory / "pets")
    (importer.directory / "pets/lost.png").unlink()
    importer.write("pets/labels.csv", "x,label\n1,a\n")
    assert "there are images such as" in importer.refuses(importer.directory / "pets")


def test_arrow_files_and_streams(importer: Importer) -> None:
    table = pa.table({"x": range(50), "s": ["u", "v"] * 25, "label": [True, False] * 25})
    with pa.OSFile(str(importer.directory / "f.arrow"), "wb") as out, pa.ipc.new_file(out, table.schema) as file:
        file.write_table(table)
    with pa.OSFile(str(importer.directory / "s.arrow"), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table, max_chunksize=7)
    one, two = importer.does(importer.directory / "f.arrow"), importer.does(importer.directory / "s.arrow")
    assert one.manifest.digest == two.manifest.digest
    assert sorted(read(one)["x"].tolist()) == list(range(50))
    cut = (importer.directory / "s.arrow").read_bytes()[:-400]
    assert "c.arrow is damaged or truncated" in importer.refuses(importer.write("c.arrow", cut))


def record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return b"".join(
        (length, struct.pack("<I", masked(crc32c(length))), content, struct.pack("<I", masked(crc32c(content))))
    )


@pytest.mark.tensorflow
def test_records_of_tensorflow(importer: Importer) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(importer.directory / "t.tfrecord")) as writer:
        for i in range(60):
            features = {
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[i / 2, i])),
                "w": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"w{i}".encode()] if i % 5 else [])),
                "r": tf.train.Feature(int64_list=tf.train.Int64List(value=range(i % 3))),
                "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 2])),
                "b": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes([255, i])])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    data = importer.does(importer.directory / "t.tfrecord", "--label=y")
    assert [(c.name, c.type, c.shape, c.nullable) for c in data.manifest.columns] == [
        ("b", "binary", (), False),
        ("r", "int64", (-1,), False),
        ("w", "string", (), True),
        ("x", "float", (2,), False),
        ("y", "int64", (), False),
    ]
    found = read(data)
    order = np.argsort(found["x"][:, 1])
    assert found["w"][order].tolist() == [f"w{i}" if i % 5 else "" for i in range(60)]
    assert found["r__mask"][order].sum(1).tolist() == [i % 3 for i in range(60)]
    content = (importer.directory / "t.tfrecord").read_bytes()
    flipped = content[:200] + bytes([content[200] ^ 1]) + content[201:]
    assert "is damaged or truncated at record 2" in importer.refuses(importer.write("f.tfrecord", flipped), "--label=y")
    assert "not of tf.train.Example" in importer.refuses(importer.write("g.tfrecord", record(b"\xff\xff")), "--label=y")


def test_records_without_tensorflow_name_the_extra(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    sentence = importer.refuses(importer.write("t.tfrecord", record(b"")))
    assert "TFRecord is read with TensorFlow, which is absent; pip install 'colchis[train]'" in sentence


def splits(importer: Importer, count: int = 300) -> Path:
    for i, name in enumerate(("train", "eval", "test")):
        x = range(i * count, (i + 1) * count)
        table = pa.table({"x": x, "s": [f"s{v % 5}" for v in x], "label": ["a", "b"] * (count // 2)})
        (importer.directory / "d").mkdir(exist_ok=True)
        pq.write_table(table, importer.directory / f"d/{name}.parquet", row_group_size=100)
    return importer.directory / "d"


def test_parquet_stays_where_it_lies(importer: Importer) -> None:
    data = importer.does(splits(importer), "--in-place")
    (part,) = data.manifest.splits["test"].parts
    assert (part.format, part.rows, part.uri) == ("parquet", 300, (importer.directory / "d/test.parquet").as_uri())
    assert sorted(path.name for path in importer.store.rglob("*.*") if path.is_file()) == ["manifest.json"]
    assert sorted(read(data)["x"].tolist()) == list(range(900))
    assert data.classes == ("a", "b")
    copied = importer.does(importer.directory / "d")
    assert sorted(read(copied)["x"].tolist()) == sorted(read(data)["x"].tolist())


def test_parquet_that_was_changed_in_its_place_is_not_read(importer: Importer) -> None:
    data = importer.does(splits(importer), "--in-place")
    path = importer.directory / "d/train.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(Exception, match="is damaged: sha256"):
        next(open_data(data.uri).batches("train", 8))


def test_what_cannot_stay_in_its_place_is_refused_with_the_reason(importer: Importer) -> None:
    where = splits(importer)
    assert "each belongs to one split" in importer.refuses(where / "train.parquet", "--in-place")
    (where / "eval.parquet").unlink()
    assert "each belongs to one split" in importer.refuses(where, "--in-place")
    for name in ("train", "test", "eval"):
        importer.write(f"c/{name}.csv", "x,label\n1,a\n2,b\n")
    assert "and " in importer.refuses(importer.directory / "c", "--in-place")
    splits(importer)
    sentence = importer.refuses(where, "--in-place", "--columns=x:double")
    assert "column 'x' of" in sentence
    assert "is int64, and double is wanted; import without --in-place" in sentence
