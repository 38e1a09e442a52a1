"""Real jobs, from a file to a served model: how each is imported, run, and what it is to reach."""

from dataclasses import dataclass, field

from tests.jobs import sources
from tests.jobs.sources import Maker


@dataclass(frozen=True)
class Job:
    """A job: its data, the words of the import, what the run sets, and words of a prediction of the served model."""

    name: str
    make: Maker
    words: tuple[str, ...]
    thresholds: str
    settings: dict[str, str] = field(default_factory=dict)
    code: str = ""  # a directory of code that is pushed
    says: str = ""
    set_name: str = ""  # where the set is one that Colchis knows

    @property
    def data(self) -> str:
        return self.set_name or self.name


VISITS, ILL = ("--label=ill",), '{"auc": {"min": 0.7}}'
JOBS = (
    Job(
        "penguins",
        sources.penguins,
        ("--label=species",),
        '{"accuracy": {"min": 0.9}}',
        says="prediction (Adelie|Gentoo|Chinstrap)",
    ),
    Job("diabetes", sources.diabetes, ("--label=progression",), '{"r2": {"min": 0.3}}', says=r"value \d+"),
    Job("tiles", sources.tiles, (), '{"accuracy": {"min": 0.85}}', says="prediction (china|flower)"),
    Job(
        "sentences",
        sources.sentences,
        ("--label=team",),
        '{"accuracy": {"min": 0.9}}',
        {"entry": "text:build"},
        code="examples/06-sentences",
        says="prediction (billing|shipping|technical)",
    ),
    Job(
        "tags",
        sources.tags,
        ("--label=red,round,rare,old", "--task=multilabel"),
        '{"macro_f1": {"min": 0.8}}',
        says=r"(red|round|old)",
    ),
    Job(
        "cancer",
        sources.breast_cancer,
        ("--label=diagnosis", "--weight=weight"),
        '{"recall/label=malignant": {"min": 0.7}}',
        {"hyperparameters": '{"epochs": 20, "global_batch": 32, "seed": 1, "class_weight": "balanced"}'},
        says="prediction (benign|malignant)",
    ),
    Job(
        "visits-by-time", sources.visits, ("--label=ill", "--time=visited", "--split-by=time"), '{"auc": {"min": 0.7}}'
    ),
    Job(
        "visits-by-patient",
        sources.visits,
        ("--label=ill", "--group=patient", "--split-by=group"),
        '{"auc": {"min": 0.7}}',
    ),
    Job(
        "linear",
        sources.penguins,
        ("--label=species",),
        '{"accuracy": {"min": 0.85}}',
        {"entry": "command:python linear.py"},
        code="examples/03-penguins",
        says="prediction (Adelie|Gentoo|Chinstrap)",
    ),
    Job("clothes", sources.idx_files, (), '{"accuracy": {"min": 0.8}}', set_name="fashion-mnist"),
    Job(
        "trips",
        sources.trips,
        ("--label=tip",),
        '{"accuracy": {"min": 0.7}}',
        {"workers": "2", "hyperparameters": '{"epochs": 1, "global_batch": 4096, "seed": 1}'},
        says="prediction (yes|no)",
    ),
)
