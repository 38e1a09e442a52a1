"""What a training consists of between two steps, as arrays: variables, optimizers, metrics, best weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from colchis_steps._step.errors import InputError
from colchis_steps._training.methods import optimizers_of
from colchis_steps._training.workers import Workers
from colchis_steps.context import Training


class State:
    """The variables of a training whose model and optimizers are built; all workers begin with the chief's values."""

    def __init__(self, training: Training, workers: Workers) -> None:
        self.training, self.model, self.workers = training, training.model, workers
        self.optimizers = optimizers_of(self.model, training.optimizers)
        workers.agree([*self.model.variables, *(v for o in self.optimizers for v in o.variables)])

    def draw_apart(self) -> None:
        """Let each worker draw random numbers of its own: equal seed generators draw the same masks."""
        import tensorflow as tf

        for variable in self.model.non_trainable_variables:
            if variable.dtype == "uint32":  # [seed, counter]
                variable.assign(variable.value + tf.constant([self.workers.here.rank, 0], tf.uint32))

    def average(self) -> None:
        """Set batch statistics to their means over the workers: each has seen its part, and they are linear in it."""
        import tensorflow as tf

        for variable, mean in zip(*self._moving(), strict=True):
            variable.assign(tf.cast(mean, variable.dtype))

    def arrays(self, metrics: Sequence[Any]) -> dict[str, Any]:
        """Return all arrays by name, with the metrics' states; all workers call it, as means over them belong to it."""
        import numpy as np

        moving, means = self._moving()
        if not self.workers.here.chief:
            return {}
        named = self._named()
        # numpy() copies once; np.array would copy its copy, in which training waits for fresh memory
        found = {name: variable.value.numpy() for name, variable in named.items()}
        names = {id(variable): name for name, variable in named.items()}
        found |= {names[id(v)]: mean.numpy() for v, mean in zip(moving, means, strict=True)}
        found |= {f"metrics/{i:04}": np.array(value) for i, value in enumerate(metrics)}
        for i, callback in enumerate(self.training.callbacks):
            best = getattr(callback, "best_weights", None) or ()
            found |= {f"best/{i:04}/{j:04}": np.array(value) for j, value in enumerate(best)}
        return found

    def restore(self, arrays: Mapping[str, Any]) -> list[Any]:
        """Set the variables and the callbacks' best weights to these values; return the metrics' states.

        Raises:
            InputError: they are those of another model.
        """
        for i, callback in enumerate(self.training.callbacks):
            if found := [arrays[name] for name in sorted(arrays) if name.startswith(f"best/{i:04}/")]:
                callback.best_weights = found
        variables = self._named()
        kept = {name: array for name, array in arrays.items() if not name.startswith(("best/", "metrics/"))}
        wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
        if wanted != (actual := {name: tuple(array.shape) for name, array in kept.items()}):
            name = next(name for name in [*wanted, *actual] if wanted.get(name) != actual.get(name))
            raise InputError(
                f"the checkpoint is of another model ({name} is {actual.get(name)} instead of {wanted.get(name)}); "
                "give another --run"
            )
        for name, variable in variables.items():
            variable.assign(kept[name])
        return [arrays[name] for name in sorted(arrays) if name.startswith("metrics/")]

    def _moving(self) -> tuple[list[Any], list[Any]]:
        moving = [v for v in self.model.non_trainable_variables if v.dtype.startswith("float")]
        return moving, [total / self.workers.here.workers for total in self.workers.sum([v.value for v in moving])]

    def _named(self) -> dict[str, Any]:
        parts = [("model", self.model.variables)]
        parts += [(f"optimizer/{i}" if i else "optimizer", o.variables) for i, o in enumerate(self.optimizers)]
        return {f"{part}/{i:04}": variable for part, variables in parts for i, variable in enumerate(variables)}
