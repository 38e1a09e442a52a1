"""The local rollout, from a published version to a server that answers and back, as a run would call it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps.registered import put_on_record
from tests.workflows.test_run_terminal import Terminal

from colchis_steps import build_image
from colchis_steps._content.blobs import scan
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias, Golden, Manifest, Record, tree_digest
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.rollout import parser

BASE = Path(__file__).parents[2] / "workflows" / "manifests" / "base"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
THEN = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def run(home: Path, port: int) -> Iterator[Run]:
    environment = os.environ | {"COLCHIS_HOME": str(home), "COLCHIS_PORT": str(port)}

    def step(name: str, *flags: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", f"colchis_steps.{name}", *flags]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    yield step
    step("models", "stop")


@pytest.fixture(scope="module")
def store(home: Path) -> Objects:
    return open_store((home / "store").as_uri())


@pytest.fixture(scope="module")
def images(home: Path, store: Objects, exported: Path) -> dict[int, str]:
    """Versions 1 to 3 of tiny and 4, which answers NaN, published with packed images; the references by version."""
    data = _data_set(store)
    found = {}
    for version, directory in {1: "tiny/1", 2: "tiny/2", 3: "tiny/3", 4: "nan"}.items():
        files = tuple(store_directory(store, exported / directory).files)
        key, tree = f"models/tiny/{version}", tree_digest(files)
        store.write(f"{key}/manifest.json", encode(Manifest("tiny", version, f"r{version}", files, tree, THEN)))
        to = home / "reference"
        flags = [
            f"--store={store.url}",
            f"--run=r{version}",
            "--model=tiny",
            f"--version={version}",
            "--builder=direct",
        ]
        assert build_image.main([*flags, f"--repository=oci:{home}/images", f"--image-path={to}"]) == 0
        found[version] = to.read_text()
        manifest = read_document(store, f"{key}/manifest.json", Manifest)
        put_on_record(store, manifest, found[version], data=data, metrics={"loss": 0.2, "accuracy": 0.9712})
        store.write("models/tiny/aliases/latest.json", encode(Alias("tiny", version, THEN)))
    return found


def _data_set(store: Objects) -> str:
    key = "data/tiny/0123456789abcdef"
    path = Path(store.url.removeprefix("file://"), key, "test-00000.npz")
    path.parent.mkdir(parents=True)
    np.savez(path, image=np.arange(128, dtype=np.uint8).reshape(2, 8, 8) % 17, label=np.array([2, 1], np.int64))
    names = tuple(f"class {number}" for number in range(10))
    columns = (Column("image", "uint8", (8, 8), 0.0, 16.0), Column("label", "int64", (), 0.0, 9.0, names))
    file = next(file for file in scan(path.parent) if file.path == path.name)
    splits: dict[str, tuple[Shard, ...]] = {"test": (Shard(file.path, 2, file.size, file.sha256),)}
    digest = data_digest("tiny", "label", columns, splits)
    store.write(f"{key}/manifest.json", encode(DataManifest("tiny", digest, "label", columns, splits, "made", THEN)))
    return f"{store.url}/{key}"


@pytest.fixture
def roll(run: Run, store: Objects, images: dict[int, str]) -> Run:
    def step(version: int, *flags: str) -> "subprocess.CompletedProcess[str]":
        told = [f"--store={store.url}", "--run=run-1", "--model=tiny", f"--version={version}"]
        return run("rollout", *told, f"--image={images[version]}", "--target=local", *flags)

    return step


def answer(port: int, **headers: str) -> int:
    body = json.dumps({"instances": [[[0] * 8] * 8]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models/tiny:predict", body, headers)
    with urllib.request.urlopen(request, timeout=10) as found:
        return int(json.load(found)["predictions"][0]["class"])


def config(home: Path) -> Any:
    return json.loads((home / "serving/config.json").read_text())["models"]


def stable(store: Objects) -> tuple[int, int | None]:
    alias = read_document(store, "models/tiny/aliases/stable.json", Alias)
    return alias.version, alias.previous


@pytest.mark.tensorflow
def test_a_version_is_served_replaced_and_rolled_back(
    roll: Run, run: Run, store: Objects, home: Path, port: int
) -> None:
    first = roll(1, f"--endpoint-path={home / 'endpoint'}", f"--verdict-path={home / 'verdict'}")
    assert first.returncode == 0, first.stderr
    endpoint = f"http://127.0.0.1:{port}/v1/models/tiny"
    assert first.stdout.strip() == (home / "endpoint").read_text() == endpoint
    assert (home / "verdict").read_text() == "pass"
    assert (answer(port), stable(store)) == (1, (1, None))
    entry = config(home)["tiny"]["versions"]["1"]
    assert entry["path"] == str(home / "serving/tiny/1")
    assert entry["inputs"] == {"image": {"minimum": 0, "maximum": 16}}
    assert entry["classes"][3] == "class 3"

    store.write("models/tiny/aliases/canary.json", encode(Alias("tiny", 2, THEN)))
    states, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            states.append(answer(port))

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask)
        second = roll(2, "--action=canary")
        stop.set()
        asking.result()  # not one request failed while the version was replaced
    assert second.returncode == 0, second.stderr
    assert "version 2 of tiny answers: ready in" in second.stderr
    assert states == sorted(states)
    assert (answer(port), stable(store)) == (2, (2, 1))
    assert store.size("models/tiny/aliases/canary.json") is None
    assert list(config(home)["tiny"]["versions"]) == ["2"]
    details = json.loads(store.read("runs/run-1/rollout.json"))["details"]
    assert (details["previous"], details["stable"], details["endpoint"]) == (1, 2, endpoint)

    before = config(home), stable(store), (home / "serving/server.json").read_text()
    assert roll(2).returncode == 0
    assert (config(home), stable(store), (home / "serving/server.json").read_text()) == before

    listed = run("models", "list").stdout.splitlines()
    assert listed[1].split() == [
        "tiny",
        "4",
        "2",
        "-",
        "pass,",
        "accuracy",
        "0.971",
        *listed[1].split()[7:8],
        "local",
        endpoint,
        "yes",
    ]
    assert json.loads(run("models", "show", "tiny").stdout)["version"] == 2
    assert run("predict", "tiny").stdout == "prediction class 2 (probability 0.910), label class 2\n"
    assert run("predict", "tiny", "--row=1").stdout == "prediction class 2 (probability 0.910), label class 1\n"

    back = run("models", "rollback", "tiny")
    assert back.returncode == 0, back.stderr
    assert "version 1 of tiny answers again after" in back.stderr
    assert (answer(port), stable(store)) == (1, (1, None))
    again = run("models", "rollback", "tiny")
    assert again.returncode == 65
    assert "nothing was served before version 1 of tiny" in again.stderr
    withdrawn = roll(2, "--action=rollback")
    assert (withdrawn.returncode, answer(port), stable(store)) == (0, 1, (1, None))


@pytest.mark.tensorflow
def test_versions_are_served_side_by_side_until_the_next_rollout(
    roll: Run, run: Run, store: Objects, port: int
) -> None:
    assert [roll(1).returncode, roll(2).returncode] == [0, 0]
    shared = run("models", "share", "tiny", "1=100,2=0", "--headers=style: transfer=2")
    assert (shared.returncode, shared.stdout) == (0, f"http://127.0.0.1:{port}\n"), shared.stderr
    assert [answer(port) for _ in range(5)] == [1] * 5
    assert (answer(port, style="transfer"), answer(port, style="plain"), stable(store)) == (2, 1, (2, 1))
    assert "version 9 of tiny is not published" in run("models", "share", "tiny", "9=100").stderr
    assert "moon is not served here" in run("models", "share", "moon", "1=100").stderr
    assert roll(2).returncode == 0
    assert (answer(port), answer(port, style="transfer")) == (2, 2)


@pytest.mark.tensorflow
def test_a_killed_server_and_removed_files_are_made_good(
    roll: Run, run: Run, store: Objects, home: Path, port: int
) -> None:
    assert roll(1).returncode == 0
    assert roll(2).returncode == 0
    pid = json.loads((home / "serving/server.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    away = run("predict", "tiny")
    assert away.returncode == 75
    assert "colchis models start" in away.stderr
    (home / "serving/tiny/1/saved_model.pb").unlink()
    back = run("models", "rollback", "tiny")
    assert back.returncode == 0, back.stderr
    assert (answer(port), stable(store)) == (1, (1, None))

    (home / "serving/tiny/.2.incomplete-x").mkdir()
    with ThreadPoolExecutor() as pool:  # two at once: one after the other, and the state is one that either leaves
        ended = list(pool.map(roll, [2, 3]))
    assert [found.returncode for found in ended] == [0, 0], ended
    assert answer(port) == stable(store)[0] == config(home)["tiny"]["default"]
    assert sorted(path.name for path in (home / "serving/tiny").iterdir()) == ["1", "2", "3"]

    served = stable(store)[0]
    failed = roll(4)
    assert failed.returncode == 65
    assert "answers a row of its least values with NaN" in failed.stderr
    assert (answer(port), stable(store)[0], list(config(home)["tiny"]["versions"])) == (served, served, [str(served)])

    stopped = run("models", "stop")
    assert stopped.returncode == 0, stopped.stderr
    with socket.create_server(("127.0.0.1", port)):
        taken = run("models", "start")
    assert taken.returncode == 65
    assert f"port {port} on 127.0.0.1 is in use by another program; stop it or set COLCHIS_PORT" in taken.stderr
    assert run("models", "start").stdout.strip() == f"http://127.0.0.1:{port}"
    assert run("models", "start").returncode == 0
    assert "runs on port" in run("models", "start", "--port=1").stderr
    assert run("models", "stop").returncode == 0
    assert "no local server runs" in run("models", "stop").stderr


def golden(store: Objects, run: str, answer: int) -> None:
    """Say that the model of a run answered this class when it was judged."""
    row = [0.01] * answer + [0.91] + [0.01] * (9 - answer)
    outputs: dict[str, list[Any]] = {"class": [answer] * 2, "probability": [row] * 2}
    store.write(f"runs/{run}/golden.json", encode(Golden(run, {"image": [[[0] * 8] * 8] * 2}, outputs)))


@pytest.mark.tensorflow
def test_a_version_that_answers_otherwise_than_it_was_judged_by_is_refused(
    roll: Run, store: Objects, home: Path, port: int, tmp_path: Path
) -> None:
    golden(store, "r1", 1)
    assert roll(1).returncode == 0
    before = config(home), stable(store)
    golden(store, "r2", 3)
    refused = roll(2, "--run=skewed", f"--verdict-path={tmp_path}/verdict", f"--waiting-path={tmp_path}/waiting")
    assert refused.returncode == 0, refused.stderr
    assert "version 2 of tiny is refused: class of golden row 0 is 2, and was 3 when it was judged" in refused.stderr
    assert [(tmp_path / name).read_text() for name in ("verdict", "waiting")] == ["fail", "false"]
    assert (config(home), stable(store), answer(port)) == (*before, 1)
    told = read_document(store, "models/tiny/rollouts/skewed.json", Rollout)
    assert (told.verdict, told.version, told.stable) == ("fail", 2, 1)
    assert json.loads(store.read("runs/skewed/rollout.json"))["verdict"] == "fail"
    assert roll(2, "--run=skewed-2", "--fail-on-reject=true").returncode == 3
    golden(store, "r2", 2)
    assert roll(2, "--run=mended").returncode == 0
    assert read_document(store, "models/tiny/rollouts/mended.json", Rollout).verdict == "pass"
    store.delete("runs/r1/golden.json")
    store.delete("runs/r2/golden.json")


@pytest.mark.servers
def test_only_what_is_published_and_named_by_digest_is_served(run: Run, store: Objects, images: dict[int, str]) -> None:
    def sentence(version: int, image: str, code: int = 65) -> str:
        told = [f"--store={store.url}", "--run=run-2", "--model=tiny", f"--version={version}", f"--image={image}"]
        ended = run("rollout", *told)
        assert ended.returncode == code, ended.stderr
        return ended.stderr

    assert "is not named by its digest" in sentence(1, images[1].replace("@sha256:", ":"))
    assert "version 9 of tiny is not published" in sentence(9, images[1])
    assert f"is not the image of tiny 1, which is {images[1]}" in sentence(1, images[2])
    assert json.loads(store.read("runs/run-2/rollout.json"))["status"] == "failed"


@pytest.mark.servers
@pytest.mark.parametrize(
    "flags",
    [
        ["--target=moon"],
        ["--runtime=tensorflow-serving"],
        ["--steps=30,10"],
        ["--steps=10,30"],
        ["--version=0"],
        ["--split=1=50,2=60"],
        ["--split=1=50,1=50"],
        ["--split=2=50,3=50"],
        ["--split=half"],
        ["--sticky=x user"],
        ["--headers=style transfer=2"],
        ["--headers=sty le: a=2"],
        ["--headers=style: a=two"],
        ["--headers=style: ü=2"],
        ["--headers=style: a=1; Style: a=2"],
        ["--approval=perhaps"],
        ["--target=deployment", "--sticky=x-user", f"--split={','.join(f'{n}=10' for n in range(1, 11))}"],
    ],
    ids=" ".join,
)
def test_a_wrong_flag_is_a_usage_error(run: Run, flags: list[str]) -> None:
    told = ["--store=file:///nowhere", "--run=r", "--model=tiny", "--version=1", "--image=x"]
    ended = run("rollout", *told, *flags)
    assert (ended.returncode, "usage:" in ended.stderr) == (2, True)
    assert ("a route of 22 rules, and a Gateway takes 16" in ended.stderr) is ("--sticky=x-user" in flags)


@pytest.mark.servers
def test_the_parser_takes_what_the_template_sends() -> None:
    sent = "--store=s --run=r --model=m --version=1 --image=i --target=local --runtime=embedded --action=promote"
    assert parser().parse_args([*sent.split(), "--steps=10,30,100"]).steps == (10, 30, 100)


@pytest.mark.tensorflow
@pytest.mark.parametrize("said", ["NO", "YES"])
def test_a_canary_that_waits_is_promoted_by_a_yes_on_the_terminal_and_else_goes(
    roll: Run, store: Objects, home: Path, tmp_path: Path, said: str
) -> None:
    assert roll(1).returncode == 0
    port = int(json.loads((home / "serving/server.json").read_text())["port"])
    run = f"asked-{said.lower()}"
    waits = roll(2, f"--run={run}", "--action=canary", "--approval=manual", f"--waiting-path={tmp_path}/waiting")
    assert "version 2 of tiny waits for --action=promote or rollback" in waits.stderr
    assert ((tmp_path / "waiting").read_text(), answer(port), stable(store)[0]) == ("true", 1, 1)
    image = read_document(store, "models/tiny/2/record.json", Record).image
    given = {"store": store.url, "run": run, "model": "tiny", "target": "local", "runtime": "embedded"}
    given |= {"steps": "10,100", "serve-image": "", "model-volume": "image", "approval": "manual", "tolerances": "{}"}
    given |= {"fail-on-reject": "false", "version": "2", "image": image, "serve-options": "{}", "preheat": "false"}
    given |= {"record": ""}
    arguments = {"parameters": [{"name": name, "value": value} for name, value in given.items()]}
    task = {"name": "approval", "templateRef": {"name": "colchis-pipeline", "template": "approval"}}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": [task | {"arguments": arguments}]}}]}
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "asks"}, "spec": spec}
    (tmp_path / "asks.yaml").write_text(json.dumps(workflow))
    words = ["-m", "colchis_workflows.run", "asks", "-f", str(tmp_path / "asks.yaml"), "-f", str(BASE), "--run", run]
    terminal = Terminal([sys.executable, *words, "--home", str(home)], COLCHIS_HOME=str(home), COLCHIS_PORT=str(port))
    terminal.until("approve: approve? NO/YES (NO)", 90)
    page = Path(store.url.removeprefix("file://"), "runs", run, "report.html").read_text()
    assert "waits for an approval" in page
    terminal.answer(said)
    code = terminal.ended(90)
    verdict = json.loads(store.read(f"runs/{run}/rollout.json"))["verdict"]
    served = answer(port), stable(store)[0]
    assert (code, verdict, served) == ((0, "pass", (2, 2)) if said == "YES" else (3, "fail", (1, 1)))
