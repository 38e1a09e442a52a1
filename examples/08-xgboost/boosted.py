"""Fit XGBoost's trees on a table of numbers, with early stopping on the split eval, and export them as ONNX."""

import json
import os
from pathlib import Path

import pandas as pd
import xgboost

from colchis_steps.context import from_environment
from colchis_steps.export import from_xgboost


def main() -> None:
    """Fit, tell of each round, export; hyper-parameters are XGBoost's."""
    context = from_environment()
    parts = {split: context.rows(split) for split in ("train", "eval")}
    tables = {split: (pd.DataFrame(rows)[[*context.columns]], rows[context.label]) for split, rows in parts.items()}
    given = {"n_estimators": 300, "learning_rate": 0.05, "max_depth": 3, "early_stopping_rounds": 20}
    model = xgboost.XGBRegressor(**given | dict(context.hyperparameters), random_state=context.seed)
    model.fit(*tables["train"], eval_set=[*tables.values()], verbose=False)
    train, held_out = (found["rmse"] for found in model.evals_result().values())
    lines = [{"train": {"loss": one}, "eval": {"loss": other}} for one, other in zip(train, held_out, strict=True)]
    Path(os.environ["COLCHIS_HISTORY"]).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    from_xgboost(model, context.export, context)


if __name__ == "__main__":
    main()
