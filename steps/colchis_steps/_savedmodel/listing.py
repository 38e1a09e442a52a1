"""Which operations that reach out a SavedModel may have, found without TensorFlow: upload tells them.

It is a list to look at, not a judgement: an operation may read the model's own file, or never run, and a constant may
hold the same bytes. ``checking`` says what is refused.
"""

from colchis_steps._savedmodel.operations import OWN, REACHING

MOST = 64 << 20  # bytes of a graph that is looked through
OPERATION = 2 << 3 | 2  # how a node's operation begins: field 2 of node_def.proto (TensorFlow), a text


def reaching_operations(graph: bytes) -> tuple[str, ...]:
    """Return the names of operations in ``saved_model.pb`` that can reach out, sorted.

    Those of the model's own variables are left out.
    """
    return tuple(sorted(n for n in REACHING - OWN if bytes([OPERATION, len(n)]) + n.encode() in graph))
