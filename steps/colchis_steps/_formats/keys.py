"""The keys of everything in a store; no other module builds one or takes one apart.

blobs/sha256/<hex>                                     a file of a model
code/<hex>.zip                                         code that was pushed
data/<set>/<digest>/manifest.json, shards              a data set
data/<set>/prepared/<digest>.json                      what a command made of it
data/<set>/schema.yaml                                 what all data sets of the name must be like
runs/<run>/<step>.json, golden.json, …                 what a run's steps recorded
runs/<run>/candidate/{model.json,blobs/sha256/<hex>}   the model that was trained, until upload takes it over
runs/<run>/training/…                                  what train recorded; history, result, checkpoints and failures
models/<model>/<n>/{manifest,record,statement}.json    a version
models/<model>/<n>/signatures/<key>.sigstore.json      a signature over the statement, by the key of this id
models/<model>/<n>/files/…                             a version's files in plain sight, where asked for
models/<model>/aliases/{latest,canary,stable}.json
models/<model>/policy.json                             what its owner demands of every version
models/<model>/policies/<digest>.json                  each policy that it ever had
models/<model>/rollouts/<run>.json
batch/<model>/<n>/<digest>/part-<n>.parquet, …         predictions of a version for many rows
evaluations/<tree>/<data>/<digest>.npy                 what a model did on data, row by row
requests/<model>/<n>/<day>/<time>-<random>.json        a sample of requests
"""

import re

import msgspec

from colchis_steps._formats.documents import canonical_digest

BLOBS = "blobs/"
MODELS = "models/"
RUNS = "runs/"
EVALUATIONS = "evaluations/"
DATA_MANIFEST = "manifest.json"  # below a data set's own URI
SCHEMA = "schema.yaml"  # there, or above it: of all data sets of the name
_CANDIDATE_BLOB = re.compile(r"runs/[^/]+/candidate/blobs/sha256/[0-9a-f]{64}")
_SIGNATURE = re.compile(r"models/[^/]+/[0-9]+/signatures/[0-9a-f]+\.sigstore\.json")
_VERSION = re.compile(r"models/(?P<model>[^/]+)/(?P<version>[0-9]+)/(?P<name>[^/]+)\.json")


def blob_key(sha256: str) -> str:
    """Return the key of the blob with this digest (hex)."""
    return f"{BLOBS}sha256/{sha256}"


def code_key(sha256: str) -> str:
    """Return the key of the code with this digest (hex)."""
    return f"code/{sha256}.zip"


def data_prefix(name: str, digest: str) -> str:
    """Return the prefix of a data set with this digest (``sha256:<hex>``); its URI is the store's URL and this."""
    return f"data/{name}/{digest.removeprefix('sha256:')[:16]}"


def prepared_key(name: str, parent: object) -> str:
    """Return the key of what a command made of a data set of this name, by data, code and command."""
    digest = canonical_digest(msgspec.to_builtins(parent)).removeprefix("sha256:")
    return f"data/{name}/prepared/{digest[:16]}.json"


def run_key(run: str, name: str) -> str:
    """Return the key of a file that a run keeps."""
    return f"{RUNS}{run}/{name}"


def run_of(key: str) -> str:
    """Return the run that keeps the file with this key."""
    return key.split("/")[1]


def result_key(run: str, step: str) -> str:
    """Return the key of what a step of the run recorded; of what makes a candidate it lies where its key may write."""
    return training_key(run, f"{step}.json") if step in {"train", "adopt"} else run_key(run, f"{step}.json")


def earlier_result_key(run: str, step: str) -> str:
    """Return the key under which an earlier release recorded the step."""
    return run_key(run, f"{step}.json")


def candidate_prefix(run: str) -> str:
    """Return the prefix of the run's candidate, without a ``/`` at its end; blobs lie there as in a store."""
    return run_key(run, "candidate")


def candidate_key(run: str) -> str:
    """Return the key of the run's candidate."""
    return f"{candidate_prefix(run)}/model.json"


def candidate_blob_key(run: str, sha256: str) -> str:
    """Return the key of a file (hex) of the run's candidate."""
    return f"{candidate_prefix(run)}/{blob_key(sha256)}"


def is_candidate_blob(key: str) -> bool:
    """Return whether the key is that of a file of some run's candidate."""
    return bool(_CANDIDATE_BLOB.fullmatch(key))


def earlier_candidate_key(run: str) -> str:
    """Return the key under which an earlier release kept the run's candidate."""
    return run_key(run, "model.json")


def golden_key(run: str) -> str:
    """Return the key of the golden predictions of the model that a run made."""
    return run_key(run, "golden.json")


def confirmed_key(run: str) -> str:
    """Return the key of how the store described the candidate's blobs when they were verified."""
    return run_key(run, "confirmed.json")


def training_key(run: str, name: str) -> str:
    """Return the key of a file of the run's training."""
    return run_key(run, f"training/{name}")


