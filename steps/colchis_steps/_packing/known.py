"""Layers that need not be made again: those of earlier images, by path and what names their file's bytes.

Reads   models/<model>/<n>/manifest.json, runs/<run>/build_image.json   of this version and the one before, in a store
        $XDG_CACHE_HOME/colchis/layers.json                             of directories that were packed on this machine
Writes  the latter; it can be deleted at any time
"""

import logging
import os
import time
from pathlib import Path

import msgspec

from colchis_steps._formats.documents import converted
from colchis_steps._formats.images import Layer
from colchis_steps._formats.keys import manifest_key, result_key
from colchis_steps._formats.models import Manifest
from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._oci.image import TAR, ZSTD
from colchis_steps._packing.pack import Known
from colchis_steps._packing.sources import DirectorySource
from colchis_steps._step.outputs import write_atomically
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import legible_document

MOST = 10_000  # layers in the cache's file; the oldest go
SETTLED = 2.0  # seconds; a file that is younger may be written once more within the clock's grain
log = logging.getLogger("colchis")


def in_store(store: Objects, model: str, version: int) -> dict[tuple[str, str], Known]:
    """Find the layers of this version's image and of the one before, by path and sha256 of their file."""
    known: dict[tuple[str, str], Known] = {}
    for number in (version - 1, version):
        manifest = legible_document(store, manifest_key(model, number), Manifest)
        result = manifest and legible_document(store, result_key(manifest.run, "build_image"), StepResult)
        of_it = result and result.inputs.get("version") == str(number)  # a run may have made another version too
        if manifest and result and of_it and result.status == "succeeded" and result.outputs.get("digest"):
            report = converted(result.details, ImageReport)
            if report.builder != "direct":
                continue
            layers = {layer.path: layer for layer in report.layers}
            repository = report.image.rpartition("@")[0]
            known |= {(f.path, f.sha256): Known(layers[f.path], repository) for f in manifest.files if f.path in layers}
    return known


def cache_file() -> Path:
    """Return the path of this machine's cache; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colchis" / "layers.json"


def in_cache(source: DirectorySource) -> dict[tuple[str, str], Known]:
    """Find the layers of the directory's files that are as they were when they were packed."""
    remembered = _read()
    keys = {file.path: source.key(file) for file in source.files}
    return {
        (path, key): Known(layer, repository)
        for path, key in keys.items()
        if (found := remembered.get(key))
        for layer, repository in [found]
        if layer.path == path and layer.media_type in {TAR, ZSTD}
    }


def remember(source: DirectorySource, report: ImageReport) -> None:
    """Keep the layers of the directory's files for the next time; a cache that cannot be written is none."""
    layers = {layer.path: layer for layer in report.layers}
    repository, young = report.image.rpartition("@")[0], (time.time() - SETTLED) * 1e9
    fresh = {
        source.key(file): (layers[file.path], repository)
        for file in source.files
        if file.path in layers and max(source.states[file.path][1:3]) < young
    }
    remembered = {key: value for key, value in _read().items() if key not in fresh}
    kept = list((remembered | fresh).items())[-MOST:]
    try:
        write_atomically(cache_file(), msgspec.json.encode(dict(kept)))
    except OSError as error:
        log.debug("%s is not kept: %s", cache_file(), error)


def _read() -> dict[str, tuple[Layer, str]]:
    try:
        return msgspec.json.decode(cache_file().read_bytes(), type=dict[str, tuple[Layer, str]])
    except (OSError, msgspec.MsgspecError):
        return {}
