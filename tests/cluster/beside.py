"""Stores and registries that must fail: started beside the cluster, on an address that pods reach, stopped by their id.

COLCHIS_TEST_ADDRESS   this machine's address as pods see it (default: that of the API server in $KUBECONFIG)
"""

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.cluster.installed import AWS, kubectl, until

LOGIN = ("team", "right")
HASHED = "team:$2b$04$dobyYMRtGNbgwuUyuT3Aee5JJ.82RzyxdApZCwwi9P3/w8HYnv5Aq"  # bcrypt of "right"


def address() -> str:
    """Return this machine's address as pods see it."""
    view = json.loads(kubectl("config", "view", "--minify", "--output=json"))
    return os.environ.get("COLCHIS_TEST_ADDRESS") or str(urlsplit(view["clusters"][0]["cluster"]["server"]).hostname)


@dataclass
class Server:
    """A program that listens on one port, and goes down and comes up again with what it holds."""

    command: list[str]
    host: str
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def up(self) -> "Server":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=os.environ | KEYS)
        until(30, f"{self.command[0]} at {self.place}", self._listens)
        return self

    def down(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _listens(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


KEYS = {"MINIO_ROOT_USER": AWS["AWS_ACCESS_KEY_ID"], "MINIO_ROOT_PASSWORD": AWS["AWS_SECRET_ACCESS_KEY"]}


def program(name: str) -> str:
    """Return the program's path; without it there is nothing to test with."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH")
    return found


def free_port(host: str) -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def registry(directory: Path) -> Server:
    """Describe a registry that wants LOGIN."""
    host = address()
    port = free_port(host)
    directory.mkdir(parents=True)
    (directory / "htpasswd").write_text(f"{HASHED}\n")
    (directory / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        f'http: {{addr: "{host}:{port}", secret: test}}\n'
        f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}\n"
    )
    command = [program("docker-registry"), "serve", str(directory / "config.yml")]
    return Server(command, host, port, directory / "log")


def minio(directory: Path) -> Server:
    """Describe a MinIO with the keys of the cluster's."""
    host = address()
    port = free_port(host)
    directory.mkdir(parents=True)
    command = [program("minio"), "server", str(directory / "data"), f"--address={host}:{port}", "--quiet"]
    return Server(command, host, port, directory / "log")
