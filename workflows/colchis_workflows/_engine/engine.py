"""The engine of a local run: executes a workflow's DAGs with Argo's meaning, each running task in a thread."""

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

from colchis_workflows._argo.catalog import Catalog, Found, spec_of
from colchis_workflows._argo.conditions import depends, depends_text, holds, retried
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.durations import seconds
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.grammars import BadExpressionError
from colchis_workflows._argo.tags import fill, replace, texts
from colchis_workflows._argo.when import when
from colchis_workflows._engine import pod as _pod
from colchis_workflows._engine.record import Record
from colchis_workflows._engine.scopes import (
    Scope,
    arguments_of,
    dag_phase,
    failure,
    global_scope,
    named,
    outputs_of_dag,
    outputs_of_skipped,
)
from colchis_workflows._engine.subset import KINDS, exit_hooks
from colchis_workflows._runs.display import Display
from colchis_workflows._runs.node import BAD, Node

BACKOFF = 0.5, 5.0  # seconds before the second attempt, doubled up to the most: nobody shares this machine's services


class _Dag:
    """A DAG while it runs."""

    def __init__(self, found: Found, scope: dict[str, str]) -> None:
        self.found, self.scope = found, scope
        self.tasks = {str(task["name"]): named(task, scope) for task in found.template.part("dag").parts("tasks")}
        read = {name: depends(depends_text(task)) for name, task in self.tasks.items()}
        self.waits = {name: waits for name, (waits, _) in read.items()}
        self.conditions = {name: condition for name, (_, condition) in read.items()}
        self.nodes: dict[str, Node] = {}
        self.running: dict[Future[Node], str] = {}
        self.collected: set[str] = set()  # the tasks that ended and whose outputs are in the scope

    @property
    def phases(self) -> dict[str, str]:
        return {name: node.phase for name, node in self.nodes.items()}


