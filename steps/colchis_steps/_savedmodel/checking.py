"""Whether a SavedModel may be loaded here: it has only its own files, and reaches out of itself only as allowed."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.operations import OWN, REACHING, UNSTEADY
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import GRAPH

SHOWN = 8  # operations that a sentence names


def read_graph(directory: Path, source: str) -> Any:
    """Return ``saved_model.pb`` as a message; ``source`` is what sentences call the model.

    Raises:
        InputError: it is not there, or is damaged.
    """
    load_tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel()
    try:
        graph.ParseFromString((directory / GRAPH).read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{source} has no {GRAPH}; give the directory of a SavedModel") from error
    except (OSError, DecodeError) as error:
        raise InputError(f"{source} has a damaged {GRAPH} ({str(error)[:128]}); export it again") from error
    return graph


def is_steady(graph: Any) -> bool:
    """Return whether a call's time hangs on shapes alone: nothing in the model loops, branches, waits or reaches out.

    Counted is each operation of each function, also those that no signature calls.
    """
    operations = {
        node.op
        for meta in graph.meta_graphs
        for nodes in (meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function))
        for node in nodes
    }
    return not operations & (REACHING - OWN) and not any(map(UNSTEADY.search, operations))


def check_operations(graph: Any, source: str, allowed: Collection[str] = ()) -> None:
    """Refuse a model that does more than compute, when it is loaded or by any of its signatures.

    Raises:
        InputError: an operation reaches out and is not among the ``allowed`` ones, or an asset lies elsewhere.
    """
    from colchis_steps._savedmodel.reach import LOADING, asset_names, reaching

    for name in asset_names(graph):
        if name.startswith("/") or ".." in name.split("/") or "://" in name:
            raise InputError(
                f"{source} names {name[:128]!r} as an asset, which is not a file of its own; do not use it"
            )
    try:
        found = reaching(graph)
    except ValueError as error:
        raise InputError(f"{source} cannot be looked through ({str(error)[:128]}); export it again") from error
    refused = {wanted: [name for name in names if name not in allowed] for wanted, names in found.items()}
    names = sorted({name for names in refused.values() for name in names})
    if names:
        whens = [wanted for wanted, names in refused.items() if names]
        when = "when it is loaded" if whens == [LOADING] else f"in {next(w for w in whens if w != LOADING)[:64]!r}"
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise InputError(
            f"{source} reaches files, the network or code outside of itself {when}: {', '.join(names[:SHOWN])}{more}; "
            f"take that out of the model, or allow it by name (--allow-operations={','.join(names[:SHOWN])})"
        )
