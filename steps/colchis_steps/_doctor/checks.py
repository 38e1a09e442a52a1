"""From facts to findings: what is right, what is wrong and its fix. Pure: a table of checks."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from colchis_steps._doctor.facts import ACCOUNTS, BACKENDS, EARLIER, KEYS, TEMPLATES, TOKEN, Facts

State = Literal["fine", "wrong", "skipped", "away"]


INSTALL = "kubectl apply --kustomize workflows/manifests/overlays/namespaced --namespace {namespace}"
FLOORS = (3, 7, 15), (4, 0, 6)  # the first release of each series of Argo in which ADVISORIES are mended
ADVISORIES = "CVE-2026-28229, CVE-2026-31892, CVE-2026-40886, CVE-2026-54526"
TRAINERS = {
    "jobset": "JobSet (https://jobset.sigs.k8s.io)",
    "pytorchjob": "the Kubeflow training operator",
    "tfjob": "the Kubeflow training operator",
    "trainjob": "Kubeflow Trainer 2.3",
}
ARGO = {"cronworkflows", "workflows", "workflowtaskresults", "workflowtemplates"}


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, how it stands, and what to do where it is not fine."""

    name: str
    state: State
    text: str
    fix: str = ""


def findings(facts: Facts, version: str) -> list[Finding]:
    """Judge a cluster; ``version`` is the one of this installation."""
    kubernetes = f"{facts.server}, Kubernetes {_dotted(facts.version)}"
    return [
        Finding("API server", "fine", kubernetes),
        _image_volumes(facts),
        *_argo(facts),
        *_namespace(facts),
        _templates(facts, version),
        _submitter(facts),
        _accounts(facts),
        _roles(facts),
        _token(facts),
        _config(facts),
        _keys(facts),
        _registry(facts),
        _gateway(facts),
        *_served(facts),
        *_training(facts),
    ]


def _install(facts: Facts) -> str:
    return INSTALL.format(namespace=facts.namespace)


def _image_volumes(facts: Facts) -> Finding:
    name, copy = "image volumes", "set model-volume=copy, or "
    if facts.image_volumes:
        return Finding(name, "fine", "the API server takes them (by a dry run)")
    if facts.version < (1, 33):
        return Finding(name, "wrong", "Kubernetes below 1.33 mounts no image", f"{copy}update to 1.35")
    if facts.image_volumes is False or facts.version < (1, 35):
        how = "the API server takes none" if facts.image_volumes is False else "off by default below 1.35"
        return Finding(name, "wrong", how, f"{copy}switch the feature gate ImageVolume on, or update to 1.35")
    return Finding(name, "fine", "on by default from Kubernetes 1.35 (no dry run was possible)")


def _argo(facts: Facts) -> list[Finding]:
    if missing := sorted(ARGO - facts.argo):
        text = "absent" if not facts.argo else f"no {', '.join(missing)}"
        where = "https://argo-workflows.readthedocs.io/en/latest/installation/"
        return [Finding("Argo's CRDs", "wrong", text, f"install Argo Workflows {_newest()}: {where}")]
    known = Finding("Argo's CRDs", "fine", "argoproj.io/v1alpha1")
    if facts.controllers is None:
        return [known, Finding("Argo's controller", "skipped", "you may not list the pods where it runs")]
    if not facts.controllers:
        return [known, Finding("Argo's controller", "wrong", "no workflow-controller runs", "install or start it")]
    judged = [_controller(image) for image in facts.controllers]
    return [known, min(judged, key=lambda finding: ("wrong", "skipped", "fine").index(finding.state))]


def _controller(image: str) -> Finding:
    name = "Argo's controller"
    match = re.search(r":v?(\d+)\.(\d+)\.(\d+)", image)
    if match is None:
        return Finding(name, "skipped", f"the image {image} does not tell its version")
    version = int(match[1]), int(match[2]), int(match[3])
    floor = next((floor for floor in FLOORS if version[:2] <= floor[:2]), version)
    if version < floor:
        text = f"{image} is below {_dotted(floor)}, where {ADVISORIES} are mended"
        return Finding(name, "wrong", text, f"update Argo Workflows to {_newest()}")
    return Finding(name, "fine", image)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _newest() -> str:
    return f"{', '.join(map(_dotted, FLOORS))} or newer"


