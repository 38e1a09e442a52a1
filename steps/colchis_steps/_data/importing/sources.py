"""The files that ``--from`` names: of this machine, a bucket, or a web server."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from colchis_steps._data.importing import bucket, local, web
from colchis_steps._data.importing.files import File, split_named
from colchis_steps._data.importing.request import Given
from colchis_steps._oci.proxies import on_this_machine
from colchis_steps._step.errors import InputError


def find(given: Sequence[Given], directory: Path) -> list[File]:
    """Return the files of all ``--from``; what is fetched is put into the directory.

    Raises:
        InputError: there are none, one is named twice, or a link leads out of its folder.
        TransientError: a server is away.
    """
    found = [replace(file, split=one.split or split_named(file.name)) for one in given for file in _at(one, directory)]
    places = [file.where for file in found]
    if twice := [place for place in places if places.count(place) > 1] if len(places) < 10_000 else []:
        raise InputError(f"--from names {twice[0]} twice; name it once")
    return found


def _at(given: Given, directory: Path) -> list[File]:
    scheme = urlsplit(given.place).scheme if "://" in given.place else ""
    if scheme in {"", "file"}:
        found = local.find(unquote(urlsplit(given.place).path) if scheme else given.place)
    elif scheme == "s3":
        found = bucket.find(given.place)
    elif scheme == "https" or (scheme == "http" and on_this_machine(urlsplit(given.place).hostname or "")):
        found = web.find(given.place, directory)
    else:
        raise InputError(f"--from={given.place[:256]} is of no kind that is read; give a path, s3:// or https://")
    if not found:
        raise InputError(f"--from={given.place} has no files; name a folder that has some")
    return found
