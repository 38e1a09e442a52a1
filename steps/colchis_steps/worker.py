"""Train as one of N workers; train starts them, on every back-end.

Reads   --data, and the entry's module from --code or PYTHONPATH; the worker's place from the environment:
        $COLCHIS_ADDRESSES with $COLCHIS_RANK or $JOB_COMPLETION_INDEX, or $TF_CONFIG
Writes  runs/<run>/training/ in the store: checkpoints/, history.json, and worker-<rank>.failure.json when it fails;
        the chief then runs/<run>/candidate/blobs/… and result.json. Below --workdir worker-<rank>.alive once a second
"""

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._content.storing import store_directory
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._formats import training as training_
from colchis_steps._formats.documents import encode
from colchis_steps._formats.hyperparameters import settings
from colchis_steps._formats.keys import failure_key, training_result_key
from colchis_steps._formats.models import tree_digest
from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import Result
from colchis_steps._models.candidates import blobs_of
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._step.child import PREFIX, words_of
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._step.flags import model_name, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.polling import repeating
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._training import checkpoints
from colchis_steps._training.board import Board
from colchis_steps._training.command import Command, environment, master
from colchis_steps._training.entry import call_entry, load_entry
from colchis_steps._training.failures import leave_failure
from colchis_steps._training.files import alive_path, home_of, note_epochs
from colchis_steps._training.given import Given
from colchis_steps._training.input import Source, blocks_of, inputs_of
from colchis_steps._training.loopback import kept_to_this_machine
from colchis_steps._training.rendezvous import Place, place, rendezvous
from colchis_steps._training.signals import GRACE, Stop
from colchis_steps.context import Context

if TYPE_CHECKING:
    from colchis_steps._training.loop import Loop

log = logging.getLogger("colchis")


def work(here: Place, data: DataSet, store: Objects, args: argparse.Namespace, home: Path) -> None:
    """Meet the others, build the model, train, and as the chief export it."""
    tf = load_tensorflow()  # $TF_CONFIG is set; the import takes seconds, so it comes before the others are waited for
    begun = _meet(here, store, args)
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    writer = checkpoints.Writer(store, args.run, home) if here.chief else None
    board = Board(store, args.run, home / "tensorboard") if here.chief else None
    from colchis_steps._training.first import try_export

    loop = _loop(here, data, args, writer)
    epochs = loop.settings.epochs
    if begun:
        loop.restore(*begun)
        _log_restored(begun[0], epochs)
        if here.chief:
            note_epochs(home, len(begun[0].history))
    elif here.chief:
        try_export(loop.model, loop.rows, loop.source.columns, loop.output, home)
    try:
        for epoch in loop.epochs():
            if board:
                log.info("epoch %d of %d: %s", epoch.epoch, epochs, _summary(epoch))
                board.write(epoch)
    finally:
        if writer:
            writer.wait()
        if board:
            board.wait()
    if here.chief:
        result = _export(loop, blobs_of(store, args.run), home, begun[0] if begun else None)
        store.write(training_result_key(args.run), encode(result))
        log.info("TensorFlow %s has exported a model of %d parameters", tf.__version__, result.parameters)
    loop.finish()


def _meet(here: Place, store: Objects, args: argparse.Namespace) -> "checkpoints.Found | None":
    """Meet the others; return the checkpoint from which all go on, as the chief found it."""
    found = checkpoints.newest(store, args.run, args.fingerprint) if here.chief else None
    step = int(rendezvous(here, args.run, str(found[0].step if found else 0), args.rendezvous_seconds))
    if step and not here.chief:
        try:
            found = checkpoints.read(store, args.run, step)
        except InputError as error:
            raise TransientError(f"the chief goes on after step {step}, but here {error}; run it again") from error
    return found


def _loop(here: Place, data: DataSet, args: argparse.Namespace, writer: "checkpoints.Writer | None") -> "Loop":
    """Let the entry build the model, and put the loop around it that trains it."""
    import keras

    from colchis_steps._training.loop import Loop
    from colchis_steps._training.workers import Workers

    chosen = settings(args.hyperparameters)
    with kept_to_this_machine(here):
        workers = Workers(here, args.exchange_seconds)
    stop = Stop(args.retry_exit_code, args.grace_seconds)
    stop.install()  # the strategy has put its own handler there, which swallows the signal
    keras.utils.set_random_seed(chosen.seed)
    keras.config.set_dtype_policy(chosen.precision)
    context = Context(
        hyperparameters=Given(chosen.all),
        columns=data.features,
        label=data.manifest.label,
        classes=data.classes,
        seed=chosen.seed,
        rank=here.rank,
        workers=here.workers,
        blocks=blocks_of(data, chosen.seed),
        task=data.task,
        weight=data.weight,
    )
    training = call_entry(args.entry, load_entry(args.entry), context)
    source = Source(data, chosen, here, context, training, inputs_of(training, data.features))
    return Loop(source, workers, stop, args.fingerprint, writer.save if writer else None)


def _log_restored(at: training_.Checkpoint, epochs: int) -> None:
    more = f" and {at.batches} steps of the next" if at.batches else ""
    log.info("going on after epoch %d of %d%s", len(at.history), epochs, more)


