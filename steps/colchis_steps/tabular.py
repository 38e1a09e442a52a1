"""An entry for tables: layers by column, and an answer by task, from the data's schema and its train split alone.

Numbers are scaled, missing ones have a unit of their own, and whole ones of few values a unit each; text of few values
has a unit each, of many an embedding, sentences the mean of their words' embeddings; dates are scaled, with their place
in year, week and day; rows of a length of their own are the mean of their values.

Hyper-parameters: ``learning_rate`` (by the number of steps), ``units`` (128, of the hidden layer), ``dropout`` (0.2).
"""

from typing import Any

from colchis_steps._baselines.building import build as build_model
from colchis_steps._baselines.kinds import kind_of
from colchis_steps.context import Context


def build(context: Context) -> Any:
    """Build a compiled ``keras.Model`` of all columns but pictures and bytes of no known kind.

    Raises:
        InputError: there is no such column, or the task is a sequence or none.
    """
    return build_model(context, lambda column: kind_of(column, context.columns) not in {"", "picture"}, pictures=False)
