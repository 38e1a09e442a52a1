"""The packages: what the picture shows is what the contract holds, and a package holds no more than its sentence."""

import ast
import re
import statistics
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"colchis_steps": ROOT / "steps/colchis_steps", "colchis_workflows": ROOT / "workflows/colchis_workflows"}
INSIDE = sorted(
    path.parent
    for top in PACKAGES.values()
    for path in top.rglob("__init__.py")
    if path.parent not in PACKAGES.values()
)


def contract(package: str) -> list[set[str]]:
    """Return the contract's layers, from top to bottom."""
    contracts: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    found = next(c for c in contracts if c.get("containers") == [package])
    assert found["exhaustive"]
    return [set(layer.split(" | ")) for layer in found["layers"]]


def picture() -> dict[str, list[str]]:
    """Return the words of the picture's two columns, from top to bottom; a package inside a room is left out."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("<!-- layers -->")[2].strip("\n")
    lines = [line[4:] for line in text.split("\n\nSome libraries")[0].splitlines()]
    middle = lines[0].index("colchis_workflows")
    columns = {
        "colchis_steps": [line[:middle] for line in lines[1:]],
        "colchis_workflows": [line[middle:] for line in lines[1:]],
    }
    return {
        name: [word for line in column for word in re.sub(r"·\s+\w+", "", line).replace("─", " ").split()]
        for name, column in columns.items()
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_shows_the_layers_of_the_contract(package: str) -> None:
    words = picture()[package]
    for layer in contract(package):
        assert set(words[: len(layer)]) == layer
        del words[: len(layer)]
    assert not words


@pytest.mark.parametrize("package", INSIDE, ids=lambda path: path.name)
def test_a_package_says_in_one_sentence_what_belongs_there_and_exports_nothing(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text())
    assert len(tree.body) == 1
    sentence = ast.get_docstring(tree)
    assert sentence
    assert re.fullmatch(r"[^.]+(\.[a-z][^.]*)*\.", sentence), sentence
    assert sum(1 for path in package.glob("*.py")) > 1


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_names_each_package_inside_a_room(package: str) -> None:
    inside = {path.name for path in INSIDE if PACKAGES[package] in path.parents and path.parent != PACKAGES[package]}
    shown = re.findall(r"· (\w+)", (ROOT / "ARCHITECTURE.md").read_text().partition("<!-- layers -->")[2])
    assert inside <= set(shown)


def test_half_of_the_modules_have_at_most_120_lines() -> None:
    lengths = [
        len(path.read_text().splitlines())
        for top in PACKAGES.values()
        for path in top.rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert statistics.median(lengths) <= 120
    assert max(lengths) <= 300


@pytest.mark.parametrize(
    ("tests", "package"), [("tests/steps", "colchis_steps"), ("tests/workflows", "colchis_workflows")]
)
def test_tests_lie_as_the_rooms_do(tests: str, package: str) -> None:
    rooms = {
        path.relative_to(ROOT / tests)
        for path in (ROOT / tests).rglob("_*")
        if path.is_dir() and path.name != "__pycache__"
    }
    assert rooms
    assert [room for room in rooms if not (PACKAGES[package] / room).is_dir()] == []
