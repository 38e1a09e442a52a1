"""What ``doctor`` finds out about a cluster: facts, without a judgement.

Reads only; a pod with an image volume is sent as a dry run, which the API server checks and forgets.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from colchis_steps._formats.identities import IDENTITIES, SECRET
from colchis_steps._formats.steps import BESIDE, CHAIN, template_name
from colchis_steps._kube.api import NAMES_ONLY, Answer, Api
from colchis_steps._manifests.objects import KINDS, LABEL_MODEL
from colchis_steps._manifests.questions import AUTHORIZATION, account_s_rights, image_volume_pod, own_rights
from colchis_steps._manifests.training import KINDS as TRAINERS

TEMPLATES = ("colchis-pipeline", *map(template_name, sorted({*CHAIN, *BESIDE})))
ARGO = "argoproj.io"
ROUTES = "gateway.networking.k8s.io"
KSERVE = "serving.kserve.io"


Right = tuple[str, str, str]  # verb, API group, resource


SUBMITTER: tuple[Right, ...] = (
    ("create", ARGO, "workflows"),
    ("get", ARGO, "workflows"),
    ("watch", ARGO, "workflows"),
    ("patch", ARGO, "workflows"),
    ("get", ARGO, "workflowtemplates"),
    ("list", ARGO, "workflowtemplates"),
)
ACCOUNTS: dict[str, tuple[Right, ...]] = {
    "colchis-step": (("create", ARGO, "workflowtaskresults"), ("patch", ARGO, "workflowtaskresults")),
    "colchis-train": (),
    "colchis-prepare": (),
    "colchis-worker": (),
    "colchis-adopt": (),
    "colchis-evaluate": (),
    "colchis-batch": (),
    "colchis-build": (),
    "colchis-publish": tuple((verb, "colchis.dev", "modelversions") for verb in ("create", "get", "patch")),
    "colchis-rollout": (
        *(
            (verb, group, resource)
            for group, resource in (("apps", "deployments"), ("", "services"), (KSERVE, "inferenceservices"))
            for verb in ("create", "delete", "get", "list", "patch")
        ),
        ("list", "", "pods"),
        *(
            (verb, group, resource)
            for group, resource in (
                (ROUTES, "httproutes"),
                ("policy", "poddisruptionbudgets"),
                ("autoscaling", "horizontalpodautoscalers"),
                ("apps", "daemonsets"),
                ("apps.kruise.io", "imagepulljobs"),
            )
            for verb in ("create", "delete", "get", "patch")
        ),
    ),
}
BACKENDS = {backend: KINDS[kind] for backend, kind in TRAINERS.items()}  # API version and resource of a training's job
FOLLOWER: tuple[Right, ...] = (
    *(
        (verb, group, resource)
        for group, resource in (("", "services"), ("networking.k8s.io", "networkpolicies"))
        for verb in ("create", "get", "patch")
    ),
    *((verb, "", "pods") for verb in ("get", "list")),
    ("get", "", "pods/log"),
)
CONTROLLERS = ("app=workflow-controller", "app.kubernetes.io/component=workflow-controller")
TOKEN = "colchis-step.service-account-token"  # noqa: S105 - a name
EARLIER = SECRET  # the one with all rights, of earlier releases
KEYS = tuple(f"{SECRET}-{name}" for name, found in IDENTITIES.items() if found.pods and name != "serve")
SIGNING = "colchis-signing"
SECRETS = (EARLIER, *KEYS, "colchis-registry", SIGNING)


@dataclass
class Facts:
    """None stands for what this user may not see."""

    server: str = ""
    namespace: str = ""
    version: tuple[int, int] = (0, 0)
    image_volumes: bool | None = None  # by a dry run
    namespace_there: bool | None = None
    argo: frozenset[str] = frozenset()  # its resources
    controllers: tuple[str, ...] | None = None  # images of workflow controllers
    templates: dict[str, str | None] = field(default_factory=dict)  # versions; absent ones are not in it
    submitter: dict[Right, bool] = field(default_factory=dict)
    accounts: dict[str, bool | None] = field(default_factory=dict)
    roles: dict[str, list[Right]] | None = None  # the rights that accounts lack
    token: bool | None = None
    configured: tuple[str, ...] | None = None  # keys of the ConfigMap; empty where there is none
    secrets: dict[str, bool | None] = field(default_factory=dict)
    trust: str | None = None  # which keys are trusted, as the ConfigMap has it; empty where there is none
    cloud_role: bool = False  # the account stands for a role of a cloud
    backend: str = ""  # what trains, where that was asked for
    trains: bool = False  # the cluster knows its kind
    release: str = ""  # Kubernetes' own version, as v1.36.2+k3s1
    routes: bool = False  # the cluster knows HTTPRoutes
    gateway: str = ""  # namespace/name
    gateway_object: dict[str, Any] | None = None
    served: dict[str, list[str]] | None = None  # the namespaces of each model's routes at the gateway


def gather(api: Api, gateway: str = "", backend: str = "") -> Facts:
    """Ask the cluster; ``gateway`` is namespace/name, or that of the ConfigMap; ``backend`` is what trains.

    Raises:
        InputError, TransientError: as ``Api``.
    """
    facts, core = Facts(api.server, api.namespace), f"/api/v1/namespaces/{api.namespace}"
    version = api.get("/version").body
    facts.version = _number(version.get("major")), _number(version.get("minor"))
    facts.release = str(version.get("gitVersion", ""))
    facts.namespace_there = _there(api.get(core))
    facts.image_volumes = _image_volumes(api, core)
    facts.argo = _resources(api.get(f"/apis/{ARGO}/v1alpha1"))
    facts.controllers = _controllers(api)
    if facts.argo:
        for name in TEMPLATES:
            answer = api.get(f"/apis/{ARGO}/v1alpha1/namespaces/{api.namespace}/workflowtemplates/{name}")
            if answer.status != 404:
                labels = answer.body.get("metadata", {}).get("labels") or {}
                facts.templates[name] = labels.get("app.kubernetes.io/version") if answer.found else None
    facts.submitter = {right: _may(api, right) for right in SUBMITTER}
    if backend in BACKENDS:
        group, resource = BACKENDS[backend]
        facts.backend, facts.trains = backend, resource in _resources(api.get(f"/apis/{group}"))
    _accounts(api, facts, core)
    facts.token = _there(api.get(f"{core}/secrets/{TOKEN}", NAMES_ONLY))
    facts.secrets = {name: _there(api.get(f"{core}/secrets/{name}", NAMES_ONLY)) for name in SECRETS}
    config = api.get(f"{core}/configmaps/colchis")
    data = config.body.get("data") or {}
    facts.configured = None if config.status in {401, 403} else tuple(sorted(data))
    trust = api.get(f"{core}/configmaps/colchis-trust")
    facts.trust = None if trust.status in {401, 403} else str((trust.body.get("data") or {}).get("trust.json", ""))
    facts.gateway = gateway or data.get("COLCHIS_GATEWAY", "")
    facts.routes = "httproutes" in _resources(api.get(f"/apis/{ROUTES}/v1"))
    if facts.routes and "/" in facts.gateway:
        namespace, _, name = facts.gateway.partition("/")
        answer = api.get(f"/apis/{ROUTES}/v1/namespaces/{namespace}/gateways/{name}")
        facts.gateway_object = answer.body if answer.found or answer.status == 404 else None
        routes = api.get(f"/apis/{ROUTES}/v1/httproutes?labelSelector={quote(LABEL_MODEL)}")
        facts.served = _served(routes, namespace, name)
    return facts


def _served(answer: Answer, namespace: str, gateway: str) -> dict[str, list[str]] | None:
    """Read which namespaces have a route of which model at a Gateway, or None where routes may not be listed."""
    if not answer.found:
        return None
    served = dict[str, set[str]]()
    for route in answer.body.get("items") or []:
        about = route["metadata"]
        parents = route["spec"].get("parentRefs") or []
        if (namespace, gateway) in {(one.get("namespace", about["namespace"]), one["name"]) for one in parents}:
            served.setdefault(about["labels"][LABEL_MODEL], set()).add(about["namespace"])
    return {model: sorted(namespaces) for model, namespaces in sorted(served.items())}


def _number(text: Any) -> int:
    digits = str(text or 0).rstrip("+")
    return int(digits) if digits.isdecimal() else 0


def _there(answer: Answer) -> bool | None:
    return None if answer.status in {401, 403} else answer.found


def _resources(answer: Answer) -> frozenset[str]:
    return frozenset(str(resource["name"]) for resource in answer.body.get("resources") or [])


def _controllers(api: Api) -> tuple[str, ...] | None:
    """Find the controllers' images by the labels of Argo's own manifests and of its Helm chart."""
    for place in ("", "/namespaces/argo", f"/namespaces/{api.namespace}"):
        answers = [api.get(f"/api/v1{place}/pods?labelSelector={quote(label)}") for label in CONTROLLERS]
        pods = [pod for answer in answers for pod in answer.body.get("items") or []]
        if pods:
            return tuple(sorted({str(pod["spec"]["containers"][0]["image"]) for pod in pods}))
        if not place and answers[0].found:
            return ()
    return None


def _image_volumes(api: Api, core: str) -> bool | None:
    """Dry-run a pod with an image volume: a server that does not know the field forgets it."""
    answer = api.post(f"{core}/pods?dryRun=All", image_volume_pod())
    if answer.found:
        return any("image" in one for one in answer.body["spec"].get("volumes") or [])
    return False if "volumes[0]" in answer.message and answer.status == 422 else None


def _may(api: Api, right: Right) -> bool:
    review = own_rights(_attributes(api, right))
    answer = api.post(f"/apis/{AUTHORIZATION}/selfsubjectaccessreviews", review)
    return bool(answer.body.get("status", {}).get("allowed"))


def _attributes(api: Api, right: Right) -> dict[str, str]:
    verb, group, resource = right
    resource, _, subresource = resource.partition("/")
    named = {"verb": verb, "group": group, "resource": resource, "namespace": api.namespace}
    return named | ({"subresource": subresource} if subresource else {})


def training_rights(backend: str) -> tuple[Right, ...]:
    """Return what a training's job takes: to make, follow and remove it; none where workers are processes."""
    if backend not in BACKENDS:
        return ()
    made = [BACKENDS[backend], *([KINDS["TrainingRuntime"]] if backend == "trainjob" else [])]
    verbs = ("create", "delete", "get", "patch")
    return (*((verb, _group(version), resource) for version, resource in made for verb in verbs), *FOLLOWER)


