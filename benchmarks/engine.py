"""Race `engine`: what our templates cost beside a minimal workflow of as many pods, with no work in the steps.

Reads   $KUBECONFIG                        a cluster with Argo Workflows; a namespace is made and removed
        $AWS_ENDPOINT_URL_S3, $AWS_*       a bucket's server and keys, for the report; a bucket is made and removed
Writes  benchmarks/results/engine.json     medians, and the table on stdout
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from benchmarks._engine_manifests import MINIMAL, STEPS, Object, controller, minimal, ours, site, templates
from benchmarks._table import Row, row, table, with_ratio, write

OURS = "colchis"
CASES = {"end-to-end": "10s", "end-to-end-fast": "100ms"}  # the controller's DEFAULT_REQUEUE_TIME; Argo's own is 10s
LIMIT = 300  # seconds for one workflow
PARTS = ("start_s", "main_s", "end_s")  # of a pod, one after the other
AWS = {
    "AWS_ENDPOINT_URL_S3": "http://minio.minio.svc:9000",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "admin",
    "AWS_SECRET_ACCESS_KEY": "password",
}


def seconds(begin: str, end: str) -> float:
    """Return the seconds between two times as Kubernetes writes them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def pod_times(pod: Object) -> dict[str, float]:
    """Return the seconds from a pod's creation to its step's start, of the step, and from there to the pod's end.

    ``init_s`` is the part of the first from when Argo's init container starts.
    """
    status = pod["status"]
    init = min(found["state"]["terminated"]["startedAt"] for found in status["initContainerStatuses"])
    ended = {found["name"]: found["state"]["terminated"] for found in status["containerStatuses"]}
    main, last = ended["main"], max(found["finishedAt"] for found in ended.values())
    return {
        "start_s": seconds(pod["metadata"]["creationTimestamp"], main["startedAt"]),
        "init_s": seconds(init, main["startedAt"]),
        "main_s": seconds(main["startedAt"], main["finishedAt"]),
        "end_s": seconds(main["finishedAt"], last),
    }


def figures(workflow: Object, pods: Sequence[Object]) -> dict[str, float]:
    """Return what an ended workflow says of itself; the pods' times are means, as they come in whole seconds."""
    nodes = list(workflow["status"]["nodes"].values())
    times = [pod_times(pod) for pod in pods]
    return {
        "bytes": len(json.dumps(workflow, separators=(",", ":"))),
        "pods": sum(node["type"] == "Pod" for node in nodes),
        "nodes": len(nodes),
    } | {name: sum(found[name] for found in times) / len(times) for name in times[0]}


def kubectl(*words: str, given: object = None) -> str:
    """Run kubectl; what it says of a failure ends the race."""
    text = None if given is None else json.dumps(given)
    done = subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def applied(namespace: str, objects: Sequence[Object]) -> None:
    """Apply the objects in the namespace."""
    kubectl(
        "--namespace",
        namespace,
        "apply",
        "--filename=-",
        given={"apiVersion": "v1", "kind": "List", "items": [*objects]},
    )