def work_by_command(here: Place, store: Objects, args: argparse.Namespace, home: Path) -> None:
    """Let the user's command do it."""
    command = Command(store, args.run, args.fingerprint, home, chief=here.chief)
    if command.prepare() and here.chief:
        log.info("going on from what the command has left in $COLCHIS_CHECKPOINTS")
    port = rendezvous(here, args.run, master(here) if here.chief else "", args.rendezvous_seconds)
    given = {"STORE": args.store, "RUN": args.run, "DATA": args.data, "HYPERPARAMETERS": args.hyperparameters}
    given |= {"CHECKPOINTS": str(command.checkpoints), "EXPORT": str(command.export), "HISTORY": str(command.history)}
    directory = home / "code" if args.code else Path.cwd()
    command.execute(words_of(args.entry), directory, environment(here, port, given), args.grace_seconds)
    if here.chief:
        result = command.result()
        store.write(training_result_key(args.run), encode(result))
        log.info("the command has left a model of %d files", len(result.files))


def _export(loop: "Loop", blobs: Objects, home: Path, begun: training_.Checkpoint | None) -> Result:
    from colchis_steps._savedmodel import export as exports
    from colchis_steps._training.first import features_of

    model, columns = loop.model, loop.source.columns
    exports.export(model, columns, home / "export", loop.output)
    signature = exports.check_export(model, home / "export", features_of(loop.rows, columns), loop.output)
    files = store_directory(blobs, home / "export").files
    return Result(
        fingerprint=loop.at.fingerprint,
        files=tuple(files),
        tree=tree_digest(files),
        signature=signature,
        frameworks=exports.frameworks(),
        history=loop.at.history,
        parameters=model.count_params(),
        resumed_from_epoch=len(begun.history) if begun else 0,
        resumed_from_step=begun.step if begun else 0,
        speed=loop.clock.speed(),
    )


def _summary(epoch: Epoch) -> str:
    parts = [f"{n} {v:.4f}" for n, v in epoch.train.items()] + [f"eval {n} {v:.4f}" for n, v in epoch.eval.items()]
    return ", ".join([*parts, f"{epoch.seconds:.1f} s"])


@contextlib.contextmanager
def beating(path: Path, seconds: float = 1.0) -> Iterator[None]:
    """Touch the file at once and then every so many seconds; not any more at the end, when its directory may go."""
    path.touch()
    with repeating(path.touch, seconds, "alive"):
        yield


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.worker"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.worker --store file:///tmp/store --run demo --model digits "
        "--data file:///tmp/store/data/digits/0123456789abcdef --entry colchis_steps.classifier:build",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument("--entry", required=True, metavar="MODULE:FUNCTION", help="builds the model; or command:WORDS")
    p.add_argument("--code", default="", metavar="URI", help="the user's code, as push_code stored it")
    p.add_argument(
        "--hyperparameters", default="{}", metavar="JSON", help="epochs, global_batch, seed, and the entry's"
    )
    p.add_argument("--fingerprint", default="", metavar="HEX", help="a checkpoint of another fingerprint is not used")
    p.add_argument("--workdir", type=Path, metavar="DIR", help="for code and files that are not whole yet")
    p.add_argument(
        "--retry-exit-code", type=int, default=75, metavar="N", help="where trying again may help; 143 for a TFJob"
    )
    p.add_argument(
        "--grace-seconds", type=float, default=GRACE, metavar="S", help="from SIGTERM to the end, saved or not"
    )
    p.add_argument(
        "--rendezvous-seconds", type=float, default=600.0, metavar="S", help="how long to wait for the peers"
    )
    p.add_argument("--exchange-seconds", type=float, default=600.0, metavar="S", help="how long one exchange may take")
    return p


def start(args: argparse.Namespace, here: Place) -> None:
    """Prepare the process, then work; leave the sentence of a failure in the store."""
    store = open_store(args.store)
    try:
        with contextlib.ExitStack() as stack:
            top = args.workdir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="colchis-")))
            home = home_of(top, here.rank)
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            stack.enter_context(beating(alive_path(top, here.rank)))
            with contextlib.suppress(NotFound):
                store.delete(failure_key(args.run, here.rank))
            if args.code:
                from colchis_steps._content.code import unpack_code

                unpack_code(args.code, home / "code")
                sys.path.insert(0, str(home / "code"))
            if here.workers > 1:
                os.environ["TF_CONFIG"] = here.tf_config()
            else:
                os.environ.pop("TF_CONFIG", None)
            if args.entry.startswith(PREFIX):
                work_by_command(here, store, args, home)
            else:
                work(here, open_data(args.data), store, args, home)
    except StepError as error:
        with contextlib.suppress(StepError):  # the log has it
            leave_failure(store, args.run, here.rank, error)
        raise
    except OSError as error:
        raise InputError(f"the working directory cannot be used ({error}); give another --workdir") from error


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Work as what the environment says."""
    args = parser().parse_args(argv)
    start(args, place(os.environ))


def exit_code(code: int, argv: Sequence[str]) -> int:
    """Return the code with which the process ends: the back-end's own where trying again may help."""
    return int(parser().parse_args(argv).retry_exit_code) if code == TransientError.exit_code else code


if __name__ == "__main__":
    try:
        code = exit_code(main(), sys.argv[1:])
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - a bug: say it, and end for certain
        traceback.print_exc()
        code = 1
    logging.shutdown()
    os._exit(code)  # the interpreter's own end waits for TensorFlow's servers, and those for peers
