"""The table of shapes says what Argo's own schema says of the same fields."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colchis_workflows._argo import shapes
from colchis_workflows._argo.documents import Object, parse
from colchis_workflows._argo.shapes import Scalar, Values, shaped

SCHEMAS = sorted((Path(__file__).parents[2] / "schemas").glob("argo-workflows-*.schema.json"))
Definitions = dict[str, Any]
PREFIX = "io.argoproj.workflow.v1alpha1."
ANY_STRINGS = {"value", "default", "enum"}  # the schema says string, Argo's decoder takes numbers too
# what the table has for another kind of use, or for another version of Argo
ELSEWHERE = {"source", "depends", "dependencies", "condition", "cap", "mutex", "semaphore", "schedule"}
NUMBERS_OR_TEXTS = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
}


def differences(
    shape: Any, schema: dict[str, Any], definitions: Definitions, where: str, seen: frozenset[int] = frozenset()
) -> Iterator[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = definitions[name] if name else schema
    kind = name or str(found.get("type"))
    if isinstance(shape, Scalar):
        fits = kind in NUMBERS_OR_TEXTS or shape.kinds[0] is {"string": str, "boolean": bool, "integer": int}.get(kind)
        if not fits and where.rpartition(".")[2].removesuffix("[]") not in ANY_STRINGS:
            yield f"{where}: {shape.what}, not {kind}"
    elif isinstance(shape, list):
        if "items" in found:
            yield from differences(shape[0], found["items"], definitions, f"{where}[]", seen)
        else:
            yield f"{where}: a list, not {kind}"
    elif isinstance(shape, Values):
        yield from differences(shape.of, found.get("additionalProperties", {}), definitions, f"{where}.*", seen)
    elif id(shape) not in seen:
        for key, inner in shape.items():
            field = key.rstrip("!")
            if field in found.get("properties", {}):
                below = seen | {id(shape)}
                yield from differences(inner, found["properties"][field], definitions, f"{where}.{field}", below)
            elif field not in ELSEWHERE:
                yield f"{where}.{field}: the schema has no such field"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("kind", "shape"), [("WorkflowSpec", shapes.SPEC), ("CronWorkflowSpec", shapes.CRON)])
def test_the_table_of_shapes_agrees_with_argos_schema(schema: Path, kind: str, shape: Any) -> None:
    definitions = json.loads(schema.read_text())["definitions"]
    assert list(differences(shape, {"$ref": f"#/definitions/{PREFIX}{kind}"}, definitions, kind)) == []


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
