"""Steps by methods of the model's own, ``train_step`` and ``test_step``, as Keras's ``fit`` calls them.

With several workers each method sees its worker's rows. Gradients that go to an optimizer are summed before, weighted
by rows, so that a loss that is a mean over rows is that of the global batch; what the method returns is averaged alike.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from colchis_steps._step.errors import InputError
from colchis_steps._training.input import Ready, Rows
from colchis_steps._training.splits import overrides
from colchis_steps._training.workers import Workers


class Method:
    """One such method: a step that gives float32 [3 + logs]: loss, wishes to stop and to save, what it returned."""

    def __init__(self, model: Any, name: str, workers: Workers) -> None:
        import tensorflow as tf

        self.model, self.name, self.workers = model, name, workers
        self.names: list[str] = []
        self._run = self._traced if model.run_eagerly else tf.function(self._traced, reduce_retracing=False)

    def __call__(self, batch: Ready, wishes: Any) -> Any:
        """Run the method on this worker's part of a global batch."""
        return self._run(batch.mine, batch.total, wishes)

    def logs(self, found: Sequence[float]) -> dict[str, float]:
        """Return what the method returned, of a step's numbers after the first three."""
        return dict(zip(self.names, found, strict=True))

    def _traced(self, mine: Rows, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        share = tf.cast(mine.count, tf.float32) / total
        rows = mine.cut(tf.maximum(mine.count, 1))
        kept = [*self.model.metrics_variables, *self.model.non_trainable_variables]
        before = [tf.identity(variable.value) for variable in kept] if self.workers.here.workers > 1 else []
        with _summed(self.model, self.workers, share):
            found = getattr(self.model, self.name)(rows.data)
        for variable, value in zip(kept, before, strict=False):  # a row of padding leaves no trace
            variable.assign(tf.where(mine.count > 0, variable.value, value))
        if not isinstance(found, Mapping):
            raise InputError(f"the model's {self.name} returns {type(found).__name__}; let it return its logs, a dict")
        flat = dict(_scalars(found))
        self.names = list(flat)
        loss = flat.get("loss", tf.constant(0.0))
        numbers = tf.stack([loss, *flat.values()]) * share
        return self.workers.sum([tf.concat([numbers[:1], wishes, numbers[1:]], 0)])[0]


def own_methods(model: Any, workers: Workers) -> dict[str, Method]:
    """Return the methods that the model has of its own, by name."""
    return {name: Method(model, name, workers) for name in ("train_step", "test_step") if overrides(model, name)}


def optimizers_of(model: Any, more: Sequence[Any] = ()) -> list[Any]:
    """Return the model's optimizers, each once: the compiled one, those that are attributes of it, and ``more``."""
    import keras

    found = [model.optimizer, *(v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)), *more]
    return list({id(optimizer): optimizer for optimizer in found if optimizer is not None}.values())


@contextlib.contextmanager
def applying(model: Any, change: Callable[[Any], Callable[..., Any]]) -> Iterator[None]:
    """Let each of the model's optimizers have what ``change`` makes of it in the place of its ``apply``."""
    chosen = optimizers_of(model)
    for optimizer in chosen:
        optimizer.apply = change(optimizer)
    try:
        yield
    finally:
        for optimizer in chosen:
            del optimizer.apply


def _summed(model: Any, workers: Workers, share: Any) -> contextlib.AbstractContextManager[None]:
    """Let the optimizers get sums over the workers; alone they get what they are given."""
    import tensorflow as tf

    def summing(optimizer: Any) -> Callable[..., Any]:
        apply = optimizer.apply

        def summed(gradients: Sequence[Any], variables: Sequence[Any] | None = None) -> Any:
            shares = [g if g is None else tf.convert_to_tensor(g) * tf.cast(share, g.dtype) for g in gradients]
            sums = iter(workers.sum([found for found in shares if found is not None]))
            return apply([found if found is None else next(sums) for found in shares], variables)

        return summed

    return applying(model, summing) if workers.here.workers > 1 else contextlib.nullcontext()


def _scalars(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each number by name; a vector's are ``name[0]``, ``name[1]`` and so on."""
    import tensorflow as tf

    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _scalars(value)
            continue
        tensor = tf.cast(tf.convert_to_tensor(value), tf.float32)
        if not tensor.shape.rank:
            yield str(name), tensor
        else:
            parts = tf.unstack(tf.reshape(tensor, [-1]))
            yield from ((f"{name}[{i}]", part) for i, part in enumerate(parts))
