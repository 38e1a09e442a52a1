"""Submit a workflow template to the cluster and follow the run: ``colchis submit``, for terminals and CI.

Reads   the template as it is installed, and the run, over the Kubernetes API; Argo's server and CLI are not needed
Writes  --junit, --json: the run, for CI, whole or not at all, however it ends
        stdout: workflow=NAME and run=ID when it is created, the run's outputs as name=value at its end; all else
        goes to stderr
"""

import argparse
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colchis_workflows._argo.arguments import pairs, settle
from colchis_workflows._argo.catalog import nearest, spec_of
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.durations import seconds
from colchis_workflows._argo.errors import CommandError, InputError, TransientError, UsageError
from colchis_workflows._runs.display import Display
from colchis_workflows._runs.display import seconds as in_words
from colchis_workflows._runs.printable import printable
from colchis_workflows._submit.cluster import Cluster, Json, Refused
from colchis_workflows._submit.follow import Followed, follow, start
from colchis_workflows._submit.summary import write
from colchis_workflows._submit.workflow import LATE, Run, conclusion, exit_code, read

DEFAULT = "colchis-pipeline"
CREATOR = "workflows.argoproj.io/creator"
INTERRUPTED = 130


class Interrupted(CommandError):  # noqa: N818 - reads as what it says
    """A signal came."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted")
        self.exit_code = code


def document(value: Any) -> Any:
    """Turn plain JSON into what a template read from a file is."""
    if isinstance(value, list):
        return [document(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = Object({key: document(item) for key, item in value.items()})
    made.lines = {}
    return made


def checked_arguments(template: Json, given: Mapping[str, str]) -> dict[str, str]:
    """Return each argument's value; what the cluster finds in a ConfigMap is left out.

    Raises:
        UsageError: a name is unknown, a value is none of the allowed ones, or one is missing.
    """
    found: Object = document(template)
    parameters = spec_of(found).part("arguments").parts("parameters")
    later = {str(p["name"]): str((p.get("enum") or [""])[0]) for p in parameters if "valueFrom" in p}
    settled = settle(found, given, later)
    return {name: value for name, value in settled.items() if name in given or name not in later}


def manifest(template: str, given: Mapping[str, str], who: str) -> Json:
    """Return the Workflow: only what was given is set, as templateReferencing Secure wants it."""
    name = f"{template[:50].rstrip('-.')}-{secrets.token_hex(3)}"
    creator = re.sub(r"[^A-Za-z0-9_.-]", "-", who)[:63].strip("-_.")
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "labels": {CREATOR: creator} if creator else {}},
        "spec": {
            "workflowTemplateRef": {"name": template},
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in given.items()]},
        },
    }


def stop_command(run: Run) -> str:
    """Return the command that stops the run; its exit handler still runs."""
    patch = '\'{"spec":{"shutdown":"Stop"}}\''
    return f"kubectl --namespace {run.namespace} patch workflow {run.name} --type merge --patch {patch}"


def _installed(cluster: Cluster, name: str) -> Json:
    try:
        return cluster.get("workflowtemplates", name)
    except Refused as error:
        if error.status != 404:
            raise
    try:
        there = [item["metadata"]["name"] for item in cluster.list("workflowtemplates")]
    except Refused as error:
        if error.status != 404:
            raise
        raise InputError("the cluster has no Argo Workflows; install it, then run `colchis doctor`") from error
    raise UsageError(f"namespace {cluster.namespace} has no template {name!r}; {nearest(name, there)}")


@contextmanager
def _signals() -> Iterator[None]:
    """Raise Interrupted on SIGINT and SIGTERM."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(INTERRUPTED if number == signal.SIGINT else LATE)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Submission:
    """One call of the command: what is known of its run when it ends, however it ends."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.arguments = args, dict[str, str]()
        self.run, self.code, self.message = Run("", template=args.template), 0, ""
        self.display: Display | None = None

    def go(self) -> None:
        """Create the run and follow it."""
        given = pairs(self.args.set)
        until = time.monotonic() + self.args.timeout if self.args.timeout else None
        cluster = Cluster(self.args.namespace)
        self.arguments = checked_arguments(_installed(cluster, self.args.template), given)
        workflow = manifest(self.args.template, given, cluster.user())
        self.run.name, self.run.namespace = workflow["metadata"]["name"], cluster.namespace
        try:
            with _signals():
                self.run = read(start(cluster, workflow))
                print(f"workflow={self.run.name}\nrun={self.run.uid}", flush=True)
                if self.args.no_wait:
                    return
                self._follow(cluster, until)
        except Interrupted as error:
            why = "Ctrl-C" if error.exit_code == INTERRUPTED else "SIGTERM"
            self._leave(cluster, error.exit_code, f"the command ended by {why} before the run")

    def _follow(self, cluster: Cluster, until: float | None) -> None:
        followed = Followed(self.run)
        display = self.display = Display(followed)

        def changed(run: Run) -> None:
            self.run = run
            followed.update(run)

        with display.shown():
            follow(cluster, self.run.name, changed, until, lambda text: display.say(f"colchis submit: {text}"))
        if not self.run.ended:
            self._leave(cluster, LATE, f"the run took longer than {in_words(self.args.timeout)}")
            return
        self.code, self.message = exit_code(self.run), conclusion(self.run)
        self._conclude(display)

    def _leave(self, cluster: Cluster, code: int, message: str) -> None:
        """End before the run does: stop it or say what stops it."""
        self.code, self.message = code, f"{message}; it goes on. To stop it: {stop_command(self.run)}"
        if self.args.on_interrupt == "stop":
            try:
                cluster.merge("workflows", self.run.name, {"spec": {"shutdown": "Stop"}})
                self.message = f"{message}; it was asked to stop"
            except (InputError, TransientError) as error:
                self.message = f"{message}, which could not be stopped ({error}); to stop it: {stop_command(self.run)}"
        print(printable(f"colchis submit: {self.message}"), file=sys.stderr)

    def _conclude(self, display: Display) -> None:
        run = self.run
        for name, value in sorted(run.outputs.items()):
            print(printable(f"{name}={value}"), flush=True)
        taken = in_words((run.finished or 0) - run.started) if run.finished and run.started else "0 s"
        display.say("", f"{run.phase} in {taken}" + (f": {self.message}" if self.code else ""))
        for task in run.failed if self.code else []:
            if pod := run.pods.get(task.path):
                display.say(f"log of {task.path}: kubectl --namespace {run.namespace} logs {pod} --container main")
        if self.code and run.phase != "Succeeded":
            display.say(f"resume: argo retry {run.name} --namespace {run.namespace}")


def duration(text: str) -> float:
    """Parse a duration such as 90, 30s, 5m or 2h."""
    try:
        found = seconds(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0; give one like 90, 30s, 5m or 2h")
    return found


def output(text: str) -> Path:
    """Parse the path of a file that can be written when the run has ended."""
    path = Path(text).absolute()
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a directory that is there; make {path.parent}")
    return path


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis submit",
        description="Submit a workflow template to the cluster of $KUBECONFIG and follow the run to its end.",
        epilog="examples:\n"
        "  colchis submit --set data=s3://colchis/data/digits/b998b704837bf9f7 --set workers=2\n"
        "  colchis submit colchis-rollout --namespace ml --set model=digits --set version=3\n"
        "  colchis submit --timeout 2h --on-interrupt stop --junit colchis.xml --json colchis.json    in CI\n\n"
        "exit codes: 0 served, 3 the gate or the canary said no, 2 usage, 65 refused, 130 interrupted,\n"
        "            75 timed out, stopped or the cluster is away, else the failed step's",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("template", nargs="?", metavar="TEMPLATE", default=DEFAULT, help=f"its name (default: {DEFAULT})")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set an argument; may be repeated")
    p.add_argument("-n", "--namespace", default="", metavar="N", help="default: that of the kubeconfig's context")
    p.add_argument("--no-wait", action="store_true", help="end when the run is created")
    p.add_argument("--timeout", type=duration, metavar="2h", help="wait no longer than this, and end with 75")
    p.add_argument(
        "--on-interrupt",
        choices=("leave", "stop"),
        default="leave",
        help="what becomes of the run when this command ends before it (default: leave)",
    )
    p.add_argument("--junit", type=output, metavar="FILE", help="write a JUnit file with a test case a task")
    p.add_argument("--json", type=output, metavar="FILE", help="write a JSON summary")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Submit and follow; errors of use come before anything is created."""
    p = parser()
    args = p.parse_args(argv)
    if args.no_wait and (args.junit or args.json or args.timeout):
        p.error("--no-wait leaves nothing to wait for or to write; leave out --timeout, --junit and --json")
    it = Submission(args)
    try:
        it.go()
    except CommandError as error:
        it.code, it.message = error.exit_code, str(error)
        print(printable(f"colchis submit: {error}"), file=sys.stderr)
    write({"junit": args.junit, "json": args.json}, it.run, it.code, it.message, it.arguments)
    return it.code


if __name__ == "__main__":
    raise SystemExit(main())
