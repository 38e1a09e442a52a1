"""The samples of docs/authentication.md, held against the fields that they use.

The kinds' own definitions are not copied here: FIELDS has, of each kind, what its reference page names and a sample may
need, so that a misspelt field or a value in the wrong place is found. https://istio.io/latest/docs/reference/config
/security and https://gateway.envoyproxy.io/docs/api/extension_types are the pages.
"""

from typing import Any

import jsonschema
import pytest
import yaml

from colchis_steps._manifests.deployment import Deployed, deployment
from colchis_steps._manifests.grpc_route import KIND
from colchis_steps._manifests.route import route_name
from colchis_workflows.render import MANIFESTS

Object = dict[str, Any]
TEXT: Object = {"type": "string", "minLength": 1}
TEXTS: Object = {"type": "array", "items": TEXT, "minItems": 1}


def fields(required: str, **properties: Object) -> Object:
    """Describe an object of these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def some(item: Object) -> Object:
    """Describe a list that is not empty."""
    return {"type": "array", "items": item, "minItems": 1}


PODS = fields("matchLabels", matchLabels={"type": "object", "additionalProperties": TEXT})
SOURCE = fields("", principals=TEXTS, requestPrincipals=TEXTS, namespaces=TEXTS, ipBlocks=TEXTS)
OPERATION = fields("", hosts=TEXTS, ports=TEXTS, methods=TEXTS, paths=TEXTS, notPaths=TEXTS)
RULE = fields(
    "", **{"from": some(fields("source", source=SOURCE)), "to": some(fields("operation", operation=OPERATION))}
)
ROUTES: Object = {"enum": ["HTTPRoute", KIND, "Gateway"]}
TARGET = fields("group kind name", group={"const": "gateway.networking.k8s.io"}, kind=ROUTES, name=TEXT)
PROVIDER = fields(
    "name remoteJWKS", name=TEXT, issuer=TEXT, audiences=TEXTS, remoteJWKS=fields("uri", uri={"pattern": "^https://"})
)
FIELDS = {
    "security.istio.io/v1 RequestAuthentication": fields(
        "jwtRules",
        selector=PODS,
        jwtRules=some(fields("issuer", issuer=TEXT, audiences=TEXTS, jwksUri={"pattern": "^https://"})),
    ),
    "security.istio.io/v1 AuthorizationPolicy": fields(
        "rules", selector=PODS, action={"enum": ["ALLOW", "DENY", "AUDIT", "CUSTOM"]}, rules=some(RULE)
    ),
    "gateway.envoyproxy.io/v1alpha1 SecurityPolicy": fields(
        "targetRefs", targetRefs=some(TARGET), jwt=fields("providers", providers=some(PROVIDER))
    ),
}


def read(name: str) -> list[Object]:
    return list(yaml.safe_load_all((MANIFESTS / "samples" / f"authentication-{name}.yaml").read_text()))


@pytest.mark.parametrize("name", ["gateway", "mesh"])
def test_a_sample_has_the_fields_of_its_kind(name: str) -> None:
    for document in read(name):
        assert document.keys() == {"apiVersion", "kind", "metadata", "spec"}
        schema = FIELDS[f"{document['apiVersion']} {document['kind']}"]
        jsonschema.Draft202012Validator(schema).validate(document["spec"])
        document["spec"]["rulez"] = []
        with pytest.raises(jsonschema.ValidationError, match="rulez"):
            jsonschema.Draft202012Validator(schema).validate(document["spec"])


def test_the_mesh_guards_the_pods_that_serve_and_leaves_their_probes_open() -> None:
    template = deployment(Deployed("digits", 1, "r", "image", "serve"), "{}")["spec"]["template"]
    for document in read("mesh"):
        assert document["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (opened,) = (rule["to"][0]["operation"]["paths"] for rule in read("mesh")[1]["spec"]["rules"] if "to" in rule)
    (server,) = template["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = server[probe]["httpGet"]["path"]
        assert any(path == one or path.startswith(one.removesuffix("*")) for one in opened)
    assert "/metrics" in opened


def test_the_gateway_guards_both_of_a_models_routes() -> None:
    targets = {(one["kind"], one["name"]) for one in read("gateway")[0]["spec"]["targetRefs"]}
    assert targets == {("HTTPRoute", route_name("digits")), ("GRPCRoute", route_name("digits"))}
