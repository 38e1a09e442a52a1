"""The default entry, for any data: ``image`` for the columns that are pictures, ``tabular`` for all others, joined.

The name is of the time when there were classes alone. Hyper-parameters are those of both.
"""

from typing import Any

from colchis_steps._baselines.building import build as build_model
from colchis_steps._baselines.kinds import kind_of
from colchis_steps.context import Context


def build(context: Context) -> Any:
    """Build a compiled ``keras.Model`` of all columns but bytes of no known kind.

    Raises:
        InputError: there is no such column, or the task is a sequence or none.
    """
    kinds = {name: kind_of(column, context.columns) for name, column in context.columns.items()}
    return build_model(context, lambda column: bool(kinds[column.name]), pictures="picture" in kinds.values())
