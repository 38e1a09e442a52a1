"""``colchis-build-image``: pack a version as an OCI image (runs ``colchis_steps.build_image``).

With builder ``kaniko`` a first pod writes the context and builds it, and the last task checks what was pushed; with
builder ``direct`` the last task packs. So both ways end in one task, whose outputs are always there to read.
"""

from collections.abc import Mapping
from typing import Any

from hera.workflows import DAG, Container, UserContainer, WorkflowTemplate, models

from colchis_workflows._argo.literal import BRACE, literal
from colchis_workflows._templates.parameters import parameter
from colchis_workflows._templates.step import (
    EXECUTOR,
    KEYS,
    KEYS_FILE,
    LOCKED,
    LOGIN,
    MODEL,
    POD,
    REGISTRY_LOGIN,
    SCRATCH,
    SETTINGS,
    TMP,
    but_not,
    empty,
    environment,
    flags,
    inputs_of,
    keys_of,
    output,
    output_of,
    pod_labels,
    resources,
    step,
    task,
    workflow_template,
)
from colchis_workflows.settings import Settings

# The executor's image, its flags and a Dockerfile give root beside the registry's login, so no submitter chooses them:
# an overlay does, by ``images`` and by patches that add to the arguments.
BUILD = ["store", "run", "model", "version", "builder", "repository", "insecure-registry"]
PACK = [*BUILD, "base"]
INPUTS = PACK
CONTEXT = "/context"
ACCOUNT = "colchis-build"
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]  # what unpacking files as their owner takes

# Argo has no exit code for a pod whose init container failed, only its message
HOPELESS = "lastRetry.exitCode == '-1' && lastRetry.message matches 'context: Error [(]exit code (1|2|65|137)[)]'"


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``version``, ``repository``. Out: ``digest`` and ``image``, the reference by digest."""
    pack = step(
        settings,
        "build_image",
        PACK,
        [output("digest", global_name="digest"), output("image"), output("based-image")],
        account=ACCOUNT,
        env=environment(DOCKER_CONFIG=REGISTRY_LOGIN, **KEYS_FILE),
        mounted={REGISTRY_LOGIN: LOGIN},
    )
    pack.name = "pack"
    build = DAG(
        name="build-image",
        inputs=[parameter(settings, name) for name in INPUTS],
        outputs=[output_of("build-image", name) for name in ("digest", "image", "based-image")],
        tasks=tasks(inputs_of(INPUTS)),
    )
    return workflow_template(
        settings,
        "Colchis: build image",
        "Packs a version's files as an OCI image, one layer a file, and pushes it.",
        INPUTS,
        [build, _kaniko(settings), pack],
    )


def tasks(given: Mapping[str, str], document: str | None = None, after: str | None = None) -> list[Any]:
    """Return the tasks of a build, with these arguments; the last one is ``build-image``, whatever the builder."""
    build, pack = ({name: given[name] for name in names if name in given} for names in (BUILD, PACK))
    kaniko = f"{given['builder']} == kaniko"
    return [
        task("kaniko", build, template="kaniko", document=document, depends=after, when=kaniko),
        task("build-image", pack, template="pack", document=document, depends="kaniko.Succeeded || kaniko.Skipped"),
    ]


def _kaniko(settings: Settings) -> Container:
    """Return kaniko's pod: it unpacks as root, so it has its own account and pod, and neither token nor keys."""
    common: dict[str, Any] = {"image_pull_policy": "IfNotPresent", "resources": resources("200m", "512Mi", "4Gi")}
    context = models.VolumeMount(name="context", mount_path=CONTEXT)
    writer = UserContainer(
        name="context",
        image=settings.image("steps"),
        command=["python", "-m", "colchis_steps.build_image"],
        args=[*flags(BUILD), f"--context={CONTEXT}"],
        env=environment(DOCKER_CONFIG=REGISTRY_LOGIN, **KEYS_FILE),
        env_from=SETTINGS,
        security_context=LOCKED,
        volume_mounts=[
            context,
            models.VolumeMount(name="tmp", mount_path=TMP),
            KEYS,
            models.VolumeMount(name="registry", mount_path=REGISTRY_LOGIN, read_only=True),
        ],
        **common,
    )
    return Container(
        name="kaniko",
        image=settings.kaniko,
        command=["/kaniko/executor"],
        args=[
            f"--context=dir://{CONTEXT}/context",
            f"--dockerfile={CONTEXT}/Dockerfile",
            f"--destination={literal('repository')}/{literal('model')}:{literal('version')}",
            f"--insecure={literal('insecure-registry')}",
            "--push-retry=3",
            "--cache=false",
            "--compressed-caching=false",
            "--digest-file=/dev/termination-log",
            "--single-snapshot=false",
        ],
        env=[models.EnvVar(name=BRACE, value="{")],
        termination_message_policy="FallbackToLogsOnError",  # so that the node says what kaniko said last
        inputs=[parameter(settings, name) for name in BUILD],
        init_containers=[writer],
        active_deadline_seconds="3600",
        retry_strategy=but_not(HOPELESS),
        service_account_name=ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name="colchis-step"),
        security_context=models.SecurityContext(
            allow_privilege_escalation=False,
            capabilities=models.Capabilities(drop=["ALL"], add=CAPABILITIES),
            run_as_non_root=False,
            run_as_user=0,
        ),
        pod_security_context=POD,
        pod_spec_patch=EXECUTOR,
        volumes=[SCRATCH, keys_of(ACCOUNT), LOGIN, empty("context", MODEL)],
        volume_mounts=[
            context.model_copy(update={"read_only": True}),
            models.VolumeMount(name="registry", mount_path="/kaniko/.docker", read_only=True),
        ],
        labels=pod_labels("build_image"),
        **common,
    )
