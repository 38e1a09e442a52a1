"""What a SavedModel does beyond computing is found wherever it hides, and a model that only looks so is loaded."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._savedmodel.operations import JUDGED, OWN, REACHING, UNSTEADY

pytestmark = pytest.mark.tensorflow
HARMLESS = """
BoostedTreesExampleDebugOutputs DebugGradientIdentity DebugGradientRefIdentity DebugNumericSummaryV2
ExperimentalSetStatsAggregatorDataset SetStatsAggregatorDataset ShardedFilename ShardedFilespec Snapshot TensorArrayGrad
TensorArrayGradV2 TensorArrayGradV3 TensorArrayGradWithShape
"""  # they compute, or name tensors; none opens what it names
NEED_ANOTHER = """
DeleteRpcFutureResource IdentityReader IdentityReaderV2 ReaderNumRecordsProduced ReaderNumRecordsProducedV2
ReaderNumWorkUnitsCompleted ReaderNumWorkUnitsCompletedV2 ReaderRead ReaderReadUpTo ReaderReadUpToV2 ReaderReadV2
ReaderReset ReaderResetV2 ReaderRestoreState ReaderRestoreStateV2 ReaderSerializeState ReaderSerializeStateV2
CollectivePermute
"""  # a reader, which is refused, or a TPU
CALL_ONCE = "FuncAttr FuncListAttr PartitionedCall StatefulPartitionedCall SymbolicGradient"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory, script = tmp_path_factory.mktemp("reaching"), Path(__file__).parents[1] / "reaching_models.py"
    done = subprocess.run([sys.executable, script, directory], capture_output=True, check=True, timeout=280, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("model", "runs", "operation"),
    [
        ("read", "serving_default", "ReadFile"),
        ("branch", "serving_default", "ReadFile"),
        ("dataset", "serving_default", "ReadFile"),
        ("lines", "serving_default", "TextLineDataset"),
        ("cached", "serving_default", "CacheDatasetV2"),
        ("printed", "serving_default", "PrintV2"),
        ("python", "serving_default", "EagerPyFunc"),
        ("other-signature", "explain", "ReadFile"),
        ("initializer", "loading", "WriteFile"),
        ("v1-reads", "serving_default", "ReadFile"),
        ("unlisted", "serving_default", "ReadFile"),
        ("children", "loading", "InitializeTableFromTextFileV2"),
        ("constant", "loading", "InitializeTableFromTextFileV2"),
        ("alike", "serving_default", "ReadFile"),
    ],
)
def test_what_reaches_out_is_refused_before_it_runs(
    seen: dict[str, Any], model: str, runs: str, operation: str
) -> None:
    found = seen["models"][model]
    assert operation in found["found"][runs]
    assert operation in found["refused"]
    when = "when it is loaded" if found["found"].keys() == {"loading"} else f"in '{runs}'"
    assert f"outside of itself {when}" in found["refused"]
    assert "--allow-operations=" in found["refused"]
    assert (found["answer"], found["written"]) == (None, False)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("said", "[b'a']"),
        ("remembered", "[b'a']"),
        ("not-served", "[b'a']"),
        ("vocabulary", "[0]"),
        ("asset", r"[b'aa\nb\n']"),
        ("mutable", "[1]"),
        ("jpeg", "[1.0]"),
        ("keras-lookup", "[[1]]"),
        ("keras-text", "[[2, 0, 0, 0]]"),
        ("keras-lstm", None),
        ("v1", "[b'aa']"),
    ],
)
def test_what_stays_within_the_model_is_served(seen: dict[str, Any], model: str, answer: str | None) -> None:
    found = seen["models"][model]
    assert (found["found"], found["refused"], found["answer"]) == ({}, "", answer)


def test_an_asset_that_lies_elsewhere_and_a_graph_that_is_ambiguous_are_refused(seen: dict[str, Any]) -> None:
    assert "names '../../victim' as an asset" in seen["models"]["outside"]["refused"]
    assert "defines a function twice" in seen["models"]["twice"]["refused"]


def test_what_is_allowed_by_name_runs(seen: dict[str, Any]) -> None:
    assert seen["models"]["allowed"] == {"answer": "[b'asecret']", "written": True}


def test_each_operation_of_tensorflow_that_may_name_a_file_or_an_address_is_judged(seen: dict[str, Any]) -> None:
    assert len(seen["named"]) > 100
    assert set(seen["named"]) - JUDGED == {*HARMLESS.split(), *NEED_ANOTHER.split()}
    assert JUDGED - set(seen["all"]) == set(), "no such operation"
    assert OWN < REACHING


def test_a_model_that_loops_branches_waits_or_reaches_out_is_not_steady(seen: dict[str, Any]) -> None:
    unsteady = {name for name, found in seen["models"].items() if found.get("steady") is False}
    assert {"keras-lstm", "branch", "dataset", "read", "lines", "v1-reads"} <= unsteady
    assert not unsteady & {"keras-text", "mutable", "said", "v1"}


def test_each_operation_of_tensorflow_that_calls_a_function_may_call_it_often(seen: dict[str, Any]) -> None:
    once = {name for name in seen["calling"] if not (UNSTEADY.search(name) or name in REACHING)}
    assert once == set(CALL_ONCE.split())
