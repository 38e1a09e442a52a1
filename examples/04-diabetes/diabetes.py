"""Write scikit-learn's diabetes data as a Parquet file: ten measurements of 442 patients, and how the disease went on.

Source: Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, 2004.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_diabetes


def table() -> pa.Table:
    """Return the measurements, unscaled, and ``progression`` a year later."""
    bunch = load_diabetes(scaled=False)
    columns = {name: bunch.data[:, i] for i, name in enumerate(bunch.feature_names)}
    return pa.table({**columns, "sex": bunch.data[:, 1].astype("int64"), "progression": bunch.target})


if __name__ == "__main__":
    pq.write_table(table(), sys.argv[1])
