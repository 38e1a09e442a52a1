"""What the cluster suite shares: a reason where it does not run, and a place where models are rolled out."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.cluster.installed import (
    GATEWAY,
    IMAGES,
    MANIFESTS,
    PATIENCE,
    REPOSITORY,
    TAG,
    Installation,
    Run,
    has,
    kubectl,
    until,
)
from tests.cluster.overlay import installed
from tests.steps.registered import put_on_record
from xdist.scheduler import LoadScopeScheduling

from colchis_steps._content.storing import store_directory
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Golden, Manifest, Record, tree_digest
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._serving.client import call
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document
from colchis_steps._store.opening import open_store
from colchis_steps._tensors.formats import format_of

SMALL_JOB = '{"cpu": "100m", "memory": "512Mi", "memory_limit": "2Gi", "grace_seconds": 20}'
KEPT_JOB = SMALL_JOB.replace("}", ', "keep": "1h"}')
EXPORT = Path(__file__).parents[1] / "steps" / "exported_models.py"
INSTALLED = {
    "test_approval",
    "test_attacks",
    "test_batch",
    "test_chain",
    "test_faults",
    "test_faults_away",
    "test_frameworks",
    "test_jobs",
    "test_keys",
    "test_onnx",
    "test_prepare",
    "test_series",
    "test_site_models",
    "test_stop",
    "test_training",
    "test_values",
    "test_ways",
}
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the reason where there is no cluster; CI, which says that it has one, fails."""
    if item.get_closest_marker("cluster") and "KUBECONFIG" not in os.environ:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("KUBECONFIG names no cluster")


