"""Models of scikit-learn, XGBoost, PyTorch and Keras by one pipeline, asked by clients of others at the gateway.

The first three are trained on the cluster by the examples 07 to 09, each in the image of its own Dockerfile, which is
``$COLCHIS_IMAGES/<example>:$COLCHIS_TAG`` and has to be there; docs/cluster-suite.md says how to build them. The fourth
is the Keras file of example 10, adopted from the bucket. What each model says of known rows, asked in its own framework
before it is exported, is what all clients must get.
"""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from tests.cluster.installed import GATEWAY, IMAGES, NEEDS_CLUSTER, PATIENCE, ROOT, TAG, Installation, Run, until
from tests.cluster.test_chain import pods, record, went_through
from tests.cluster.test_strangers import PYTHON, address, grpc_gateway

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long, pytest.mark.timeout(1800 * PATIENCE)]
EXAMPLES, HOST = ROOT / "examples", "frameworks.test"
TOLD, ASK = Path(__file__).parent / "frameworks" / "told.py", ROOT / "tests/clients"
CLIENTS = {"triton http", "triton grpc", "kserve http", "kserve grpc", "kserve v1", "curl"}
GOOD, BETTER = '{"accuracy": {"min": 0.9}}', '{"r2": {"min": 0.3}, "mae": {"not_worse": 0.02}}'
MISSING = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}
SAYS = (
    "import json, sys, numpy, keras; model = keras.models.load_model(sys.argv[1]); rows = json.load(sys.stdin);"
    "print(json.dumps(keras.ops.softmax(model(numpy.array(rows, 'float32'))).numpy().tolist()))"
)
Columns = Mapping[str, list[Any]]
Outputs = Mapping[str, list[Any]]
PENGUINS: Columns = {
    "island": ["Biscoe", "Torgersen", "Dream"],
    "bill_length_mm": [50.0, 39.1, 46.5],
    "bill_depth_mm": [math.nan, 18.7, 17.9],
    "flipper_length_mm": [220, 181, 0],
    "flipper_length_mm__valid": [True, True, False],
    "body_mass_g": [5000, 3750, 3500],
    "body_mass_g__valid": [True, True, True],
    "sex": ["", "male", "female"],
    "sex__valid": [False, True, True],
    "year": [2008, 2007, 2009],
}
PATIENTS = load_diabetes(scaled=False)


@dataclass(frozen=True)
class Case:
    """An example: its program, its data, the gate that it passes, and rows to ask, by columns."""

    directory: str
    program: str
    data: str
    source: tuple[str, ...]
    thresholds: str
    known: Columns


PENGUIN_FILE = (f"--from={EXAMPLES / '03-penguins/penguins.csv'}", "--label=species")
DIABETES_FILE = ("--from=diabetes.parquet", "--label=progression")
MEASURED = {name: PATIENTS.data[:4, i].tolist() for i, name in enumerate(PATIENTS.feature_names)}
DIGITS = {"image": load_digits().images[:4].astype(int).tolist()}
FLOWERS = {"lengths": load_iris().data[::50].tolist()}
CASES = [
    Case("07-scikit-learn", "logistic", "penguins", PENGUIN_FILE, GOOD, PENGUINS),
    Case("08-xgboost", "boosted", "diabetes", DIABETES_FILE, BETTER, {**MEASURED, "sex": [2, 1, 2, 1]}),
    Case("09-pytorch", "network", "digits", (), GOOD, DIGITS),
]


@pytest.fixture(scope="module")
def place(here: Installation) -> Iterator[Installation]:
    """The installation, with a Gateway that takes gRPC."""
    assert PYTHON.exists(), "the clients are not installed; install them with: make .clients/ready"
    assert shutil.which("curl"), "curl is not installed"
    name = grpc_gateway(here.namespace, HOST)
    patch = ["patch", "configmap", "colchis", "--type=merge", "--patch"]
    here.kubectl(*patch, json.dumps({"data": {"COLCHIS_GRPC_GATEWAY": name}}))
    yield here
    here.kubectl(*patch, json.dumps({"data": {"COLCHIS_GRPC_GATEWAY": None}}))
    here.kubectl("delete", "gateway", "grpc")


