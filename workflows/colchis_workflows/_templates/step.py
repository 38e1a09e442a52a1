"""What the templates share: parameters with their texts, the retry strategy, and how a step's pod is locked down.

Every template carries its own account, security settings and volumes, because a ``templateRef`` drops the workflow's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hera.workflows import DAG, Artifact, Container, Parameter, Suspend, Task, WorkflowTemplate, models

from colchis_workflows._argo.literal import BRACE, literal
from colchis_workflows._templates.parameters import parameter
from colchis_workflows.settings import Settings

TMP = "/tmp"  # noqa: S108 - the pod's own emptyDir, the only place that a step may write to
OUTPUTS = f"{TMP}/outputs"
USER = 65532  # numeric, so that the kubelet can tell that it is not root
REGISTRY_LOGIN = "/var/run/colchis/registry"
TRANSIENT = "lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '64', '75', '143']"

Template = Container | DAG | Suspend

RETRY = models.RetryStrategy(
    limit=models.IntOrString(root="3"),
    retry_policy="Always",
    expression=TRANSIENT,
    backoff=models.Backoff(duration="10s", factor=models.IntOrString(root="2")),
)
SETTINGS: list[Any] = [  # each key is an environment variable: AWS_ENDPOINT_URL_S3, AWS_REGION, …; none is a secret
    models.EnvFromSource(config_map_ref=models.ConfigMapEnvSource(name="colchis", optional=True)),
]
KEYS_AT, KEYS_SECRET = "/var/run/colchis/s3", "colchis-s3"
KEYS_FILE = {"AWS_SHARED_CREDENTIALS_FILE": f"{KEYS_AT}/credentials"}
KEYS = models.VolumeMount(name="keys", mount_path=KEYS_AT, read_only=True)
LOCKED = models.SecurityContext(
    allow_privilege_escalation=False,
    capabilities=models.Capabilities(drop=["ALL"]),
    read_only_root_filesystem=True,
    run_as_non_root=True,
)
# Argo's own containers, which it locks down where its controller is told to; so the restricted profile holds anywhere
EXECUTOR = json.dumps(
    {
        kind: [
            {"name": name, "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        ]
        for kind, name in (("initContainers", "init"), ("containers", "wait"))
    }
)
POD = models.PodSecurityContext(
    fs_group=USER,
    run_as_group=USER,
    run_as_non_root=True,
    run_as_user=USER,
    seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
)


def empty(name: str, most: str = "8Gi") -> models.Volume:
    """Return a volume of a pod's own; a pod that writes more into it is evicted, before it fills the node."""
    limit = models.Quantity(root=most)
    return models.Volume(name=name, empty_dir=models.EmptyDirVolumeSource(size_limit=limit))


MODEL = "32Gi"  # what a volume may take that holds a model, data or checkpoints
SCRATCH = empty("tmp")
LOGIN = models.Volume(
    name="registry",
    secret=models.SecretVolumeSource(
        secret_name="colchis-registry",  # noqa: S106 - a name, not a secret
        optional=True,
        items=[models.KeyToPath(key=".dockerconfigjson", path="config.json")],
    ),
)


SIGNING_AT, TRUST_AT = "/var/run/colchis/signing", "/var/run/colchis/trust"
SIGNING = models.Volume(
    name="signing",
    secret=models.SecretVolumeSource(
        secret_name="colchis-signing",  # noqa: S106 - a name, not a secret
        optional=True,
        default_mode=0o440,
    ),
)
TOKEN_AT = "/var/run/colchis/token"  # noqa: S105 - a path, where _serving/client looks
TOKEN = models.Volume(
    name="token",
    secret=models.SecretVolumeSource(
        secret_name="colchis-token",  # noqa: S106 - a name, not a secret
        optional=True,
    ),
)
TRUST = models.Volume(name="trust", config_map=models.ConfigMapVolumeSource(name="colchis-trust", optional=True))


def keys_of(account: str) -> models.Volume:
    """Return the volume with an account's keys of the store, a file in AWS's format that only this pod's user reads.

    The Secret ``colchis-s3``, whose keys were environment variables in earlier releases, is read for one release more,
    where the account has none of its own.
    """
    own = f"{KEYS_SECRET}-{account.removeprefix('colchis-')}"
    item = models.KeyToPath(key="credentials", path="credentials")
    sources = [
        models.VolumeProjection(secret=models.SecretProjection(name=KEYS_SECRET, optional=True)),
        models.VolumeProjection(secret=models.SecretProjection(name=own, optional=True, items=[item])),
    ]
    return models.Volume(name=str(KEYS.name), projected=models.ProjectedVolumeSource(sources=sources))


def environment(**more: str) -> list[Any]:
    """Return a step's environment: the only writable place is /tmp; the brace is for values that stand as they are."""
    values = {BRACE: "{", "HOME": TMP, "PYTHONDONTWRITEBYTECODE": "1"} | more
    return [models.EnvVar(name=name, value=value) for name, value in values.items()]


def flags(names: Sequence[str], outputs: Sequence[str] = ()) -> list[str]:
    """Return one flag an input, whose value comes as it is, and one an output that names the file it is read from."""
    given = [f"--{name}={literal(name)}" for name in names]
    return given + [f"--{name}-path={{{{outputs.parameters.{name}.path}}}}" for name in outputs]


