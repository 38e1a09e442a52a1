"""The iris example as the tests run it: its program by itself, with what ``train`` puts into its environment."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "examples" / "32-iris" / "iris.py"
ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]  # both are versicolor, class 1


def export_iris(directory: Path) -> Path:
    """Import the data, train, export; give the directory of the SavedModel."""
    words = [sys.executable, "-m", "colchis_steps.import_data", "iris", f"--to={(directory / 'store').as_uri()}"]
    data = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    export = directory / "export"
    export.mkdir()
    given = {"COLCHIS_DATA": data, "COLCHIS_EXPORT": str(export), "COLCHIS_HISTORY": str(directory / "history")}
    subprocess.run([sys.executable, PROGRAM], env=os.environ | given, capture_output=True, check=True, timeout=280)
    return export
