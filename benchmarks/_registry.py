"""A registry of the race's own on loopback, and the check that an image in it holds a directory's files, byte for byte.

Reads   docker-registry on PATH (Debian's package, or the Go module github.com/distribution/distribution/v3)
"""

import gzip
import hashlib
import json
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.request import Request, urlopen

from backports import zstd

KINDS = (
    "oci.image.index.v1",
    "oci.image.manifest.v1",
    "docker.distribution.manifest.list.v2",
    "docker.distribution.manifest.v2",
)
ACCEPT = ", ".join(f"application/vnd.{kind}+json" for kind in KINDS)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Running:
    """A registry that runs."""

    address: str
    pid: int

    def received(self) -> int:
        """Return the bytes that the registry has read so far: what clients sent, and a little from its own disk."""
        lines = Path(f"/proc/{self.pid}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).partition(" ")[2])


@contextmanager
def registry(root: Path) -> Iterator[Running]:
    """Run a registry that keeps its blobs below the directory; both go at the end."""
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("docker-registry is not on PATH; install Debian's package docker-registry")
    root.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    storage = f"storage: {{filesystem: {{rootdirectory: {json.dumps(str(root))}}}}}\n"
    (root / "config.yml").write_text(f"version: 0.1\nlog: {{level: error}}\n{storage}http: {{addr: '{address}'}}\n")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", root / "config.yml"], stdout=log, stderr=log)
    try:
        _listening(address, process, root / "log")
        yield Running(address, process.pid)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(root)


def _listening(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"docker-registry does not listen:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.02)
        else:
            return


def check(address: str, repository: str, tag: str, wanted: dict[str, str]) -> None:
    """Pull the image and hold its files below ``/models/1`` against these, sha256 by path.

    Raises:
        SystemExit: a file is missing, differs or is too much.
    """
    base = f"http://{address}/v2/{repository}"
    found: dict[str, str] = {}
    for layer in _layers(base, tag):
        with urlopen(f"{base}/blobs/{layer['digest']}") as reply:
            found |= _files(_plain(reply, layer["mediaType"]))
    if found != wanted:
        odd = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
        raise SystemExit(f"{base}:{tag} does not hold the model's files; these differ: {', '.join(odd[:5])}")


def _layers(base: str, tag: str) -> list[dict[str, Any]]:
    with urlopen(Request(f"{base}/manifests/{tag}", headers={"Accept": ACCEPT})) as reply:
        manifest = json.load(reply)
    if "manifests" in manifest:
        return _layers(base, manifest["manifests"][0]["digest"])
    layers: list[dict[str, Any]] = manifest["layers"]
    return layers


def _plain(reply: IO[bytes], media_type: str) -> IO[bytes]:
    unpack: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "zstd": zstd.open}
    return cast(IO[bytes], unpack.get(media_type[-4:], lambda plain: plain)(reply))


def _files(layer: IO[bytes]) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=layer, mode="r|", bufsize=CHUNK) as archive:
        for member in archive:
            path = member.name.removeprefix(".").lstrip("/")
            if member.isreg() and path.startswith("models/1/"):
                content = archive.extractfile(member)
                assert content
                found[path.removeprefix("models/1/")] = digest(content.read)
    return found


def digest(read: Callable[[int], bytes]) -> str:
    """Return the sha256 of what is read to the end."""
    hashed = hashlib.sha256()
    while block := read(CHUNK):
        hashed.update(block)
    return hashed.hexdigest()
