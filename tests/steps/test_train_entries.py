"""Entries that cannot be trained, each ended with 65 and a sentence: one TensorFlow process tries all in turn."""

import json
import subprocess
import sys

import pytest
from tests.steps.training_data import write_data

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import json, pathlib, sys
from colchis_steps import worker
for i, entry in enumerate(sys.argv[2:]):
    top = pathlib.Path(sys.argv[1])
    data = (top / ("damaged" if "sound" in entry else "data")).as_uri()
    top = top / str(i)
    flags = [f"--store={top.as_uri()}", "--run=r", "--model=m", f"--data={data}", f"--entry={entry}"]
    code = worker.main([*flags, '--hyperparameters={"epochs": 2, "global_batch": 8}'])
    print(json.dumps([code, json.loads((top / "runs/r/training/worker-0.failure.json").read_text())]))
"""
CODE = """
import keras
from colchis_steps.context import Training

def model_of(last=3, rate=0.01, loss="sparse_categorical_crossentropy", name="image", dtype="uint8", metrics=None):
    inputs = keras.Input((4, 4), name=name, dtype=dtype)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(last, activation="softmax")(x))
    model.compile(keras.optimizers.SGD(rate), loss, metrics=metrics)
    return model

def raises(context):
    return {}[context.label]

def nothing(context):
    return None

def uncompiled(context):
    return keras.Sequential([keras.Input((4, 4)), keras.layers.Dense(3)])

def explodes(context):
    model = model_of()
    model.compile(keras.optimizers.SGD(1e38), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.layers[-1].activation = lambda x: x * x * 1e30
    return model

def sound(context):
    return model_of()

def too_few(context):
    return model_of(last=2)

def wrong_shape(context):
    inputs = keras.Input((9, 4), dtype="uint8")
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs)))
    model = keras.Model(inputs, x)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def compiles_xla(context):
    class Unsupported(keras.layers.Layer):
        supports_jit = False
        def call(self, x):
            return x
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = Unsupported()(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    return model

def by_name(context):
    class Sub(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(3, "softmax")
        def call(self, inputs):
            return self.last(keras.ops.reshape(inputs["image"], (-1, 16)))
    model = Sub()
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def two_heads(context):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    model = keras.Model(inputs, {"a": keras.layers.Dense(2)(x), "b": keras.layers.Dense(4)(x)})
    model.compile("sgd", "mse")
    return model

def gives_logits(context):
    model = model_of()
    model.layers[-1].activation = keras.activations.linear
    return model

def cannot_be_exported(context):
    class Lost(keras.layers.Layer):
        def call(self, x):
            return x * float(keras.ops.convert_to_numpy(x).mean() >= 0)
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.lost, self.last = Lost(), keras.layers.Dense(3, "softmax")
        def call(self, inputs):
            return self.last(self.lost(keras.ops.cast(keras.ops.reshape(inputs, (-1, 16)), "float32")))
    model = Model()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model

def deep(context):
    return deeper({})

def deeper(given):
    raise ValueError("the first line\\nand what it means")

def weighs_nothing(context):
    return Training(model_of(), class_weight={7: 2.0})

def weighs_badly(context):
    return Training(model_of(), class_weight={"a": "heavy"})

def weighs_balanced(context):
    return Training(model_of(), class_weight="balanced")

def weighs_twice(context):
    return Training(model_of(), class_weight={0: 1.0}, weights="image")

def weighs_by_none(context):
    return Training(model_of(), weights="wieght")

def never_validates(context):
    return Training(model_of(), validation_freq=0)

def steps_in_parts(context):
    class Own(keras.Model):
        def train_step(self, data):
            return {}
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    model = Own(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def returns_no_logs(context):
    class Own(keras.Model):
        def train_step(self, data):
            return 7
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs)))
    model = Own(inputs, x)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def no_callback(context):
    return Training(model_of(), callbacks=[print])

def says_nothing(context):
    return Training(model_of(), train_step=lambda step: None)

def misspells(context):
    return Training(model_of(), train_step=lambda step: step.modle)

def yields_badly(context):
    def dataset(context, split, epoch):
        yield {"label": [0]}["nothing"]
    return Training(model_of(), dataset=dataset)

def yields_little(context):
    return Training(model_of(), dataset=lambda context, split, epoch: [])

