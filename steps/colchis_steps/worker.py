"""Train as one of N workers; train starts them, on every back-end.

Reads   --data, and the entry's module from PYTHONPATH; the worker's place from the environment: $COLCHIS_ADDRESSES with
        $COLCHIS_RANK or $JOB_COMPLETION_INDEX, or $TF_CONFIG
Writes  below --workdir: checkpoints/, history.json after each epoch; the chief then export/ and result.json; each
        worker worker-<rank>.alive once a second, and worker-<rank>.message when it fails
"""

import argparse
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from colchis_steps import _training_checkpoints as checkpoints
from colchis_steps._data import DataSet, open_data
from colchis_steps._formats import encode
from colchis_steps._rendezvous import Place, place, rendezvous
from colchis_steps._reports import Epoch
from colchis_steps._step import InputError, StepError, entrypoint, write_atomically
from colchis_steps._training_entry import Settings, call_entry, load_entry, settings
from colchis_steps._training_files import History, Result, alive_path, message_path
from colchis_steps.context import Context

GRACE = 5.0  # seconds between SIGTERM and the end, where TensorFlow does not let go
log = logging.getLogger("colchis")


def work(here: Place, chosen: Settings, data: DataSet, args: argparse.Namespace) -> None:
    """Meet the others, build the model, train, and as the chief export it."""
    top = args.workdir / "checkpoints"
    import tensorflow as tf  # $TF_CONFIG is set; the import takes seconds, so it comes before the others are waited for

    from colchis_steps import _training_loop as loops

    found = checkpoints.newest(top, args.fingerprint)
    after = int(rendezvous(here, args.run, str(found.epoch if found else 0), args.rendezvous_seconds))
    if after != (found.epoch if found else 0):
        raise InputError(
            f"the chief goes on after epoch {after}, but worker {here.rank} has checkpoint "
            f"{found.epoch if found else 'none'}; give all workers one --workdir"
        )
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    workers = loops.Workers(here, args.exchange_seconds)
    if threading.current_thread() is threading.main_thread():
        _end_on_sigterm()  # the strategy has put its own handler there, which swallows the signal

    import keras

    keras.utils.set_random_seed(chosen.seed)
    context = Context(chosen.all, data.features, data.manifest.label, data.classes, chosen.seed)
    model = call_entry(args.entry, load_entry(args.entry), context)
    loop = loops.Loop(model, data, chosen, workers)
    variables = [v.value for v in model.variables], [v.value for v in model.optimizer.variables]
    history = list(found.history) if found else []
    if found:
        checkpoints.restore(top, after, *variables)
        log.info("going on after epoch %d of %d", after, chosen.epochs)
    for epoch in loop.epochs(history):
        history.append(epoch)
        if here.chief:
            checkpoints.save(top, args.fingerprint, history, *variables)
            write_atomically(args.workdir / "history.json", encode(History(epochs=tuple(history))))
            log.info("epoch %d of %d: %s", epoch.epoch, chosen.epochs, _told(epoch))
    if here.chief:
        from colchis_steps import _training_export as exports

        exports.export(model, data.features, args.workdir / "export")
        sample = next(data.batches("eval", min(8, chosen.global_batch)))
        exports.check(model, args.workdir / "export", sample.features)
        result = Result(
            fingerprint=args.fingerprint,
            parameters=model.count_params(),
            examples_per_second=round(loop.examples / loop.seconds, 1) if loop.seconds and loop.examples else 0.0,
            resumed_from_epoch=after,
            history=tuple(history),
            signature=exports.signature(args.workdir / "export"),
            frameworks=exports.frameworks(),
        )
        write_atomically(args.workdir / "result.json", encode(result))
        log.info("TensorFlow %s has exported a model of %d parameters", tf.__version__, result.parameters)
    loop.finish()


def _told(epoch: Epoch) -> str:
    parts = [f"{n} {v:.4f}" for n, v in epoch.train.items()] + [f"eval {n} {v:.4f}" for n, v in epoch.eval.items()]
    return ", ".join([*parts, f"{epoch.seconds:.1f} s"])


def _end_on_sigterm() -> None:
    """Take SIGTERM back from TensorFlow, and end even where an exchange with a lost peer keeps the main thread."""
    from colchis_steps._step import _on_sigterm

    signal.signal(signal.SIGTERM, _on_sigterm)
    wakes, wakened = socket.socketpair()
    wakened.setblocking(False)
    signal.set_wakeup_fd(wakened.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with wakes, wakened:
            while signal.SIGTERM not in wakes.recv(16):
                pass
            time.sleep(GRACE)
            os._exit(75)

    threading.Thread(target=watch, name="end-on-sigterm", daemon=True).start()


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
        epilog="example: python -m colchis_steps.worker --run demo --workdir /tmp/work "
        "--data file:///tmp/store/data/digits/0123456789abcdef --entry colchis_steps.classifier:build",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--run", required=True, metavar="ID", help="the run's id; workers of one run know each other by it")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument("--entry", required=True, metavar="MODULE:FUNCTION", help="builds the compiled keras.Model")
    p.add_argument(
        "--hyperparameters", default="{}", metavar="JSON", help="epochs, global_batch, seed, and the entry's"
    )
    p.add_argument("--workdir", required=True, type=Path, metavar="DIR", help="one directory for all workers")
    p.add_argument("--fingerprint", default="", metavar="HEX", help="a checkpoint of another fingerprint is not used")
    p.add_argument(
        "--rendezvous-seconds", type=float, default=600.0, metavar="S", help="how long to wait for the peers"
    )
    p.add_argument("--exchange-seconds", type=float, default=600.0, metavar="S", help="how long one exchange may take")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Work; leave the sentence of a failure where ``train`` finds it."""
    args = parser().parse_args(argv)
    args.workdir.mkdir(parents=True, exist_ok=True)
    here = place(os.environ)
    try:
        _beat(alive_path(args.workdir, here.rank))
        if here.workers > 1:
            os.environ["TF_CONFIG"] = here.tf_config()
        else:
            os.environ.pop("TF_CONFIG", None)
        work(here, settings(args.hyperparameters), open_data(args.data), args)
    except StepError as error:
        write_atomically(message_path(args.workdir, here.rank), f"{error}\n")
        raise


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - a bug: say it, and end for certain
        traceback.print_exc()
        code = 1
    logging.shutdown()
    os._exit(code)  # the interpreter's own end waits for TensorFlow's servers, and those for peers
