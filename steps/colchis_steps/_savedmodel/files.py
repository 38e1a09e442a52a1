"""What a SavedModel's directory holds, for those who do not load it."""

from collections.abc import Collection

from colchis_steps._step.errors import InputError

GRAPH = "saved_model.pb"


def check_saved_model(paths: Collection[str], source: str) -> None:
    """Refuse files that are not a SavedModel's; ``source`` names where they lie.

    Raises:
        InputError: the graph is missing.
    """
    if GRAPH not in paths:
        raise InputError(f"{source} has no {GRAPH}; give a SavedModel, as keras.Model.export writes it")