def registering_rights(backend: str) -> tuple[Right, ...]:
    """Return what it takes to write on a job that is kept which version it made."""
    return (("patch", _group(BACKENDS[backend][0]), BACKENDS[backend][1]),) if backend in BACKENDS else ()


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _accounts(api: Api, facts: Facts, core: str) -> None:
    lacking: dict[str, list[Right]] = {}
    allowed = True
    trains, registers = training_rights(facts.backend), registering_rights(facts.backend)
    asked = ACCOUNTS | {"colchis-train": trains, "colchis-publish": ACCOUNTS["colchis-publish"] + registers}
    for account, rights in asked.items():
        answer = api.get(f"{core}/serviceaccounts/{account}")
        facts.accounts[account] = _there(answer)
        notes = answer.body.get("metadata", {}).get("annotations") or {}
        if account == "colchis-step":
            facts.cloud_role = any(note.startswith(("eks.amazonaws.com/", "iam.gke.io/")) for note in notes)
        for right in rights if allowed else ():
            review = account_s_rights(account, api.namespace, _attributes(api, right))
            path = f"/apis/{AUTHORIZATION}/namespaces/{api.namespace}/localsubjectaccessreviews"
            if not (reply := api.post(path, review)).found:
                allowed = False
                break
            if not reply.body["status"]["allowed"]:
                lacking.setdefault(account, []).append(right)
    facts.roles = lacking if allowed else None
