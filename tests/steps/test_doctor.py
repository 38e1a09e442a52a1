"""From a cluster's facts to findings with fixes, from findings to an exit code, and the lists held to the manifests."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_steps import doctor
from colchis_steps._doctor.checks import Finding, findings
from colchis_steps._doctor.facts import (
    ACCOUNTS,
    BACKENDS,
    KEYS,
    SUBMITTER,
    TEMPLATES,
    TOKEN,
    Facts,
    registering_rights,
    training_rights,
)

BASE = Path(__file__).parents[2] / "workflows" / "manifests" / "base"
ALL = frozenset({"workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults"})
CONDITIONS = [{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "True"}]
OPEN = {"listeners": [{"allowedRoutes": {"namespaces": {"from": "All"}}}]}
OF_37 = "quay.io/argoproj/workflow-controller:v3.7.18"
BELOW = dict.fromkeys(("2.12.13", "3.6.19", "3.7.1", "3.7.14"), "3.7.15") | dict.fromkeys(("4.0.0", "4.0.5"), "4.0.6")
ADVISORIES = ("CVE-2026-28229", "CVE-2026-31892", "CVE-2026-40886", "CVE-2026-54526")
FINE = Facts(
    server="https://cluster:6443",
    namespace="ml",
    version=(1, 36),
    image_volumes=True,
    namespace_there=True,
    argo=ALL,
    controllers=(OF_37,),
    templates=dict.fromkeys(TEMPLATES, "1.2.3"),
    submitter=dict.fromkeys(SUBMITTER, True),
    accounts=dict.fromkeys(ACCOUNTS, True),
    roles={},
    token=True,
    configured=("AWS_REGION",),
    secrets={"colchis-s3": False, **dict.fromkeys(KEYS, True), "colchis-registry": True},
    routes=True,
    gateway="web/models",
    gateway_object={"spec": OPEN, "status": {"conditions": CONDITIONS}},
    served={"digits": ["ml"], "tiny": ["team-a", "team-b"]},
)


def found(name: str, **changed: Any) -> Finding:
    facts = dataclasses.replace(FINE, **changed)
    return next(finding for finding in findings(facts, "1.2.3") if finding.name == name)


def test_a_cluster_where_all_is_there_has_no_finding() -> None:
    assert {finding.state for finding in findings(FINE, "1.2.3")} == {"fine"}


@pytest.mark.parametrize(
    ("name", "changed", "text", "fix"),
    [
        ("image volumes", {"version": (1, 32), "image_volumes": False}, "below 1.33", "model-volume=copy"),
        ("image volumes", {"version": (1, 33), "image_volumes": False}, "takes none", "feature gate ImageVolume"),
        ("image volumes", {"version": (1, 34), "image_volumes": None}, "off by default", "model-volume=copy"),
        ("Argo's CRDs", {"argo": frozenset()}, "absent", "install Argo Workflows 3.7"),
        ("Argo's CRDs", {"argo": ALL - {"workflowtaskresults"}}, "no workflowtaskresults", "install Argo"),
        ("Argo's controller", {"controllers": ()}, "no workflow-controller runs", "start it"),
        *(
            (
                "Argo's controller",
                {"controllers": (f"argo/workflow-controller:v{found}",)},
                text,
                "3.7.15, 4.0.6 or newer",
            )
            for found, floor in BELOW.items()
            for text in (f":v{found} is below {floor}", *ADVISORIES)
        ),
        (
            "Argo's controller",
            {"controllers": (OF_37, "argo/workflow-controller:v4.0.5")},
            ":v4.0.5 is below",
            "update",
        ),
        ("namespace", {"namespace_there": False}, "ml is absent", "kubectl create namespace ml"),
        ("templates", {"templates": {}}, "none is installed", "--namespace ml"),
        (
            "templates",
            {"templates": dict.fromkeys(TEMPLATES[1:], "1.2.3")},
            "absent: colchis-pipeline",
            "kubectl apply",
        ),
        ("templates", {"templates": dict.fromkeys(TEMPLATES, "1.0.0")}, "of version 1.0.0", "colchis==1.0.0"),
        ("your rights", {"submitter": dict.fromkeys(SUBMITTER, False)}, "you may not create workflows", "Role"),
        ("service accounts", {"accounts": {**FINE.accounts, "colchis-train": False}}, "colchis-train", "apply"),
        (
            "Roles",
            {"roles": {"colchis-rollout": [("patch", "apps", "deployments")]}},
            "colchis-rollout may not patch deployments",
            "kubectl apply",
        ),
        ("executor's token", {"token": False}, f"{TOKEN} is absent: pods will not start", "kubectl apply"),
        ("ConfigMap colchis", {"configured": ()}, "absent or empty", "create configmap colchis"),
        ("Secrets colchis-s3-…", {"secrets": {KEYS[1]: False}}, "absent: colchis-s3-step", "colchis bucket setup"),
        ("Secrets colchis-s3-…", {"secrets": {"colchis-s3": True}}, "every right", "colchis bucket setup"),
        (
            "Secrets colchis-s3-…",
            {"secrets": {"colchis-s3": True, **dict.fromkeys(KEYS, True)}},
            "every right",
            "kubectl --namespace ml delete secret colchis-s3",
        ),
        ("training", {"backend": "tfjob"}, "no tfjobs of kubeflow.org/v1", "Kubeflow training operator, or train with"),
        ("training", {"backend": "jobset"}, "no jobsets of jobset.x-k8s.io/v1alpha2", "install JobSet"),
        ("training", {"backend": "trainjob"}, "no trainjobs of trainer.kubeflow.org/v1alpha1", "Kubeflow Trainer 2.3"),
        ("models' paths", {"served": {"digits": ["ml", "team-a"]}}, "digits is served from team-a too", "rename one"),
        ("gateway", {"routes": False}, "no HTTPRoutes", "install a Gateway API"),
        ("gateway", {"gateway": ""}, "none is named", "--gateway NAMESPACE/NAME"),
        ("gateway", {"gateway_object": {}}, "web/models is absent", "create it"),
        (
            "gateway",
            {"gateway_object": {"spec": OPEN, "status": {"conditions": CONDITIONS[:1]}}},
            "is not Programmed",
            "controller's log",
        ),
        (
            "gateway",
            {"gateway_object": {"spec": {"listeners": [{}]}, "status": {"conditions": CONDITIONS}}},
            "routes of its own namespace only",
            "allowedRoutes",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(name: str, changed: dict[str, Any], text: str, fix: str) -> None:
    finding = found(name, **changed)
    assert finding.state == "wrong"
    assert text in finding.text
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("name", "changed", "text"),
    [
        ("Argo's controller", {"controllers": None}, "you may not list"),
        ("Argo's controller", {"controllers": ("own/controller@sha256:1",)}, "does not tell its version"),
        ("Argo's controller", {"controllers": ("argo/workflow-controller:v3.7",)}, "does not tell its version"),
        ("templates", {"templates": dict.fromkeys(TEMPLATES)}, "you may not read WorkflowTemplates"),
        ("service accounts", {"accounts": dict.fromkeys(ACCOUNTS)}, "you may not read ServiceAccounts"),
        ("Roles", {"roles": None}, "LocalSubjectAccessReviews"),
        ("executor's token", {"token": None}, "not even their names"),
        ("ConfigMap colchis", {"configured": None}, "you may not read ConfigMaps"),
        ("Secrets colchis-s3-…", {"secrets": {}}, "not even their names"),
        ("Secret colchis-registry", {"secrets": {"colchis-registry": False}}, "without a login"),
        ("gateway", {"gateway_object": None}, "you may not read web/models"),
        ("models' paths", {"served": None}, "you may not list the HTTPRoutes"),
    ],
)
def test_what_may_not_be_seen_is_skipped_with_the_reason(name: str, changed: dict[str, Any], text: str) -> None:
    finding = found(name, **changed)
    assert finding.state == "skipped"
    assert text in finding.text


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *(
            ("Argo's controller", {"controllers": (f"argo/workflow-controller:v{number}@sha256:1",)})
            for number in ("3.7.15", "3.7.18", "4.0.6", "4.1.0", "5.0.0")
        ),
        ("image volumes", {"image_volumes": None, "version": (1, 35)}),
        ("image volumes", {"image_volumes": True, "version": (1, 33)}),
        ("Secrets colchis-s3-…", {"secrets": dict.fromkeys(KEYS, False), "cloud_role": True}),
        ("training", {"backend": "indexed-job", "trains": True}),
        ("gateway", {"gateway": "ml/own", "gateway_object": {"status": {"conditions": CONDITIONS}}}),
    ],
)
def test_what_stands_for_it_is_fine(name: str, changed: dict[str, Any]) -> None:
    assert found(name, **changed).state == "fine"


def test_templates_and_accounts_are_those_of_the_manifests_and_rights_no_more_than_theirs() -> None:
    documents = [d for file in sorted(BASE.glob("*.yaml")) for d in yaml.safe_load_all(file.read_text()) if "kind" in d]
    names = {
        kind: {d["metadata"]["name"] for d in documents if d["kind"] == kind} for kind in ("ServiceAccount", "Secret")
    }
    templates = {d["metadata"]["name"] for d in documents if d["kind"] == "WorkflowTemplate"}
    assert templates == set(TEMPLATES), "keep the list in _formats/steps.py to what is installed"
    assert names["ServiceAccount"] == set(ACCOUNTS)
    assert TOKEN in names["Secret"]
    given = {
        d["metadata"]["name"]: {
            (verb, group, resource)
            for rule in d["rules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        for d in documents
        if d["kind"] == "Role"
    }
    trains = [("colchis-train", training_rights(backend)) for backend in BACKENDS]
    trains += [("colchis-publish", registering_rights(backend)) for backend in BACKENDS]
    for account, rights in [*ACCOUNTS.items(), *trains]:
        assert set(rights) <= given.get(account, set()), account


def test_a_fix_stands_below_its_line() -> None:
    told = doctor.lines([Finding("a", "fine", "good"), Finding("bucket", "wrong", "absent", "create it")])
    assert told == ["✓ a       good", "✗ bucket  absent", "          → create it"]


def test_without_a_cluster_that_is_the_finding_and_places_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert doctor.main(["--store", f"file://{tmp_path}/store", "--json"]) == 65
    states = {f["name"]: f["state"] for f in json.loads(capsys.readouterr().out)}
    places = {"bucket": "fine", "conditional writes": "fine", "records": "fine", "registry": "skipped"}
    places["signed versions"] = "skipped"  # no key is trusted here
    assert states == {"API server": "wrong"} | places


def test_an_api_server_that_is_away_is_75(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert doctor.main([]) == 75
    assert "✗ API server  http://127.0.0.1:9 does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--gateway", "models"], ["--namespace"]])
def test_wrong_use_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = doctor.main(words)
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    capsys.readouterr()
