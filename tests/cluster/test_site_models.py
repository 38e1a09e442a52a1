"""From data in the bucket to answers through the gateway: models of text, of a table, and with a frozen base."""

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, Installation
from tests.cluster.test_chain import went_through
from tests.steps.site_data import CASES, CODE, THRESHOLDS, assert_answers, write_base, write_data

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]


@pytest.fixture(scope="module")
def code(here: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Push the entries, and the weights of the frozen base beside them, as a user does."""
    directory = tmp_path_factory.mktemp("code")
    shutil.copy(CODE, directory)
    write_base(directory)
    command = ["colchis", "push-code", str(directory), "--store", here.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", CASES)
def test_it_goes_from_data_to_served_and_answers_by_names_and_text(
    here: Installation, code: str, record_property: Callable[[str, object], None], name: str
) -> None:
    case, model = CASES[name], f"site-{name}"
    given = {"data": write_data(here.url, name), "code": code, "entry": case.entry, "thresholds": THRESHOLDS}
    hyperparameters = json.dumps(case.hyperparameters)
    submitted = here.submit(model=model, builder="direct", hyperparameters=hyperparameters, **given)
    run = went_through(here.ended(submitted, 400), record_property)
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    assert run.outputs["endpoint"] == f"{GATEWAY}/v1/models/{model}"
    assert_answers(case, run.outputs["endpoint"])
