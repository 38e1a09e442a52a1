"""The code blocks of the project's pages, and how each is run.

A fenced block of the language ``console`` holds commands (``$ ``, and ``> `` where one goes on) and what they print. A
comment right before it says where it runs, if not in ``make test``:

    <!-- runs: long -->            by `make test-long`
    <!-- runs: cluster -->         by the cluster suite
    <!-- not run: the reason -->   nowhere
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S
)
FOLDERS = ("docs", "examples", "images", "benchmarks", "requirements", "workflows/manifests")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/**/*.md"))])


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, the comment before it without its marks, and its text."""

    place: str
    language: str
    note: str
    text: str

    @property
    def runs(self) -> str:
        """Where the commands run: ``test``, ``long``, ``cluster``, or ``""`` for nowhere."""
        if self.note.startswith("not run: "):
            return ""
        return self.note.removeprefix("runs: ") if self.note.startswith("runs: ") else "test"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        yield Block(place, match["language"], match["note"] or "", match["text"])


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is in no fenced or indented block and no table."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "    ")):
            yield number, line


def commands(text: str) -> tuple[str, list[str]]:
    """Return the script of a console, and the lines that it is said to answer."""
    script, answers, goes_on = "", list[str](), False
    for line in text.splitlines():
        if line.startswith(("$ ", "> ")) or goes_on:
            script += line.removeprefix("$ ").removeprefix("> ") + "\n"
            goes_on = line.endswith("\\")
        else:
            answers.append(line)
    return script, answers
