"""Which repository and revision of git's a directory of code has, without running a program that these name.

A repository's own configuration and attributes name programs: hooks, a file system's monitor, filters of contents,
differs, and what fetches an object that a partial clone lacks. So git is asked for no more than HEAD and its tree, and
the files are compared here.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from colchis_steps._store.sums import readable

SAFE = {  # options of git's, over what the repository says
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "safe.bareRepository": "explicit",
    "protocol.allow": "never",
}
ALONE = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
BY_SSH = re.compile(r"(?:[^@/:]+@)?([^@/:]+):(?!//)(.+)")  # git@host:owner/name
PLACE = re.compile(r"[a-z0-9.-]+(?::\d{1,5})?(?:/[\w.~+-]+)+", re.ASCII)
LONGEST = 256  # characters of a repository's address
ENTRY = re.compile(r"([0-7]{6}) blob ([0-9a-f]{40,64})\t(.+)", re.DOTALL)


def revision_of(directory: Path, files: Iterable[Path]) -> str:
    """Return git's revision of the files, with ``-dirty`` where it does not hold them as they are, or ""."""
    commit, tree = _git(directory, "rev-parse", "HEAD"), _git(directory, "ls-tree", "-r", "-z", "HEAD")
    entries = filter(None, map(ENTRY.fullmatch, (tree or "").split("\0")))
    held = {entry[3]: (entry[1], entry[2]) for entry in entries}
    paths = {path.relative_to(directory).as_posix(): path for path in files}
    if not commit or not COMMIT.fullmatch(commit.strip()) or not held.keys() & paths.keys():
        return ""
    missing = [name for name in held.keys() - paths.keys() if not any(map(left_out, name.split("/")))]
    clean = not missing and all(held.get(name) == _entry(path, len(commit.strip())) for name, path in paths.items())
    return commit.strip() if clean else f"{commit.strip()}-dirty"


def repository_of(directory: Path) -> str:
    """Return where git's ``origin`` is, as ``https://host/owner/name`` however it is reached, or "".

    What logs in is left out, and so is a path of this machine.
    """
    remote = (_git(directory, "config", "--get", "remote.origin.url") or "").strip()
    if found := BY_SSH.fullmatch(remote):
        remote = f"ssh://{found[1]}/{found[2]}"
    try:
        parts = urlsplit(remote)
        port = f":{parts.port}" if parts.port and parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""
    path = parts.path.strip("/").removesuffix(".git")
    place = f"{(parts.hostname or '').lower()}{port}/{path}"
    return f"https://{place}" if PLACE.fullmatch(place) and len(place) < LONGEST - 8 else ""


def left_out(name: str) -> bool:
    """Return whether a file or directory of this name is no code: hidden, or compiled."""
    return name.startswith(".") or name == "__pycache__" or name.endswith(".pyc")


def _entry(path: Path, digits: int) -> tuple[str, str]:
    """Return a file's mode and object name as git's tree would have them."""
    if path.is_symlink():
        mode, content = "120000", os.fsencode(path.readlink())
    else:
        with readable(path):
            mode, content = "100755" if path.stat().st_mode & 0o100 else "100644", path.read_bytes()
    hashed = (hashlib.sha1 if digits == 40 else hashlib.sha256)(b"blob %d\0" % len(content))
    hashed.update(content)
    return mode, hashed.hexdigest()


def _git(directory: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where it is absent, refuses, or says no."""
    options = [word for name, value in SAFE.items() for word in ("-c", f"{name}={value}")]
    command = ["git", "-C", str(directory), *options, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=30, env=os.environ | ALONE)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace")
