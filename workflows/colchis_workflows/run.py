"""Run a workflow template on this machine: ``colchis run``, with Argo's meaning and without a cluster.

Reads   the rendered templates, the same that Argo gets (--file: other ones)
Writes  <home>/runs/<run>/: run.json, and for each task a directory with its log and outputs
        stdout: the run's outputs, name=value; all else goes to stderr

A task is a process in place of a pod. What a local run does not have is refused by name before anything runs.
"""

import argparse
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colchis_workflows._argo.arguments import pairs, settle
from colchis_workflows._argo.catalog import Catalog, name_of, nearest, spec_of
from colchis_workflows._argo.documents import Object, read
from colchis_workflows._argo.errors import CommandError, InputError, UsageError
from colchis_workflows._engine.engine import Engine
from colchis_workflows._engine.record import Record
from colchis_workflows._engine.scopes import global_scope
from colchis_workflows._engine.subset import Walk
from colchis_workflows._runs.display import Display, seconds
from colchis_workflows._runs.printable import printable
from colchis_workflows.render import default_documents

DEFAULT = "colchis-pipeline"
LOCAL_DEFAULTS = {  # what the templates' own defaults, made for a cluster, give way to; {home} is a path
    "builder": "direct",
    "repository": "oci:{home}/images",
    "store": "file://{home}/store",
    "target": "local",
}
REJECTED, STOPPED, INTERRUPTED = 3, 75, 130


def choose(catalog: Catalog, name: str | None) -> Object:
    """Return the document to run: the one of this name, the user's before ours, or the only one that can be run.

    Raises:
        UsageError: there is none of that name, or the choice is open.
    """
    runnable = {name_of(d): d for d in catalog.documents if spec_of(d).get("entrypoint")}
    if name is not None:
        runnable = {name_of(d): d for d in catalog.known if spec_of(d).get("entrypoint")} | runnable
    if name is None:
        workflows = [d for d in runnable.values() if d["kind"] == "Workflow"]
        if DEFAULT in runnable:
            return runnable[DEFAULT]
        if len(workflows) == 1:
            return workflows[0]
        if len(runnable) == 1:
            return next(iter(runnable.values()))
        raise UsageError(f"no template is named; {nearest('', runnable)}")
    if name not in runnable:
        raise UsageError(f"no template is named {name!r}; {nearest(name, runnable)}")
    return runnable[name]


def local_defaults(document: Object, home: Path) -> dict[str, str]:
    """Return our own templates' local defaults; what lies in their store by default lies in the local one here."""
    if not name_of(document).startswith("colchis-"):
        return {}
    parameters = {str(p["name"]): p for p in spec_of(document).part("arguments").parts("parameters")}
    local = {name: text.format(home=home) for name, text in LOCAL_DEFAULTS.items()}
    store = f"{parameters['store'].get('value')}/" if "store" in parameters else "/"
    moved = {
        name: f"{local['store']}/{parameter['value'].removeprefix(store)}"
        for name, parameter in parameters.items()
        if str(parameter.get("value")).startswith(store)
    }
    return moved | local


def exit_code(phase: str, outputs: Mapping[str, str], failure: int | None, stopped: int | None) -> int:
    """Return the command's exit code: 0 served, 3 the gate said no, else the first failed task's."""
    if stopped is not None:
        return stopped
    if phase == "Succeeded":
        return REJECTED if outputs.get("verdict") == "fail" else 0
    return failure or InputError.exit_code


@contextmanager
def signals(engine: Engine) -> Iterator[list[int]]:
    """Stop the run's tasks on SIGINT or SIGTERM (a second one also stops its exit handler); return which came."""
    came: list[int] = []

    def stop(number: int, _: Any) -> None:
        came.append(STOPPED if number == signal.SIGTERM else INTERRUPTED)
        engine.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def execute(engine: Engine, display: Display) -> tuple[str, list[int]]:
    """Run the workflow in a thread, so that this one can be interrupted; return its phase and the signals that came."""
    ended: list[str | BaseException] = []

    def work() -> None:
        try:
            ended.append(engine.run())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            ended.append(error)

    thread = threading.Thread(target=work, name="engine")
    with signals(engine) as came, display.shown():
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0], came


