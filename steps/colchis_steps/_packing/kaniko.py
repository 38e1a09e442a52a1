"""What kaniko needs to build the same image, and the check that it did: Dockerfile, context, files compared."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from colchis_steps._content.code import unpack_code
from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.models import File
from colchis_steps._formats.runs import ImageReport
from colchis_steps._oci.contents import contents, image_layers
from colchis_steps._oci.image import ROOT, split
from colchis_steps._oci.layout import explained
from colchis_steps._oci.repository import Repository, parse_reference
from colchis_steps._step.errors import InputError
from colchis_steps._step.outputs import write_atomically
from colchis_steps._step.text import one_line
from colchis_steps._store.api import Objects, check_key

LONGEST = 1 << 20  # bytes of a Dockerfile
SLACK = 64 << 20  # bytes that an image may have beyond its model's before reading it ends
LABEL = 512  # characters of a label's value


def dockerfile(files: Sequence[File], labels: Mapping[str, str]) -> str:
    """Write the Dockerfile: from scratch, a COPY a file, so a layer a file, in the order of the paths.

    Raises:
        InputError: a path holds what a Dockerfile reads as a pattern, a variable or an escape.
    """
    lines = ["FROM scratch"]
    for file in sorted(files, key=lambda file: file.path):
        if re.search(r"[*?\[\\$\x00-\x1f\x7f]", file.path):
            raise InputError(f"a Dockerfile cannot name the model's file {file.path!r}; use --builder=direct")
        lines.append("COPY " + json.dumps([file.path, f"/{ROOT}/{file.path}"], ensure_ascii=False))
    lines += [f'LABEL "{name}"="{_quoted(value)}"' for name, value in sorted(labels.items())]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """Return a label's value as one line between quotes has it: an end of a line would begin an instruction."""
    return one_line(value, LABEL).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")


def write_context(
    store: Objects, files: Sequence[File], labels: Mapping[str, str], directory: Path, own: "Own | None" = None
) -> None:
    """Write ``Dockerfile`` and ``context/`` with the verified files; modes and times are the same on every machine.

    With a Dockerfile of the user's ``own`` the files lie in ``context/model/`` and the run's code in ``context/code/``.

    Raises:
        InputError: a blob is missing or altered, a path is not fit, or the directory cannot be written.
    """
    split(files)  # checks the paths
    text, context = own.text if own else dockerfile(files, labels), directory / "context"
    model = context / "model" if own else context
    with explained(directory):
        model.mkdir(parents=True, exist_ok=True)
        fetch_files(store, files, model)
        if own and own.code:
            unpack_code(own.code, context / "code")
        wanted = {model / file.path for file in files}
        for path in sorted(context.rglob("*"), reverse=True):
            if path.is_file() and path not in wanted and not path.is_relative_to(context / "code"):
                path.unlink()  # left by an earlier build
                continue
            path.chmod(0o755 if path.is_dir() else 0o644)
            os.utime(path, (0, 0))
        write_atomically(directory / "Dockerfile.dockerignore", "")  # so that no file of the model acts as one
        write_atomically(directory / "Dockerfile", text)


class Own(NamedTuple):
    """A Dockerfile of the user's, and the URI of the code that goes with it, or ""."""

    text: str
    code: str


def read_own(store: Objects, name: str, code: str) -> Own:
    """Read the user's Dockerfile, by its key in the store; a path could name any file of the pod.

    Raises:
        InputError: it is not there, is no key, is too large or not text, or never copies the model to where it is
            looked for.
    """
    check_key(name)
    if (store.size(name) or 0) > LONGEST:
        raise InputError(f"{name} in {store.url} has more than {LONGEST} bytes; give a Dockerfile")
    content = store.read(name)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text; give a Dockerfile") from error
    if f"/{ROOT}" not in text:
        raise InputError(f"{name} never names /{ROOT}; let it say COPY model/ /{ROOT}/, where the model is looked for")
    return Own(text, code)


def read_digest(text: str) -> str:
    """Return the digest that the flag names, itself or in the file that kaniko's ``--digest-file`` wrote."""
    digest = text
    if not text.startswith("sha256:"):
        try:
            digest = Path(text).read_text().strip()
        except OSError as error:
            raise InputError(f"{text} cannot be read; give the file that kaniko's --digest-file wrote") from error
    return parse_reference(f"image@{digest}")[1]


def check_image_files(reference: str, repository: Repository, files: Sequence[File], *, insecure: bool) -> ImageReport:
    """Hold the image in the repository against the version's files, byte for byte by digest.

    Raises:
        InputError: a file is missing, differs or is too much; the first is named.
    """
    most = 2 * sum(file.size for file in files) + SLACK  # nothing is written, and what is too much shall be named
    found = {file.path: file for file in contents(reference, most=most, insecure=insecure)}
    for path in sorted(found.keys() | {file.path for file in files}):
        want = next((file for file in files if file.path == path), None)
        if found.get(path) != want:
            why = "lacks" if path not in found else "should not hold" if want is None else "holds another"
            raise InputError(f"{reference} {why} /{ROOT}/{path}; build the image of this version again")
    digest = parse_reference(reference)[1]
    layers = tuple(image_layers(repository, digest))
    return ImageReport(builder="kaniko", image=reference, digest=digest, layers=layers, bytes_sent=0)
