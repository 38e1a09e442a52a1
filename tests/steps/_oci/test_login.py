"""Logins as docker and podman write them: which file, which entry, what a helper answers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colchis_steps._oci.login import Login, find_login
from colchis_steps._step.errors import InputError

HOST = "registry.test:5000"


def coded(name: str, word: str = "geheim") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{word}".encode()).decode()}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory where nothing is, and no variable that names another file."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(file: Path, config: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    return file


def login(home: Path, config: dict[str, Any], host: str = HOST, path: str = "team/digits") -> Login:
    write(home / ".docker" / "config.json", config)
    return find_login(host, path)


def name(home: Path, config: dict[str, Any], host: str = HOST, path: str = "team/digits") -> str | None:
    found = login(home, config, host, path).credentials
    return found.username if found else None


@pytest.mark.parametrize(
    ("keys", "path", "found"),
    [
        (["", "/team", "/team/digits"], "team/digits", "/team/digits"),
        (["", "/team", "/team/digits"], "team/other", "/team"),
        (["", "/team", "/team/digits"], "teams/digits", ""),
        (["/team/digits", "/team", ""], "team/digits/deep", "/team/digits"),
        (["/team"], "other/digits", None),
        (["/team/"], "team/digits", "/team/"),
        (["/tea", "/team/dig"], "team/digits", None),
    ],
)
def test_the_longest_path_comes_first(home: Path, keys: list[str], path: str, found: str | None) -> None:
    config = {"auths": {f"{HOST}{key}": coded(key or "host") for key in keys}}
    assert name(home, config, path=path) == (found if found is None else found or "host")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=4),
    known=st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=6),
)
def test_the_entry_is_the_longest_that_leads_to_the_repository(path: list[str], known: list[list[str]]) -> None:
    from colchis_steps._oci.login import _find

    auths = {"/".join([HOST, *parts]): coded("/".join(parts) or "host") for parts in known}
    leading = [parts for parts in known if path[: len(parts)] == parts]
    found = _find({"auths": auths}, HOST, "/".join(path), [])
    longest = max((len(parts) for parts in leading), default=None)
    wanted = None if longest is None else "/".join(path[:longest]) or "host"
    assert (found and found.username) == wanted


@pytest.mark.parametrize(
    "key",
    [
        HOST,
        f"{HOST}/",
        *(f"https://{HOST}{end}" for end in ("", "/", "/v1", "/v1/", "/v2", "/v2/")),
        f"http://{HOST}",
        f"http://{HOST}/v2/",
    ],
)
def test_a_host_is_found_by_its_urls(home: Path, key: str) -> None:
    assert name(home, {"auths": {key: coded("found")}}) == "found"
    assert name(home, {"auths": {key: coded("url"), f"{HOST}/team": coded("path")}}) == "path"
    assert name(home, {"auths": {key: coded("url"), HOST: coded("host")}}) == "host"
    assert name(home, {"auths": {key: coded("other")}}, host="registry.test") is None


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_several_names(home: Path, host: str, key: str) -> None:
    assert name(home, {"auths": {key: coded("found")}}, host, "library/a") == "found"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (coded("a", "b:c"), ("a", "b:c", "")),
        (coded("ä", "ü"), ("ä", "ü", "")),
        (coded("a", "b\0\0"), ("a", "b", "")),
        (coded("", "token"), ("", "token", "")),
        ({"auth": "", "username": "a", "password": "b"}, ("a", "b", "")),
        ({"auth": None, "username": "a", "password": "b"}, ("a", "b", "")),
        ({**coded("a", "b"), "username": "x", "password": "y"}, ("a", "b", "")),
        ({"username": "a", "password": "b", "email": "e"}, ("a", "b", "")),
        (
            {"auth": f"{coded('a' * 60, 'b')['auth'][:76]}\n{coded('a' * 60, 'b')['auth'][76:]}\r\n"},
            ("a" * 60, "b", ""),
        ),
        ({"auth": f" {coded('a', 'b')['auth']} "}, ("a", "b", "")),
        ({"identitytoken": "t"}, ("", "", "t")),
        ({**coded("<token>", ""), "identitytoken": "t"}, ("<token>", "", "t")),
        ({}, None),
        (None, None),
        ({"auth": ""}, None),
    ],
)
def test_an_entry_is_read(home: Path, entry: Any, found: tuple[str, str, str] | None) -> None:
    credentials = login(home, {"auths": {HOST: entry}}).credentials
    assert (credentials and (credentials.username, credentials.password, credentials.identity_token)) == found


def test_an_empty_entry_hides_no_shorter_one(home: Path) -> None:
    assert name(home, {"auths": {f"{HOST}/team": {}, HOST: coded("host")}}) == "host"


def helper(home: Path, monkeypatch: pytest.MonkeyPatch, script: str, program: str = "test") -> None:
    file = home / "bin" / f"docker-credential-{program}"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\nread asked\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")


KNOWS = """echo "{\\"Username\\": \\"$asked\\", \\"Secret\\": \\"geheim\\"}" """


@pytest.mark.servers
@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({"credHelpers": {HOST: "test"}}, HOST),
        ({"credHelpers": {f"https://{HOST}": "test"}}, f"https://{HOST}"),
        ({"credHelpers": {f"{HOST}/team": "test"}, "auths": {HOST: coded("host")}}, f"{HOST}/team"),
        ({"credsStore": "test"}, HOST),
        ({"credsStore": "test", "auths": {HOST: {}}}, HOST),
        ({"credsStore": "test", "auths": {f"https://{HOST}/v1/": {}}}, f"https://{HOST}/v1/"),
        ({"credsStore": "test", "auths": {f"{HOST}/team": {}}}, f"{HOST}/team"),
        ({"credsStore": "test", "auths": {HOST: coded("file")}}, "file"),
        ({"credsStore": "none", "credHelpers": {HOST: "test"}}, HOST),
    ],
)
def test_a_helper_is_asked_by_the_name_that_the_file_has(
    home: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], asked: str
) -> None:
    helper(home, monkeypatch, KNOWS)
    assert name(home, config) == asked


@pytest.mark.servers
def test_docker_hub_is_asked_for_by_the_name_that_docker_login_stores(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(home, monkeypatch, KNOWS)
    assert name(home, {"credsStore": "test"}, "docker.io", "library/a") == "https://index.docker.io/v1/"


@pytest.mark.servers
def test_a_helpers_identity_token_is_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, """echo '{"Username": "<token>", "Secret": "t"}'""")
    credentials = login(home, {"credsStore": "test"}).credentials
    assert credentials
    assert (credentials.username, credentials.identity_token) == ("", "t")


@pytest.mark.servers
@pytest.mark.parametrize("config", [{"credHelpers": {HOST: "test"}}, {"credsStore": "test"}])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'the AWS token has expired'; exit 1", "docker-credential-test says: the AWS token has expired"),
        ("echo oops >&2; exit 3", "docker-credential-test says: oops"),
        ("exit 3", "docker-credential-test says: nothing, and ends 3"),
        ("echo '{}'", "docker-credential-test answers without a name and a secret"),
        ("echo '[]'", "docker-credential-test answers without a name and a secret"),
        ("echo", "docker-credential-test answers without a name and a secret"),
        (None, "docker-credential-test cannot be run: No such file"),
        ("echo 'credentials not found in native keychain'; exit 1", "none)"),
        ("""echo '{"Username": "", "Secret": ""}'""", "none)"),
    ],
)
def test_a_helpers_reason_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], script: str | None, reason: str
) -> None:
    helper(home, monkeypatch, script or "", "test" if script is not None else "other")
    found = login(home, config)
    assert found.credentials is None
    assert reason in found.source


@pytest.mark.servers
def test_a_helper_that_fails_does_not_hide_what_the_file_has(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, "exit 1")
    assert name(home, {"credHelpers": {HOST: "test"}, "auths": {HOST: coded("file")}}) == "file"
    assert name(home, {"credHelpers": {f"{HOST}/team": "test"}, "auths": {HOST: coded("file")}}) == "file"


@pytest.mark.servers
def test_a_helper_that_hangs_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, "exec sleep 60")
    monkeypatch.setattr("colchis_steps._oci.login.PATIENCE", 0.1)
    assert "does not answer in 0.1 s" in login(home, {"credsStore": "test"}).source


def test_the_file_that_the_environment_names_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "podman": write(home / "named.json", {"auths": {HOST: coded("named")}}),
        "docker": write(home / "docker" / "config.json", {"auths": {HOST: coded("docker")}}),
        "home": write(home / ".docker" / "config.json", {"auths": {HOST: coded("home")}}),
        "runtime": write(home / "run" / "containers" / "auth.json", {"auths": {HOST: coded("runtime")}}),
        "config": write(home / ".config" / "containers" / "auth.json", {"auths": {HOST: coded("config")}}),
    }

    def found() -> str | None:
        credentials = find_login(HOST, "team/digits").credentials
        return credentials.username if credentials else None

    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(files["podman"]))
    monkeypatch.setenv("DOCKER_CONFIG", str(files["docker"].parent))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    assert found() == "named"
    write(files["podman"], {"auths": {"other.test": coded("x")}})
    assert found() == "docker"
    files["podman"].unlink()
    assert found() == "docker"
    files["docker"].unlink()
    assert found() is None  # what the environment names is all that counts
    monkeypatch.delenv("REGISTRY_AUTH_FILE")
    monkeypatch.delenv("DOCKER_CONFIG")
    for left in ("home", "runtime", "config"):
        assert found() == left
        files[left].unlink()
    assert found() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"auths": 3}', '{"auths": {"HOST": 3}}', '{"credHelpers": 1}'])
def test_a_file_of_another_kind_is_named(home: Path, text: str) -> None:
    write(home / ".docker" / "config.json", {}).write_text(text.replace("HOST", HOST))
    with pytest.raises(InputError, match=r"\.docker/config\.json is not a Docker config file for registry\.test:5000"):
        find_login(HOST, "team/digits")


def test_a_file_that_cannot_be_read_is_named(home: Path) -> None:
    (home / ".docker" / "config.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"config\.json cannot be read \(Is a directory\)"):
        find_login(HOST, "team/digits")


def test_no_password_is_in_what_is_printed(home: Path) -> None:
    assert "geheim" not in f"{login(home, {'auths': {HOST: coded('a')}})}"
