"""A pandera schema becomes a schema.yaml; what that cannot say is told."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import yaml
from tests.steps.arrow_data import data_set, validated

from colchis_steps import infer_data
from colchis_steps._data.validating.pandera import columns_of

CODE = """
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "x": pa.Column(float, [pa.Check.ge(0), pa.Check.lt(2)], nullable=True),
        "n": pa.Column("int64", [pa.Check.in_range(0, 9, include_max=False), pa.Check.isin([1, 2, 3])]),
        "s": pa.Column(str, [pa.Check.str_matches("a+"), pa.Check.str_length(1, 9)], unique=True),
        "label": pa.Column(str, pa.Check.isin(["no", "yes"], raise_warning=True)),
    },
    checks=pa.Check(lambda frame: frame["x"].sum() > 0, name="positive"),
)
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_checks.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("DISABLE_PANDERA_IMPORT_WARNING", "True")
    sys.modules.pop("own_checks", None)
    table = pa.table({"x": [0.5, None], "n": [1, 2], "s": ["aa", "ab"], "label": ["no", "yes"]})
    tables = {"train": table}
    for i, name in enumerate(("eval", "test")):
        tables[name] = table.set_column(2, "s", pa.array([f"a{i}x", f"a{i}y"])).set_column(
            0, "x", pa.array([1.0 + i / 9, 0.1 * i])
        )
    return data_set(tmp_path / "data/tiny/1", tables)


def test_its_rules_hold_for_the_data(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert infer_data.main([data.as_uri(), "--pandera=own_checks:schema"]) == 0
    text = capsys.readouterr().out
    found = yaml.safe_load(text)["columns"]
    assert found["x"] == {"type": "double", "nullable": True, "min": 0, "max": 1.9999999999999998}
    assert found["n"] == {"type": "int64", "nullable": False, "min": 0, "max": 8, "values": [1, 2, 3]}
    assert found["s"]["unique"] is True
    assert found["label"]["values"] == {"limit": ["no", "yes"], "severity": "warn"}
    assert "schema.yaml cannot say it: the whole frame: the check positive" in caplog.text
    (data / "schema.yaml").write_text(text)
    code, result, _ = validated(data)
    assert code == 0, result.message
    (data / "schema.yaml").write_text(text.replace("a+", "b+"))
    assert validated(data)[0] == 65


@pytest.mark.parametrize("place", ["own_checks:none", "nowhere:schema", "own_checks", "own_checks:pa"])
def test_a_place_without_a_schema_is_refused(place: str, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert infer_data.main([data.as_uri(), f"--pandera={place}"]) == 65
    assert "give module:attribute from here" in caplog.text or "name one" in caplog.text


def test_what_cannot_be_said_is_told() -> None:
    check = SimpleNamespace(name=None, statistics=None)
    odd = SimpleNamespace(dtype="category", nullable=False, unique=False, checks=[check])
    schema = SimpleNamespace(columns={"c": odd}, unique=["a", "b"], checks=[])
    columns, left = columns_of(schema)
    assert columns == {"c": {"nullable": False}}
    assert left == [
        "column 'c': the type category",
        "column 'c': the check of a function",
        "that a, b are unique together",
    ]
