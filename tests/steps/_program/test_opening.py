"""A model is opened by what its files are, and needs no more than what runs it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tests.steps.onnx_models import save, thirds

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._program import opening
from colchis_steps._step.errors import InputError


def test_onnx_is_opened_by_its_file(tmp_path: Path) -> None:
    assert isinstance(opening.open_model(save(tmp_path, thirds())), OnnxModel)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(InputError, match=r"the model of run r has saved_model.pb and model.onnx, so two models"):
        opening.open_model(tmp_path, (), "the model of run r")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("model.onnx", r"is of the format ONNX, and onnxruntime is not installed; .* 'colchis\[onnx\]'"),
        ("saved_model.pb", r"is of the format SavedModel, and tensorflow is not installed; .* 'colchis\[serve\]'"),
    ],
)
def test_what_runs_the_format_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, says: str
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name else importlib.util.find_spec(name))
    with pytest.raises(InputError, match=says):
        opening.open_model(tmp_path)


@pytest.mark.servers
@pytest.mark.parametrize("door", ["serve", "batch", "evaluate"])
def test_steps_need_no_tensorflow_for_onnx(tmp_path: Path, door: str) -> None:
    save(tmp_path, thirds())
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import colchis_steps.{door}
if {door!r} == "serve":
    import colchis_steps._serving.server.app, colchis_steps._serving.server.rpc.server
assert "onnxruntime" not in sys.modules
from colchis_steps._evaluation.model import Model
from pathlib import Path
assert Model(Path({str(tmp_path)!r}), "it").outputs("classification") == ("probability",)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
