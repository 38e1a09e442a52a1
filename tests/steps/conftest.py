"""What tests of steps share: an S3 server on loopback, a store of each kind, a published model, a real registry."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen
from uuid import uuid4

import boto3
import msgspec
import pytest
from benchmarks._bucket import VERSITYGW
from benchmarks._rivals import go_program
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from colchis_steps._content.code import listed, pack
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import code_key
from colchis_steps._formats.models import Candidate, Code, Manifest, tree_digest
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

MODEL_FILES = {
    "saved_model.pb": b"\x0agraph" * 100,
    "fingerprint.pb": b"",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 5000,
    "assets/a name with spaces, and ünïcode.txt": b"words\n",
}


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test's keys lie, and at first none: a key of the checkout's own demo is not theirs."""
    monkeypatch.setenv("COLCHIS_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Quiet(WSGIRequestHandler):
    def log(self, *_: object, **__: object) -> None:
        pass


def s3_server() -> Application:
    """Return moto, which looks and then writes: so one conditional write at a time, as servers of S3 do them."""
    app, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def answer(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        reads = environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        conditional = not reads and not {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"}.isdisjoint(environ)
        with one_at_a_time if conditional else contextlib.nullcontext():
            reply: Iterable[bytes] = app(environ, start_response)
            return reply

    return answer


@contextlib.contextmanager
def served(app: Application) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with served(s3_server()) as url:
        yield url


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials and nothing else: no profile, no metadata service of the machine that runs the tests."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def bucket(moto_url: str, aws: pytest.MonkeyPatch) -> str:
    """A fresh bucket's name; the environment leads to its server."""
    aws.setenv("AWS_ENDPOINT_URL", moto_url)
    name = f"bucket-{uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


Fault = Callable[[Environ], tuple[int, str] | None]
Front = Callable[..., None]  # the fault, and headers that answers get in the place of their own


@pytest.fixture
def front(bucket: str, aws: pytest.MonkeyPatch) -> Iterator[Front]:
    """Put a front before the S3 server that answers some requests itself, by HTTP status and S3 code."""
    app, stack = s3_server(), contextlib.ExitStack()

    def start(fault: Fault, headers: dict[str, str] | None = None) -> None:
        def answer(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            if found := fault(environ):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{found[0]} No", [("Content-Type", "application/xml"), *(headers or {}).items()])
                code, _, told = found[1].partition(": ")
                return [f"<Error><Code>{code}</Code><Message>{told or 'a fault'}</Message></Error>".encode()]

            def begin(status: str, given: list[tuple[str, str]], *more: Any) -> Any:
                kept = [(name, value) for name, value in given if name.lower() not in (headers or {})]
                return start_response(status, [*kept, *(headers or {}).items()], *more)

            return app(environ, begin)

        aws.setenv("AWS_ENDPOINT_URL", stack.enter_context(served(answer)))

    with stack:
        yield start


@pytest.fixture
def auth(moto_url: str) -> Iterator[None]:
    """While this lasts the S3 server looks at credentials."""

    def after(actions: str) -> None:
        kind = {"Content-Type": "text/plain"}
        with urlopen(Request(f"{moto_url}/moto-api/reset-auth", actions.encode(), kind, method="POST")) as answer:
            answer.read()

    after("0")
    yield
    after("inf")


@pytest.fixture(scope="session")
def minio() -> Iterator[Callable[[Path], str]]:
    """Yield a function that starts a MinIO on loopback over a directory."""
    program, servers = shutil.which("minio"), list[subprocess.Popen[bytes]]()
    if program is None:
        pytest.skip("no program named minio on PATH")

    def start(data: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        environment = os.environ | {"MINIO_ROOT_USER": "test-key", "MINIO_ROOT_PASSWORD": "test-secret"}
        command = [program, "server", "--quiet", "--address", address, str(data)]
        servers.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 30
        while True:
            try:
                with urlopen(f"http://{address}/minio/health/ready") as answer:
                    answer.read()
            except (URLError, OSError):
                assert time.monotonic() < deadline
                assert servers[-1].poll() is None
                time.sleep(0.05)
            else:
                return f"http://{address}"

    yield start
    for server in servers:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def minio_url(minio: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A MinIO for the whole session."""
    return minio(tmp_path_factory.mktemp("minio"))


@pytest.fixture(scope="session")
def versitygw_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A versitygw for the whole session, built from its Go module."""
    if shutil.which("go") is None:
        pytest.skip("versitygw is built from its Go module, and there is no go on PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    address = f"127.0.0.1:{place[1]}"
    keys = {"ROOT_ACCESS_KEY": "test-key", "ROOT_SECRET_KEY": "test-secret", "VGW_KEEP_ALIVE": "true"}
    command: list[str | Path] = [
        go_program(*VERSITYGW),
        "--port",
        address,
        "--quiet",
        "posix",
        tmp_path_factory.mktemp("versitygw"),
    ]
    with subprocess.Popen(command, env=os.environ | keys, stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 30
        while server.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(place, timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                yield f"http://{address}"
                break
        else:
            pytest.fail("versitygw does not start")
        server.terminate()


REAL = [
    pytest.param("minio", marks=pytest.mark.servers),
    pytest.param("versitygw", marks=pytest.mark.long),
]  # building that one takes minutes


def real_store(request: pytest.FixtureRequest, server: str) -> str:
    """Make a bucket of this server and lead the environment there; return the URL of a store in it."""
    request.getfixturevalue("aws").setenv("AWS_ENDPOINT_URL", request.getfixturevalue(f"{server}_url"))
    name = f"bucket-{uuid4().hex[:12]}"
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/some/prefix"


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A store of each kind, one after the other."""
    if request.param == "file":
        return open_store((tmp_path / "store").as_uri())
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some/prefix")


@dataclass
class Published:
    """A store in a directory, with ways to publish versions of a model and to spoil them."""

    store: Objects
    root: Path
    files: dict[str, bytes]

    def publish(self, files: dict[str, bytes], *, version: int = 1, run: str = "run-1") -> Manifest:
        """Store the files as a version of the model digits, with the candidate of its run."""
        directory = self.root / "made" / str(version)
        shutil.rmtree(directory, ignore_errors=True)
        for path, content in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        listed = tuple(store_directory(self.store, directory).files)
        tree, when = tree_digest(listed), "2026-11-22T12:00:00Z"
        candidate = Candidate(
            run=run,
            model="digits",
            files=listed,
            tree=tree,
            data=f"{self.store.url}/data/digits/0123456789abcdef",
            data_digest=f"sha256:{hashlib.sha256(b'data').hexdigest()}",
            code=Code(
                entry="digits:build", uri=f"{self.store.url}/code/x.zip", digest=f"sha256:{'c' * 64}", revision="a" * 40
            ),
            hyperparameters={"epochs": 5, "global_batch": 64, "rate": 0.1, "seed": 7},
            signature={"inputs": {}, "outputs": {}},
            frameworks={"tensorflow": "2.21.0"},
            created_at=when,
        )
        manifest = Manifest(model="digits", version=version, run=run, files=listed, tree=tree, created_at=when)
        self.store.write(f"runs/{run}/candidate/model.json", encode(candidate))
        self.store.write(f"models/digits/{version}/manifest.json", encode(manifest))
        return manifest

    def code(self, files: dict[str, bytes], run: str = "run-1") -> None:
        """Store the files as the code of the run's model."""
        directory = self.root / "code"
        for path, content in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        packed = pack(directory, listed(directory), "a" * 40)
        key = code_key(hashlib.sha256(packed).hexdigest())
        self.store.write(key, packed)
        candidate = read_document(self.store, f"runs/{run}/candidate/model.json", Candidate)
        code = msgspec.structs.replace(candidate.code, uri=f"{self.store.url}/{key}")
        self.store.write(f"runs/{run}/candidate/model.json", encode(msgspec.structs.replace(candidate, code=code)))

    def blob(self, content: bytes) -> Path:
        """Return the file in which the store holds this content."""
        return self.root / "store" / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """Return a store that holds version 1 of the model digits."""
    root = tmp_path / "published"
    (root / "store").mkdir(parents=True)
    made = Published(open_store((root / "store").as_uri()), root, MODEL_FILES)
    made.publish(MODEL_FILES)
    return made


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Yield a function that starts Debian's docker-registry on loopback, with further configuration."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not on PATH (Debian package docker-registry)")
    started: list[subprocess.Popen[bytes]] = []

    def start(more: str = "", tls: str = "") -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        root = tmp_path / f"registry-{len(started)}"
        root.mkdir()
        storage = f"storage:\n  filesystem:\n    rootdirectory: {root}\n"
        config = root / "config.yml"
        config.write_text(
            f"version: 0.1\nlog:\n  level: warn\n{storage}http:\n  addr: 127.0.0.1:{port}\n{tls}\n{more}\n"
        )
        with (root / "log").open("wb") as log:
            started.append(subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log))
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert started[-1].poll() is None, (root / "log").read_text()
                assert time.monotonic() < deadline, "docker-registry does not listen"
                time.sleep(0.02)
            else:
                return f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of SavedModels, made once by a process of its own; see exported_models.py for what they are."""
    directory = tmp_path_factory.mktemp("exported")
    script = Path(__file__).with_name("exported_models.py")
    subprocess.run([sys.executable, str(script), str(directory)], check=True, capture_output=True, timeout=280)
    return directory
