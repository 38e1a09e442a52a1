"""How many epochs a training elsewhere has finished, asked for about as often as that can change."""

import time
from collections.abc import Callable

from colchis_steps._formats.keys import history_key
from colchis_steps._store.api import Entry, Objects
from colchis_steps._training.files import find_history

LEAST, MOST = 1.0, 30.0  # seconds between two looks
PART = 0.25  # of the time since the last change: so late is a change seen at most, and long epochs cost few looks


class StoredEpochs:
    """Counts the epochs in the store's history; a look is a HEAD, and what has not changed is not read again."""

    def __init__(self, store: Objects, run: str, fingerprint: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.run, self.fingerprint, self.clock = store, run, fingerprint, clock
        self.done = 0
        self._seen: Entry | None = None
        self._changed = self._due = clock()

    def count(self) -> int:
        """Return how many there are; call it as often as you like.

        Raises:
            TransientError: the store is away.
        """
        now = self.clock()
        if now < self._due:
            return self.done
        if (found := self.store.find(history_key(self.run))) != self._seen:
            self.done = len(find_history(self.store, self.run, self.fingerprint))
            self._seen, self._changed = found, now
        self._due = now + min(MOST, max(LEAST, PART * (now - self._changed)))
        return self.done
