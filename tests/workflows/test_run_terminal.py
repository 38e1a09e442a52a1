"""``colchis run`` on a terminal: the live tree, and suspend templates that ask."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: ask-}
spec:
  entrypoint: main
  templates:
    - name: main
      dag:
        tasks:
          - {name: approve, template: approve}
          - {name: go, template: go, depends: approve, when: "'{{tasks.approve.outputs.parameters.ok}}' == 'YES'"}
          - {name: sure, template: sure, depends: go}
    - name: approve
      inputs: {parameters: [{name: ok, default: "NO", enum: ["YES", "NO"]}]}
      outputs: {parameters: [{name: ok, valueFrom: {supplied: {}}}]}
      suspend: {}
    - {name: sure, suspend: {}}
    - name: go
      container: {command: [python, -c, "print('gone')"]}
"""


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: list[str], **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stderr=slave,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"TERM": "xterm"} | environment,
        )
        os.close(slave)
        self.seen = ""

    def until(self, wanted: str, seconds: float = 20) -> None:
        """Read until the text has been shown."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            assert time.monotonic() < end, self.seen
            self._read()

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                self.seen += os.read(self.master, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                time.sleep(0.01)

    def answer(self, text: str) -> None:
        os.write(self.master, f"{text}\n".encode())

    def ended(self, seconds: float = 20) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen
            self._read()
        self._read()
        os.close(self.master)
        return self.process.returncode


def start(tmp_path: Path, **environment: str) -> Terminal:
    (tmp_path / "ask.yaml").write_text(WORKFLOW)
    words = ["-m", "colchis_workflows.run", "-f", str(tmp_path / "ask.yaml"), "--home", str(tmp_path), "--run", "r"]
    return Terminal([sys.executable, *words], **environment)


def phases(tmp_path: Path) -> dict[str, str]:
    run = json.loads((tmp_path / "runs" / "r" / "run.json").read_text())
    return {node["path"]: node["phase"] for node in run["nodes"]}


@pytest.mark.servers
def test_a_suspend_template_asks_and_the_answer_goes_on(tmp_path: Path) -> None:
    terminal = start(tmp_path)
    terminal.until("approve: ok? YES/NO (NO)")
    terminal.answer("maybe")
    terminal.answer("YES")
    terminal.until("sure: go on? yes/no (no)")
    terminal.answer("yes")
    assert terminal.ended() == 0
    assert phases(tmp_path) == dict.fromkeys(["", "approve", "go", "sure"], "Succeeded")
    assert re.search(r"✔.* go .*Succeeded", terminal.seen)


@pytest.mark.servers
@pytest.mark.parametrize(("first", "second", "want"), [("", "yes", "Succeeded"), ("YES", "no", "Failed")])
def test_the_default_answer_is_no(tmp_path: Path, first: str, second: str, want: str) -> None:
    terminal = start(tmp_path)
    terminal.until("approve: ok?")
    terminal.answer(first)
    terminal.until("sure: go on?")
    terminal.answer(second)
    assert terminal.ended() == (0 if want == "Succeeded" else 65)
    assert phases(tmp_path)["go"] == ("Succeeded" if first else "Skipped")
    assert phases(tmp_path)["sure"] == want


@pytest.mark.servers
def test_no_color_is_honoured(tmp_path: Path) -> None:
    terminal = start(tmp_path, NO_COLOR="1")
    terminal.until("approve: ok?")
    terminal.answer("")
    terminal.until("sure: go on?")
    terminal.answer("yes")
    assert terminal.ended() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.seen)
