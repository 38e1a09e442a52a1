"""What a platform engineer asks of the manifests: no root, no token, no rights that nothing needs."""

import json
from typing import Any

import pytest
import yaml

from colchis_workflows import render
from colchis_workflows._argo.literal import BRACE, literal_input
from colchis_workflows._argo.tags import tags
from colchis_workflows.settings import Settings

Object = dict[str, Any]
FILES = {path: list(yaml.safe_load_all(text)) for path, text in render.manifests(Settings()).items()}
PODS = {
    f"{document['metadata']['name']}/{template['name']}": template
    for document in render.objects(Settings())
    for template in document["spec"].get("templates", [])
    if "container" in template
}
OBJECTS = FILES["base/accounts.yaml"]
every_pod = pytest.mark.parametrize("name", PODS)
KANIKO = "colchis-build-image/kaniko"
LEVELS = ("step", "prepare", "train", "worker", "adopt", "evaluate", "batch", "build", "publish", "rollout")


@every_pod
def test_a_pod_is_locked_down(name: str) -> None:
    template = PODS[name]
    pod, container = template["securityContext"], template["container"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for inner in [container, *template.get("initContainers", [])]:
        security = inner["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert inner["resources"]["requests"].keys() == {"cpu", "memory"}
        assert inner["resources"]["limits"]["memory"]
        if inner is not container or name != KANIKO:  # kaniko unpacks files as their owners
            assert security["readOnlyRootFilesystem"] is True
            assert security["runAsNonRoot"] is True
            assert "add" not in security["capabilities"]


@every_pod
def test_argos_own_containers_are_locked_down_too(name: str) -> None:
    patch = json.loads(PODS[name]["podSpecPatch"])
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert patch == {
        "initContainers": [{"name": "init", "securityContext": locked}],
        "containers": [{"name": "wait", "securityContext": locked}],
    }


@every_pod
def test_only_what_speaks_to_the_cluster_has_a_token(name: str) -> None:
    template, allowed = PODS[name], {"colchis-rollout/rollout", "colchis-prune/prune", "colchis-train/job"}
    allowed |= {"colchis-batch/job", "colchis-register/register"}
    assert template["automountServiceAccountToken"] is (name in allowed)
    assert template["executor"] == {"serviceAccountName": "colchis-step"}


@every_pod
def test_a_pod_has_a_deadline_and_an_account_of_its_level(name: str) -> None:
    assert int(PODS[name]["activeDeadlineSeconds"]) > 0
    accounts = {found["metadata"]["name"] for found in OBJECTS if found["kind"] == "ServiceAccount"}
    assert PODS[name]["serviceAccountName"] in accounts


def test_kaniko_gets_no_credentials_of_the_store() -> None:
    container = PODS[KANIKO]["container"]
    assert "envFrom" not in container
    assert container["env"] == [{"name": BRACE, "value": "{"}]
    assert "keys" not in [mount["name"] for mount in container["volumeMounts"]]


@every_pod
def test_what_a_submitter_gives_is_never_expanded(name: str) -> None:
    template = PODS[name]
    for container in [template["container"], *template.get("initContainers", [])]:
        env = container["env"]
        assert env[0] == {"name": BRACE, "value": "{"}
        assert len({variable["name"] for variable in env}) == len(env)
        words = [*container["command"], *container["args"], *(str(variable.get("value")) for variable in env)]
        plain = [tag for word in words for tag in tags(word) if not tag.startswith("outputs.")]
        assert all(map(literal_input, plain)), plain


def test_every_account_is_used_and_there_is_one_a_privilege_level() -> None:
    accounts = {found["metadata"]["name"] for found in OBJECTS if found["kind"] == "ServiceAccount"}
    assert accounts == {f"colchis-{level}" for level in LEVELS}
    assert accounts == {template["serviceAccountName"] for template in PODS.values()}


def test_nothing_is_cluster_wide_and_no_rule_has_a_wildcard() -> None:
    base_and_namespaced = [
        d for path, found in FILES.items() if path.startswith(("base/", "overlays/n")) for d in found
    ]
    assert not {d.get("kind") for d in base_and_namespaced} & {"ClusterRole", "ClusterRoleBinding", "Namespace"}
    for found in OBJECTS:
        for rule in found.get("rules", []):
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]


def test_no_secret_is_rendered_but_the_well_known_sample() -> None:
    secrets = {
        (path, found["metadata"]["name"]): found
        for path, documents in FILES.items()
        for found in documents
        if found.get("kind") == "Secret"
    }
    token = secrets.pop(("base/accounts.yaml", "colchis-step.service-account-token"))
    assert "data" not in token
    names = {"colchis-artifacts", *(f"colchis-s3-{level}" for level in (*LEVELS, "serve"))}
    assert secrets.keys() == {("overlays/quickstart/minio.yaml", name) for name in names}


@every_pod
def test_the_keys_of_the_store_are_a_file_of_the_accounts_own_and_never_an_environment(name: str) -> None:
    template, mount = PODS[name], {"name": "keys", "mountPath": "/var/run/colchis/s3", "readOnly": True}
    (volume,) = [one for one in template["volumes"] if one["name"] == "keys"]
    earlier, own = (source["secret"] for source in volume["projected"]["sources"])
    assert earlier == {"name": "colchis-s3", "optional": True}
    assert own["name"] == template["serviceAccountName"].replace("colchis-", "colchis-s3-")
    assert (own["optional"], own["items"]) == (True, [{"key": "credentials", "path": "credentials"}])
    with_keys = []
    for container in [template["container"], *template.get("initContainers", [])]:
        assert all("secretRef" not in source for source in container.get("envFrom", []))
        named = {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/var/run/colchis/s3/credentials"}
        assert (mount in container["volumeMounts"]) is (named in container.get("env", []))
        with_keys += [container.get("name", "main")] if mount in container["volumeMounts"] else []
    others = {KANIKO: ["context"], "colchis-evaluate/evaluate": ["main", "fetch"]}
    others["colchis-prepare/prepare"] = ["main", "fetch"]
    assert with_keys == others.get(name, ["main"])


def test_what_runs_the_users_code_shares_its_key_with_nothing_else() -> None:
    users = {name for name, template in PODS.items() if "train-image" in template["container"]["image"]}
    assert users == {"colchis-train/workers"}
    workers = {name for name, template in PODS.items() if template["serviceAccountName"] == "colchis-worker"}
    assert workers == users


def test_no_volume_of_a_pod_grows_without_bounds() -> None:
    for template in PODS.values():
        for volume in template["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"].endswith("Gi")


def test_no_submitter_chooses_kanikos_image_flags_or_dockerfile() -> None:
    document = next(d for d in render.objects(Settings()) if d["metadata"]["name"] == "colchis-build-image")
    inputs = [p["name"] for t in document["spec"]["templates"] for p in t.get("inputs", {}).get("parameters", [])]
    arguments = [p["name"] for p in document["spec"]["arguments"]["parameters"]]
    assert not {"dockerfile", "kaniko-image", "kaniko-option"} & {*inputs, *arguments}
    container = PODS[KANIKO]["container"]
    assert not tags(container["image"])
    given = [arg for arg in container["args"] if tags(arg)]
    assert [arg.partition("=")[0] for arg in given] == ["--destination", "--insecure"], "after the = a value is no flag"


def test_in_hardened_no_pod_is_root_and_the_namespace_enforces_that() -> None:
    (kustomization,) = FILES["overlays/hardened/kustomization.yaml"]
    patches = [patch for found in kustomization["patches"] for patch in yaml.safe_load(found["patch"])]
    assert {patch["value"] for patch in patches} == {"direct"}
    assert len(patches) > 2
    (namespace,) = FILES["overlays/hardened/namespace.yaml"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    policies = FILES["components/admission/policies.yaml"]
    bound = {d["spec"]["policyName"] for d in policies if d["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert bound == {d["metadata"]["name"] for d in policies if d["kind"] == "ValidatingAdmissionPolicy"}
    for policy in policies:
        where = policy["spec"].get("matchConstraints") or policy["spec"]["matchResources"]
        assert where["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()