@contextmanager
def place() -> Iterator[str]:
    """Yield a namespace with the templates, a minimal account and a bucket, and remove it all afterwards."""
    import boto3

    for name, value in AWS.items():
        os.environ.setdefault(name, value)
    namespace = f"colchis-bench-{uuid.uuid4().hex[:6]}"
    bucket = boto3.resource("s3").Bucket(namespace)
    bucket.create()
    kubectl("create", "namespace", namespace)
    try:
        keys = (os.environ[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        applied(namespace, [*templates(namespace), *site(namespace, *keys)])
        yield namespace
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        bucket.objects.all().delete()
        bucket.delete()


def controllers_image() -> str:
    """Return the image of the cluster's own workflow controller."""
    pods = json.loads(kubectl("get", "pods", "--all-namespaces", "--selector=app=workflow-controller", "--output=json"))
    if not pods["items"]:
        raise SystemExit(
            "no pod is labelled app=workflow-controller; install Argo Workflows, or give --controller-image"
        )
    return str(pods["items"][0]["spec"]["containers"][0]["image"])


def controllers_use(namespace: str, after: float) -> dict[str, float]:
    """Return the controller's CPU seconds so far and its memory, read by the kubelet later than ``after``."""
    pods = json.loads(kubectl("--namespace", namespace, "get", "pods", "--selector=app=controller", "--output=json"))
    node = pods["items"][0]["spec"]["nodeName"]
    name = pods["items"][0]["metadata"]["name"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        for pod in summary["pods"]:
            if pod["podRef"]["name"] == name and pod["podRef"]["namespace"] == namespace:
                (found,) = pod["containers"]
                if datetime.fromisoformat(found["cpu"]["time"]).timestamp() > after:
                    used, memory = found["cpu"]["usageCoreNanoSeconds"], found["memory"]["workingSetBytes"]
                    return {"cpu_s": used / 1e9, "rss_mib": memory / 2**20}
        time.sleep(1)
    raise SystemExit(f"the kubelet of {node} tells nothing of {name}'s CPU")


def raced(namespace: str, workflow: Object) -> dict[str, float]:
    """Run a workflow from submission to its end; it must succeed. Gives what it took."""
    before = controllers_use(namespace, time.time() - 30)["cpu_s"]
    begin = time.monotonic()
    name = kubectl("--namespace", namespace, "create", "--filename=-", "--output=name", given=workflow).strip()
    kubectl("--namespace", namespace, "wait", name, "--for=jsonpath={.status.finishedAt}", f"--timeout={LIMIT - 5}s")
    wall = time.monotonic() - begin
    ended = time.time()
    got: Any = json.loads(kubectl("--namespace", namespace, "get", name, "--output=json"))
    if got["status"]["phase"] != "Succeeded":
        raise SystemExit(f"{name} ended {got['status']['phase']}: {got['status'].get('message', '')}")
    selector = f"--selector=workflows.argoproj.io/workflow={got['metadata']['name']}"
    pods = json.loads(kubectl("--namespace", namespace, "get", "pods", selector, "--output=json"))["items"]
    use = controllers_use(namespace, ended)
    kubectl("--namespace", namespace, "delete", name)
    found = figures(got, pods)
    idle = wall - found["pods"] * sum(found[name] for name in PARTS)  # the steps follow each other
    return {"wall_s": wall, "cpu_s": use["cpu_s"] - before, "rss_mib": use["rss_mib"], **found, "idle_s": idle}


def race(namespace: str, case: str, image: str, *, builder: str, runs: int, warm_up: int) -> list[Row]:
    """Run both contenders in turn, after runs that don't count; give the medians of each."""
    applied(namespace, controller(namespace, image, CASES[case]))
    kubectl("--namespace", namespace, "rollout", "status", "deployment/controller", "--timeout=120s")
    steps = [step for step in STEPS if builder == "kaniko" or step != "kaniko"]
    contenders = {OURS: ours(namespace, builder), MINIMAL: minimal(namespace, steps)}
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for turn in range(1 - warm_up, runs + 1):
        for name in sorted(contenders, reverse=turn % 2 == 0):
            sample = raced(namespace, contenders[name])
            print(f"{case} {name} {turn if turn > 0 else 'warm-up'}: {sample['wall_s']:.1f} s", file=sys.stderr)
            if turn > 0:
                samples[name].append(sample)
    if len(pods := {sample["pods"] for found in samples.values() for sample in found}) != 1:
        raise SystemExit(f"the contenders ran {sorted(pods)} pods; a race is between equal numbers")
    return [row(case, name, found) for name, found in samples.items()]


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.engine",
        description=__doc__.partition("\n")[0],
        epilog="example: make bench RACE=engine OPTIONS='--case end-to-end-fast --runs 3'",
    )
    p.add_argument("--case", choices=CASES, action="append", help="default: each")
    p.add_argument("--runs", type=int, default=5, help="of each contender; default 5")
    p.add_argument("--warm-up", type=int, default=1, help="runs before them that do not count; default 1")
    p.add_argument("--builder", choices=["kaniko", "direct"], default="kaniko", help="direct has a pod less")
    p.add_argument("--controller-image", help="default: that of the cluster's workflow controller")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    if args.runs < 1:
        parser().error(f"--runs is {args.runs}; a median takes 1 run, a race 5")
    if "KUBECONFIG" not in os.environ:
        raise SystemExit("KUBECONFIG names no cluster; docs/benchmarks.md says what this race needs")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the namespace goes however the race ends
    image = args.controller_image or controllers_image()
    with place() as namespace:
        rows = [
            made
            for case in args.case or CASES
            for made in with_ratio(
                race(namespace, case, image, builder=args.builder, runs=args.runs, warm_up=args.warm_up), MINIMAL
            )
        ]
    print(table(rows))
    print(write("engine", rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
