"""Where a model is taken from: files, directories, links into a cache, a bucket."""

from pathlib import Path

import pytest

from colchis_steps._adopting.source import open_source
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects


def test_a_directory_with_links_is_copied_as_files(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/1").write_bytes(b"model")
    (tmp_path / "snapshot/onnx").mkdir(parents=True)
    (tmp_path / "snapshot/onnx/model.onnx").symlink_to(tmp_path / "blobs/1")
    for given in (str(tmp_path / "snapshot"), (tmp_path / "snapshot").as_uri()):
        source = open_source(given)
        assert source.files == {"onnx/model.onnx": 5}
        source.copy(source.files, tmp_path / "copy")
        assert (tmp_path / "copy/onnx/model.onnx").read_bytes() == b"model"
        assert not (tmp_path / "copy/onnx/model.onnx").is_symlink()


def test_what_lies_in_a_store_is_fetched(store: Objects, tmp_path: Path) -> None:
    store.write("incoming/m/data/model.keras", b"keras")
    store.write("incoming/m/MLmodel", b"{}")
    source = open_source(f"{store.url}/incoming/m/")
    assert source.files == {"data/model.keras": 5, "MLmodel": 2}
    source.copy(["data/model.keras"], tmp_path / "copy")
    assert (tmp_path / "copy/data/model.keras").read_bytes() == b"keras"
    assert open_source(f"{store.url}/incoming/m/data/model.keras").files == {"model.keras": 5}


@pytest.mark.parametrize("given", ["nowhere", "{store}/nowhere", "hf://team/model", "runs:/1/model"])
def test_what_is_not_there_has_its_sentence(store: Objects, given: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(given.format(store=store.url))
    words = "download the model first" if given.startswith("hf:") else "there is nothing at"
    assert words in str(caught.value)
