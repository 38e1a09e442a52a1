"""An entry for pictures: a small convolutional network, and an answer by task.

A picture is bytes of PNG, JPEG, WebP, GIF or BMP, which the model decodes, or uint8 [height, width] or [height, width,
channels].

Hyper-parameters: ``image_size`` (pixels; the most common one of the data, up to 128), ``learning_rate`` (by the number
of steps), ``units`` (128, of the hidden layer), ``dropout`` (0.2).
"""

from typing import Any

from colchis_steps._baselines.building import build as build_model
from colchis_steps._baselines.kinds import kind_of
from colchis_steps.context import Context


def build(context: Context) -> Any:
    """Build a compiled ``keras.Model`` of the columns that are pictures.

    Raises:
        InputError: there is none, or the task is a sequence or none.
    """
    return build_model(context, lambda column: kind_of(column, context.columns) == "picture", pictures=True)
