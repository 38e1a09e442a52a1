"""Which format files have, and what others are told."""

import pytest

from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import format_of


def test_the_format_is_told_by_the_file_at_the_top() -> None:
    assert format_of(["saved_model.pb", "variables/data"], "here") == "savedmodel"
    assert format_of(["model.onnx", "weights", "model.pkl"], "here") == "onnx"


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ((), r"has neither saved_model.pb nor model.onnx; give a SavedModel, as keras.Model.export writes it, or ONNX"),
        (("saved_model.pb", "model.onnx"), r"has saved_model.pb and model.onnx, so two models; leave one of them out"),
        (
            ("model.joblib",),
            r"nor model.onnx, but model.joblib; write it as ONNX with colchis_steps.export.from_skl",
        ),
        (("a.txt", "forest.pkl"), r"but forest.pkl; write it as ONNX with .*from_sklearn, as nothing here reads pick"),
        (("model.ubj",), r"but model.ubj; write it as ONNX with colchis_steps.export.from_xgboost"),
        (("model.json",), r"but model.json; write it as ONNX with colchis_steps.export.from_xgboost if that is what"),
        (("config.json", "model.safetensors"), r"but model.safetensors; write it as ONNX with .*from_torch"),
        (("weights.pt",), r"but weights.pt; write it as ONNX with colchis_steps.export.from_torch"),
        (("weights.PTH",), r"but weights.PTH; write it as ONNX with colchis_steps.export.from_torch"),
        (("model.keras",), r"but model.keras; write a SavedModel with model.export\(directory\) in its place"),
        (("model.h5",), r"but model.h5; write a SavedModel with model.export\(directory\) in its place"),
        (("other.onnx", "model.pkl"), r"but other.onnx; call it model.onnx"),
        (("1/saved_model.pb",), r"but 1/saved_model.pb; move what is in 1 to the top"),
        (("x" * 300 + ".pt",), r"but x{125}\.pt; write it as ONNX"),
    ],
    ids=lambda value: "+".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_is_no_model_is_told_how_to_become_one(paths: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        format_of(paths, "$COLCHIS_EXPORT")
