"""What each step tells of its work: the ``details`` of its ``runs/<run>/<step>.json``, which the report draws."""

import math
from typing import Any

import msgspec

from colchis_steps._formats.documents import Document, Part
from colchis_steps._formats.images import Layer
from colchis_steps._formats.rollouts import JudgedStep


class StepResult(Document, tag="colchis.dev/step/v1"):
    """What a step did; ``details`` is the JSON of the step's own part, one of those below."""

    step: str
    run: str
    status: str  # running, succeeded, failed
    inputs: dict[str, str]
    started_at: str
    message: str = ""
    outputs: dict[str, str] = msgspec.field(default_factory=dict)
    verdict: str = ""
    finished_at: str = ""
    seconds: float = 0.0
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    log: tuple[str, ...] = ()  # the last lines of the log of a step that failed


class Check(Part):
    """One rule held against what was found; a rule that does not hold has its reason."""

    rule: str  # "accuracy ≥ 0.95", "image: dtype is uint8"
    passed: bool
    actual: str = ""
    reason: str = ""
    severity: str = "error"  # warn: it does not stop the run; undecided: too little is known to say that it holds


class Epoch(Part):
    """One epoch: mean training metrics over its steps, metrics on the eval split, seconds it took."""

    epoch: int
    train: dict[str, float]
    eval: dict[str, float]
    seconds: float
    learning_rate: float = 0.0  # when it began
    examples_per_second: float = 0.0


class Speed(Part):
    """How fast the chief trained: means in seconds a step; ``all_reduce`` is the sum over workers, measured alone."""

    examples_per_second: float = 0.0
    step: float = 0.0
    input: float = 0.0  # waited for rows
    compute: float = 0.0
    all_reduce: float = 0.0


class KeptJob(Part):
    """The job that trained, where it stays on the cluster after its end."""

    kind: str
    name: str
    namespace: str
    uid: str


class TrainingReport(Part):
    """Details of ``train``."""

    backend: str
    workers: int
    global_batch: int
    parameters: int
    examples_per_second: float
    resumed_from_epoch: int
    history: tuple[Epoch, ...]
    resumed_from_step: int = 0
    speed: Speed | None = None
    job: KeptJob | None = None


class Picture(Part):
    """A small picture: rows of numbers of the palette's colours, which are ``#rrggbb``."""

    palette: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


class Sample(Part):
    """One prediction on the test split; of a regression ``confidence`` is 0, and ``wrong`` the loss of any task.

    ``pixels`` are rows of grey values 0 to 255 where one column is a picture, ``picture`` is one of stored bytes;
    ``text`` is what the row's scalars hold.
    """

    label: str
    prediction: str
    confidence: float
    pixels: tuple[tuple[int, ...], ...] | None = None
    text: str = ""
    wrong: float = 0.0
    picture: Picture | None = None


class Curve(Part):
    """A curve of the candidate: ``kind`` is roc, pr or calibration; ``name`` is the class, ``area`` what is below."""

    kind: str
    name: str
    points: tuple[tuple[float, float], ...]
    area: float = 0.0


class Residuals(Part):
    """Errors of a regression by prediction: bins of about as many rows, each with its mean error and two quantiles.

    An error is the prediction less the label. ``plane`` counts rows by label (columns) and prediction (rows, lowest
    first) in equal bins from ``low`` to ``high``.
    """

    target: str
    edges: tuple[float, ...]
    rows: tuple[int, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]  # standard deviation of the error
    low: float
    high: float
    plane: tuple[tuple[int, ...], ...]


class OwnMetrics(Part):
    """Metrics by a function of the user's: ``module:function``, the code's digest, and what they are called."""

    function: str
    code: str  # digest; empty where the function is in the image
    image: str
    names: tuple[str, ...] = ()


class Change(Part):
    """A figure's change against the baseline on the same rows, and what may be said of it.

    ``kind`` is not_worse (by the margin at most) or better (by more than it). ``low`` and ``high`` are the two-sided
    interval of 90 %, so each errs in 5 %. Where the change is ``relative``, of a loss, it is a share of the baseline's.
    """

    metric: str
    kind: str
    margin: float
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    rows: int = 0  # or groups of rows
    test: str = "none"  # tango, mcnemar, bootstrap; equal where the models are; few where rows are
    verdict: str = "undecided"  # pass, fail
    differing: float = 0.0  # share of rows that just one of the models has right
    relative: bool = False
    smaller: bool = False  # is better


Signature = dict[str, dict[str, dict[str, Any]]]  # {"inputs"|"outputs": {name: {"dtype": …, "shape": […]}}}


class Evaluation(Part):
    """Details of ``evaluate``: slices by name (``label=3``, ``region=north``); confusion: rows are labels.

    From ``verdict`` on it says what was judged, by what and against what. The digest of these details goes from step to
    step as an argument of the workflow, so that what is published and served can be held against it.
    """

    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    baseline_version: int | None
    baseline_metrics: dict[str, float]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    checks: tuple[Check, ...]
    samples: tuple[Sample, ...]
    verdict: str = ""  # pass, fail, undecided
    tree: str = ""  # of the candidate
    data: str = ""  # the data set's digest
    baseline_digest: str = ""  # of the manifest of the version that was stable
    golden: str = ""  # digest of runs/<run>/golden.json
    thresholds: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    first_model: str = ""
    images: dict[str, str] = msgspec.field(default_factory=dict)  # what judged, what asked the models, what measured
    task: str = "classification"
    rows: int = 0  # of the test split, whatever their weights
    weight: str = ""  # the column that says how much a row counts
    targets: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    residuals: tuple[Residuals, ...] = ()
    own: OwnMetrics | None = None
    results: str = ""  # digest of the candidate's results by row
    scoring: int = 0  # the release of the figures' definitions
    baseline_run: str = ""  # whose evaluation the baseline's figures are from, where it was not asked again
    changes: tuple[Change, ...] = ()
    intervals: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)  # of 90 %, two-sided, by metric
    policy: str = ""  # digest of the model's policy; "" where it has none
    costs: dict[str, float] = msgspec.field(default_factory=dict)  # size_mib; where asked for, time and memory, too
    signature: Signature = msgspec.field(default_factory=dict)  # of the candidate, as clients see it
    before: str = ""  # digest of the evaluation whose rows were judged again, where another version had become stable


class UploadReport(Part):
    """Details of ``upload``."""

    files: int
    bytes: int
    bytes_sent: int
    reused: bool  # the version was there already
    reaching: tuple[str, ...] = ()  # TensorFlow's operations by which the model can reach out of itself


class ImageReport(Part):
    """Details of ``build_image``."""

    builder: str
    image: str
    digest: str
    layers: tuple[Layer, ...]
    bytes_sent: int


class Preheating(Part):
    """How many of the nodes had the model's image before traffic moved; ``by`` is the kind that pulled it."""

    by: str
    nodes: int
    ready: int
    seconds: float


class RolloutReport(Part):
    """Details of ``rollout``: versions before and after; seconds from ready to traffic moved."""

    target: str
    runtime: str
    endpoint: str
    previous: int | None
    stable: int | None
    seconds_to_ready: float
    seconds_to_move: float
    namespace: str = ""
    verdict: str = "pass"  # fail: the version does not serve
    reason: str = ""
    weights: dict[str, int] = msgspec.field(
        default_factory=dict
    )  # per cent by version, where more than one has traffic
    waiting: bool = False  # for an approval
    steps: tuple[JudgedStep, ...] = ()
    preheating: Preheating | None = None
