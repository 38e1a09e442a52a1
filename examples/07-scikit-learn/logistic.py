"""Fit a pipeline of scikit-learn on a table with text, numbers and missing values, and export it as ONNX."""

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from colchis_steps.context import from_environment
from colchis_steps.export import from_sklearn


def main() -> None:
    """Fit and export; the hyper-parameter C is the inverse of the regularization's strength."""
    context = from_environment()
    rows = context.rows("train")
    table, labels = pd.DataFrame(rows)[[*context.columns]], rows[context.label]
    text = [name for name, column in context.columns.items() if column.dtype == "str"]
    numbers = [name for name in context.columns if name not in text]
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), text),
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    )
    model = make_pipeline(encoded, LogisticRegression(C=context.hyperparameters.get("C", 1.0), max_iter=1000))
    model.fit(table, labels)
    from_sklearn(model, context.export, context)


if __name__ == "__main__":
    main()
