"""Exchanges of tensors among the workers of a training; alone there is nothing to exchange."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from colchis_steps._step.errors import InputError
from colchis_steps._training.failures import PeerError
from colchis_steps._training.reasons import reason
from colchis_steps._training.rendezvous import Place


class Workers:
    """Sums over all workers, and what is made of sums. Make it before anything else touches TensorFlow.

    All workers call each method alike and in the same order.
    """

    def __init__(self, here: Place, seconds: float) -> None:
        import tensorflow as tf

        self.here, self.strategy = here, None
        if here.workers > 1:
            if gpus := tf.config.list_physical_devices("GPU"):
                tf.config.set_visible_devices(gpus[here.rank % len(gpus)], "GPU")
            options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=seconds)
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        self._sums: dict[Any, Callable[[list[Any]], list[Any]]] = {}  # a graph for each list of dtypes and shapes

    def sum(self, tensors: Sequence[Any]) -> list[Any]:
        """Return each tensor's sum over the workers, in one exchange a dtype."""
        import tensorflow as tf

        if self.strategy is None or not tensors:
            return list(tensors)
        kinds = tuple((tensor.dtype, tuple(tensor.shape)) for tensor in tensors)
        if kinds not in self._sums:
            self._sums[kinds] = tf.function(self._sum)
        return self._sums[kinds](list(tensors))

    def _sum(self, tensors: Sequence[Any]) -> list[Any]:
        import tensorflow as tf

        def exchange(*parts: Any) -> Any:
            placed = [tf.identity(part) for part in parts]  # on this replica's device, where the sum looks for them
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed)

        dtypes = list(dict.fromkeys(tensor.dtype for tensor in tensors))
        groups = [[i for i, tensor in enumerate(tensors) if tensor.dtype == dtype] for dtype in dtypes]
        flat = [tf.concat([tf.reshape(tensors[i], [-1]) for i in group], 0) for group in groups]
        sums: dict[int, Any] = {}
        exchanged = self.strategy.run(exchange, args=tuple(flat))  # type: ignore[union-attr]  # there is one
        for group, total in zip(groups, exchanged, strict=True):
            parts = tf.split(total, [tf.size(tensors[i]) for i in group])
            sums |= {i: tf.reshape(part, tf.shape(tensors[i])) for i, part in zip(group, parts, strict=True)}
        return [sums[i] for i in range(len(tensors))]

    def sum_with_gradient(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the same sums; their gradient is the sum of the workers' gradients.

        That is right where each worker's loss is its share: the sum of the shares is what is minimized.
        """
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def summed(*parts: Any) -> Any:
            return self.sum(list(parts)), lambda *gradients: self.sum(list(gradients))

        return list(summed(*tensors)) if self.strategy else list(tensors)

    def gather(self, part: Any, rows: int) -> Any:
        """Return the rows of all workers, [workers * rows, …], in the order of the global batch.

        ``part`` is [at most rows, …]; worker r has the batch's rows r, r + workers, and so on. Only this worker's rows
        carry a gradient.
        """
        import tensorflow as tf

        mine = tf.pad(part, [[0, rows - tf.shape(part)[0]]] + [[0, 0]] * (len(part.shape) - 1))
        place = tf.one_hot(self.here.rank, self.here.workers, dtype=tf.int32) > 0
        shape = [1, self.here.workers] + [1] * (len(part.shape) - 1)
        placed = tf.where(tf.reshape(place, shape), mine[:, None], tf.zeros_like(mine)[:, None])
        exchanged = self.sum([tf.cast(tf.stop_gradient(placed), _summable(part.dtype))])[0]
        others = tf.where(tf.reshape(place, shape), tf.zeros_like(placed), tf.cast(exchanged, part.dtype))
        found = placed + others if part.dtype.is_floating else tf.cast(exchanged, part.dtype)
        return tf.reshape(found, tf.concat([[rows * self.here.workers], tf.shape(mine)[1:]], 0))

    def agree(self, variables: Sequence[Any]) -> None:
        """Return the chief's values to all workers (of variables with floating-point values)."""
        chosen = [v for v in variables if v.dtype.startswith(("float", "bfloat"))]
        parts = self.sum([v.value * (1.0 if self.here.chief else 0.0) for v in chosen])
        if self.strategy is not None:
            for variable, value in zip(chosen, parts, strict=True):
                variable.assign(value)

    def any(self, *, here: bool) -> bool:
        """Return whether any worker says so."""
        import tensorflow as tf

        return bool(self.sum([tf.constant(float(here))])[0].numpy() > 0)

    def exchange_seconds(self, numbers: int) -> float:
        """Measure the sum of so many float32 numbers, alone; 0 where there is one worker."""
        import tensorflow as tf

        if self.strategy is None:
            return 0.0
        taken, values = [], tf.zeros([numbers])
        for _ in range(6):
            start = time.perf_counter()
            self.sum([values])[0][:1].numpy()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken[1:])  # the first builds the graph


def _summable(dtype: Any) -> Any:
    """Return a dtype that all devices can sum and that holds the other's values."""
    import tensorflow as tf

    if dtype in (tf.float32, tf.float64, tf.int64):
        return dtype
    return tf.float32 if dtype.is_floating else tf.int32


def with_reason(function: Callable[[], Any], here: Place, *, own: bool) -> Any:
    """Call a function that meets the other workers; ``own``: its step is the user's.

    Raises:
        InputError: the user's code or model fails.
        PeerError: another worker was lost.
    """
    import tensorflow as tf

    try:
        return function()
    except InputError as error:  # AutoGraph adds where it was raised
        raise InputError(reason(error).removeprefix("InputError: ")) from error
    except (tf.errors.InvalidArgumentError, ValueError, TypeError, AttributeError, LookupError, NameError) as error:
        what = "the entry's train_step raised" if own else "the model fails on the data:"
        raise InputError(f"{what} {reason(error)}; correct the entry") from error
    except tf.errors.ResourceExhaustedError as error:
        raise InputError("a training step needs more memory than there is; raise accumulate") from error
    except tf.errors.OpError as error:
        if here.workers == 1:
            raise
        raise PeerError(
            f"worker {here.rank} of {here.workers} lost its peers ({reason(error)}); "
            "run it again, and it goes on from the last checkpoint"
        ) from error
