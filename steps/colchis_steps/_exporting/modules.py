"""PyTorch's modules as ONNX, with names of columns."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._exporting.checking import some_rows, write_checked
from colchis_steps._exporting.frame import OPSET, Answer, Feed, framed
from colchis_steps._exporting.libraries import wanted
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import tensor_dtype
from colchis_steps.context import Context

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Rows = Mapping[str, Array]

SAMPLE = 3  # rows that are traced: of one row, the exporter would make a constant


def export_module(model: Any, directory: Path, context: Context, *, logits: bool) -> None:
    """Write a module's ``model.onnx``.

    Raises:
        InputError: see ``colchis_steps.export``.
    """
    torch = wanted("torch", "PyTorch")
    wanted("onnxscript", "PyTorch")
    if isinstance(model, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        model = model.module
    feeds, task = _feeds(model, context), context.task.kind
    rows, training = some_rows(context), model.training
    model.eval()  # without dropout, as it is served
    try:
        plain = _Plain(torch, model, feeds, context)
        names, raw = plain.outputs(rows)
        wide = len(context.classes) if task != "regression" else rows[context.label].reshape(len(raw[0]), -1).shape[1]
        answer = _answer(task, dict(zip(names, raw, strict=True)), wide, logits=logits)
        core = _traced(torch, model, plain.tensors(_sample(rows)), names)

        def own(given: "Rows") -> "dict[str, Array]":
            return _served(dict(zip(*plain.outputs(given), strict=True)), answer)

        write_checked(framed(core, feeds, answer, context.columns, context.classes), directory, rows, own, task)
    finally:
        model.train(training)


class _Plain:
    """The module as it is, asked with a data set's rows."""

    def __init__(self, torch: Any, model: Any, feeds: Sequence[Feed], context: Context) -> None:
        self.torch, self.model, self.feeds, self.context = torch, model, feeds, context
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))

    def tensors(self, rows: "Rows") -> dict[str, Any]:
        """Return the module's arguments for rows."""
        found = {}
        for feed in self.feeds:
            values = self.context.matrix(rows) if feed.flat else rows[feed.columns[0]]
            found[feed.name] = self.torch.as_tensor(values.copy()).to(self.device)
        return found

    def outputs(self, rows: "Rows") -> "tuple[tuple[str, ...], list[Array]]":
        """Return names and values of what it gives."""
        with self.torch.no_grad():
            found = self.model(**self.tensors(rows))
        if isinstance(found, Mapping):
            return tuple(map(str, found)), [one.cpu().numpy() for one in found.values()]
        if isinstance(found, self.torch.Tensor):
            return ("output",), [found.cpu().numpy()]
        raise InputError(f"forward gives a {type(found).__name__}; let it give a tensor, or a dict of tensors by name")


def _feeds(model: Any, context: Context) -> list[Feed]:
    """Return what ``forward`` takes: columns by name, or all of them as one matrix."""
    taken = [p for p in inspect.signature(model.forward).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = [p.name for p in taken if p.default is p.empty or p.name in context.columns]
    if len(names) == 1 and names[0] not in context.columns:
        feeds = [Feed(names[0], tuple(context.columns))]
    elif unknown := [name for name in names if name not in context.columns]:
        raise InputError(
            f"forward takes {unknown[0]!r}, and the data's features are {', '.join(context.columns)}; name its "
            "parameters after columns, or let it take one matrix of them all"
        )
    else:
        feeds = [Feed(name, (name,), flat=False) for name in names]
    for name in (name for feed in feeds for name in feed.columns):
        if tensor_dtype(context.columns[name].dtype) == "string":
            raise InputError(
                f"the column {name!r} is {context.columns[name].dtype}, which PyTorch has no tensors of; let a command "
                "make numbers of it (the parameter prepare), or leave it out"
            )
    return feeds


def _answer(task: str, outputs: "Mapping[str, Array]", wide: int, *, logits: bool) -> Answer:
    """Return what is made of the module's outputs: the first that has ``wide`` numbers a row is the task's answer."""
    if task not in {"classification", "multilabel", "regression"}:
        return Answer(task, further={name: name for name in outputs})
    for name, values in outputs.items():
        one = task == "classification" and wide == 2 and values.shape[1:] == (1,)
        if values.shape[1:] == (wide,) or one or (task == "regression" and wide == 1 and values.ndim == 1):
            activation = "Sigmoid" if one or task == "multilabel" else "Softmax"
            further = {other: other for other in outputs if other != name}
            return Answer(task, name, wide, activation if logits and task != "regression" else "", one, None, further)
    given = ", ".join(f"{name} {list(values.shape)}" for name, values in outputs.items())
    rows = len(next(iter(outputs.values())))
    raise InputError(f"forward gives {given} for {rows} rows instead of [{rows}, {wide}]; change its last layer")


def _sample(rows: "Rows") -> "dict[str, Array]":
    """Return as many rows as are traced, some of them twice where there are fewer."""
    import numpy as np

    return {name: values[np.arange(SAMPLE) % len(values)] for name, values in rows.items()}


def _traced(torch: Any, model: Any, arguments: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the module as an ``onnx.ModelProto`` that takes any number of rows."""
    rows = torch.export.Dim("rows", min=1)
    try:
        program = torch.onnx.export(
            model,
            (),
            kwargs=dict(arguments),
            output_names=[*names],
            dynamo=True,
            dynamic_shapes={name: {0: rows} for name in arguments},
            opset_version=OPSET,
            verbose=False,
        )
    except Exception as error:  # what it raises has no common base but this
        told = " ".join(str(error).split())[:300]
        raise InputError(
            f"{type(model).__name__} has a part that cannot become ONNX ({told}); put another in its place, and let it "
            "take any number of rows"
        ) from error
    return program.model_proto


def _served(outputs: "Mapping[str, Array]", answer: Answer) -> "dict[str, Array]":
    """Return what is to be served of what the module gives."""
    import numpy as np

    found = {name: outputs[name] for name in answer.further}
    if not answer.name:
        return found
    values: Array = outputs[answer.name].astype(np.float32)
    if answer.task == "regression":
        return found | {"value": values.reshape(len(values), -1)}
    if answer.activation == "Softmax":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    elif answer.activation:
        values = 1 / (1 + np.exp(-values))
    return found | {"probability": np.concatenate([1 - values, values], axis=1) if answer.one else values}
