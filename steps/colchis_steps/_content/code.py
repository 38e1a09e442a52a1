"""The user's code as one zip, named by its digest: equal files of an equal revision give equal bytes on any machine."""

import hashlib
import io
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from colchis_steps._content.archive import open_zip
from colchis_steps._content.revision import left_out
from colchis_steps._formats.keys import code_key
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects, check_key
from colchis_steps._store.opening import open_store
from colchis_steps._store.sums import readable

LIMIT = 64 << 20  # bytes; code is held in memory, data belongs into the store
FILES = 20_000  # at most, in one zip of code
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)  # the fourth: of an encrypted one
CLASH = (NotADirectoryError, IsADirectoryError, FileExistsError)  # one member is a file where another is below it
TAIL = 512  # bytes at the end of the zip, which hold its comment
_COMMENT = re.compile(  # of its last record
    rb"PK\x05\x06.{18}(?P<revision>[0-9a-f]{40,64}(?:-dirty)?)(?: (?P<repository>https://[!-~]{1,256}))?\Z", re.DOTALL
)
_URI = re.compile(r"(?P<store>.+)/code/(?P<hex>[0-9a-f]{64})\.zip")


class Pushed(NamedTuple):
    """What identifies code that was pushed: its digest (sha256:…), and git's revision and repository, if any."""

    digest: str
    revision: str = ""
    repository: str = ""


def listed(directory: Path) -> list[Path]:
    """List the files to pack, sorted: all but hidden ones and compiled Python.

    Raises:
        InputError: there is no Python file, or a link leaves the directory or names a directory, or it is all too big.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory; give the one that holds the code")
    root, found, total = directory.resolve(), [], 0
    for top, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not left_out(name))
        for name in [*directories, *names]:
            path = Path(top, name)
            if left_out(name) or (path.is_dir() and not path.is_symlink()):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise InputError(f"{path} is a link that leaves {directory}; copy in what it names")
            if not path.is_file():
                raise InputError(f"{path} is neither a plain file nor a link to one; take it out or copy it in")
            check_key(path.relative_to(directory).as_posix())
            total += path.stat().st_size
            found.append(path)
    if not any(path.suffix == ".py" for path in found):
        raise InputError(f"{directory} holds no Python file; give the directory that has the entry's module or package")
    if total > LIMIT:
        largest = max(found, key=lambda path: path.stat().st_size)
        raise InputError(
            f"{directory} holds {total >> 20} MiB, more than the {LIMIT >> 20} MiB that code may have; "
            f"move data out of it (the largest file is {largest})"
        )
    return sorted(found, key=lambda path: path.relative_to(directory).as_posix())


def pack(directory: Path, files: list[Path], revision: str, repository: str = "") -> bytes:
    """Return the zip: fixed times, nothing compressed (so that no library's version shows), where from as comment."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in files:
            info = zipfile.ZipInfo(path.relative_to(directory).as_posix())
            info.create_system = 3  # Unix, on every machine
            with readable(path):
                info.external_attr = (stat.S_IFREG | (0o755 if path.stat().st_mode & 0o100 else 0o644)) << 16
                archive.writestr(info, path.read_bytes())
        archive.comment = f"{revision} {repository}".strip().encode() if revision else b""
    return out.getvalue()


def describe_code(uri: str) -> Pushed:
    """Return what identifies the code at ``<store>/code/<hex>.zip``.

    The URI has the digest, and the zip's comment where it is from, so the last bytes are all that is read; who unpacks
    the code verifies it.

    Raises:
        InputError: the URI is of another form, or the code is absent or larger than code may be.
    """
    store, key, digest = _located(uri)
    if (size := store.size(key) or 0) > 2 * LIMIT:
        raise InputError(f"{uri} is larger than code may be; push it again with data left out")
    tail = b"".join(store.stream(key, start=max(0, size - TAIL)))
    told = _COMMENT.search(tail)
    known = {name: value.decode() for name, value in told.groupdict(b"").items()} if told else {}
    return Pushed(f"sha256:{digest}", **known)


def unpack_code(uri: str, directory: Path) -> None:
    """Write the code at ``<store>/code/<hex>.zip`` into the directory, verified.

    Raises:
        InputError: the URI is of another form, the code is absent or altered, or a name in it leaves the directory.
    """
    store, key, digest = _located(uri)
    if (store.size(key) or 0) > 2 * LIMIT:
        raise InputError(f"{uri} is larger than code may be; push it again with data left out")
    content = store.read(key)
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{uri} is altered: its sha256 is not its name; remove it and push the code again")
    try:
        with open_zip(io.BytesIO(content), FILES) as archive:
            _extract(archive, uri, directory)
    except (*DAMAGE, *CLASH) as error:
        raise InputError(f"{uri} is not a zip of code ({str(error)[:128]}); push the code again") from error


def _located(uri: str) -> tuple[Objects, str, str]:
    """Return the code's store, key and sha256 (hex)."""
    if not (match := _URI.fullmatch(uri)):
        raise InputError(f"{uri[:128]!r} names no code; give what push_code printed: <store>/code/<digest>.zip")
    return open_store(match["store"]), code_key(match["hex"]), match["hex"]


def _extract(archive: zipfile.ZipFile, uri: str, directory: Path) -> None:
    members = archive.infolist()
    if sum(member.file_size for member in members) > LIMIT:
        raise InputError(f"{uri} unpacks to more than the {LIMIT >> 20} MiB that code may have; push it without data")
    for member in members:
        check_key(member.filename.removesuffix("/"))
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{uri} holds a link, {member.filename!r}; push the code again")
    directory.mkdir(parents=True, exist_ok=True)
    for member in members:
        path = directory / member.filename
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InputError(f"{path} would be written outside of {directory}; unpack into an empty directory")
        archive.extract(member, directory)
        if not member.is_dir():
            path.chmod(0o755 if (member.external_attr >> 16) & 0o100 else 0o644)
