"""``colchis submit`` on a cluster: exit codes, files for CI, time-outs, interrupts, and a connection that breaks.

All runs that need no order go side by side.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.cluster import installed

DEADLINE = 240.0 * installed.PATIENCE  # seconds for one run, all of them at once
CASES = {
    "served": ([], 0),
    "bad-data": (["--set", "code=65"], 65),
    "rejected": (["--set", "verdict=fail"], 3),
    "refused": (["--set", "verdict=fail", "--set", "code=3"], 3),
    "late": (["--set", "seconds=600", "--timeout", "20s", "--on-interrupt", "stop"], 75),
}
pytestmark = installed.NEEDS_CLUSTER


def kubectl(*words: str) -> Any:
    return json.loads(installed.kubectl(*words, "--output=json"))


@pytest.fixture(scope="module")
def namespace(tiny: str) -> str:
    installed.kubectl("--namespace", tiny, "create", "--filename", str(Path(__file__).with_name("submit.yaml")))
    return tiny


def submit(namespace: str, *words: str, config: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "colchis_workflows.submit", "tiny", "--namespace", namespace, *words]
    environment = os.environ | ({"KUBECONFIG": str(config)} if config else {})
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@dataclass
class Ended:
    code: int
    outputs: dict[str, str]
    said: str


def ended(process: subprocess.Popen[str]) -> Ended:
    try:
        out, said = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    return Ended(process.returncode, dict(re.findall(r"(?m)^([\w-]+)=(.*)$", out)), said)


@pytest.fixture(scope="module")
def results(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Ended], Path]:
    """Submit all cases at once; give how each ended and where their files are."""
    place = tmp_path_factory.mktemp("files")
    files = {name: ["--junit", f"{place / name}.xml", "--json", f"{place / name}.json"] for name in CASES}
    running = {name: submit(namespace, *words, *files[name]) for name, (words, _) in CASES.items()}
    return {name: ended(process) for name, process in running.items()}, place


@pytest.mark.parametrize("name", CASES)
def test_the_exit_code_is_that_of_the_contract_and_both_files_agree(
    results: tuple[dict[str, Ended], Path], name: str
) -> None:
    found, place = results
    assert found[name].code == CASES[name][1], found[name].said
    document = json.loads((place / f"{name}.json").read_text())
    assert document["exit-code"] == CASES[name][1]
    assert (document["workflow"], document["run"]) == (found[name].outputs["workflow"], found[name].outputs["run"])
    suite = ET.parse(place / f"{name}.xml").getroot()[0]  # noqa: S314 - our own file
    assert int(suite.get("failures", 0)) + int(suite.get("errors", 0)) == bool(CASES[name][1])


def test_outputs_come_on_stdout_and_a_line_a_change_on_stderr(results: tuple[dict[str, Ended], Path]) -> None:
    served = results[0]["served"]
    assert (served.outputs["verdict"], served.outputs["version"]) == ("pass", "7")
    for path in ("check", "judge", "publish.upload", "onExit"):
        assert f"{path}  Succeeded" in served.said


def test_a_failed_step_says_its_sentence_and_its_log_is_where_we_say(
    results: tuple[dict[str, Ended], Path], namespace: str
) -> None:
    said = results[0]["bad-data"].said
    assert "judge: column 'age' is absent; add it to the data" in said
    command = re.search(r"log of judge: (kubectl .*)", said)
    assert command is not None
    done = subprocess.run(command[1].split(), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_time_out_stops_the_run_where_that_is_asked_for(
    results: tuple[dict[str, Ended], Path], namespace: str
) -> None:
    late = results[0]["late"]
    assert "took longer than 20.0 s; it was asked to stop" in late.said
    workflow = kubectl("get", "workflow", late.outputs["workflow"], "--namespace", namespace)
    assert workflow["spec"]["shutdown"] == "Stop"


def test_the_run_says_who_submitted_it(results: tuple[dict[str, Ended], Path], namespace: str) -> None:
    workflow = kubectl("get", "workflow", results[0]["served"].outputs["workflow"], "--namespace", namespace)
    assert workflow["metadata"]["labels"]["workflows.argoproj.io/creator"]


def test_a_wrong_argument_or_template_creates_nothing(namespace: str) -> None:
    before = len(kubectl("get", "workflows", "--namespace", namespace)["items"])
    wrong = ended(submit(namespace, "--set", "verdit=fail"))
    assert (wrong.code, "did you mean 'verdict'?" in wrong.said) == (2, True)
    wrong = ended(submit(namespace, "--set", "verdict=maybe"))
    assert (wrong.code, "it must be one of pass, fail" in wrong.said) == (2, True)
    assert len(kubectl("get", "workflows", "--namespace", namespace)["items"]) == before


class Relay:
    """A TCP relay to the API server that can break every connection and refuse new ones for a while."""

    def __init__(self, host: str, port: int) -> None:
        self.there, self.away = (host, port), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if self.away.is_set():
                    near.close()
                    continue
                far = socket.create_connection(self.there)
                self.sockets |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def go_away(self) -> None:
        self.away.set()
        for one in list(self.sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.go_away()
        self.listener.close()
        for one in self.sockets:
            one.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[Relay, Path]]:
    """Yield a relay and a kubeconfig that goes through it."""
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster = config["clusters"][0]["cluster"]
    host, _, port = cluster["server"].partition("://")[2].partition(":")
    made = Relay(host, int(port or 443))
    cluster["server"] = f"https://127.0.0.1:{made.port}"
    cluster["tls-server-name"] = host
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    try:
        yield made, tmp_path / "kubeconfig"
    finally:
        made.close()


def phase(namespace: str, name: str) -> str:
    return str(kubectl("get", "workflow", name, "--namespace", namespace).get("status", {}).get("phase", ""))


def until_running(process: subprocess.Popen[str], namespace: str) -> tuple[str, str]:
    """Wait until the run's first task runs; give the run's name and what was printed so far."""
    assert process.stdout is not None
    said = process.stdout.readline()
    name = said.strip().partition("=")[2]
    end = time.monotonic() + DEADLINE
    while phase(namespace, name) != "Running":
        assert time.monotonic() < end
        time.sleep(0.5)
    return name, said


def test_the_api_away_and_the_controller_restarted_do_not_end_it(namespace: str, relay: tuple[Relay, Path]) -> None:
    breaker, config = relay
    process = submit(namespace, "--set", "seconds=12", config=config)
    until_running(process, namespace)
    breaker.go_away()
    pods = kubectl("get", "pods", "--all-namespaces", "--selector=app=workflow-controller")["items"]
    for pod in pods:
        where = ["--namespace", pod["metadata"]["namespace"]]
        subprocess.run(["kubectl", "delete", "pod", pod["metadata"]["name"], *where], check=True, timeout=60)
    time.sleep(3)  # as long as the API is away, not for luck
    breaker.away.clear()
    it = ended(process)
    assert it.code == 0, it.said
    assert "the run goes on, asking again" in it.said
    assert it.outputs["version"] == "7"
    assert len(pods) >= 1


def test_ctrl_c_leaves_the_run_and_says_what_stops_it(namespace: str) -> None:
    process = submit(namespace, "--set", "seconds=600")
    name, _ = until_running(process, namespace)
    process.send_signal(signal.SIGINT)
    it = ended(process)
    assert it.code == 130
    assert phase(namespace, name) == "Running"
    command = re.search(r"To stop it: (kubectl .*)", it.said)
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], check=True, timeout=30, stdout=subprocess.DEVNULL)
    assert kubectl("get", "workflow", name, "--namespace", namespace)["spec"]["shutdown"] == "Stop"


def test_sigterm_stops_the_run_where_that_is_asked_for(namespace: str) -> None:
    process = submit(namespace, "--set", "seconds=600", "--on-interrupt=stop")
    name, _ = until_running(process, namespace)
    process.terminate()
    assert ended(process).code == 75
    assert kubectl("get", "workflow", name, "--namespace", namespace)["spec"]["shutdown"] == "Stop"