class Halves(LoadScopeScheduling):  # type: ignore[misc] # it has no type information
    """Shares the suite between two processes: one runs what needs the installation, so that it is made once."""

    def _split_scope(self, nodeid: str) -> str:
        return "installed" if Path(nodeid.partition("::")[0]).stem in INSTALLED else "alone"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Halves:
    return Halves(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each phase of a run took."""
    for report in terminalreporter.getreports("passed"):
        for name, told in report.user_properties:
            if name == "phases":
                terminalreporter.write_line(told)


@pytest.fixture(scope="session", autouse=True)
def no_keys_of_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let what runs beside the cluster trust no key of the checkout's own demo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLCHIS_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Colchis, installed once: each module has model names of its own, and puts back what it changes."""
    with installed(tmp_path_factory.mktemp("overlay"), "suite") as installation:
        yield installation


def by_job(backend: str) -> dict[str, str]:
    """Return the parameters of a training by a job that is kept: of the back-end, where the cluster has it."""
    return {"backend": backend if has(backend) else "indexed-job", "job_options": KEPT_JOB}


@pytest.fixture(scope="session")
def first_runs(here: Installation) -> dict[str, Run]:
    """Two models that go all the way side by side, each by other means; give their runs by the model's name."""
    ways = {
        "alpha": {"builder": "kaniko"},
        "beta": {"builder": "direct", "model_volume": "copy", **by_job("jobset")},
    }
    names = {model: here.submit(model=model, **way) for model, way in ways.items()}
    found = {model: here.ended(name, 400) for model, name in names.items()}
    for run in found.values():
        of_run = f"--selector=workflows.argoproj.io/workflow={run.name}"
        run.pods = here.get("pods", of_run)["items"]
        run.log = here.kubectl("logs", f"{of_run},app.kubernetes.io/component=train", "--tail=-1")
    return found


@pytest.fixture(scope="session")
def tiny() -> Iterator[str]:
    """A namespace for small workflows, with the account ``tiny``, which may report results and nothing else."""
    namespace = f"colchis-tiny-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    try:
        make = ["--namespace", namespace, "create"]
        kubectl(*make, "serviceaccount", "tiny")
        kubectl(*make, "role", "tiny", "--verb=create,patch", "--resource=workflowtaskresults.argoproj.io")
        kubectl(*make, "rolebinding", "tiny", "--role=tiny", f"--serviceaccount={namespace}:tiny")
        yield namespace
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


@dataclass
class Site:
    """A namespace, a store and images for rollouts; steps run with the account of the rendered manifests."""

    namespace: str
    store: Objects
    directory: Path
    serve_image: str
    environment: dict[str, str]

    def step(self, *words: str, code: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a step; it must end with the code, and in time: where it does not, all that is known is shown."""
        command, seconds = [sys.executable, "-m", *words], 150 * PATIENCE
        settings = self.environment | environment
        try:
            done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as late:
            said = (late.stderr or b"").decode()
            raise AssertionError(f"{' '.join(words)} goes on after {seconds:.0f} s:\n{said}\n{self.pods()}") from None
        assert done.returncode == code, f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}"
        return done

    def pods(self) -> str:
        """Say how the namespace's pods and what happened to them look, for a failed assertion."""
        here = ["--namespace", self.namespace]
        status = "custom-columns=POD:.metadata.name,INIT:.status.initContainerStatuses,MAIN:.status.containerStatuses"
        events = kubectl(*here, "get", "events", "--sort-by=.lastTimestamp")
        return f"{kubectl(*here, 'get', 'pods', f'--output={status}')}\n{events}"

    def rollout(self, model: str, version: int, *flags: str) -> list[str]:
        """Return the words that roll a version out."""
        return [
            "colchis_steps.rollout",
            f"--store={self.store.url}",
            f"--run=rollout-{model}-{version}",
            f"--model={model}",
            f"--version={version}",
            f"--image={self.record(model, version).image}",
            "--target=deployment",
            "--insecure-registry=true",
            f"--serve-image={self.serve_image}",
            *flags,
        ]

    def roll(self, model: str, version: int, *flags: str, code: int = 0, **environment: str) -> str:
        """Roll a version out; give what it said on stderr."""
        return self.step(*self.rollout(model, version, *flags), code=code, **environment).stderr

    def begin(self, model: str, version: int, *flags: str) -> "subprocess.Popen[bytes]":
        """Begin to roll a version out."""
        command = [sys.executable, "-m", *self.rollout(model, version, *flags)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def record(self, model: str, version: int) -> Record:
        found = find_document(self.store, f"models/{model}/{version}/record.json", Record)
        assert found
        return found

    def stable(self, model: str) -> tuple[int, int | None]:
        found = find_document(self.store, f"models/{model}/aliases/stable.json", Alias)
        assert found
        return found.version, found.previous

    def golden(self, model: str, version: int, answer: int) -> None:
        """Say that a tiny model's version answered this class when it was judged."""
        row = [0.01] * answer + [0.91] + [0.01] * (9 - answer)
        run, rows = f"made-{model}-{version}", 4
        outputs: dict[str, list[Any]] = {"class": [answer] * rows, "probability": [row] * rows}
        inputs = {"image": [[[number] * 8] * 8 for number in range(rows)]}
        self.store.write(f"runs/{run}/golden.json", encode(Golden(run, inputs, outputs)))

    def told(self, model: str, run: str) -> Rollout:
        """Return what a rollout wrote down."""
        return read_document(self.store, f"models/{model}/rollouts/{run}.json", Rollout)

    def get(self, *words: str) -> Any:
        return json.loads(kubectl("--namespace", self.namespace, "get", *words, "--output=json"))

    def names(self, kind: str) -> list[str]:
        """Return the names of what Colchis made, of a kind."""
        found = self.get(kind, "--selector=app.kubernetes.io/managed-by=colchis,colchis.dev/model")
        return sorted(item["metadata"]["name"] for item in found["items"])

    def replicas(self) -> dict[str, int]:
        found = self.get("deployments", "--selector=colchis.dev/model")
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found["items"]}

    def ask(self, model: str) -> int:
        """Return the class that a model answers through the gateway; tiny models answer their version's number."""
        until(20, f"an address of {GATEWAY}", resolved)
        status, found = call(f"{GATEWAY}/v1/models/{model}:predict", {"instances": [[[0] * 8] * 8]}, timeout=10)
        assert status == 200, found
        return int(found["predictions"][0]["class"])

    def publish(self, model: str, version: int, directory: str, *, image: str = "") -> None:
        """Publish a version: files, manifest, image in the registry and record; or a record with another image."""
        files = tuple(store_directory(self.store, self.directory / directory).files)
        key, tree, run = f"models/{model}/{version}", tree_digest(files), f"made-{model}-{version}"
        kind = format_of([file.path for file in files], directory)
        self.store.write(f"{key}/manifest.json", encode(Manifest(model, version, run, files, tree, now(), format=kind)))
        if not image:
            to = self.directory / "image"
            flags = [f"--store={self.store.url}", f"--run={run}", f"--model={model}", f"--version={version}"]
            flags += ["--builder=direct", f"--repository={REPOSITORY}", "--insecure-registry=true"]
            self.step("colchis_steps.build_image", *flags, f"--image-path={to}")
            image = to.read_text()
        manifest = read_document(self.store, f"{key}/manifest.json", Manifest)
        put_on_record(self.store, manifest, image, metrics={"accuracy": 0.97}, format=kind)
        self.store.write(f"models/{model}/aliases/latest.json", encode(Alias(model, version, now())))


@contextmanager
def asking(site: Site, model: str) -> Iterator[list[int | str]]:
    """Ask the model all the time; give what it answered, and what went wrong.

    A small cluster that is out of breath has moments without a name service, and without a gateway that takes
    connections; no route brings these about, so they are left out.
    """
    answers: list[int | str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.02):
            try:
                answers.append(site.ask(model))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                if any(told in str(error) for told in ("Connection refused", "name resolution", "an address of")):
                    continue
                answers.append(f"{time.strftime('%H:%M:%S')} {error!r}")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask)
        try:
            yield answers
        finally:
            stop.set()


def resolved() -> bool:
    """Return whether the gateway's name has an address now; a small cluster's name service can be out of breath."""
    try:
        return bool(socket.getaddrinfo(urlsplit(GATEWAY).hostname, None))
    except OSError:
        return False


def serve_image() -> str:
    """Return the model server's image by digest: a node keeps what a tag named when it pulled it."""
    given = os.environ.get("COLCHIS_SERVE_IMAGE", f"{IMAGES}/serve:{TAG}")
    registry, path = REPOSITORY.partition("/")[0], given.partition("/")[2]
    name, _, tag = path.rpartition(":")
    url = f"http://{registry}/v2/{name}/manifests/{tag}"
    request = urllib.request.Request(url, headers={"Accept": MANIFEST_TYPE})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{given.rpartition(':')[0]}@sha256:{hashlib.sha256(answer.read()).hexdigest()}"
    except OSError:
        return given  # in another registry


def account(namespace: str, name: str, path: Path) -> Path:
    """Write a kubeconfig of a service account of the namespace."""
    view = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    token = kubectl("--namespace", namespace, "create", "token", name, "--duration=1h").strip()
    view["users"][0]["user"] = {"token": token}
    view["contexts"][0]["context"]["namespace"] = namespace
    path.write_text(json.dumps(view))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModels, made once by a process of its own; tests/steps/exported_models.py says what they are."""
    directory = tmp_path_factory.mktemp("exported")
    subprocess.run(
        [sys.executable, str(EXPORT), str(directory)], check=True, capture_output=True, timeout=200 * PATIENCE
    )
    return directory


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Iterator[Site]:
    """A place where models are rolled out."""
    with fresh_site(tmp_path_factory.mktemp("site"), exported) as made:
        yield made


@contextmanager
def fresh_site(home: Path, exported: Path) -> Iterator[Site]:
    """Make a namespace, with the accounts of the manifests and nothing else; it is removed in the end."""
    namespace = f"colchis-rollout-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    try:
        accounts = list(yaml.safe_load_all((MANIFESTS / "base" / "accounts.yaml").read_text()))
        kubectl("--namespace", namespace, "apply", "--filename=-", given=yaml.safe_dump_all(accounts))
        until(30, "the default account", lambda: kubectl("-n", namespace, "get", "sa", "--output=name").count("/") > 4)
        environment = os.environ | {
            "KUBECONFIG": str(account(namespace, "colchis-rollout", home / "kubeconfig")),
            "COLCHIS_GATEWAY": os.environ.get("COLCHIS_TEST_GATEWAY_NAME", "traefik/models"),
            "COLCHIS_GATEWAY_URL": GATEWAY,
            "COLCHIS_HOME": str(home),
        }
        yield Site(namespace, open_store((home / "store").as_uri()), exported, serve_image(), environment)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
