"""``make images`` takes the first engine that works. The engines here only write down what they are told."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGES = ("steps", "data", "train", "serve", "serve-onnx", "storage")
ENGINES = ("docker", "podman", "buildah")
DIGEST = f"sha256:{'5' * 64}"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder for PATH in which no engine works: clients without a daemon, as many machines have."""
    for engine in ENGINES:
        install(tmp_path, engine, "exit 1")
    return tmp_path


def install(machine: Path, engine: str, script: str) -> None:
    program = machine / engine
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def works(machine: Path, engine: str, status: int = 0) -> None:
    """Install an engine that works; a push leaves its digest where that engine does, in a file or in the list."""
    script = f"""
[ "$1" = info ] && exit 0
if [ "$1 $2" = "image inspect" ]; then
  echo elsewhere.example/steps@sha256:0000
  echo registry.example/team/steps@{DIGEST}
  exit 0
fi
echo "{engine} $*" >> {machine}/told
[ "$2" = --digestfile ] && printf %s {DIGEST} > "$3"
exit {status}"""
    install(machine, engine, script)


def make(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(machine), os.environ["PATH"]))
    command = ["make", "--no-print-directory", "images", f"PATH={path}", f"DIST={machine}/dist", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def told(machine: Path) -> list[str]:
    return (machine / "told").read_text().splitlines()


@pytest.mark.servers
@pytest.mark.parametrize("engine", ENGINES)
def test_builds_each_image_with_the_engine_that_works(machine: Path, engine: str) -> None:
    works(machine, engine)
    done = make(machine)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in told(machine)] == [[engine, "build"]] * len(IMAGES)
    for image, line in zip(IMAGES, told(machine), strict=True):
        assert f"--file images/{image}/Dockerfile --tag colchis/{image}:{VERSION}" in line
        assert f"--build-arg VERSION={VERSION} --build-arg REVISION=" in line
        assert line.endswith(" .")


@pytest.mark.servers
def test_pushes_under_the_given_prefix_after_each_build(machine: Path) -> None:
    works(machine, "podman")
    done = make(machine, "PUSH=registry.example/team", "IMAGES=steps", "PUSH_OPTIONS=--tls-verify=false")
    assert done.returncode == 0, done.stderr
    build, push = told(machine)
    assert f"--tag registry.example/team/steps:{VERSION}" in build
    assert push.startswith("podman push ")
    assert push.endswith(f" --tls-verify=false registry.example/team/steps:{VERSION}")


@pytest.mark.servers
@pytest.mark.parametrize("engine", ENGINES)
def test_a_push_writes_down_the_digest_that_the_registry_has(machine: Path, engine: str) -> None:
    works(machine, engine)
    assert make(machine, "PUSH=registry.example/team", "IMAGES=steps").returncode == 0
    assert (machine / "dist/digests/steps").read_text().strip() == DIGEST


@pytest.mark.servers
@pytest.mark.parametrize("engine", ENGINES)
def test_a_push_that_fails_ends_it(machine: Path, engine: str) -> None:
    install(machine, engine, '[ "$1" = push ] && exit 7\nexit 0')
    assert make(machine, "PUSH=registry.example/team", "IMAGES=steps").returncode == 2


@pytest.mark.servers
def test_takes_the_engine_that_is_named(machine: Path) -> None:
    works(machine, "docker")
    works(machine, "buildah")
    assert make(machine, "ENGINE=buildah", "IMAGES=steps").returncode == 0
    assert told(machine)[0].startswith("buildah build ")


@pytest.mark.servers
def test_stops_at_the_first_failure(machine: Path) -> None:
    works(machine, "docker", status=7)
    assert make(machine).returncode == 2
    assert len(told(machine)) == 1


@pytest.mark.servers
def test_says_what_to_do_where_no_engine_works(machine: Path) -> None:
    done = make(machine)
    assert done.returncode == 2
    assert "neither docker, podman nor buildah works here: install or start one" in done.stderr
