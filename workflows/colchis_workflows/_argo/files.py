"""Files that are written whole or not at all."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write so that a reader sees all or nothing."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