def ran(*words: str, given: str = "", directory: Path = ROOT) -> str:
    """Run a program; give what it printed."""
    seconds = 300 * PATIENCE
    done = subprocess.run(
        words, input=given, cwd=directory, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{words[:4]}:\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def brought(here: Installation, example: str) -> str:
    """Return the example's training image, once a node has it; fail by its name where it is in no registry."""
    image, name = f"{IMAGES}/{example}:{TAG}", f"brings-{example}"
    container = {"name": "image", "image": image, "command": ["true"]}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    metadata = {"name": name}
    here.kubectl("apply", "--filename=-", given={"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def found() -> bool:
        status = here.get("pod", name)["status"]
        waiting = [one["state"].get("waiting", {}) for one in status.get("containerStatuses", [])]
        absent = [one["message"] for one in waiting if one.get("reason") in MISSING]
        assert not absent, f"{image} is missing: docs/cluster-suite.md says how to build it ({absent[0]})"
        assert status["phase"] != "Failed", f"{image} has no program 'true'"
        return bool(status["phase"] == "Succeeded")

    until(900, f"the pull of {image}", found)
    return image


def imported(here: Installation, case: Case, directory: Path) -> str:
    """Import the case's data into the bucket as a user does; give the URI."""
    if case.data == "diabetes":
        ran(sys.executable, str(EXAMPLES / "04-diabetes/diabetes.py"), str(directory / "diabetes.parquet"))
    words = ["colchis", "data", "import", case.data, *case.source, f"--to={here.url}"]
    return ran(*words, directory=directory)


def pushed(here: Installation, case: Case, directory: Path) -> str:
    """Push the example's code as it is, beside what tells of its model; give the URI."""
    shutil.copytree(EXAMPLES / case.directory, directory / "code")
    shutil.copy(TOLD, directory / "code")
    (directory / "code" / "known.json").write_text(json.dumps(case.known))
    return ran("colchis", "push-code", str(directory / "code"), f"--store={here.url}")


def said(here: Installation, run: Run) -> Outputs:
    """Return what the model that was trained said of the known rows, by the log of the training."""
    selector = f"workflows.argoproj.io/workflow={run.name},app.kubernetes.io/component=train"
    lines = here.kubectl("logs", f"--selector={selector}", "--tail=-1").splitlines()
    told = [line.partition("told: ")[2] for line in lines if "told: " in line]
    assert told, "\n".join(lines[-20:])
    return dict(json.loads(told[-1]))


def as_rows(columns: Columns) -> list[dict[str, Any]]:
    """Return columns as rows of JSON, whose nulls the server makes out by itself."""

    def value(name: str, row: int) -> object:
        found = columns[name][row]
        null = isinstance(found, float) and math.isnan(found)
        return None if null or not columns.get(f"{name}__valid", {row: True})[row] else found

    names = [name for name in columns if not name.endswith("__valid")]
    return [{name: value(name, row) for name in names} for row in range(len(columns[names[0]]))]


def by_output(answer: Mapping[str, Any], wanted: Outputs) -> dict[str, list[Any]]:
    """Return V1's predictions by output; a lone one stands without its name."""
    rows = answer["predictions"]
    if isinstance(rows[0], dict):
        return {name: [row[name] for row in rows] for name in rows[0]}
    return dict.fromkeys(wanted, rows)


def asked(model: str, columns: Columns, wanted: Outputs) -> dict[str, dict[str, list[Any]]]:
    """Ask the model at the gateway by each client; give the outputs."""
    rows = as_rows(columns)
    request = {"url": GATEWAY, "address": address(), "host": HOST, "model": model, "columns": columns, "rows": rows}
    found: dict[str, Any] = {}
    for client in ("triton", "kserve"):
        found |= json.loads(ran(str(PYTHON), str(ASK / f"ask_{client}_served.py"), given=json.dumps(request)))
    url = f"{GATEWAY}/v1/models/{model}:predict"
    curl = ["curl", "--silent", "--show-error", "--fail-with-body", "--data", "@-", url]
    found["curl"] = json.loads(ran(*curl, given=json.dumps({"instances": rows})))
    return {name: by_output(one, wanted) if "predictions" in one else one for name, one in found.items()}


def assert_served(here: Installation, model: str, columns: Columns, wanted: Outputs, server: str) -> None:
    """Hold the pods to the server's image, and the answers of all clients to what the model itself says."""
    images = {container["image"] for pod in pods(here, model, 1) for container in pod["spec"]["containers"]}
    assert images == {f"{IMAGES}/{server}:{TAG}"}
    answers = asked(model, columns, wanted)
    assert answers.keys() == CLIENTS
    for client, answer in answers.items():
        for name, values in wanted.items():
            assert np.shape(answer[name]) == np.shape(values), client
            np.testing.assert_allclose(answer[name], values, rtol=1e-4, atol=1e-4, err_msg=f"{client}: {name}")
        if "probability" in wanted:
            assert answer["class"] == np.argmax(wanted["probability"], axis=1).tolist(), client


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.directory)
def test_an_examples_model_is_trained_in_its_own_image_and_answers_clients_of_others(
    place: Installation, case: Case, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    model = f"own-{case.data}"
    given = {"train-image": brought(place, case.directory), "entry": f"command:python told.py {case.program}"}
    given |= {"data": imported(place, case, tmp_path), "code": pushed(place, case, tmp_path)}
    given |= {"thresholds": case.thresholds, "hyperparameters": "{}", "workers": "1", "builder": "direct"}
    run = went_through(place.ended(place.submit(model=model, **given), 600), record_property)
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    known = record(place, model, 1)
    assert (known.format, known.frameworks.get("tensorflow")) == ("onnx", None)
    assert_served(place, model, case.known, said(place, run), "serve-onnx")


def test_a_keras_file_is_adopted_from_the_bucket_and_answers_clients_of_others(
    place: Installation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    file = tmp_path / "flowers.keras"
    ran(sys.executable, str(EXAMPLES / "10-adopt/make.py"), str(file))
    place.store.write("incoming/flowers.keras", file.read_bytes())
    given = {"source": f"{place.url}/incoming/flowers.keras", "store": place.url, "builder": "direct"}
    given["data"] = ran("colchis", "data", "import", "iris", f"--to={place.url}")
    submitted = place.submit("colchis-adopt", model="own-flowers", **given)
    run = went_through(place.ended(submitted, 600), record_property)
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    assert record(place, "own-flowers", 1).format == "savedmodel"
    says = json.loads(ran(sys.executable, "-c", SAYS, str(file), given=json.dumps(FLOWERS["lengths"])))
    assert_served(place, "own-flowers", FLOWERS, {"probability": says}, "serve")
