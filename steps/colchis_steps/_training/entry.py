"""The user's part of a training: hyper-parameters, and the entry that builds the model."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from colchis_steps._step.errors import InputError, StepError
from colchis_steps.context import Context, Training

OURS = {  # callbacks that do what the trainer does
    "ModelCheckpoint": "checkpoints are written anyway, and EarlyStopping(restore_best_weights=True) keeps the best",
    "BackupAndRestore": "checkpoints are written anyway, and a run goes on from them",
    "TensorBoard": "its event files are written anyway, below runs/<run>/training/tensorboard/",
    "SwapEMAWeights": "it swaps weights in and out of the model, which checkpoints do not know of",
}


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
        raise InputError(f"importing {name!r} of entry {entry!r} {_raised(error, None)}") from error
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
    if type(model).train_step is not keras.Model.train_step:
        raise InputError(
            f"entry {entry!r} gave a model with a train_step method, which Keras's fit alone would call; give it as "
            "Training(model, train_step=function)"
        )
    for callback in training.callbacks:
        name = type(callback).__name__
        if not isinstance(callback, keras.callbacks.Callback):
            raise InputError(f"entry {entry!r} gave {name} as a callback; give keras.callbacks.Callback objects")
        if reason := OURS.get(name):
            raise InputError(f"entry {entry!r} gave the callback {name}; leave it out: {reason}")
    return training


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
        raise InputError(f"{name} {_raised(error, theirs)}") from error


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
            raise InputError(f"the entry's {what} {_raised(error, function)}") from error
        yield item


def _functions(module: ModuleType) -> str:
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ and callable(v)]
    return ", ".join(sorted(n for n in own if not n.startswith("_"))) or "nothing that could be one"


def _raised(error: Exception, function: Callable[..., Any] | None) -> str:
    """Return what was raised, and in which line of the user's file (else the innermost line)."""
    frames = traceback.extract_tb(error.__traceback__)
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    home = Path(getattr(module, "__file__", None) or "/nowhere").parent
    installed = tuple({sys.prefix, sys.base_prefix})
    theirs = [f for f in frames if Path(f.filename).is_relative_to(home)] or [
        f for f in frames if not f.filename.startswith((*installed, "<frozen", str(Path(__file__).parents[1])))
    ]
    where = "".join(f" ({Path(f.filename).name}, line {f.lineno})" for f in (theirs or frames)[-1:])
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({Path(error.filename).name}, line {error.lineno})"
    message = " ".join(str(error).split())[:256]
    return f"raised {type(error).__name__}: {message}{where}; correct the code and push it again"
