"""The one model that a directory holds, by names alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._adopting.finding import EXPORTS, find_model
from colchis_steps._step.errors import InputError

SAVED = ["saved_model.pb", "variables/variables.index", "assets/vocab.txt"]


@pytest.mark.parametrize(
    ("paths", "kind", "path", "files"),
    [
        (SAVED, "savedmodel", "", sorted(SAVED)),
        (["wines.keras"], "keras", "wines.keras", ["wines.keras"]),
        (["m.onnx"], "onnx", "m.onnx", ["m.onnx"]),
        (["MLmodel", "conda.yaml", "data/model.keras", "data/keras_module.txt"], "keras", "data/model.keras", None),
        (["MLmodel", "model.onnx", "model.onnx.data"], "onnx", "model.onnx", None),
        (["MLmodel", *(f"tfmodel/{one}" for one in SAVED)], "savedmodel", "tfmodel", None),
        (["config.json", *(f"saved_model/1/{one}" for one in SAVED)], "savedmodel", "saved_model/1", None),
        (["config.json", "onnx/model.onnx", "onnx/model.onnx_data"], "onnx", "onnx/model.onnx", None),
        (["tf_model.h5", "pytorch_model.bin", "onnx/model.onnx"], "onnx", "onnx/model.onnx", None),
        ([*SAVED, "assets/other.onnx", "assets/saved_model.pb"], "savedmodel", "", None),
        ([".cache/old.onnx", "new.onnx", "b/.ipynb_checkpoints/x.keras"], "onnx", "new.onnx", None),
    ],
    ids=[
        "saved model",
        "keras",
        "onnx",
        "mlflow keras",
        "mlflow onnx",
        "mlflow tensorflow",
        "hf tensorflow",
        "hf onnx",
        "hf of many formats",
        "models among assets",
        "hidden",
    ],
)
def test_the_model_is_found_where_it_lies(paths: list[str], kind: str, path: str, files: list[str] | None) -> None:
    found = find_model(paths, "here")
    assert (found.format, found.path) == (kind, path)
    assert files is None or list(found.files) == files


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a/model.onnx", "b.keras"], "here holds 2 models (a/model.onnx, b.keras); give one, like --from here/a/mod"),
        (["1/saved_model.pb", "2/saved_model.pb"], "here holds 2 models (1, 2); give one, like --from here/1"),
        ([f"m{i}.onnx" for i in range(9)], "m5.onnx and 3 more"),
        (["tf_model.h5", "config.json"], "holds tf_model.h5, which is not served as it is; load it where it was made"),
        (["model.pkl"], "export the pipeline with skl2onnx"),
        (["a/clf.joblib"], "export the pipeline with skl2onnx"),
        (["pytorch_model.bin"], "torch.onnx.export"),
        (["model.safetensors"], "torch.onnx.export"),
        (["xgb.ubj"], "onnxmltools"),
        (["README.md"], "here holds README.md, and no model; give a SavedModel, a .keras or an .onnx file"),
        ([], "here holds no files, and no model"),
    ],
    ids=["two", "versions", "many", "h5", "pickle", "joblib", "torch", "safetensors", "xgboost", "other", "empty"],
)
def test_several_or_none_have_their_sentence(paths: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        find_model(paths, "here")
    assert words in str(caught.value)


@given(
    st.lists(st.sampled_from(["a", "b", "c.keras", "saved_model.pb", "x.onnx", *EXPORTS]), max_size=6),
    st.lists(st.sampled_from(["", "d/", "d/e/", ".f/"]), min_size=6, max_size=6),
)
def test_what_is_found_is_there_whatever_lies_beside_it(names: list[str], tops: list[str]) -> None:
    paths = {f"{top}{name}" for top, name in zip(tops, names, strict=False)}
    try:
        found = find_model(paths, "here")
    except InputError:
        return
    assert found.files
    assert set(found.files) <= paths
    assert not any(part.startswith(".") for path in found.files for part in path.split("/"))