def history_key(run: str) -> str:
    """Return the key of the epochs that the run's training has finished."""
    return training_key(run, "history.json")


def training_result_key(run: str) -> str:
    """Return the key of what the chief reports of a finished training."""
    return training_key(run, "result.json")


def failure_key(run: str, rank: int) -> str:
    """Return the key under which a failing worker leaves why."""
    return training_key(run, f"worker-{rank}.failure.json")


def checkpoint_key(run: str, step: int, name: str) -> str:
    """Return the key of a file of the checkpoint after this step."""
    return training_key(run, f"checkpoints/{step:010}/{name}")


def model_prefix(model: str = "") -> str:
    """Return the prefix of everything about a model, or about all of them."""
    return f"{MODELS}{model}/" if model else MODELS


def model_of(key: str) -> str | None:
    """Return the model that the key is about; None where it is about none."""
    top, _, rest = key.partition("/")
    model, slash, _ = rest.partition("/")
    return model if f"{top}/" == MODELS and slash else None


def version_prefix(model: str, version: int) -> str:
    """Return the prefix of a version's documents, without a ``/`` at its end."""
    return f"{MODELS}{model}/{version}"


def version_of(key: str, name: str = "manifest") -> tuple[str, int] | None:
    """Return model and version where the key is that of a version's document of this name; None where it is not."""
    found = _VERSION.fullmatch(key)
    return (found["model"], int(found["version"])) if found and found["name"] == name else None


def names_version(key: str) -> bool:
    """Return whether the key is that of a document of a version, which never changes."""
    return bool(_SIGNATURE.fullmatch(key)) or any(version_of(key, name) for name in ("manifest", "record", "statement"))


def manifest_key(model: str, version: int) -> str:
    """Return the key of a version's manifest."""
    return f"{version_prefix(model, version)}/manifest.json"


def record_key(model: str, version: int) -> str:
    """Return the key of a version's record."""
    return f"{version_prefix(model, version)}/record.json"


def statement_key(model: str, version: int) -> str:
    """Return the key of a version's provenance."""
    return f"{version_prefix(model, version)}/statement.json"


def signatures_prefix(model: str, version: int) -> str:
    """Return the prefix of the signatures over a version's provenance."""
    return f"{version_prefix(model, version)}/signatures/"


def signature_key(model: str, version: int, identity: str) -> str:
    """Return the key of the signature over a version's provenance by the key with this id (hex)."""
    return f"{signatures_prefix(model, version)}{identity[:16]}.sigstore.json"


def plain_prefix(model: str, version: int) -> str:
    """Return the prefix below which a version's files lie as the SavedModel directory has them."""
    return f"{version_prefix(model, version)}/files/"


def alias_key(model: str, alias: str) -> str:
    """Return the key of an alias: ``latest``, ``canary`` or ``stable``."""
    return f"{MODELS}{model}/aliases/{alias}.json"


def policy_key(model: str) -> str:
    """Return the key of what the model's owner demands of its versions."""
    return f"{MODELS}{model}/policy.json"


def kept_policy_key(model: str, digest: str) -> str:
    """Return the key under which a policy with this digest (``sha256:<hex>``) stays, whatever came after it."""
    return f"{MODELS}{model}/policies/{digest.removeprefix('sha256:')[:16]}.json"


def rollouts_prefix(model: str) -> str:
    """Return the prefix of how runs rolled versions of the model out."""
    return f"{MODELS}{model}/rollouts/"


def rollout_key(model: str, run: str) -> str:
    """Return the key of how the run rolled a version of the model out."""
    return f"{rollouts_prefix(model)}{run}.json"


def batch_prefix(model: str, version: int, digest: str) -> str:
    """Return the prefix of a version's predictions for rows that have this digest (``sha256:<hex>``)."""
    return f"batch/{model}/{version}/{digest.removeprefix('sha256:')[:16]}"


def results_prefix(tree: str) -> str:
    """Return the prefix of what the model with this tree (``sha256:<hex>``) did on data, row by row."""
    return f"{EVALUATIONS}{tree.removeprefix('sha256:')[:16]}/"


def results_key(tree: str, data: str, digest: str) -> str:
    """Return the key of what the model with this tree did on data, row by row; all three are ``sha256:<hex>``."""
    return f"{results_prefix(tree)}{'/'.join(one.removeprefix('sha256:')[:16] for one in (data, digest))}.npy"


def tree_of(key: str) -> str:
    """Return the first 16 digits of the tree that results by row are of, by their key."""
    return key.split("/")[1]


def requests_prefix(model: str, version: int) -> str:
    """Return the prefix of the samples of requests to a version; below it they are in order of time."""
    return f"requests/{model}/{version}/"


def requests_key(model: str, version: int, day: str, name: str) -> str:
    """Return the key of a sample of requests; ``day`` is YYYY-MM-DD in UTC."""
    return f"{requests_prefix(model, version)}{day}/{name}.json"
