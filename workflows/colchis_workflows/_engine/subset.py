"""The part of Argo that a local run has; all else is refused by name before anything runs.

What only says where and how a pod runs (images, accounts, resources, volumes) has no meaning for a process and is
passed over. Templates that the given arguments keep from running, as a ``when`` on them does, may hold anything.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping

from colchis_workflows._argo.catalog import Catalog, Found, spec_of
from colchis_workflows._argo.conditions import ancestors, depends, depends_text, retry
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.grammars import BadExpressionError
from colchis_workflows._argo.literal import literal_input
from colchis_workflows._argo.tags import TAG, replace, tags, texts
from colchis_workflows._argo.when import parse, when
from colchis_workflows._engine.scopes import named

POD = {"affinity", "automountServiceAccountToken", "executor", "nodeSelector", "podPriorityClassName", "podSpecPatch"}
POD |= {"priorityClassName", "schedulerName", "securityContext", "serviceAccountName", "tolerations", "volumes"}
POD |= {"hostAliases", "hostNetwork", "imagePullSecrets", "metrics", "podMetadata", "workflowMetadata", "metadata"}
POD |= {"activeDeadlineSeconds", "archiveLogs", "archiveLocation", "artifactGC", "artifactRepositoryRef", "podGC"}
POD |= {"dnsConfig", "dnsPolicy", "podDisruptionBudget", "priority", "ttlStrategy"}
SPEC = POD | {"arguments", "entrypoint", "hooks", "onExit", "parallelism", "synchronization", "templates"}
TEMPLATE = POD | {"name", "inputs", "outputs", "dag", "container", "script", "suspend", "retryStrategy"}
TEMPLATE |= {"synchronization", "initContainers"}
TASK = {"name", "template", "templateRef", "arguments", "depends", "dependencies", "when"}
CONTAINER = {"name", "image", "command", "args", "env", "envFrom", "imagePullPolicy", "ports", "resources"}
CONTAINER |= {"securityContext", "volumeMounts"}
SCRIPT = CONTAINER - {"args"} | {"source"}
PARAMETER = {"name", "value", "default", "enum", "description", "globalName", "valueFrom"}
RETRY = {"limit", "retryPolicy", "expression", "backoff"}
SOURCE = {"path", "default", "parameter", "supplied"}
KINDS = ("dag", "container", "script", "suspend")
PYTHON = {"python", "python3"}


def _refuse(where: Object, name: str, what: str, do: str = "run it on Argo") -> InputError:
    return InputError(f"{where.file}:{where.line}: {name} {what}; {do}")


def _only(part: Object, allowed: set[str], name: str, prefix: str = "") -> None:
    for key in part:
        if key not in allowed:
            raise _refuse(part, name, f"uses {prefix}{key}, which a local run does not have")


def program(container: Object) -> str | None:
    """Return where a container's program is on this machine; ``python`` is the one that runs this."""
    command = container.get("command") or [""]
    return sys.executable if command[0] in PYTHON else shutil.which(command[0]) if command[0] else None


def _program(template: Object, name: str) -> None:
    kinds = (template.part(kind) for kind in ("container", "script") if kind in template)
    for container in (*kinds, *template.parts("initContainers")):
        command = container.get("command", ())
        if program(container) is None and not (command and tags(command[0])):
            do = "use --set builder=direct" if "kaniko" in " ".join(command) else "install it, or run it on Argo"
            what = f"runs {command[0]!r}, which is not on this machine" if command else "runs its image's own command"
            raise _refuse(container, name, what, do if command else "name the command, or run it on Argo")


def _expressions(template: Object, name: str) -> None:
    """Refuse expressions, but that by which a container gets an input as it is, and those that name a template."""
    containers = [template.part("container"), *template.parts("initContainers")]
    allowed = {word for one in containers for key in ("command", "args") for word in one.get(key) or []}
    allowed |= {str(variable.get("value")) for one in containers for variable in one.parts("env")}
    names = {str(task.part("templateRef").get("name")) for task in template.part("dag").parts("tasks")}
    for text, line in texts(template):
        if text in names:
            continue
        if any(tag.startswith("=") and not (text in allowed and literal_input(tag)) for tag in tags(text)):
            raise InputError(
                f"{template.file}:{line}: {name} uses {{{{= }}}}, which a local run does not have; run it on Argo"
            )


