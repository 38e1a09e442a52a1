"""What register signs, verified by cosign 3, which knows nothing of us: on an image in a registry, and as a file."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks._rivals import go_program
from tests.cluster.beside import free_port
from tests.steps._models.signing.test_dsse import KEYS, private, public
from tests.steps.test_register import register, run_steps

from colchis_steps._formats.keys import signatures_prefix, statement_key
from colchis_steps._models.signing.dsse import made
from colchis_steps.build_image import main as build_image

COSIGN = ("github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.1")
FLAGS = ("--insecure-ignore-tlog=true", "--type=slsaprovenance1")
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]  # building cosign takes minutes
Cosign = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    if shutil.which("go") is None and os.environ.get("CI") != "true":
        pytest.skip("cosign is built from its Go module, and there is no go on PATH")
    program, home = go_program(*COSIGN), tmp_path_factory.mktemp("cosign")

    def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"HOME": str(home)}
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)

    return run


def given(keys: Path, kind: str) -> Path:
    """Put a key of this kind where versions are signed; return the public half."""
    keys.mkdir()
    (keys / "private.pem").write_bytes(private(KEYS[kind]))
    (keys / "public.pem").write_text(public(KEYS[kind]))
    return keys / "public.pem"


def pushed(published: Any, tmp_path: Path, address: str) -> str:
    """Run the steps before register, and pack the version into a registry; return the image."""
    run_steps(published, tmp_path)
    flags = [f"--store={published.store.url}", "--run=run-1", "--model=digits", "--version=1"]
    assert build_image([*flags, f"--repository={address}/models", f"--image-path={tmp_path}/image"]) == 0
    return (tmp_path / "image").read_text()


@pytest.mark.parametrize("kind", KEYS)
def test_cosign_verifies_an_image(
    cosign: Cosign, published: Any, docker_registry: Callable[..., str], keys: Path, kind: str
) -> None:
    image, key = pushed(published, tmp_path := keys.parent, docker_registry()), given(keys, kind)
    words = ["verify-attestation", f"--key={key}", *FLAGS, "--allow-http-registry", image]
    assert cosign(*words).returncode != 0, "it is not signed yet"
    assert register(published, image) == 0
    done = cosign(*words)
    assert done.returncode == 0, done.stderr
    payload = json.loads(done.stdout)["payload"]
    assert base64.b64decode(payload) == published.store.read(statement_key("digits", 1))
    (tmp_path / "other.pem").write_text(made()[1].pem)
    refused = cosign(*words[:1], f"--key={tmp_path / 'other.pem'}", *words[2:])
    assert refused.returncode != 0
    assert "failed to verify signature" in refused.stderr


def test_cosign_verifies_a_file_of_the_model_with_the_stores_bundle(
    cosign: Cosign, published: Any, tmp_path: Path, keys: Path
) -> None:
    key = given(keys, "P-256")
    assert register(published, run_steps(published, tmp_path)) == 0
    (name,) = published.store.keys(signatures_prefix("digits", 1))
    bundle = published.root / "store" / name
    words = ["verify-blob-attestation", f"--key={key}", f"--bundle={bundle}", *FLAGS]
    file = tmp_path / "saved_model.pb"
    file.write_bytes(published.files["saved_model.pb"])
    done = cosign(*words, file)
    assert done.returncode == 0, done.stderr
    file.write_bytes(b"other")
    assert cosign(*words, file).returncode != 0


@pytest.mark.tensorflow
def test_cosign_verifies_what_the_demo_signed(cosign: Cosign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLCHIS_KEYS")
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    monkeypatch.setenv("COLCHIS_PORT", str(free_port("127.0.0.1")))
    demo = [sys.executable, "-m", "colchis_workflows.cli", "demo"]
    done = subprocess.run(demo, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "signed by     demo (key " in done.stdout
    (bundle,) = tmp_path.glob("store/models/digits/1/signatures/*.sigstore.json")
    image = json.loads((tmp_path / "store/models/digits/1/record.json").read_text())["image"]
    layout, _, digest = image.removeprefix("oci:").partition("@sha256:")
    file = Path(layout, "blobs/sha256", digest)
    key = f"--key={tmp_path / 'keys/public.pem'}"
    verified = cosign("verify-blob-attestation", key, f"--bundle={bundle}", *FLAGS, file)
    assert verified.returncode == 0, verified.stderr
