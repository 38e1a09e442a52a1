"""Runs an example's program as it is, and prints what its model, before it is exported, says of the rows of known.json.

Argument: the program's name, without ``.py``. The line begins with ``told: ``; the rows are columns by their names.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from colchis_steps.context import Context

HERE = Path(__file__).parent


def telling(export: Callable[..., None]) -> Callable[..., None]:
    """Return the function of ``colchis_steps.export``, which tells of the model that it is given."""

    def told(model: Any, directory: str, context: Context, **how: bool) -> None:
        export(model, directory, context, **how)
        like, known = context.rows("eval"), json.loads((HERE / "known.json").read_text())
        rows = {name: np.array(known[name]).astype(like[name].dtype) for name in context.columns}
        answers = {name: np.asarray(values).tolist() for name, values in own(model, rows).items()}
        print("told:", json.dumps(answers), flush=True)

    return told


def own(model: Any, rows: dict[str, Any]) -> dict[str, Any]:
    """Ask the model in the way of its framework."""
    if hasattr(model, "forward"):
        import torch

        with torch.no_grad():
            logits = model.eval()(**{name: torch.tensor(values) for name, values in rows.items()})
        return {"probability": logits.softmax(1)}
    import pandas as pd

    table = pd.DataFrame(rows)
    if hasattr(model, "predict_proba"):
        return {"probability": model.predict_proba(table)}
    return {"value": model.predict(table)[:, np.newaxis]}


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    program = importlib.import_module(sys.argv[1])
    for name in ("from_sklearn", "from_torch", "from_xgboost"):
        if hasattr(program, name):
            setattr(program, name, telling(getattr(program, name)))
    program.main()
