"""Who uploads in the race `upload`: each as its users run it, and once more with sha256sum before it.

A contender sends a directory to ``s3://<bucket>/<prefix>``; endpoint and keys are in the environment.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks._rivals import environment

Command = list[str | Path]
FILES = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
top, bucket, prefix = Path(sys.argv[1]), *sys.argv[2:]
files = {f"{prefix}/{path.relative_to(top)}": path for path in sorted(top.rglob("*")) if path.is_file()}
"""
BOTO3 = """
import boto3
client = boto3.client("s3")
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda key: client.upload_file(str(files[key]), bucket, key), files))
"""
MINIO = """
from minio import Minio
host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
client = Minio(host, *keys, secure=False, region="us-east-1")
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda key: client.fput_object(bucket, key, str(files[key])), files))
"""
OBSTORE = """
from obstore.store import S3Store
store = S3Store(bucket, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True})
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda key: store.put(key, files[key]), files))
"""


def _script(rival: str, source: str) -> Callable[[Path, str, str], Command]:
    def command(directory: Path, bucket: str, prefix: str) -> Command:
        return [environment(rival), "-c", FILES + source, directory, bucket, prefix]

    return command


def _colchis(directory: Path, bucket: str, prefix: str) -> Command:
    flags = [f"--store=s3://{bucket}/{prefix}", "--run=race", "--model=race", f"--from={directory}"]
    return [sys.executable, "-m", "colchis_steps.upload", *flags]


def _s5cmd(directory: Path, bucket: str, prefix: str) -> Command:
    where = environment("s5cmd").with_name("s5cmd")
    return [where, "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "cp", f"{directory}/", f"s3://{bucket}/{prefix}/"]


def _rclone(directory: Path, bucket: str, prefix: str) -> Command:
    where = environment("rclone").with_name("rclone")
    remote = f":s3,provider=Other,env_auth=true,endpoint='{os.environ['AWS_ENDPOINT_URL']}':{bucket}/{prefix}"
    return [where, "copy", "--config", "", "--no-update-dir-modtime", directory, remote]


def _hashed(command: Callable[[Path, str, str], Command]) -> Callable[[Path, str, str], Command]:
    """Let sha256sum read every file first: the same work as ours, whose blobs have their digests for names."""
    hashing = 'find "$1" -type f -exec sha256sum {} + >/dev/null && shift && exec "$@"'

    def both(directory: Path, bucket: str, prefix: str) -> Command:
        return ["sh", "-c", hashing, "sh", directory, *command(directory, bucket, prefix)]

    return both


RIVALS: dict[str, Callable[[Path, str, str], Command]] = {
    "boto3": _script("boto3", BOTO3),
    "minio": _script("minio", MINIO),
    "obstore": _script("obstore", OBSTORE),
    "s5cmd": _s5cmd,
    "rclone": _rclone,
}
CONTENDERS = {
    "colchis": _colchis,
    **RIVALS,
    **{f"{name}+sha256sum": _hashed(command) for name, command in RIVALS.items()},
}
