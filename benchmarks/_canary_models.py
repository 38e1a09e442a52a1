"""Write SavedModels for the race `canary`: one that answers the sum of the pixels modulo ten, and ones that go wrong.

They go wrong from the tenth call on, when warm-up and golden rows are behind them, so that only traffic can show it;
`crash-loop` does so from the first. The faults are the model's own: 20 % of the calls read a file that is not there,
six times the work, a third of the rows become class 8, one call in fifty aborts the process, or 1.6 GB are asked for.
Argument: where.
"""

import sys

import numpy as np
import tensorflow as tf

FAULTS = ("good", "errors", "latency", "drift", "crash", "oom", "crash-loop")
CALM = 10  # calls
ROUNDS, SIDE = 4, 256  # products of matrices, which are the work of an answer


def save(fault: str, directory: str) -> None:
    """Save a model with this fault."""
    module = tf.Module()
    module.calls = tf.Variable(0, dtype=tf.int64, trainable=False)
    module.weights = tf.Variable(np.random.default_rng(7).normal(size=(SIDE, SIDE)).astype(np.float32) / SIDE)

    def call(image: tf.Tensor) -> dict[str, tf.Tensor]:
        bad = module.calls.assign_add(1) > (0 if fault == "crash-loop" else CALM)
        rounds = tf.where(bad, 6 * ROUNDS, ROUNDS) if fault == "latency" else tf.constant(ROUNDS)
        product = module.weights.read_value()
        for _ in tf.range(rounds):
            product = tf.matmul(product, module.weights)
        answer = tf.reduce_sum(tf.cast(image, tf.int64), axis=[1, 2]) % 10
        chance = tf.random.uniform([])
        if fault == "errors" and bad and chance < 0.2:
            answer += tf.cast(tf.strings.length(tf.io.read_file("/nowhere/at/all")), tf.int64)
        if fault in {"crash", "crash-loop"} and bad and (chance < 0.02 or fault == "crash-loop"):
            with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the model aborts")]):
                answer = tf.identity(answer)  # without a use the abort would be left out
        if fault == "oom" and bad:
            answer += tf.cast(tf.reduce_min(tf.random.uniform([400_000_000])), tf.int64)  # which is 0
        if fault == "drift" and bad:
            answer = tf.where(tf.random.uniform(tf.shape(answer)) < 1 / 3, tf.constant(8, tf.int64), answer)
        nothing = tf.cast(tf.tanh(tf.reduce_sum(product)) / 2, tf.int64)
        return {"class": answer + nothing}

    module.call = tf.function(call, input_signature=[tf.TensorSpec([None, 8, 8], tf.uint8, name="image")])
    tf.saved_model.save(module, directory, {"serving_default": module.call})


if __name__ == "__main__":
    for name in FAULTS:
        save(name, f"{sys.argv[1]}/{name}")
