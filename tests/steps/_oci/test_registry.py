"""Images in a real registry (Debian's docker-registry): pushed, found, read back, with each kind of login."""

import base64
import datetime as dt
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from colchis_steps._oci.contents import contents, unpack
from colchis_steps._oci.repository import Repository, open_repository
from colchis_steps._packing.pack import Known, pack
from colchis_steps._packing.sources import StoreSource
from colchis_steps._step.errors import InputError, TransientError

# user "colchis", password "geheim"
HTPASSWD = "colchis:$2b$05$abcdefghijklmnopqrstuuVWu8RjbNovPZWAMRdd7iqaaG0mI53Uu\n"
Start = Callable[..., str]


def push(published: Any, repository: Repository, version: int = 1) -> Any:
    manifest = published.publish(published.files, version=version)
    return pack(StoreSource(published.store, manifest.files), repository, str(version), known={})


def login(monkeypatch: pytest.MonkeyPatch, directory: Path, host: str, entry: dict[str, str]) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))


def basic(password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"colchis:{password}".encode()).decode()}


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the directory of Docker's config, where nothing is."""
    monkeypatch.setenv("DOCKER_CONFIG", str(directory := tmp_path / "no-login"))
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", (0.01, 0.01, 0.01))
    directory.mkdir()
    return directory


@pytest.fixture
def private(docker_registry: Start, tmp_path: Path) -> str:
    """Start a registry that asks for a user and a password."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    return docker_registry(f"auth:\n  htpasswd:\n    realm: test\n    path: {tmp_path}/htpasswd\n")


def test_what_is_pushed_comes_back_byte_for_byte(published: Any, docker_registry: Start, tmp_path: Path) -> None:
    address = docker_registry()
    report = push(published, open_repository(f"{address}/team/digits"))
    assert report.image == f"{address}/team/digits@{report.digest}"
    files = unpack(report.image, tmp_path / "out")
    found = {f.path: (tmp_path / "out" / f.path).read_bytes() for f in files}
    assert found == published.files


def test_registry_and_layout_hold_the_same_image(published: Any, docker_registry: Start, tmp_path: Path) -> None:
    pushed = push(published, open_repository(f"{docker_registry()}/digits"))
    assert pushed.digest == push(published, open_repository(f"oci:{tmp_path}/layout")).digest


def test_what_is_there_is_not_sent_again(published: Any, docker_registry: Start) -> None:
    repository = open_repository(f"{docker_registry()}/digits")
    first = push(published, repository)
    shas = {f.path: f.sha256 for f in published.publish(published.files).files}
    known = {(layer.path, shas[layer.path]): Known(layer, repository.name) for layer in first.layers}
    manifest = published.publish(published.files, version=2)
    again = pack(StoreSource(published.store, manifest.files), repository, "2", known=known)
    assert (again.digest, again.bytes_sent) == (first.digest, 0)
    assert repository.tagged("2") == repository.tagged("1") == first.digest


def test_an_altered_blob_is_named_and_no_image_is_pushed(published: Any, docker_registry: Start) -> None:
    repository = open_repository(f"{docker_registry()}/digits")
    manifest = published.publish(published.files)
    content = published.files["variables/variables.data-00000-of-00001"]
    published.blob(content).write_bytes(content[:-1] + b"!")
    with pytest.raises(InputError, match=r"variables\.data-00000-of-00001 .*is altered; upload the model again"):
        pack(StoreSource(published.store, manifest.files), repository, "1", known={})
    assert repository.tagged("1") is None


def test_a_password_from_dockers_config_opens(
    published: Any, private: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(monkeypatch, tmp_path / "docker", private, basic("geheim"))
    report = push(published, open_repository(f"{private}/digits"))
    assert [f.path for f in contents(report.image)] == sorted(published.files)


def test_a_credential_helper_opens(
    published: Any, private: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\nread host; echo "{\\"Username\\": \\"colchis\\", \\"Secret\\": \\"geheim\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {private: "test"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert push(published, open_repository(f"{private}/digits")).digest


def test_without_a_login_the_error_says_where_to_log_in(published: Any, private: str) -> None:
    said = f"registry {private} asks .*for digits with no credentials .*docker login {private}.*colchis-registry"
    with pytest.raises(InputError, match=said):
        push(published, open_repository(f"{private}/digits"))


def test_a_wrong_password_is_refused_and_never_shown(
    published: Any, private: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(monkeypatch, tmp_path / "docker", private, basic("not-this"))
    said = f"registry {private} refuses POST .401.*with the credentials in .*docker/config.json.*docker login {private}"
    with pytest.raises(InputError, match=said) as caught:
        push(published, open_repository(f"{private}/digits"))
    assert "not-this" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"auths": 3}', '{"auths": {"HOST": {"auth": "%%%"}}}', '{"auths": {"HOST": {"auth": "bmFtZQ=="}}}'],
)
def test_an_odd_config_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "config.json").write_text(text.replace("HOST", "localhost:1"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(InputError, match=r"config\.json is not a Docker config file for localhost:1"):
        open_repository("localhost:1/digits")


def certificate(directory: Path) -> tuple[rsa.RSAPrivateKey, x509.Certificate, Path, Path]:
    """Make a self-signed certificate for 127.0.0.1; give key, certificate and their files."""
    import ipaddress

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "key.pem", directory / "certificate.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[0].write_bytes(key.private_bytes(*form))
    paths[1].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key, made, *paths


def test_tls_is_verified(
    published: Any, docker_registry: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, key, made = certificate(tmp_path)
    address = docker_registry(tls=f"  tls:\n    certificate: {made}\n    key: {key}\n")
    with pytest.raises(InputError, match=r"no TLS certificate that this machine trusts.*SSL_CERT_FILE"):
        push(published, open_repository(f"https://{address}/digits"))
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    report = push(published, open_repository(f"https://{address}/digits"))
    assert report.image.startswith(f"{address}/digits@sha256:")


class Tokens(BaseHTTPRequestHandler):
    """A token server as the distribution project specifies it; each token lasts a minute."""

    key: rsa.RSAPrivateKey
    made: x509.Certificate
    asked: list[str]
    closed: set[str]  # repositories that nobody may use

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if self.headers.get("Authorization") != f"Basic {basic('geheim')['auth']}":
            self.send_response(401)
            self.end_headers()
            return
        self.asked.append(" ".join(query["scope"]))
        scopes = [scope.split(":") for scope in query["scope"]]
        now = int(time.time())
        claims = {
            "iss": "test-issuer",
            "sub": "colchis",
            "aud": query["service"][0],
            "exp": now + 60,
            "nbf": now - 10,
            "iat": now,
            "access": [
                {"type": kind, "name": name, "actions": actions.split(",")}
                for kind, name, actions in scopes
                if name not in self.closed
            ],
        }
        chain = [base64.b64encode(self.made.public_bytes(serialization.Encoding.DER)).decode()]
        parts = [coded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256", "x5c": chain}, claims)]
        signed = self.key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        body = json.dumps({"token": ".".join([*parts, coded(signed)])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass


def coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[tuple[str, Path, Any]]:
    """Start a token server; give its address, the certificate that signs, and its handler, which has ``asked``."""
    key, made, _, path = certificate(tmp_path)
    handler = type("Handler", (Tokens,), {"key": key, "made": made, "asked": [], "closed": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token", path, handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def by_token(docker_registry: Start, tokens: tuple[str, Path, Any]) -> str:
    """Start a registry that wants the token server's tokens."""
    realm, bundle, _ = tokens
    more = f"    realm: {realm}\n    service: test\n    issuer: test-issuer\n    rootcertbundle: {bundle}\n"
    return docker_registry(f"auth:\n  token:\n{more}")


