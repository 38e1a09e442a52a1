"""Proxies as the environment names them, and certificates: with a registry that only a proxy knows the way to."""

import base64
import http.client
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.steps._oci.registry_server import Server, running, served, tls_context
from tests.steps._oci.test_registry_tolerance import both, home, push

from colchis_steps._doctor.places import try_registry
from colchis_steps._oci.proxies import _matches, find_proxy
from colchis_steps._step.errors import InputError, TransientError

__all__ = ["home"]  # a fixture that is used here too
NAME = "registry.test"  # nobody's name: only a proxy leads there


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://registry.test/v2/", False),
        ("registry.test", "https://registry.test/v2/", True),
        ("test", "https://registry.test/v2/", True),
        (".test", "https://registry.test/v2/", True),
        ("*.test", "https://registry.test/v2/", True),
        ("*.test", "https://test/v2/", False),
        ("istry.test", "https://registry.test/v2/", False),
        ("REGISTRY.test", "https://registry.TEST/v2/", True),
        ("*", "https://registry.test/v2/", True),
        ("a.test,*", "https://registry.test/v2/", True),
        ("a.test, registry.test ,b.test", "https://registry.test/v2/", True),
        ("registry.test:5000", "https://registry.test:5000/v2/", True),
        ("registry.test:5000", "https://registry.test/v2/", False),
        ("registry.test:443", "https://registry.test/v2/", True),
        ("registry.test:80", "http://registry.test/v2/", True),
        ("10.1.2.3", "https://10.1.2.3:5000/v2/", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000/v2/", True),
        ("10.1.2.3:5001", "https://10.1.2.3:5000/v2/", False),
        ("10.0.0.0/8", "https://10.1.2.3:5000/v2/", True),
        ("10.0.0.7/8", "https://10.1.2.3/v2/", True),
        ("10.0.0.0/16", "https://10.1.2.3/v2/", False),
        ("10.0.0.0/8", "https://registry.test/v2/", False),
        ("10.0.0.0/99", "https://10.1.2.3/v2/", False),
        ("fd00::/8", "https://[fd00::1]:5000/v2/", True),
        ("fd00::1", "https://[fd00::1]/v2/", True),
        ("[fd00::1]", "https://[fd00::1]:5000/v2/", True),
        ("fd00::/8", "https://[fe00::1]/v2/", False),
        ("10.0.0.0/8", "https://[fd00::1]/v2/", False),
        ("", "http://localhost:5000/v2/", True),
        ("", "http://127.0.0.1:5000/v2/", True),
        ("", "http://127.9.9.9/v2/", True),
        ("", "http://[::1]:5000/v2/", True),
        ("", "http://localhost.test/v2/", False),
    ],
)
def test_no_proxy_is_read_by_name_port_and_network(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, *, direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (find_proxy(url) is None) == direct


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.ip_addresses(), st.integers(0, 128))
def test_an_address_is_in_its_own_networks(address: Any, bits: int) -> None:
    assert _matches(f"{address}/{min(bits, address.max_prefixlen)}", str(address))