def turns_to_floats(context):
    return Training(model_of(), transform=lambda rows, random: rows | {"image": rows["image"] / 2})

def calls_back(context):
    class Breaks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            return logs["no_such_metric"]
    return Training(model_of(), callbacks=[Breaks()])
"""
WANTED = {
    "mine:absent": "entry 'mine:absent': mine has no function 'absent', only by_name, calls_back, ",
    "mine:raises": "entry 'mine:raises' raised KeyError: 'label' (mine.py, line 13); correct the code",
    "mine:nothing": "entry 'mine:nothing' gave NoneType, not a keras.Model; return the compiled model",
    "mine:uncompiled": "entry 'mine:uncompiled' gave a model that is not compiled; call model.compile",
    "mine:compiles_xla": "the model is compiled with jit_compile=True, which is not done here; leave it out",
    "mine:by_name": "; a lone column comes bare, not by name: let its inputs be named",
    "mine:two_heads": "the model gives a [8, 2], b [8, 4] for 8 rows instead of [8, 3]",
    "mine:gives_logits": ", not probabilities; end it with a softmax, or let its loss have from_logits=True",
    "mine:cannot_be_exported": "the model trains, but cannot be exported to be served: ",
    "mine:deep": "raised ValueError: the first line and what it means (mine.py, line ",
    "mine:weighs_nothing": "gave a class_weight for 7; the classes are 0 to 2, or by name a, b, c",
    "mine:weighs_badly": "gave class 'a' the weight 'heavy'; give a number of at least 0",
    "mine:weighs_balanced": "gave class_weight='balanced'; give an object like {0: 1.0, 1: 5.0}",
    "mine:weighs_twice": "gave both class_weight and weights; give one, as Keras takes one",
    "mine:weighs_by_none": "gave weights='wieght', and the data has the columns image; name one of them",
    "mine:never_validates": "gave validation_freq=0; give a number from 1, or a list of epochs",
    "mine:returns_no_logs": "the model's train_step returns int; let it return its logs, a dict",
    "mine:too_few": "the model gives [8, 2] for 8 rows instead of [8, 3]; let its last layer",
    "mine:wrong_shape": "the model does not take the data's features image uint8[4, 4]: ",
    "mine:explodes": "at step ",
    "mine:no_callback": "gave builtin_function_or_method as a callback; give keras.callbacks.Callback objects",
    "mine:says_nothing": "the entry's train_step gives nothing; let it return this worker's share of the loss",
    "mine:misspells": "the entry's train_step raised AttributeError: 'Step' object has no attribute 'modle'",
    "mine:yields_badly": "the entry's dataset raised KeyError: 'nothing' (mine.py, line 144); correct the code",
    "mine:yields_little": "there are no rows",
    "mine:turns_to_floats": "the entry's transform gives 'image' as ('float64', (8, 4, 4)) instead of ('uint8'",
    "mine:calls_back": "the entry's callbacks' on_epoch_end raised KeyError: 'no_such_metric' (mine.py, line 156)",
    "mine:sound": "damaged is damaged: ",
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, dict[str, str]]]:
    root = tmp_path_factory.mktemp("entries")
    for name in ("data", "damaged"):
        write_data(root / name, {"train": [24], "eval": [6], "test": [6]})
    shard = root / "damaged" / "train-00000.npz"
    shard.write_bytes(shard.read_bytes()[:-9])
    (root / "mine.py").write_text(CODE)
    command = [sys.executable, "-c", SCRIPT, str(root), *WANTED]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(WANTED, map(tuple, map(json.loads, done.stdout.splitlines())), strict=True))


@pytest.mark.parametrize("entry", WANTED)
def test_it_ends_with_65_and_says_why(ends: dict[str, tuple[int, dict[str, str]]], entry: str) -> None:
    code, failure = ends[entry]
    assert (code, failure["cause"]) == (65, "here")
    assert WANTED[entry] in failure["sentence"]
    assert "\n" not in failure["sentence"]


def test_a_loss_that_is_no_number_names_step_and_remedy(ends: dict[str, tuple[int, dict[str, str]]]) -> None:
    message = ends["mine:explodes"][1]["sentence"]
    assert message.startswith(("loss is nan at step ", "loss is inf at step "))
    assert "(epoch 1); lower the learning rate" in message
