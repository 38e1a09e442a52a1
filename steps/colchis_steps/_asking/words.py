"""Answers in words and in columns, by what they hold.

classification  prediction: the class's name or, without names, its number; probability: that class's
multilabel      prediction: the names of the labels; probability_<label>: each one's
regression      value; value_<n> where there are several
others          the outputs by their names
"""

import json
from collections.abc import Sequence
from typing import Any

HALF = 0.5  # of a probability: from here on a row has the label


def columns_of(answer: Any, classes: Sequence[str], task: str = "") -> dict[str, Any]:
    """Return the answer to a row, by the columns that tell it; ``task`` is its kind, if known."""
    if isinstance(answer, dict) and "class" in answer:
        number = int(answer["class"])
        found = {"prediction": answer.get("label", named(classes, number))}
        if isinstance(shares := answer.get("probability"), list) and 0 <= number < len(shares):
            found["probability"] = shares[number]
        return found
    if task == "multilabel" and isinstance(shares := _alone(answer, "probability"), list):
        names = [named(classes, i) for i in range(len(shares))]
        told = [name for name, share in zip(names, shares, strict=True) if share is not None and share >= HALF]
        return {"prediction": told} | {f"probability_{n}": share for n, share in zip(names, shares, strict=True)}
    if task == "regression" and isinstance(values := _alone(answer, "value"), list):
        return {"value": values[0]} if len(values) == 1 else {f"value_{i}": value for i, value in enumerate(values)}
    return dict(answer) if isinstance(answer, dict) else {"prediction": answer}


def in_words(answer: Any, classes: Sequence[str], label: Any, task: str = "") -> str:
    """Return an answer and the true label in one line; ``label`` is as training has it, None where there is none."""
    told = columns_of(answer, classes, task)
    true = "" if label is None else f", label {true_label(label, classes, task)}"
    if task == "regression" and isinstance(values := _alone(answer, "value"), list):
        return f"value {', '.join('null' if one is None else f'{one:g}' for one in values)}{true}"
    if task == "multilabel" and isinstance(told.get("prediction"), list):
        return f"prediction {_listed(told['prediction'])}{true}"
    if isinstance(answer, dict) and "class" in answer:
        sure = f" (probability {told['probability']:.3f})" if told.get("probability") is not None else ""
        return f"prediction {told['prediction']}{sure}{true}"
    return f"prediction {json.dumps(answer, ensure_ascii=False)}{true}"


def true_label(label: Any, classes: Sequence[str], task: str) -> str:
    """Return what a row's label is, in words."""
    if task == "multilabel":
        return _listed([named(classes, i) for i, there in enumerate(label) if there])
    if task == "regression":
        return ", ".join(f"{value:g}" for value in (label if isinstance(label, list) else [label]))
    return named(classes, label) if isinstance(label, int) else json.dumps(label)


def named(classes: Sequence[str], number: int) -> str:
    """Return a class's name, or its number where it has none."""
    return classes[number] if 0 <= number < len(classes) else str(number)


def _alone(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else answer


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
