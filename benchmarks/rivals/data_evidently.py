"""evidently's summary of the first 200,000 training rows, which is what fits. Arguments: case, source, directory."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
from evidently import Report
from evidently.presets import DataSummaryPreset

file = pq.ParquetFile(Path(sys.argv[2]) / "train-00000.parquet")
frame = next(file.iter_batches(200_000)).to_pandas()
Report([DataSummaryPreset()]).run(frame, None).save_html(f"{sys.argv[3]}/report.html")
