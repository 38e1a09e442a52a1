"""The races' pure parts: medians, the table, the results file, and the contenders of `engine`."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks import _engine_manifests as manifests
from benchmarks import canary, engine, upload
from benchmarks._bucket import Counter
from benchmarks._rivals import in_turn, measured
from benchmarks._table import Row, Sample, row, table, with_ratio, write

ROOT = Path(__file__).parents[1]
BEGIN = "2026-01-01T00:00:00Z"


def pod(started: int, finished: int, last: int) -> dict[str, Any]:
    def ended(name: str, begin: int, end: int) -> dict[str, Any]:
        at = [f"2026-01-01T00:00:{second:02}Z" for second in (begin, end)]
        return {"name": name, "state": {"terminated": {"startedAt": at[0], "finishedAt": at[1]}}}

    statuses = [ended("wait", started, last), ended("main", started, finished)]
    init = ended("init", 1, started)
    return {
        "metadata": {"creationTimestamp": BEGIN},
        "status": {"containerStatuses": statuses, "initContainerStatuses": [init]},
    }


def test_a_row_holds_the_medians_of_the_runs_that_have_the_figure() -> None:
    samples: list[Sample] = [
        {"wall_s": 3.0, "cpu_s": None, "pods": 9},
        {"wall_s": 1.0, "pods": 9},
        {"wall_s": 9.0, "cpu_s": 2.0},
    ]
    assert row("case", "colchis", samples) == {
        "case": "case",
        "contender": "colchis",
        "wall_s": 3.0,
        "cpu_s": 2.0,
        "rss_mib": None,
        "bytes": None,
        "pods": 9,
        "runs": 3,
    }


def test_a_row_needs_a_run() -> None:
    with pytest.raises(ValueError, match="argo-minimal has no run in the case end-to-end"):
        row("end-to-end", "argo-minimal", [])


def test_the_ratio_is_to_the_rival_in_the_same_case() -> None:
    rows = [
        row(case, who, [{"wall_s": wall}])
        for case, who, wall in [("a", "colchis", 3.0), ("a", "rival", 2.0), ("b", "rival", 5.0), ("c", "colchis", 1.0)]
    ]
    assert [made["ratio"] for made in with_ratio(rows, "rival")] == [1.5, 1.0, 1.0, None]


def test_the_table_leaves_out_what_no_row_has() -> None:
    rows: list[Row] = [
        {"case": "a", "contender": "colchis", "wall_s": 1.234, "cpu_s": None, "bytes": 12345, "runs": 5},
        {"case": "a", "contender": "rival", "wall_s": 2.0, "cpu_s": None, "bytes": None, "runs": 5},
    ]
    assert table(rows).splitlines() == [
        "| case | contender | wall_s | bytes | runs |",
        "| --- | --- | --- | --- | --- |",
        "| a | colchis | 1.23 | 12,345 | 5 |",
        "| a | rival | 2.00 |  | 5 |",
    ]


def test_the_results_are_a_list_of_rows_one_a_line(tmp_path: Path) -> None:
    rows = [row("a", who, [{"wall_s": 1.0}]) for who in ("colchis", "rival")]
    path = write("engine", rows, tmp_path / "results")
    assert path.name == "engine.json"
    assert json.loads(path.read_text()) == rows
    assert len(path.read_text().splitlines()) == 4


def test_a_case_that_did_not_run_keeps_its_rows(tmp_path: Path) -> None:
    for case, wall in [("a", 1.0), ("b", 2.0), ("a", 3.0)]:
        path = write("engine", [row(case, "colchis", [{"wall_s": wall}])], tmp_path)
    assert [(made["case"], made["wall_s"]) for made in json.loads(path.read_text())] == [("a", 3.0), ("b", 2.0)]


def test_a_pods_times_are_split_at_the_steps_start_and_end() -> None:
    assert engine.pod_times(pod(3, 5, 6)) == {"start_s": 3, "init_s": 2, "main_s": 2, "end_s": 1}


def test_figures_count_pods_and_nodes_and_average_the_pods() -> None:
    nodes = {str(number): {"type": kind} for number, kind in enumerate(["DAG", "Retry", "Pod", "Pod"])}
    found = engine.figures({"status": {"nodes": nodes}}, [pod(3, 5, 6), pod(4, 5, 5)])
    assert found["pods"] == 2
    assert found["nodes"] == 4
    assert (found["start_s"], found["main_s"], found["end_s"]) == (3.5, 1.5, 0.5)


def test_of_our_templates_only_image_and_command_change() -> None:
    made = {found["metadata"]["name"]: found for found in manifests.templates("there") if "spec" in found}
    for name, found in made.items():
        rendered = yaml.safe_load((manifests.BASE / f"{name}.yaml").read_text())
        for template, before in zip(found["spec"]["templates"], rendered["spec"]["templates"], strict=True):
            containers = [template.get("container"), *template.get("initContainers", [])]
            were = [before.get("container"), *before.get("initContainers", [])]
            for container, was in zip(containers, were, strict=True):
                if container:
                    assert (container["image"], container["command"]) == (manifests.IMAGE, manifests.COMMAND)
                    container |= {"image": was["image"], "command": was["command"]}
        assert found == rendered
    assert "colchis-pipeline" in made


def test_the_accounts_are_bound_in_the_namespace() -> None:
    bindings = [found for found in manifests.templates("there") if found["kind"] == "RoleBinding"]
    assert bindings
    assert {subject["namespace"] for found in bindings for subject in found["subjects"]} == {"there"}


def test_the_minimal_workflow_is_a_chain_of_the_steps() -> None:
    spec = manifests.minimal("me", ["one", "two", "three"])["spec"]
    chain, step = spec["templates"]
    assert [(task["name"], task.get("depends")) for task in chain["dag"]["tasks"]] == [
        ("one", None),
        ("two", "one"),
        ("three", "two"),
    ]
    assert "hooks" not in spec
    assert "retryStrategy" not in step
    assert step["container"]["command"] == manifests.COMMAND


def test_both_contenders_go_to_the_races_own_controller() -> None:
    labels = [made["metadata"]["labels"] for made in (manifests.ours("me", "direct"), manifests.minimal("me", ["one"]))]
    assert labels == [{manifests.INSTANCE: "me"}] * 2
    (settings,) = [made["data"] for made in manifests.controller("me", "image", "10s") if "data" in made]
    assert settings == {"instanceID": "me"}


@pytest.mark.servers
def test_the_program_writes_what_each_path_flag_names(tmp_path: Path) -> None:
    words = [
        "--store=s3://a",
        *(f"--{name}-path={tmp_path}/outputs/{name}" for name in ("verdict", "new-data", "tree")),
    ]
    subprocess.run([sys.executable, *manifests.COMMAND[1:], *words], check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "outputs").iterdir()} == {
        "verdict": "pass",
        "new-data": "true",
        "tree": "1",
    }
    assert "{{" not in manifests.NOOP  # Argo would take it for a tag


@pytest.mark.servers
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [([], 1, "KUBECONFIG names no cluster"), (["--runs", "0"], 2, "--runs is 0"), (["--case", "none"], 2, "none")],
    ids=["no-cluster", "no-run", "no-case"],
)
def test_a_race_that_cannot_start_says_what_it_needs(words: list[str], code: int, sentence: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    command = [sys.executable, "-m", "benchmarks.engine", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.servers
@pytest.mark.parametrize("name", ["", "none", "_table.txt"])
def test_make_names_the_races_where_none_is_named(name: str) -> None:
    command = ["make", "--silent", "--assume-old=.venv/ready", "bench", f"RACE={name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name a race with RACE=:" in done.stderr
    assert " engine " in done.stderr


@pytest.mark.servers
def test_a_contender_is_measured_with_its_children() -> None:
    busy = (
        "import sys, subprocess; x = bytearray(64 << 20); subprocess.run([sys.executable, '-c', 'sum(range(3000000))'])"
    )
    sample = measured([sys.executable, "-c", busy])
    assert sample["rss_mib"] > 64
    assert sample["cpu_s"] > 0
    assert sample["wall_s"] > 0


@pytest.mark.servers
def test_a_contender_that_fails_ends_the_race_with_what_it_said() -> None:
    with pytest.raises(SystemExit, match="ended with 3:\nno room"):
        measured([sys.executable, "-c", "print('no room', end=''); raise SystemExit(3)"])


def test_contenders_run_in_turn_and_warm_ups_do_not_count() -> None:
    order: list[str] = []

    def contender(name: str, walls: list[float]) -> dict[str, float]:
        order.append(name)
        return {"wall_s": walls[order.count(name) - 1]}

    rows = in_turn(
        "big",
        {"a": lambda: contender("a", [50, 1, 2, 3]), "b": lambda: contender("b", [50, 4, 5, 6])},
        runs=3,
    )
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]
    assert [(made["contender"], made["wall_s"], made["runs"]) for made in rows] == [("a", 2, 3), ("b", 5, 3)]


@pytest.mark.parametrize(
    ("case", "refused"),
    [("errors", 1), ("latency", 1), ("drift", 1), ("errors-late", 1), ("crafted-errors", 1), ("crafted-aimed", 0)],
)
def test_a_simulated_canary_is_refused_where_it_is_bad(case: str, refused: int) -> None:
    found = [canary.simulated(random.Random(seed), canary.CANARIES[case], 1.0) for seed in range(20)]
    made = canary.told(case, "colchis", found)
    assert made["refused"] == refused
    bad, unwatched = made["bad"], canary.by_the_clock(canary.CANARIES[case], 1.0)[1]
    assert isinstance(bad, float)
    assert bad < 200 < unwatched or not refused
    assert (bad == 0) == (refused == 1 and not canary.CANARIES[case].late)  # seen before users reach it


def test_our_row_tells_its_time_over_the_fastest_rivals() -> None:
    rows = [row("big", who, [{"wall_s": wall}]) for who, wall in [("colchis", 3.0), ("boto3", 6.0), ("s5cmd", 2.0)]]
    assert [made.get("best") for made in upload.with_best(rows)] == [1.5, None, None]
    assert upload.with_best(rows[1:]) == rows[1:]


def test_what_an_upload_stored_is_held_against_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload.write_files(tmp_path / "model", "small", 1)
    wanted = upload.digests(tmp_path / "model")
    assert len(wanted) == 11
    stored = dict.fromkeys(wanted.values(), 1)
    monkeypatch.setattr(upload, "stored", lambda prefix: stored)
    upload.check("x", wanted)
    stored.pop(wanted["00003"])
    with pytest.raises(SystemExit, match="x lacks 1 of 11 files"):
        upload.check("x", wanted)


def test_the_counter_counts_what_clients_send() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        through = Counter(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", int(through.url.rpartition(":")[2]))) as client:
            client.sendall(b"hello")
            far, _ = server.accept()
            with far:
                assert far.recv(5, socket.MSG_WAITALL) == b"hello"
                far.sendall(b"world!")
                assert client.recv(6, socket.MSG_WAITALL) == b"world!"
        assert through.sent == 5
        through.close()