class Engine:
    """Executes one workflow; each of its running tasks has a thread."""

    def __init__(self, catalog: Catalog, document: Object, arguments: Scope, record: Record, display: Display) -> None:
        self.catalog, self.document, self.record, self.display = catalog, document, record, display
        self.arguments = arguments
        self.stop = threading.Event()  # asked by a signal: what runs is ended, nothing starts
        self.failure: int | None = None  # the exit code of the first task that failed
        self.slots = threading.Semaphore(int(spec_of(document).get("parallelism") or 64))
        self.scope = dict(global_scope(document, arguments, record))
        said = (text for one in (*catalog.documents, *catalog.known) for text, _ in texts(one))
        self.results = any("outputs.result" in text for text in said)  # a task may read what another wrote to stdout
        self.lock = threading.Lock()

    def run(self) -> str:
        """Run the workflow and its exit handler; return the phase that it ended in."""
        spec, record = spec_of(self.document), self.record
        entry = spec.part("")
        entry["template"] = spec.get("entrypoint")
        record.phase = "Running"
        node = self.use(self.document, "", entry, self.arguments)
        phase = node.phase
        failures = json.dumps([failure(n, record) for n in record.nodes.values() if n.phase in BAD])
        self.scope |= {"workflow.status": phase, "workflow.failures": json.dumps(failures)}
        for hook in exit_hooks(spec):
            self.stop = threading.Event()
            try:
                ended = self.use(self.document, "onExit", hook, {**self.arguments, **arguments_of(hook, self.scope)})
            except InputError as error:
                ended = self.ended(Node("onExit", str(hook.get("template")), "Skipped"), "Error", str(error))
            phase = ended.phase if ended.phase in BAD and phase not in BAD else phase
        record.phase, record.finished = phase, time.time()
        record.save()
        return phase

    def use(self, document: Object, path: str, task: Object, given: Scope) -> Node:
        """Execute the template that a task, the entry point or a hook uses."""
        found = self.catalog.template(document, task)
        assert found is not None, "the walk before the run found every template"  # noqa: S101
        template = found.template
        kind = next(kind for kind in KINDS if kind in template)
        node = self.record.nodes.setdefault(path, Node(path, str(template["name"]), ""))
        node.kind = {"dag": "DAG", "suspend": "Suspend"}.get(kind, "Pod")
        with self.lock:
            scope = dict(self.scope)
        for parameter in template.part("inputs").parts("parameters"):
            name, default = str(parameter["name"]), str(parameter.get("value", parameter.get("default")))
            scope[f"inputs.parameters.{name}"] = given[name] if name in given else replace(default, scope)
        with self.turn(node, template, scope):
            if self.stop.is_set():
                return self.ended(node, "Failed", "the run was stopped")
            if node.kind != "Pod":
                self.record.changed(node, phase="Running", started=time.time())
            try:
                getattr(self, f"_{kind}")(node, found, scope)
            except (InputError, BadExpressionError) as error:
                self.ended(node, "Error", str(error))
        return node

    @contextmanager
    def turn(self, node: Node, template: Object, scope: Scope) -> Iterator[None]:
        """Hold the template's mutexes: files below the home, so that runs in other processes wait too."""
        with ExitStack() as stack:
            for mutex in template.part("synchronization").parts("mutexes"):
                name = replace(str(mutex["name"]), scope)
                place = self.record.directory.parents[1] / "locks" / quote(name, safe="")
                place.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(place.open("a"))
                while not self.stop.is_set():
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if not node.message:
                            self.record.changed(node, message=f"waits for mutex {name}, which another run holds")
                        self.stop.wait(0.2)
                node.message = ""
            yield

    def ended(self, node: Node, phase: str, message: str = "") -> Node:
        """Note how a task ended; what it gives to the whole workflow goes there."""
        if node.kind == "Pod" and phase in BAD and self.failure is None and not node.path.startswith("onExit"):
            self.failure = node.exit_code or InputError.exit_code
        return self.record.changed(node, phase=phase, message=message, finished=time.time())

    # ── DAG ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _dag(self, node: Node, found: Found, scope: dict[str, str]) -> None:
        dag = _Dag(found, scope)
        for name, task in dag.tasks.items():
            template = task.get("template") or task.part("templateRef").get("template")
            path = f"{node.path}.{name}".lstrip(".")
            dag.nodes[name] = self.record.changed(Node(path, str(template), "Skipped"))
        with ThreadPoolExecutor(max(len(dag.tasks), 1)) as pool:
            while (ended := self._advance(dag, pool)) or dag.running:
                if not ended:
                    for future in wait(dag.running, return_when=FIRST_COMPLETED).done:
                        future.result()
                        ended.add(dag.running.pop(future))
                dag.collected |= ended
                for name in ended:
                    for key, value in self._outputs(dag, name).items():
                        scope[f"tasks.{name}.outputs.parameters.{key}"] = value
                    if (result := dag.nodes[name].result) is not None:
                        scope[f"tasks.{name}.outputs.result"] = result
                scope.update(self.scope)
        phase, message = dag_phase(dag.waits, dag.phases), ""
        if self.stop.is_set():
            phase, message = "Failed", "the run was stopped"
        elif phase == "Succeeded":
            self._give_inner(dag)
            try:
                node.outputs = outputs_of_dag(found.template, scope)
            except InputError as error:
                phase, message = "Error", str(error)
        self.ended(node, phase, message)

    def _advance(self, dag: _Dag, pool: ThreadPoolExecutor) -> set[str]:
        """Start the tasks whose turn it is; return those that ended at once: omitted, skipped, without a value."""
        ended: set[str] = set()
        started = set(dag.running.values())
        for name, task in dag.tasks.items():
            node, waits, condition = dag.nodes[name], dag.waits[name], dag.conditions[name]
            if node.phase != "Pending" or name in started or self.stop.is_set():
                continue
            if not waits <= dag.collected:
                continue
            if condition and not holds(condition, {before: dag.nodes[before].phase for before in waits}):
                self.ended(node, "Omitted", "its depends does not hold")
            elif (given := self._starts(node, task, dag.scope)) is not None:
                dag.running[pool.submit(self.use, dag.found.document, node.path, task, given)] = name
                continue
            ended.add(name)
        return ended

    def _outputs(self, dag: _Dag, name: str) -> dict[str, str]:
        """Return what the tasks after it read of a task that ended."""
        used = self.catalog.template(dag.found.document, dag.tasks[name])
        did_not_run = dag.nodes[name].phase in {"Skipped", "Omitted"}
        return outputs_of_skipped(used.template) if used and did_not_run else dag.nodes[name].outputs

    def _give_inner(self, dag: _Dag) -> None:
        """Return the whole workflow what DAGs in this DAG export; Argo does so when the outer one has succeeded."""
        for name, task in dag.tasks.items():
            used = self.catalog.template(dag.found.document, task)
            if used and dag.nodes[name].kind == "DAG":
                self._give(dag.nodes[name], used.template)

    def _starts(self, node: Node, task: Object, scope: Scope) -> dict[str, str] | None:
        """Return the arguments of a task to be started; end it where its ``when`` is not so or a value is missing."""
        try:
            if "when" in task and not when(condition := fill(str(task["when"]), scope)):
                self.ended(node, "Skipped", f"when {condition} does not hold")
                return None
            return arguments_of(task, scope)
        except (BadExpressionError, InputError) as error:
            self.ended(node, "Error", str(error))
            return None

    def _give(self, node: Node, template: Object) -> None:
        with self.lock:
            for parameter in template.part("outputs").parts("parameters"):
                if "globalName" in parameter and parameter["name"] in node.outputs:
                    name, value = str(parameter["globalName"]), node.outputs[str(parameter["name"])]
                    self.record.outputs[name] = value
                    self.scope[f"workflow.outputs.parameters.{name}"] = value

    # ── container and suspend ───────────────────────────────────────────────────────────────────────────────────────

    def _container(self, node: Node, found: Found, scope: dict[str, str]) -> None:
        template, strategy = found.template, found.template.part("retryStrategy")
        limit = int(str(strategy.get("limit", 1_000_000))) if strategy else 0
        with self.slots:
            for attempt in range(limit + 1):
                filled = scope | {"retries": str(attempt)}
                pod = _pod.prepare(template, self.record, node, filled, result=self.results)
                if attempt == 0:
                    node.inputs = pod.digest
                    if self._kept(node):
                        break
                phase, message = pod.run(self.stop)
                if phase == "Succeeded" or self.stop.is_set() or attempt == limit or not retried(strategy, node):
                    self.ended(node, phase, message)
                    break
                first, most = BACKOFF
                self.record.changed(node, phase="Pending", message=f"tries again after: {message}", progress="")
                self.stop.wait(min(first * 2**attempt, most))
        self._give(node, template)

    _script = _container

    def _kept(self, node: Node) -> bool:
        """Take over a task that succeeded in an earlier start of this run with the same inputs."""
        was = self.record.earlier.get(node.path)
        if not was or was.phase != "Succeeded" or was.inputs != node.inputs or node.path == "onExit":
            return False
        node.outputs, node.result, node.attempts = was.outputs, was.result, was.attempts
        node.started, node.finished = was.started, was.finished
        self.record.changed(node, phase="Succeeded", reused=True, exit_code=0)
        return True

    def _suspend(self, node: Node, found: Found, scope: dict[str, str]) -> None:
        """Ask on the terminal; where the template has a duration, go on by itself after it."""
        template = found.template
        duration = template.part("suspend").get("duration")
        until = time.monotonic() + seconds(str(duration)) if duration is not None else None
        wanted = [p for p in template.part("outputs").parts("parameters") if "supplied" in p.part("valueFrom")]
        if self.display.interactive:
            self._ask(node, template, scope, wanted, until)
        else:  # the walk before the run made sure that there is a duration
            self.stop.wait(max(0.0, (until or 0.0) - time.monotonic()))
            self.ended(node, *(("Failed", "the run was stopped") if self.stop.is_set() else ("Succeeded", "")))
        for parameter in wanted:
            source, name = parameter.part("valueFrom"), str(parameter["name"])
            default = source.get("default", scope.get(f"inputs.parameters.{name}"))
            if default is not None:
                node.outputs.setdefault(name, str(default))
        self._give(node, template)

    def _ask(self, node: Node, template: Object, scope: Scope, wanted: list[Object], until: float | None) -> None:
        inputs = {str(p["name"]): p for p in template.part("inputs").parts("parameters")}
        for parameter in wanted:
            name = str(parameter["name"])
            default = scope.get(f"inputs.parameters.{name}", "")
            choices = [str(choice) for choice in (inputs[name].get("enum") if name in inputs else None) or []]
            hint = "/".join(choices) + (f" ({default})" if default else "")
            while (answer := self.display.ask(f"{node.path}: {name}? {hint}", default, self.stop, until)) is not None:
                if not choices or answer in choices:
                    node.outputs[name] = answer
                    break
        answer = None if wanted else self.display.ask(f"{node.path}: go on? yes/no (no)", "no", self.stop, until)
        if self.stop.is_set():
            self.ended(node, "Failed", "the run was stopped")
        elif answer is not None and answer.lower() not in {"y", "yes"}:
            self.ended(node, "Failed", "refused on the terminal")
        else:
            self.ended(node, "Succeeded")
