"""An object as a file that can be read anywhere, by ranges of its bytes."""

import io
from typing import Any

from colchis_steps._store.api import Objects


class ObjectFile(io.RawIOBase):
    """An object of the store, read as it is asked for: a library that seeks gets credentials, TLS and retries of ours.

    ``size`` is the object's, in bytes; ``tag`` that of its entry, while it has which it is read.
    """

    def __init__(self, store: Objects, key: str, size: int, tag: str = "") -> None:
        self._store, self._key, self._size, self._tag, self._at = store, key, size, tag, 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there; return where that is."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; return how many."""
        view = memoryview(buffer).cast("B")
        end, filled = min(self._size, self._at + len(view)), 0
        if end > self._at:
            for chunk in self._store.stream(self._key, start=self._at, end=end, tag=self._tag):
                view[filled : filled + len(chunk)] = chunk
                filled += len(chunk)
        self._at += filled
        return filled
