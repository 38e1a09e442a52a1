"""The keys of everything in a store; no other module builds one."""

from typing import TYPE_CHECKING, Any


def blob_key(sha256: str) -> str:
    """Give the key of the blob with this digest (hex)."""
    return f"blobs/sha256/{sha256}"


def code_key(sha256: str) -> str:
    """Give the key of the code with this digest (hex)."""
    return f"code/{sha256}.zip"


def golden_key(run: str) -> str:
    """Give the key of the golden predictions of the model that a run made, beside its candidate."""
    return f"runs/{run}/golden.json"


def plain_prefix(model: str, version: int) -> str:
    """Give the prefix below which a version's files lie as the SavedModel directory has them."""
    return f"models/{model}/{version}/files/"


def stable_key(model: str) -> str:
    """Give the key of the alias ``stable``."""
    return f"models/{model}/aliases/stable.json"


def canary_key(model: str) -> str:
    """Give the key of the alias ``canary``."""
    return f"models/{model}/aliases/canary.json"


def rollout_key(model: str, run: str) -> str:
    """Give the key of what is known of a rollout."""
    return f"models/{model}/rollouts/{run}.json"


if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def checkpoint_key(run: str, step: int, name: str) -> str:
    """Give the key of a file of the checkpoint after this step."""
    return training_key(run, f"checkpoints/{step:010}/{name}")


def training_key(run: str, name: str) -> str:
    """Give the key of a file of the run's training."""
    return f"runs/{run}/training/{name}"


def message_key(run: str, rank: int) -> str:
    """Give the key under which a failing worker leaves its sentence."""
    return training_key(run, f"worker-{rank}.message")


def candidate_key(run: str) -> str:
    """Give the key of the run's candidate."""
    return f"runs/{run}/model.json"


def manifest_key(model: str, version: int) -> str:
    """Give the key of a version's manifest."""
    return f"models/{model}/{version}/manifest.json"
