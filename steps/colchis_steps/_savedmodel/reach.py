"""What runs when a SavedModel is loaded and when its signatures are called: which operations of its graph reach out.

Pure: of ``saved_model.pb`` as a message, without a session. Counted is more than what runs, never less: each operation
of a function that may be called. What begins elsewhere is left out, such as a function that nobody serves, and saving.

The names of the model's own files are followed from where they enter the graph (assets, and the prefix of the
variables) through calls and identities to where they are used; what cannot be followed is not one of them.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from colchis_steps._savedmodel.names import Names, Own, node_of, reaches, text_of

LOADING = "loading"  # the name of what runs before any call
MAINS = ("saved_model_main_op", "legacy_init_op")  # the collections that name what TensorFlow 1 runs when it loads
INIT = "__saved_model_init_op"  # the signature that TensorFlow Serving runs when it loads
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}  # of which input i is argument i of the function


@dataclass
class _Function:
    """A function of the library, with what its arguments name wherever it is called, and what it is called for."""

    definition: Any
    own: Own | None = None  # None before the first call
    wanted_by: set[str] = field(default_factory=set)


def reaching(saved_model: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of operations that reach out, by what runs them: a signature's name, or ``loading``.

    Raises:
        ValueError: a function is there twice, and which one runs is not known.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for meta_graph in saved_model.meta_graphs:
        for wanted, name in _Graph(meta_graph).reached():
            found[wanted].add(name)
    return {wanted: tuple(sorted(names)) for wanted, names in sorted(found.items())}


def asset_names(saved_model: Any) -> list[str]:
    """Return the paths of the model's assets, as it names them: below its directory ``assets``."""
    found = []
    for meta_graph in saved_model.meta_graphs:
        found += [asset.filename for asset in _assets(meta_graph)]
    return found


def _assets(meta_graph: Any) -> list[Any]:
    from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef

    found = list(meta_graph.asset_file_def)
    collections = meta_graph.collection_def
    for packed in collections["saved_model_assets"].any_list.value if "saved_model_assets" in collections else ():
        found.append(asset := AssetFileDef())
        packed.Unpack(asset)
    return found


class _Graph:
    """One meta graph, walked from all that a server may run."""

    def __init__(self, meta_graph: Any) -> None:
        self.meta = meta_graph
        self.nodes = {node.name: node for node in meta_graph.graph_def.node}
        library = meta_graph.graph_def.library
        self.functions = {function.signature.name: _Function(function) for function in library.function}
        if len(self.functions) != len(library.function):
            raise ValueError("it defines a function twice")
        # an optimizer of TensorFlow's exchanges functions that say that they implement the same
        self.alike: dict[bytes, list[str]] = defaultdict(list)
        for name, function in self.functions.items():
            if implemented := text_of(function.definition.attr, "api_implements"):
                self.alike[implemented].append(name)
        self.gradients = defaultdict(list)
        for gradient in library.gradient:
            self.gradients[gradient.function_name].append(gradient.gradient_func)
        self.kept: set[str] = set()
        self.queue: deque[str] = deque()
        self.found: set[tuple[str, str]] = set()

    def reached(self) -> set[tuple[str, str]]:
        """Return pairs of what runs an operation and the operation's name."""
        self._from_graph()
        self._from_objects()
        while self.queue:
            function = self.functions[self.queue.popleft()]
            body = function.definition.node_def
            names = Names(function.own or {}, {node.name: node for node in body})
            for node in body:
                self._node(node, names, function.wanted_by)
        return self.found

    def _from_graph(self) -> None:
        """Begin at the graph itself, which TensorFlow Serving runs, and TensorFlow where it has no objects."""
        saver = self.meta.saver_def
        assets = {asset.tensor_info.name.removesuffix(":0"): "asset" for asset in _assets(self.meta)}
        variables = {saver.filename_tensor_name.removesuffix(":0"): "variables"}
        # what names the model's own files is fed where these run, and there alone
        collections = self.meta.collection_def
        mains = [name for key in MAINS if key in collections for name in collections[key].node_list.value]
        self.kept = self._variables_of(assets)
        self._walk(LOADING, assets, mains)
        self._walk(LOADING, variables, [saver.restore_op_name])
        self._walk(LOADING, {}, _initializers(collections))
        for key, signature in self.meta.signature_def.items():
            outputs = [tensor for info in signature.outputs.values() for tensor in _tensors(info)]
            if key == INIT:
                self._walk(LOADING, assets, outputs)
            else:
                self._walk(key, {}, outputs)

    def _variables_of(self, assets: Own) -> set[str]:
        """Return the variables that hold nothing but what is fed as an asset's name, in which TensorFlow 2 keeps it."""
        bodies = [self.nodes.values(), *(function.definition.node_def for function in self.functions.values())]
        shared = Counter(_shared(node) for body in bodies for node in body if node.op == "VarHandleOp")
        found = {name for name, node in self.nodes.items() if node.op == "VarHandleOp" and shared[_shared(node)] == 1}
        fed = {name for name in assets if name in self.nodes and self.nodes[name].op == "Placeholder"}
        for node in self.nodes.values():
            if node.op in {"ReadVariableOp", "VarIsInitializedOp"}:
                continue
            if node.op == "AssignVariableOp" and len(node.input) > 1 and node_of(node.input[1]) in fed:
                continue
            found -= {node_of(given) for given in node.input if not given.startswith("^")}
        written = {
            node_of(node.input[0]) for node in self.nodes.values() if node.op == "AssignVariableOp" and node.input
        }
        return found & written

    def _walk(self, wanted: str, own: Own, starts: Iterable[str]) -> None:
        """Take each node of the graph itself that these tensors or nodes need."""
        names = Names(own, self.nodes, self.kept)
        waiting, seen = list(starts), set[str]()
        while waiting:
            name = node_of(waiting.pop())
            if name in self.nodes and name not in seen:
                seen.add(name)
                self._node(self.nodes[name], names, {wanted})
                waiting += self.nodes[name].input

    def _from_objects(self) -> None:
        """Begin at the objects, which TensorFlow restores: signatures, and the functions that restoring calls."""
        graph = self.meta.object_graph_def
        for wanted, number in _called(graph.nodes):
            one = graph.nodes[number]
            bare = one.bare_concrete_function.concrete_function_name
            for name in [*one.function.concrete_functions, *([bare] if bare else [])]:
                if name in self.functions:
                    self._enter(name, self._captured(name, graph), {wanted})

    def _captured(self, name: str, graph: Any) -> Own:
        """Return which of a function's arguments are assets: the objects that it holds come last.

        One that has children, or a class of its own, may name any file.
        """
        arguments = [argument.name for argument in self.functions[name].definition.signature.input_arg]
        bound = graph.concrete_functions[name].bound_inputs if name in graph.concrete_functions else ()
        if len(bound) > len(arguments) or not all(0 <= number < len(graph.nodes) for number in bound):
            return {}
        objects = zip(arguments[len(arguments) - len(bound) :], (graph.nodes[number] for number in bound), strict=True)
        return {
            argument: "asset"
            for argument, one in objects
            if one.WhichOneof("kind") == "asset" and not one.children and not one.registered_name
        }

    def _node(self, node: Any, names: Names, wanted: set[str]) -> None:
        if reaches(node, names):
            self.found |= {(one, node.op) for one in wanted}
        inputs = [given for given in node.input if not given.startswith("^")]
        called = node.attr["f"].func.name if node.op in CALLS and "f" in node.attr else node.op
        if called in self.functions:
            arguments = [argument.name for argument in self.functions[called].definition.signature.input_arg]
            given = zip(arguments, map(names.own, inputs), strict=False) if len(arguments) == len(inputs) else ()
            self._enter(called, {argument: own for argument, own in given if own}, wanted)
        for name in _mentioned(node.attr.values()):
            if name != called:
                self._enter(name, {}, wanted)

    def _enter(self, name: str, own: Own, wanted: set[str]) -> None:
        """Note a call; what an argument names counts only if each call says so."""
        if name not in self.functions:
            return
        function = self.functions[name]
        before = (function.own, set(function.wanted_by))
        function.own = own if function.own is None else dict(function.own.items() & own.items())
        function.wanted_by |= wanted
        if before == (function.own, function.wanted_by):
            return
        self.queue.append(name)
        alike = self.alike.get(text_of(function.definition.attr, "api_implements"), ())
        for other in [*alike, *self.gradients.get(name, ())]:
            if other != name:
                self._enter(other, {}, wanted)


