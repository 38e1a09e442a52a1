"""Opens a store by its URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Store


def open_store(url: str) -> Store:
    """Open the store at ``s3://bucket/prefix`` or ``file:///directory``.

    Raises:
        InputError: the URL is of another form.
    """
    parts = urlsplit(url)
    plain = "?" not in url and "#" not in url  # a path that has these writes them as %3F and %23
    if plain and parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        from colchis_steps._store.directory import FileStore

        return FileStore(Path(unquote(parts.path)))
    if plain and parts.scheme == "s3" and parts.netloc:
        from colchis_steps._store.s3.store import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"))
    raise InputError(f"{url!r} is no store; give s3://bucket/prefix or file:///absolute/directory")
