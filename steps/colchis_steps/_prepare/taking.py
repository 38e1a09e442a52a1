"""What the command wrote, as a data set: divided as it says, with the task and the roles of what it was made of.

A file ``prepare.yaml`` in the output says what differs: label, task, classes, weight, group, time, key, slice.
"""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from colchis_steps._data.importing import reading, sources
from colchis_steps._data.importing.files import split_named
from colchis_steps._data.importing.request import Given, Request
from colchis_steps._data.importing.run import run
from colchis_steps._formats.data import DataManifest, Parent
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

log = logging.getLogger("colchis")
SAYS = "prepare.yaml"
LISTS = {"label": "label", "classes": "classes", "group": "group", "key": "key", "slice": "slices"}
TEXTS = {"task": "task", "weight": "weight", "time": "time"}
SUFFIX = "-prepared"  # of the name: data that were made are never taken for the newest of those they are made of


def take(store: Objects, output: Path, before: DataManifest, parent: Parent) -> str:
    """Import the output; return the URI of the data set, which is the same for the same content.

    Raises:
        InputError: a split of before is missing, or the files cannot be imported.
    """
    _refuse_links(output)
    request = replace(request_of(output, before), parent=parent)
    with tempfile.TemporaryDirectory(prefix="colchis-") as nothing:  # no file is fetched
        tables = reading.tables(request, reading.readable(sources.find(request.given, Path(nothing))))
    return run(store, _without(request, tables[0].schema.names))


def request_of(output: Path, before: DataManifest) -> Request:
    """Return what is imported, and as what."""
    says, given = _says(output), _divided(output, before)
    found = Request(
        name=f"{before.name[: 40 - len(SUFFIX)].rstrip('-')}{SUFFIX}",
        given=given,
        label=before.task.target,
        task=before.task.kind,
        classes=before.task.classes,
        weight=next((c.name for c in before.of_role("weight")), ""),
        group=tuple(c.name for c in before.of_role("group")),
        time=next((c.name for c in before.of_role("time")), ""),
        key=tuple(c.name for c in before.of_role("key")),
        slices=tuple(c.name for c in before.of_role("slice")),
        split_by="given",
    )
    if "label" in says or "task" in says:
        found = replace(found, task="", classes=())
    return replace(found, **says)


def _refuse_links(output: Path) -> None:
    """Refuse links: they would lead to files of the container that imports, such as its key."""
    for top, folders, names in os.walk(output):
        for path in (Path(top, name) for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                name = path.relative_to(output)
                raise InputError(f"the command wrote {name}, a link or a special file; let it write plain files")


def _divided(output: Path, before: DataManifest) -> tuple[Given, ...]:
    """Return the files and folders that the command wrote, each with the split that its name says.

    Raises:
        InputError: a split that had rows has none now.
    """
    names = sorted(path.name for path in output.iterdir() if path.name != SAYS)
    found = {name: split_named(f"{name}/x") or split_named(name) for name in names}
    for split, rows in before.splits.items():
        if rows.rows and split not in found.values():
            raise InputError(
                f"the command wrote {', '.join(names[:8]) or 'nothing'}, and so no {split}; let it write "
                f"$COLCHIS_OUTPUT/{split}.parquet (or .csv, .npz, or a folder of this name)"
            )
    if other := [name for name, split in found.items() if not split]:
        log.warning("%s is left out: its name says no split", ", ".join(other[:8]))
    return tuple(Given(str(output / name), split) for name, split in found.items() if split)


def _without(request: Request, there: list[str]) -> Request:
    """Return the request without columns that the command has left out, but for the label."""

    def kept(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in there)

    return replace(
        request,
        weight=request.weight if request.weight in there else "",
        group=kept(request.group),
        time=request.time if request.time in there else "",
        key=kept(request.key),
        slices=kept(request.slices),
    )


def _says(output: Path) -> dict[str, Any]:
    import yaml

    path = output / SAYS
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{SAYS} of the command cannot be read ({str(error)[:128]}); write YAML") from error
    known = {**LISTS, **TEXTS}
    if not isinstance(found, dict) or (odd := [name for name in found if name not in known]):
        what = odd[0] if isinstance(found, dict) else found
        raise InputError(f"{SAYS} of the command has {str(what)[:64]!r}; it says {', '.join(known)}")
    lists = {LISTS[n]: tuple(map(str, v if isinstance(v, list) else [v])) for n, v in found.items() if n in LISTS}
    return lists | {TEXTS[name]: str(value) for name, value in found.items() if name in TEXTS}
