"""The rules that the Dockerfiles keep; images/README.md gives the reasons."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ("steps", "data", "train", "serve", "serve-onnx", "storage")
LATER = (
    ("steps", "data"),
    ("data", "train"),
    ("train", "serve"),
    ("steps", "storage"),
)  # an image and one with more layers
BASE = "docker.io/library/python:3.13-slim"
FINAL = "FROM ${BASE}"  # the final stage; those before it have a name


def instructions(image: str) -> list[str]:
    """Return the instructions of an image's Dockerfile, one a line, without comments."""
    text = (ROOT / "images" / image / "Dockerfile").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [re.sub(r"\s+", " ", line) for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def final(image: str) -> list[str]:
    """Return the instructions of the final stage."""
    lines = instructions(image)
    return lines[len(lines) - lines[::-1].index(FINAL) :]


def values(lines: list[str], instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{instruction} ")]


def labels(image: str) -> dict[str, str]:
    return dict(re.findall(r'([\w.]+)="([^"]*)"', values(final(image), "LABEL")[0]))


def dependency_layers(image: str) -> list[str]:
    """Return what the final stage does before our own code comes in: the part that images share."""
    lines = final(image)
    return lines[: lines.index("COPY --from=project /opt/venv /opt/venv")]


def test_there_is_a_dockerfile_for_each_image() -> None:
    assert {path.parent.name for path in ROOT.glob("images/*/Dockerfile")} == set(IMAGES)


@pytest.mark.servers
def test_hadolint_finds_nothing() -> None:
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    hadolint = shutil.which("hadolint", path=beside)
    assert hadolint, "hadolint is missing: make test installs it from requirements/dev.txt"
    files = [str(ROOT / "images" / image / "Dockerfile") for image in IMAGES]
    linted = subprocess.run([hadolint, *files], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stdout + linted.stderr


@pytest.mark.parametrize("image", IMAGES)
class TestEach:
    def test_stands_on_one_base_that_a_release_can_give_by_digest(self, image: str) -> None:
        assert values(instructions(image), "ARG")[0] == f"BASE={BASE}"
        names: set[str] = set()
        for stage in values(instructions(image), "FROM"):
            parent, _, name = stage.partition(" AS ")
            assert parent == "${BASE}" or parent in names, f"{parent}: a second base to keep up to date"
            names |= {name}

    def test_ends_as_a_numeric_user_that_is_not_root(self, image: str) -> None:
        assert values(final(image), "USER") == ["65532:65532"]
        after = final(image)[final(image).index("USER 65532:65532") :]
        assert not values(after, "RUN")
        assert not values(after, "COPY")

    def test_has_the_labels_of_oci(self, image: str) -> None:
        found = {key.removeprefix("org.opencontainers.image."): value for key, value in labels(image).items()}
        license_ = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
        assert found.pop("description")
        assert found == {
            "title": f"colchis {image}",
            "licenses": license_,
            "base.name": "${BASE}",
            "version": "${VERSION}",
            "revision": "${REVISION}",
        }

    def test_installs_only_what_is_locked_and_leaves_no_cache(self, image: str) -> None:
        installs = [run for run in values(instructions(image), "RUN") if " install " in run]
        assert installs
        for run in installs:
            assert "--require-hashes" in run, run
            assert "--no-cache" in run, run
            if "uv pip install" in run:
                assert "--no-deps" in run, f"a lock is complete: nothing is resolved in a build: {run}"
        for run in values(final(image), "RUN"):
            assert run.startswith("--mount=type=bind,from=uv,"), f"uv is mounted, never copied: {run}"
            assert "--no-build" in run, f"the final stage compiles nothing: {run}"
            assert "apt-get" not in run, run

    def test_copies_only_requirements_and_the_environment(self, image: str) -> None:
        *requirements, project = values(final(image), "COPY")
        assert project == "--from=project /opt/venv /opt/venv"
        assert all(re.fullmatch(r"requirements/\S+\.txt /opt/requirements/", copy) for copy in requirements)
        assert not values(instructions(image), "ADD")

    def test_is_byte_compiled_so_that_it_needs_no_write(self, image: str) -> None:
        for run in values(instructions(image), "RUN"):
            if "uv pip install" in run:
                assert "--compile-bytecode" in run
                assert "PYC_INVALIDATION_MODE=UNCHECKED_HASH" in run, "a rebuilt layer has other times, the same code"
        environment = " ".join(values(final(image), "ENV"))
        for setting in ("HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "PATH=/opt/venv/bin:$PATH"):
            assert setting in environment

    def test_starts_python_and_no_shell(self, image: str) -> None:
        started = values(final(image), "ENTRYPOINT") + values(final(image), "CMD")
        assert started
        assert all(command.startswith("[") for command in started), "the shell form puts a shell before us"
        assert started[0].startswith('["python", "-m", "colchis_steps.')
        assert "SHELL" not in {line.partition(" ")[0] for line in final(image)}

    def test_puts_no_secret_and_no_registry_into_the_file(self, image: str) -> None:
        text = (ROOT / "images" / image / "Dockerfile").read_text()
        assert not re.search(r"https?://|index-url|find-links|password|token|cert", text, re.IGNORECASE)


def test_a_later_image_has_the_layers_of_the_one_before() -> None:
    for smaller, larger in LATER:
        shared = dependency_layers(smaller)
        assert dependency_layers(larger)[: len(shared)] == shared


def test_all_images_build_our_code_alike() -> None:
    stages = [instructions(image)[: -len(final(image))] for image in IMAGES]
    assert all(stage == stages[0] for stage in stages)


def test_tensorflow_is_only_in_train_and_serve() -> None:
    for image in ("steps", "data", "serve-onnx", "storage"):
        assert not any("TENSORFLOW" in line or "train" in line for line in dependency_layers(image))
    for image in ("train", "serve"):
        assert "ARG TENSORFLOW=train" in dependency_layers(image)


def test_the_server_for_onnx_stands_on_the_base_with_one_layer_of_dependencies() -> None:
    assert values(dependency_layers("serve-onnx"), "COPY") == ["requirements/serve-onnx.txt /opt/requirements/"]


def test_arrow_is_in_a_layer_of_its_own_that_steps_and_storage_lack() -> None:
    layer = "COPY requirements/data.txt /opt/requirements/"
    assert [image for image in IMAGES if layer in dependency_layers(image)] == ["data", "train", "serve"]


def test_only_what_a_build_reads_enters_it() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    packages = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )
    assert allowed == {"LICENSE", "README.md", "pyproject.toml", "requirements/*.txt"} | packages
    assert rules[-1] == "**/__pycache__"
