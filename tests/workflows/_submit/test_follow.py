"""Submitting over a connection that breaks: a small API server over real HTTP answers as it is told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from colchis_workflows import submit
from colchis_workflows._submit import follow

RECORDED = Path(__file__).parents[1] / "recorded"
TEMPLATE = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "tiny"},
    "spec": {"arguments": {"parameters": [{"name": "verdict", "enum": ["pass", "fail"], "value": "pass"}]}},
}


class Api(ThreadingHTTPServer):
    """Holds the workflows that were created; ``faults`` are used up one a request of their kind."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.created: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, list[str]] = {"create": [], "get": [], "watch": []}
        self.states = ["running", "served"]  # what one read and then the watch give
        self.watched = 0

    def state(self, name: str, number: int) -> dict[str, Any]:
        text = (RECORDED / f"{self.states[min(number, len(self.states) - 1)]}.json").read_text()
        found: dict[str, Any] = json.loads(text.replace("bad-data", name).replace("served", name))
        return found


class Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **body}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status: int, message: str) -> None:
        self.answer(status, {"kind": "Status", "message": message})

    def fault(self, kind: str) -> str:
        waiting = self.server.faults[kind]
        return waiting.pop(0) if waiting else ""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "selfsubjectreviews" in self.path:
            self.answer(201, {"status": {"userInfo": {"username": "ann"}}})
            return
        name = body["metadata"]["name"]
        if name in self.server.created:
            self.refuse(409, f"workflows {name!r} already exists")
            return
        fault = self.fault("create")
        if fault == "forbidden":
            self.refuse(403, 'workflows is forbidden: User "ann" cannot create resource "workflows"')
            return
        self.server.created[name] = body
        if fault == "broken":
            self.close_connection = True
            self.connection.close()
            return
        self.answer(201, self.server.state(name, 0))

    def do_GET(self) -> None:
        if "workflowtemplates" in self.path:
            self.answer(200, TEMPLATE)
            return
        name = next(iter(self.server.created), "")
        kind = "watch" if "watch=true" in self.path else "get"
        fault = self.fault(kind)
        if fault == "broken":
            self.connection.close()
        elif fault == "busy":
            self.refuse(503, "etcd is away")
        elif fault == "forbidden":
            self.refuse(403, "workflows is forbidden: the server starts")
        elif fault == "deleted":
            self.refuse(404, "workflows not found")
        elif kind == "get":
            self.answer(200, self.server.state(name, self.server.watched))
        else:
            self.watch(name, fault)

    def watch(self, name: str, fault: str) -> None:
        self.server.watched += 1
        self.send_response(200)
        self.end_headers()
        line = json.dumps({"type": "MODIFIED", "object": self.server.state(name, self.server.watched)}) + "\n"
        if fault == "expired":
            line = (
                json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}) + "\n"
            )
        if fault == "removed":
            line = json.dumps({"type": "DELETED", "object": {}}) + "\n"
        self.wfile.write(line.encode()[: 40 if fault == "cut" else None])


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "sesame"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(follow, "WAITS", (0.05, 0.1))
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_run_is_created_once_and_followed_to_its_end(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(["tiny", "--set", "verdict=pass"]) == 0
    told = capsys.readouterr()
    [(name, made)] = api.created.items()
    assert told.out.splitlines()[0] == f"workflow={name}"
    assert told.out.splitlines()[2:] == ["verdict=pass", "version=7"]
    assert "publish.upload  Succeeded" in told.err
    assert made["metadata"]["labels"] == {submit.CREATOR: "ann"}


def test_a_connection_that_breaks_while_creating_makes_no_second_run(api: Api) -> None:
    api.faults["create"] = ["broken"]
    assert submit.main(["tiny"]) == 0
    assert len(api.created) == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"watch": ["cut"]},
        {"watch": ["broken", "cut"]},
        {"watch": ["expired"]},
        {"watch": ["cut"], "get": ["", "busy", "broken", "forbidden"]},
    ],
    ids=["cut in a line", "broken", "version too old", "away and starting"],
)
def test_a_watch_that_breaks_is_taken_up_again(api: Api, faults: dict[str, list[str]]) -> None:
    api.states = ["running", "running", "running", "served"]
    api.faults |= faults
    assert submit.main(["tiny"]) == 0


@pytest.mark.parametrize("fault", ["removed", "deleted"])
def test_a_run_that_is_deleted_ends_the_command(
    api: Api, fault: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    api.faults["watch" if fault == "removed" else "get"] = [fault]
    assert submit.main(["tiny", "--junit", str(tmp_path / "j.xml")]) == 75
    assert "was deleted while it was followed" in capsys.readouterr().err
    assert ET.parse(tmp_path / "j.xml").find(".//testcase[@name='run']/error") is not None  # noqa: S314 - our own file


def test_an_api_server_that_stays_away_is_not_waited_for_forever(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 0.3)
    api.faults["watch"] = ["broken"]
    api.faults["get"] = ["", *["busy"] * 100]
    assert submit.main(["tiny"]) == 75
    assert "goes on in the cluster by itself" in capsys.readouterr().err


def test_a_right_that_is_missing_is_bad_input_also_in_the_files(
    api: Api, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    api.faults["create"] = ["forbidden"]
    assert submit.main(["tiny", "--json", str(tmp_path / "s.json")]) == 65
    assert "ask for that right in namespace ml" in capsys.readouterr().err
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["exit-code"], summary["tasks"]) == (65, [])


def test_no_wait_says_the_run_and_ends(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(["tiny", "--no-wait"]) == 0
    assert [line.partition("=")[0] for line in capsys.readouterr().out.splitlines()] == ["workflow", "run"]
    assert api.watched == 0


def test_no_cluster_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert submit.main(["tiny"]) == 65
    assert "no cluster is configured" in capsys.readouterr().err
