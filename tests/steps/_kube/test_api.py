"""The client over real HTTP: what a small API server on this machine gets, and what its answers become."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.steps.kube_server import Server, serving

from colchis_steps._kube.api import NAMES_ONLY, Api
from colchis_steps._kube.cluster import Cluster, UnknownKind
from colchis_steps._manifests.objects import KINDS, MANAGED
from colchis_steps._step.errors import InputError, TransientError

LABELS = {**MANAGED, "colchis.dev/model": "digits"}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": LABELS}, "spec": {}}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path, monkeypatch) as found:
        yield found


def test_a_question_carries_the_token_and_asks_for_no_values(server: Server) -> None:
    server.answers["/api/v1/namespaces/ml/secrets/s"] = (200, {"kind": "PartialObjectMetadata"})
    api = Api()
    assert (api.namespace, api.server) == ("ml", f"http://127.0.0.1:{server.server_port}")
    assert api.get("/api/v1/namespaces/ml/secrets/s", NAMES_ONLY) == (200, {"kind": "PartialObjectMetadata"}, "")
    [(method, path, headers, _)] = server.asked
    assert (method, path) == ("GET", "/api/v1/namespaces/ml/secrets/s")
    assert (headers["Accept"], headers["authorization"]) == (NAMES_ONLY, "Bearer sesame")


def test_a_query_and_an_object_arrive_as_they_were_given(server: Server) -> None:
    server.answers["/api/v1/namespaces/ml/pods"] = (201, {"kind": "Pod"})
    assert Api().post("/api/v1/namespaces/ml/pods?dryRun=All&labelSelector=a%3Db", {"kind": "Pod"}).status == 201
    [(_, path, _, body)] = server.asked
    assert (path.partition("?")[2], json.loads(body)) == ("dryRun=All&labelSelector=a%3Db", {"kind": "Pod"})


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_no_is_a_fact_with_its_sentence(server: Server, status: int) -> None:
    server.answers["/version"] = (status, {"kind": "Status", "message": "because"})
    assert Api().get("/version") == (status, {}, "because")
    assert not Api().get("/version").found


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_later(server: Server, status: int) -> None:
    server.answers["/version"] = (status, {"message": "busy"})
    with pytest.raises(TransientError, match=f"answers {status} to GET /version; try again"):
        Api().get("/version")


def test_a_server_that_is_away_is_a_sentence(server: Server, tmp_path: Path) -> None:
    text = (tmp_path / "kubeconfig").read_text().replace(str(server.server_port), "9")
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(TransientError, match=r"http://127.0.0.1:9 does not answer \(.*\); start the cluster"):
        Api().get("/version")
    with pytest.raises(TransientError, match=r"http://127.0.0.1:9 does not answer"):
        Cluster().get("Service", "a")


def test_an_object_is_applied_by_one_field_manager_and_another_s_is_left_alone(server: Server) -> None:
    place = "/api/v1/namespaces/ml/services/a"
    server.answers[place] = (200, SERVICE)
    assert Cluster().apply(SERVICE) == SERVICE
    (_, path, headers, body) = server.asked[-1]
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert "fieldManager=colchis" in path
    assert "force=true" in path.lower()
    assert json.loads(body) == SERVICE
    server.answers[place] = (200, {**SERVICE, "metadata": {"name": "a", "labels": {}}})
    with pytest.raises(InputError, match="Service a in namespace ml was not made by colchis"):
        Cluster().apply(SERVICE)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "sentence"),
    [
        (403, {"message": 'User "ann" cannot get resource'}, InputError, "bind it to the Role colchis-rollout"),
        (401, {"message": "Unauthorized"}, InputError, "does not know this account .* log in again"),
        (404, {"message": "404 page not found"}, UnknownKind, "the cluster has no Service of v1"),
        (404, {"details": {"kind": "namespaces"}}, InputError, "the cluster has no namespace ml"),
        (503, {"message": "starting"}, TransientError, "answers 503 to get Service a: starting; try again"),
    ],
)
def test_what_a_cluster_refuses_is_a_sentence(
    server: Server, status: int, answer: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    server.answers["/api/v1/namespaces/ml/services/a"] = (status, answer)
    with pytest.raises(kind, match=sentence):
        Cluster().get("Service", "a")


def test_an_object_that_is_not_there_is_none(server: Server) -> None:
    server.answers["/api/v1/namespaces/ml/services/a"] = (404, {"details": {"kind": "services", "name": "a"}})
    assert Cluster().get("Service", "a") is None


@pytest.mark.parametrize("allowed", [True, False])
def test_a_right_is_asked_for_by_a_review(server: Server, allowed: bool) -> None:
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    server.answers[reviews] = (201, {"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}})
    assert Cluster().may("get", "apps", "deployments") is allowed
    [(method, path, _, body)] = server.asked
    asked = {"namespace": "ml", "verb": "get", "group": "apps", "resource": "deployments"}
    assert (method, path, json.loads(body)["spec"]["resourceAttributes"]) == ("POST", reviews, asked)


def test_annotations_are_added_to_the_object_that_was_meant_and_to_no_other_of_its_name(server: Server) -> None:
    place = "/apis/kubeflow.org/v1/namespaces/ml/tfjobs/a"
    server.answers[place] = (200, {"kind": "TFJob", "metadata": {"name": "a"}})
    assert Cluster().annotate("TFJob", "a", "uid-1", {"colchis.dev/version": "3"}) is True
    (method, _, headers, body) = server.asked[-1]
    assert (method, headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
    assert json.loads(body) == {"metadata": {"uid": "uid-1", "annotations": {"colchis.dev/version": "3"}}}
    assert [method for method, *_ in server.asked] == ["PATCH"], "no right to read is needed"
    server.answers[place] = (404, {"details": {"kind": "tfjobs", "name": "a"}})
    assert Cluster().annotate("TFJob", "a", "uid-1", {}) is False
    server.answers[place] = (409, {"message": "Precondition failed: UID in precondition: uid-1, UID in object meta: 2"})
    with pytest.raises(InputError, match="the cluster refuses TFJob a: Precondition failed: UID"):
        Cluster().annotate("TFJob", "a", "uid-1", {})


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("JobSet", "no JobSet of jobset.x-k8s.io/v1alpha2; install JobSet .* or choose --backend=indexed-job"),
        ("TrainJob", "no TrainJob of trainer.kubeflow.org/v1alpha1; install Kubeflow Trainer 2.3, or choose"),
        ("TFJob", "no TFJob of kubeflow.org/v1; install the Kubeflow training operator, or choose"),
    ],
)
def test_a_back_end_that_is_not_installed_is_said_with_what_installs_it(
    server: Server, kind: str, sentence: str
) -> None:
    version, plural = KINDS[kind]
    server.answers[f"/apis/{version}/namespaces/ml/{plural}/a"] = (404, {"message": "404 page not found"})
    with pytest.raises(UnknownKind, match=sentence):
        Cluster().get(kind, "a")
