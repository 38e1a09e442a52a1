"""``colchis-evaluate``: the gate (runs ``colchis_steps.evaluate``).

A model is a program, so the container that loads it has no key: one before it fetches, and the main one, which loads
none, judges and stores. These run our images, whatever the submitter trained with. Metrics of one's own run in a
container of the training's image, which has no key either and may write nothing but numbers. What was judged once is
judged again by what is kept of it row by row: that loads no model, and has one container.
"""

from hera.workflows import Container, UserContainer, WorkflowTemplate, models

from colchis_workflows._argo.literal import literal
from colchis_workflows._templates.parts import early, place, unwritable
from colchis_workflows._templates.step import (
    KEYS,
    KEYS_FILE,
    MODEL,
    SCRATCH,
    TMP,
    TRUST,
    TRUST_AT,
    empty,
    environment,
    flags,
    keys_of,
    output,
    read_only,
    resources,
    step,
    workflow_template,
)
from colchis_workflows.settings import Settings

INPUTS = [
    *("store", "run", "model", "data", "tree", "data-digest"),
    *("thresholds", "first-model", "fail-on-reject", "serve-options"),
    *("metrics", "code", "train-image"),
]
FLAGS = [name for name in INPUTS if name != "train-image"]
FOUND = ["tree", "evaluation", "golden", "baseline"]  # goes on by arguments, out of reach of the bucket's writers
AGAIN = [  # what judging again takes, by what is kept of both models row by row
    *("store", "run", "model", "data", "tree", "data-digest", "evaluation"),
    *("thresholds", "first-model", "fail-on-reject", "metrics"),
]
GIVEN, ANSWERS, MEASURED = "/given", "/answers", "/measured"
ACCOUNT = "colchis-evaluate"
HOPELESS = (
    "lastRetry.exitCode == '-1' && lastRetry.message matches '(fetch|ask|measure): .*[(]exit code (1|2|65|137)[)]'"
)


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``thresholds``. Out: ``verdict``, pass, fail or undecided; no is no error."""
    found = [output("verdict", "fail", global_name="verdict"), *(output(name) for name in FOUND)]
    container = step(
        settings,
        "evaluate",
        INPUTS,
        found,
        args=[*flags(FLAGS, ["verdict", *FOUND]), *_part("judge")],
        env=environment(
            COLCHIS_JUDGE_IMAGE=settings.image("data"),
            COLCHIS_ASK_IMAGE=settings.image("train"),
            COLCHIS_MEASURE_IMAGE=literal("train-image"),
            **KEYS_FILE,
        ),
        account=ACCOUNT,
        image=settings.image("data"),
        size=resources("250m", "512Mi", "4Gi"),
        hopeless=HOPELESS,
    )
    given, answers, measured, tmp = (place(path) for path in (GIVEN, ANSWERS, MEASURED, TMP))
    places = {name: models.VolumeMount(name=name, mount_path=TMP) for name in ("ask", "measure")}  # each its own
    container.init_containers = [
        _early("fetch", settings.image("data"), [given, tmp, KEYS, read_only(TRUST, TRUST_AT)]),
        _early("ask", settings.image("train"), [unwritable(given), answers, places["ask"]]),
        _early(
            "measure",
            "{{inputs.parameters.train-image}}",
            [unwritable(given), unwritable(answers), measured, places["measure"]],
        ),
    ]
    volumes = [empty(name) for name in (*(str(one.name) for one in (answers, measured)), *places)]
    container.volumes = [SCRATCH, keys_of(ACCOUNT), TRUST, empty(given.name, MODEL), *volumes]
    container.volume_mounts = [tmp, *map(unwritable, (given, answers, measured)), KEYS]
    container.annotations = {"eks.amazonaws.com/skip-containers": "ask,measure"}  # a role of the account is a key
    return workflow_template(
        settings,
        "Colchis: evaluate",
        "Evaluates the exported model on held-out data and judges it by thresholds and against the served version.",
        INPUTS,
        [container, _again(settings)],
    )


def _again(settings: Settings) -> Container:
    """Return what judges once more against another stable version; its verdict is unknown where rows are not kept."""
    container = step(
        settings,
        "evaluate",
        AGAIN,
        [output("verdict", "fail", global_name="verdict"), *(output(name) for name in FOUND)],
        args=[*flags(AGAIN, ["verdict", *FOUND]), "--part=again"],
        env=environment(COLCHIS_JUDGE_IMAGE=settings.image("data"), **KEYS_FILE),
        account=ACCOUNT,
        image=settings.image("data"),
        size=resources("100m", "256Mi", "4Gi"),
        mounted={TRUST_AT: TRUST},
    )
    container.name = "judge-again"
    return container


def _part(name: str) -> list[str]:
    return [f"--part={name}", f"--given={GIVEN}", f"--answers={ANSWERS}", f"--measured={MEASURED}"]


def _early(name: str, image: str, mounts: list[models.VolumeMount]) -> UserContainer:
    size = resources("100m", "256Mi", "4Gi") if KEYS in mounts else resources("250m", "1Gi", "4Gi")
    return early("evaluate", name, image, args=[*flags(FLAGS), *_part(name)], mounts=mounts, size=size)
