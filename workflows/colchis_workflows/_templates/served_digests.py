"""Only what is registered serves, held by the API server: a kustomize component, for who may apply it.

``register`` writes the digest of each version's image into a ConfigMap that its account alone may change. A
ValidatingAdmissionPolicy (Kubernetes 1.30) lets only the rollout's account make what serves, and only from images
whose digest stands there. What serves is what has a version's label, by which Services find pods, or mounts an image.
"""

from typing import Any

from colchis_workflows._templates.admission import LABEL
from colchis_workflows.settings import Settings

Object = dict[str, Any]
NAME = "colchis-served"  # the policy, the ConfigMap and the Role
PUBLISH, ROLLOUT = "colchis-publish", "colchis-rollout"
KINDS = {
    "": ["pods"],
    "apps": ["daemonsets", "deployments", "replicasets", "statefulsets"],
    "serving.kserve.io": ["inferenceservices"],
}
VARIABLES = {
    "pod": "object.kind == 'Pod' ? object.spec : object.kind == 'InferenceService' ? object.spec.predictor : "
    "object.spec.template.spec",
    "about": "object.kind in ['Pod', 'InferenceService'] ? object.metadata : object.spec.template.metadata",
    "mounted": "variables.pod.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue(''))",
    "copiers": "variables.pod.?initContainers.orValue([]).filter(c, c.?args.orValue([]).exists(a, "
    "a.startsWith('--image=')))",
    "said": "[object.metadata, variables.about].map(m, m.?annotations[?'colchis.dev/image'].orValue(''))"
    ".filter(r, r != '')",
    "serves": "'colchis.dev/version' in variables.about.?labels.orValue({}) || size(variables.mounted) > 0",
}
BY_ROLLOUT = f"request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':{ROLLOUT}'"
BY_CONTROLLER = (  # what makes pods of a Deployment, and Deployments of an InferenceService
    "request.userInfo.username.startsWith('system:serviceaccount:kube-system:') || "
    "request.userInfo.username in ['system:kube-controller-manager', "
    "'system:serviceaccount:kserve:kserve-controller-manager']"
)
REGISTERED = "({0}.contains('@sha256:') && ('sha256-' + {0}.split('@sha256:')[1]) in params.?data.orValue({{}}))"


def component(settings: Settings) -> list[Object]:
    """Return the ConfigMap, who may change it, the policy and its binding."""
    copied = REGISTERED.format("a")
    validations = [
        (f"!variables.serves || {BY_ROLLOUT} || {BY_CONTROLLER}", f"only {ROLLOUT} serves a model here"),
        (
            "!variables.serves || size(variables.mounted) + size(variables.copiers) + size(variables.said) > 0",
            "what serves here names its model's image",
        ),
        (
            (
                f"!variables.serves || (variables.mounted + variables.said).all(r, {REGISTERED.format('r')}) && "
                f"variables.copiers.all(c, c.args.all(a, !a.startsWith('--image=') || {copied}))"
            ),
            f"the model's image is not among the digests that register wrote into the ConfigMap {NAME}",
        ),
    ]
    selector = {"namespaceSelector": {"matchLabels": {LABEL: "enforced"}}}
    rules = [
        {"apiGroups": [group], "apiVersions": ["*"], "resources": resources, "operations": ["CREATE", "UPDATE"]}
        for group, resources in KINDS.items()
    ]
    metadata = {"name": NAME, "labels": settings.object_labels(NAME)}
    admission = {"apiVersion": "admissionregistration.k8s.io/v1"}
    access = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    parameters = {"name": NAME, "parameterNotFoundAction": "Deny"}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata},
        access
        | {
            "kind": "Role",
            "metadata": metadata,
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": ["get", "patch"]}
            ],
        },
        access
        | {
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": PUBLISH}],
        },
        admission
        | {
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Fail",
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "matchConstraints": {"resourceRules": rules, **selector},
                "variables": [{"name": name, "expression": text} for name, text in VARIABLES.items()],
                "validations": [{"expression": text, "message": why} for text, why in validations],
            },
        },
        admission
        | {
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": NAME},
            "spec": {
                "policyName": NAME,
                "paramRef": parameters,
                "validationActions": ["Deny"],
                "matchResources": selector,
            },
        },
    ]
