"""``colchis-prepare``: make one data set of another by a command of the user's (runs ``colchis_steps.prepare``).

The command runs in a container without a key, of the submitter's image; one before it fetches data and code, and the
main one takes what was made.
"""

from hera.workflows import UserContainer, WorkflowTemplate, models

from colchis_workflows._templates.step import (
    KEYS,
    KEYS_FILE,
    LOCKED,
    MODEL,
    SCRATCH,
    SETTINGS,
    TMP,
    empty,
    environment,
    flags,
    keys_of,
    output,
    resources,
    step,
    workflow_template,
)
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "data", "data-digest", "prepare", "code", "train-image"]
GIVEN, MADE = "/given", "/made"
ACCOUNT = "colchis-prepare"
HOPELESS = "lastRetry.exitCode == '-1' && lastRetry.message matches '(fetch|command): .*[(]exit code (1|2|65|137)[)]'"


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``data``, ``prepare``. Out: ``data`` and ``digest`` of what was made."""
    sent = [name for name in INPUTS if name != "train-image"]
    outputs = [output("data"), output("digest")]
    container = step(
        settings,
        "prepare",
        INPUTS,
        outputs,
        args=[*flags(sent, ["data", "digest"]), *_part("take")],
        account=ACCOUNT,
        image=settings.image("data"),
        size=resources("250m", "512Mi", "2Gi"),
        hours=24,
        hopeless=HOPELESS,
    )
    given, made, tmp = (_mount(path) for path in (GIVEN, MADE, TMP))
    own = models.VolumeMount(name="command", mount_path=TMP)  # not the place that outputs are read from
    container.init_containers = [
        _early(sent, "fetch", settings.image("data"), [given, tmp, KEYS]),
        _early(sent, "command", "{{inputs.parameters.train-image}}", [_read_only(given), made, own]),
    ]
    volumes = [SCRATCH, keys_of(ACCOUNT), empty(given.name, MODEL), empty(made.name, MODEL), empty(own.name)]
    container.volumes = volumes
    container.volume_mounts = [tmp, _read_only(given), _read_only(made), KEYS]
    return workflow_template(
        settings,
        "Colchis: prepare",
        "Makes one data set of another by a command of your own, once for the same data, code and command.",
        INPUTS,
        [container],
    )


def _part(name: str) -> list[str]:
    return [f"--part={name}", f"--given={GIVEN}", f"--made={MADE}"]


def _early(sent: list[str], name: str, image: str, mounts: list[models.VolumeMount]) -> UserContainer:
    """Return a container that runs a part before the main one."""
    has_key = KEYS in mounts
    size = resources("250m", "512Mi", "2Gi") if has_key else resources("500m", "1Gi", "4Gi")
    return UserContainer(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=["python", "-m", "colchis_steps.prepare"],
        args=[*flags(sent), *_part(name)],
        env=environment(**KEYS_FILE) if has_key else environment(),
        resources=size,
        security_context=LOCKED,
        volume_mounts=mounts,
        env_from=SETTINGS if has_key else None,
    )


def _mount(path: str) -> models.VolumeMount:
    return models.VolumeMount(name=path.strip("/"), mount_path=path)


def _read_only(mount: models.VolumeMount) -> models.VolumeMount:
    return mount.model_copy(update={"read_only": True})