def conclude(engine: Engine, display: Display, phase: str, code: int) -> None:
    """Say how the run ended and what can be done next; the outputs go to stdout."""
    record = engine.record
    for name, value in sorted(record.outputs.items()):
        print(printable(f"{name}={value}"), flush=True)
    display.say("", f"{phase} in {seconds(time.time() - record.started)}")
    pages = [p for n in record.nodes.values() for p in (record.place(n) / "outputs").glob("*.html")]
    display.say(*(f"report: {page}" for page in pages))
    if (root := record.nodes.get("")) and root.kind == "DAG" and root.message:
        display.say(root.message)
    failed = [n for n in record.nodes.values() if n.kind == "Pod" and n.phase in {"Failed", "Error"}]
    if failed and code:
        display.say(f"log:    {record.place(failed[0]) / 'log'}", f"resume: colchis run --run {record.run}")
        data = engine.arguments.get("data", "")
        if data.startswith("file://") and not Path(data.removeprefix("file://")).exists():
            store, _, name = data.rpartition("/data/")  # where the run looks for it, whatever its own store is
            display.say(f"data:   colchis data import {name.partition('/')[0] or 'NAME'} --to {store or 'STORE'}")
    elif code == REJECTED or record.outputs.get("verdict") == "undecided":
        display.say(record.outputs.get("summary") or "the gate or the canary said no; the report says why")
    elif code == 0 and "endpoint" in record.outputs:
        model = engine.arguments.get("model", "MODEL")
        display.say(f"next:   colchis predict {model} --row 0", f"        colchis models show {model}")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis run",
        description="Run a workflow template on this machine, with Argo's meaning and without a cluster.",
        epilog="examples:\n"
        "  colchis run --set data=$(colchis data import digits --to file://$PWD/.colchis/store)\n"
        "  colchis run --run RUN                      go on with a run: what succeeded is not run again\n"
        "  colchis run --file my-workflow.yaml        run a template or workflow of your own\n\n"
        "exit codes: 0 done, 3 the gate said no, 2 usage, 65 refused, 75 stopped, 130 interrupted,\n"
        "            else the failed step's",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("template", nargs="?", metavar="TEMPLATE", help=f"the template's name (default: {DEFAULT})")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set an argument; may be repeated")
    p.add_argument(
        "-f", "--file", action="append", default=[], type=Path, metavar="PATH", help="a YAML file or directory to read"
    )
    p.add_argument("--run", metavar="ID", help="the run's id; an earlier one goes on (default: a new one)")
    p.add_argument("--home", type=Path, metavar="DIR", help="where runs are (default: $COLCHIS_HOME or .colchis)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a template; errors of use come before anything is started."""
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except CommandError as error:
        print(printable(f"colchis run: {error}"), file=sys.stderr)
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    home = (args.home or Path(os.environ.get("COLCHIS_HOME") or ".colchis")).resolve()
    given = pairs(args.set)
    record = Record(home, args.run or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
    files = [str(path.resolve()) for path in args.file] or record.asked.get("files", [])
    ours = default_documents()
    catalog = Catalog(read(map(Path, files)), ours) if files else Catalog(ours)
    catalog.check()
    document = choose(catalog, args.template or record.asked.get("template"))
    arguments = settle(document, {**record.asked.get("arguments", {}), **given}, local_defaults(document, home))
    display = Display(record)
    walk = Walk(catalog, document, global_scope(document, arguments, record))
    walk.check()
    if walk.asks and not display.interactive:
        raise InputError(
            f"{walk.asks[0]} asks on the terminal and this is none; use one, or set the argument that leaves it out"
        )
    with record.held():
        record.asked = {"template": name_of(document), "files": files, "arguments": arguments}
        record.save()
        engine = Engine(catalog, document, arguments, record, display)
        phase, came = execute(engine, display)
        code = exit_code(phase, record.outputs, engine.failure, came[0] if came else None)
        conclude(engine, display, phase, code)
        return code


if __name__ == "__main__":
    raise SystemExit(main())
