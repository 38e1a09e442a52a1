"""Models of scikit-learn, XGBoost and PyTorch go from data to served, each in an environment that make has built."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.beside import free_port

ROOT = Path(__file__).parents[2]
CLI = [sys.executable, "-m", "colchis_workflows.cli"]
EXAMPLES = {
    "sklearn": ("07-scikit-learn", "logistic.py", "penguins", ["--from=03-penguins/penguins.csv", "--label=species"]),
    "xgboost": ("08-xgboost", "boosted.py", "diabetes", ["--from=diabetes.parquet", "--label=progression"]),
    "pytorch": ("09-pytorch", "network.py", "digits", []),
}
WORSE = {"sklearn": {"C": 0.0001}, "xgboost": {"n_estimators": 5}, "pytorch": {"epochs": 1, "channels": 2}}
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def python(directory: str) -> str:
    """Return the environment's interpreter; CI, which has made it, fails without."""
    found = ROOT / ".examples" / directory / "bin" / "python"
    if not found.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"run make .examples/{directory}/ready")
    return str(found)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_can_be_exported_is_and_the_rest_is_refused(name: str) -> None:
    words = [python(EXAMPLES[name][0]), "-W", "ignore", f"tests/examples/held_{name}.py"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["held"], done.stderr[-2000:]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_goes_from_data_to_served_and_a_worse_one_does_not(name: str, tmp_path: Path) -> None:
    directory, program, model, source = EXAMPLES[name]
    port = free_port("127.0.0.1")
    own = {"COLCHIS_HOME": str(tmp_path), "COLCHIS_PORT": str(port), "NO_COLOR": "1"}

    def run(*words: str, code: int = 0) -> str:
        command = [*CLI, *words] if not words[0].endswith(".py") else [sys.executable, *words]
        done = subprocess.run(
            command, cwd=ROOT / "examples", env=os.environ | own, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    if name == "xgboost":
        run("04-diabetes/diabetes.py", str(tmp_path / "diabetes.parquet"))
        source = [f"--from={tmp_path / 'diabetes.parquet'}", *source[1:]]
    store = (tmp_path / "store").as_uri()
    data = run("data", "import", model, f"--to={store}", *source).strip()
    values = {"model": model, "data": data, "code": run("push-code", directory, f"--store={store}").strip()}
    values |= {"workers": "1", "entry": f"command:{python(directory)} {program}"}
    if name == "xgboost":
        values["thresholds"] = '{"r2": {"min": 0.3}, "mae": {"not_worse": 0.02}}'
    given = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    try:
        assert "verdict=pass" in run("run", *given)
        said = run("predict", model, "--row", "3")
        assert re.match(r"(prediction|value) \S+", said), said
        record = json.loads((tmp_path / f"store/models/{model}/1/record.json").read_text())
        assert record["format"] == "onnx"
        worse = f"hyperparameters={json.dumps(WORSE[name])}"
        assert "verdict=fail" in run("run", *given, "--set", worse, code=3)
        assert not (tmp_path / f"store/models/{model}/2/manifest.json").exists()
    finally:
        run("models", "stop")
