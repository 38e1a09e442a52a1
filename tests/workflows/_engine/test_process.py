"""``colchis run`` and its tasks as processes: deadlines, progress, signals, kill -9, turns."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.workflows.tiny import Write, dag, node, python, run, write_to


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return write_to(tmp_path)


@pytest.mark.servers
def test_a_deadline_ends_the_task(write: Write, tmp_path: Path) -> None:
    path = write(python("main", "import time; time.sleep(60)", "activeDeadlineSeconds: 1"))
    began = time.monotonic()
    assert run(path, tmp_path) == 143
    assert time.monotonic() - began < 10
    assert "it took longer than 1 s" in node(tmp_path, "")["message"]


@pytest.mark.servers
def test_progress_is_noted_and_shown(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, pathlib, time; pathlib.Path(os.environ['ARGO_PROGRESS_FILE']).write_text('4/12'); time.sleep(1.5)"
    )
    steps = (
        "import os, pathlib, time\n"
        "for n in range(4): pathlib.Path(os.environ['ARGO_PROGRESS_FILE']).write_text(f'{n}/12'); time.sleep(0.6)"
    )
    path = write(dag("name: a, template: a", "name: b, template: b") + python("a", program) + python("b", steps))
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "a")["progress"] == "4/12"
    assert re.search(r"b  Running [1-3]/12", capsys.readouterr().err)  # which of them depends on the machine


def start(path: Path, home: Path, run_id: str = "r") -> "subprocess.Popen[str]":
    words = ["-m", "colchis_workflows.cli", "run", "tiny", "-f", str(path), "--home", str(home), "--run", run_id]
    return subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


WAITS = "import os, pathlib, time; pathlib.Path({!r}).write_text(str(os.getpid()))\nwhile True: time.sleep(1)"


@pytest.mark.servers
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_the_tasks_and_runs_the_exit_handler(
    write: Write, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pid = tmp_path / "pid"
    bye = f"open({str(tmp_path / 'bye')!r}, 'w').write('{{{{workflow.status}}}}')"
    tasks = dag("name: a, template: a", "name: b, template: bye, depends: a")
    path = write(tasks + python("a", WAITS.format(str(pid))) + python("bye", bye), "onExit: bye")
    with start(path, tmp_path) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        process.send_signal(number)
        assert process.wait(20) == code
    assert not alive(int(pid.read_text()))
    assert (tmp_path / "bye").read_text() == "Failed"
    assert node(tmp_path, "a")["phase"] == "Failed"
    assert node(tmp_path, "b")["phase"] == "Pending"


@pytest.mark.servers
def test_kill_9_ends_the_steps_and_the_same_run_goes_on(write: Write, tmp_path: Path) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    step = (
        "import os, pathlib, sys, time\nfrom colchis_steps._step.main import entrypoint\n"
        f"@entrypoint\ndef main(argv):\n    pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
        "sys.exit(main())"
    )
    path = write(
        dag("name: first, template: first", "name: a, template: a, depends: first")
        + python("first", "pass")
        + python("a", step)
    )
    with start(path, tmp_path) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        process.kill()
    until(lambda: not alive(int(pid.read_text())))
    go.touch()
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "first")["reused"]


@pytest.mark.servers
def test_a_mutex_lets_one_run_in_at_a_time_and_one_run_is_started_once(write: Write, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    lock = "synchronization: {mutexes: [{name: 'turn-{{workflow.parameters.model}}'}]}"
    path = write(dag("name: a, template: a") + python("a", WAITS.format(str(pid)), lock))
    with start(path, tmp_path, "one") as one:
        until(lambda: pid.exists() and pid.read_text() != "")
        with start(path, tmp_path, "one") as again:
            assert "run 'one' is running already" in again.communicate(timeout=20)[1]
            assert again.returncode == 65
        with start(path, tmp_path, "two") as two:
            waiting = tmp_path / "runs" / "two" / "run.json"
            until(lambda: waiting.exists() and "waits for mutex turn-digits" in waiting.read_text())
            first = pid.read_text()
            one.terminate()
            assert one.wait(20) == 75
            until(lambda: pid.read_text() not in {first, ""})
            two.terminate()
            assert two.wait(20) == 75
