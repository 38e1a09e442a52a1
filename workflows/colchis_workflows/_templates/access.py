"""Who may do what: one ServiceAccount a privilege level, each with the least that its steps need, in one namespace.

``colchis-step``     Argo's own container of every pod: reports results. Steps get no token at all.
``colchis-train``    makes and follows a training's job: our image with a token, nothing of the user's.
``colchis-worker``   runs the user's code: no rights.
``colchis-adopt``    loads a model of somebody's and stores it as a candidate: no rights.
``colchis-evaluate`` judges: no rights, as it loads what was trained.
``colchis-prepare``  makes data of data by the user's command, which runs in a container without a key: no rights.
``colchis-batch``    predicts with published versions, of which each pod loads one: no rights.
``colchis-build``    runs kaniko as root; nothing more than a name that policies can tell apart.
``colchis-publish``  uploads and registers: a token for the cluster's optional list of model versions, and for notes on
                     kept jobs.
``colchis-rollout``  serves models: rollout and prune have a token.
"""

from typing import Any

from colchis_workflows.settings import Settings

Object = dict[str, Any]


JOBS = {  # what trains, by API group
    "batch": ["jobs"],
    "jobset.x-k8s.io": ["jobsets"],
    "kubeflow.org": ["pytorchjobs", "tfjobs"],
    "trainer.kubeflow.org": ["trainjobs"],
}
TOKENS = {"colchis-publish", "colchis-rollout", "colchis-train"}
# whose pods mount a key of the store: the accounts without "colchis-", and serving pods that keep requests
KEYS = ("step", "prepare", "worker", "adopt", "train", "evaluate", "batch", "build", "publish", "rollout", "serve")
RULES: dict[str, list[Object]] = {
    "colchis-step": [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
    ],
    "colchis-train": [
        *(
            {"apiGroups": [group], "resources": resources, "verbs": ["create", "delete", "get", "patch"]}
            for group, resources in (JOBS | {"trainer.kubeflow.org": ["trainingruntimes", "trainjobs"]}).items()
        ),
        {"apiGroups": [""], "resources": ["services"], "verbs": ["create", "get", "patch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ],
    "colchis-prepare": [],
    "colchis-worker": [],
    "colchis-adopt": [],
    "colchis-evaluate": [],
    "colchis-batch": [],
    "colchis-build": [],
    "colchis-publish": [
        {"apiGroups": ["colchis.dev"], "resources": ["modelversions"], "verbs": ["create", "get", "patch"]},
        # a job that is kept says which version it made
        *({"apiGroups": [group], "resources": resources, "verbs": ["patch"]} for group, resources in JOBS.items()),
    ],
    "colchis-rollout": [
        *(
            {"apiGroups": [group], "resources": [resource], "verbs": ["create", "delete", "get", "list", "patch"]}
            for group, resource in (
                ("apps", "deployments"),
                ("", "services"),
                ("serving.kserve.io", "inferenceservices"),
                ("gateway.networking.k8s.io", "grpcroutes"),
            )
        ),
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        *(
            {"apiGroups": [group], "resources": [resource], "verbs": ["create", "delete", "get", "patch"]}
            for group, resource in (
                ("gateway.networking.k8s.io", "httproutes"),
                ("policy", "poddisruptionbudgets"),
                ("autoscaling", "horizontalpodautoscalers"),
                ("apps", "daemonsets"),  # these two pull an image to the nodes before traffic comes
                ("apps.kruise.io", "imagepulljobs"),
            )
        ),
    ],
}


def accounts(settings: Settings) -> list[Object]:
    """Return the accounts, their Roles and bindings, and the token of Argo's own container."""
    return [item for name, rules in RULES.items() for item in _account(settings, name, rules)]


def _account(settings: Settings, name: str, rules: list[Object]) -> list[Object]:
    metadata = {"name": name, "labels": settings.object_labels(name)}
    # Argo 3.7 hands a template's automountServiceAccountToken to the pod only where that is false
    objects: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata,
            "automountServiceAccountToken": name in TOKENS,
        }
    ]
    if rules:
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
        objects += [
            api | {"kind": "Role", "metadata": metadata, "rules": rules},
            api
            | {
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", "name": name}],
            },
        ]
    if name == "colchis-step":  # Argo mounts it by this name where executor.serviceAccountName is set
        token = {**metadata, "name": f"{name}.service-account-token"}
        token["annotations"] = {"kubernetes.io/service-account.name": name}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": token}
        objects.append(secret | {"type": "kubernetes.io/service-account-token"})
    return objects
