"""``colchis lint`` and the checks before ``colchis run`` end with findings or a sentence, whatever YAML they get."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from colchis_workflows import lint
from colchis_workflows._argo.arguments import settle
from colchis_workflows._argo.catalog import Catalog, spec_of
from colchis_workflows._argo.documents import Object, parse
from colchis_workflows._argo.errors import CommandError
from colchis_workflows._engine.subset import Walk

HERE = Path(__file__).parent
SCHEMA = min((HERE.parent / "schemas").glob("argo-workflows-*.schema.json"))
PREFIX = "io.argoproj.workflow.v1alpha1."
KINDS = ["Workflow", "WorkflowTemplate", "CronWorkflow"]
FILES = sorted(file for folder in ("lint", "dags") for file in (HERE / folder).glob("*.yaml"))
ROOTS = [document for file in FILES for document in yaml.safe_load_all(file.read_text())]

WORDS = [
    "",
    "main",
    "a",
    "{{item}}",
    "{{=",
    "{{= a.b }}",
    "{{tasks.a.outputs.parameters.x}}",
    "a && (b",
    "'",
    "* * * *",
    "1e3",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.just(10**400)
    | st.just(0.5)
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "x", "template"]) | SCALARS.filter(lambda key: key is not None), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each node below a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(path for key, item in inner for path in paths(item, (*above, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a tree with another node at a place."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(item, path[1:], new) if key == path[0] else item for key, item in value.items()}
    return [replaced(item, path[1:], new) if place == path[0] else item for place, item in enumerate(value)]


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """Draw one of the example documents with up to three nodes replaced by anything."""
    document = draw(st.sampled_from(ROOTS))
    for _ in range(draw(st.integers(1, 3))):
        places = paths(document)
        document = replaced(document, draw(st.sampled_from(places)), draw(VALUES))
    return document


@st.composite
def by_schema(draw: st.DrawFn, schema: Any, definitions: Any, depth: int = 0) -> Any:
    """Draw a document of a JSON schema, with a tenth of its nodes of another kind."""
    if depth > 9 or draw(st.integers(0, 9)) == 0:
        return draw(SCALARS)
    if "$ref" in schema:
        return draw(by_schema(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth))
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        wanted = set(schema.get("required", []))
        chosen = sorted(wanted | set(draw(st.lists(st.sampled_from(sorted(schema["properties"])), max_size=5))))
        return {key: draw(by_schema(schema["properties"][key], definitions, depth + 1)) for key in chosen}
    if kind == "object":
        inner = by_schema(schema.get("additionalProperties", {}), definitions, depth + 1)
        return draw(st.dictionaries(st.sampled_from(WORDS), inner, max_size=2))
    if kind == "array":
        return draw(st.lists(by_schema(schema["items"], definitions, depth + 1), max_size=2))
    return draw(st.sampled_from(WORDS) if kind == "string" else st.booleans() if kind == "boolean" else SCALARS)


@pytest.fixture(scope="module")
def definitions() -> Any:
    return json.loads(SCHEMA.read_text())["definitions"]


def judge(text: str) -> None:
    """Lint a YAML text, and go through it as ``colchis run`` does; either may find what it wants."""
    try:
        documents = parse(text, "any.yaml")
    except CommandError as error:
        assert str(error).startswith("any.yaml:")  # noqa: PT017 - there is no error where the text is YAML
        return
    for finding in lint.lint(documents):
        assert finding.line > 0
        assert str(finding).startswith("any.yaml:")
    catalog = Catalog(documents)
    for document in catalog.documents:
        _go_through(catalog, document)


def _go_through(catalog: Catalog, document: Object) -> None:
    try:
        catalog.check()
        if spec_of(document).get("entrypoint"):
            arguments = settle(document, {}, {})
            Walk(catalog, document, {f"workflow.parameters.{k}": v for k, v in arguments.items()}).check()
    except CommandError as error:
        assert str(error)  # noqa: PT017 - a refusal is as good as none


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(mutants())
@example({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"entrypoint": ["x"]}})
@example({"apiVersion": "argoproj.io/v1alpha1", "kind": ["Workflow"], "spec": {}})
def test_no_change_to_an_example_is_a_crash(document: Any) -> None:
    judge(yaml.safe_dump(document, allow_unicode=True))


@settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_no_document_of_argos_schema_is_a_crash(definitions: Any, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    document = data.draw(by_schema({"$ref": f"#/definitions/{PREFIX}{kind}"}, definitions))
    if isinstance(document, dict):
        document |= {"apiVersion": "argoproj.io/v1alpha1", "kind": kind}
    judge(yaml.safe_dump(document, allow_unicode=True))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:-{}[]&*!<'\"\n |>?%@`#,0.~", max_size=60))
def test_no_text_is_a_crash(text: str) -> None:
    judge(f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  {text}")
