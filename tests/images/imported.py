"""What the doors of the steps import, told by the imports in the code; nothing is loaded."""

import sys

import grimp

OTHER_FORMAT = {"keras", "tensorflow"}  # what runs a SavedModel


def modules(*doors: str) -> set[str]:
    """Return our modules and the packages of others that the doors import for ONNX models, in functions too."""
    graph = grimp.build_graph("colchis_steps", include_external_packages=True, cache_dir=None)
    reached = {name for door in doors for name in graph.find_upstream_modules(f"colchis_steps.{door}")}
    return reached - sys.stdlib_module_names - OTHER_FORMAT
