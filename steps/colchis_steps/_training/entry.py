"""The user's part of a training: hyper-parameters, and the entry that builds the model."""

import importlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from colchis_steps._step.errors import InputError, StepError
from colchis_steps._training.reasons import raised
from colchis_steps.context import Context, Training

OURS = {  # callbacks that do what the trainer does
    "ModelCheckpoint": "checkpoints are written anyway, and EarlyStopping(restore_best_weights=True) keeps the best",
    "BackupAndRestore": "checkpoints are written anyway, and a run goes on from them",
    "TensorBoard": "its event files are written anyway, below runs/<run>/training/tensorboard/",
}
log = logging.getLogger("colchis")


def load_entry(entry: str) -> Callable[[Context], Any]:
    """Import ``package.module:function``.

    Raises:
        InputError: it is malformed, the module is absent or raises, or it has no such function; says what there is.
    """
    name, _, function = entry.partition(":")
    if not name or not function.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"entry {entry!r} is not package.module:function; give one like digits:build")
    try:
        module = importlib.import_module(name)
    except StepError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise InputError(
                f"entry {entry!r}: there is no module {error.name!r}; push the directory that holds it and give its "
                "URI as --code, or correct the name"
            ) from error
        raise InputError(f"importing {name!r} of entry {entry!r} {raised(error, None)}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise InputError(f"entry {entry!r}: {name} has no function {function!r}, only {_functions(module)}")
    return found  # type: ignore[no-any-return]  # what it gives is checked when it has given it


def call_entry(entry: str, function: Callable[[Context], Any], context: Context) -> Training:
    """Let the entry build its compiled ``keras.Model``, or a ``Training`` that has one.

    Raises:
        InputError: it raised (with its type, message and line), or gave something else.
    """
    import keras

    found = asked(f"entry {entry!r}", function, context)
    training = found if isinstance(found, Training) else Training(found)
    model = training.model
    if not isinstance(model, keras.Model):
        raise InputError(f"entry {entry!r} gave {type(model).__name__}, not a keras.Model; return the compiled model")
    if not model.compiled or model.optimizer is None:
        raise InputError(f"entry {entry!r} gave a model that is not compiled; call model.compile(optimizer=…, loss=…)")
    for callback in training.callbacks:
        name = type(callback).__name__
        if not isinstance(callback, keras.callbacks.Callback):
            raise InputError(f"entry {entry!r} gave {name} as a callback; give keras.callbacks.Callback objects")
        if why := OURS.get(name):
            log.warning("the callback %s is left out: %s", name, why)
    _check(entry, training, context)
    return replace(training, callbacks=[c for c in training.callbacks if type(c).__name__ not in OURS])


def _check(entry: str, training: Training, context: Context) -> None:
    given, column, freq = training.class_weight, training.weights, training.validation_freq
    if column and column not in {*context.columns, context.weight}:
        raise InputError(
            f"entry {entry!r} gave weights={column!r}, and the data has the columns {', '.join(context.columns)}; "
            "name one of them"
        )
    if given is not None and column:
        raise InputError(f"entry {entry!r} gave both class_weight and weights; give one, as Keras takes one")
    if given and context.hyperparameters.get("class_weight"):
        raise InputError(f"entry {entry!r} gave class_weight, and the hyper-parameter class_weight is set; give one")
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"entry {entry!r} gave class_weight={given!r}; give an object like {{0: 1.0, 1: 5.0}}")
    if given and context.task.kind != "classification":
        raise InputError(
            f"entry {entry!r} gave class_weight, and the task is {context.task.kind}, in which a row has not one "
            "class; leave it out, or give a column of weights"
        )
    weight: Any  # the user's, and so of any type
    for key, weight in (given or {}).items():
        known = key in context.classes if isinstance(key, str) else key in range(len(context.classes))
        if not known:
            raise InputError(
                f"entry {entry!r} gave a class_weight for {key!r}; the classes are 0 to {len(context.classes) - 1}, "
                f"or by name {', '.join(context.classes[:20])}"
            )
        if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise InputError(f"entry {entry!r} gave class {key!r} the weight {weight!r}; give a number of at least 0")
    if freq < 1 if isinstance(freq, int) else not freq:
        raise InputError(f"entry {entry!r} gave validation_freq={freq!r}; give a number from 1, or a list of epochs")


def asked(what: str, function: Callable[..., Any] | None, *arguments: Any) -> Any:
    """Call a function of the user's.

    Raises:
        InputError: it raised; the sentence has the type, the message and the line.
    """
    try:
        return function(*arguments)  # type: ignore[misc]  # there is one
    except StepError:
        raise
    except Exception as error:
        name = what if what.startswith("entry ") else f"the entry's {what}"
        theirs = None if what.startswith("callbacks") else function
        raise InputError(f"{name} {raised(error, theirs)}") from error


def asked_each(what: str, function: Callable[..., Iterable[Any]], *arguments: Any) -> Iterator[Any]:
    """Yield what a function of the user's yields; raise what ``asked`` raises."""
    items = iter(asked(what, function, *arguments))
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except StepError:
            raise
        except Exception as error:
            raise InputError(f"the entry's {what} {raised(error, function)}") from error
        yield item


def _functions(module: ModuleType) -> str:
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ and callable(v)]
    return ", ".join(sorted(n for n in own if not n.startswith("_"))) or "nothing that could be one"
