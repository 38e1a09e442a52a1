"""The Open Inference Protocol V2 over gRPC: messages to questions, and outputs to messages."""

import importlib.metadata
from collections.abc import Collection, Mapping
from typing import Any

from colchis_steps._serving.server.binary import read_binary, to_binary
from colchis_steps._serving.server.loaded import Registry, Version
from colchis_steps._serving.server.protocol import DATATYPES, tensors_of
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.rpc import inference_pb2 as pb
from colchis_steps._serving.server.rpc.tensors import OPEN_INFERENCE, from_values
from colchis_steps._tensors.formats import PLATFORMS
from colchis_steps._tensors.tensor import Arrays, Tensor

Request = pb.ModelInferRequest


def model(request: pb.ModelInferRequest) -> str:
    """Return the name of the model that is asked."""
    return str(request.model_name)


def named(request: pb.ModelInferRequest) -> bool:
    """Return whether the request names the version."""
    return bool(request.model_version)


def meant(registry: Registry, request: pb.ModelInferRequest, headers: Mapping[str, str]) -> Version:
    """Return the version that a request means. Raises Refused as ``Registry.find``."""
    return registry.find(request.model_name, request.model_version or None, headers)


def read(request: pb.ModelInferRequest, version: Version) -> tuple[Arrays, list[str]]:
    """Return the inputs, and the names of the outputs that are asked for. Raises Refused (400)."""
    inputs, columns, given = version.saved.inputs, version.columns, dict[str, Any]()
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise Refused(400, f"{len(raw)} raw contents stand for {len(request.inputs)} inputs; send one each")
    for number, sent in enumerate(request.inputs):
        name, shape = sent.name, list(sent.shape)  # each look into a message makes an object
        if name not in inputs or name in given:
            known = ", ".join(sorted(inputs))[:256]
            raise Refused(400, f"input {name[:64]!r} is unknown or there twice; send {known} once each")
        tensor = inputs[name]
        if sent.datatype != (want := DATATYPES[tensor.dtype]):
            raise Refused(400, f"{tensor.name} has the datatype {sent.datatype[:64]!r}; this model takes {want}")
        nan = columns.takes_nan(name)
        if raw:
            given[name] = read_binary(tensor, shape, raw[number], nan=nan)
        elif tensor.dtype not in OPEN_INFERENCE:
            raise Refused(400, f"{tensor.name} is {want}, which has no contents of its own; send raw_input_contents")
        else:
            values = getattr(sent.contents, OPEN_INFERENCE[tensor.dtype])
            given[name] = from_values(tensor, shape, values, nan=nan)
    if missing := columns.needed - given.keys():
        raise Refused(400, f"input {', '.join(sorted(missing))[:256]} is missing")
    return tensors_of(given, columns), wanted([output.name for output in request.outputs], version.saved.outputs)


def wanted(names: list[str], outputs: Collection[str]) -> list[str]:
    """Return the outputs that a request names, or all. Raises Refused (400) for one that is unknown or there twice."""
    if len(names) != len(set(names)) or not set(names) <= set(outputs):
        raise Refused(400, f"an output is unknown or asked for twice; ask for {', '.join(outputs)[:256]} once each")
    return names or list(outputs)


def write(request: pb.ModelInferRequest, version: Version, names: list[str], outputs: Arrays) -> Any:
    """Return the answer; its tensors are raw, which every client reads, and FP16 is in no other way."""
    answer = pb.ModelInferResponse(
        model_name=version.model, model_version=str(version.number), id=request.id if len(request.id) < 1024 else ""
    )
    for name in names:
        datatype = DATATYPES[version.saved.outputs[name].dtype]
        answer.outputs.add(name=name, datatype=datatype, shape=outputs[name].shape)
        answer.raw_output_contents.append(to_binary(outputs[name]))
    return answer


def metadata(version: Version, versions: Collection[int]) -> Any:
    """Describe a model."""
    return pb.ModelMetadataResponse(
        name=version.model,
        versions=[str(number) for number in sorted(versions)],
        platform=PLATFORMS[version.saved.format],
        inputs=[_tensor(tensor) for tensor in version.saved.inputs.values()],
        outputs=[_tensor(tensor) for tensor in version.saved.outputs.values()],
    )


def server() -> Any:
    """Describe the server."""
    return pb.ServerMetadataResponse(name="colchis", version=importlib.metadata.version("colchis"))


def _tensor(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    shape = [-1 if length is None else length for length in tensor.shape]
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=shape)
