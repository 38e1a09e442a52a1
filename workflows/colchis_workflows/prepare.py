"""``colchis-prepare``: make one data set of another by a command of the user's (runs ``colchis_steps.prepare``).

The command runs in a container without a key, of the submitter's image; one before it fetches data and code, and the
main one takes what was made. ``check`` looks at what a template of the user's made in its place.
"""

from hera.workflows import DAG, Container, Parameter, UserContainer, WorkflowTemplate, models

from colchis_workflows._templates.parts import early, place, unwritable
from colchis_workflows._templates.step import (
    KEYS,
    MODEL,
    SCRATCH,
    TMP,
    empty,
    flags,
    inputs_of,
    keys_of,
    output,
    output_of,
    resources,
    step,
    task,
    workflow_template,
)
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "data", "data-digest", "prepare", "code", "train-image"]
GIVEN = [name for name in INPUTS if name not in {"code", "train-image"}]
CHECKED = [*GIVEN, "made-data", "made-digest"]
FETCHED, MADE = "/given", "/made"
# Argo fills it in before it looks for the template; a plain tag it would look for as it stands when a run is submitted
OWN = (
    "{{=inputs.parameters.prepare startsWith 'template:' ? trimPrefix(inputs.parameters.prepare, 'template:') : "
    "'colchis-prepare'}}"
)
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
    given, made, tmp = (place(path) for path in (FETCHED, MADE, TMP))
    own = models.VolumeMount(name="command", mount_path=TMP)  # not the place that outputs are read from
    container.init_containers = [
        _early(sent, "fetch", settings.image("data"), [given, tmp, KEYS]),
        _early(sent, "command", "{{inputs.parameters.train-image}}", [unwritable(given), made, own]),
    ]
    volumes = [SCRATCH, keys_of(ACCOUNT), empty(given.name, MODEL), empty(made.name, MODEL), empty(own.name)]
    container.volumes = volumes
    container.volume_mounts = [tmp, unwritable(given), unwritable(made), KEYS]
    return workflow_template(
        settings,
        "Colchis: prepare",
        "Makes one data set of another by a command of your own, once for the same data, code and command.",
        INPUTS,
        [container, _check(settings)],
    )


def _check(settings: Settings) -> Container:
    """Return what holds data that a template of the user's made against what they were to be made of."""
    outputs = [output("data"), output("digest")]
    size = resources("250m", "512Mi", "2Gi")
    container = step(
        settings, "prepare", CHECKED, outputs, account=ACCOUNT, image=settings.image("data"), size=size, hours=24
    )
    container.name = "check"
    return container


def dags() -> list[DAG]:
    """Return the pipeline's part that prepares: one DAG, and one in it for data that a template of the user's made."""
    return [_prepared(), _checked()]


def _prepared() -> DAG:
    """Return what makes the training's data of the validated ones, if anything does; its outputs are empty else."""
    return DAG(
        name="prepare",
        target="prepare check",
        inputs=[Parameter(name=name) for name in [*INPUTS, "prepares"]],
        outputs=[output_of("prepare", "data"), output_of("prepare", "digest")],
        tasks=[
            task(
                "prepare",
                inputs_of(INPUTS),
                document=OWN,
                template="prepare",
                when="{{inputs.parameters.prepares}} != false",
            ),
            task(
                "check",
                inputs_of(GIVEN)
                | {
                    "made-data": "{{tasks.prepare.outputs.parameters.data}}",
                    "made-digest": "{{tasks.prepare.outputs.parameters.digest}}",
                },
                template="check",
                depends="prepare.Succeeded",
                when="{{inputs.parameters.prepares}} == template",
            ),
        ],
    )


def _checked() -> DAG:
    """Return what looks at data that a template of the user's made: a DAG, as that template may be one."""
    return DAG(
        name="check",
        inputs=[Parameter(name=name) for name in CHECKED],
        tasks=[task("check", inputs_of(CHECKED), document="colchis-prepare", template="check")],
    )


def _part(name: str) -> list[str]:
    return [f"--part={name}", f"--given={FETCHED}", f"--made={MADE}"]


def _early(sent: list[str], name: str, image: str, mounts: list[models.VolumeMount]) -> UserContainer:
    size = resources("250m", "512Mi", "2Gi") if KEYS in mounts else resources("500m", "1Gi", "4Gi")
    return early("prepare", name, image, args=[*flags(sent), *_part(name)], mounts=mounts, size=size)
