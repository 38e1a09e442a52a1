"""Write SavedModels that read and write files, in many places, and some that only look so; then check and load them.

Argument: where. ``victim`` there is what they read and ``written`` what they write; neither is a model's own. Prints,
as JSON, what is found in each model, the sentence that refuses it, and what it answered where it was loaded.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colchis_steps._savedmodel.library import load_tensorflow

tf = load_tensorflow()

import keras  # noqa: E402
from tensorflow.core.framework import op_def_pb2, types_pb2  # noqa: E402
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as Graph  # noqa: E402
from tensorflow.python.client import pywrap_tf_session  # noqa: E402
from tensorflow.python.trackable.resource import TrackableResource  # noqa: E402

from colchis_steps._savedmodel.checking import is_steady, read_graph  # noqa: E402
from colchis_steps._savedmodel.loading import SavedModel  # noqa: E402
from colchis_steps._savedmodel.reach import reaching  # noqa: E402
from colchis_steps._step.errors import InputError  # noqa: E402

top = Path(sys.argv[1])
victim, written, words = top / "victim", top / "written", top / "words.txt"
victim.write_text("secret")
words.write_text("a\nb\n")
TEXT = tf.TensorSpec([None], tf.string, name="text")
made: dict[str, str] = {}  # the name of each model and the input to give it


def save(name: str, call: Callable[..., Any], module: Any = None, given: str = "a") -> None:
    """Save the function as the signature that is served."""
    module = module or tf.Module()
    module.call = tf.function(lambda text: {"out": call(text)}, input_signature=[TEXT])
    tf.saved_model.save(module, str(top / name), {"serving_default": module.call})
    made[name] = given


def read(text: Any) -> Any:
    """Return what a file holds that is none of the model's."""
    return text + tf.io.read_file(str(victim))


@tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
def inner(text: Any) -> Any:
    """Read in a loop in a branch of a function that a function calls."""
    if tf.size(text) > 3:
        return tf.map_fn(read, text)
    return text


def in_dataset(text: Any, change: Callable[[Any], Any]) -> Any:
    """Return the texts after they went through a data set."""
    data = change(tf.data.Dataset.from_tensor_slices(text))
    return data.reduce(tf.constant(""), lambda all_, one: all_ + one)[tf.newaxis]


save("read", read)
save("branch", inner)
save("dataset", lambda text: in_dataset(text, lambda data: data.map(read)))
save("lines", lambda text: in_dataset(text, lambda _: tf.data.TextLineDataset(text)), given=str(victim))
save("cached", lambda text: in_dataset(text, lambda data: data.cache(str(written))))
save("remembered", lambda text: in_dataset(text, lambda data: data.cache()))
save("printed", lambda text: (tf.print(text, output_stream=f"file://{written}"), text)[1])
save("said", lambda text: (tf.print(text), text)[1])
save("python", lambda text: tf.py_function(lambda one: one, [text], tf.string))

several = tf.Module()
several.plain = tf.function(lambda text: {"out": text}, input_signature=[TEXT])
several.explain = tf.function(lambda text: {"out": read(text)}, input_signature=[TEXT])
tf.saved_model.save(
    several, str(top / "other-signature"), {"serving_default": several.plain, "explain": several.explain}
)
made["other-signature"] = "a"

helped = tf.Module()
helped.of_path = tf.function(tf.io.read_file, input_signature=[tf.TensorSpec([], tf.string)])
save("not-served", lambda text: text, helped)


class Part(TrackableResource):  # type: ignore[misc]  # TensorFlow has no types
    """What writes a file when the model is loaded."""

    def _create_resource(self) -> Any:
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="part")

    def _initialize(self) -> None:
        tf.io.write_file(str(written), "x")


holder = tf.Module()
holder.part = Part()
_ = holder.part.resource_handle
save("initializer", lambda text: text, holder)

lookup, index = tf.lookup, tf.lookup.TextFileIndex
lines = lookup.TextFileInitializer(str(words), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER)
kept = tf.Module()
kept.table = lookup.StaticHashTable(lines, -1)
save("vocabulary", kept.table.lookup, kept)
asset = tf.Module()
asset.file = tf.saved_model.Asset(str(words))
save("asset", lambda text: text + tf.io.read_file(asset.file.asset_path), asset)
mutable = tf.Module()
mutable.table = lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
mutable.table.insert(tf.constant(["a"]), tf.constant([1], tf.int64))
save("mutable", lambda text: tf.ensure_shape(mutable.table.lookup(text), [None]), mutable)
save(
    "jpeg",
    lambda text: tf.map_fn(
        lambda one: tf.reduce_mean(tf.image.resize(tf.io.decode_jpeg(one, channels=3), [8, 8])),
        text,
        fn_output_signature=tf.float32,
    ),
    given=tf.io.encode_jpeg(tf.ones([4, 4, 3], tf.uint8)).numpy().decode("latin-1"),
)

