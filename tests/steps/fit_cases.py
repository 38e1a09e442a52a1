"""Entries as people write them for Keras's ``fit``, each the smallest that shows one thing that ``fit`` does."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from colchis_steps.context import Context, Training

ROWS = {"train": 34, "eval": 10}  # in batches of 11: two workers have 6 and 5, and of the last one row and none
BATCH, EPOCHS, CLASSES = 11, 3, ("a", "b", "c")
SPARSE = "sparse_categorical_crossentropy"
Entry = Callable[[Context], Any]
CASES: dict[str, Entry] = {}


def case(entry: Entry) -> Entry:
    CASES[entry.__name__] = entry
    return entry


def rows(split: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(len(split))
    x = random.normal(size=(ROWS[split], 6)).astype("float32")
    label = ((x[:, 0] + 0.3 * x[:, 1] > 0).astype("int64") + (x[:, 2] > 0)).astype("int64")
    return {"x": x, "weight": np.abs(x[:, 3]) + 0.1, "label": label}


def model_of(
    loss: Any = SPARSE,
    optimizer: Any = None,
    *,
    metrics: Any = ("accuracy",),
    kind: type[keras.Model] = keras.Model,
    last: str | None = "softmax",
    norm: Any = None,
    **compiled: Any,
) -> keras.Model:
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(8, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
    x = norm(x) if norm else x
    model = kind(inputs, keras.layers.Dense(3, activation=last, name="cls")(x))
    model.compile(optimizer or keras.optimizers.Adam(0.02), loss, metrics=list(metrics) or None, **compiled)
    return model


@case
def plain(_: Context) -> Any:
    return model_of()


@case
def batch_norm(_: Context) -> Any:
    return model_of(norm=keras.layers.BatchNormalization(momentum=0.8))


@case
def synchronized(_: Context) -> Any:
    return model_of(norm=keras.layers.BatchNormalization(momentum=0.8, synchronized=True))


@keras.saving.register_keras_serializable()
def focal(y: Any, p: Any) -> Any:
    q = ops.sum(ops.one_hot(y, 3) * p, -1)
    return ops.mean(-((1 - q) ** 2) * ops.log(q + 1e-7))


@case
def scalar_focal(_: Context) -> Any:
    return model_of(focal)


@case
def scalar_dice(_: Context) -> Any:
    def dice(y: Any, p: Any) -> Any:
        wanted = ops.one_hot(y, 3)
        return 1 - (2 * ops.sum(wanted * p) + 1) / (ops.sum(wanted) + ops.sum(p * p) + 1)

    return model_of(dice)


@case
def logits(_: Context) -> Any:
    return model_of(keras.losses.SparseCategoricalCrossentropy(from_logits=True), last=None)


@case
def summed_loss(_: Context) -> Any:
    return model_of(keras.losses.SparseCategoricalCrossentropy(reduction="sum"), keras.optimizers.SGD(0.01))


@case
def class_weights(_: Context) -> Any:
    accuracy = [keras.metrics.SparseCategoricalAccuracy(name="weighted")]
    return Training(model_of(weighted_metrics=accuracy), class_weight={0: 1.0, 2: 5.0})


@case
def weights_of_rows(_: Context) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    accuracy = [keras.metrics.SparseCategoricalAccuracy(name="weighted")]
    return Training(model_of(loss, weighted_metrics=accuracy), weights="weight")


class Most(keras.metrics.Metric):
    """The largest probability so far: no sum of parts."""

    def __init__(self) -> None:
        super().__init__(name="most")
        self.value = self.add_variable((), "zeros", name="value")

    def update_state(self, _: Any, p: Any, sample_weight: Any = None) -> None:
        self.value.assign(ops.maximum(self.value, ops.max(p)))

    def result(self) -> Any:
        return self.value * 1.0  # not the variable, whose value goes on to change


@case
def maximum(_: Context) -> Any:
    return model_of(metrics=["accuracy", Most()])


@case
def never_finite(_: Context) -> Any:
    class Never(Most):
        def result(self) -> Any:
            return self.value * float("nan")

    return model_of(metrics=["accuracy", Never()])


@case
def many_metrics(_: Context) -> Any:
    def batch_mean(y: Any, p: Any) -> Any:
        return ops.mean(p[:, 0]) ** 2  # a mean over batches of what is no sum over rows

    return model_of(
        metrics=[
            keras.metrics.SparseTopKCategoricalAccuracy(2),
            keras.metrics.SparseCategoricalCrossentropy(),
            keras.metrics.MeanIoU(3, sparse_y_pred=False),
            batch_mean,
        ]
    )


@case
def average(_: Context) -> Any:
    adam = keras.optimizers.AdamW(0.02, weight_decay=0.1, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3)
    return model_of(optimizer=adam)


@case
def average_at_the_end(_: Context) -> Any:
    return model_of(optimizer=keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7, clipnorm=0.3))


@case
def swapped(_: Context) -> Any:
    model = model_of(optimizer=keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.8))
    return Training(model, callbacks=[keras.callbacks.SwapEMAWeights()])


@case
def swapped_by_epoch(_: Context) -> Any:
    model = model_of(optimizer=keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.8))
    return Training(model, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])


class Records(keras.callbacks.Callback):
    """Writes down each hook with its number and logs; sets the learning rate by step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def note(self, hook: str, number: int, logs: Any) -> None:
        self.seen.append([hook, number, {name: float(value) for name, value in (logs or {}).items()}])

    def on_train_begin(self, logs: Any = None) -> None:
        self.note("train_begin", self.params["epochs"], logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.note("train_end", 0, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.1 / (1 + batch)
        self.note("train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("train_batch_end", batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self.note("test_begin", 0, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.note("test_end", 0, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.note("test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("test_batch_end", batch, logs)


@case
def hooks(_: Context) -> Any:
    return Training(model_of(metrics=["accuracy", "sparse_categorical_crossentropy"]), callbacks=[Records()])


@case
def several_steps_at_once(_: Context) -> Any:
    return Training(model_of(steps_per_execution=3), callbacks=[Records()])


@case
def stops_at_the_third_batch(_: Context) -> Any:
    class Stops(Records):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            if batch == 2:
                self.model.stop_training = True

    return Training(model_of(), callbacks=[Stops()])


@case
def hooks_of_the_chief_alone(context: Context) -> Any:
    class Stops(Records):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            self.model.stop_training = epoch == 1

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.note("train_batch_begin", batch, logs)

    return Training(model_of(), callbacks=[] if context.rank else [Stops()])


@case
def less_on_a_plateau(_: Context) -> Any:
    reduce = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10.0)
    return Training(model_of(), callbacks=[reduce, Records()])


@case
def eager(_: Context) -> Any:
    def loss(y: Any, p: Any) -> Any:
        assert float(tf.reduce_sum(p).numpy()) > 0
        return keras.losses.sparse_categorical_crossentropy(y, p)

    return model_of(loss, run_eagerly=True)


class OwnSteps(keras.Model):
    """Steps as Keras's guide writes them."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            p = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=p)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(x)[0])
            else:
                metric.update_state(y, p)
        return {m.name: m.result() for m in self.metrics} | {"twice": 2 * loss}

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        p = self(x, training=False)
        self.compute_metrics(x, y, p)
        return {"accuracy": self.get_metrics_result()["accuracy"]}


@case
def own_steps(_: Context) -> Any:
    return model_of(kind=OwnSteps)


@case
def two_optimizers(_: Context) -> Any:
    class Both(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.mean(keras.losses.sparse_categorical_crossentropy(y, self(x, training=True)))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients[:2], self.trainable_variables[:2], strict=True))
            self.second.apply_gradients(zip(gradients[2:], self.trainable_variables[2:], strict=True))
            return {"loss": loss}

    model = model_of(kind=Both, metrics=())
    model.second = keras.optimizers.Adam(0.05)
    return model


@case
def own_loss_and_metrics(_: Context) -> Any:
    class Own(keras.Model):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.most = Most()

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            plain = super().compute_loss(x, y, y_pred, sample_weight, training)
            return plain + 0.1 * ops.mean(ops.abs(ops.sum(x, -1) - ops.sum(y_pred, -1)))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            found: dict[str, Any] = super().compute_metrics(x, y, y_pred, sample_weight)
            self.most.update_state(y, y_pred)
            return found | {"most": self.most.result()}

    return model_of(kind=Own)


@case
def old_compute_loss(_: Context) -> Any:
    class Old(keras.Model):
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return super().compute_loss(x, y, y_pred, sample_weight) * 2

    return model_of(kind=Old)


@case
def penalties(_: Context) -> Any:
    class Adds(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(0.01 * ops.sum(x * x))  # a sum over rows
            self.add_loss(0.1 * ops.mean(x * x))
            return x

    def layers(x: Any) -> Any:
        return Adds()(keras.layers.Dense(4, activity_regularizer="l2")(x))

    return model_of(norm=layers)


@case
def every_other_epoch(_: Context) -> Any:
    return Training(model_of(), validation_freq=2, callbacks=[Records()])


@case
def in_named_epochs(_: Context) -> Any:
    return Training(model_of(), validation_freq=[1, 3])


@case
def several_outputs(_: Context) -> Any:
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(8, activation="tanh")(inputs)
    outputs = {
        "cls": keras.layers.Dense(3, activation="softmax")(x),
        "aux": keras.layers.Dense(3)(x),
    }
    model = keras.Model(inputs, outputs)
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", {"cls": SPARSE, "aux": logits}, loss_weights={"cls": 1.0, "aux": 0.3})
    return model


@case
def a_list_of_one_loss(_: Context) -> Any:
    return model_of([SPARSE])


@case
def a_dict_of_one_output(_: Context) -> Any:
    inputs = keras.Input((6,), name="x")
    model = keras.Model(inputs, {"cls": keras.layers.Dense(3, activation="softmax")(inputs)})
    model.compile("adam", {"cls": SPARSE}, metrics={"cls": ["accuracy"]})
    return model


@case
def a_subclass(_: Context) -> Any:
    class Sub(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")

        def call(self, inputs: Any) -> Any:  # no argument `training`
            return self.two(self.one(inputs))

    model = Sub()
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return model


@case
def accumulated(_: Context) -> Any:
    return model_of(optimizer=keras.optimizers.Adam(0.02, gradient_accumulation_steps=2))


@case
def scaled_loss(_: Context) -> Any:
    return model_of(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0))


@case
def frozen_parts(_: Context) -> Any:
    model = model_of()
    model.layers[1].trainable = False
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return model


@case
def masked(_: Context) -> Any:
    """Masks reach loss and metrics: rows whose first value is below 0 count for nothing."""

    class Masks(keras.layers.Layer):
        supports_masking = True

        def compute_mask(self, inputs: Any, previous: Any = None) -> Any:
            return inputs[:, 0] > 0

        def call(self, inputs: Any) -> Any:
            return inputs * 1.0

    inputs = keras.Input((6,), name="x")
    outputs = keras.layers.Dense(3, activation="softmax")(Masks()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), SPARSE, metrics=["accuracy"])
    return model


def dataset(_: Context, split: str, __: int) -> Iterator[dict[str, np.ndarray]]:
    """Give the rows in one order, so that ``fit`` can have the same batches."""
    yield rows(split)
