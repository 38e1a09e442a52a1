"""Whether Argo holds its submitters to the templates: ``templateReferencing`` in its controller's configuration.

Without it, who may create Workflows writes a Workflow by hand, and runs any image with this namespace's accounts.
"""

from urllib.parse import quote

import yaml

from colchis_steps._doctor.checks import Finding
from colchis_steps._doctor.facts import CONTROLLERS
from colchis_steps._kube.api import Api
from colchis_steps._manifests.objects import Object

CONFIG = "workflow-controller-configmap"
HELD = {"Secure", "Strict"}  # Secure: and a template that changes does not change a run that has begun


def referencing(api: Api) -> tuple[str, str | None]:
    """Return the controller's ConfigMap, as namespace/name, and its setting: "" where there is none.

    The setting is None where this user may not read it, or no controller is found. Raises as ``Api``.
    """
    found: str | None = None
    where = f"argo/{CONFIG}"
    for namespace, name in _configs(api) or [("argo", CONFIG)]:
        answer = api.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        if answer.found or answer.status == 404:
            where, found = f"{namespace}/{name}", setting(answer.body.get("data") or {})
            if answer.found:
                break
    return where, found


def _configs(api: Api) -> list[tuple[str, str]]:
    for place in ("", "/namespaces/argo", f"/namespaces/{api.namespace}"):
        answers = [api.get(f"/api/v1{place}/pods?labelSelector={quote(label)}") for label in CONTROLLERS]
        if pods := [pod for answer in answers for pod in answer.body.get("items") or []]:
            return sorted({(str(pod["metadata"]["namespace"]), _config_of(pod)) for pod in pods})
    return []


def _config_of(pod: Object) -> str:
    words = [word for key in ("command", "args") for word in pod["spec"]["containers"][0].get(key) or []]
    named = [word.partition("=")[2] for word in words if word.startswith("--configmap=")]
    after = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--configmap"]
    return next(iter([*named, *after]), CONFIG)


def setting(data: dict[str, str]) -> str:
    """Return ``templateReferencing`` of the ConfigMap's data, a key a field or the whole below ``config``; or ""."""
    for text, whole in ((data.get("config", ""), True), (data.get("workflowRestrictions", ""), False)):
        try:
            read = yaml.safe_load(text) if text else None
        except yaml.YAMLError:
            continue
        part = read.get("workflowRestrictions") if whole and isinstance(read, dict) else read
        if isinstance(part, dict) and part.get("templateReferencing"):
            return str(part["templateReferencing"])
    return ""


def submitters(where: str, found: str | None) -> Finding:
    """Judge what ``referencing`` found; to trust those who submit is a choice, and no fault of the cluster's."""
    name = "submitters"
    if found in HELD:
        return Finding(name, "fine", f"templateReferencing is {found} in {where}: they run the templates as they are")
    if found is None:
        return Finding(name, "skipped", f"you may not read {where}, which tells whether they are held to the templates")
    fix = f"set workflowRestrictions to 'templateReferencing: Secure' in ConfigMap {where}; docs/security.md says why"
    text = f"templateReferencing is {found or 'not set'}: who may create Workflows may run anything with our accounts"
    return Finding(name, "skipped", text, fix)