class Walk:
    """Goes through all that a run may come to, with what is known of its arguments beforehand."""

    def __init__(self, catalog: Catalog, document: Object, scope: Mapping[str, str]) -> None:
        self.catalog = catalog
        self.document = document
        self.scope = dict(scope)
        self.asks: list[str] = []  # the suspend templates that ask on the terminal
        self._inside: list[tuple[str, str]] = []

    def check(self) -> None:
        """Go through the workflow.

        Raises:
            InputError: it needs what a local run does not have, or names what is not there.
        """
        spec = spec_of(self.document)
        name = f"workflow {self.document.part('metadata').get('name', '')!s}".strip()
        _only(spec, SPEC, name)
        _only(spec.part("hooks"), {"exit"}, name, "hook ")
        arguments = {
            str(p["name"]): self.scope.get(f"workflow.parameters.{p['name']}", "")
            for p in spec.part("arguments").parts("parameters")
        }
        entry = spec.part("")
        entry["template"] = spec.get("entrypoint")
        for use in (entry, *exit_hooks(spec)):
            given = {str(p["name"]): str(p.get("value", "")) for p in use.part("arguments").parts("parameters")}
            found = self.catalog.template(self.document, use)
            if found is None:
                wanted = use.get("template") or use.get("templateRef")
                raise _refuse(
                    spec, name, f"starts template {wanted!r}, which is not there", "name one that is, with -f too"
                )
            self._template(found, arguments | {k: replace(v, self.scope) for k, v in given.items()})

    def _template(self, found: Found, given: Mapping[str, str]) -> None:
        template = found.template
        name = f"template {template.get('name')}"
        key = (str(found.document.file), str(template.get("name")))
        if key in self._inside:
            raise _refuse(template, name, "comes back to itself, which a local run does not have")
        _program(template, name)
        _only(template, TEMPLATE, name)
        kinds = [kind for kind in KINDS if kind in template]
        if len(kinds) != 1:
            raise _refuse(template, name, f"has {len(kinds)} of {', '.join(KINDS)}; it must have one", "mend it")
        scope = dict(self.scope)
        for parameter in template.part("inputs").parts("parameters"):
            _only(parameter, PARAMETER - {"valueFrom", "globalName"}, name, "input ")
            value = given.get(str(parameter["name"]), parameter.get("value", parameter.get("default")))
            if value is None:
                raise _refuse(parameter, name, f"is not given its input {parameter['name']!r}", "give it an argument")
            scope[f"inputs.parameters.{parameter['name']}"] = str(value)
        _only(template.part("inputs"), {"parameters"}, name, "input ")
        _only(template.part("outputs"), {"parameters", "artifacts"}, name, "output ")
        for parameter in template.part("outputs").parts("parameters"):
            _only(parameter, PARAMETER, name, "output ")
            _only(parameter.part("valueFrom"), SOURCE, name, "output valueFrom.")
        _only(template.part("synchronization"), {"mutexes"}, name, "synchronization.")
        _expressions(template, name)
        self._inside.append(key)
        getattr(self, f"_{kinds[0]}")(found, name, scope)
        self._inside.pop()

    def _dag(self, found: Found, name: str, scope: Mapping[str, str]) -> None:
        dag = found.template.part("dag")
        _only(dag, {"tasks", "failFast", "target"}, name, "dag.")
        if "retryStrategy" in found.template:
            raise _refuse(found.template, name, "tries a DAG again, which a local run does not have")
        tasks = {str(task.get("name")): task for task in dag.parts("tasks")}
        waits: dict[str, set[str]] = {}
        for own, task in tasks.items():
            _only(task, TASK, f"{name}, task {own},")
            try:
                waits[own] = depends(depends_text(task))[0]
            except BadExpressionError as error:
                raise _refuse(
                    task, f"{name}, task {own},", f"has a depends that is none: {error}", "mend it"
                ) from error
            if absent := waits[own] - tasks.keys():
                raise _refuse(
                    task, f"{name}, task {own},", f"depends on {min(absent)!r}, which is not there", "mend it"
                )
        targets = set(str(dag.get("target") or " ".join(tasks)).split())
        if left_out := tasks.keys() - targets - set().union(*waits.values()):
            raise _refuse(dag, name, f"has a target without {min(left_out)!r}, and a local run has all tasks")
        before = ancestors(waits)
        for own, task in tasks.items():
            if own in before[own]:
                raise _refuse(task, f"{name}, task {own},", "waits for itself", "cut the circle")
            self._task(found, f"{name}, task {own},", task, scope, before[own])

    def _task(self, found: Found, name: str, task: Object, scope: Mapping[str, str], before: set[str]) -> None:
        for text, line in texts(task):
            for tag in tags(text):
                if tag.startswith("tasks.") and tag.split(".")[1] not in before:
                    raise InputError(
                        f"{task.file}:{line}: {name} reads {{{{{tag}}}}} but does not wait for that task; "
                        "add it to depends"
                    )
        condition = replace(task.get("when", "true"), scope)
        try:
            if TAG.search(condition):
                parse(TAG.sub("a", condition))
            elif not when(condition):
                return
        except BadExpressionError as error:
            raise _refuse(task, name, f"has a when that is not a condition: {error}", "mend it") from error
        try:  # what an input gets from a task is not known yet, and its tag no value
            task = named(task, {key: value for key, value in scope.items() if not TAG.search(value)})
        except InputError as error:
            raise _refuse(
                task, name, f"names its template by what is not known before the run: {error}", "use the DAG's inputs"
            ) from error
        used = self.catalog.template(found.document, task)
        if used is None:
            wanted = task.get("template") or "/".join(map(str, task.part("templateRef").values()))
            raise _refuse(task, name, f"uses template {wanted!r}, which is not there", "name one that is, with -f too")
        given = {}
        for parameter in task.part("arguments").parts("parameters"):
            _only(parameter, {"name", "value"}, name, "argument ")
            given[str(parameter["name"])] = replace(str(parameter.get("value")), scope)
        _only(task.part("arguments"), {"parameters"}, name, "argument ")
        self._template(used, given)

    def _script(self, found: Found, name: str, scope: Mapping[str, str]) -> None:
        _only(found.template.part("script"), SCRIPT, name, "script.")
        self._container(found, name, scope)

    def _container(self, found: Found, name: str, _: Mapping[str, str]) -> None:
        container = found.template.part("script" if "script" in found.template else "container")
        strategy = found.template.part("retryStrategy")
        if "container" in found.template:
            _only(container, CONTAINER, name, "container.")
        for first in found.template.parts("initContainers"):
            _only(first, CONTAINER, name, "initContainers.")
        _only(strategy, RETRY, name, "retryStrategy.")
        if strategy and not str(strategy.get("limit", "0")).isdecimal():
            raise _refuse(
                strategy, name, f"has retryStrategy.limit {strategy['limit']!r}, which is not a number", "mend it"
            )
        try:
            retry(str(strategy.get("expression", "true")), "Failed", 75)
        except (BadExpressionError, ValueError) as error:
            raise _refuse(strategy, name, f"has a retryStrategy that a local run does not have: {error}") from error
        paths = [str(p.part("valueFrom").get("path")) for p in found.template.part("outputs").parts("parameters")]
        for text, line in texts(container):
            if literal := next((path for path in paths if len(path) > 1 and path in text), None):
                raise InputError(
                    f"{container.file}:{line}: {name} writes {literal} by its literal path; "
                    "write {{outputs.parameters.NAME.path}}, which is right everywhere"
                )

    def _suspend(self, found: Found, name: str, _: Mapping[str, str]) -> None:
        suspend = found.template.part("suspend")
        _only(suspend, {"duration"}, name, "suspend.")
        if "duration" not in suspend:
            self.asks.append(name)


def exit_hooks(spec: Object) -> Iterator[Object]:
    """Return what a workflow runs at its end, as something with a ``template`` or ``templateRef``."""
    if "onExit" in spec:
        hook = spec.part("")
        hook["template"] = spec["onExit"]
        yield hook
    elif "exit" in spec.part("hooks"):
        yield spec.part("hooks").part("exit")
