"""Train the entries of fit_cases by the trainer's loop or by Keras's ``fit``; write what came out as JSON lines.

A process makes its workers once and trains all cases that it is given with them: ``python -m tests.steps.like_fit
{loop,fit} OUT CASE…``, with the worker's place in the environment.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.steps.training_data import write_manifest

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.data_v1 import Column, Shard
from colchis_steps._formats.hyperparameters import settings
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._training.rendezvous import Place, place
from colchis_steps.context import Context, Training

here = place(os.environ)
if here.workers > 1:
    os.environ["TF_CONFIG"] = here.tf_config()
load_tensorflow()

import keras  # noqa: E402 - the library chooses how TensorFlow is loaded
from tests.steps import fit_cases as cases  # noqa: E402

from colchis_steps._training.given import Given  # noqa: E402
from colchis_steps._training.input import Source, inputs_of  # noqa: E402
from colchis_steps._training.loop import Loop  # noqa: E402
from colchis_steps._training.signals import Stop  # noqa: E402
from colchis_steps._training.workers import Workers  # noqa: E402

GIVEN = settings(json.dumps({"epochs": cases.EPOCHS, "global_batch": cases.BATCH, "seed": 7}))


def context_of(data: Any, where: Place) -> Context:
    return Context(
        hyperparameters=Given(GIVEN.all),
        columns=data.features,
        label="label",
        classes=cases.CLASSES,
        seed=7,
        rank=where.rank,
        workers=where.workers,
    )


def entry(name: str, context: Context) -> Training:
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    found = cases.CASES[name](context)
    return found if isinstance(found, Training) else Training(found)


def result(name: str, training: Training, epochs: list[dict[str, float]]) -> dict[str, Any]:
    weights = [variable.numpy().ravel().tolist() for variable in training.model.variables if variable.dtype != "uint32"]
    seen: list[Any] = next((c.seen for c in training.callbacks if hasattr(c, "seen")), [])
    return {"case": name, "epochs": epochs, "weights": weights, "seen": seen}


def by_loop(name: str, data: Any, workers: Workers) -> dict[str, Any]:
    from dataclasses import replace

    context = context_of(data, here)
    training = replace(entry(name, context), dataset=cases.dataset)
    columns = {n: c for n, c in inputs_of(training, data.features).items() if n == "x"}
    source = Source(data, GIVEN, here, context, training, columns)
    loop = Loop(source, workers, Stop(75, 60), "", None)
    epochs = [e.train | {f"val_{n}": v for n, v in e.eval.items()} for e in loop.epochs()]
    loop.finish()
    return result(name, training, epochs)


def by_fit(name: str, data: Any, _: object) -> dict[str, Any]:
    training = entry(name, context_of(data, Place()))
    training.model.jit_compile = False  # XLA changes nothing but rounding, and takes seconds to compile
    train, test = cases.rows("train"), cases.rows("eval")
    weights = (train[training.weights].astype("float32"),) if training.weights else ()
    more = (test[training.weights].astype("float32"),) if training.weights else ()

    def labels(found: Any) -> Any:
        """Give each of several outputs the label."""
        outputs = getattr(training.model, "output", None)
        return dict.fromkeys(outputs, found) if isinstance(outputs, dict) and len(outputs) > 1 else found

    history = training.model.fit(
        train["x"],
        labels(train["label"]),
        sample_weight=weights[0] if weights else None,
        validation_data=(test["x"], labels(test["label"]), *more),
        class_weight=training.class_weight,
        validation_freq=training.validation_freq,
        callbacks=list(training.callbacks),
        batch_size=cases.BATCH,
        epochs=cases.EPOCHS,
        shuffle=False,
        verbose=0,
    ).history
    count = len(history["loss"])
    epochs: list[dict[str, float]] = [{} for _ in range(count)]
    due = [e for e in range(1, count + 1) if training.model._should_eval(e - 1, training.validation_freq)]
    for key, values in history.items():
        for epoch, value in zip(due if key.startswith("val_") else range(1, count + 1), values, strict=True):
            epochs[epoch - 1][key] = float(value)
    return result(name, training, epochs)


def main() -> None:
    how, out, *names = sys.argv[1:]
    home = Path(out).with_suffix(".data")
    home.mkdir(exist_ok=True)
    columns = (
        Column("x", "float32", (6,)),
        Column("weight", "float32"),
        Column("label", "int64", (), 0.0, 2.0, cases.CLASSES),
    )
    shards: dict[str, tuple[Shard, ...]] = {
        split: (Shard(f"{split}.npz", 1, 1, "0" * 64),) for split in ("train", "eval")
    }
    write_manifest(home, shards, columns)
    workers = Workers(here, 60.0)
    with Path(out).open("w") as file:
        for name in names:
            made = (by_loop if how == "loop" else by_fit)(name, open_data(home.as_uri()), workers)
            print(json.dumps(made), file=file, flush=True)
    os._exit(0)  # TensorFlow's servers wait for peers


if __name__ == "__main__":
    main()
