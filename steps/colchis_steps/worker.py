"""Train as one of N workers; train starts them, on every back-end.

Reads   --data, and the entry's module from --code or PYTHONPATH; the worker's place from the environment:
        $COLCHIS_ADDRESSES with $COLCHIS_RANK or $JOB_COMPLETION_INDEX, or $TF_CONFIG
Writes  runs/<run>/training/ in the store: checkpoints/, history.json, and worker-<rank>.message when it fails; the
        chief then blobs/sha256/… and result.json. Below --workdir worker-<rank>.alive once a second
"""

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from colchis_steps import _training_checkpoints as checkpoints
from colchis_steps._blobs import scan, store_files
from colchis_steps._data import DataSet, open_data
from colchis_steps._formats import encode, tree_digest
from colchis_steps._rendezvous import Place, place, rendezvous
from colchis_steps._reports import Epoch
from colchis_steps._step import InputError, StepError, TransientError, entrypoint, run_flags
from colchis_steps._store import NotFound, Store, model_name, open_store
from colchis_steps._training_entry import call_entry, load_entry, settings
from colchis_steps._training_files import Result, alive_path, message_key, training_key
from colchis_steps._training_signals import Stop
from colchis_steps.context import Context

log = logging.getLogger("colchis")


def work(here: Place, data: DataSet, store: Store, args: argparse.Namespace, home: Path) -> None:
    """Meet the others, build the model, train, and as the chief export it."""
    import tensorflow as tf  # $TF_CONFIG is set; the import takes seconds, so it comes before the others are waited for

    from colchis_steps import _training_loop as loops

    chosen = settings(args.hyperparameters)
    found = checkpoints.newest(store, args.run, args.fingerprint) if here.chief else None
    step = int(rendezvous(here, args.run, str(found[0].step if found else 0), args.rendezvous_seconds))
    if step and not here.chief:
        try:
            found = checkpoints.read(store, args.run, step)
        except InputError as error:
            raise TransientError(f"the chief goes on after step {step}, but here {error}; run it again") from error
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    workers = loops.Workers(here, args.exchange_seconds)
    if threading.current_thread() is threading.main_thread():
        Stop(args.retry_exit_code).install()  # the strategy has put its own handler there, which swallows the signal

    import keras

    keras.utils.set_random_seed(chosen.seed)
    context = Context(chosen.all, data.features, data.manifest.label, data.classes, chosen.seed)
    model = call_entry(args.entry, load_entry(args.entry), context)
    loop = loops.Loop(model, data, chosen, workers)
    history = list(found[0].history) if found else []
    if found:
        loop.restore(found[1])
        log.info("going on after epoch %d of %d", len(history), chosen.epochs)
    writer = checkpoints.Writer(store, args.run, home) if here.chief else None
    for epoch in loop.epochs(history):
        history.append(epoch)
        if writer:
            now = checkpoints.Checkpoint(
                step=epoch.epoch * -(-data.rows("train") // chosen.global_batch),
                batches=0,
                rows=0,
                loss=0.0,
                fingerprint=args.fingerprint,
                history=tuple(history),
            )
            writer.save(now, loop.state())
            log.info("epoch %d of %d: %s", epoch.epoch, chosen.epochs, _told(epoch))
    if writer:
        writer.wait()
        from colchis_steps import _training_export as exports

        exports.export(model, data.features, home / "export")
        sample = next(data.batches("eval", min(8, chosen.global_batch)))
        exports.check(model, home / "export", sample.features)
        files = scan(home / "export")
        sent = store_files(store, home / "export", files)
        result = Result(
            fingerprint=args.fingerprint,
            files=tuple(files),
            tree=tree_digest(files),
            signature=exports.signature(home / "export"),
            frameworks=exports.frameworks(),
            history=tuple(history),
            parameters=model.count_params(),
            examples_per_second=round(loop.examples / loop.seconds, 1) if loop.seconds and loop.examples else 0.0,
            resumed_from_epoch=len(found[0].history) if found else 0,
            resumed_from_step=step,
        )
        store.write(training_key(args.run, "result.json"), encode(result))
        parameters = result.parameters
        log.info("TensorFlow %s has exported a model of %d parameters: %d bytes sent", tf.__version__, parameters, sent)
    loop.finish()


def _told(epoch: Epoch) -> str:
    parts = [f"{n} {v:.4f}" for n, v in epoch.train.items()] + [f"eval {n} {v:.4f}" for n, v in epoch.eval.items()]
    return ", ".join([*parts, f"{epoch.seconds:.1f} s"])


def _beat(path: Path) -> None:
    def beat() -> None:
        while True:
            path.touch()
            time.sleep(1.0)

    path.touch()
    threading.Thread(target=beat, name="alive", daemon=True).start()


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.worker",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.worker --store file:///tmp/store --run demo --model digits "
        "--data file:///tmp/store/data/digits/0123456789abcdef --entry colchis_steps.classifier:build",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument("--entry", required=True, metavar="MODULE:FUNCTION", help="builds the compiled keras.Model")
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
            home = top / f"worker-{here.rank}"
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            _beat(alive_path(top, here.rank))
            with contextlib.suppress(NotFound):
                store.delete(message_key(args.run, here.rank))
            if args.code:
                from colchis_steps._code import unpack_code

                unpack_code(args.code, home / "code")
                sys.path.insert(0, str(home / "code"))
            if here.workers > 1:
                os.environ["TF_CONFIG"] = here.tf_config()
            else:
                os.environ.pop("TF_CONFIG", None)
            work(here, open_data(args.data), store, args, home)
    except StepError as error:
        with contextlib.suppress(StepError):  # the log has it
            store.write(message_key(args.run, here.rank), f"{error}\n".encode())
        raise
    except OSError as error:
        raise InputError(f"the working directory cannot be used ({error}); give another --workdir") from error


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Work as what the environment says."""
    args = parser().parse_args(argv)
    start(args, place(os.environ))


def exit_code(code: int, argv: Sequence[str]) -> int:
    """Give the code with which the process ends: the back-end's own where trying again may help."""
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
