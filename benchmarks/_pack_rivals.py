"""What each contender of the race `pack` is: a command that makes an image of a directory and pushes it.

Reads   $KANIKO   the executor (v1.24 or the live fork); run as root in a mount namespace and a root of its own
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks._rivals import environment, go_program

CRANE = ("github.com/google/go-containerregistry/cmd/crane", "v0.22.1")
KUBEDL = ["--skip-tls-verify=true"]  # what KubeDL's controller passes
BEST = ["--compressed-caching=false", "--single-snapshot", "--snapshot-mode=time", "--compression-level=1"]
DOCKERFILE = "FROM scratch\nCOPY . /models/1/\n"
Command = list[str | Path]


class Push(NamedTuple):
    """One push: the model's directory, an empty directory for the contender, and where the image goes."""

    model: Path
    scratch: Path
    address: str
    repository: str
    tag: str

    @property
    def reference(self) -> str:
        """The image by tag."""
        return f"{self.address}/{self.repository}:{self.tag}"


def colchis(push: Push) -> Command:
    """Return our packer on the directory, as the rivals: each byte is hashed once."""
    return [*_colchis(push), f"--from={push.model}"]


def _colchis(push: Push) -> Command:
    team, _, model = push.repository.partition("/")
    step = [sys.executable, "-m", "colchis_steps.build_image", f"--store=file://{push.model.parents[1]}/store"]
    where = [f"--repository={push.address}/{team}", f"--model={model}", f"--version={push.tag}"]
    return [*step, f"--run=pack-{push.tag}", *where]


def kaniko(flags: Sequence[str]) -> Callable[[Push], Command]:
    """Return kaniko with the flags, from a root directory that holds nothing but it and the context."""

    def command(push: Push) -> Command:
        executor = Path(os.environ["KANIKO"])
        for name in ("kaniko", "workspace/build", "proc", "tmp", "etc"):
            (push.scratch / name).mkdir(parents=True)
        shutil.copy2(executor, push.scratch / "kaniko/executor")
        (push.scratch / "workspace/dockerfile").write_text(DOCKERFILE)
        mounts = 'mount --bind "$1" "$0/workspace/build" && mount -t proc proc "$0/proc" && '
        run = 'root=$0 && shift && cd / && exec chroot "$root" /kaniko/executor "$@"'
        where = ["--dockerfile=/workspace/dockerfile", "--context=dir:///workspace/build", "--force", "--insecure"]
        script: Command = ["unshare", "--mount", "sh", "-c", mounts + run, push.scratch, push.model]
        return [*script, *where, f"--destination={push.reference}", *flags]

    return command


def buildah(push: Push) -> Command:
    """Return buildah, without compression."""
    (push.scratch / "Dockerfile").write_text(DOCKERFILE)
    storage = f"--root={push.scratch}/root --runroot={push.scratch}/run"
    build = f'buildah {storage} build --quiet --file {push.scratch}/Dockerfile --tag made "$0"'
    send = f"buildah {storage} push --quiet --disable-compression --tls-verify=false made docker://{push.reference}"
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else []  # its mounts go with it
    return [*alone, "sh", "-ec", f"{build}\n{send}", push.model]


def crane(push: Push) -> Command:
    """Return GNU tar and crane append."""
    layer = push.scratch / "layer.tar"
    pack = f'tar -cf {layer} --transform "s,^[.],models/1," -C "$1" .'
    send = f'exec "$0" append --insecure --oci-empty-base --new_layer {layer} --new_tag {push.reference}'
    return ["sh", "-ec", f"{pack}\n{send}", go_program(*CRANE), push.model]


def olot(push: Push) -> Command:
    """Return olot over an empty base, its layout pushed by crane, the faster of the ways that it names."""
    _empty_layout(push.scratch / "layout")
    script = (
        "import pathlib, subprocess, sys; from olot.basics import oci_layers_on_top as on_top\n"
        "layout, model, crane, reference = sys.argv[1:]\n"
        "files = sorted(p for p in pathlib.Path(model).rglob('*') if p.is_file())\n"
        "on_top(layout, files, root_dir=pathlib.Path(model).parent)\n"
        "subprocess.run([crane, 'push', '--insecure', layout, reference], check=True)\n"
    )
    words: Command = [push.scratch / "layout", push.model, go_program(*CRANE), push.reference]
    return [environment("olot"), "-c", script, *words]


def _empty_layout(directory: Path) -> None:
    """Write a layout with an image whose one layer is empty; olot refuses one that has none."""
    kind = "application/vnd.oci.image."
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(media_type: str, content: bytes) -> dict[str, object]:
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"mediaType": f"{kind}{media_type}", "digest": f"sha256:{name}", "size": len(content)}

    platform = {"architecture": "amd64", "os": "linux"}
    layer = blob("layer.v1.tar", bytes(1024))
    history = [{"created_by": "empty"}]
    config = {**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}, "history": history}
    image = {"schemaVersion": 2, "mediaType": f"{kind}manifest.v1+json", "layers": [layer]}
    image["config"] = blob("config.v1+json", json.dumps(config).encode())
    listed = [{**blob("manifest.v1+json", json.dumps(image).encode()), "platform": platform}]
    index = {"schemaVersion": 2, "mediaType": f"{kind}index.v1+json", "manifests": listed}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


CONTENDERS: dict[str, Callable[[Push], Command]] = {
    "colchis": colchis,
    "kaniko-kubedl": kaniko(KUBEDL),
    "kaniko-best": kaniko(BEST),
    "buildah": buildah,
    "crane": crane,
    "olot": olot,
}


def missing(name: str) -> str | None:
    """Return what the contender lacks on this machine, or None."""
    if name.startswith("kaniko"):
        if not os.access(os.environ.get("KANIKO", ""), os.X_OK):
            return "KANIKO names no executor"
        return None if os.geteuid() == 0 else "it takes root, for a mount namespace and a root of its own"
    program = {"buildah": "buildah", "crane": "go", "olot": "go"}.get(name)
    return f"{program} is not on PATH" if program and not shutil.which(program) else None
