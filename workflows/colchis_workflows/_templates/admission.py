"""What the accounts with a token may make, held by the API server: a kustomize component, for who may apply it.

A Role says of which kinds; these ValidatingAdmissionPolicies (Kubernetes 1.30) say what may stand in the objects. They
hold for the accounts with a token, in the namespaces that have the label. Policies belong
to the cluster, so an administrator of the cluster applies them.
"""

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]
LABEL = "colchis.dev/admission"  # of a namespace: enforced
ACCOUNTS = ("default", "colchis-worker", "colchis-batch")  # none has a token or a right
SECRETS = (
    "colchis-s3-worker",
    "colchis-s3-batch",
    "colchis-s3-serve",
    "colchis-registry",
    "colchis-tokens",
    "colchis-requests",
    "colchis-s3",
)
TRAIN = "colchis-train"
MAKERS = (TRAIN, "colchis-rollout", "colchis-publish")  # the accounts with a token
POD = "object.spec.template.spec"
REPLICAS = "object.spec.{0}.map(kind, object.spec.{0}[kind].template.spec)"
OURS = "{}.metadata.?labels['app.kubernetes.io/managed-by'].orValue('') == 'colchis'"
SHAPES = {  # policy: the kinds, and where their pods' specifications are
    "pods": ({"batch": ["jobs"], "apps": ["deployments", "daemonsets"]}, f"[{POD}]"),
    "jobsets": (
        {"jobset.x-k8s.io": ["jobsets"]},
        "object.spec.replicatedJobs.map(job, job.template.spec.template.spec)",
    ),
    "runtimes": (
        {"trainer.kubeflow.org": ["trainingruntimes"]},
        "object.spec.template.spec.replicatedJobs.map(job, job.template.spec.template.spec)",
    ),
    "tfjobs": ({"kubeflow.org": ["tfjobs"]}, REPLICAS.format("tfReplicaSpecs")),
    "pytorchjobs": ({"kubeflow.org": ["pytorchjobs"]}, REPLICAS.format("pytorchReplicaSpecs")),
    "models": ({"serving.kserve.io": ["inferenceservices"]}, "[object.spec.predictor]"),
}
PREDICTOR = (
    "has(object.spec.predictor.containers) && !has(object.spec.predictor.model) && "
    "!has(object.spec.predictor.workerSpec) && !has(object.spec.transformer) && !has(object.spec.explainer)"
)
CONTAINERS = "variables.specs.all(s, (s.containers + s.?initContainers.orValue([])).all(c, {}))"
NO_HOST = (
    "variables.specs.all(s, !s.?hostNetwork.orValue(false) && !s.?hostPID.orValue(false) && !s.?hostIPC.orValue(false))"
)
NO_PRIVILEGE = (
    "c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false && "
    "!c.?securityContext.?privileged.orValue(false) && "
    "size(c.?securityContext.?capabilities.?add.orValue([])) == 0 && "
    "c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)"
)
NAMED = (  # in a container's environment
    "c.?envFrom.orValue([]).all(e, !has(e.secretRef) || e.secretRef.name in variables.secrets) && "
    "c.?env.orValue([]).all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef) || "
    "e.valueFrom.secretKeyRef.name in variables.secrets)"
)
MOUNTED = (
    "variables.specs.all(s, s.?volumes.orValue([]).all(v, has(v.emptyDir) || has(v.image) || has(v.downwardAPI) || "
    "has(v.configMap) || (has(v.secret) && v.secret.?secretName.orValue('') in variables.secrets) || "
    "(has(v.projected) && v.projected.?sources.orValue([]).all(p, !has(p.serviceAccountToken) && "
    "(!has(p.secret) || p.secret.?name.orValue('') in variables.secrets)))) && "
    "s.?imagePullSecrets.orValue([]).all(p, p.?name.orValue('') in variables.secrets))"
)
ACCOUNT = (
    "variables.specs.all(s, s.?serviceAccountName.orValue('default') in variables.accounts && "
    "s.?serviceAccount.orValue('default') in variables.accounts && "
    "s.?automountServiceAccountToken.orValue(true) == false)"
)


