"""What is wrong with rows: of each rule that does not hold, the first file where it does not, and how often there."""

from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[int, int], str]  # count and first row → a reason


@dataclass
class Fault:
    """A rule that does not hold in a file: in how many places, and from which row on."""

    where: str
    count: int
    row: int
    tell: Tell

    @property
    def reason(self) -> str:
        """The sentence for people."""
        return self.tell(self.count, self.row)


class Faults(dict[str, Fault]):
    """The first fault of each rule. More of it in the same file are counted; in other files they are not told."""

    def add(self, rule: str, where: str, tell: Tell, count: int = 1, row: int = 0) -> None:
        """Note that the rule does not hold in ``count`` places of the file ``where``, first in ``row``."""
        if (known := self.setdefault(rule, Fault(where, 0, row, tell))).where == where:
            known.count += count

    def say(self, rule: str, where: str, reason: str) -> None:
        """Note a fault whose reason needs no count."""
        self.add(rule, where, lambda _count, _row: reason)
