"""The pipeline agrees with itself: each tag and reference leads somewhere, in the plain subset of Argo."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from colchis_workflows import prepare, render
from colchis_workflows._argo.literal import literal_input
from colchis_workflows._argo.tags import tags
from colchis_workflows._templates.parameters import PARAMETERS
from colchis_workflows.settings import Settings

Object = dict[str, Any]
SETTINGS = Settings()
DOCUMENTS = {found["metadata"]["name"]: found for found in render.objects(SETTINGS)}
TEMPLATES: dict[tuple[str, str], Object] = {
    (name, template["name"]): template
    for name, document in DOCUMENTS.items()
    for template in document["spec"].get("templates", [])
}
ARGUMENTS = [
    *(
        "model",
        "data",
        "only-new-data",
        "rules",
        "schema",
        "reference",
        "prepare",
        "store",
        "code",
        "entry",
        "hyperparameters",
        "backend",
        "workers",
        "job-options",
        "thresholds",
        "metrics",
        "first-model",
    ),
    *(
        "plain-prefix",
        "builder",
        "repository",
        "target",
        "runtime",
        "steps",
        "serve-image",
        "serve-options",
        "model-volume",
        "preheat",
        "approval",
        "tolerances",
        "fail-on-reject",
        "train-image",
    ),
]
GLOBALS = {
    "workflow.labels.json",
    "workflow.uid",
    "workflow.name",
    "workflow.namespace",
    "workflow.status",
    "workflow.failures",
}
WAIT = re.compile(r"(?<![\w.-])[a-z][a-z-]*")
TAG = re.compile(r"\{\{(.*?)\}\}")
every_template = pytest.mark.parametrize("where", TEMPLATES, ids="/".join)


def _uses(document: Object) -> Iterator[Object]:
    """Yield what runs a template: tasks and the exit hook."""
    yield from document["spec"].get("hooks", {}).values()
    for template in document["spec"].get("templates", []):
        yield from template.get("dag", {}).get("tasks", [])


def _target(document: Object, use: Object) -> Object:
    reference: Object = use.get("templateRef", {"name": document["metadata"]["name"], "template": use.get("template")})
    name = "colchis-prepare" if reference["name"] == prepare.OWN else reference["name"]
    return TEMPLATES[name, reference["template"]]


USES = [(document, use) for document in DOCUMENTS.values() for use in _uses(document)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from _strings(part)


def test_the_pipeline_takes_exactly_the_shared_arguments() -> None:
    given = DOCUMENTS["colchis-pipeline"]["spec"]["arguments"]["parameters"]
    assert [argument["name"] for argument in given] == ARGUMENTS
    assert all("value" in argument for argument in given), "an argument without a default"


def test_the_global_outputs_are_the_shared_ones() -> None:
    names = [o.get("globalName") for t in TEMPLATES.values() for o in t.get("outputs", {}).get("parameters", [])]
    assert sorted(filter(None, names)) == ["digest", "endpoint", "summary", "verdict", "verdict", "verdict", "version"]


def test_every_parameter_has_a_text_and_its_default_is_one_of_its_choices() -> None:
    for document in DOCUMENTS.values():
        for argument in document["spec"].get("arguments", {}).get("parameters", []):
            assert len(argument["description"]) > 10
            assert "enum" not in argument or argument["value"] in argument["enum"]
    used = {p["name"] for t in TEMPLATES.values() for p in t.get("inputs", {}).get("parameters", [])}
    assert used == PARAMETERS.keys() | {"approve", "report"}  # of the one question that a run asks


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_has_title_description_and_labels(name: str) -> None:
    metadata = DOCUMENTS[name]["metadata"]
    assert metadata["annotations"]["workflows.argoproj.io/title"]
    assert metadata["annotations"]["workflows.argoproj.io/description"]
    assert metadata["labels"]["app.kubernetes.io/part-of"] == "colchis"
    assert metadata["labels"]["app.kubernetes.io/version"] == SETTINGS.tag


@pytest.mark.parametrize(("document", "use"), USES, ids=[str(use.get("name", "exit")) for _, use in USES])
def test_each_reference_leads_to_a_template_and_hands_it_its_inputs(document: Object, use: Object) -> None:
    inputs = {p["name"]: "default" in p for p in _target(document, use).get("inputs", {}).get("parameters", [])}
    given = {argument["name"] for argument in use["arguments"]["parameters"]}
    assert given <= inputs.keys()
    assert {name for name, has_default in inputs.items() if not has_default} <= given


def test_the_cron_job_runs_the_pipeline_and_whether_it_is_suspended_is_for_argo_cron_to_say() -> None:
    spec = DOCUMENTS["colchis-retrain"]["spec"]
    given = spec["workflowSpec"].pop("arguments")["parameters"]
    assert {argument["name"]: argument["value"] for argument in given}["only-new-data"] == "true"
    assert {argument["name"] for argument in given} <= set(ARGUMENTS)
    assert spec["workflowSpec"] == {"workflowTemplateRef": {"name": "colchis-pipeline"}}
    assert "suspend" not in spec
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["schedules"]
    assert spec["timezone"]
    assert spec["startingDeadlineSeconds"] > 0
    assert "schedule" not in spec


@every_template
def test_each_tag_resolves(where: tuple[str, str]) -> None:
    document, template = DOCUMENTS[where[0]], TEMPLATES[where]
    arguments = {f"workflow.parameters.{p['name']}" for p in document["spec"]["arguments"]["parameters"]}
    inputs = {f"inputs.parameters.{p['name']}" for p in template.get("inputs", {}).get("parameters", [])}
    outputs = {
        f"outputs.{kind}.{output['name']}.path"
        for kind, found in template.get("outputs", {}).items()
        for output in found
    }
    tasks = {
        f"tasks.{task['name']}.outputs.parameters.{output['name']}"
        for task in template.get("dag", {}).get("tasks", [])
        for output in _target(document, task).get("outputs", {}).get("parameters", [])
    }
    known = arguments | inputs | outputs | tasks | GLOBALS
    read = [tag for text in _strings(template) if text != prepare.OWN for tag in TAG.findall(text)]
    assert {f"inputs.parameters.{literal_input(tag)}" if literal_input(tag) else tag for tag in read} <= known


def _before(name: str, tasks: dict[str, Object]) -> set[str]:
    """Return all tasks that a task waits for, directly or not."""
    found = set(WAIT.findall(tasks[name].get("depends", "")))
    return found.union(*(_before(before, tasks) for before in found))


@every_template
def test_a_failed_run_can_be_retried_from_each_pod(where: tuple[str, str]) -> None:
    """What `argo retry` of Argo 3.7.18 needs.

    From a failed pod it walks up to the first DAG, which it takes for the one that the pod is in; one before the pod
    would stay Running. And what waits for a DAG comes after its targets; of these a stopped DAG may lack the last.
    """
    document, tasks = DOCUMENTS[where[0]], {t["name"]: t for t in TEMPLATES[where].get("dag", {}).get("tasks", [])}
    dags = {name for name, task in tasks.items() if "dag" in _target(document, task)}
    for name, task in tasks.items():
        waits = set(WAIT.findall(task.get("depends", "")))
        assert name in dags or not dags & _before(name, tasks), name
        for dag in (_target(document, tasks[before])["dag"] for before in waits & dags):
            assert set(dag.get("target", "").split()) == {found["name"] for found in dag["tasks"]}, name


@every_template
def test_a_task_reads_only_tasks_that_it_waits_for_and_that_are_not_skipped(where: tuple[str, str]) -> None:
    tasks = {task["name"]: task for task in TEMPLATES[where].get("dag", {}).get("tasks", [])}
    for task in tasks.values():
        waits = _before(task["name"], tasks)
        read = {tag.split(".")[1] for text in _strings(task) for tag in TAG.findall(text) if tag.startswith("tasks.")}
        assert read <= waits
        for name in read:
            sure = f"{name}.Succeeded" in task.get("depends", "").split(" && ")
            assert sure or tasks[name].get("when") in {None, task.get("when")}, name


@every_template
def test_a_template_keeps_to_the_plain_subset(where: tuple[str, str]) -> None:
    template = TEMPLATES[where]
    kinds = {"dag", "container", "suspend", "script", "steps", "resource", "data", "http", "plugin", "containerSet"}
    (kind,) = kinds & template.keys()
    assert kind in {"dag", "container", "suspend"}
    said = [text for text in _strings(template) if text != prepare.OWN]
    assert not [tag for text in said for tag in tags(text) if tag[0] == "=" and not literal_input(tag)]
    for task in template.get("dag", {}).get("tasks", []):
        assert task.keys() <= {"name", "template", "templateRef", "arguments", "depends", "when"}
        assert re.fullmatch(r"\S+ (==|!=) \S+", task.get("when", "a == b"))
    for output in template.get("outputs", {}).get("parameters", []):
        assert "default" in output["valueFrom"]


def test_what_ended_goes_and_the_pods_of_a_failed_run_stay_with_it() -> None:
    spec = DOCUMENTS["colchis-pipeline"]["spec"]
    assert spec["podGC"]["strategy"] == "OnWorkflowSuccess"
    kept = spec["ttlStrategy"]
    assert 0 < kept["secondsAfterSuccess"] < kept["secondsAfterFailure"]
    assert spec["activeDeadlineSeconds"] > 0


def test_the_retry_strategy_is_one_and_the_same() -> None:
    strategies = {where: template["retryStrategy"] for where, template in TEMPLATES.items() if "container" in template}
    early = [strategies.pop(where) for where, template in TEMPLATES.items() if "initContainers" in template]
    shared = next(iter(strategies.values()))
    assert all(strategy == shared for strategy in strategies.values())
    assert shared["expression"] == "lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '64', '75', '143']"
    assert shared["retryPolicy"] == "Always"
    for strategy in early:  # and not what an init container refused
        assert strategy["expression"].startswith(f"({shared['expression']}) && !(")


@every_template
def test_each_image_is_known(where: tuple[str, str]) -> None:
    template = TEMPLATES[where]
    containers = [*([template["container"]] if "container" in template else []), *template.get("initContainers", [])]
    known = {SETTINGS.image("steps"), SETTINGS.image("data"), "{{inputs.parameters.train-image}}", SETTINGS.kaniko}
    known |= {SETTINGS.image("train")} if where[0] in {"colchis-adopt", "colchis-prepare"} else set()
    known |= {SETTINGS.image("serve")} if where[0] == "colchis-batch" else set()
    for container in containers:
        assert container["image"] in known or container.get("name") == "ask"


@every_template
def test_whoever_has_a_token_or_judges_runs_our_image(where: tuple[str, str]) -> None:
    """A submitter names the image that trains, and no other that could do more than that."""
    template = TEMPLATES[where]
    if template.get("automountServiceAccountToken") or where[0] == "colchis-evaluate":
        for container in [template["container"], *template.get("initContainers", [])]:
            if (where[0], container.get("name")) == ("colchis-evaluate", "measure"):  # the user's program; see below
                continue
            assert container["image"] in {SETTINGS.image(name) for name in ("steps", "data", "train")}


def test_the_container_that_loads_a_model_has_no_key() -> None:
    template = TEMPLATES["colchis-evaluate", "evaluate"]
    fetch, ask, _ = template["initContainers"]
    assert (fetch["name"], ask["name"]) == ("fetch", "ask")
    assert ask["image"] == SETTINGS.image("train")
    assert "envFrom" not in ask
    secret = {v["name"] for v in template["volumes"] if "emptyDir" not in v}
    assert not secret & {mount["name"] for mount in ask["volumeMounts"]}
    assert {m["name"] for m in ask["volumeMounts"] if not m.get("readOnly")} == {"answers", "ask"}
    assert "tmp" not in {mount["name"] for mount in ask["volumeMounts"]}, "outputs are read from there"


def test_metrics_of_the_users_run_without_a_key_and_write_nothing_but_their_numbers() -> None:
    template = TEMPLATES["colchis-evaluate", "evaluate"]
    measure = template["initContainers"][2]
    assert (measure["name"], measure["image"]) == ("measure", "{{inputs.parameters.train-image}}")
    assert "envFrom" not in measure
    assert measure["securityContext"] == template["container"]["securityContext"]
    secret = {v["name"] for v in template["volumes"] if "emptyDir" not in v}
    assert not secret & {mount["name"] for mount in measure["volumeMounts"]}
    assert {m["name"] for m in measure["volumeMounts"] if not m.get("readOnly")} == {"measured", "measure"}
    judge = {mount["name"]: mount.get("readOnly") for mount in template["container"]["volumeMounts"]}
    assert judge["measured"] is judge["answers"] is judge["given"] is True
    assert "measure" not in judge, "its scratch is no place that the judge sees"


def test_only_publish_takes_turns_and_only_for_its_model() -> None:
    locked = {where: t["synchronization"] for where, t in TEMPLATES.items() if "synchronization" in t}
    expected = {"mutexes": [{"name": "colchis-{{inputs.parameters.model}}"}]}
    assert locked == {("colchis-pipeline", "publish"): expected}