def policies() -> list[Object]:
    """Return the policies with their bindings."""
    validations = [
        (ACCOUNT, f"pods made here have no token, and one of the accounts {', '.join(ACCOUNTS)}"),
        (NO_HOST, "pods made here share nothing with their node"),
        (CONTAINERS.format(NO_PRIVILEGE), "containers made here have no privilege, capability or port of the node"),
        (f"{MOUNTED} && {CONTAINERS.format(NAMED)}", f"pods made here name no Secret but {', '.join(SECRETS)}"),
    ]
    variables = {
        "accounts": _texts(ACCOUNTS),
        "secrets": _texts(SECRETS),
    }
    found = []
    for name, (kinds, specs) in SHAPES.items():
        more = [(PREDICTOR, "an InferenceService here is one pod of containers")] if name == "models" else []
        found += _policy(f"colchis-{name}", kinds, {"specs": specs} | variables, [*validations, *more])
    found += _policy(
        "colchis-trainjobs",
        {"trainer.kubeflow.org": ["trainjobs"]},
        {},
        [
            (
                (
                    "object.spec.runtimeRef.?kind.orValue('') == 'TrainingRuntime' && "
                    "object.spec.runtimeRef.name == object.metadata.name"
                ),
                "a TrainJob here runs the TrainingRuntime of its own name",
            ),
            (
                (
                    "!has(object.spec.podTemplateOverrides) && !has(object.spec.podSpecOverrides) && "
                    "!has(object.spec.runtimePatches) && !has(object.spec.initializer) && !has(object.spec.trainer.env)"
                ),
                "a TrainJob here adds nothing to its runtime's pods",
            ),
        ],
    )
    training = "{0}.metadata.?labels['app.kubernetes.io/name'].orValue('') == 'colchis-training'"
    own = "(oldObject == null || " + training.format("oldObject") + ") && " + training.format("object")
    selects = "has(object.spec.{0}) && size(object.spec.{0}{1}.filter(k, k == 'colchis.dev/training')) == 1"
    found += _policy(
        "colchis-training-services",
        {"": ["services"]},
        {},
        [
            (own, "colchis-train makes and changes Services of trainings alone"),
            (
                selects.format("selector", "") + " && object.spec.?clusterIP.orValue('') == 'None' && "
                "size(object.spec.?externalIPs.orValue([])) == 0",
                "a training's Service has no address of its own, and finds its workers",
            ),
        ],
        accounts=(TRAIN,),
    )
    found += _policy(
        "colchis-training-networks",
        {"networking.k8s.io": ["networkpolicies"]},
        {},
        [
            (own, "colchis-train makes and changes network policies of trainings alone"),
            (
                (
                    "has(object.spec.podSelector.matchLabels) && "
                    "'colchis.dev/training' in object.spec.podSelector.matchLabels"
                ),
                "a training's network policy is for its workers",
            ),
        ],
        accounts=(TRAIN,),
    )
    found += _policy(
        "colchis-services",
        {"": ["services"]},
        {},
        [
            (
                (
                    "object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && "
                    "size(object.spec.?externalIPs.orValue([])) == 0"
                ),
                "a Service here is an address of the cluster alone",
            )
        ],
    )
    deleted: dict[str, list[str]] = {}
    for kinds in (
        {"": ["services"]},
        {"gateway.networking.k8s.io": ["grpcroutes", "httproutes"]},
        *(kinds for kinds, _ in SHAPES.values()),
    ):
        for group, resources in kinds.items():
            deleted[group] = [*deleted.get(group, []), *resources]
    return found + _policy("colchis-deletions", deleted, {}, [], operations=("DELETE",))


def _policy(
    name: str,
    kinds: dict[str, list[str]],
    variables: dict[str, str],
    validations: Sequence[tuple[str, str]],
    *,
    accounts: Sequence[str] = MAKERS,
    operations: Sequence[str] = ("CREATE", "UPDATE"),
) -> list[Object]:
    users = ", ".join(f"'system:serviceaccount:' + request.namespace + ':{account}'" for account in accounts)
    rules = [
        {"apiGroups": [group], "apiVersions": ["*"], "resources": resources, "operations": list(operations)}
        for group, resources in kinds.items()
    ]
    ours = f"oldObject == null || ({OURS.format('oldObject')})"
    checks = [(ours, "what Colchis did not make is not its to change"), *validations]
    api = {"apiVersion": "admissionregistration.k8s.io/v1"}
    selector = {"namespaceSelector": {"matchLabels": {LABEL: "enforced"}}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules, **selector},
        "matchConditions": [{"name": "ours", "expression": f"request.userInfo.username in [{users}]"}],
        "variables": [{"name": key, "expression": expression} for key, expression in variables.items()],
        "validations": [{"expression": expression, "message": message} for expression, message in checks],
    }
    if not variables:
        del policy["variables"]
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": selector}
    metadata = {"metadata": {"name": name}}
    return [
        api | {"kind": "ValidatingAdmissionPolicy"} | metadata | {"spec": policy},
        api | {"kind": "ValidatingAdmissionPolicyBinding"} | metadata | {"spec": binding},
    ]


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(repr(value) for value in values)}]"
