"""What goes into the images is locked: hashed, complete, and of the versions that the tests ran with."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("steps", "data", "train", "train-gpu", "serve", "serve-onnx", "storage")
UNUSED = set(re.findall(r"^[\w-]+", (ROOT / "requirements/unused.txt").read_text(), re.MULTILINE))
PIN = re.compile(r"^([\w.-]+)==(\S+)( ; .*?)?( \\)?$", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    """Return the versions of each package in a lock; more than one where Pythons differ."""
    found: dict[str, set[str]] = {}
    for match in PIN.finditer((ROOT / "requirements" / f"{name}.txt").read_text()):
        found.setdefault(match[1], set()).add(match[2])
    return found


def wanted(extra: str | None) -> set[str]:
    """Return the names that pyproject.toml asks for, extras that an extra names included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = set()
    for requirement in project["dependencies"] + (project["optional-dependencies"][extra] if extra else []):
        if nested := re.match(r"colchis\[([\w,]+)\]", requirement):
            names |= {name for inner in nested[1].split(",") for name in wanted(inner)}
        elif name := re.match(r"[\w.-]+", requirement):
            names.add(re.sub(r"[-_.]+", "-", name[0]).lower())  # as uv writes it
    return names


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|--index-url|--find-links|^-e|file:", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_the_versions_are_those_that_the_tests_run_with(name: str) -> None:
    tested = pins("dev")
    other = {
        package: versions for package, versions in pins(name).items() if not versions <= tested.get(package, set())
    }
    alone = {package for package in other if package.startswith("nvidia-") and name == "train-gpu"}
    alone |= {"kserve-storage"} if name == "storage" else set()  # tests/cluster/test_kserve.py runs it in its image
    assert other.keys() <= alone, f"run make lock: {other}"


@pytest.mark.parametrize(
    ("name", "extra"),
    [("steps", None), ("data", "data"), ("train", "train"), ("train-gpu", "gpu"), ("storage", "storage")],
)
def test_a_lock_holds_what_pyproject_asks_for(name: str, extra: str | None) -> None:
    assert wanted(extra) - pins(name).keys() == set(), "run make lock"


def test_serve_is_train_and_the_rest() -> None:
    assert wanted("serve") - pins("serve").keys() - pins("train").keys() == set(), "run make lock"
    assert pins("steps").items() <= pins("data").items() <= pins("train").items()
    assert pins("train").keys() - pins("serve").keys() == {"onnx", "tensorflow", "tensorflow-cpu"}, (
        "they are in train's layer"
    )


def test_the_steps_have_neither_tensorflow_nor_arrow() -> None:
    assert not pins("steps").keys() & {"datasketches", "pillow", "pyarrow"}
    assert not pins("steps").keys() & {"tensorflow", "tensorflow-cpu", "keras", "h5py", "grpcio", "scikit-learn"}


@pytest.mark.parametrize("name", LOCKS)
def test_nothing_unused_and_nothing_that_only_builds_is_in_a_lock(name: str) -> None:
    assert {"aiohttp", "libclang"} < UNUSED
    assert not pins(name).keys() & (UNUSED | {"pip", "uv", "hatchling"})
