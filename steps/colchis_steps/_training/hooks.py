"""The user's Keras callbacks, called when Keras's ``fit`` calls them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from colchis_steps._training.entry import asked
from colchis_steps._training.workers import Workers

Mode = Literal["train", "test"]
Logs = Mapping[str, float]


class Hooks:
    """Callbacks of a model.

    ``every`` is its ``steps_per_execution``: hooks around a batch are called around so many, as in Keras.
    """

    def __init__(self, callbacks: Sequence[Any], model: Any, epochs: int, steps: int | None, workers: Workers) -> None:
        import keras

        self.callbacks, self.every = list(callbacks), int(model.steps_per_execution)
        self._all = keras.callbacks.CallbackList(
            self.callbacks, add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )
        self._wanted = {mode: workers.any(here=self._wants(mode)) for mode in ("train", "test")}
        self.are_any = workers.any(here=bool(self.callbacks))  # of the chief alone, it may be
        self._open: int | None = None  # the first of the batches that are under way

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all callbacks.

        Raises:
            InputError: one of them raised.
        """
        asked(f"callbacks' {hook}", getattr(self._all, hook), *arguments)

    def wants(self, mode: Mode) -> bool:
        """Return whether a callback of any worker has a hook around batches: all take part in what its logs need."""
        return self._wanted[mode]

    def begins(self, mode: Mode, batch: int) -> None:
        """Call what comes before a batch."""
        if self._open is None and self.wants(mode):
            self._open = batch
            self.call(f"on_{mode}_batch_begin", batch)

    def ends(self, mode: Mode, batch: int, logs: Callable[[], Logs], *, last: bool = False) -> bool:
        """Call what comes after a batch, where as many are through as belong together; return whether they are.

        ``last``: no batch comes after those that are through.
        """
        through = (batch + 1) % self.every == 0 if not last else self._open is not None
        if through and self.wants(mode):
            first, self._open = self._open if self._open is not None else batch, None
            self.call(f"on_{mode}_batch_end", first + self.every - 1, dict(logs()))
        return through

    def _wants(self, mode: str) -> bool:
        import keras

        plain = keras.callbacks.Callback
        names = [f"on_{mode}_batch_{end}" for end in ("begin", "end")]
        names += ["on_batch_begin", "on_batch_end"] if mode == "train" else []
        return any(
            getattr(getattr(callback, name), "__func__", None) is not getattr(plain, name)
            for callback in self.callbacks
            for name in names
        )
