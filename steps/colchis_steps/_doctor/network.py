"""Whether the cluster's network enforces NetworkPolicies, by which steps, workers and models are kept from others.

Kubernetes takes the policies in any case and says nothing where nobody enforces them. So the signs are those of the
networks that do: API groups, which each account may list, then DaemonSets, then Kubernetes' own version.
"""

from colchis_steps._doctor.checks import Finding
from colchis_steps._kube.api import Api
from colchis_steps._manifests.objects import Object

GROUPS = {
    "cilium.io": "Cilium",
    "crd.antrea.io": "Antrea",
    "crd.projectcalico.org": "Calico",
    "k8s.ovn.org": "OVN-Kubernetes",
    "operator.openshift.io": "OpenShift's network",
    "projectcalico.org": "Calico",
}
DAEMONS = {
    "anetd": "GKE Dataplane V2",
    "antrea-agent": "Antrea",
    "azure-npm": "Azure Network Policy Manager",
    "calico-node": "Calico",
    "canal": "Calico",
    "cilium": "Cilium",
    "kube-network-policies": "kube-network-policies",
    "kube-router": "kube-router",
    "ovnkube-node": "OVN-Kubernetes",
    "weave-net": "Weave Net",
}
AWS = "aws-node", "aws-eks-nodeagent", "--enable-network-policy=true"  # DaemonSet, container, argument
DISTRIBUTIONS = {"+k3s": "k3s's own controller", "+rke2": "RKE2's network"}  # in Kubernetes' version


def enforcer(api: Api, version: str) -> str | None:
    """Return what enforces NetworkPolicies: "" where nothing known does, None where this user may not look.

    ``version`` is Kubernetes' own, as v1.36.2+k3s1. Raises as ``Api``.
    """
    groups = {str(group["name"]) for group in api.get("/apis").body.get("groups") or []}
    for group, name in GROUPS.items():
        if group in groups:
            return name
    for mark, name in DISTRIBUTIONS.items():
        if mark in version:
            return name
    answers = [api.get(f"/apis/apps/v1{place}/daemonsets") for place in ("", "/namespaces/kube-system")]
    daemons = [daemon for answer in answers for daemon in answer.body.get("items") or []]
    for daemon in daemons:
        if name := _known(daemon):
            return name
    return "" if answers[0].found else None


def _known(daemon: Object) -> str:
    name = str(daemon["metadata"]["name"])
    if name in DAEMONS:
        return DAEMONS[name]
    daemonset, container, argument = AWS
    for one in daemon["spec"]["template"]["spec"]["containers"] if name == daemonset else []:
        if one["name"] == container and argument in (one.get("args") or []):
            return "the AWS VPC CNI"
    return ""


def network(found: str | None) -> Finding:
    """Judge what ``enforcer`` found; a network that it does not know is no fault of the cluster's."""
    name, fix = "network policies", "docs/security.md says what is open where nobody enforces them, and what helps"
    if found:
        return Finding(
            name, "fine", f"{found} enforces them: nobody reaches a step, and only a training's pods its workers"
        )
    if found is None:
        return Finding(
            name, "skipped", "you may not list DaemonSets, which tell whether the network enforces them", fix
        )
    text = "nothing known enforces them: whoever reaches a worker's port can run code in it"
    return Finding(name, "skipped", text, fix)
