"""The hyper-parameters as an entry gets them: they remember which of them were read."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from colchis_steps._formats.hyperparameters import TRAINERS


class Given(Mapping[str, Any]):
    """A mapping that knows the names that were asked for, whether there are such or not."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._asked = dict(values), set[str]()

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._asked.update(self._values)  # who takes all has read all
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def unread(self) -> dict[str, str]:
        """Return the names that nobody read, each with the name that was asked for in vain and is like it, or none."""
        names = sorted(self._values.keys() - self._asked - TRAINERS)
        missed = sorted((self._asked | TRAINERS) - self._values.keys())
        return {name: next(iter(difflib.get_close_matches(name, missed, 1)), "") for name in names}
