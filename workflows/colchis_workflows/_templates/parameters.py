"""Every parameter of every template: one text, one default and one list of choices, wherever it is used."""

from dataclasses import dataclass

from hera.workflows import Parameter

from colchis_workflows.settings import Settings

STORE = "s3://colchis"


@dataclass(frozen=True)
class Text:
    """What a form shows; without a default the submitter must say. Markdown, which Argo shows from 4.1 on."""

    description: str
    default: str | None = None
    choices: tuple[str, ...] = ()


def choice(description: str, *choices: str) -> Text:
    """Return a parameter that is one of the choices; the first is the default."""
    return Text(description, choices[0], choices)


PARAMETERS = {
    "action": choice(
        "**canary** shifts traffic to the version by steps, **promote** gives it all, **rollback** goes back.",
        "canary",
        "promote",
        "rollback",
    ),
    "activation": choice(
        "What makes probabilities of an adopted model's output, where it gives logits: a Keras file tells by its loss.",
        "none",
        "softmax",
        "sigmoid",
    ),
    "alias": Text("Which version: `stable`, `canary`, `latest`, or a number.", "stable"),
    "approval": choice(
        "**auto** promotes a canary that is as good as the stable version. **manual** asks somebody before: the run "
        "waits with the canary at its last share of traffic, for a day; no answer is a no.",
        "auto",
        "manual",
    ),
    "baseline": Text("The version that evaluate compared with, `N@sha256:…`, or `none`; it is held.", ""),
    "backend": choice(
        "What runs the training workers. **local**: processes in the step's own pod. **indexed-job**: a pod each, by "
        "Kubernetes alone. **jobset**: by JobSet. **trainjob**: by Kubeflow Trainer 2. **tfjob**, **pytorchjob**: by "
        "Kubeflow's training operator.",
        "local",
        "indexed-job",
        "jobset",
        "trainjob",
        "tfjob",
        "pytorchjob",
    ),
    "builder": choice(
        "What builds the model image. **kaniko**: from a Dockerfile, as root in a pod of its own. **direct**: our "
        "packer, neither root nor a temporary copy. Both give the same tree.",
        "kaniko",
        "direct",
    ),
    "classes": Text("Without data: the names of an adopted model's classes in order, `cat,dog`.", ""),
    "code": Text("The URI that `colchis push-code DIR` prints. Empty: the entry is in the training image.", ""),
    "created-by": Text("Who asked for the run, or the workflow's labels as JSON; for the version's record.", ""),
    "data": Text(
        "The URI that `colchis data import NAME` prints; without its last part, the newest data set there is.",
        f"{STORE}/data/digits/b998b704837bf9f7",
    ),
    "data-digest": Text("The digest of the data that were validated; other data are refused.", ""),
    "evaluation": Text("The digest of what evaluate found; it is held.", ""),
    "from": Text(
        "What is predicted: the URI of a data set, or of a directory or file of Parquet.",
        f"{STORE}/data/digits/b998b704837bf9f7",
    ),
    "key": Text("Columns that stand beside the predictions, `id,day`. Empty: the data's keys, else row numbers.", ""),
    "golden": Text("The digest of the golden rows; it is held.", ""),
    "on-moved": choice(
        "What to do where another version is stable now than the one that evaluate compared with. **refuse**: fail. "
        "**tell**: make no version, and say so in `current`.",
        "refuse",
        "tell",
    ),
    "record": Text("The digest of the version's record, as register gave it; it is held.", ""),
    "tree": Text("The digest of the candidate's files, as train or evaluate gave it; it is held.", ""),
    "base": Text("direct: an image to stand on, `host/path:tag`; a second image, tag `N-path`, has both.", ""),
    "dry-run": choice("Whether to say only what would go, and remove nothing.", "false", "true"),
    "entry": Text("The function that builds the model, `package.module:function`.", "colchis_steps.classifier:build"),
    "fail-on-reject": choice(
        "Whether a no of the gate or the canary fails the run. **false**: the run succeeds, and `verdict` says "
        "fail, or undecided.",
        "false",
        "true",
    ),
    "failures": Text("The failed nodes as JSON, as Argo gives them to an exit handler.", "[]"),
    "first-model": choice(
        "What the gate does where no version is served yet. **accept**: value thresholds alone decide.",
        "accept",
        "reject",
    ),
    "headers": Text("Routes by header, `style: transfer=2; style: plain=1`: A/B by who asks.", ""),
    "hold": Text("How long a version that was replaced is kept for a rollback: `30m`, `24h`, `7d`.", "24h"),
    "hyperparameters": Text(
        'JSON, e.g. `{"epochs": 12, "global_batch": 64, "seed": 7, "learning_rate": 0.003}`; the entry gets what the '
        "trainer does not know.",
        "{}",
    ),
    "image": Text("The model image by digest, `repository/model@sha256:…`."),
    "insecure-registry": choice("Whether model images may go over plain HTTP.", "false", "true"),
    "job-options": Text(
        'What each worker of a job gets, as JSON: `{"cpu": "4", "memory": "16Gi", "memory_limit": "16Gi", "gpus": 1, '
        '"queue": "team-a", "priority": "high", "spot": true}`; docs/steps/train.md lists them.',
        "{}",
    ),
    "metrics": Text(
        "A function of yours that gives more figures, `package.module:function`; it is in the code or the training "
        "image. docs/steps/evaluate.md says what it gets.",
        "",
    ),
    "mirror": choice(
        "**true**: the canary also gets a copy of each request, and nobody sees its answer; not every gateway can.",
        "false",
        "true",
    ),
    "model-volume": choice(
        "How pods get the model. **image**: its image is mounted (Kubernetes 1.35). **copy**: an init container copies "
        "it out (any version). **storage**: KServe fetches it from the store.",
        "image",
        "copy",
        "storage",
    ),
    "model": Text("The model's name: lower-case letters, digits and dashes; it labels the run.", "digits"),
    "only-new-data": choice(
        "**true** ends the run at once, and says so, where the served version was trained on these very data.",
        "false",
        "true",
    ),
    "output": Text("The output of an adopted model that is the task's answer. Empty: told by name and shape.", ""),
    "plain-prefix": choice(
        "Whether the store also has the version's files under their own names, as `model-volume=storage` needs them.",
        "false",
        "true",
    ),
    "preheat": choice("Whether all nodes get the model's image before traffic moves to it.", "false", "true"),
    "prepare": Text(
        "What makes the training's data of the validated ones: `command:python features.py`, run in the code's "
        "directory, or `template:NAME`, a WorkflowTemplate of your own. Empty: they are taken as they are.",
        "",
    ),
    "prepares": Text("What prepares the data, `command`, `template` or `false`; validate-data says it.", "false"),
    "made-data": Text("The data that a template of your own made.", ""),
    "made-digest": Text("Their digest, as that template gave it.", ""),
    "repository": Text("Where model images go, `host:5000/prefix`.", "registry.example/models"),
    "rules": Text("More rules for the data, as JSON; docs/steps/validate_data.md lists them.", "{}"),
    "schema": Text(
        "A schema.yaml that the data are held against, `s3://bucket/prefix/schema.yaml`; empty: the one kept with the "
        "data, `data/NAME/schema.yaml`, if there is one.",
        "",
    ),
    "reference": Text(
        "What drift is measured against. **served**: the data of the served version. Or the `validate_data.json` of a "
        "run, `s3://bucket/prefix/runs/RUN/validate_data.json`. Empty: drift is not measured.",
        "served",
    ),
    "run": Text("The run's id, by which its steps know each other's results."),
    "runtime": choice(
        "The model server. **embedded**: ours. **tensorflow-serving**: the official image.",
        "embedded",
        "tensorflow-serving",
    ),
    "serve-image": Text(
        "The model server's image. Empty: the installation's for the version's format, SavedModel or ONNX. Another is "
        "on its list `COLCHIS_SERVER_IMAGES`; of TensorFlow Serving by release and digest.",
        "",
    ),
    "serve-options": Text(
        'What each serving pod gets, as JSON: `{"cpu": "1", "memory": "2Gi", "memory_limit": "4Gi", '
        '"min_available": 1, "max_replicas": 4}`; docs/targets.md lists them.',
        "{}",
    ),
    "signature": Text("Which signature of an adopted SavedModel. Empty: `serving_default`, or the only one.", ""),
    "source": Text(
        "The model that exists: a SavedModel, a `.keras` or `.onnx` file, or what holds one, as MLflow or Hugging Face "
        "do; `s3://bucket/prefix/incoming/NAME` on a cluster."
    ),
    "split": Text("Fixed shares in the place of steps, `1=30,2=50,3=20`: per cent by version.", ""),
    "splits": Text("The splits of a data set that are predicted, `eval,test`. Empty: all.", ""),
    "spread": choice(
        "Where the workers of a batch run. **processes**: in one pod. **pods**: a pod each, by an Indexed Job.",
        "processes",
        "pods",
    ),
    "status": choice("How the run ended.", "Succeeded", "Failed", "Error"),
    "step-seconds": Text("How long a canary has a share of the traffic, at least, before it gets more.", "30"),
    "steps": Text(
        "Per cent of the traffic that the new version gets, step by step; a first 0 asks it and lets nobody reach it.",
        "10,30,100",
    ),
    "steps-image": Text("The image of the light steps, for the version's record."),
    "sticky": Text("The header, a hash or UUID, by which who has a version keeps it: `x-user-id`.", ""),
    "store": Text("`s3://bucket/prefix`.", STORE),
    "target": choice(
        "Where the model is served. **deployment**: a Deployment and a Service a version. **kserve**: an "
        "InferenceService a version. **knative**, **seldon**: YAML only. **local**: a process on this machine "
        "(`colchis run`).",
        "deployment",
        "kserve",
        "knative",
        "seldon",
        "local",
    ),
    "task": choice("Without data: what an adopted model is for.", "none", "classification", "multilabel", "regression"),
    "testers": choice(
        "**true**: requests may name a version beside the stable one, by its path, label or header.", "false", "true"
    ),
    "thresholds": Text(
        'JSON, e.g. `{"accuracy": {"min": 0.95, "not_worse": 0.02}, "recall/*": {"min": 0.8}}`: `min` and `max` bound '
        "the value; `not_worse` and `better` are margins against the served version, told by a test. Empty: accuracy "
        "not worse by more than 0.01 (of other tasks micro F1, or the mean absolute error by 2 %), more than chance.",
        "",
    ),
    "to": Text("Where the predictions go. Empty: into the store, below `batch/<model>/<version>/`.", ""),
    "tolerances": Text(
        'How much worse a canary may be, as JSON: `{"errors": 0.01, "latency": 1.5, "disagreement": 0.1, '
        '"distribution": 0.1}`; docs/steps/rollout.md says what they are.',
        "{}",
    ),
    "train-image": Text(
        "The image that trains, and that runs metrics of your own: TensorFlow and, if you like, your code."
    ),
    "unjudged": choice(
        "**true** serves an adopted model that no data judge; its record, the report and `colchis explain` say so.",
        "false",
        "true",
    ),
    "version": Text("The model's version, a whole number."),
    "workers": Text("How many workers train together, or share out what is predicted.", "2"),
    "workflow": Text("The run's name in Argo, for the version's record.", ""),
}


def parameter(settings: Settings, name: str, *, argument: bool = False) -> Parameter:
    """Return the parameter: as an input of a template, or as an argument that a submitter sets."""
    text = PARAMETERS[name]
    default = text.default
    if default is None and name in {"steps-image", "train-image"}:
        default = settings.image(name.removesuffix("-image"))
    made = Parameter(name=name, description=text.description, enum=list(text.choices) or None)
    if default is not None:  # Hera takes None for a value
        setattr(made, "value" if argument else "default", default)
    return made