def test_a_bearer_token_opens_and_is_asked_for_this_repository(
    published: Any,
    by_token: str,
    tokens: tuple[str, Path, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = tokens[2].asked
    with pytest.raises(InputError, match=r"gives no token \(401\).*no credentials"):
        open_repository(f"{by_token}/team/digits").tagged("1")
    login(monkeypatch, tmp_path / "docker", by_token, basic("geheim"))
    report = push(published, open_repository(f"{by_token}/team/digits"))
    assert [f.path for f in contents(report.image)] == sorted(published.files)
    assert {scope.split(":")[1] for scope in asked} == {"team/digits"}
    assert len(asked) < 12  # a token is used again


@pytest.mark.parametrize("closed", [set(), {"team/digits"}])
def test_a_mount_asks_for_a_token_of_both_repositories_and_who_may_not_read_there_sends(
    published: Any,
    by_token: str,
    tokens: tuple[str, Path, Any],
    no_login: Path,
    closed: set[str],
) -> None:
    handler = tokens[2]
    (no_login / "config.json").write_text(json.dumps({"auths": {by_token: basic("geheim")}}))
    first = push(published, open_repository(f"{by_token}/team/digits"))
    manifest = published.publish(published.files)
    shas = {file.path: file.sha256 for file in manifest.files}
    known = {(one.path, shas[one.path]): Known(one, f"{by_token}/team/digits") for one in first.layers}
    handler.asked.clear()
    handler.closed = closed
    source = StoreSource(published.store, manifest.files)
    again = pack(source, open_repository(f"{by_token}/other/digits"), "1", known=known)
    both = "repository:other/digits:pull,push repository:team/digits:pull"
    assert both in {" ".join(sorted(scope.split())) for scope in handler.asked}
    assert again.digest == first.digest
    assert (again.bytes_sent < sum(layer.size for layer in first.layers)) == (not closed)
    assert [f.path for f in contents(again.image)] == sorted(published.files)


def test_a_registry_that_is_not_there_is_transient() -> None:
    with pytest.raises(TransientError, match=r"registry 127\.0\.0\.1:1 is away"):
        open_repository("127.0.0.1:1/digits").tagged("1")


def test_only_this_machine_is_spoken_to_without_tls() -> None:
    secure = {
        name: open_repository(name).secure  # type: ignore[attr-defined]
        for name in ("localhost:5000/a", "127.0.0.1/a", "[::1]:5000/a", "http://h:1/a", "h:1/a", "localhost.evil.org/a")
    }
    assert [name for name, value in secure.items() if value] == ["h:1/a", "localhost.evil.org/a"]
    assert not open_repository("h:1/a", insecure=True).secure  # type: ignore[attr-defined]


def test_a_layer_is_known_by_its_digest_and_size(docker_registry: Start) -> None:
    repository = open_repository(f"{docker_registry()}/digits")
    digest = repository.put(lambda: [b"a" * 700, b"b"], 701)
    assert digest == f"sha256:{hashlib.sha256(b'a' * 700 + b'b').hexdigest()}"
    assert repository.has(digest, 701)
    assert not repository.has(digest, 700)
