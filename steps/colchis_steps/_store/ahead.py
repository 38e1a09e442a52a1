"""Work that threads do ahead of whoever takes its results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(threads: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[R]:
    """Yield what the work makes of each item, in order; at most ``count`` items are taken and not yet given back."""
    waiting = deque[Future[R]]()
    try:
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) == count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