def _namespace(facts: Facts) -> list[Finding]:
    if facts.namespace_there is False:
        fix = f"kubectl create namespace {facts.namespace}"
        return [Finding("namespace", "wrong", f"{facts.namespace} is absent", fix)]
    return []


def _templates(facts: Facts, version: str) -> Finding:
    if missing := [name for name in TEMPLATES if name not in facts.templates]:
        text = "none is installed" if len(missing) == len(TEMPLATES) else f"absent: {', '.join(missing)}"
        return Finding("templates", "wrong", f"{text} in namespace {facts.namespace}", _install(facts))
    if None in facts.templates.values() and all(found is None for found in facts.templates.values()):
        return Finding("templates", "skipped", "you may not read WorkflowTemplates, or they tell no version")
    if other := sorted({str(found) for found in facts.templates.values() if found != version}):
        text = f"of version {', '.join(other)}, and this is {version}"
        return Finding("templates", "wrong", text, f"{_install(facts)}, or install colchis=={other[0]} here")
    return Finding("templates", "fine", f"{len(TEMPLATES)} of version {version}")


def _submitter(facts: Facts) -> Finding:
    if lacking := [_right(right) for right, may in facts.submitter.items() if not may]:
        fix = "ask for a Role with these verbs in argoproj.io; docs/submit.md has one"
        return Finding("your rights", "wrong", f"you may not {', '.join(lacking)} in {facts.namespace}", fix)
    return Finding("your rights", "fine", "you may submit, follow and stop runs")


def _right(right: tuple[str, str, str]) -> str:
    return f"{right[0]} {right[2]}"


def _accounts(facts: Facts) -> Finding:
    if missing := [name for name in ACCOUNTS if facts.accounts.get(name) is False]:
        return Finding("service accounts", "wrong", f"absent: {', '.join(missing)}", _install(facts))
    if any(facts.accounts.get(name) is None for name in ACCOUNTS):
        return Finding("service accounts", "skipped", "you may not read ServiceAccounts")
    return Finding("service accounts", "fine", ", ".join(ACCOUNTS))


def _roles(facts: Facts) -> Finding:
    if facts.roles is None:
        return Finding("Roles", "skipped", "you may not create LocalSubjectAccessReviews, which ask for others' rights")
    if facts.roles:
        lacking = [f"{name} may not {', '.join(map(_right, rights))}" for name, rights in facts.roles.items()]
        return Finding("Roles", "wrong", "; ".join(lacking), _install(facts))
    return Finding("Roles", "fine", "each account may do what its steps do")


def _token(facts: Facts) -> Finding:
    if facts.token is None:
        return Finding("executor's token", "skipped", "you may not read Secrets, not even their names")
    if not facts.token:
        return Finding("executor's token", "wrong", f"Secret {TOKEN} is absent: pods will not start", _install(facts))
    return Finding("executor's token", "fine", f"Secret {TOKEN}")


def _config(facts: Facts) -> Finding:
    name = "ConfigMap colchis"
    if facts.configured is None:
        return Finding(name, "skipped", "you may not read ConfigMaps")
    if not facts.configured:
        fix = (
            f"kubectl --namespace {facts.namespace} create configmap colchis --from-literal=AWS_REGION=… "
            "--from-literal=AWS_ENDPOINT_URL_S3=https://… --from-literal=COLCHIS_GATEWAY=NAMESPACE/NAME"
        )
        return Finding(name, "wrong", "absent or empty: it tells steps where the bucket and the gateway are", fix)
    return Finding(name, "fine", f"sets {', '.join(facts.configured)}")


def _registry(facts: Facts) -> Finding:
    name, there = "Secret colchis-registry", facts.secrets.get("colchis-registry")
    if there is None:
        return Finding(name, "skipped", "you may not read Secrets, not even their names")
    if there:
        return Finding(name, "fine", "present (its values are not read)")
    create = f"kubectl --namespace {facts.namespace} create secret"
    fix = f"where it asks for one: {create} docker-registry colchis-registry --docker-server=… --docker-username=…"
    return Finding(name, "skipped", "absent: images are pushed without a login", fix)


