"""Why the pods of a Deployment are not ready, in a few words, and whether waiting may help."""

from collections.abc import Iterator
from typing import NamedTuple

from colchis_steps._manifests.objects import Object

STARTING = {"ContainerCreating", "PodInitializing"}
HOPELESS = {"CreateContainerConfigError", "ErrImageNeverPull", "InvalidImageName"}
NO_IMAGE = ("not found", "denied", "unauthorized", "forbidden")  # what a registry answers to a wrong name or login
OUR_ERRORS = {1, 2, 65}  # exit codes that the same pod gives again
RESTARTS = 3
LENGTH = 300


class Trouble(NamedTuple):
    """What is the matter, or an empty ``reason`` where nothing is known yet. ``hopeless``: waiting changes nothing."""

    reason: str = ""
    hopeless: bool = False


def is_ready(deployment: Object) -> bool:
    """Return whether all pods are of the newest description, and answer."""
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    updated = status.get("updatedReplicas", 0)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and updated >= wanted
        and status.get("replicas", 0) <= updated
        and status.get("availableReplicas", 0) >= updated
    )


def trouble(deployment: Object, pods: list[Object]) -> Trouble:
    """Return why the Deployment's pods are not ready."""
    found = [_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    found += [  # a quota, or a policy that refuses pods
        Trouble(f"no pod is made: {clipped(condition.get('message', ''))}")
        for condition in deployment.get("status", {}).get("conditions", [])
        if (condition["type"], condition["status"]) == ("ReplicaFailure", "True")
    ]
    known = [one for one in found if one.reason]
    return max(known, key=lambda one: one.hopeless, default=Trouble())


def starting(pods: list[Object]) -> str:
    """Return how far the first pod that is not ready has come; "" without one."""
    for pod in pods:
        status, name = pod.get("status", {}), pod["metadata"]["name"]
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            state = container.get("state", {})
            if waiting := state.get("waiting"):
                reason = waiting.get("reason", "no reason")
                return f"container {container['name']} is not there ({reason}); see: kubectl describe pod {name}"
            if "running" in state and not container.get("ready"):
                return f"container {container['name']} of {name} runs, and is not ready"
    return ""


def clipped(message: str) -> str:
    """Leave out the middle of a long message: what was tried stands at its beginning, and why it failed at its end."""
    text = " ".join(message.split())
    return text if len(text) <= LENGTH else f"{text[: LENGTH // 3]} … {text[-LENGTH * 2 // 3 :]}"


def _of(pod: Object) -> Trouble:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for one in _container(container):
            return one
    for condition in status.get("conditions", []):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            return Trouble(f"{name} is not scheduled: {clipped(condition.get('message', ''))}")
    return Trouble()


def _container(found: Object) -> Iterator[Trouble]:
    state, name = found.get("state", {}), found["name"]
    ended = state.get("terminated") or found.get("lastState", {}).get("terminated") or {}
    if code := ended.get("exitCode"):
        message = str(ended.get("message") or ended.get("reason", "")).strip()
        hopeless = code in OUR_ERRORS or found.get("restartCount", 0) >= (1 if message == "OOMKilled" else RESTARTS)
        yield Trouble(f"container {name} ended with code {code}: {clipped(message)}", hopeless)
    waiting = state.get("waiting") or {}
    if (reason := waiting.get("reason")) and reason not in STARTING:
        message = str(waiting.get("message", ""))
        hopeless = reason in HOPELESS or ("Image" in reason and any(word in message for word in NO_IMAGE))
        yield Trouble(f"container {name} waits, {reason}: {clipped(message)}", hopeless)
