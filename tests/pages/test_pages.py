"""The pages are true to their form: links lead somewhere, every page is linked, lines are short, blocks are run."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from tests.pages.blocks import PAGES, ROOT, blocks, commands, prose

from colchis_workflows import cli

LINK = re.compile(r"\]\(([^)\s]+)\)")
LANGUAGES = {"console", "python", "yaml", "toml", "json", "dockerfile", "text"}


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


every_page = each(PAGES)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets(page: Path) -> list[tuple[str, str]]:
    """Return path and anchor of each link of a page to a file of the project."""
    found = [link.partition("#") for link in LINK.findall(page.read_text()) if "://" not in link]
    return [(path, anchor) for path, _, anchor in found if not path.startswith("mailto:")]


@every_page
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in targets(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        page = page / "README.md" if page.is_dir() else page
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        todo += [page.parent / path for path, _ in targets(page) if path]
    assert {str(page.relative_to(ROOT)) for page in PAGES if page.resolve() not in reached} == set()


@every_page
def test_no_line_of_prose_is_longer_than_120_characters(page: Path) -> None:
    long = [f"{page.relative_to(ROOT)}:{number}" for number, line in prose(page) if len(line) > 120]
    assert long == []


@every_page
def test_each_block_names_its_language_and_each_console_where_it_runs(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
        if block.language == "console":
            assert block.runs in {"test", "long", "cluster", ""}, f"{block.place}: {block.note}"
            assert commands(block.text)[0], f"{block.place}: a console without a command"
            assert not block.note or block.runs != "test", f"{block.place}: {block.note}"


@every_page
def test_commands_stand_in_consoles(page: Path) -> None:
    """An indented block, or one without a prompt, would be a command that no test runs."""
    program = re.compile(r"^(\$ )?(colchis|python|pip|make|kubectl|argo|curl|git|docker|helm) ")
    indented = [
        line for line in page.read_text().splitlines() if line.startswith("    ") and program.match(line.strip())
    ]
    fenced = [b.place for b in blocks(page) if b.language == "text" and any(map(program.match, b.text.splitlines()))]
    within = "\n".join(block.text for block in blocks(page))
    assert [line for line in indented if line.strip() not in within] == []
    assert fenced == []


@pytest.mark.parametrize("verb", [verb for verbs in cli.GROUPS.values() for verb in verbs])
def test_each_verb_has_a_page_that_shows_it(verb: str) -> None:
    index = (ROOT / "docs/README.md").read_text()
    link = re.search(rf"\[`{verb}`\]\(([^)#\s]+)", index)
    assert link, f"docs/README.md links no page for the verb {verb}"
    page = ROOT / "docs" / link[1]
    stem = cli.MODULES.get(verb, verb).replace("-", "_")
    assert re.search(rf"colchis {verb}\b|colchis_steps\.{stem}\b", page.read_text())


def test_each_make_target_and_verb_that_a_page_names_exists() -> None:
    """In consoles that are not run, and in the text, too."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    verbs = {verb for verbs in cli.GROUPS.values() for verb in verbs}
    for page in PAGES:
        code = "\n".join([*re.findall(r"`([^`\n]+)`", page.read_text()), *(block.text for block in blocks(page))])
        assert set(re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", code, re.MULTILINE)) <= targets, page
        assert set(re.findall(r"^(?:\$ )?colchis ([a-z][a-z-]*)", code, re.MULTILINE)) <= verbs, page


def test_the_programs_and_tests_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = set(re.findall(r"\.venv/bin/([\w-]+)", text))
    assert names
    assert [name for name in names if not (Path(sys.prefix) / "bin" / name).exists()] == []
    assert [path for path in re.findall(r"\btests/[\w/]+\.py\b", text) if not (ROOT / path).exists()] == []


def test_contributing_lists_the_markers_there_are() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    listed = re.findall(r"^\| `(\w+)` \| ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(marker.partition(":")[0] for marker in settings["markers"])


def test_the_version_stands_in_one_place_and_what_shows_it_agrees() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shown = re.compile(r"colchis/(?:steps|train|serve|storage):(\d+\.\d+\.\d+)")
    files = [
        *PAGES,
        *ROOT.glob("workflows/manifests/**/*.yaml"),
        *ROOT.glob("steps/**/*.py"),
        *ROOT.glob("workflows/**/*.py"),
    ]
    assert {found for file in files for found in shown.findall(file.read_text())} == {version}
    assigned = re.compile(r"^(?:VERSION|__version__) = [\"']", re.MULTILINE)
    assert [file for file in files if file.suffix == ".py" and assigned.search(file.read_text())] == []
    assert importlib.metadata.version("colchis") == version