def _keys(facts: Facts) -> Finding:
    """Say which accounts have a key of the store of their own."""
    name, setup = "Secrets colchis-s3-…", f"colchis bucket setup --store=… --apply --namespace {facts.namespace}"
    there = [key for key in KEYS if facts.secrets.get(key)]
    if all(facts.secrets.get(key) is None for key in (EARLIER, *KEYS)):
        return Finding(name, "skipped", "you may not read Secrets, not even their names")
    if facts.secrets.get(EARLIER):
        delete = f"kubectl --namespace {facts.namespace} delete secret {EARLIER}"
        text = f"{EARLIER} of earlier releases is there: it gives each step, the user's code too, every right"
        return Finding(name, "wrong", text, delete if there == list(KEYS) else f"{setup}, then {delete}")
    if missing := [key for key in KEYS if key not in there]:
        if facts.cloud_role and not there:
            return Finding(name, "fine", "absent, and colchis-step stands for a role of the cloud")
        return Finding(name, "wrong", f"absent: {', '.join(missing)}, and colchis-step has no role of a cloud", setup)
    return Finding(name, "fine", "each account has its own (their values are not read)")


def _gateway(facts: Facts) -> Finding:
    name = "gateway"
    if not facts.routes:
        fix = "install a Gateway API implementation with its CRDs: https://gateway-api.sigs.k8s.io/implementations/"
        return Finding(name, "wrong", "the cluster knows no HTTPRoutes of gateway.networking.k8s.io/v1", fix)
    if "/" not in facts.gateway:
        fix = "name it with --gateway NAMESPACE/NAME, and as COLCHIS_GATEWAY in the ConfigMap colchis"
        return Finding(name, "wrong", "none is named", fix)
    if facts.gateway_object is None:
        return Finding(name, "skipped", f"you may not read {facts.gateway}")
    if not facts.gateway_object:
        return Finding(name, "wrong", f"{facts.gateway} is absent", "create it, or name another one with --gateway")
    return _gateway_state(facts, facts.gateway_object)


def _gateway_state(facts: Facts, gateway: dict[str, Any]) -> Finding:
    name = "gateway"
    conditions = {c["type"]: c for c in gateway.get("status", {}).get("conditions") or []}
    for wanted in ("Accepted", "Programmed"):
        if conditions.get(wanted, {}).get("status") != "True":
            why = conditions.get(wanted, {}).get("message") or "its controller says nothing"
            return Finding(name, "wrong", f"{facts.gateway} is not {wanted} ({why})", "see its controller's log")
    if not _takes_routes(facts, gateway):
        fix = "set allowedRoutes.namespaces.from of a listener to All, or to a Selector that this namespace meets"
        return Finding(name, "wrong", f"{facts.gateway} takes routes of its own namespace only", fix)
    return Finding(name, "fine", f"{facts.gateway} is Accepted and Programmed")


def _served(facts: Facts) -> list[Finding]:
    """Judge whether a model of this namespace shares its paths at the gateway with one of another namespace."""
    name = "models' paths"
    if not facts.gateway_object:
        return []
    if facts.served is None:
        return [Finding(name, "skipped", "you may not list the HTTPRoutes of all namespaces")]
    for model, namespaces in facts.served.items():
        others = ", ".join(one for one in namespaces if one != facts.namespace)
        if facts.namespace in namespaces and others:
            text = f"{model} is served from {others} too: at {facts.gateway} the oldest route answers for all"
            return [Finding(name, "wrong", text, "rename one of them, or give this namespace a Gateway of its own")]
    return [Finding(name, "fine", f"no model of {facts.namespace} shares its paths at {facts.gateway}")]


def _training(facts: Facts) -> list[Finding]:
    """Judge the back-end that was asked for; the rights for it are among the Roles."""
    if not facts.backend:
        return []
    group, resource = BACKENDS[facts.backend]
    if facts.trains:
        return [Finding("training", "fine", f"the cluster has {resource} of {group}")]
    fix = f"install {TRAINERS.get(facts.backend, 'it')}, or train with backend=indexed-job"
    return [Finding("training", "wrong", f"the cluster has no {resource} of {group}", fix)]


def _takes_routes(facts: Facts, gateway: dict[str, Any]) -> bool:
    """Return whether some listener takes routes of our namespace; a selector may."""
    if facts.gateway.partition("/")[0] == facts.namespace:
        return True
    listeners = gateway.get("spec", {}).get("listeners") or []
    sources = [one.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same") for one in listeners]
    return any(source in {"All", "Selector"} for source in sources)
