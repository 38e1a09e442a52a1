"""The table of shapes says what Argo's own schema says of the same fields."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colchis_workflows._argo import shapes
from colchis_workflows._argo.documents import Object, parse
from colchis_workflows._argo.shapes import Scalar, Values, shaped

SCHEMA = Path(__file__).parents[2] / "schemas" / "argo-workflows-3.7.1.schema.json"
DEFINITIONS = json.loads(SCHEMA.read_text())["definitions"]
PREFIX = "io.argoproj.workflow.v1alpha1."
ANY_STRINGS = {"value", "default", "enum"}  # the schema says string, Argo's decoder takes numbers too
ELSEWHERE = {"source", "depends", "dependencies", "condition", "cap"}  # a script's, a task's; of other versions of Argo
NUMBERS_OR_TEXTS = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
}


def wanted(schema: dict[str, Any]) -> tuple[Any, str]:
    """Return what a schema refers to, and its name where it has one."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return (DEFINITIONS[name] if name else schema), name


def differences(shape: Any, schema: dict[str, Any], where: str, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    found, name = wanted(schema)
    kind = name or found.get("type")
    if isinstance(shape, Scalar):
        fits = kind in NUMBERS_OR_TEXTS or shape.kinds[0] is {"string": str, "boolean": bool, "integer": int}.get(kind)
        if not fits and where.rpartition(".")[2].removesuffix("[]") not in ANY_STRINGS:
            yield f"{where}: {shape.what}, not {kind}"
    elif isinstance(shape, list):
        if "items" in found:
            yield from differences(shape[0], found["items"], f"{where}[]", seen)
        else:
            yield f"{where}: a list, not {kind}"
    elif isinstance(shape, Values):
        yield from differences(shape.of, found.get("additionalProperties", {}), f"{where}.*", seen)
    elif id(shape) not in seen:
        for key, inner in shape.items():
            field = key.rstrip("!")
            if field in found.get("properties", {}):
                yield from differences(inner, found["properties"][field], f"{where}.{field}", seen | {id(shape)})
            elif field not in ELSEWHERE:
                yield f"{where}.{field}: the schema has no such field"


@pytest.mark.parametrize(("kind", "shape"), [("WorkflowSpec", shapes.SPEC), ("CronWorkflowSpec", shapes.CRON)])
def test_the_table_of_shapes_agrees_with_argos_schema(kind: str, shape: Any) -> None:
    assert list(differences(shape, {"$ref": f"#/definitions/{PREFIX}{kind}"}, kind)) == []


def fitted(spec: str) -> tuple[Object, list[str]]:
    document = parse(f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {spec}\n", "a.yaml")[0]
    found, problems = shaped(document)
    return found.part("spec"), [f"{where}: {problem}" for _, where, problem, _ in problems]


@pytest.mark.parametrize(
    ("spec", "left", "problems"),
    [
        ("{entrypoint: a, onExit: ~}", {"entrypoint": "a"}, []),
        ("{entrypoint: [a]}", {}, ["spec.entrypoint: this has to be a text and is a list"]),
        ("{other: {a: [~]}}", {"other": {"a": [None]}}, []),
        ("[]", {}, ["spec: this has to be a mapping and is a list"]),
        (
            "{templates: [{name: a}, {name: ~}, {dag: {}}]}",
            {"templates": [{"name": "a"}]},
            ["spec.templates[1]: this has no name", "spec.templates[2]: this has no name"],
        ),
        (
            "{arguments: {parameters: [{name: a, value: 1e3}, {name: b, value: no}]}}",
            {"arguments": {"parameters": [{"name": "a", "value": "1000"}, {"name": "b", "value": "false"}]}},
            [],
        ),
        ("{parallelism: true}", {}, ["spec.parallelism: this has to be a whole number and is true"]),
    ],
)
def test_what_has_another_shape_is_reported_and_left_out(spec: str, left: Any, problems: list[str]) -> None:
    assert fitted(spec) == (left, problems)
