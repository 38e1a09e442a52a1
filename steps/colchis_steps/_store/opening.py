"""Opens a store by its URL."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects


def open_store(url: str) -> Objects:
    """Open the store at ``s3://bucket/prefix`` or ``file:///directory``.

    Raises:
        InputError: the URL is of another form.
    """
    parts = _parts(url)
    if parts.scheme == "file":
        from colchis_steps._store.directory import FileStore

        return FileStore(Path(unquote(parts.path)))
    from colchis_steps._store.s3.store import S3Store

    return S3Store(parts.netloc, parts.path.strip("/"))


def canonical(url: str) -> str:
    """Return the URL of a store, or of a place in one, as the store itself spells it. Raises as ``open_store``."""
    parts = _parts(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).as_uri()
    return f"s3://{parts.netloc}/{parts.path.strip('/')}".rstrip("/")


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    plain = "?" not in url and "#" not in url  # a path that has these writes them as %3F and %23
    file = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    if plain and (file or (parts.scheme == "s3" and parts.netloc)):
        return parts
    raise InputError(f"{url[:128]!r} is not a store URL; give s3://bucket/prefix or file:///absolute/directory")