@pytest.mark.parametrize(
    ("named", "url", "login"),
    [
        ("http://proxy.test:3128", "http://proxy.test:3128", ":"),
        ("proxy.test:3128", "http://proxy.test:3128", ":"),
        ("https://proxy.test", "https://proxy.test", ":"),
        ("http://us%20er:p%40ss@proxy.test:3128/", "http://proxy.test:3128", "us er:p@ss"),
        ("http://user:p:w%3A%2F@proxy.test:3128", "http://proxy.test:3128", "user:p:w:/"),
        ("http://user@proxy.test:3128", "http://proxy.test:3128", "user:"),
        ("http://%C3%BC:%E2%82%AC@[fd00::1]:3128", "http://[fd00::1]:3128", "ü:€"),
    ],
)
def test_a_proxy_is_taken_apart(monkeypatch: pytest.MonkeyPatch, named: str, url: str, login: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    found = find_proxy("https://registry.test/v2/")
    assert found
    assert (found.url, f"{found.username}:{found.password}") == (url, login)
    wanted = {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    assert found.headers == ({} if login == ":" else wanted)
    assert not found.password or found.password not in repr(found)


def test_a_proxy_of_another_kind_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:geheim@proxy.test:1080")
    with pytest.raises(InputError, match="HTTPS_PROXY names a proxy by socks5://") as caught:
        find_proxy("https://registry.test/v2/")
    assert "geheim" not in str(caught.value)
    assert find_proxy("http://registry.test/v2/") is None  # it is for the other scheme


class Proxy(BaseHTTPRequestHandler):
    """Leads any name to one port of this machine, for who has the login; tunnels and forwards."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    port: int
    login: str
    seen: list[str]

    def do_CONNECT(self) -> None:
        if not self.admitted():
            return
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: server, server: self.connection}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    if not (block := ready.recv(65536)):
                        return
                    ends[ready].sendall(block)

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.admitted():
            return
        connection, to = http.client.HTTPConnection("127.0.0.1", self.port), urlsplit(self.path)
        connection.request(self.command, to._replace(scheme="", netloc="").geturl(), body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - http.server names them

    def admitted(self) -> bool:
        self.seen.append(self.path)
        given = self.headers.get("Proxy-Authorization", "")
        if self.login and given != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def behind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A registry, over http and over TLS, that is called by a name which nothing resolves."""
    tls, made = tls_context(tmp_path, [NAME, "127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with running(tls if request.param == "https" else None) as server:
        yield server


@pytest.fixture(params=["http", "https"])
def proxy(
    request: pytest.FixtureRequest, behind: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Proxy]]:
    """A proxy that leads there, spoken to over http and over TLS."""
    port = int(behind.url.rpartition(":")[2])
    handler = type("Handler", (Proxy,), {"port": port, "login": "us er:p@ss/€", "seen": []})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with served(handler, context if request.param == "https" else None) as at:
        name = f"{request.param}://us%20er:p%40ss%2F%E2%82%AC@127.0.0.1:{at}"
        monkeypatch.setenv("HTTPS_PROXY" if behind.url.startswith("https:") else "HTTP_PROXY", name)
        yield handler


def called(server: Server) -> str:
    """Return the URL by which only the proxy finds the registry."""
    return f"{server.url.partition('://')[0]}://{NAME}:{server.url.rpartition(':')[2]}"


def test_a_proxy_with_a_password_leads_to_the_registry(behind: Server, proxy: type[Proxy]) -> None:
    behind.url = called(behind)
    assert both(behind, lambda server: None) == ""
    assert all(NAME in path for path in proxy.seen)
    if behind.url.startswith("https:"):  # the tunnel's login ends with the proxy
        assert not [request for request in behind.seen if "Proxy-Authorization" in request.headers]


def test_a_wrong_password_for_the_proxy_is_said(behind: Server, proxy: type[Proxy]) -> None:
    proxy.login = "other:login"
    behind.url = called(behind)
    said = both(behind, lambda server: None)
    assert f"the proxy to registry {behind.address} refuses (407" in said
    assert "p@ss" not in said


def test_what_no_proxy_names_goes_direct(behind: Server, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    push(behind.url)  # this machine
    assert proxy.seen == []
    monkeypatch.setenv("NO_PROXY", f"{NAME}:{behind.url.rpartition(':')[2]}")
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", ())
    with pytest.raises(TransientError, match="NameResolutionError"):
        push(called(behind))
    assert proxy.seen == []


# --- certificates


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        ("", "set SSL_CERT_FILE to its CA"),
        ("missing", r"'.*missing' cannot be read \(No such file"),
        ("directory", r"'.*directory' cannot be read \(Is a directory"),
        ("empty", r"'.*empty' cannot be read \(.*no certificate"),
        ("other/authority.pem", r"add its CA to '.*other/authority\.pem', which SSL_CERT_FILE names"),
    ],
)
def test_a_bundle_that_does_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str, said: str
) -> None:
    for name in ("directory", "other", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty").touch()
    tls_context(tmp_path / "other")
    tls, made = tls_context(tmp_path / "own")
    with ExitStack() as stack:
        server = stack.enter_context(running(tls))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / bundle) if bundle else "")
        with pytest.raises(InputError, match=rf"no TLS certificate that this machine trusts .*{said}"):
            push(server.url)
        assert try_registry(f"{server.url}/team", insecure=False).state == "wrong"
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        assert both(server, lambda _: None) == ""