def _mentioned(values: Iterable[Any]) -> Iterator[str]:
    """Yield what may be a function's name in attributes, at any depth; a text counts too."""
    for value in values:
        for function in [value.func, *value.list.func]:
            if function.name:
                yield function.name
                yield from _mentioned(function.attr.values())
        for text in [value.s, *value.list.s]:
            if 0 < len(text) <= 1024:
                yield text.decode(errors="replace")


def _called(nodes: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """Yield what calls an object, and its number: all below ``signatures``, what restores, and names as TensorFlow's.

    Restoring sets what it restores as attributes of objects, so a name with a leading ``_`` may take the place of a
    method of TensorFlow's own that it calls meanwhile.
    """
    served: list[tuple[str, int]] = []
    for one in nodes:
        for child in one.children:
            if child.local_name == "signatures":
                served.append(("", child.node_id))
            elif child.local_name.startswith("_"):
                yield LOADING, child.node_id
        for saveable in one.saveable_objects.values():
            yield LOADING, saveable.save_function
            yield LOADING, saveable.restore_function
    seen: set[tuple[str, int]] = set()
    while served:
        wanted, number = served.pop()
        if (wanted, number) in seen or not 0 <= number < len(nodes):
            continue
        seen.add((wanted, number))
        if wanted:
            yield wanted, number
        served += [(wanted or child.local_name, child.node_id) for child in nodes[number].children]


def _initializers(collections: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of what sets the variables of a graph of TensorFlow 1."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.variable_pb2 import VariableDef

    for collection in collections.values():
        for content in collection.bytes_list.value:
            variable = VariableDef()
            try:
                variable.ParseFromString(content)
            except DecodeError:
                continue
            yield from (variable.initializer_name, variable.initial_value_name, variable.snapshot_name)


def _tensors(info: Any) -> Iterator[str]:
    """Yield the names of the tensors that make a value."""
    yield info.name
    sparse = info.coo_sparse
    yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    for component in info.composite_tensor.components:
        yield from _tensors(component)


def _shared(node: Any) -> bytes:
    """Return the name by which a variable is one and the same."""
    return text_of(node.attr, "shared_name") or node.name.encode()
