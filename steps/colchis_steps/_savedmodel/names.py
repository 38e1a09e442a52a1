"""What a node of a graph touches, and which of the model's own files a tensor names. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from colchis_steps._savedmodel.operations import BY_ATTRIBUTE, IN_MEMORY, OWN_FILES, REACHING

Own = Mapping[str, str]  # what a tensor names of the model's own, by its name: "asset" or "variables"


@dataclass
class Names:
    """What the tensors of a body name of the model's own."""

    known: Own
    nodes: Mapping[str, Any]
    kept: Collection[str] = ()  # variables that hold the name of an asset

    def own(self, tensor: str) -> str:
        """Return ``asset``, ``variables`` or "", through identities."""
        for _ in range(len(self.nodes) + 1):
            if found := self.known.get(tensor.removesuffix(":0")):
                return found
            node = self.nodes.get(tensor.partition(":")[0])
            if node is None or not node.input:
                return ""
            if node.op == "ReadVariableOp" and node_of(node.input[0]) in self.kept:
                return "asset"
            if node.op != "Identity":
                return ""
            tensor = node.input[0]
        return ""

    def constant(self, tensor: str) -> bytes | None:
        """Return a text that stands in the graph, or None where the tensor is no such."""
        node = self.nodes.get(tensor.partition(":")[0])
        if node is None or node.op != "Const" or "value" not in node.attr:
            return None
        values: list[bytes] = list(node.attr["value"].tensor.string_val)
        return values[0] if len(values) == 1 else None


def reaches(node: Any, names: Names) -> bool:
    """Return whether a node reaches out of the model."""
    inputs = [given for given in node.input if not given.startswith("^")]
    if node.op in OWN_FILES:
        at, kind = OWN_FILES[node.op]
        return at >= len(inputs) or names.own(inputs[at]) != kind
    if node.op in IN_MEMORY:
        at = IN_MEMORY[node.op]
        return at >= len(inputs) or names.constant(inputs[at]) != b""
    harmless = BY_ATTRIBUTE.get(node.op)
    if harmless is not None and harmless.attribute in node.attr:
        value = node.attr[harmless.attribute]
        text = value.s.decode(errors="replace")
        return bool(value.placeholder) or (bool(text) and not text.startswith(harmless.beginnings))
    return node.op in REACHING


def node_of(tensor: str) -> str:
    """Return the name of the node that makes a tensor."""
    return tensor.removeprefix("^").partition(":")[0]


def text_of(attributes: Mapping[str, Any], name: str) -> bytes:
    """Return an attribute's text, or an empty one; to ask such a map for what it lacks adds it."""
    return attributes[name].s if name in attributes else b""