def output(name: str, default: str = "", global_name: str | None = None) -> Parameter:
    """Return an output that is read from its own file below /tmp/outputs; ``default`` stands where there is none."""
    source = models.ValueFrom(path=f"{OUTPUTS}/{name}", default=default)
    return Parameter(name=name, value_from=source, global_name=global_name)


def resources(cpu: str, memory: str, limit: str) -> models.ResourceRequirements:
    """Return what a pod asks for and the memory that it may not exceed; the CPU is shared."""
    quantity = models.Quantity
    return models.ResourceRequirements(
        requests={"cpu": quantity(root=cpu), "memory": quantity(root=memory)},
        limits={"memory": quantity(root=limit)},
    )


def step(
    settings: Settings,
    stem: str,
    inputs: Sequence[str],
    outputs: Sequence[Parameter] = (),
    *,
    account: str = "colchis-step",
    token: bool = False,
    image: str | None = None,
    size: models.ResourceRequirements | None = None,
    hours: int = 1,
    disk: str = "8Gi",
    args: Sequence[str] | None = None,
    artifacts: Sequence[Artifact] = (),
    env: list[Any] | None = None,
    mounted: Mapping[str, models.Volume] | None = None,
    hopeless: str = "",
) -> Container:
    """Return the container template of a step: one flag an input and an output.

    Inputs that name an image choose or tell of one; they are no flags. ``token`` gives the step the account's token;
    without it only Argo's own container has one, which may report results and nothing else. ``mounted`` are more
    volumes, read-only, by where. ``hopeless`` is when not to try again: Argo has no exit code for a pod whose init
    container failed, only its message.
    """
    volumes, mounts = [empty("tmp", disk), keys_of(account)], [models.VolumeMount(name="tmp", mount_path=TMP), KEYS]
    volumes += (mounted or {}).values()
    mounts += (read_only(volume, path) for path, volume in (mounted or {}).items())
    sent = [name for name in inputs if not name.endswith("-image")]
    return Container(
        name=stem.replace("_", "-"),
        image=image or settings.image("steps"),
        image_pull_policy="IfNotPresent",
        command=["python", "-m", f"colchis_steps.{stem}"],
        args=list(args or flags(sent, [str(found.name) for found in outputs])),
        inputs=[parameter(settings, name) for name in inputs],
        outputs=[*outputs, *artifacts],
        env=env or environment(**KEYS_FILE),
        env_from=SETTINGS,
        resources=size or resources("100m", "256Mi", "1Gi"),
        active_deadline_seconds=str(hours * 3600),  # Argo's schema has text here
        retry_strategy=but_not(hopeless) if hopeless else RETRY,
        service_account_name=account,
        automount_service_account_token=token,
        executor=models.ExecutorConfig(service_account_name="colchis-step"),
        security_context=LOCKED,
        pod_security_context=POD,
        pod_spec_patch=EXECUTOR,
        volumes=volumes,
        volume_mounts=mounts,
        labels=pod_labels(stem),
    )


def read_only(volume: models.Volume, path: str) -> models.VolumeMount:
    """Return a volume's mount that nobody writes to."""
    return models.VolumeMount(name=str(volume.name), mount_path=path, read_only=True)


def but_not(hopeless: str) -> models.RetryStrategy:
    """Return the retry strategy, but for what matches this expression."""
    return RETRY.model_copy(update={"expression": f"({TRANSIENT}) && !({hopeless})"})


def pod_labels(stem: str) -> dict[str, str]:
    """Return the labels of a step's pods."""
    return {"app.kubernetes.io/part-of": "colchis", "app.kubernetes.io/component": stem.replace("_", "-")}


def workflow_template(
    settings: Settings,
    title: str,
    description: str,
    arguments: Sequence[str],
    templates: Sequence[Template],
    **more: Any,
) -> WorkflowTemplate:
    """Return a WorkflowTemplate of the first template's name, which is its entry point."""
    entry = str(templates[0].name)
    return WorkflowTemplate(
        name=f"colchis-{entry}",
        annotations={"workflows.argoproj.io/title": title, "workflows.argoproj.io/description": description},
        labels=settings.object_labels(f"colchis-{entry}"),
        entrypoint=entry,
        arguments=[parameter(settings, argument, argument=True) for argument in arguments],
        service_account_name="colchis-step",
        templates=list(templates),
        **more,
    )


def task(
    name: str, given: Mapping[str, str], *, template: str | None = None, document: str | None = None, **more: Any
) -> Task:
    """Return a task that runs ``colchis-<name>``, or a template of another document, or of this one, by name."""
    where: dict[str, Any] = {"template": template}
    if template is None or document:
        where = {"template_ref": models.TemplateRef(name=document or f"colchis-{name}", template=template or name)}
    return Task(name=name, arguments=[Parameter(name=k, value=v) for k, v in given.items()], **where, **more)


def output_of(task_name: str, name: str, default: str = "") -> Parameter:
    """Return a DAG's output, which is that of one of its tasks."""
    source = models.ValueFrom(parameter=f"{{{{tasks.{task_name}.outputs.parameters.{name}}}}}", default=default)
    return Parameter(name=name, value_from=source)


def inputs_of(names: Sequence[str]) -> dict[str, str]:
    """Return arguments that hand the template's own inputs on."""
    return {name: f"{{{{inputs.parameters.{name}}}}}" for name in names}