column = keras.Input((1,), dtype="string")
for name, layer in {
    "keras-lookup": keras.layers.StringLookup(vocabulary=str(words)),
    "keras-text": keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4),
}.items():
    keras.Sequential([column, layer]).export(str(top / name), verbose=False)
    made[name] = "a"
recurrent = keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(2)])
recurrent.export(str(top / "keras-lstm"), verbose=False)
made["keras-lstm"] = ""

with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # as TensorFlow 1 wrote them
    given = tf.compat.v1.placeholder(tf.string, [None], "text")
    variable = tf.compat.v1.get_variable("v", initializer="a", dtype=tf.string)
    session.run(tf.compat.v1.global_variables_initializer())
    simple = tf.compat.v1.saved_model.simple_save
    simple(session, str(top / "v1"), {"text": given}, {"out": given + variable})
    simple(session, str(top / "v1-reads"), {"text": given}, {"out": read(given)})
made |= {"v1": "a", "v1-reads": "a"}


def altered(name: str, source: str, change: Callable[[Any], Any]) -> None:
    """Write a model again with its graph changed by hand."""
    shutil.copytree(top / source, top / name)
    graph = Graph()
    graph.ParseFromString((top / name / "saved_model.pb").read_bytes())
    change(graph.meta_graphs[0])
    (top / name / "saved_model.pb").write_bytes(graph.SerializeToString())
    made[name] = "a"


def has_children(meta: Any) -> None:
    """Let the asset have a child, which takes the place of its path."""
    for one in meta.object_graph_def.nodes:
        if one.WhichOneof("kind") == "asset":
            one.children.add(node_id=0, local_name="asset_path")


def implements_the_same(meta: Any) -> None:
    """Let all functions say that they implement the same, so that an optimizer may exchange them."""
    for function in meta.graph_def.library.function:
        function.attr["api_implements"].s = b"same"


def is_constant(meta: Any) -> None:
    """Let the initializer of the table capture a constant in place of the asset."""
    for function in meta.object_graph_def.concrete_functions.values():
        for at, number in enumerate(function.bound_inputs):
            if meta.object_graph_def.nodes[number].WhichOneof("kind") == "asset":
                function.bound_inputs[at] = 0


altered("unlisted", "read", lambda meta: meta.signature_def.clear())  # what is called are the objects' functions
altered("outside", "vocabulary", lambda meta: setattr(meta.asset_file_def[0], "filename", "../../victim"))
altered("children", "vocabulary", has_children)
altered("constant", "vocabulary", is_constant)
altered("alike", "not-served", implements_the_same)
altered("twice", "read", lambda meta: meta.graph_def.library.function.append(meta.graph_def.library.function[0]))

found: dict[str, dict[str, Any]] = {}
for name, text in made.items():
    written.unlink(missing_ok=True)
    told: dict[str, Any] = {"refused": "", "answer": None}
    try:
        loaded = SavedModel(top / name)
        ranks = {one: len(tensor.shape) for one, tensor in loaded.inputs.items()}
        if text:
            value = text.encode("latin-1")
            arrays = {one: tf.constant([value], shape=(1,) * rank).numpy() for one, rank in ranks.items()}
            told["answer"] = str(next(iter(loaded.predict(arrays).values())).tolist())
    except InputError as error:
        told["refused"] = str(error)
    told["written"] = written.exists()
    try:
        told["found"] = reaching(graph := read_graph(top / name, name))
        told["steady"] = is_steady(graph)
    except ValueError as error:
        told["found"] = str(error)
    found[name] = told

written.unlink(missing_ok=True)
loaded = SavedModel(top / "read", ["ReadFile"])
found["allowed"] = {"answer": str(loaded.predict({"text": tf.constant(["a"]).numpy()})["out"].tolist())}
SavedModel(top / "initializer", ["WriteFile"])
found["allowed"]["written"] = written.exists()

# operations with an input or attribute that may name a file or an address, and all that have to do with such by name
NAMED = re.compile("file|path|dir$|address|target|url|prefix|descriptor|(^|_)source")
KINDS = re.compile("Rpc|DataService|Reader|File|PyFunc|Collective|Save|Restore|Snapshot|CustomCall|FromGraph|Debug")
operations = op_def_pb2.OpList()
operations.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
texts = {
    one.name: [given.name for given in one.input_arg if given.type == types_pb2.DT_STRING]
    + [attribute.name for attribute in one.attr if attribute.type in {"string", "list(string)"}]
    for one in operations.op
}
named = sorted(name for name, of in texts.items() if KINDS.search(name) or any(NAMED.search(one) for one in of))
calling = [one.name for one in operations.op if any(attribute.type in {"func", "list(func)"} for attribute in one.attr)]
print(json.dumps({"models": found, "named": named, "calling": calling, "all": sorted(texts)}))
