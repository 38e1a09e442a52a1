"""A bucket on loopback for races, and a way to it that counts what is sent."""

import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks._rivals import free_port, go_program

from colchis_steps._content.blobs import digest_of
from colchis_steps._store.api import bulk
from colchis_steps._store.opening import open_store
from colchis_steps._store.sums import SMALL

BUCKET = "race-bucket"
VERSITYGW = ("github.com/versity/versitygw/cmd/versitygw", "v1.8.0")


@contextmanager
def serving(kind: str, data: Path) -> Iterator[int]:
    """Start versitygw (a Go module) or minio ($MINIO, or on PATH), lead the environment there; give its process id."""
    port, keys = free_port(), ("race-key", "race-secret")
    data.mkdir()
    if kind == "minio":
        program = os.environ.get("MINIO") or shutil.which("minio")
        if not program:
            raise SystemExit("there is no minio: put it on PATH or name it in MINIO=")
        settings = dict(zip(("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"), keys, strict=True))
        command = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(data)]
    else:
        settings = dict(zip(("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"), keys, strict=True)) | {"VGW_KEEP_ALIVE": "true"}
        command = [str(go_program(*VERSITYGW)), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(data)]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as s:
        try:
            deadline = time.monotonic() + 60
            while True:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                if s.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{kind} does not start: {' '.join(command)}")
                time.sleep(0.05)
            client().create_bucket(Bucket=BUCKET)
            yield s.pid
        finally:
            s.terminate()


def client() -> Any:
    import boto3

    return boto3.client("s3")


def keys(prefix: str) -> list[str]:
    """List the bucket's keys below the prefix."""
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def stored(prefix: str) -> dict[str, int]:
    """Read all objects below the prefix; count how many have each sha256."""
    store = open_store(f"s3://{BUCKET}/{prefix}")
    small, alone, found = list[str](), list[str](), Counts[str]()
    for entry in store.entries(""):
        (small if entry.size <= SMALL else alone).append(entry.key)
    for key, content in zip(small, bulk(store).read_all(small), strict=True):
        if content is None:
            alone.append(key)
        else:
            found[hashlib.sha256(content).hexdigest()] += 1
    found.update(digest_of(store, key, lambda _: None)[1] for key in alone)
    return found


def clear(prefix: str) -> None:
    """Remove what is below the prefix, unfinished uploads too."""
    remover, names = client(), keys(prefix)
    for start in range(0, len(names), 1000):
        some = [{"Key": name} for name in names[start : start + 1000]]
        remover.delete_objects(Bucket=BUCKET, Delete={"Objects": some, "Quiet": True})
    for upload in remover.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
        remover.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


class Counter:
    """A way to a server that counts the bytes that clients send, headers too."""

    def __init__(self, port: int) -> None:
        self.sent, self._to = 0, port
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let no more clients in."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=self._pump, args=(far, near, 0))
            back.start()
            self._pump(near, far, 1)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, weight: int) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 18):
                self.sent += weight * len(block)
                target.sendall(block)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
